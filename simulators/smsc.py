"""The SMSC simulator: takes messages, answers as its rules say, delivers to virtual phones, sends receipts and MO.

Works in the real world and in the simulated one: clock, random numbers and sockets come from the World. Everything an ESME may ask
is served in smsc_service.py; what goes wrong on purpose is smsc_rules.py (by message), smsc_script.py (by bind and by time) and
faults.py (by chance).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping

from gateway.smpp import events as e
from gateway.smpp.consts import MessageState, Status, Tag
from gateway.smpp.pdu import Pdu, SubmitSm, SubmitSmResp
from gateway.sms import national, segments, udh
from gateway.world import Listener, World
from simulators.faults import SmscFaults
from simulators.phones import ACCEPTED, PENDING, REFUSED, Incoming, Message, Outgoing, Phones
from simulators.smsc_bell import Bell
from simulators.smsc_checks import Terms, final_after_s, refusal_of
from simulators.smsc_config import SmscConfig
from simulators.smsc_counts import Load, SmscCounts
from simulators.smsc_delivery import Deliveries, Delivery
from simulators.smsc_entry import Entry
from simulators.smsc_ids import MessageIds
from simulators.smsc_inspector import Inspector, Line
from simulators.smsc_journal import SmscJournal
from simulators.smsc_messages import MessageLog, Taken, concatenation_of, settle
from simulators.smsc_mo import phone_pdus
from simulators.smsc_moments import Moments
from simulators.smsc_receipts import Receipts
from simulators.smsc_rules import Rulebook
from simulators.smsc_service import serve_other
from simulators.smsc_session import SmscSession
from simulators.smsc_timeline import Timeline
from simulators.smsc_treatment import Treatment, Treatments, decided
from simulators.streams import Stream, stream

# How long a response waits behind a receipt that shall come first.
RECEIPT_FIRST_GAP_S = 0.05
_ID_STEP_US = 10  # counting from the clock leaves room for 100,000 ids a second between two starts
_UNBIND_GRACE_S = 2.0
_LOOK_S = 0.02
_VERSION_3_4 = 0x34
_INTERMEDIATE = 0x10


class Smsc:
    """One simulated SMSC on one port: `await start()`, then `await stop()`.

    `tls` makes the port speak TLS; `bell` may be shared by several; `journal` is told every decision; `files` are the MO files that
    the scenario names.
    """

    def __init__(
        self,
        world: World,
        config: SmscConfig | None = None,
        *,
        faults: SmscFaults | None = None,
        tls: ssl.SSLContext | None = None,
        bell: Bell | None = None,
        journal: SmscJournal | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self.world = world
        self.config = config = config if config is not None else SmscConfig()
        self.seed = config.seed if config.seed is not None else int.from_bytes(world.entropy.token_bytes(8), "big")
        self.counts = SmscCounts()
        self.rules = Rulebook(config.rules, config.usual)
        self._faults = faults
        self._tls = tls
        self._numbers = stream(self.seed, "smsc")
        self.treatments = Treatments(config, self.rules, faults, self._numbers)
        self.log = MessageLog(config.log_max)
        self.phones = Phones(phones_max=config.phones_max)
        self.bell = bell if bell is not None else Bell()
        self.journal = journal if journal is not None else SmscJournal() if config.is_journalled else None
        self.inspector = Inspector(world.clock, config.pdus_max, self.bell.ring) if config.pdus_max else None
        self.timeline = Timeline(world.clock)
        self.deliveries = Deliveries(self.timeline.after, held_max=config.held_max, retry_delay_s=config.retry_delay_ms / 1000)
        self.receipts = Receipts(self.deliveries, self.timeline, stream(self.seed, "smsc", config.name, "receipts"), self._count_receipt)
        self.moments = Moments(self, stream(self.seed, "smsc", config.name, "mo"))
        self.moments.files = files or {}
        first = config.first_id if config.first_id is not None else world.clock.now_us() // _ID_STEP_US
        self.ids = MessageIds(config.id_form, first, config.receipt_id_form)
        self.sessions: list[SmscSession] = self.receipts.sessions
        self.started_at_us = world.clock.now_us()
        self._scenario_at = world.clock.monotonic()
        self._terms = Terms(config.senders, config.service_types)
        self._listener: Listener | None = None
        self._port = config.port
        self._connections = 0
        self.entry = Entry(self)
        self._load = Load()

    @property
    def port(self) -> int:
        """The port it listens on; useful after asking for port 0."""
        assert self._listener is not None, "start() first"
        return self._listener.port

    @property
    def scenario_s(self) -> float:
        """How old the scenario is, in seconds: what windows of time count."""
        return self.world.clock.monotonic() - self._scenario_at

    async def start(self) -> None:
        """Open the port. Raises OSError, and FormError for a bad file of MO."""
        await self.come_up()
        self._scenario_at = self.world.clock.monotonic()
        self.moments.start(self.config.events, self.config.streams)

    async def come_up(self) -> None:
        """Open the port, unless it is open. Raises OSError."""
        if self._listener is None:
            listener = await self.world.network.listen(self._new_session, self.config.host, self._port, ssl=self._tls)
            self._listener, self._port = listener, listener.port

    def go_down(self) -> None:
        """Close the port and reset every connection; come_up() opens the same port again."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for session in list(self.sessions):
            session.abort()

    async def stop(self, grace_s: float = _UNBIND_GRACE_S) -> None:
        """Close the port, unbind everybody, and cut whoever does not answer in time."""
        self.moments.stop()
        if self._listener is not None:
            self._listener.close()
        for session in list(self.sessions):
            session.unbind() if session.is_bound and not session.is_mute else session.abort()
        deadline = self.world.clock.monotonic() + grace_s
        while self.sessions and (left_s := deadline - self.world.clock.monotonic()) > 0:
            await self.bell.wait(left_s)
        self.kill()

    def kill(self) -> None:
        """Stop at once, as if the power went: connections are reset, nothing pending happens."""
        self.moments.stop()
        if self._listener is not None:
            self._listener.close()
        for session in list(self.sessions):
            session.abort()
        self.timeline.close()

    def change(self, config: SmscConfig) -> None:
        """Behave otherwise from now on; windows, events and streams begin anew. Raises FormError and changes nothing then."""
        self.moments.start(config.events, config.streams)
        self.config = config
        self._scenario_at = self.world.clock.monotonic()
        self.rules.replace(config.rules, config.usual)
        self.treatments = Treatments(config, self.rules, self._faults, self._numbers)
        self.ids.change(config.id_form, config.receipt_id_form)
        self._terms = Terms(config.senders, config.service_types)
        self.entry.forget()
        self.bell.ring()

    async def outbind(self, host: str, port: int, password: str = "") -> SmscSession | None:
        """Connect to an ESME that listens and ask it to bind there (SMPP 3.4 section 2.2.1); None when nobody listens."""
        session = self._new_session()
        try:
            await self.world.network.connect(lambda: session, host, port)
        except OSError:
            self.note(None, "outbind-failed", host=host, port=port)
            return None
        session.invite(self.config.smsc_id, password)
        return session

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

    def note(self, session: SmscSession | None, kind: str, **facts: object) -> None:
        """Tell the event log a decision."""
        if self.journal is not None:
            label = session.label if session is not None else self.config.name
            self.journal.add(self.world.clock.now_us(), label, kind, facts)

    def numbers_of(self, session: SmscSession) -> Stream:
        """The stream a bind draws from: its own, so that what other binds do changes nothing."""
        if session.numbers is None:
            session.numbers = stream(self.seed, "smsc", self.config.name, session.label)
        return session.numbers

    # Sessions report here.

    def _new_session(self) -> SmscSession:
        self._connections += 1
        return SmscSession(self, self._connections)

    def session_opened(self, session: SmscSession) -> None:
        self.sessions.append(session)
        if self.inspector is not None:
            session.line = Line(self.inspector, session.number)

    def session_bound(self, session: SmscSession) -> None:
        self.counts.binds += 1
        if session.can_receive:
            self.deliveries.join(session)
        self.bell.ring()

    def session_muted(self, session: SmscSession) -> None:
        """What waits for a bind that fell silent stays with it until the connection is lost."""
        self.note(session, "mute")
        self.bell.ring()

    def session_closed(self, session: SmscSession, unanswered: list[Delivery], reason: e.CloseReason) -> None:
        if session in self.sessions:
            self.sessions.remove(session)
        self.deliveries.leave(session, unanswered)
        if self.journal is not None:
            self.journal.tell(self.world.clock.now_us(), session.label, "closed", {"reason": reason.value})
        self.bell.ring()

    def violation(self, session: SmscSession, event: e.Violation) -> None:
        """An ESME broke a rule."""
        self.counts.violations += 1
        self.note(session, "violation", reason=event.reason, status=int(event.status))

    def serve(self, session: SmscSession, request: Pdu) -> None:
        """Answer a request of an ESME."""
        if type(request) is SubmitSm:
            self.submit(session, request)
        else:
            serve_other(self, session, request)

    # A message's way.

    def submit(self, session: SmscSession, request: SubmitSm) -> None:
        """Take or refuse one submit_sm."""
        treatment = self.treatment_of(session, request)
        status = self.check(request, treatment, session.session.peer_interface_version)
        if self.journal is not None:
            self.note(session, "submit", status=int(status), **decided(request, treatment))
        if status:
            self.respond(session, request, SubmitSmResp(command_status=status), treatment)
            return
        taken = self.take(session, request, treatment, self.ids_for(session, treatment))
        self.respond(session, request, SubmitSmResp(message_id=taken.id), treatment)

    def treatment_of(self, session: SmscSession, request: SubmitSm) -> Treatment:
        """What will be done with a submission of this bind."""
        plain = self.treatments.plain(request.destination_addr)
        if plain is not None:
            return plain
        return self.treatments.of(request, session.system_id, session.number, self.numbers_of(session), self.scenario_s)

    def ids_for(self, session: SmscSession, treatment: Treatment) -> tuple[str, str]:
        """The next id as the response and the receipt will write it; a peer of SMPP 3.3 gets eight hexadecimal digits."""
        rule = treatment.rule
        is_short = session.session.peer_interface_version < _VERSION_3_4
        if rule.id_form is None and rule.receipt_id_form is None and not is_short:
            return self.ids.take()
        return self.ids.take_as(rule.id_form, rule.receipt_id_form, is_short=is_short)

    def check(self, request: SubmitSm, treatment: Treatment, version: int = _VERSION_3_4) -> int:
        """Count a submission; the status it is refused with, or 0."""
        self.counts.submits += 1
        status = 0
        if self.config.checks:
            status = refusal_of(request, self._terms, version, self.world.clock.now_us())
        elif not request.destination_addr:
            status = Status.ESME_RINVDSTADR
        status = status or treatment.status
        if status:
            self.counts.refused += 1
        return status

    def take(self, session: SmscSession, request: SubmitSm, treatment: Treatment, ids: tuple[str, str]) -> Taken:
        """Accept a message and plan its delivery."""
        self.counts.accepted += 1
        session.submits += 1
        taken = Taken(ids, self.world.clock.now_us(), session.system_id, request, treatment.rule, treatment.stats)
        if request.replace_if_present_flag:
            replaced = self.log.waiting_like(request, session.system_id)
            if replaced is not None:
                replaced.is_replaced = True
                replaced.state = MessageState.DELETED
        if self.config.log_max:
            self.log.add(taken)
            self.bell.ring()
        delay_s = treatment.receipt_delay_s
        if request.schedule_delivery_time or request.validity_period:
            delay_s = final_after_s(taken, delay_s)
        if request.registered_delivery & _INTERMEDIATE and not treatment.is_receipt_first:
            self.timeline.after(delay_s / 2, self.receipts.notify, taken, session)
        if treatment.is_receipt_first:
            self._finish(taken, session, treatment.copies)
        elif request.registered_delivery or self.config.with_phones or self.config.log_max:
            self.timeline.after(delay_s, self._finish, taken, session, treatment.copies)
        return taken

    def respond(self, session: SmscSession, request: Pdu, response: Pdu, treatment: Treatment) -> None:
        """Answer when and if the treatment says so, and end the session if it says so."""
        rule = treatment.rule
        delay_s = treatment.response_delay_s
        if treatment.is_receipt_first:
            delay_s = max(delay_s, RECEIPT_FIRST_GAP_S)
        if rule.congestion >= 0 or rule.congestion_full_per_s:
            response = self._with_congestion(response, rule.congestion, rule.congestion_full_per_s)
        is_odd = bool(rule.fault) or rule.write != "whole"
        if not treatment.responds:
            self.counts.unanswered += 1
        elif is_odd:
            self.timeline.after(delay_s, session.answer_oddly, request, response, rule, self.numbers_of(session))
        elif delay_s:
            self.timeline.after(delay_s, session.answer, request, response)
        elif not session.is_mute:
            session.session.respond(request, response)
        if treatment.resets:
            session.abort()
        elif treatment.unbinds:
            session.unbind()
        elif rule.then in ("close", "mute"):
            self.timeline.after(delay_s, session.close if rule.then == "close" else session.mute)

    def _with_congestion(self, response: Pdu, level: int, full_per_s: int) -> Pdu:
        """The response with congestion_state: fixed, or how near the last second came to the full load."""
        if full_per_s:
            level = self._load.percent(self.world.clock.monotonic(), full_per_s)
        return response._replace(tlvs={**response.tlvs, int(Tag.CONGESTION_STATE): bytes((level,))})

    def _finish(self, taken: Taken, origin: SmscSession, copies: int) -> None:
        """A message reaches its phone, or fails; its receipts go out."""
        if taken.is_replaced:
            return
        if taken.state is MessageState.ENROUTE:
            settle(taken, self.world.clock.now_us())
        if taken.state is MessageState.DELIVERED:
            self.counts.delivered += 1
            if self.config.with_phones:
                self._show(taken)
        if copies:
            self.receipts.send(taken, origin, copies)

    def _count_receipt(self, taken: Taken, stat: str) -> None:
        self.counts.receipts += 1
        if self.journal is not None:
            self.journal.tell(self.world.clock.now_us(), self.config.name, "receipt", {"id": taken.receipt_id, "stat": stat})

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
        deliveries = [Delivery(pdu, None, settled=settled) for pdu in phone_pdus(outgoing)]
        self.counts.mo += len(deliveries)
        self.deliveries.route_together(deliveries)
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
