"""A link: our binds to one carrier's SMSC. Sends what the dispatcher gives it, and passes on what the carrier says.

Reconnects with a growing, jittered pause; a refusal for wrong credentials waits longest, so that nobody is hammered.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import NamedTuple, Protocol

import structlog

from gateway.domain.address import TON_INTERNATIONAL
from gateway.domain.message import Flight
from gateway.links.smpp_receipts import PASSED_ON, RECEIPT_REQUESTED
from gateway.links.smpp_transport import SmppTransport
from gateway.smpp import events as e
from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import Status
from gateway.smpp.dialects import Dialect
from gateway.smpp.errors import LocalProtocolError, NotBound, WindowFull
from gateway.smpp.session import Limits, Role, Session
from gateway.world import World

_log = structlog.get_logger(__name__)

_CREDENTIALS = frozenset({Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP, Status.ESME_RBINDFAIL})
_BINDS: dict[str, type[p.BindTransceiver | p.BindTransmitter | p.BindReceiver]] = {
    "transceiver": p.BindTransceiver,
    "transmitter": p.BindTransmitter,
    "receiver": p.BindReceiver,
}
# Whoever says unbind has read all our answers, so nothing of that session will be delivered again.
_ORDERLY = frozenset({e.CloseReason.UNBOUND, e.CloseReason.PEER_UNBOUND})


class LinkConfig(NamedTuple):
    """One link's settings."""

    name: str
    host: str
    port: int
    system_id: str
    password: str
    system_type: str
    bind: str  # transceiver, transmitter or receiver
    binds: int
    limits: Limits
    connect_timeout_s: float
    backoff_s_min: float
    backoff_s_max: float
    service_type: str = ""
    source_ton: int = 0
    source_npi: int = 1
    destination_ton: int = 1
    destination_npi: int = 1
    ssl: ssl.SSLContext | None = None
    dialect: Dialect | None = None  # None: receipts as appendix B has them


class Carrier(Protocol):
    """Who hears what a link hears."""

    def responded(self, flight: Flight, status: int, smsc_id: str) -> None: ...

    def unanswered(self, flight: Flight) -> None: ...

    def responded_late(self, flight: Flight, status: int, smsc_id: str) -> None:
        """An answer after `unanswered` was told of the same attempt."""
        ...

    def window_opened(self, name: str) -> None: ...

    def parted(self, session_id: int) -> None:
        """A connection ended with unbind and its answer."""
        ...

    def received(self, bind: Bind, wire: SmppTransport, request: p.DeliverSm | p.DataSm, report: receipt.Report | None) -> None:
        """A deliver_sm; it must be answered through `bind.respond(wire, ...)`, after its commit."""
        ...


class Bind:
    """One session of a link, and the task that keeps it up."""

    def __init__(self, link: SmppLink, number: int) -> None:
        self.link = link
        self.number = number
        self.session_id = 0  # tells one connection from the next, for repeated deliver_sm
        self.bound_at = math.inf
        self.wire: SmppTransport | None = None
        self.is_bound = False
        self.refused_status = 0
        self.last_failure = "not connected yet"
        self._closed = asyncio.Event()

    @property
    def window_free(self) -> int:
        return self.wire.session.window_free if self.is_bound and self.wire is not None else 0

    @property
    def in_flight(self) -> int:
        return self.wire.session.in_flight if self.wire is not None else 0

    async def run(self) -> None:
        """Connect and bind, again and again."""
        pause_s = self.link.config.backoff_s_min
        while True:
            stood_s = await self._connect_once()
            config = self.link.config
            if self.link.is_stopping:
                return
            # A bind that falls at once is no success: the pause grows on.
            if stood_s > pause_s:
                pause_s = config.backoff_s_min
            elif self.refused_status in _CREDENTIALS:
                pause_s = config.backoff_s_max
            jitter = 0.5 + self.link.world.entropy.random()
            await asyncio.sleep(pause_s * jitter)
            pause_s = min(pause_s * 2, config.backoff_s_max)

    async def _connect_once(self) -> float:
        """One connection from its beginning to its end; for how many seconds it was bound."""
        config, world = self.link.config, self.link.world
        self._closed = asyncio.Event()
        self.refused_status = 0
        self.bound_at = math.inf
        self.session_id = world.next_id()

        def make() -> SmppTransport:
            return SmppTransport(Session(Role.ESME, config.limits, now=world.clock.monotonic()), world.clock, self._handle)

        try:
            async with asyncio.timeout(config.connect_timeout_s):
                _, self.wire = await world.network.connect(make, config.host, config.port, ssl=config.ssl)
        except (OSError, TimeoutError) as error:
            self._failed(f"cannot connect to {config.host}:{config.port}: {str(error) or 'timed out'}")
            return 0.0
        assert self.wire is not None
        try:
            request: p.Bind = _BINDS[config.bind](
                system_id=config.system_id, password=config.password, system_type=config.system_type, interface_version=0x34
            )
            self.wire.send(request)
            await self._closed.wait()
        finally:
            self.is_bound = False
            if not self.wire.session.close_expected:  # else it closes by itself, when its last words are written
                self.wire.abort()
            self.wire = None
        return max(0.0, world.clock.monotonic() - self.bound_at)

    def _handle(self, wire: SmppTransport, events: list[e.Event]) -> None:
        carrier, name = self.link.carrier, self.link.name
        is_opened = False
        for event in events:
            if isinstance(event, e.ResponseReceived):
                if isinstance(event.context, Flight):
                    response = event.response
                    smsc_id = response.message_id if isinstance(response, p.SubmitSmResp) else ""
                    carrier.responded(event.context, response.command_status, smsc_id)
                    is_opened = True
            elif isinstance(event, e.RequestReceived):
                self._take_request(wire, event.pdu)
            elif isinstance(event, e.RequestExpired):
                if isinstance(event.context, Flight):
                    carrier.unanswered(event.context)
                    is_opened = True
            elif isinstance(event, e.LateResponse):
                if isinstance(event.context, Flight):
                    late = event.response
                    carrier.responded_late(event.context, late.command_status, late.message_id if isinstance(late, p.SubmitSmResp) else "")
            elif isinstance(event, e.Bound):
                self.is_bound = True
                self.bound_at = self.link.world.clock.monotonic()
                self.last_failure = ""
                _log.info("bound", link=name, bind=self.number, state=event.state.value)
                is_opened = True
            elif isinstance(event, e.BindRefused):
                self.refused_status = event.status
                self._failed(f"bind refused with command_status 0x{event.status:08X}")
            elif isinstance(event, e.Closed):
                self._take_closed(event)
            elif isinstance(event, e.Violation):
                self.link.violations += 1
                _log.debug("violation", link=name, reason=event.reason)
        if is_opened:
            carrier.window_opened(name)

    def _take_request(self, wire: SmppTransport, request: p.Pdu) -> None:
        if isinstance(request, p.DeliverSm | p.DataSm):
            dialect = self.link.config.dialect
            report = receipt.read(request) if dialect is None else receipt.read_in(dialect, request)
            self.link.carrier.received(self, wire, request, report)
        else:
            wire.respond(request, p.refusal(request.command_id, request.sequence_number, Status.ESME_RINVCMDID))

    def _take_closed(self, event: e.Closed) -> None:
        self.is_bound = False
        if not self.refused_status:
            self._failed(str(event.reason))
        if event.reason in _ORDERLY:
            self.link.carrier.parted(self.session_id)
        for context, _ in event.unanswered:
            if isinstance(context, Flight):
                self.link.carrier.unanswered(context)
        self._closed.set()

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


