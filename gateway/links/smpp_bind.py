"""One bind of a link: the session it is now, what its events mean to the carrier's side, and the task that keeps it up.

When to try again after an end is decided in domain/redial.py. A carrier's unbind is answered by the session when our window is empty.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

import structlog

from gateway.domain.message import Flight
from gateway.domain.redial import Ended, Redial
from gateway.links import tls
from gateway.links.smpp_query import Question, told_by
from gateway.links.smpp_transport import SmppTransport
from gateway.smpp import events as e
from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import Status, Tag
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.session import Role, Session
from gateway.smpp.tlv import get_int

if TYPE_CHECKING:
    from gateway.links.smpp_client import SmppLink

_log = structlog.get_logger(__name__)

_CREDENTIALS = frozenset({Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP, Status.ESME_RBINDFAIL})
_REQUESTS: dict[str, type[p.BindTransceiver | p.BindTransmitter | p.BindReceiver]] = {
    "transceiver": p.BindTransceiver,
    "transmitter": p.BindTransmitter,
    "receiver": p.BindReceiver,
}
_DELIVERIES = (p.DeliverSm, p.DataSm)
# Whoever says unbind has read all our answers, so nothing of that session will be delivered again.
_ORDERLY = frozenset({e.CloseReason.UNBOUND, e.CloseReason.PEER_UNBOUND})


class Carrier(Protocol):
    """Who hears what a link hears."""

    def responded(self, flight: Flight, status: int, smsc_id: str) -> None: ...

    def unanswered(self, flight: Flight) -> None: ...

    def responded_late(self, flight: Flight, status: int, smsc_id: str) -> None:
        """An answer after `unanswered` was told of the same attempt."""
        ...

    def window_opened(self, name: str) -> None: ...

    def congested(self, name: str, level: int) -> None:
        """A response told the congestion_state of SMPP 5.0: 0 idle to 100 congested."""
        ...

    def alerted(self, msisdn: str) -> None:
        """The SMSC says that a handset is reachable again; `msisdn` is canonical."""
        ...

    def parted(self, session_id: int) -> None:
        """A connection ended with unbind and its answer."""
        ...

    def received(self, bind: Bind, wire: SmppTransport, request: p.DeliverSm | p.DataSm, report: receipt.Report | None) -> None:
        """A deliver_sm; it must be answered through `bind.respond(wire, ...)`, after its commit."""
        ...


class Bind:
    """One session of a link, and the task that keeps it up."""

    def __init__(self, link: SmppLink, number: int, kind: str) -> None:
        self.link = link
        self.number = number
        self.kind = kind  # transceiver, transmitter or receiver
        self.session_id = 0  # tells one connection from the next, for repeated deliver_sm
        self.bound_at = math.inf
        self.wire: SmppTransport | None = None
        self.is_bound = False
        self.refused_status = 0
        self.last_failure = "not connected yet"
        self.retry_at = 0.0  # monotonic; 0 while nothing is waited for
        self._ended = Ended.LOST
        self._redial = Redial(link.config.times())
        self._closed = asyncio.Event()
        self._hurried = asyncio.Event()
        self._was_bound = False

    @property
    def window_free(self) -> int:
        return self.wire.session.window_free if self.is_bound and self.wire is not None else 0

    @property
    def in_flight(self) -> int:
        return self.wire.session.in_flight if self.wire is not None else 0

    # -- keeping it up ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and bind, again and again, until the link stops."""
        link = self.link
        while True:
            await link.turn_of(self)
            stood_s = await self._connect_once()
            if link.is_stopping:
                return
            pause_s = self._redial.pause_s(self._ended, stood_s, link.world.entropy.random())
            link.attempted(self, self._ended, pause_s)
            await self._wait(pause_s)

    def hurry(self) -> None:
        """Try at once, and forget how often it failed."""
        self._redial = Redial(self.link.config.times())
        self._hurried.set()

    def part(self) -> None:
        """Say unbind, or drop a connection that is not bound."""
        if self.wire is None:
            return
        try:
            self.wire.send(p.Unbind())
        except LocalProtocolError:
            self.wire.abort()

    async def _wait(self, pause_s: float) -> None:
        self._hurried.clear()
        self.retry_at = self.link.world.clock.monotonic() + pause_s
        try:
            async with asyncio.timeout(pause_s):
                await self._hurried.wait()
        except TimeoutError:
            pass
        finally:
            self.retry_at = 0.0

    async def _connect_once(self) -> float:
        """One connection from its beginning to its end; for how many seconds it was bound."""
        config, world = self.link.config, self.link.world
        self._closed = asyncio.Event()
        host_name = (config.tls_host_name or None) if config.ssl is not None else None
        self.link.attempts += 1
        try:
            async with asyncio.timeout(config.connect_timeout_s):
                _, self.wire = await world.network.connect(
                    self.make_wire, config.host, config.port, ssl=config.ssl, server_hostname=host_name
                )
        except (OSError, TimeoutError) as error:
            why = tls.why_failed(error) or str(error) or "timed out"
            self._failed(f"cannot connect to {config.host}:{config.port}: {why}")
            return 0.0
        assert self.wire is not None
        try:
            self.ask_to_bind(self.wire)
            await self._closed.wait()
        finally:
            self.is_bound = False
            if not self.wire.session.close_expected:  # else it closes by itself, when its last words are written
                self.wire.abort()
            self.wire = None
        return max(0.0, world.clock.monotonic() - self.bound_at)

    def make_wire(self) -> SmppTransport:
        """A session of ours for a connection that is about to stand."""
        world = self.link.world
        self._ended = Ended.LOST
        self.refused_status = 0
        self.bound_at = math.inf
        self.session_id = world.next_id()
        return SmppTransport(Session(Role.ESME, self.link.config.limits, now=world.clock.monotonic()), world.clock, self._handle)

    def ask_to_bind(self, wire: SmppTransport) -> None:
        """Send the bind."""
        config = self.link.config
        request: p.Bind = _REQUESTS[self.kind](
            system_id=config.system_id,
            password=config.password,
            system_type=config.system_type,
            interface_version=config.interface_version,
            addr_ton=config.addr_ton,
            addr_npi=config.addr_npi,
            address_range=config.address_range,
        )
        wire.send(request)

    # -- what the session tells ---------------------------------------------------------------------------------------

    def _handle(self, wire: SmppTransport, events: list[e.Event]) -> None:
        carrier, name = self.link.carrier, self.link.name
        is_opened = False
        for event in events:
            if isinstance(event, e.ResponseReceived):
                if isinstance(event.context, Flight):
                    response = event.response
                    if response.tlvs:
                        self._look_at_congestion(response)
                    smsc_id = response.message_id if isinstance(response, p.SubmitSmResp) else ""
                    carrier.responded(event.context, response.command_status, smsc_id)
                    is_opened = True
                elif isinstance(event.context, Question):
                    event.context.done(told_by(event.response))
                    is_opened = True
            elif isinstance(event, e.RequestReceived):
                self._take_request(wire, event.pdu)
            elif isinstance(event, e.RequestExpired):
                if isinstance(event.context, Flight):
                    carrier.unanswered(event.context)
                    is_opened = True
                elif isinstance(event.context, Question):
                    event.context.done(None)
                    is_opened = True
            elif isinstance(event, e.LateResponse):
                if isinstance(event.context, Flight):
                    late = event.response
                    carrier.responded_late(event.context, late.command_status, late.message_id if isinstance(late, p.SubmitSmResp) else "")
            elif isinstance(event, e.Bound):
                self._take_bound(event)
                is_opened = True
            else:
                self._take_rare(wire, event)
        if is_opened:
            carrier.window_opened(name)

    def _take_rare(self, wire: SmppTransport, event: e.Event) -> None:
        if isinstance(event, e.BindRefused):
            self._take_refusal(event.status)
        elif isinstance(event, e.Closed):
            self._take_closed(wire, event)
        elif isinstance(event, e.PeerUnbound):
            _log.info("the carrier unbinds", link=self.link.name, bind=self.number, in_flight=wire.session.in_flight)
        elif isinstance(event, e.AlertReceived):
            alert = event.pdu
            self.link.carrier.alerted(self.link.canonical(alert.source_addr, alert.source_addr_ton, alert.source_addr_npi))
        elif isinstance(event, e.OutbindReceived):
            self._take_outbind(wire, event.pdu)
        elif isinstance(event, e.Violation):
            self.link.violations += 1
            _log.debug("violation", link=self.link.name, reason=event.reason)

    def _take_bound(self, event: e.Bound) -> None:
        self.is_bound = True
        self.bound_at = self.link.world.clock.monotonic()
        self.last_failure = ""
        if self._was_bound:
            self.link.reconnects += 1
        self._was_bound = True
        _log.info("bound", link=self.link.name, bind=self.number, state=event.state.value)
        self.link.was_bound(self)

    def _take_refusal(self, status: int) -> None:
        self.refused_status = status
        self.link.refusals[status] += 1
        if status in _CREDENTIALS:
            self._ended = Ended.CREDENTIALS
        elif status == Status.ESME_RALYBND:
            self._ended = Ended.ALREADY_BOUND
        self._failed(f"bind refused with command_status 0x{status:08X}{_name_of(status)}")

    def _look_at_congestion(self, response: p.Pdu) -> None:
        level = get_int(response, Tag.CONGESTION_STATE)
        if level is not None:
            self.link.carrier.congested(self.link.name, level)

    def _take_outbind(self, _wire: SmppTransport, _request: p.Outbind) -> None:
        """On a connection that we opened it asks for what we are doing already."""
        _log.debug("outbind on a connection of ours", link=self.link.name)

    def _take_request(self, wire: SmppTransport, request: p.Pdu) -> None:
        if isinstance(request, _DELIVERIES):
            dialect = self.link.config.dialect
            report = receipt.read(request) if dialect is None else receipt.read_in(dialect, request)
            self.link.carrier.received(self, wire, request, report)
        else:
            wire.respond(request, p.refusal(request.command_id, request.sequence_number, Status.ESME_RINVCMDID))

    def _take_closed(self, wire: SmppTransport, event: e.Closed) -> None:
        self.is_bound = False
        if event.reason is e.CloseReason.PEER_UNBOUND:
            self._ended = Ended.UNBOUND
        if not self.refused_status:
            self._failed(self._why_closed(wire, event.reason))
        if event.reason in _ORDERLY:
            self.link.carrier.parted(self.session_id)
        for context, _ in event.unanswered:
            if isinstance(context, Flight):
                self.link.carrier.unanswered(context)
            elif isinstance(context, Question):
                context.done(None)
        self.link.parted_from(self)
        self._closed.set()

    def _why_closed(self, wire: SmppTransport, reason: e.CloseReason) -> str:
        broken = tls.why_failed(wire.failure) if wire.failure is not None else None
        if broken is None and self.link.config.ssl is not None and reason is e.CloseReason.CONNECTION_LOST and self.bound_at == math.inf:
            # Under TLS 1.3 a refusal of our certificate comes after the handshake, and not every server says so.
            broken = "TLS connection lost before our bind was answered; perhaps it asks for a certificate of ours"
        return broken or _WHY_CLOSED.get(reason) or str(reason)

    def _failed(self, why: str) -> None:
        if self.link.is_stopping:
            _log.info("unbound", link=self.link.name, bind=self.number, reason=why)
        elif why != self.last_failure:
            _log.warning("link down", link=self.link.name, bind=self.number, reason=why)
        self.last_failure = why

    def respond(self, wire: SmppTransport, request: p.Pdu, status: int) -> None:
        """Answer a deliver_sm on the connection it came by; if that is gone, the SMSC will send it again."""
        try:
            wire.respond(request, p.RESPONSES[request.command_id](request.sequence_number, status))
        except LocalProtocolError:
            _log.debug("answer without a request", link=self.link.name)


_WHY_CLOSED = {
    e.CloseReason.SESSION_INIT_TIMEOUT: "our bind was not answered in time",
    e.CloseReason.ENQUIRE_LINK_TIMEOUT: "enquire_link was not answered in time",
}


def _name_of(status: int) -> str:
    try:
        return f" ({Status(status).name})"
    except ValueError:
        return ""
