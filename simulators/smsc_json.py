"""The SMSC simulator's values as JSON, and the query parameters of its API as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from simulators.phones import SENT, Message, Phone
from simulators.smsc_messages import Taken


class BadInput(Exception):
    """Something the caller sent is wrong; `field` names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def time_text(at_us: int) -> str | None:
    """UTC with milliseconds, as ISO 8601; None for a time that has not come."""
    if not at_us:
        return None
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_us // 1000 % 1000:03d}Z"


def message_document(message: Message) -> dict[str, Any]:
    """One message of a phone."""
    is_sent = message.direction == SENT
    document: dict[str, Any] = {
        "id": message.id,
        "direction": message.direction,
        "from": message.phone if is_sent else message.peer,
        "to": message.peer if is_sent else message.phone,
        "text": message.text,
        "at": time_text(message.at_us),
        "parts": message.parts,
        "parts_total": message.parts_total,
        "complete": message.is_complete,
        "repeats": message.repeats,
    }
    if is_sent:
        document |= {"state": message.state, "encoding": message.encoding}
    if message.text is None:
        document["hex"] = message.raw.hex()
    if message.port is not None:
        document["port"] = message.port
    return document


def phone_document(phone: Phone) -> dict[str, Any]:
    """One phone as the list shows it."""
    shown = phone.messages or phone.incomplete()
    return {
        "msisdn": phone.msisdn,
        "messages": len(phone.messages),
        "incomplete": len(phone.incomplete()),
        "last": message_document(shown[-1]) if shown else None,
    }


def taken_document(taken: Taken) -> dict[str, Any]:
    """One submit_sm as it arrived, and what became of it."""
    pdu = taken.pdu
    return {
        "id": taken.id,
        "at": time_text(taken.at_us),
        "system_id": taken.system_id,
        "from": pdu.source_addr,
        "to": pdu.destination_addr,
        "data_coding": pdu.data_coding,
        "udhi": taken.udhi,
        "registered_delivery": pdu.registered_delivery,
        "text": taken.text(),
        "hex": taken.body.hex(),
        "state": taken.state.name.lower(),
        "done_at": time_text(taken.done_us),
    }


def number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query within its bounds."""
    written = query.get(name, "").strip()
    if not written:
        return default
    if not written.isascii() or not written.isdigit() or len(written) > 18 or not least <= int(written) <= most:
        raise BadInput(name, f"expected a whole number from {least} to {most}")
    return int(written)


def seconds(query: Mapping[str, str], name: str, most: float) -> float:
    """A time span of the query; 0 when it is not there."""
    try:
        value = float(query.get(name) or 0.0)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise BadInput(name, f"expected seconds from 0 to {most:g}")
    return value


def choice(query: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """One of a few words; the first is the default."""
    value = query.get(name) or allowed[0]
    if value not in allowed:
        raise BadInput(name, f"one of {', '.join(allowed)}")
    return value


def text_of(document: Mapping[str, object], name: str) -> str:
    """A required text of a JSON body."""
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise BadInput(name, "a text is required")
    return value
