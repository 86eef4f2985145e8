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
    data_coding: int = 0
    delay_s: int = 0  # it is scheduled so long after it is asked for
    not_before_s: float = 0.0  # when that is; 0: it may go at once
    replaces: bool = False  # replace_if_present
    is_once: bool = False  # datagram mode: sent once, whatever comes of it
    group: str = ""  # of a submit_multi: the token in its text, which its fellows have too
    answer: Answer = Answer.NONE
    reason: str = ""
    message_id: int = 0
    chat_id: str = ""
    asked_at_s: float = 0.0
    answered_at_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)  # what its sender wanted with it later, in order


@dataclass(eq=False)
class Asked:
    """One query, cancellation or replacement, and what was answered."""

    kind: str  # query, cancel, cancel all, replace
    at_s: float
    text_token: str = ""  # of a replacement: in its new text
    not_before_s: float | None = None  # of a replacement: another schedule
    answer: Answer = Answer.NONE
    answered_at_s: float = 0.0
    reason: str = ""
    state: int = -1  # SMPP message_state in the answer to a query


@dataclass(eq=False)
class OnWire:
    """One submit_sm as an SMSC saw it; `smsc_id` is the link and the id of the response, empty when it was refused."""

    at_s: float
    link: str
    token: str  # the message's, however often its text was replaced
    text_token: str  # the one in its text
    part: int
    source: str
    destination: str
    smsc_id: str
    status: int


@dataclass(eq=False)
class ReceiptSent:
    """The receipts of one accepted submit_sm: what they say in order, and which the gateway took."""

    smsc_id: str
    stats: tuple[str, ...]  # those that settle something
    at_s: float
    written: str = ""  # the link and the id as the receipts have it
    acknowledged: list[str] = field(default_factory=list)

    @property
    def is_delivered(self) -> bool:
        return self.stats[0] == "DELIVRD"

    @property
    def is_acknowledged(self) -> bool:
        return bool(self.acknowledged)

    @property
    def is_contradicting(self) -> bool:
        """Whether they do not agree: then the first one that the gateway wrote down counts."""
        return len({stat == "DELIVRD" for stat in self.stats}) > 1


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
class Stop:
    """An opt-out that an operator recorded: from the answer on, nothing may leave from senders that begin so."""

    phone: str
    code: str
    at_s: float


@dataclass(eq=False)
class Handed:
    """One deliver_sm that a partner got; `session` counts its binds, `status` is what it answered, None nothing."""

    partner: str
    session: int
    at_s: float
    receipt_of: int  # message id, or that of a submit_multi; 0 for an MO
    phone: str
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
class Wish:
    """One request of the billing clerk, and what was answered; several may bear one reference."""

    kind: str  # refund, adjust, goodwill, topup
    subject: str  # a charge's id, or the party of a wallet
    amount_minor: int | None  # None: all that remains
    is_double: bool = False
    answer: Answer = Answer.NONE
    reason: str = ""
    is_new: bool = False
    record_ids: tuple[int, ...] = ()
    approval_id: int = 0  # it was too much for one person
    amounts: tuple[int, ...] = ()  # of those records, as the answer has them: above zero gives back, but for an adjustment

    @property
    def is_waiting(self) -> bool:
        """Whether the answer was that a second person has to agree."""
        return bool(self.approval_id) and not self.record_ids

    @property
    def content(self) -> tuple[str, int | None, bool]:
        """What makes two requests under one reference the same."""
        return self.subject, self.amount_minor, self.is_double


@dataclass(eq=False)
class Decision:
    """One answer of a second person to a request, and whether it counted."""

    approval_id: int
    is_approval: bool
    answer: Answer = Answer.NONE


@dataclass(eq=False)
class Closed:
    """One answered order to close a period: how it stands, and what was in it when it was closed."""

    period: int
    is_closed: bool
    records: int
    totals: dict[tuple[str, int, int, str], tuple[int, int, int]]  # by currency, kind, state, service: records, amount, tax


@dataclass(eq=False)
class Evidence:
    """All of it, of one run."""

    seed: int
    is_calm: bool
    is_prompt: bool = False  # answers that arrive arrive at once
    is_steady: bool = False  # and nothing is cut off or shuffled
    is_moving: bool = False  # messages may go from a link that is down to another
    lives: int = 1  # of the gateway
    sent: dict[str, Sent] = field(default_factory=dict)
    wire: list[OnWire] = field(default_factory=list)
    receipts: dict[str, ReceiptSent] = field(default_factory=dict)
    said: dict[str, PhoneSaid] = field(default_factory=dict)
    handed: list[Handed] = field(default_factory=list)
    polled: list[Polled] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)  # errors in the gateway's log, 5xx answers
    stops: list[Stop] = field(default_factory=list)
    wishes: dict[str, list[Wish]] = field(default_factory=dict)  # of the clerk, by kind and reference, in order
    decisions: list[Decision] = field(default_factory=list)
    closings: list[Closed] = field(default_factory=list)
    has_tax: bool = False  # a tariff prices that contains tax
    charges_late: bool = False  # the carrier's policy for receipts after the end
    seen_at_once: list[str] = field(default_factory=list)  # what the store should not have shown when an answer came
    first_tokens: dict[str, str] = field(default_factory=dict)  # of a text that replaces another: the first text's
    groups: set[str] = field(default_factory=set)  # tokens of submit_multi
    tokens: int = 0

    def token(self) -> str:
        """A token that nothing of this run has yet."""
        self.tokens += 1
        return f"Q{self.tokens:04d}Q"

    def ask(self, sents: list[Sent], now_s: float) -> None:
        """These are handed to the gateway now."""
        for sent in sents:
            sent.asked_at_s = now_s
            if sent.delay_s:
                sent.not_before_s = now_s + sent.delay_s

    def another_text(self, sent: Sent) -> str:
        """A token for a text that shall stand instead of what was sent."""
        token = self.token()
        self.first_tokens[token] = sent.group or sent.token
        return token

    def name_of(self, text_token: str, destination: str) -> str:
        """By what a message is known here, from what its text says and where it goes."""
        token = self.first_tokens.get(text_token, text_token)
        return f"{token}/{destination}" if token in self.groups else token


def token_in(text: str | None) -> str:
    """The first token in a text; empty when there is none."""
    found = TOKEN.search(text) if text else None
    return found[0] if found else ""
