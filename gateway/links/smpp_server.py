"""The SMPP door for partners: here we are the SMSC.

A bind is checked against the partner's argon2id hash off the loop; a submit_sm is answered once its message is on disk; MO and
receipts come from the partner's outbox lane and count as handed over when their deliver_sm_resp is in.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from gateway.domain.address import AddressError, from_smpp
from gateway.domain.failure import Refused
from gateway.domain.message import Front
from gateway.links import smpp_answers as answers
from gateway.links.smpp_transport import SmppTransport
from gateway.services.deliver import Delivering, OutboxLane
from gateway.services.ports import Reader
from gateway.services.reception import Accepted, Answer, Reception
from gateway.services.submit import Sender, Submission
from gateway.smpp import events as e
from gateway.smpp import pdu as p
from gateway.smpp.consts import Status
from gateway.smpp.errors import LocalProtocolError, NotBound, WindowFull
from gateway.smpp.session import Limits, Role, Session
from gateway.store import outbox, partners
from gateway.store.outbox import Handover
from gateway.store.partners import Partner
from gateway.world import Listener, World

_log = structlog.get_logger(__name__)

# deliver_sm_resp that ask for another try, SMPP 3.4 section 5.1.3: RX_T_APPN, MSGQFUL, THROTTLED, SYSERR.
# And RINVBNDSTS: who is unbinding says so, and takes it on the next bind.
_AGAIN = frozenset({0x64, 0x14, 0x58, 0x08, 0x04})
VERIFIED_S = 300.0


class PasswordCheck(Protocol):
    """Compares a password with its hash; slow on purpose, so it runs off the loop."""

    def __call__(self, password_hash: str, password: str) -> bool: ...


class ServerConfig(NamedTuple):
    """The door's settings."""

    host: str
    port: int
    system_id: str
    limits: Limits
    sessions_max: int
    ssl: ssl.SSLContext | None = None


