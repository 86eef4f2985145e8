"""A link: our binds to one carrier's SMSC. Sends what the dispatcher gives it, and passes on what the carrier says.

What one bind does is in smpp_bind.py. The link decides which bind a segment takes, builds the submit_sm, and lets one bind alone
find out whether the carrier knows us: a wrong password is never tried by all binds at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from gateway.domain.address import TON_INTERNATIONAL
from gateway.domain.message import Flight, Message
from gateway.domain.number_format import NumberRules, destination_formatter, number_reader, source_formatter
from gateway.domain.redial import Ended, Times
from gateway.domain.verdict import ErrorTable
from gateway.links import wire_form
from gateway.links.outbind import OutbindDoor
from gateway.links.smpp_bind import Bind, Carrier
from gateway.links.smpp_query import Question
from gateway.links.smpp_receipts import PASSED_ON, RECEIPT_REQUESTED
from gateway.services.asking import Told
from gateway.smpp import pdu as p
from gateway.smpp import validity
from gateway.smpp.consts import VERSION_3_4, Status
from gateway.smpp.dialects import Dialect
from gateway.smpp.errors import LocalProtocolError, NotBound, WindowFull
from gateway.smpp.session import Limits
from gateway.smpp.tlv import EMPTY_TLVS, BadTlvsError, Tlvs
from gateway.smpp.tlv import read as read_tlvs
from gateway.sms.errors import TextError
from gateway.sms.profile import PLAIN, TextProfile
from gateway.sms.segments import SEPTETS_MAX
from gateway.world import World

_log = structlog.get_logger(__name__)


class LinkConfig(NamedTuple):
    """One link's settings."""

    name: str
    host: str
    port: int
    system_id: str
    password: str
    system_type: str
    bind: str  # transceiver, transmitter, receiver, or pair: a transmitter and a receiver for each
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
    tls_host_name: str = ""
    interface_version: int = VERSION_3_4
    address_range: str = ""
    addr_ton: int = 0
    addr_npi: int = 0
    standoff_s_max: float = 900.0
    already_bound_wait_s: float = 60.0
    unbound_wait_s: float = 2.0
    outbind_host: str = "127.0.0.1"
    outbind_port: int = 0
    outbind_system_id: str = ""
    outbind_password: str = ""
    numbers: NumberRules = NumberRules()
    tlvs: Mapping[int, bytes] = EMPTY_TLVS  # put on every submit_sm
    errors: ErrorTable = ErrorTable()
    reroute_after_s: float = 0.0
    profile: TextProfile = PLAIN
    dialect: Dialect | None = None  # None: receipts as appendix B has them
    query_after_s: float = 0.0
    validity_period: str = "none"  # how what is left of a message's validity is told: relative, absolute, none

    def times(self) -> Times:
        """The pauses between binds."""
        return Times(self.backoff_s_min, self.backoff_s_max, self.standoff_s_max, self.already_bound_wait_s, self.unbound_wait_s)

    def kinds(self) -> list[str]:
        """What the binds are, in order."""
        return ["transmitter"] * self.binds + ["receiver"] * self.binds if self.bind == "pair" else [self.bind] * self.binds


