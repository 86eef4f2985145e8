"""What senders want with a message that was accepted: to know where it is, to have it back, to have it say something else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from gateway.smpp import pdu as p
from gateway.smpp.consts import Tag
from simulators import house
from simulators.evidence import Evidence, Sent
from simulators.streams import Stream

CANCELS = ("cancel", "cancel all")
_LONG_S = 15.0


class Thought(NamedTuple):
    """One wish, so long after the answer to the one before, or to the message itself."""

    kind: str  # as Asked
    after_s: float
    text: str = ""
    text_token: str = ""
    delay_s: int = 0  # of a replacement: a new schedule, so far ahead; 0 leaves it


def draw_thoughts(numbers: Stream, evidence: Evidence, sent: Sent, *, is_ours_to_change: bool = True) -> tuple[Thought, ...]:
    """Up to three; nothing is changed after a cancellation, only asked for. Many come at once: they race with the link."""
    found: list[Thought] = []
    kinds = ["query", "cancel", "cancel"] + ["replace"] * 3 * is_ours_to_change
    if sent.front == "smpp" and sent.source == house.NEWS_SENDER:
        kinds.append("cancel all")
    if sent.front == "http":
        kinds.remove("query")
    for _ in range(numbers.choice([1, 1, 2, 3])):
        kind = numbers.choice(kinds)
        after_s = numbers.choice([0.0, 0.0, numbers.random() * 2, numbers.random() * _LONG_S])
        if kind == "replace":
            token = evidence.another_text(sent)
            delay_s = numbers.randint(2, 12) if numbers.random() < 0.3 else 0
            found.append(Thought(kind, after_s, text_like(numbers, token, sent.data_coding), token, delay_s))
        else:
            found.append(Thought(kind, after_s))
        if kind in CANCELS:
            kinds = ["query"] if sent.front == "smpp" else []
            if not kinds:
                break
    return tuple(found)


def text_like(numbers: Stream, token: str, data_coding: int) -> str:
    """A text that can be written in the coding of the first one: replace_sm has none of its own."""
    if data_coding == 8:
        return "好".join([token] * numbers.choice([1, 12, 24])) + "改"
    return " ".join([token] * numbers.choice([1, 1, 30, 60])) + " changed"


def pdu_of(thought: Thought, sent: Sent) -> p.Pdu:
    """What a partner sends to have his wish."""
    message_id = str(sent.message_id)
    if thought.kind == "query":
        return p.QuerySm(message_id=message_id, source_addr_npi=1, source_addr=sent.source)
    if thought.kind == "cancel":
        return p.CancelSm(message_id=message_id, source_addr_npi=1, source_addr=sent.source)
    if thought.kind == "cancel all":
        return p.CancelSm(
            service_type=sent.service, source_addr_npi=1, source_addr=sent.source, dest_addr_ton=1, dest_addr_npi=1,
            destination_addr=sent.destination,
        )  # fmt: skip
    octets = thought.text.encode("utf-16-be" if sent.data_coding == 8 else "ascii")
    is_short = len(octets) <= 140
    return p.ReplaceSm(
        message_id=message_id,
        source_addr_npi=1,
        source_addr=sent.source,
        schedule_delivery_time=relative(thought.delay_s) if thought.delay_s else "",
        registered_delivery=sent.registered_delivery,
        short_message=octets if is_short else b"",
        tlvs={} if is_short else {int(Tag.MESSAGE_PAYLOAD): octets},
    )


def relative(delay_s: int) -> str:
    """So many seconds from now, as SMPP writes it (3.4 section 7.1.1.2)."""
    assert 0 < delay_s < 60
    return f"0000000000{delay_s:02d}000R"


def absolute(at_s: float) -> str:
    """A time of the run, as SMPP writes it."""
    at = datetime.fromtimestamp(house.START_US // 1_000_000 + int(at_s), UTC)
    return f"{at:%y%m%d%H%M%S}000+"