class PartnerBinds:
    """All sessions of one partner; the outbox lane's port."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.lane: OutboxLane | None = None
        self.receivers: list[SmppTransport] = []
        self._turn = 0

    @property
    def room(self) -> int:
        receivers = self.receivers
        return receivers[0].session.window_free if len(receivers) == 1 else sum(wire.session.window_free for wire in receivers)

    @property
    def is_there(self) -> bool:
        return bool(self.receivers)

    def hand_over(self, handover: Handover) -> bool:
        """Send it as deliver_sm on the next receiver that has room."""
        count = len(self.receivers)
        for offset in range(count):
            wire = self.receivers[(self._turn + offset) % count]
            if wire.session.window_free > 0:
                try:
                    wire.send(answers.deliver_sm(handover, wire.session.peer_interface_version), handover)
                except (NotBound, WindowFull):
                    continue
                except LocalProtocolError:
                    # No deliver_sm for this peer can carry it: the row keeps why, and the others need not wait behind it.
                    assert self.lane is not None
                    self.lane.refused(handover, Status.ESME_RINVMSGLEN)
                self._turn += offset + 1
                return True
        return False


class SmppServer:
    """Accepts partners' connections."""

    def __init__(
        self,
        config: ServerConfig,
        world: World,
        reception: Reception,
        delivering: Delivering,
        reader: Reader,
        check_password: PasswordCheck,
        *,
        count_violation: Callable[[str], None],
    ) -> None:
        self._config = config
        self._world = world
        self._reception = reception
        self._delivering = delivering
        self._reader = reader
        self._check_password = check_password
        self._count_violation = count_violation
        self._sessions: dict[SmppTransport, PartnerBinds | None] = {}
        self._binds: dict[int, PartnerBinds] = {}
        self._verified: dict[bytes, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port if self._listener is not None else 0

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
        """Open the door; raises OSError."""
        config = self._config
        self._listener = await self._world.network.listen(self._make, config.host, config.port, ssl=config.ssl)

    async def stop(self, timeout_s: float = 3.0) -> None:
        """Close the door, unbind everyone, and wait a little for their answers."""
        if self._listener is not None:
            self._listener.close()
        for wire, binds in list(self._sessions.items()):
            if binds is None:
                wire.abort()
            else:
                try:
                    wire.send(p.Unbind())
                except LocalProtocolError:
                    wire.abort()
        deadline = self._world.clock.monotonic() + timeout_s
        while self._sessions and self._world.clock.monotonic() < deadline:  # noqa: ASYNC110 - only while closing
            await asyncio.sleep(0.02)
        for wire in list(self._sessions):
            wire.abort()

    def _make(self) -> SmppTransport:
        session = Session(Role.SMSC, self._config.limits, now=self._world.clock.monotonic())
        wire = SmppTransport(session, self._world.clock, self._handle)
        if len(self._sessions) >= self._config.sessions_max:
            wire.abort()
        self._sessions[wire] = None
        return wire

    # -- what partners say ---------------------------------------------------------------------------------------------

    def _handle(self, wire: SmppTransport, events: list[e.Event]) -> None:
        binds = self._sessions.get(wire)
        is_opened = False
        for event in events:
            if isinstance(event, e.RequestReceived):
                request = event.pdu
                if isinstance(request, p.SubmitSm) and binds is not None:
                    self._submit(wire, binds.partner, request)
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
        try:
            partner, status = await self._authenticate(request.system_id, request.password)
        except Refused:
            partner, status = None, int(Status.ESME_RSYSERR)
        if wire not in self._sessions:
            return
        if partner is None:
            _log.warning("bind refused", system_id=request.system_id, peer=wire.peer, status=status)
            wire.session.refuse_bind(request, status)
            wire.touch()
            return
        binds = self._binds.get(partner.id)
        if binds is None:
            binds = self._binds[partner.id] = PartnerBinds(partner)
            new = binds
            binds.lane = self._delivering.lane(outbox.partner_target(partner.id), lambda: new)
        binds.partner = partner
        self._sessions[wire] = binds
        wire.session.accept_bind(request, self._config.system_id, self._world.clock.monotonic())
        wire.touch()
        _log.info("partner bound", partner=partner.name, peer=wire.peer, state=wire.session.state.value)
        if wire.session.can_receive:
            binds.receivers.append(wire)
            assert binds.lane is not None
            binds.lane.pump()

    async def _authenticate(self, system_id: str, password: str) -> tuple[Partner | None, int]:
        partner = await self._reader.read(partners.by_name, system_id)
        if partner is None or partner.smpp_password_hash is None:
            return None, int(Status.ESME_RINVSYSID)
        if not partner.is_enabled:
            return None, int(Status.ESME_RBINDFAIL)
        # A partner that binds twenty times need not cost twenty argon2: what was verified is remembered for a while, hashed.
        memo = hashlib.blake2b(password.encode("latin-1", "replace"), key=partner.smpp_password_hash.encode()[-64:]).digest()
        now = self._world.clock.monotonic()
        if self._verified.get(memo, 0.0) < now:
            if not await self._world.executor.run(self._check_password, partner.smpp_password_hash, password):
                return None, int(Status.ESME_RINVPASWD)
            self._verified[memo] = now + VERIFIED_S
            if len(self._verified) > 1_000:
                del self._verified[next(iter(self._verified))]
        return partner, 0

    def _submit(self, wire: SmppTransport, partner: Partner, request: p.SubmitSm) -> None:
        try:
            submission = self._read(partner, request, wire.session.peer_interface_version)
        except Refused as refused:
            wire.respond(request, p.SubmitSmResp(0, answers.status_of(refused)))
            return

        def done(answer: Answer) -> None:
            if isinstance(answer, Accepted):
                message_id = answers.written_id(answer.message_id, wire.session.peer_interface_version)
                wire.respond(request, p.SubmitSmResp(0, 0, message_id))
            else:
                wire.respond(request, p.SubmitSmResp(0, answers.status_of(answer)))

        self._reception.submit(submission, done)

    def _read(self, partner: Partner, request: p.SubmitSm, peer_version: int) -> Submission:
        answers.check(request, self._world.clock.now_us(), peer_version)
        try:
            source = from_smpp(request.source_addr_ton, request.source_addr_npi, request.source_addr)
        except AddressError as error:
            raise Refused("bad_source", str(error), field="from") from None
        try:
            destination = from_smpp(request.dest_addr_ton, request.dest_addr_npi, request.destination_addr, unknown_is_international=True)
        except AddressError as error:
            raise Refused("bad_destination", str(error), field="to") from None
        esm_class, body = answers.content_of(request)
        return Submission(
            Sender(Front.SMPP, partner.wallet, partner_id=partner.id),
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
            answers.validity_us(request, self._world.clock.now_us()),
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
            return
        _log.info("partner gone", partner=binds.partner.name, reason=str(event.reason))
        if wire in binds.receivers:
            binds.receivers.remove(wire)
        if binds.lane is not None:
            binds.lane.returned([context for context, _ in event.unanswered if isinstance(context, Handover)])
            binds.lane.pump()
