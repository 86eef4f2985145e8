"""Vouchers at the doors: a partner or a messenger account brings in a code it holds, and who guesses codes waits.

Wrong codes are counted by party and by address, in this process: a restart forgets them, which codes of 80 random bits can bear.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from billing import accounts, audit, vouchers
from billing.accounts import Account
from billing.audit import Act
from billing.book import House
from billing.errors import VoucherError
from gateway.domain.failure import Kind, Refused
from gateway.domain.lockout import Lockout, LockoutLimits
from gateway.services.ports import Writer
from gateway.world import World

_log = structlog.get_logger(__name__)

ADDRESS_FACTOR = 6  # behind one address there may be many people
_CODE = "code"
# A wallet with the house's accounts, and a transfer.
_IDS = len(House._fields) + 2


class Brought(NamedTuple):
    """What a code brought, and the wallet as it is now; not new when this party had redeemed it before."""

    value_minor: int
    is_new: bool
    wallet: Account


class Redeeming:
    """Redeems codes for parties that have proven who they are, one at a time for each."""

    def __init__(self, world: World, writer: Writer, *, failures_max: int = 5, wait_s_max: float = 3_600.0) -> None:
        self._world = world
        self._writer = writer
        self._parties = _lockout(failures_max, wait_s_max)
        self._addresses = _lockout(failures_max * ADDRESS_FACTOR, wait_s_max)
        self._trying: set[str] = set()

    async def redeem(self, party: str, code: str, *, address: str) -> Brought:
        """Bring a voucher into the party's wallet of its currency; on disk when it returns.

        Raises Refused: `bad_code` in one text for every code that brings nothing, `too_many_codes` for who has to wait.
        """
        now_s = self._world.clock.monotonic()
        wait_s = max(self._parties.remaining(party, _CODE, now_s), self._addresses.remaining(address, _CODE, now_s))
        if wait_s > 0:
            raise _later(f"too many wrong codes; the next one can be tried in {math.ceil(wait_s)} s", wait_s)
        if party in self._trying:
            # Whoever sends a thousand at once must not have them all tried before the first is counted.
            raise _later("another code of yours is being tried; one at a time", 1.0)
        self._trying.add(party)
        try:
            return await self._redeem(party, code, address)
        finally:
            self._trying.discard(party)

    async def _redeem(self, party: str, code: str, address: str) -> Brought:
        ids = [self._world.next_id() for _ in range(_IDS)]
        try:
            # A right code forgives no wrong ones: who holds one could send it again between two guesses.
            return await self._writer.run(_write, code, party, ids, self._world.clock.now_us())
        except VoucherError as error:
            await self._failed(party, address)
            raise Refused("bad_code", str(error), field="code") from None

    async def _failed(self, party: str, address: str) -> None:
        now_s = self._world.clock.monotonic()
        is_locked = self._parties.failed(party, _CODE, now_s)
        if not (self._addresses.failed(address, _CODE, now_s) or is_locked):
            return
        wait_s = max(self._parties.remaining(party, _CODE, now_s), self._addresses.remaining(address, _CODE, now_s))
        _log.warning("voucher codes locked", party=party, peer=address, pause_s=round(wait_s, 1))
        await self._writer.run(_note, party, round(wait_s), self._world.clock.now_us())


def _later(text: str, wait_s: float) -> Refused:
    return Refused("too_many_codes", text, field="code", kind=Kind.THROTTLED, retry_after_s=wait_s)


def _lockout(failures_max: int, wait_s_max: float) -> Lockout:
    return Lockout(LockoutLimits(failures_max, failures_max, pause_s_max=wait_s_max))


def _write(conn: Connection, code: str, party: str, ids: list[int], now_us: int) -> Brought:
    done = vouchers.redeem_for(conn, code, party, new_id=ids.pop, now_us=now_us)
    return Brought(done.value_minor, done.is_new, accounts.one(conn, done.wallet))


def _note(conn: Connection, party: str, wait_s: int, now_us: int) -> None:
    audit.record(conn, Act(party, "guess vouchers", party, {"wait_s": wait_s}), now_us=now_us)
