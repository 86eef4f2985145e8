"""outbind: something waits for a partner that is away, so we connect to it and ask it to bind (SMPP 3.4 section 2.2.1, case S24).

The connection is one of the door's from then on: who binds on it is checked as always, and must be the partner it was made for.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from gateway.domain.failure import StoreUnavailable
from gateway.domain.policy import PartnerPolicy
from gateway.links.smpp_server import SmppServer
from gateway.links.smpp_transport import SmppTransport
from gateway.services.accounts import Account, Accounts
from gateway.services.ports import Reader
from gateway.smpp import pdu as p
from gateway.smpp.errors import LocalProtocolError
from gateway.store import outbox
from gateway.world import World

_log = structlog.get_logger(__name__)

INTERVAL_S = 5.0
CONNECT_TIMEOUT_S = 10.0
PAUSE_S_MIN, PAUSE_S_MAX = 30.0, 600.0
# Of the partners that want it, so many are looked at in one round.
PARTNERS_A_ROUND = 20


class Outbinds:
    """Asks partners to come."""

    def __init__(self, world: World, reader: Reader, accounts: Accounts, server: SmppServer, system_id: str) -> None:
        self._world = world
        self._reader = reader
        self._accounts = accounts
        self._server = server
        self._system_id = system_id
        self._next_s: dict[int, float] = {}
        self._pause_s: dict[int, float] = {}

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            with contextlib.suppress(StoreUnavailable):
                await self.look()

    async def look(self) -> None:
        """One round: ask those who are away and have something waiting; raises StoreUnavailable."""
        now_s = self._world.clock.monotonic()
        wanted = [account for account in self._accounts.known() if account.policy.outbind_host and account.is_open]
        due = [account for account in wanted if self._next_s.get(account.partner.id, 0.0) <= now_s]
        for account in due[:PARTNERS_A_ROUND]:
            partner_id = account.partner.id
            if self._is_there(partner_id):
                self._pause_s.pop(partner_id, None)
            elif await self._reader.read(outbox.is_any_waiting, outbox.partner_target(partner_id)):
                pause_s = self._pause_s.get(partner_id, PAUSE_S_MIN)
                self._next_s[partner_id] = now_s + pause_s
                self._pause_s[partner_id] = min(2 * pause_s, PAUSE_S_MAX)
                await self.ask(account)

    async def ask(self, account: Account) -> bool:
        """Connect to a partner and say outbind; whether that left."""
        name, policy = account.partner.name, account.policy
        wire = self._server.expect(name)
        try:
            await self._connect(wire, policy)
            wire.send(p.Outbind(system_id=self._system_id))
        except (OSError, LocalProtocolError) as error:
            wire.abort()
            self._server.forget(wire)
            _log.warning("outbind failed", partner=name, host=policy.outbind_host, port=policy.outbind_port, reason=type(error).__name__)
            return False
        _log.info("outbind", partner=name, host=policy.outbind_host, port=policy.outbind_port)
        return True

    async def _connect(self, wire: SmppTransport, policy: PartnerPolicy) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._world.network.connect(lambda: wire, policy.outbind_host, policy.outbind_port)

    def _is_there(self, partner_id: int) -> bool:
        binds = self._server.binds_of(partner_id)
        return binds is not None and binds.is_there
