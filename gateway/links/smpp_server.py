"""The SMPP door for partners: here we are the SMSC.

A bind is checked against the partner's argon2id hash off the loop; a submit_sm is answered once its message is on disk; MO and
receipts come from the partner's outbox lane and count as handed over when their deliver_sm_resp is in.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import structlog

from gateway.domain.address import Address, AddressError, from_smpp
from gateway.domain.failure import Refused
from gateway.domain.knock import Knock
from gateway.domain.policy import BIND_KINDS
from gateway.links import smpp_answers as answers
from gateway.links import smpp_strict as strict
from gateway.links.partner_binds import PartnerBinds, unbind
from gateway.links.smpp_bind_check import BindCheck, NotBound
from gateway.links.smpp_operations import Operations
from gateway.links.smpp_tls import certificate_of
from gateway.links.smpp_transport import SmppTransport
from gateway.services.accounts import Account
from gateway.services.deliver import Delivering
from gateway.services.reception import Accepted, Answer, Reception
from gateway.services.submit import Sender, Submission
from gateway.smpp import events as e
from gateway.smpp import pdu as p
from gateway.smpp.consts import VERSION_5_0, CommandId, Status, Tag
from gateway.smpp.session import Limits, Role, Session
from gateway.smpp.tlv import EMPTY_TLVS, Tlvs
from gateway.smpp.vendor_tlv import NO_VENDOR_TLVS, VendorTlvs
from gateway.store import outbox
from gateway.store.outbox import Handover
from gateway.world import Listener, World

_log = structlog.get_logger(__name__)

# deliver_sm_resp that ask for another try, SMPP 3.4 section 5.1.3: RX_T_APPN, MSGQFUL, THROTTLED, SYSERR.
# And RINVBNDSTS: who is unbinding says so, and takes it on the next bind.
_AGAIN = frozenset({0x64, 0x14, 0x58, 0x08, 0x04})
# Below this a peer need not know: SMPP 5.0 calls 80 to 90 per cent "heavily loaded" (section 4.8.4.18).
CONGESTED_PERCENT = 80
_CONGESTION_STATE = int(Tag.CONGESTION_STATE)
# Partners send from few addresses.
_source_of = lru_cache(maxsize=4_096)(from_smpp)
_KINDS = dict(zip((CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER), BIND_KINDS, strict=True))


class ServerConfig(NamedTuple):
    """The door's settings; the second one, for TLS, is there where it has a context."""

    host: str
    port: int
    system_id: str
    limits: Limits
    sessions_max: int
    unbound_per_address_max: int = 1_000
    tls_port: int = 0
    ssl: ssl.SSLContext | None = None


