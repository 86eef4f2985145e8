"""One ESME's bind at the SMSC simulator: hands requests to the SMSC, and deliveries to the ESME as the window allows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gateway.smpp import events as e
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.pdu import Bind, DeliverSm, Pdu, Unbind
from gateway.smpp.session import Role, State
from simulators.smpp_shell import SmppShell
from simulators.smsc_delivery import Delivery

if TYPE_CHECKING:
    from simulators.smsc import Smsc

BOUND_STATES = frozenset({State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX})


class SmscSession(SmppShell):
    """One connection to the simulator."""

    def __init__(self, smsc: Smsc) -> None:
        super().__init__(smsc.world.clock, Role.SMSC, smsc.config.limits)
        self._smsc = smsc
        self.system_id = ""
        self.waiting: deque[Delivery] = deque()
        self.submits = 0
        self.bound_at_us = 0

    @property
    def can_receive(self) -> bool:
        return not self.is_gone and self.session.can_receive

    @property
    def is_bound(self) -> bool:
        return not self.is_gone and self.session.state in BOUND_STATES

    def opened(self) -> None:
        self._smsc.session_opened(self)

    def handle(self, events: list[e.Event]) -> None:
        smsc = self._smsc
        for event in events:
            if type(event) is e.RequestReceived:
                smsc.serve(self, event.pdu)
            elif type(event) is e.ResponseReceived:
                if type(event.context) is Delivery:
                    smsc.deliveries.answered(event.context, event.response.command_status)
            else:
                self._handle_rare(event)

    def _handle_rare(self, event: e.Event) -> None:
        if isinstance(event, e.BindRequested):
            self._bind(event.pdu)
        elif isinstance(event, e.RequestExpired):
            if isinstance(event.context, Delivery):
                self._smsc.deliveries.expired(event.context)
        elif isinstance(event, e.Closed):
            unanswered = [context for context, _ in event.unanswered if isinstance(context, Delivery)]
            self._smsc.session_closed(self, unanswered)
        elif isinstance(event, e.Violation):
            self._smsc.counts.violations += 1

    def _bind(self, request: Bind) -> None:
        status = self._smsc.bind_status(request.system_id, request.password)
        if status:
            self.session.refuse_bind(request, status)
            return
        self.system_id = request.system_id
        self.bound_at_us = self._smsc.world.clock.now_us()
        self.session.accept_bind(request, self._smsc.config.smsc_id, self.now())
        self._smsc.session_bound(self)

    def answer(self, request: Pdu, response: Pdu) -> None:
        """Answer a request, now; dropped when the session is over or has unbound meanwhile."""
        if self.is_gone:
            return
        self.session.respond(request, response)
        self.touch()

    def unbind(self) -> None:
        """Say goodbye by the book."""
        if self.is_bound:
            self.session.send_request(Unbind(), self.now())
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
