"""A link's own door for an SMSC that calls us: it says outbind, and we bind as receiver on its connection (SMPP 3.4 section 4.1.7)."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

import structlog

from gateway.links.smpp_bind import Bind
from gateway.links.smpp_transport import SmppTransport
from gateway.smpp import events as e
from gateway.smpp import pdu as p
from gateway.smpp.consts import Status
from gateway.world import Listener

if TYPE_CHECKING:
    from gateway.links.smpp_client import SmppLink

_log = structlog.get_logger(__name__)

CONNECTIONS_MAX = 8
REOPEN_S = 5.0
FIRST_NUMBER = 101  # tells a bind that was called for from those that we dial


class CalledBind(Bind):
    """A bind on a connection that the SMSC opened; it stands as long as that."""

    def __init__(self, link: SmppLink, number: int, door: OutbindDoor) -> None:
        super().__init__(link, number, "receiver")
        self._door = door

    def _take_outbind(self, wire: SmppTransport, request: p.Outbind) -> None:
        config = self.link.config
        is_known = hmac.compare_digest(
            f"{request.system_id}\0{request.password}".encode(), f"{config.outbind_system_id}\0{config.outbind_password}".encode()
        )
        if is_known and not self.link.is_stopping:
            self.ask_to_bind(wire)
        else:
            self.link.refusals[Status.ESME_RINVPASWD] += 1
            _log.warning("outbind refused", link=self.link.name, peer=wire.peer, system_id=request.system_id)
            wire.abort()

    def _take_bound(self, event: e.Bound) -> None:
        super()._take_bound(event)
        self.link.binds.append(self)

    def _take_closed(self, wire: SmppTransport, event: e.Closed) -> None:
        super()._take_closed(wire, event)
        if self in self.link.binds:
            self.link.binds.remove(self)
        self._door.left(self)
        self.wire = None


class OutbindDoor:
    """Listens for one link."""

    def __init__(self, link: SmppLink) -> None:
        self._link = link
        self._listener: Listener | None = None
        self._called: list[CalledBind] = []
        self._count = 0
        self.failure = ""

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return self._listener.port if self._listener is not None else 0

    async def open(self) -> None:
        """Listen; a port that is in use is tried again, for the link's own binds need it not."""
        config, network = self._link.config, self._link.world.network
        while self._listener is None:
            try:
                self._listener = await network.listen(self._make, config.outbind_host, config.outbind_port)
                self.failure = ""
            except OSError as error:
                self.failure = f"cannot listen for outbind on {config.outbind_host}:{config.outbind_port}: {error.strerror or error}"
                _log.error("outbind door", link=self._link.name, reason=self.failure)
                await asyncio.sleep(REOPEN_S)

    def close(self) -> None:
        """Listen no more, and drop who has not bound; binds that stand are the link's to end."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for bind in list(self._called):
            if not bind.is_bound and bind.wire is not None:
                bind.wire.abort()

    def left(self, bind: CalledBind) -> None:
        """A connection is gone."""
        if bind in self._called:
            self._called.remove(bind)

    def _make(self) -> SmppTransport:
        self._count += 1
        bind = CalledBind(self._link, FIRST_NUMBER + self._count - 1, self)
        bind.wire = bind.make_wire()
        self._called.append(bind)
        if len(self._called) > CONNECTIONS_MAX:
            bind.wire.abort()
        return bind.wire
