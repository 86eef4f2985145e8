"""What an SMSC still has to hand over: receipts and MO, each to a bind that can receive, as its window allows.

A receipt goes to the bind that sent the message if that can receive, else to another bind of the same system_id; an MO goes to any,
all its parts to the same. With no such bind it is held. What a dropped bind left unanswered goes back and is handed over again, so a
gateway must cope with a repeat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.smpp.consts import Status
from gateway.smpp.pdu import DeliverSm

# Answers that ask for another try (SMPP 3.4 section 5.1.3); any other error ends the delivery.
TRY_AGAIN = frozenset({Status.ESME_RX_T_APPN, Status.ESME_RMSGQFUL, Status.ESME_RTHROTTLED, Status.ESME_RSYSERR})


class Receiver(Protocol):
    """A bound session, as far as deliveries care."""

    system_id: str
    waiting: deque[Delivery]

    @property
    def can_receive(self) -> bool: ...

    def touch(self) -> None: ...


class Delivery:
    """One deliver_sm; `system_id` None means that any receiver will do, `settled` is told the final answer."""

    __slots__ = ("origin", "pdu", "settled", "system_id", "tries")

    def __init__(
        self,
        pdu: DeliverSm,
        system_id: str | None,
        origin: Receiver | None = None,
        settled: Callable[[int], None] | None = None,
    ) -> None:
        self.pdu = pdu
        self.system_id = system_id
        self.origin = origin
        self.settled = settled
        self.tries = 0


@dataclass(slots=True)
class DeliveryCounts:
    """What happened to deliveries so far."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    requeued: int = 0
    retried: int = 0
    dropped: int = 0


class Deliveries:
    """Routes each delivery to a receiver, or holds it until one binds."""

    def __init__(self, later: Callable[..., None], *, held_max: int = 1_000_000, retry_delay_s: float = 1.0, tries_max: int = 100) -> None:
        self._later = later
        self._held_max = held_max
        self._retry_delay_s = retry_delay_s
        self._tries_max = tries_max
        self._receivers: list[Receiver] = []
        self._held: deque[Delivery] = deque()
        self.counts = DeliveryCounts()

    @property
    def held(self) -> int:
        """Deliveries that wait for a bind."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """Deliveries that wait for room in a window."""
        return sum(len(receiver.waiting) for receiver in self._receivers)

    def join(self, receiver: Receiver) -> None:
        """A receiver has bound: it gets what was held for it."""
        self._receivers.append(receiver)
        held = self._held
        self._held = deque()
        for delivery in held:
            self.route(delivery)

    def leave(self, receiver: Receiver, unanswered: list[Delivery]) -> None:
        """A receiver is gone: what it did not acknowledge is handed over again."""
        if receiver not in self._receivers:
            return
        self._receivers.remove(receiver)
        for delivery in (*unanswered, *receiver.waiting):
            self.counts.requeued += 1
            self.route(delivery)
        receiver.waiting.clear()

    def route(self, delivery: Delivery) -> None:
        """Put a delivery before the receiver it belongs to."""
        origin = delivery.origin
        receiver = origin if origin is not None and origin.can_receive else self._receiver_for(delivery)
        if receiver is None:
            self._hold(delivery)
            return
        receiver.waiting.append(delivery)
        receiver.touch()

    def route_together(self, deliveries: Sequence[Delivery]) -> None:
        """Put the parts of one message before one receiver: only there can they be joined."""
        receiver = self._receiver_for(deliveries[0]) if deliveries else None
        for delivery in deliveries:
            delivery.origin = receiver
            self.route(delivery)

    def answered(self, delivery: Delivery, status: int) -> None:
        """The gateway has answered: done, refused for good, or to be tried again later."""
        if status == Status.ESME_ROK:
            self.counts.acknowledged += 1
        elif status in TRY_AGAIN and delivery.tries < self._tries_max:
            self.counts.retried += 1
            self._later(self._retry_delay_s, self.route, delivery)
            return
        else:
            self.counts.refused += 1
        if delivery.settled is not None:
            delivery.settled(status)

    def expired(self, delivery: Delivery) -> None:
        """No answer came in time: handed over again."""
        self.counts.requeued += 1
        self._later(self._retry_delay_s, self.route, delivery)

    def _receiver_for(self, delivery: Delivery) -> Receiver | None:
        fit = [receiver for receiver in self._receivers if receiver.can_receive and delivery.system_id in (None, receiver.system_id)]
        return min(fit, key=lambda receiver: len(receiver.waiting)) if fit else None

    def _hold(self, delivery: Delivery) -> None:
        delivery.origin = None
        self._held.append(delivery)
        if len(self._held) > self._held_max:
            self._held.popleft()
            self.counts.dropped += 1
