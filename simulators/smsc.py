"""The SMSC simulator: takes messages, answers as its rules say, delivers to virtual phones, sends receipts and MO.

Works in the real world and in the simulated one: clock, random numbers and sockets come from the World. Everything an ESME may ask
is served in smsc_service.py; what goes wrong on purpose is smsc_rules.py (by message) and faults.py (by chance).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.smpp.consts import MessageState, Status
from gateway.smpp.pdu import DeliverSm, Pdu, SubmitSm, SubmitSmResp
from gateway.sms import national, segments, udh
from gateway.world import Listener, World
from simulators.faults import SmscFaults
from simulators.phones import ACCEPTED, PENDING, REFUSED, Incoming, Message, Outgoing, Phones
from simulators.smsc_bell import Bell
from simulators.smsc_config import SmscConfig
from simulators.smsc_delivery import Deliveries, Delivery
from simulators.smsc_messages import Dates, MessageIds, MessageLog, Taken, concatenation_of, is_receipt_wanted, receipt, settle
from simulators.smsc_rules import Rulebook
from simulators.smsc_service import serve_other
from simulators.smsc_session import SmscSession
from simulators.smsc_timeline import Timeline
from simulators.smsc_treatment import Treatment, Treatments
from simulators.streams import stream

# How long a response waits behind a receipt that shall come first.
RECEIPT_FIRST_GAP_S = 0.05
_ID_STEP_US = 10  # counting from the clock leaves room for 100,000 ids a second between two starts
_UNBIND_GRACE_S = 2.0
_LOOK_S = 0.02


@dataclass(slots=True)
class SmscCounts:
    """What has happened since the start."""

    binds: int = 0
    binds_refused: int = 0
    submits: int = 0
    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    delivered: int = 0
    receipts: int = 0
    mo: int = 0
    violations: int = 0


class Smsc:
    """One simulated SMSC on one port: `await start()`, then `await stop()`."""

    def __init__(self, world: World, config: SmscConfig | None = None, *, faults: SmscFaults | None = None) -> None:
        self.world = world
        self.config = config = config if config is not None else SmscConfig()
        seed = config.seed if config.seed is not None else int.from_bytes(world.entropy.token_bytes(8), "big")
        self.counts = SmscCounts()
        self.rules = Rulebook(config.rules)
        self.treatments = Treatments(config, self.rules, faults, stream(seed, "smsc"))
        self.log = MessageLog(config.log_max)
        self.phones = Phones(phones_max=config.phones_max)
        self.bell = Bell()
        self.timeline = Timeline(world.clock)
        self.deliveries = Deliveries(self.timeline.after, held_max=config.held_max, retry_delay_s=config.retry_delay_ms / 1000)
        self.ids = MessageIds(config.id_form, config.first_id if config.first_id is not None else world.clock.now_us() // _ID_STEP_US)
        self.sessions: list[SmscSession] = []
        self.started_at_us = world.clock.now_us()
        self._dates = Dates()
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """The port it listens on; useful after asking for port 0."""
        assert self._listener is not None, "start() first"
        return self._listener.port

    async def start(self) -> None:
        """Open the port. Raises OSError."""
        self._listener = await self.world.network.listen(lambda: SmscSession(self), self.config.host, self.config.port)

    async def stop(self, grace_s: float = _UNBIND_GRACE_S) -> None:
        """Close the port, unbind everybody, and cut whoever does not answer in time."""
        if self._listener is not None:
            self._listener.close()
        for session in list(self.sessions):
            session.unbind() if session.is_bound else session.abort()
        deadline = self.world.clock.monotonic() + grace_s
        while self.sessions and (left_s := deadline - self.world.clock.monotonic()) > 0:
            await self.bell.wait(left_s)
        self.kill()

    def kill(self) -> None:
        """Stop at once, as if the power went: connections are reset, nothing pending happens."""
        if self._listener is not None:
            self._listener.close()
        for session in list(self.sessions):
            session.abort()
        self.timeline.close()

    async def until(self, is_true: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        """Wait until something is true that only messages, receipts or binds can change; False when it is not in time."""
        deadline = self.world.clock.monotonic() + timeout_s
        while not is_true():
            left_s = deadline - self.world.clock.monotonic()
            if left_s <= 0:
                return False
            # Acknowledgements of receipts don't ring.
            await self.bell.wait(min(left_s, _LOOK_S))
        return True

    # Sessions report here.

    def bind_status(self, system_id: str, password: str) -> int:
        """Whether these credentials may bind, as a command_status."""
        wanted = self.config
        if wanted.system_id is not None and system_id != wanted.system_id:
            status = Status.ESME_RINVSYSID
        elif wanted.password is not None and password != wanted.password:
            status = Status.ESME_RINVPASWD
        else:
            return Status.ESME_ROK
        self.counts.binds_refused += 1
        return status

    def session_opened(self, session: SmscSession) -> None:
        self.sessions.append(session)

    def session_bound(self, session: SmscSession) -> None:
        self.counts.binds += 1
        if session.can_receive:
            self.deliveries.join(session)
        self.bell.ring()

    def session_closed(self, session: SmscSession, unanswered: list[Delivery]) -> None:
        if session in self.sessions:
            self.sessions.remove(session)
        self.deliveries.leave(session, unanswered)
        self.bell.ring()

    def serve(self, session: SmscSession, request: Pdu) -> None:
        """Answer a request of an ESME."""
        if type(request) is SubmitSm:
            self.submit(session, request)
        else:
            serve_other(self, session, request)

    # A message's way.

    def submit(self, session: SmscSession, request: SubmitSm) -> None:
        """Take or refuse one submit_sm."""
        treatment = self.treatments.of(request)
        status = self.check(request, treatment)
        if status:
            self.respond(session, request, SubmitSmResp(command_status=status), treatment)
            return
        taken = self.take(session, request, treatment, self.ids.take())
        self.respond(session, request, SubmitSmResp(message_id=taken.id), treatment)

    def check(self, request: SubmitSm, treatment: Treatment) -> int:
        """Count a submission; the status it is refused with, or 0."""
        self.counts.submits += 1
        status = treatment.status if request.destination_addr else Status.ESME_RINVDSTADR
        if status:
            self.counts.refused += 1
        return status

    def take(self, session: SmscSession, request: SubmitSm, treatment: Treatment, ids: tuple[str, str]) -> Taken:
        """Accept a message and plan its delivery."""
        self.counts.accepted += 1
        session.submits += 1
        taken = Taken(ids, self.world.clock.now_us(), session.system_id, request, treatment.rule)
        if self.config.log_max:
            self.log.add(taken)
            self.bell.ring()
        if treatment.is_receipt_first:
            self._finish(taken, session, treatment.copies)
        elif request.registered_delivery or self.config.with_phones or self.config.log_max:
            self.timeline.after(treatment.receipt_delay_s, self._finish, taken, session, treatment.copies)
        return taken

    def respond(self, session: SmscSession, request: Pdu, response: Pdu, treatment: Treatment) -> None:
        """Answer when and if the treatment says so, and end the session if it says so."""
        delay_s = treatment.response_delay_s
        if treatment.is_receipt_first:
            delay_s = max(delay_s, RECEIPT_FIRST_GAP_S)
        if not treatment.responds:
            self.counts.unanswered += 1
        elif delay_s:
            self.timeline.after(delay_s, session.answer, request, response)
        else:
            session.session.respond(request, response)
        if treatment.resets:
            session.abort()
        elif treatment.unbinds:
            session.unbind()

    def _finish(self, taken: Taken, origin: SmscSession, copies: int) -> None:
        """A message reaches its phone, or fails; its receipts go out."""
        if taken.state is MessageState.ENROUTE:
            settle(taken, self.world.clock.now_us())
        if taken.state is MessageState.DELIVERED:
            self.counts.delivered += 1
            if self.config.with_phones:
                self._show(taken)
        if copies and is_receipt_wanted(taken.pdu.registered_delivery, taken.state):
            pdu = receipt(taken, self._dates)
            for _ in range(copies):
                self.counts.receipts += 1
                self.deliveries.route(Delivery(pdu, taken.system_id, origin))

    def _show(self, taken: Taken) -> None:
        """Put a delivered message on its phone."""
        pdu = taken.pdu
        content = segments.decode(pdu.data_coding, taken.udhi, taken.body)
        incoming = Incoming(
            pdu.source_addr,
            pdu.destination_addr,
            pdu.data_coding,
            content.raw,
            concatenation_of(pdu, content.elements),
            udh.ports(content.elements),
            taken.done_us,
            national.shift_of(content.elements),
        )
        self.phones.receive(incoming)
        self.bell.ring()

    # The other way.

    def send_mo(self, msisdn: str, to: str, text: str) -> Message:
        """A phone's owner writes: goes to any bind that can receive, held until there is one. Raises PhoneError."""
        outgoing = self.phones.write(msisdn, to, text, self.world.clock.now_us())
        settled = self._mo_settled(outgoing)
        for pdu in mo_pdus(outgoing):
            self.counts.mo += 1
            self.deliveries.route(Delivery(pdu, None, settled=settled))
        self.bell.ring()
        return outgoing.message

    def _mo_settled(self, outgoing: Outgoing) -> Callable[[int], None]:
        message = outgoing.message
        answers: list[int] = []

        def settled(status: int) -> None:
            answers.append(status)
            if status:
                message.state = REFUSED
            elif len(answers) == message.parts_total and message.state == PENDING:
                message.state = ACCEPTED
            self.bell.ring()

        return settled


def mo_pdus(outgoing: Outgoing) -> list[DeliverSm]:
    """The deliver_sm of each part of what a phone's owner wrote."""
    message, segmented = outgoing
    return [
        DeliverSm(
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=message.phone,
            dest_addr_npi=1,
            destination_addr=message.peer,
            esm_class=0x40 if segmented.udhi else 0,
            data_coding=segmented.data_coding,
            short_message=part,
        )
        for part in segmented.parts
    ]
