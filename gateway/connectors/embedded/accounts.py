"""Accounts of the embedded messenger and their sessions: registering, logging in, and who a token belongs to.

A session is in memory only, under the SHA-256 of its token: neither a dump nor the store gives anyone a way in, and a restart
asks everyone to log in again. Every attempt takes a token of the account's and of the address's bucket; success gives it back.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gateway.connectors.embedded.limits import Buckets, Limits
from gateway.connectors.embedded.text import check_name, check_password
from gateway.domain.credentials import SALT_OCTETS, hash_of_password, is_password
from gateway.domain.failure import Kind, Refused
from gateway.store import im

if TYPE_CHECKING:
    from gateway.services.ports import Reader, Writer
    from gateway.world import World

TOKEN_BYTES = 32


class Session(NamedTuple):
    """Who is logged in; `key` stands for the token, which is kept nowhere."""

    account: int
    nick: str
    key: bytes


class Accounts:
    """Opens accounts and sessions."""

    def __init__(self, world: World, writer: Writer, reader: Reader, limits: Limits) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._limits = limits
        self._sessions: dict[bytes, tuple[Session, float]] = {}  # and when it was last used
        self._keys: dict[int, list[bytes]] = {}  # of each account's sessions, oldest first
        self._logins = Buckets(limits.logins_per_s, limits.logins_burst, limits.keys_max)
        self._registrations = Buckets(limits.registrations_per_s, limits.registrations_burst, limits.keys_max)
        self._hashing = asyncio.Semaphore(limits.hashes_at_once)
        self._decoy = ""

    async def register(self, nick: str, password: str, *, address: str) -> im.Account:
        """Open an account for anyone who asks; Refused when registration is closed or this address asks too often."""
        if not self._limits.is_registration_open:
            raise Refused("registration_closed", "new accounts are opened by the operator only")
        check_name(nick, "nick", self._limits.name_chars_max)
        check_password(password, self._limits)
        self._take(self._registrations, address)
        return await self.create(nick, password)

    async def create(self, nick: str, password: str) -> im.Account:
        """Open an account under the next free number, with its wallet and first credit."""
        check_name(nick, "nick", self._limits.name_chars_max)
        check_password(password, self._limits)
        password_hash = await self._hash(password)
        ids = tuple(self._world.next_id() for _ in range(im.SPARE_IDS))
        limits = self._limits
        now_us = self._world.clock.now_us()
        new = im.NewAccount(nick, password_hash, limits.account_number_min, limits.currency, limits.initial_credit_minor, ids, now_us)
        return await self._writer.run(im.register, new)

    async def log_in(self, number: int, password: str, *, address: str) -> tuple[str, Session]:
        """A new session and its token; Refused, with one text for a wrong number and a wrong password."""
        self._take(self._logins, address)
        self._take(self._logins, number)
        account = await self._reader.read(im.find_account, number)
        if not await self._is_right(password, account):
            raise Refused("unauthorized", "the account number or the password is wrong")
        assert account is not None, "a decoy's password is never right"
        now = self._world.clock.monotonic()
        self._logins.give_back(address, now)
        self._logins.give_back(number, now)
        return self.open_session(account)

    def open_session(self, account: im.Account) -> tuple[str, Session]:
        """A session for someone who has just proven who they are."""
        token = urlsafe_b64encode(self._world.entropy.token_bytes(TOKEN_BYTES)).decode().rstrip("=")
        session = Session(account.id, account.nick, _key(token))
        keys = self._keys.setdefault(account.id, [])
        keys.append(session.key)
        self._sessions[session.key] = (session, self._world.clock.monotonic())
        if len(keys) > self._limits.sessions_per_account_max:
            self.close_session(keys[0])
        return token, session

    def find_session(self, token: str) -> Session | None:
        """Whose token this is, if it is anyone's and has not lain idle too long."""
        key = _key(token)
        session, used_at = self._sessions.get(key, (None, 0.0))
        now = self._world.clock.monotonic()
        if session is None:
            return None
        if now - used_at > self._limits.session_idle_s:
            self.close_session(key)
            return None
        self._sessions[key] = (session, now)
        return session

    def close_session(self, key: bytes) -> None:
        """Log out; a second time changes nothing."""
        session, _ = self._sessions.pop(key, (None, 0.0))
        if session is not None:
            left = [known for known in self._keys[session.account] if known != key]
            if left:
                self._keys[session.account] = left
            else:
                del self._keys[session.account]

    def _take(self, buckets: Buckets, key: str | int) -> None:
        now = self._world.clock.monotonic()
        if not buckets.take(key, now):
            raise Refused("throttled", f"too many attempts; try again in {buckets.wait_s(key, now):.0f} s", kind=Kind.THROTTLED)

    async def _is_right(self, password: str, account: im.Account | None) -> bool:
        # A number that does not exist costs the same hash, so that the time tells nobody which numbers do.
        if account is None and not self._decoy:
            self._decoy = await self._hash("no account has this password")
        expected = self._decoy if account is None else account.password_hash
        if len(password) > self._limits.password_chars_max:
            return False
        async with self._hashing:
            is_right = await self._world.executor.run(is_password, expected, password)
        return is_right and account is not None

    async def _hash(self, password: str) -> str:
        salt = self._world.entropy.token_bytes(SALT_OCTETS)
        async with self._hashing:
            hashing = partial(hash_of_password, passes=self._limits.hash_passes, memory_kib=self._limits.hash_memory_kib)
            return await self._world.executor.run(hashing, password, salt)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
