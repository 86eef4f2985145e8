"""Between the outbox and a connector: what gathered for it is handed over in one call, in order."""

from __future__ import annotations

import asyncio

from gateway.domain.message import State
from gateway.services.deliver import OutboxLane
from gateway.services.ports import Connector, Delivery
from gateway.store.outbox import KIND_STATUS, Handover

IN_HAND_MAX = 200
NOT_TEXT = "[a message that is not text]"


class ConnectorPort:
    """The outbox lane's port to one connector."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._in_hand: list[Handover] = []
        self._is_delivering = False
        self._is_open = False
        self.lane: OutboxLane | None = None
        self.delivered = 0

    @property
    def room(self) -> int:
        return IN_HAND_MAX - len(self._in_hand) if self._is_open and not self._is_delivering else 0

    @property
    def is_there(self) -> bool:
        return self._is_open

    def open(self) -> None:
        """The connector runs."""
        self._is_open = True
        if self.lane is not None:
            self.lane.pump()

    def hand_over(self, handover: Handover) -> bool:
        """Gather it; what gathered in this loop turn goes together."""
        if not self._in_hand:
            asyncio.get_running_loop().call_soon(self._begin)
        self._in_hand.append(handover)
        return True

    def _begin(self) -> None:
        self._is_delivering = True
        asyncio.get_running_loop().create_task(self._deliver(), name=f"connector {self._connector.name}")

    async def _deliver(self) -> None:
        lane, handovers = self.lane, self._in_hand
        assert lane is not None
        try:
            taken = await self._connector.deliver([delivery_of(handover) for handover in handovers])
        finally:
            self._in_hand = []
            self._is_delivering = False
        for handover, is_taken in reversed(list(zip(handovers, taken, strict=True))):
            if is_taken:
                self.delivered += 1
                lane.taken(handover)
            else:
                lane.again(handover)
        lane.pump()


def delivery_of(handover: Handover) -> Delivery:
    """An outbox row as its connector takes it."""
    entry, message, mo = handover.entry, handover.message, handover.mo
    if entry.kind == KIND_STATUS:
        assert message is not None
        assert message.im_account is not None
        assert message.im_message_id is not None
        reason = _reason(State(entry.state), handover.error)
        peer = f"+{message.destination}"
        return Delivery(entry.id, entry.kind, message.im_account, peer, "", message.im_message_id, entry.state, reason, handover.done_at)
    assert mo is not None
    assert mo.im_account is not None
    text = mo.text if mo.text is not None else NOT_TEXT
    return Delivery(entry.id, entry.kind, mo.im_account, f"+{mo.source}", text, mo.id, 0, "", mo.received_at)


def _reason(state: State, error: str | None) -> str:
    """Why words did not arrive, for the person who said them; the carrier's code stands behind it."""
    if state is State.DELIVERED:
        return ""
    why = "not delivered in time" if state is State.EXPIRED else "the phone could not be reached"
    return f"{why} ({error})" if error else why
