"""Who calls: API keys are known by their SHA-256 alone, looked up in the store and remembered for a few seconds."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import NamedTuple

from gateway.domain.failure import Refused, StoreUnavailable
from gateway.domain.message import Front
from gateway.services.accounts import sender_of
from gateway.services.ports import Reader
from gateway.services.submit import Sender
from gateway.store import partners
from gateway.store.partners import Partner
from gateway.world import Clock

KEY_CHARS_MAX = 256
# A partner added, disabled or given a new key is seen this late at most.
KNOWN_TTL_S = 4.0
UNKNOWN_TTL_S = 2.0


class Caller(NamedTuple):
    """A partner whose key was right, and how the services see it."""

    partner: Partner
    sender: Sender


class _Kept(NamedTuple):
    caller: Caller | None
    until_s: float


class Keys:
    """Finds the partner of an Authorization header; raises Refused (`unauthorized`) or StoreUnavailable.

    The store sees each key once per TTL, however many requests carry it. `kept_max` bounds what is remembered, known keys and unknown
    ones apart, and `lookups_max` how many strangers are looked up at one time, so that guessing cannot push partners out.
    """

    def __init__(
        self,
        reader: Reader,
        clock: Clock,
        *,
        learn: Callable[[Partner], object] | None = None,
        kept_max: int = 10_000,
        lookups_max: int = 32,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._learn = learn  # called with each partner as it was just read
        self._kept_max = kept_max
        self._lookups_max = lookups_max
        self._known: dict[bytes, _Kept] = {}
        self._unknown: dict[bytes, _Kept] = {}
        self._lookups: dict[bytes, asyncio.Future[Caller | None]] = {}

    def recall(self, authorization: str | None) -> Caller | None:
        """The caller if it is remembered, without waiting; None means: ask `find`."""
        if authorization is None or not authorization.startswith("Bearer "):
            return None
        kept = self._known.get(hashlib.sha256(authorization[7:].encode("utf-8", "replace")).digest())
        return kept.caller if kept is not None and kept.until_s > self._clock.monotonic() else None

    async def find(self, authorization: str | None) -> Caller:
        """The caller, from memory or from the store."""
        digest = _digest(authorization)
        now_s = self._clock.monotonic()
        kept = self._known.get(digest) or self._unknown.get(digest)
        if kept is not None and kept.until_s > now_s:
            caller = kept.caller
        else:
            caller = await self._look_up(digest)
        if caller is None:
            raise Refused("unauthorized", "this API key is not known, or its partner is disabled", field="Authorization")
        return caller

    def forget(self, authorization: str | None) -> None:
        """Look the caller up anew at its next request: something of it changed just now."""
        self._known.pop(_digest(authorization), None)

    async def _look_up(self, digest: bytes) -> Caller | None:
        """One look-up per key at a time: whoever else comes with the same key waits for it."""
        under_way = self._lookups.get(digest)
        if under_way is not None:
            return await asyncio.shield(under_way)
        if len(self._lookups) >= self._lookups_max and digest not in self._known:
            raise StoreUnavailable("too many API keys are being checked at the moment; try again later")
        found: asyncio.Future[Caller | None] = asyncio.get_running_loop().create_future()
        self._lookups[digest] = found
        try:
            partner = await self._reader.read(partners.by_api_key_hash, digest.hex())
            if partner is not None and self._learn is not None:
                self._learn(partner)
            caller = _caller(partner)
            self._keep(digest, caller)
            found.set_result(caller)
            return caller
        finally:
            del self._lookups[digest]
            if not found.done():
                found.set_exception(StoreUnavailable("API keys cannot be checked at the moment; try again later"))
                found.exception()  # seen: there may be nobody else who waits

    def _keep(self, digest: bytes, caller: Caller | None) -> None:
        self._known.pop(digest, None)
        self._unknown.pop(digest, None)
        kept, ttl_s = (self._unknown, UNKNOWN_TTL_S) if caller is None else (self._known, KNOWN_TTL_S)
        kept[digest] = _Kept(caller, self._clock.monotonic() + ttl_s)
        if len(kept) > self._kept_max:
            del kept[next(iter(kept))]


def _digest(authorization: str | None) -> bytes:
    if not authorization:
        raise Refused("unauthorized", "send your API key as: Authorization: Bearer KEY", field="Authorization")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not 0 < len(key) <= KEY_CHARS_MAX:
        raise Refused("unauthorized", "the Authorization header must be: Bearer KEY", field="Authorization")
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _caller(partner: Partner | None) -> Caller | None:
    if partner is None or not partner.is_enabled:
        return None
    return Caller(partner, sender_of(partner, Front.HTTP))
