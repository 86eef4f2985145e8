"""How long receipts and messages from phones are kept for a partner that takes none: each policy says it; what is older is given up.

A few partners a round, so that a round costs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import structlog

from gateway.domain.ids import id_floor
from gateway.services.accounts import Account, Accounts
from gateway.services.deliver import Delivering
from gateway.services.ports import Reader
from gateway.store import outbox
from gateway.store.writer import StoreWriter
from gateway.world import World

_log = structlog.get_logger(__name__)

PARTNERS_A_ROUND = 20
PAGE = 2_000
COUNT_INTERVAL_S = 60.0


class Keeping:
    """Gives up what is too old, and counts what waits."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        reader: Reader,
        accounts: Accounts,
        delivering: Delivering,
        *,
        expired: Callable[[str, int], None],
        held: Callable[[dict[str, int]], None],
    ) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._accounts = accounts
        self._delivering = delivering
        self._expired = expired
        self._held = held
        self._round: list[Account] = []
        self._counted_s: float | None = None

    async def sweep(self) -> None:
        """One round; raises StoreUnavailable."""
        if not self._writer.is_healthy:
            return
        if not self._round:
            self._round = self._accounts.known()
        for account in list(islice(self._round, PARTNERS_A_ROUND)):
            await self.expire(account)
        del self._round[:PARTNERS_A_ROUND]
        await self._count()

    async def expire(self, account: Account) -> int:
        """Give up what one partner has left waiting for too long, a page of it; how many."""
        now_us = self._world.clock.now_us()
        target = outbox.partner_target(account.partner.id)
        before = id_floor(now_us - account.policy.hold_s * 1_000_000)
        ids = await self._reader.read(outbox.waiting_before, target, before, PAGE)
        lane = self._delivering.lanes.get(target)
        if lane is not None:
            ids = lane.forget(ids)
        if not ids:
            return 0
        await self._writer.run(outbox.set_done, [(entry_id, now_us, outbox.EXPIRED) for entry_id in ids])
        _log.warning("given up what a partner did not take", partner=account.partner.name, rows=len(ids))
        self._expired(account.partner.name, len(ids))
        return len(ids)

    async def _count(self) -> None:
        now_s = self._world.clock.monotonic()
        if self._counted_s is not None and now_s - self._counted_s < COUNT_INTERVAL_S:
            return
        self._counted_s = now_s
        counts = await self._reader.read(outbox.count_waiting)
        partners = {outbox.partner_target(each.partner.id): each.partner.name for each in self._accounts.known()}
        self._held({name: counts[target] for target, name in partners.items() if target in counts})
