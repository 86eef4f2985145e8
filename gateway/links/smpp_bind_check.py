"""Who may bind: lockout, account, address, certificate, password, and the rest of the partner's policy, in this order.

argon2 costs 20 ms and 19 MiB by intention, so few run at one time, few wait, and a password that was right is remembered, hashed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from gateway.domain.failure import Refused
from gateway.domain.knock import Knock, why_not_from, why_not_so
from gateway.domain.lockout import Lockout, LockoutLimits
from gateway.services.accounts import Account, Accounts
from gateway.services.ports import Reader
from gateway.smpp.consts import Status
from gateway.store import partners
from gateway.world import World

_log = structlog.get_logger(__name__)

VERIFIED_S = 86_400.0
VERIFIED_MAX = 20_000

_STATUS = {
    "unknown": Status.ESME_RINVSYSID,
    "password": Status.ESME_RINVPASWD,
    "system_type": Status.ESME_RINVSYSTYP,
    "binds": Status.ESME_RALYBND,
    "busy": Status.ESME_RSYSERR,
    "store": Status.ESME_RSYSERR,
}
# What a guesser does wrong; who is merely configured badly is not locked out.
_GUESSES = frozenset({"unknown", "password", "address", "certificate"})


class PasswordCheck(Protocol):
    """Compares a password with its hash; slow on purpose, so it runs off the loop."""

    def __call__(self, password_hash: str, password: str) -> bool: ...


class CheckLimits(NamedTuple):
    """How much checking there may be, and who has to wait."""

    verifications_max: int = 2  # at one time
    waiting_max: int = 400
    lockout: LockoutLimits = LockoutLimits()


class NotBound(Exception):
    """A bind is refused; `reason` is a word for logs and metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def status(self) -> int:
        """The command_status that says so; all that is about the account's own rules is 0x0D."""
        return int(_STATUS.get(self.reason, Status.ESME_RBINDFAIL))


class BindCheck:
    """Finds the account of a bind, or says why there is none for it."""

    def __init__(
        self,
        world: World,
        reader: Reader,
        accounts: Accounts,
        check_password: PasswordCheck,
        limits: CheckLimits,
        *,
        refused: Callable[[str], None],
        locked_out: Callable[[], None],
    ) -> None:
        self._world = world
        self._reader = reader
        self._accounts = accounts
        self._check_password = check_password
        self._limits = limits
        self._refused = refused
        self._locked_out = locked_out
        self._verified: dict[bytes, float] = {}
        self._turn = asyncio.Semaphore(limits.verifications_max)
        self._waiting = 0
        self.lockout = Lockout(limits.lockout)

    async def __call__(self, system_id: str, password: str, knock: Knock) -> Account:
        """The account that may bind so; raises NotBound, which is counted."""
        try:
            account = await self._find(system_id, password, knock)
        except NotBound as not_bound:
            self.count(not_bound, system_id, knock)
            raise
        self.lockout.succeeded(knock.address, system_id)
        return account

    def count(self, not_bound: NotBound, system_id: str, knock: Knock) -> None:
        """Count a refused bind, and make a guesser wait."""
        reason = not_bound.reason
        self._refused(reason)
        if reason == "locked":
            _log.debug("bind refused", system_id=system_id, peer=knock.address, reason=reason)
            return
        _log.warning("bind refused", system_id=system_id, peer=knock.address, reason=reason, status=not_bound.status)
        if reason in _GUESSES and self.lockout.failed(knock.address, system_id, self._world.clock.monotonic()):
            self._locked_out()
            pause_s = self.lockout.remaining(knock.address, system_id, self._world.clock.monotonic())
            _log.warning("locked out", system_id=system_id, peer=knock.address, pause_s=round(pause_s, 1))

    async def _find(self, system_id: str, password: str, knock: Knock) -> Account:
        now_s = self._world.clock.monotonic()
        if self.lockout.remaining(knock.address, system_id, now_s) > 0:
            raise NotBound("locked")
        try:
            partner = await self._reader.read(partners.by_name, system_id)
        except Refused:
            raise NotBound("store") from None
        if partner is None or partner.smpp_password_hash is None:
            raise NotBound("unknown")
        account = self._accounts.learn(partner)
        if not account.is_open:
            raise NotBound("disabled")
        why = why_not_from(account.policy, knock)
        if why is None and not await self._is_right(partner.smpp_password_hash, system_id, password, knock):
            why = "password"
        why = why or why_not_so(account.policy, knock)
        if why is not None:
            raise NotBound(why)
        return account

    async def _is_right(self, password_hash: str, system_id: str, password: str, knock: Knock) -> bool:
        # A partner that binds twenty times need not cost twenty argon2.
        memo = hashlib.blake2b(password.encode("latin-1", "replace"), key=password_hash.encode()[-64:]).digest()
        if self._is_verified(memo):
            return True
        if self._waiting >= self._limits.waiting_max:
            raise NotBound("busy")
        self._waiting += 1
        try:
            async with self._turn:
                if self._is_verified(memo):  # by one of the same fleet, meanwhile
                    return True
                if self.lockout.remaining(knock.address, system_id, self._world.clock.monotonic()) > 0:
                    raise NotBound("locked")  # those before it in the queue have guessed enough
                if not await self._world.executor.run(self._check_password, password_hash, password):
                    return False
        finally:
            self._waiting -= 1
        self._verified.pop(memo, None)
        self._verified[memo] = self._world.clock.monotonic() + VERIFIED_S
        if len(self._verified) > VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        return True

    def _is_verified(self, memo: bytes) -> bool:
        return self._verified.get(memo, 0.0) > self._world.clock.monotonic()