class SmppLink:
    """All binds of one link; the dispatcher's LinkPort."""

    def __init__(self, config: LinkConfig, world: World, carrier: Carrier) -> None:
        self.config = config
        self.world = world
        self.carrier = carrier
        self.is_stopping = False
        self.violations = 0
        self.binds = [Bind(self, number) for number in range(1, config.binds + 1)]
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = 0

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def window_free(self) -> int:
        binds = self.binds
        return binds[0].window_free if len(binds) == 1 else sum(bind.window_free for bind in binds)

    @property
    def window_max(self) -> int:
        return self.config.limits.window_max * len(self.binds)

    @property
    def is_up(self) -> bool:
        return any(bind.is_bound for bind in self.binds)

    def start(self) -> None:
        """Begin to connect."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(bind.run(), name=f"{self.name} bind {bind.number}") for bind in self.binds]

    def send(self, flight: Flight) -> bool:
        """Put a segment into the window of the bind with most room; a long message's segments prefer one bind."""
        bind = self._choose(flight)
        if bind is None or bind.wire is None:
            return False
        message, config = flight.message, self.config
        # A sender of unknown type is one of our short codes: it goes as the carrier wants them.
        source_ton, source_npi = (message.source_ton, message.source_npi) if message.source_ton else (config.source_ton, config.source_npi)
        # Positional and in the order of the fields: this is the hottest constructor of all.
        request = p.SubmitSm(
            0,
            0,
            config.service_type,
            source_ton,
            source_npi,
            message.source,
            config.destination_ton if message.destination_ton == TON_INTERNATIONAL else message.destination_ton,
            config.destination_npi if message.destination_ton == TON_INTERNATIONAL else message.destination_npi,
            message.destination,
            message.esm_class,
            message.protocol_id,
            message.priority,
            "",
            "",
            RECEIPT_REQUESTED | message.registered_delivery & PASSED_ON,
            0,
            message.data_coding,
            0,
            flight.body,
        )
        try:
            bind.wire.send(request, flight)
        except (NotBound, WindowFull):
            return False
        except LocalProtocolError:
            # No SMPP frame can carry it: the same again fails again, and must not hold up the others.
            self.carrier.responded(flight, Status.ESME_RINVPARLEN, "")
        return True

    def _choose(self, flight: Flight) -> Bind | None:
        binds = self.binds
        if len(binds) == 1:
            return binds[0] if binds[0].window_free > 0 else None
        if flight.message.segments > 1:
            preferred = binds[(flight.message.id >> 13) % len(binds)]
            if preferred.window_free > 0:
                return preferred
        best = max(binds, key=_window_free)
        return best if best.window_free > 0 else None

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Wait for what is in the window, unbind, and close."""
        self.is_stopping = True
        deadline = self.world.clock.monotonic() + timeout_s
        while any(bind.in_flight for bind in self.binds) and self.world.clock.monotonic() < deadline:  # noqa: ASYNC110 - only while closing
            await asyncio.sleep(0.02)
        for bind in self.binds:
            if bind.is_bound and bind.wire is not None:
                try:
                    bind.wire.send(p.Unbind())
                except LocalProtocolError:
                    bind.wire.abort()
        for bind, task in zip(self.binds, self._tasks, strict=False):
            if not bind.is_bound and not bind.in_flight:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.5, deadline - self.world.clock.monotonic()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _window_free(bind: Bind) -> int:
    return bind.window_free
