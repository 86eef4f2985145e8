"""The whole life of one message, read back from its rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from billing.money import Money
from billing.schema import charge
from gateway.domain.message import SEGMENTS_MAX, STATE_NAMES, Message, State, fold
from gateway.store import options, receipts
from gateway.store.schema import attempt, message, outbox, segment

SCHEDULED = "scheduled"


class Step(NamedTuple):
    """One thing that happened; `part` is 0 for the whole message."""

    at: int  # UTC µs
    part: int
    event: str  # a state's name, retry, unknown_outcome, charged, released, receipt_queued, receipt_taken
    detail: str


class Trace(NamedTuple):
    """A message with its state, its parts' rows, its charge row and its history in order of time."""

    message: Message
    state: State
    parts: list[dict[str, Any]]
    charge: dict[str, Any] | None
    history: list[Step]
    schedule_at: int | None = None
    tlvs: bytes = b""  # passed on with it, as they stand in a PDU

    @property
    def state_name(self) -> str:
        """The state's name, or that the message waits for its time."""
        is_scheduled = self.schedule_at is not None and all(
            part["state"] == State.ACCEPTED and not part["attempts"] and part["retry_at"] is not None for part in self.parts
        )
        return SCHEDULED if is_scheduled else STATE_NAMES[self.state]


_PART = (
    "id",
    "state",
    "link",
    "attempts",
    "is_possible_duplicate",
    "smsc_id",
    "retry_at",
    "claimed_at",
    "submitted_at",
    "done_at",
    "status",
    "error",
)
_CHARGE = ("state", "quantity", "unit_price_minor", "amount_minor", "currency", "booked_at", "parts_charged", "tariff_rule")


def read(conn: Connection, message_id: int) -> Trace | None:
    """For reading: the life of a message, None when there is no such one."""
    row = conn.execute(select(*(message.c[name] for name in Message._fields)).where(message.c.id == message_id)).one_or_none()
    if row is None:
        return None
    found = Message(*row)
    in_message = segment.c.id.between(message_id + 1, message_id + SEGMENTS_MAX)
    parts = [
        dict(part)
        for part in conn.execute(select(*(segment.c[name] for name in _PART)).where(in_message).order_by(segment.c.id)).mappings()
    ]
    charged = conn.execute(select(*(charge.c[name] for name in _CHARGE)).where(charge.c.id == message_id)).mappings().one_or_none()
    history = [Step(found.accepted_at, 0, "accepted", f"{found.segments} part(s)")]
    option = options.load(conn, [message_id]).get(message_id)
    schedule_at, tlvs = (None, b"") if option is None else (option.schedule_at, bytes(option.tlvs or b""))
    if schedule_at is not None:
        history.append(Step(schedule_at, 0, SCHEDULED, "not sent before"))
    for part in parts:
        history.extend(_part_steps(part, part["id"] - message_id))
    attempts = select(attempt).where(attempt.c.segment_id.between(message_id + 1, message_id + SEGMENTS_MAX))
    for tried in conn.execute(attempts).mappings():
        detail = f"attempt {tried['number']} on {tried['link']}" + (f", command_status 0x{tried['status']:08X}" if tried["status"] else "")
        event = "unknown_outcome" if tried["outcome"] == "unknown" else "retry"
        history.append(Step(tried["ended_at"], tried["segment_id"] - message_id, event, detail))
    for told in receipts.of_message(conn, message_id, found.segments):
        at, outcome = told.done_at or told.received_at, told.outcome or "waits"
        history.append(
            Step(at, (told.segment_id or message_id) - message_id, f"receipt_{outcome}", f"{told.stat or told.state} on {told.link}")
        )
    if charged is not None and charged["booked_at"] is not None:
        event = "charged" if charged["amount_minor"] and charged["state"] == 10 else "charge_closed"
        history.append(Step(charged["booked_at"], 0, event, str(Money(charged["amount_minor"], charged["currency"]))))
    waiting = select(outbox.c.id, outbox.c.done_at).where(outbox.c.message_id == message_id, outbox.c.id > message_id)
    history.extend(Step(told[1], 0, "sender_told", "") for told in conn.execute(waiting) if told[1] is not None)
    state = fold(part["state"] for part in parts)
    return Trace(found, state, parts, dict(charged) if charged is not None else None, sorted(history), schedule_at, tlvs)


def _part_steps(part: dict[str, Any], number: int) -> list[Step]:
    steps = []
    if part["claimed_at"] is not None:
        steps.append(Step(part["claimed_at"], number, "submitting", f"attempt {part['attempts']} on {part['link']}"))
    if part["submitted_at"] is not None:
        steps.append(Step(part["submitted_at"], number, "submitted", f"carrier's id {part['smsc_id']}"))
    if part["done_at"] is not None:
        steps.append(Step(part["done_at"], number, STATE_NAMES[part["state"]], part["error"] or ""))
    return steps
