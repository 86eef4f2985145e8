"""Parked receipts matched again: by themselves when something was learnt, and when an operator asks; old ones are removed.

All of it goes through the writer's matching, page by page, so that a replay can do nothing that the receipt itself could not have done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from gateway.domain.failure import Refused, StoreUnavailable
from gateway.services.outcome import Notice, Outcome
from gateway.services.ports import Reader
from gateway.store import receipts
from gateway.store.receipts import Wanted
from gateway.store.writer import StoreWriter
from gateway.world import World

_log = structlog.get_logger(__name__)
WAITS = "waits"


def _uncounted(_outcome: str) -> None:
    """For those who do not count."""


class Limits(NamedTuple):
    """How often, how much at a time, and how long receipts are kept."""

    interval_s: float = 5.0
    page: int = 200
    pages_max: int = 50
    closed_kept_s: float = 30 * 86_400.0
    waiting_kept_s: float = 90 * 86_400.0
    cleaning_s: float = 3_600.0
    watch_s: float = 60.0
    watched_min: int = 20  # receipts in that time
    unmatched_share_max: float = 0.2


class Replay:
    """Works on what waits; `effects` are the counts of receipts by what they did."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        reader: Reader,
        rows: Outcome,
        *,
        effects: Mapping[str, int],
        noticed: Callable[[Notice], None],
        counted: Callable[[str], None] = _uncounted,
        limits: Limits | None = None,
    ) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._rows = rows
        self._effects = effects
        self._noticed = noticed
        self._counted = counted
        self._limits = limits or Limits()
        self._cleaned_s = -self._limits.cleaning_s
        self._watched_s = 0.0
        self._seen = (0, 0)
        self.unmatched_share = 0.0

    async def run(self) -> None:
        """Look after what waits, for ever."""
        while True:
            if self._writer.is_healthy:
                # The store may fail under a round; what was due is still due in the next.
                with contextlib.suppress(StoreUnavailable):
                    await self.round()
            await asyncio.sleep(self._limits.interval_s)

    async def round(self) -> None:
        """What is due now."""
        now_s = self._world.clock.monotonic()
        if self._rows.parking.is_new:
            self._rows.parking.is_new = False
            await self.replay(Wanted(), pages_max=self._limits.pages_max)
        if now_s - self._cleaned_s >= self._limits.cleaning_s:
            self._cleaned_s = now_s
            await self._clean()
        if now_s - self._watched_s >= self._limits.watch_s:
            self._watched_s = now_s
            self._watch()

    async def replay(self, wanted: Wanted, *, pages_max: int | None = None) -> Counter[str]:
        """Match what waits again; how many came to which outcome."""
        outcomes: Counter[str] = Counter()
        after = pages = 0
        while pages_max is None or pages < pages_max:
            rows = await self._reader.read(receipts.page, wanted._replace(is_waiting=True), after, self._limits.page)
            if not rows:
                break
            after, pages = rows[-1].id, pages + 1
            outcomes.update(await self._replay([row.id for row in rows]))
        return outcomes

    async def replay_one(self, id_: int) -> str:
        """Match one receipt again; its outcome. Raises Refused when it does not wait."""
        (outcome,) = await self._replay([id_]) or [""]
        if not outcome:
            raise Refused("not_found", f"no receipt {id_} waits", field="id")
        return outcome

    async def dismiss(self, id_: int) -> None:
        """Close a receipt that will never find its message. Raises Refused when it does not wait."""
        if not await self._writer.run(receipts.close, id_, receipts.DISMISSED, self._world.clock.now_us()):
            raise Refused("not_found", f"no receipt {id_} waits", field="id")
        self._counted(receipts.DISMISSED)

    async def _replay(self, ids: list[int]) -> list[str]:
        seqs = [self._world.next_id() for _ in ids]
        replayed = await self._writer.run(self._rows.replay_many, ids, self._world.clock.now_us(), seqs)
        for each in replayed:
            if each.notice is not None:
                self._noticed(each.notice)
            if each.outcome is not None:
                self._counted(each.outcome)
        return [each.outcome or WAITS for each in replayed]

    async def _clean(self) -> None:
        now_us, limits = self._world.clock.now_us(), self._limits
        closed, waiting = now_us - int(limits.closed_kept_s * 1e6), now_us - int(limits.waiting_kept_s * 1e6)
        for _ in range(limits.pages_max):
            if await self._writer.run(receipts.forget, closed, waiting, limits.page) < limits.page:
                break

    def _watch(self) -> None:
        """Warn when many receipts of the last while found no message: a carrier has changed, or we have lost something."""
        all_now, parked_now = sum(self._effects.values()), self._effects.get("parked", 0)
        came, parked = all_now - self._seen[0], parked_now - self._seen[1]
        self._seen = (all_now, parked_now)
        self.unmatched_share = parked / came if came else 0.0
        if came >= self._limits.watched_min and self.unmatched_share > self._limits.unmatched_share_max:
            _log.warning("receipts find no message", share=round(self.unmatched_share, 2), receipts=came)
