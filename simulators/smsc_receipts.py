"""How receipts leave: one or several for a message, in a row or all mixed up, on the sender's bind or on another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.smpp.consts import MessageState
from simulators.smsc_delivery import Deliveries, Delivery
from simulators.smsc_messages import Dates, Taken, is_receipt_wanted, receipt
from simulators.smsc_rule import ENROUTE, STATES
from simulators.smsc_timeline import Timeline
from simulators.streams import Stream

if TYPE_CHECKING:
    from simulators.smsc_session import SmscSession

# An incomplete lot of receipts to be shuffled goes out after this.
SHUFFLE_WAIT_S = 1.0
_INTERMEDIATE = 0x10


class Receipts:
    """Sends what a message's rule asks for; `counted` is called for each receipt that leaves."""

    def __init__(self, deliveries: Deliveries, timeline: Timeline, numbers: Stream, counted: Callable[[Taken, str], None]) -> None:
        self._deliveries = deliveries
        self._timeline = timeline
        self._numbers = numbers
        self._counted = counted
        self._dates = Dates()
        self._lot: list[Delivery] = []
        self._lots = 0
        self.sessions: list[SmscSession] = []

    def send(self, taken: Taken, origin: SmscSession, copies: int) -> None:
        """Send the receipts of a message that is final, as often as asked."""
        if copies == 1 and not taken.stats and taken.rule.stat != ENROUTE:
            # As nearly every message: one receipt that tells its end.
            if is_receipt_wanted(taken.pdu.registered_delivery, STATES.get(taken.rule.stat, MessageState.ENROUTE)):
                self._send_one(taken, origin, taken.rule.stat)
            return
        gap_s = taken.rule.receipt_gap_ms / 1000
        turn = 0
        for stat in taken.stats or (taken.rule.stat,):
            state = STATES.get(stat, MessageState.ENROUTE)
            is_wanted = (
                taken.pdu.registered_delivery & _INTERMEDIATE
                if stat == ENROUTE
                else is_receipt_wanted(taken.pdu.registered_delivery, state)
            )
            for _ in range(copies if is_wanted else 0):
                if turn and gap_s:
                    self._timeline.after(turn * gap_s, self._send_one, taken, origin, stat)
                else:
                    self._send_one(taken, origin, stat)
                turn += 1

    def notify(self, taken: Taken, origin: SmscSession) -> None:
        """The intermediate notification: the message is on its way (esm_class 0x20)."""
        if taken.state is MessageState.ENROUTE and not taken.is_replaced:
            self._send_one(taken, origin, ENROUTE)

    def _send_one(self, taken: Taken, origin: SmscSession, stat: str) -> None:
        self._counted(taken, stat)
        rule = taken.rule
        chosen = origin if rule.receipt_bind == "same" else self._another(origin)
        delivery = Delivery(receipt(taken, self._dates, stat), taken.system_id, chosen)
        if rule.receipt_shuffle < 2:
            self._deliveries.route(delivery)
            return
        self._lot.append(delivery)
        if len(self._lot) >= rule.receipt_shuffle:
            self._send_lot(self._lots)
        elif len(self._lot) == 1:
            self._timeline.after(SHUFFLE_WAIT_S, self._send_lot, self._lots)

    def _another(self, origin: SmscSession) -> SmscSession:
        others = [each for each in self.sessions if each is not origin and each.can_receive and each.system_id == origin.system_id]
        return self._numbers.choice(others) if others else origin

    def _send_lot(self, lot: int) -> None:
        """Send a lot in another order than it came, unless it has left already."""
        if lot != self._lots:
            return
        self._lots += 1
        gathered, self._lot = self._lot, []
        shuffled = list(gathered)
        self._numbers.shuffle(shuffled)
        if shuffled == gathered:
            shuffled.reverse()
        for delivery in shuffled:
            self._deliveries.route(delivery)
