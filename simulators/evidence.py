"""What was seen at the edges of a simulated gateway: the raw material of the auditor. Filled by the workload and the recording SMSC.

Every text carries a token, so that a message is recognised wherever it turns up: on the wire, on a phone, in a history, in the store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

TOKEN = re.compile(r"Q[0-9]{4}Q")


class Answer(Enum):
    """What whoever sent a message was told."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NONE = "none"  # no answer, or one that does not say: it may be there or not


@dataclass(eq=False)
class Sent:
    """One message handed to the gateway."""

    token: str
    front: str  # smpp, http or im
    owner: str  # the partner's name or the account's number
    service: str
    source: str  # empty for a chat: the gateway chooses the reply address
    destination: str
    text: str
    registered_delivery: int = 0
    validity_s: int = 0  # 0: as its service says
    key: str = ""  # idempotency key or client id: it may be sent again under it
    answer: Answer = Answer.NONE
    reason: str = ""
    message_id: int = 0
    chat_id: str = ""
    asked_at_s: float = 0.0


@dataclass(eq=False)
class OnWire:
    """One submit_sm as the SMSC saw it; `smsc_id` is empty when it was refused."""

    at_s: float
    token: str
    part: int
    source: str
    destination: str
    smsc_id: str
    status: int


@dataclass(eq=False)
class ReceiptSent:
    """The receipt of one accepted submit_sm: DELIVRD or not, and whether the gateway took it."""

    smsc_id: str
    is_delivered: bool
    at_s: float
    is_acknowledged: bool = False
    written: str = ""  # the id as the receipt has it


@dataclass(eq=False)
class PhoneSaid:
    """What a phone wrote: a reply to a chat message, a message to a partner's code, or STOP."""

    token: str
    phone: str
    to: str
    text: str
    account: str = ""  # whom the chat it answers belongs to
    partner: str = ""
    is_stop: bool = False
    parts: int = 1
    acknowledged: int = 0
    refused: int = 0
    acknowledged_at_s: float = 0.0


@dataclass(eq=False)
class Handed:
    """One deliver_sm that a partner got; `session` counts its binds, `status` is what it answered, None nothing."""

    partner: str
    session: int
    at_s: float
    receipt_of: int  # message id, 0 for an MO
    stat: str
    token: str
    text: str | None
    status: int | None


@dataclass(eq=False)
class Polled:
    """A GET of a message: the states of its parts at that time."""

    message_id: int
    at_s: float
    states: tuple[str, ...]
    state: str


@dataclass(eq=False)
class Line:
    """One line of an account's history at the end."""

    account: str
    peer: str
    direction: str
    text: str
    state: str
    client_id: str
    id: str


@dataclass(eq=False)
class Shown:
    """One whole message on a phone."""

    phone: str
    source: str
    text: str | None


@dataclass(eq=False)
class Evidence:
    """All of it, of one run."""

    seed: int
    is_calm: bool
    is_prompt: bool = False  # answers that arrive arrive at once
    sent: dict[str, Sent] = field(default_factory=dict)
    wire: list[OnWire] = field(default_factory=list)
    receipts: dict[str, ReceiptSent] = field(default_factory=dict)
    said: dict[str, PhoneSaid] = field(default_factory=dict)
    handed: list[Handed] = field(default_factory=list)
    polled: list[Polled] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)  # errors in the gateway's log, 5xx answers
    tokens: int = 0

    def token(self) -> str:
        """A token that nothing of this run has yet."""
        self.tokens += 1
        return f"Q{self.tokens:04d}Q"


def token_in(text: str | None) -> str:
    """The first token in a text; empty when there is none."""
    found = TOKEN.search(text) if text else None
    return found[0] if found else ""
