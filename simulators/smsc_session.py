"""One ESME's bind at the SMSC simulator: hands requests to the SMSC, and deliveries to the ESME as the window allows.

What its bind rule asks for goes wrong here: silence, unanswered enquire_link, an end after so many PDUs.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gateway.smpp import events as e
from gateway.smpp.consts import CommandId
from gateway.smpp.errors import FrameError, LocalProtocolError
from gateway.smpp.framer import Framer
from gateway.smpp.pdu import AlertNotification, Bind, DeliverSm, EnquireLink, Outbind, Pdu, Unbind
from gateway.smpp.session import Role, State
from simulators.smpp_shell import SmppShell
from simulators.smsc_delivery import Delivery
from simulators.smsc_rule import Rule
from simulators.smsc_script import BindRule
from simulators.smsc_wire import Trickle, spoil, unasked
from simulators.streams import Stream

if TYPE_CHECKING:
    from simulators.smsc import Smsc
    from simulators.smsc_inspector import Line

BOUND_STATES = frozenset({State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX})
NO_BIND_RULE = BindRule()


class SmscSession(SmppShell):
    """One connection to the simulator. `number` counts connections; `numbers` is the stream its rules draw from."""

    def __init__(self, smsc: Smsc, number: int = 0) -> None:
        super().__init__(smsc.world.clock, Role.SMSC, smsc.config.limits)
        self._smsc = smsc
        self.number = number
        self.numbers: Stream | None = None
        self.system_id = ""
        self.label = ""
        self.waiting: deque[Delivery] = deque()
        self.submits = 0
        self.bound_at_us = 0
        self.bind_rule = NO_BIND_RULE
        self.is_mute = False
        self.line: Line | None = None
        self._is_counted = False  # the bind rule asks for something after so many PDUs
        self._trickle = Trickle(self._write_now, self._closed_late)
        self._deaf: Framer | None = None
        self._heard = 0

    @property
    def can_receive(self) -> bool:
        return not self.is_gone and not self.is_mute and self.session.can_receive

    @property
    def is_bound(self) -> bool:
        return not self.is_gone and self.session.state in BOUND_STATES

    def opened(self) -> None:
        self._smsc.session_opened(self)

    # Octets.

    def data_received(self, data: bytes) -> None:
        if self.line is not None:
            self.line.received(data)
        if self.is_mute:
            return
        if self._deaf is not None:
            data = self._without_enquiries(data, self._deaf)
        super().data_received(data)

    def eof_received(self) -> bool:
        """A mute peer does not even notice that the other end is closed."""
        return self.is_mute

    def touch(self) -> None:
        if not self.is_mute:
            super().touch()

    def write(self, data: bytes) -> None:
        if self.line is not None:
            self.line.sent(data)
        if self._trickle.is_busy:
            self._trickle.add(data, None)
        else:
            self._write_now(data)

    def hang_up(self) -> None:
        if not self._trickle.is_busy:
            super().hang_up()

    def _write_now(self, data: bytes) -> None:
        if self._transport is not None and not self.is_gone:
            self._transport.write(data)

    def _closed_late(self) -> None:
        if not self.is_gone and self.session.close_expected:
            super().hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._trickle.stop()
        super().connection_lost(exc)

    def _without_enquiries(self, data: bytes, framer: Framer) -> bytes:
        try:
            frames = framer.feed(data)
        except FrameError:
            return data
        return b"".join(frame for frame in frames if int.from_bytes(frame[4:8], "big") != CommandId.ENQUIRE_LINK)

    # Events of the session.

    def handle(self, events: list[e.Event]) -> None:
        smsc = self._smsc
        for event in events:
            if type(event) is e.RequestReceived:
                if self._is_counted:
                    self._count_heard()
                smsc.serve(self, event.pdu)
            elif type(event) is e.ResponseReceived:
                if type(event.context) is Delivery:
                    smsc.deliveries.answered(event.context, event.response.command_status)
            else:
                self._handle_rare(event)

    def _handle_rare(self, event: e.Event) -> None:
        if isinstance(event, e.BindRequested):
            self._smsc.entry.decide(self, event.pdu)
        elif isinstance(event, e.RequestExpired):
            if isinstance(event.context, Delivery):
                self._smsc.deliveries.expired(event.context)
        elif isinstance(event, e.Closed):
            unanswered = [context for context, _ in event.unanswered if isinstance(context, Delivery)]
            self._smsc.session_closed(self, unanswered, event.reason)
        elif isinstance(event, e.Violation):
            self._smsc.violation(self, event)

    def _count_heard(self) -> None:
        """Do what the bind rule asks for after so many PDUs; they are still served."""
        self._heard += 1
        rule = self.bind_rule
        for after, deed in ((rule.mute_after, self.mute), (rule.unbind_after, self.unbind), (rule.reset_after, self.abort)):
            if after and self._heard == after:
                self._smsc.timeline.after(0.0, deed)

    # What the SMSC asks of it.

    def obey(self, rule: BindRule) -> None:
        """Behave as a bind rule says."""
        self.bind_rule = rule
        self._is_counted = bool(rule.mute_after or rule.unbind_after or rule.reset_after)
        if not rule.answers_enquire_link:
            self._deaf = Framer()

    def let_in(self, request: Bind) -> None:
        """Accept a bind."""
        if self.is_gone or self.is_mute or self.session.close_expected:
            return
        self.system_id = request.system_id
        self.bound_at_us = self._smsc.world.clock.now_us()
        self.session.accept_bind(request, self._smsc.config.smsc_id, self.now())
        self._smsc.session_bound(self)
        if self.bind_rule.mode == "mute":
            self._flush()
            self.mute()
        self.touch()

    def turn_away(self, request: Bind, status: int) -> None:
        """Refuse a bind."""
        if not self.is_gone and not self.session.close_expected:
            self.session.refuse_bind(request, status)
            self.touch()

    def answer(self, request: Pdu, response: Pdu) -> None:
        """Answer a request, now; dropped when the session is over or has unbound meanwhile."""
        if self.is_gone or self.is_mute:
            return
        self.session.respond(request, response)
        self.touch()

    def answer_oddly(self, request: Pdu, response: Pdu, rule: Rule, numbers: Stream) -> None:
        """Answer with spoilt octets, or byte by byte."""
        if self.is_gone or self.is_mute:
            return
        self._flush()
        if self.session.close_expected:
            return
        self.session.respond(request, response)
        data = self.session.data_to_send()
        if rule.fault and data:
            data = spoil(data, rule.fault, numbers)
            if self.line is not None:
                self.line.spoilt(data, rule.fault)
        elif self.line is not None:
            self.line.sent(data)
        if data:
            gap_s = {"split": 0.0, "drip": rule.drip_ms / 1000}.get(rule.write)
            self._trickle.add(data, gap_s)
        self.touch()

    def send_spoilt(self, fault: str, numbers: Stream) -> None:
        """Send a spoilt PDU that nobody asked for."""
        if self.is_gone or self.is_mute:
            return
        self._flush()
        data = unasked(fault, numbers)
        if self.line is not None:
            self.line.spoilt(data, fault)
        self._trickle.add(data, None)

    def mute(self) -> None:
        """Fall silent for good: nothing is read, answered or closed, until the connection is lost or reset."""
        if self.is_gone or self.is_mute:
            return
        self._flush()
        self.is_mute = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._smsc.session_muted(self)

    def close(self) -> None:
        """Close the connection without unbinding."""
        if self._transport is not None:
            self._transport.close()

    def unbind(self) -> None:
        """Say goodbye by the book."""
        if self.is_bound and not self.is_mute:
            self.session.send_request(Unbind(), self.now())
            self.touch()

    def ask_alive(self) -> None:
        """Send enquire_link."""
        if self.is_bound:
            self.session.send_request(EnquireLink(), self.now())
            self.touch()

    def alert(self, source: str, esme_addr: str) -> None:
        """Send alert_notification: this phone can be reached again."""
        if self.can_receive:
            self.session.send_request(
                AlertNotification(source_addr_ton=1, source_addr_npi=1, source_addr=source, esme_addr=esme_addr), self.now()
            )
            self.touch()

    def invite(self, system_id: str, password: str) -> None:
        """Send outbind: the ESME is to bind on this connection."""
        self.session.send_request(Outbind(system_id=system_id, password=password), self.now())
        self.touch()

    def pump(self) -> None:
        waiting = self.waiting
        if not waiting or not self.session.can_receive:
            return
        now = self.now()
        counts = self._smsc.deliveries.counts
        for _ in range(min(len(waiting), self.session.window_free)):
            delivery = waiting.popleft()
            delivery.tries += 1
            if self._send(delivery.pdu, now, delivery):
                counts.sent += 1

    def _send(self, pdu: DeliverSm, now: float, delivery: Delivery) -> bool:
        try:
            self.session.send_request(pdu, now, delivery)
        except LocalProtocolError:
            # A submit_sm may carry addresses that a deliver_sm can't (too long for its field): such a receipt cannot exist.
            self._smsc.deliveries.counts.dropped += 1
            return False
        return True
