"""The messenger's values as JSON, and JSON from outside as values; docs/chat.md lists every frame.

Ids are decimal strings: they have 63 bits, and a browser's numbers 53.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.connectors.embedded import (
    ContactEvent,
    ContactGone,
    Event,
    Goodbye,
    ListedContact,
    MessageEvent,
    PresenceEvent,
    Sent,
    StatusEvent,
)
from gateway.domain.failure import Kind, Refused
from gateway.domain.message import STATE_NAMES, State
from gateway.store.im import ImMessage

Json = dict[str, Any]
ID_MAX = 2**63 - 1


def parse_object(raw: str | bytes) -> Json:
    """A JSON object; Refused for anything else, of whatever depth and size."""
    try:
        value = orjson.loads(raw)
    except ValueError:
        raise Refused("bad_json", "this is not JSON") from None
    if not isinstance(value, dict):
        raise Refused("bad_json", "must be a JSON object")
    return value


def text_of(body: Json, field: str, default: str | None = None) -> str:
    """A string field; without a default it must be there."""
    value = body.get(field, default)
    if not isinstance(value, str):
        raise Refused("bad_field", "must be a string", field=field)
    return value


def optional_text_of(body: Json, field: str) -> str | None:
    """A string field that may be missing, null or empty."""
    return text_of({field: body.get(field) or ""}, field) or None


def number_of(value: object, field: str) -> int:
    """A whole number, also as decimal digits in a string."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= ID_MAX:
        raise Refused("bad_field", "must be a whole number, not negative", field=field)
    return value


def optional_number_of(values: Json, field: str) -> int | None:
    """A whole number that may be missing."""
    value = values.get(field)
    return None if value is None else number_of(value, field)


def message_json(message: ImMessage) -> Json:
    """One line of a history."""
    return {
        "id": str(message.id),
        "peer": message.peer,
        "direction": "out" if message.is_outgoing else "in",
        "text": message.text,
        "state": STATE_NAMES[State(message.state)],
        "reason": message.reason or "",
        "client_id": message.client_id or "",
        "at": datetime.fromtimestamp(message.at / 1_000_000, UTC).isoformat(timespec="milliseconds"),
    }


def sent_json(sent: Sent) -> Json:
    """What became of a message just sent, and what it costs."""
    accepted = sent.accepted
    return {
        "client_id": sent.message.client_id or "",
        "message": message_json(sent.message),
        "message_id": "" if accepted is None else str(accepted.message_id),
        "segments": 0 if accepted is None else accepted.segments,
        "encoding": "" if accepted is None else accepted.encoding,
        "price_minor": 0 if accepted is None else accepted.price_minor,
        "currency": "" if accepted is None else accepted.currency,
    }


def contact_json(listed: ListedContact) -> Json:
    """One line of a list."""
    contact, presence = listed
    return {
        "peer": contact.peer,
        "kind": "phone" if contact.is_phone else "account",
        "alias": contact.alias or "",
        "nick": contact.nick,
        "relation": contact.relation.value,
        "short_code": contact.short_code or "",
        "presence": presence.value,
    }


def event_json(event: Event) -> Json:
    """One frame for what happened."""
    match event:
        case MessageEvent(message):
            return {"type": "message", "message": message_json(message)}
        case StatusEvent(im_message_id, state, reason):
            return {"type": "status", "id": str(im_message_id), "state": STATE_NAMES[State(state)], "reason": reason}
        case PresenceEvent(peer, presence):
            return {"type": "presence", "peer": peer, "presence": presence.value}
        case ContactEvent(contact, presence):
            return {"type": "friend", "contact": contact_json(ListedContact(contact, presence))}
        case ContactGone(peer):
            return {"type": "friend_gone", "peer": peer}
        case Goodbye(reason):
            return {"type": "bye", "reason": reason}


def refused_json(refused: Refused) -> Json:
    """Why not, for a program (reason, field, retry) and for a person (text)."""
    is_retry_useful = refused.kind is not Kind.PERMANENT
    return {"reason": refused.reason, "field": refused.field, "text": refused.text, "retry": is_retry_useful}


def dump(frame: Json) -> str:
    """A frame as it goes out."""
    return orjson.dumps(frame).decode()
