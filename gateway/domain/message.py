"""A message and its segments: the values, the states, and how the segments' states fold into the message's."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

SEGMENTS_MAX = 255
MESSAGE_MASK = ~0xFF


class State(IntEnum):
    """Where a segment, or a whole message, is; 10 and above is final."""

    ACCEPTED = 0  # on disk, waiting for its link
    SUBMITTING = 1  # claimed: bytes may have left
    SUBMITTED = 2  # the SMSC answered with its id
    UNKNOWN = 3  # sent, and nobody will ever answer; the service's policy decides
    DELIVERED = 10
    FAILED = 11
    EXPIRED = 12


FINAL = 10
STATE_NAMES = {state: state.name.lower() for state in State}


class Front(IntEnum):
    """Where a message came in."""

    SMPP = 0
    HTTP = 1
    IM = 2
    GATEWAY = 3


class UnknownOutcome(IntEnum):
    """What a service wants done with a segment whose submit_sm was never answered."""

    RESEND = 0  # at least once: sent again, marked as a possible duplicate
    HOLD = 1  # at most once: waits for a receipt until it expires
    DROP = 2  # given up at once, and not charged


# esm_class, SMPP 3.4 section 5.2.12: the messaging mode. Datagram and transaction messages are sent once or not at all.
MODE_MASK = 0x03
SENT_ONCE = frozenset({1, 2})


class Message(NamedTuple):
    """One MT as accepted; the fields are the row's, in its order."""

    id: int
    front: int
    partner_id: int | None
    im_account: int | None
    im_message_id: int | None
    service: str
    source: str
    source_ton: int
    source_npi: int
    destination: str
    destination_ton: int
    destination_npi: int
    encoding: int
    data_coding: int
    esm_class: int
    protocol_id: int
    priority: int
    registered_delivery: int
    segments: int
    reference: str | None
    accepted_at: int  # UTC µs
    expires_at: int


class Flight:
    """One segment on its way, with all that its next steps need, so that nothing is read again."""

    __slots__ = (
        "accepted_s",
        "attempts",
        "body",
        "held_minor",
        "is_possible_duplicate",
        "link",
        "message",
        "queue",
        "segment_id",
        "sent_s",
        "tlvs",
        "tried",
        "wallet",
    )

    def __init__(
        self,
        segment_id: int,
        message: Message,
        body: bytes,
        link: str,
        *,
        attempts: int = 0,
        is_possible_duplicate: bool = False,
        wallet: int | None = None,
        held_minor: int = 0,
        accepted_s: float = 0.0,
        tlvs: bytes = b"",
        queue: int = 0,
    ) -> None:
        self.segment_id = segment_id
        self.message = message
        self.body = body
        self.link = link
        self.attempts = attempts
        self.is_possible_duplicate = is_possible_duplicate
        self.wallet = wallet
        self.held_minor = held_minor  # of the whole message
        self.accepted_s = accepted_s  # monotonic, for latency
        self.sent_s = 0.0
        self.tlvs = tlvs  # to pass on, as they stand in a PDU
        self.queue = queue  # domain.fairness.queue_of
        self.tried: tuple[str, ...] = ()  # links that it was moved away from

    def moved(self, link: str) -> Flight:
        """The same segment in another link's queue."""
        flight = Flight(
            self.segment_id,
            self.message,
            self.body,
            link,
            attempts=self.attempts,
            is_possible_duplicate=self.is_possible_duplicate,
            wallet=self.wallet,
            held_minor=self.held_minor,
            accepted_s=self.accepted_s,
            queue=self.queue,
            tlvs=self.tlvs,
        )
        flight.tried = (*self.tried, self.link)
        return flight


def fold(states: Iterable[int]) -> State:
    """A message's state from its segments': the least advanced live one, else the worst final one."""
    worst_live = worst_final = None
    for state in states:
        if state < FINAL:
            worst_live = state if worst_live is None else min(worst_live, state)
        else:
            worst_final = state if worst_final is None else max(worst_final, state)
    if worst_live is not None:
        return State(worst_live)
    assert worst_final is not None, "a message has at least one segment"
    return State(worst_final)