class SmppLink:
    """All binds of one link; the dispatcher's LinkPort."""

    def __init__(self, config: LinkConfig, world: World, carrier: Carrier) -> None:
        self.config = config
        self.name = config.name
        self.world = world
        self.carrier = carrier
        self.is_stopping = False
        self.is_started = False
        self.violations = 0
        self.attempts = 0
        self.reconnects = 0
        self.refusals: defaultdict[int, int] = defaultdict(int)  # command_status
        self.alarm = ""  # why only a person can help
        self.since_us = world.clock.now_us()  # when it last came up or went down
        self.binds: list[Bind] = []
        self.senders: list[Bind] = []
        self.door: OutbindDoor | None = None
        self._was_up = False
        self._pilot: Bind | None = None
        self._freed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.configure(config)

    def configure(self, config: LinkConfig) -> None:
        """Take settings while it is stopped."""
        assert not self.is_started, "a link that runs is only adjusted"
        self._take(config)
        self.binds = [Bind(self, number, kind) for number, kind in enumerate(config.kinds(), 1)]
        self.senders = [bind for bind in self.binds if bind.kind != "receiver"]

    def adjust(self, config: LinkConfig) -> None:
        """Take settings that differ in the window and in how messages are written alone; the binds stand."""
        self._take(config)
        for bind in self.binds:
            if bind.wire is not None:
                bind.wire.session.resize_window(config.limits.window_max)

    def _take(self, config: LinkConfig) -> None:
        self.config = config
        self.name = config.name
        self._form = wire_form.wire_form(config.profile)
        self._format_source = source_formatter(config.numbers)
        self._format_destination = destination_formatter(config.numbers)
        self.read_number = number_reader(config.numbers)  # None: this carrier's numbers are canonical as they are
        self._validity_period = {"relative": validity.ahead, "absolute": validity.until}.get(config.validity_period)

    @property
    def window_free(self) -> int:
        senders = self.senders
        return senders[0].window_free if len(senders) == 1 else sum(bind.window_free for bind in senders)

    @property
    def window_max(self) -> int:
        return self.config.limits.window_max * len(self.senders)

    @property
    def in_flight(self) -> int:
        """Requests that the carrier has not answered yet."""
        return sum(bind.in_flight for bind in self.binds)

    @property
    def is_up(self) -> bool:
        senders = self.senders
        return senders[0].is_bound if len(senders) == 1 else any(bind.is_bound for bind in senders or self.binds)

    @property
    def retry_in_s(self) -> float:
        """How long until the next bind is tried; 0 when none waits."""
        waiting = [bind.retry_at for bind in self.binds if bind.retry_at]
        return max(0.0, min(waiting) - self.world.clock.monotonic()) if waiting else 0.0

    @property
    def last_failure(self) -> str:
        """Why it is not as it should be; empty when it is."""
        told = [self.alarm, *(bind.last_failure for bind in self.binds), self.door.failure if self.door is not None else ""]
        return next((why for why in told if why), "")

    # -- starting and stopping ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; what waits for a better time tries at once."""
        self.alarm = ""
        if self.is_started:
            self._free()
            for bind in self.binds:
                bind.hurry()
            return
        self.is_started, self.is_stopping = True, False
        self._pilot = self.binds[0] if len(self.binds) > 1 else None
        self._freed = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(bind.run(), name=f"{self.name} bind {bind.number}") for bind in self.binds]
        if self.config.outbind_port:
            self.door = OutbindDoor(self)
            self._tasks.append(loop.create_task(self.door.open(), name=f"{self.name} outbind"))

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Wait for what is in the window, unbind, and close."""
        self.is_stopping = True
        if self.door is not None:
            self.door.close()
        clock = self.world.clock
        deadline = clock.monotonic() + timeout_s
        while self.in_flight and clock.monotonic() < deadline:  # noqa: ASYNC110 - only while closing
            await asyncio.sleep(0.02)
        for bind in self.binds:
            bind.part()
        deadline = max(deadline, clock.monotonic() + 0.5)
        while any(bind.wire is not None for bind in self.binds) and clock.monotonic() < deadline:  # noqa: ASYNC110 - only while closing
            await asyncio.sleep(0.005)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for bind in list(self.binds):
            if bind.wire is not None:
                bind.wire.abort()
        self._tasks = []
        self.door = None
        self.is_started = False
        self._noted()

    # -- what the binds tell --------------------------------------------------------------------------------------------

    async def turn_of(self, bind: Bind) -> None:
        """Wait while another bind finds out whether the carrier knows us."""
        while self._pilot is not None and self._pilot is not bind:
            await self._freed.wait()

    def was_bound(self, bind: Bind) -> None:
        """A bind stands."""
        if self.alarm:
            _log.info("the carrier knows us again", link=self.name)
        self.alarm = ""
        self._free()
        self._noted()

    def attempted(self, bind: Bind, ended: Ended, pause_s: float) -> None:
        """A bind is not, or no more; it waits now."""
        if ended is Ended.CREDENTIALS:
            self.alarm = bind.last_failure
            _log.error("the carrier refuses our credentials", link=self.name, reason=bind.last_failure, next_try_s=round(pause_s, 1))
            if self._pilot is None and len(self.binds) > 1 and not self.is_up:
                self._pilot, self._freed = bind, asyncio.Event()
        elif self._pilot is bind and not self.alarm:
            self._free()

    def parted_from(self, _bind: Bind) -> None:
        """A bind has closed."""
        self._noted()

    def _free(self) -> None:
        self._pilot = None
        self._freed.set()

    def _noted(self) -> None:
        if self.is_up != self._was_up:
            self._was_up = self.is_up
            self.since_us = self.world.clock.now_us()

    # -- sending --------------------------------------------------------------------------------------------------------

    def send(self, flight: Flight) -> bool:
        """Put a segment into the window of the bind with most room; a long message's segments prefer one bind."""
        bind = self._choose(flight)
        if bind is None or bind.wire is None:
            return False
        try:
            request = self._submit_sm(flight)
            if self._form is not None or len(flight.body) > SEPTETS_MAX:
                request = _in_form(request, (self._form or wire_form.as_stored)(flight))
            bind.wire.send(request, flight)
        except (NotBound, WindowFull):
            return False
        except BadTlvsError as error:
            self.carrier.responded(flight, error.status, "")
        except LocalProtocolError:
            # No SMPP frame can carry it: the same again fails again, and must not hold up the others.
            self.carrier.responded(flight, Status.ESME_RINVPARLEN, "")
        except TextError:
            self.carrier.responded(flight, Status.ESME_RINVDCS, "")
        return True

    def _submit_sm(self, flight: Flight) -> p.SubmitSm:
        message, config = flight.message, self.config
        source, source_ton, source_npi = self._source_of(message)
        destination, destination_ton, destination_npi = message.destination, message.destination_ton, message.destination_npi
        if self._format_destination is not None:
            destination, destination_ton, destination_npi = self._format_destination(destination, destination_ton, destination_npi)
        elif destination_ton == TON_INTERNATIONAL:
            destination_ton, destination_npi = config.destination_ton, config.destination_npi
        write_validity = self._validity_period
        # Positional and in the order of the fields: this is the hottest constructor of all.
        return p.SubmitSm(
            0,
            0,
            config.service_type,
            source_ton,
            source_npi,
            source,
            destination_ton,
            destination_npi,
            destination,
            message.esm_class,
            message.protocol_id,
            message.priority,
            "",
            "" if write_validity is None else write_validity(message.expires_at, self.world.clock.now_us()),
            RECEIPT_REQUESTED | message.registered_delivery & PASSED_ON,
            0,
            message.data_coding,
            0,
            flight.body,
            _joined(config.tlvs, flight.tlvs) if flight.tlvs else config.tlvs,
        )

    def _source_of(self, message: Message) -> tuple[str, int, int]:
        source, ton, npi = message.source, message.source_ton, message.source_npi
        if self._format_source is not None:
            return self._format_source(source, ton, npi)
        # A sender of unknown type is one of our short codes: it goes as the carrier wants them.
        return (source, ton, npi) if ton else (source, self.config.source_ton, self.config.source_npi)

    # -- asking -----------------------------------------------------------------------------------------------------------

    @property
    def query_after_s(self) -> float:
        """How long a receipt may take before the carrier is asked; 0: it is not asked."""
        return self.config.query_after_s

    def ask(self, flight: Flight, smsc_id: str, done: Callable[[Told | None], None]) -> bool:
        """Send query_sm for a segment that the carrier named so; False when there is no room for it."""
        bind = max(self.senders, key=_window_free, default=None)
        if bind is None or bind.wire is None or bind.window_free <= 0:
            return False
        source, ton, npi = self._source_of(flight.message)
        try:
            bind.wire.send(p.QuerySm(message_id=smsc_id, source_addr_ton=ton, source_addr_npi=npi, source_addr=source), Question(done))
        except (NotBound, WindowFull):
            return False
        except LocalProtocolError:
            done(None)  # no query_sm can carry such an id
        return True

    def canonical(self, addr: str, ton: int, npi: int) -> str:
        """A handset's number as this carrier writes it, in our form."""
        if self.read_number is not None:
            addr = self.read_number(addr, ton, npi).digits_or_name
        return addr.lstrip("+")

    def _choose(self, flight: Flight) -> Bind | None:
        senders = self.senders
        if len(senders) == 1:
            return senders[0]  # whether it has room is seen when it is sent
        if not senders:
            return None
        if flight.message.segments > 1:
            preferred = senders[(flight.message.id >> 13) % len(senders)]
            if preferred.window_free > 0:
                return preferred
        best = max(senders, key=_window_free)
        return best if best.window_free > 0 else None


def _joined(of_link: Tlvs, of_message: bytes) -> Tlvs:
    """The link's parameters with the message's over them; raises BadTlvsError."""
    return {**of_link, **read_tlvs(of_message, 0)}


def _in_form(request: p.SubmitSm, form: wire_form.Form) -> p.SubmitSm:
    """The same request with its content as the link wants it."""
    tlvs = {**request.tlvs, **form.tlvs} if request.tlvs else form.tlvs
    return request._replace(esm_class=form.esm_class, data_coding=form.data_coding, short_message=form.body, tlvs=tlvs)


def _window_free(bind: Bind) -> int:
    return bind.window_free