class SmppServer:
    """Accepts partners' connections."""

    def __init__(
        self,
        config: ServerConfig,
        world: World,
        reception: Reception,
        delivering: Delivering,
        check_bind: BindCheck,
        *,
        operations: Operations,
        count_violation: Callable[[str], None],
        vendor_tlvs: VendorTlvs = NO_VENDOR_TLVS,
    ) -> None:
        self._config = config
        self._world = world
        self._reception = reception
        self._delivering = delivering
        self.check_bind = check_bind
        self.operations = operations
        self._count_violation = count_violation
        self._vendor_tlvs = vendor_tlvs
        self._sessions: dict[SmppTransport, PartnerBinds | None] = {}
        self._binds: dict[int, PartnerBinds] = {}
        self._unbound: Counter[str] = Counter()  # connections that have not bound, by address
        self._expected: dict[SmppTransport, str] = {}  # connections of ours, and who has to bind on them
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: Listener | None = None
        self._tls_listener: Listener | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port if self._listener is not None else 0

    @property
    def tls_port(self) -> int:
        """Where it listens for TLS; 0: nowhere."""
        return self._tls_listener.port if self._tls_listener is not None else 0

    @property
    def sessions(self) -> int:
        """Open connections, bound or not."""
        return len(self._sessions)

    def bound_counts(self) -> dict[str, int]:
        """Sessions of each partner that has bound since the start, by name."""
        counts = {binds.partner.name: 0 for binds in self._binds.values()}
        for binds in self._sessions.values():
            if binds is not None:
                counts[binds.partner.name] += 1
        return counts

    def bound_names(self) -> list[str]:
        """The partners that are bound, by name."""
        return sorted({binds.partner.name for binds in self._sessions.values() if binds is not None})

    async def start(self) -> None:
        """Open the doors; raises OSError."""
        config, listen = self._config, self._world.network.listen
        self._listener = await listen(self._make, config.host, config.port)
        if config.ssl is not None:
            self._tls_listener = await listen(self._make, config.host, config.tls_port, ssl=config.ssl)

    async def stop(self, timeout_s: float = 3.0) -> None:
        """Close the doors, unbind everyone, and wait a little for their answers."""
        for listener in (self._listener, self._tls_listener):
            if listener is not None:
                listener.close()
        for wire, binds in list(self._sessions.items()):
            if binds is None:
                wire.abort()
            else:
                unbind(wire)
        deadline = self._world.clock.monotonic() + timeout_s
        while self._sessions and self._world.clock.monotonic() < deadline:  # noqa: ASYNC110 - only while closing
            await asyncio.sleep(0.02)
        for wire in list(self._sessions):
            wire.abort()

    def account_changed(self, partner_id: int, account: Account | None) -> None:
        """A partner is not what it was, or is gone: its sessions are ended, or go on by the new rules."""
        binds = self._binds.get(partner_id)
        if account is not None:
            self.check_bind.lockout.forgive(account.partner.name)
        if binds is None:
            return
        if account is None:
            binds.unbind()
        else:
            binds.adopt(account)

    def binds_of(self, partner_id: int) -> PartnerBinds | None:
        """The sessions of a partner that has bound since the start."""
        return self._binds.get(partner_id)

    def sessions_of(self, partner_id: int) -> list[dict[str, Any]]:
        """The sessions of a partner, for people."""
        binds = self._binds.get(partner_id)
        return [] if binds is None else binds.facts()

    def unbind(self, partner_id: int) -> int:
        """End a partner's sessions in good order; how many."""
        binds = self._binds.get(partner_id)
        return 0 if binds is None else binds.unbind()

    def alert(self, partner_id: int, source: Address, esme: str, is_available: bool) -> int:
        """Send alert_notification about a handset to a partner's receivers; how many got it."""
        binds = self._binds.get(partner_id)
        return 0 if binds is None else binds.alert(answers.alert(source, esme, is_available=is_available))

    def _make(self) -> SmppTransport:
        session = Session(Role.SMSC, self._config.limits, now=self._world.clock.monotonic())
        wire = SmppTransport(session, self._world.clock, self._handle, self._made)
        if len(self._sessions) >= self._config.sessions_max:
            wire.abort()
        self._sessions[wire] = None
        return wire

    def _made(self, wire: SmppTransport) -> None:
        """Who only connects, and connects, and never binds, must not keep the others out."""
        self._unbound[wire.peer] += 1
        if self._unbound[wire.peer] > self._config.unbound_per_address_max:
            wire.abort()

    def expect(self, name: str) -> SmppTransport:
        """A connection that we make to a partner: it asks it to bind, and takes its bind alone."""
        wire = self._make()
        self._expected[wire] = name
        return wire

    def forget(self, wire: SmppTransport) -> None:
        """Such a connection did not come about."""
        self._expected.pop(wire, None)
        self._sessions.pop(wire, None)

    # -- what partners say ---------------------------------------------------------------------------------------------

    def _handle(self, wire: SmppTransport, events: list[e.Event]) -> None:
        binds = self._sessions.get(wire)
        is_opened = False
        for event in events:
            if isinstance(event, e.RequestReceived):
                request = event.pdu
                if isinstance(request, p.SubmitSm) and binds is not None:
                    self._submit(wire, binds, request)
                elif binds is not None and request.command_id in self.operations.commands:
                    self._operate(wire, binds, request)
                else:
                    wire.respond(request, p.refusal(request.command_id, request.sequence_number, Status.ESME_RINVCMDID))
            elif isinstance(event, e.ResponseReceived):
                self._delivered(binds, event)
                is_opened = True
            elif isinstance(event, e.RequestExpired):
                if binds is not None and binds.lane is not None and isinstance(event.context, Handover):
                    binds.lane.again(event.context)
            elif isinstance(event, e.LateResponse):
                self._delivered_late(binds, event)
            elif isinstance(event, e.BindRequested):
                task = asyncio.get_running_loop().create_task(self._bind(wire, event.pdu), name="bind of a partner")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif isinstance(event, e.Closed):
                self._closed(wire, binds, event)
            elif isinstance(event, e.Violation):
                self._count_violation("server")
        if is_opened and binds is not None and binds.lane is not None:
            binds.lane.pump()

    async def _bind(self, wire: SmppTransport, request: p.Bind) -> None:
        knock = self._knock(wire, request)
        try:
            expected = self._expected.get(wire, request.system_id)
            if expected != request.system_id:
                raise NotBound("outbind")
            account = await self.check_bind(request.system_id, request.password, knock)
            binds = self._binds_of(account)
            if binds.is_full:
                full = NotBound("binds")
                self.check_bind.count(full, request.system_id, knock)
                raise full
        except NotBound as not_bound:
            if wire in self._sessions:
                wire.session.refuse_bind(request, not_bound.status)
                wire.touch()
            return
        if wire not in self._sessions:
            return
        self._sessions[wire] = binds
        self._settled(wire)
        wire.session.accept_bind(request, self._config.system_id, self._world.clock.monotonic())
        wire.touch()
        _log.info("partner bound", partner=binds.partner.name, peer=wire.peer, state=wire.session.state.value)
        binds.join(wire, knock)

    def _knock(self, wire: SmppTransport, request: p.Bind) -> Knock:
        tls = wire.ssl_object
        version = wire.session.peer_interface_version
        return Knock(wire.peer, _KINDS[CommandId(request.command_id)], version, request.system_type, tls is not None, *certificate_of(tls))

    def _binds_of(self, account: Account) -> PartnerBinds:
        partner_id = account.partner.id
        binds = self._binds.get(partner_id)
        if binds is None:
            new = binds = self._binds[partner_id] = PartnerBinds(account)
            binds.lane = self._delivering.lane(outbox.partner_target(partner_id), lambda: new)
        return binds

    def _settled(self, wire: SmppTransport) -> None:
        """A connection is bound or over: it does not count as one that might never bind."""
        self._expected.pop(wire, None)
        left = self._unbound[wire.peer] - 1
        if left > 0:
            self._unbound[wire.peer] = left
        else:
            del self._unbound[wire.peer]

    def _submit(self, wire: SmppTransport, binds: PartnerBinds, request: p.SubmitSm) -> None:
        try:
            if binds.is_strict:
                strict.check(request, wire.session.peer_interface_version)
            submission = self._read(wire, binds.sender, request)
        except Refused as refused:
            wire.respond(request, p.SubmitSmResp(0, answers.status_of(refused)))
            return

        def done(answer: Answer) -> None:
            version = wire.session.peer_interface_version
            tlvs = EMPTY_TLVS if version < VERSION_5_0 else self._congestion()
            if isinstance(answer, Accepted):
                wire.respond(request, p.SubmitSmResp(0, 0, answers.written_id(answer.message_id, version), tlvs))
            else:
                wire.respond(request, p.SubmitSmResp(0, answers.status_of(answer, version), "", tlvs))

        self._reception.submit(submission, done)

    def _operate(self, wire: SmppTransport, binds: PartnerBinds, request: p.Pdu) -> None:
        self.operations.handle(wire, binds.partner, request, lambda each: self._read(wire, binds.sender, each))

    def _congestion(self) -> Tlvs:
        """For peers of SMPP 5.0, section 4.8.4.18: how full our queue is, where that matters to them."""
        percent = min(99, int(100 * self._reception.fullness))
        return {_CONGESTION_STATE: bytes((percent,))} if percent >= CONGESTED_PERCENT else EMPTY_TLVS

    def _read(self, wire: SmppTransport, sender: Sender, request: p.SubmitSm) -> Submission:
        answers.check(request, wire.session.peer_interface_version)
        schedule_at = validity_us = None
        if request.schedule_delivery_time or request.validity_period:
            now_us = self._world.clock.now_us()
            schedule_at = answers.schedule_at(request.schedule_delivery_time, now_us)
            validity_us = answers.validity_us(request.validity_period, now_us, schedule_at)
        try:
            source = _source_of(request.source_addr_ton, request.source_addr_npi, request.source_addr)
        except AddressError as error:
            raise Refused("bad_source", str(error), field="from") from None
        try:
            destination = from_smpp(request.dest_addr_ton, request.dest_addr_npi, request.destination_addr, unknown_is_international=True)
        except AddressError as error:
            raise Refused("bad_destination", str(error), field="to") from None
        esm_class, body = answers.content_of(request)
        return Submission(
            sender,
            source,
            destination,
            answers.service_name(request.service_type, self._reception.catalogue.services),
            None,
            body,
            request.data_coding,
            esm_class,
            request.protocol_id,
            request.priority_flag,
            request.registered_delivery,
            validity_us,
            None,
            schedule_at,
            answers.user_reference(request) if request.tlvs else None,
            self._vendor_tlvs.of_submission(request.tlvs) if request.tlvs else b"",
            request.replace_if_present_flag == 1,
        )

    # -- what we hand them ------------------------------------------------------------------------------------------------

    def _delivered(self, binds: PartnerBinds | None, event: e.ResponseReceived) -> None:
        handover = event.context
        if binds is None or binds.lane is None or not isinstance(handover, Handover):
            return
        status = event.response.command_status
        if status == 0:
            binds.lane.taken(handover)
        elif status in _AGAIN:
            binds.lane.again(handover)
        else:
            binds.lane.refused(handover, status)

    def _delivered_late(self, binds: PartnerBinds | None, event: e.LateResponse) -> None:
        handover = event.context
        if binds is not None and binds.lane is not None and isinstance(handover, Handover) and event.response.command_status == 0:
            binds.lane.taken_late(handover)

    def _closed(self, wire: SmppTransport, binds: PartnerBinds | None, event: e.Closed) -> None:
        self._sessions.pop(wire, None)
        if binds is None:
            self._settled(wire)
            return
        _log.info("partner gone", partner=binds.partner.name, reason=str(event.reason))
        binds.leave(wire)
        if binds.lane is not None:
            binds.lane.returned([context for context, _ in event.unanswered if isinstance(context, Handover)])
            binds.lane.pump()
