"""The outbox: what is to be handed to partners and connectors, kept until they have it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from billing import bulk
from gateway.domain.ids import made_at_us
from gateway.domain.message import MESSAGE_MASK, Message, State
from gateway.store import options
from gateway.store.mo import Mo, by_ids
from gateway.store.schema import message, outbox, segment

_KEYS_A_QUERY = 500

KIND_RECEIPT = 1
KIND_MO = 2
KIND_CHAT = 3
KIND_STATUS = 4
KIND_INTERMEDIATE = 5  # a receipt; its state is SMPP's message_state


# Outcomes of rows that are done: 0 is taken, above it the command_status that refused it.
EXPIRED = -1


class Entry(NamedTuple):
    """One thing to hand over; the fields are the row's."""

    id: int
    target: str
    kind: int
    message_id: int
    state: int


_INSERT = bulk.insert_into(outbox, *Entry._fields)
_DONE = bulk.update_of(outbox, "id", "done_at", "outcome", guard="outbox.done_at IS NULL")


@lru_cache(maxsize=1024)
def partner_target(partner_id: int) -> str:
    """The target of what goes to a partner's binds."""
    return f"partner:{partner_id}"


def connector_target(name: str) -> str:
    """The target of what goes to a connector."""
    return f"connector:{name}"


def insert(conn: Connection, entries: Sequence[Entry]) -> None:
    """Write what is to be handed over."""
    if entries:
        bulk.execute(conn, _INSERT, entries)


def set_done(conn: Connection, rows: Sequence[tuple[int, int, int]]) -> list[None]:
    """Mark as handed over: (id, done_at, outcome); a repeat changes nothing."""
    bulk.execute(conn, _DONE, rows)
    return [None] * len(rows)


def waiting_before(conn: Connection, target: str, before: int, limit: int) -> list[int]:
    """For reading: the oldest ids that wait for a target, below `before`."""
    query = select(outbox.c.id).where(outbox.c.target == target, outbox.c.done_at.is_(None), outbox.c.id < before)
    return list(conn.execute(query.order_by(outbox.c.id).limit(limit)).scalars())


def count_waiting(conn: Connection) -> dict[str, int]:
    """For reading: how many wait, by target."""
    query = select(outbox.c.target, func.count()).where(outbox.c.done_at.is_(None)).group_by(outbox.c.target)
    return {row[0]: row[1] for row in conn.execute(query)}


def count_waiting_for(conn: Connection, target: str) -> int:
    """For reading: how many wait for one target."""
    query = select(func.count()).where(outbox.c.target == target, outbox.c.done_at.is_(None))
    return int(conn.execute(query).scalar_one())


def is_any_waiting(conn: Connection, target: str) -> bool:
    """For reading: whether anything waits for a target."""
    query = select(outbox.c.id).where(outbox.c.target == target, outbox.c.done_at.is_(None)).limit(1)
    return conn.execute(query).first() is not None


def page(conn: Connection, target: str, after: int, limit: int) -> list[Entry]:
    """For reading: what waits for a target, in order."""
    columns = [outbox.c[name] for name in Entry._fields]
    query = (
        select(*columns)
        .where(outbox.c.target == target, outbox.c.done_at.is_(None), outbox.c.id > after)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return [_entry(row) for row in conn.execute(query)]


def _entry(row: Any) -> Entry:
    return Entry(*row)


class Handover(NamedTuple):
    """An outbox row with all that its edge needs to say it."""

    entry: Entry
    message: Message | None  # a receipt or a chat status
    mo: Mo | None  # an MO or a chat message
    error: str | None
    done_at: int
    message_state: int | None = None  # SMPP's, of a receipt, where somebody said one
    delivered: int = 0  # parts
    user_reference: int | None = None  # of the submission, to be given back


def is_told(conn: Connection, entry: Entry) -> bool:
    """Whether a message has a row of this kind and state already."""
    same = (outbox.c.message_id == entry.message_id) & (outbox.c.kind == entry.kind) & (outbox.c.state == entry.state)
    return conn.execute(select(outbox.c.id).where(same).limit(1)).first() is not None


def load(conn: Connection, target: str, after: int, limit: int) -> list[Handover]:
    """For reading: what waits for a target, in order, with its facts."""
    entries = page(conn, target, after, limit)
    about_mo = [entry.message_id for entry in entries if entry.kind in (KIND_MO, KIND_CHAT)]
    about_mt = [entry.message_id for entry in entries if entry.kind in (KIND_RECEIPT, KIND_STATUS, KIND_INTERMEDIATE)]
    mos = by_ids(conn, about_mo) if about_mo else {}
    messages = _messages(conn, about_mt) if about_mt else {}
    ends = _ends(conn, messages.values())
    references = options.load(conn, list(messages)) if messages else {}
    loaded = []
    for entry in entries:
        message = messages.get(entry.message_id)
        handover = Handover(entry, message, mos.get(entry.message_id), None, 0)
        if message is not None:
            option = references.get(message.id)
            handover = _with_end(handover, ends[message.id], option.user_reference if option is not None else None)
        if handover.message is not None or handover.mo is not None:
            loaded.append(handover)
    return loaded


def _with_end(handover: Handover, parts: list[_Part], user_reference: int | None) -> Handover:
    entry = handover.entry
    done_at = max((part.done_at for part in parts), default=0)
    if entry.kind == KIND_INTERMEDIATE:
        return handover._replace(done_at=made_at_us(entry.id), message_state=entry.state, user_reference=user_reference)
    error = next((part.error for part in parts if part.error), None)
    said = next((part.message_state for part in parts if part.state == entry.state and part.message_state is not None), None)
    delivered = sum(part.state == State.DELIVERED for part in parts)
    return handover._replace(error=error, done_at=done_at, message_state=said, delivered=delivered, user_reference=user_reference)


class _Part(NamedTuple):
    state: int
    error: str | None
    done_at: int
    message_state: int | None


def _messages(conn: Connection, ids: list[int]) -> dict[int, Message]:
    query = select(*(message.c[name] for name in Message._fields)).where(message.c.id.in_(ids))
    return {row[0]: Message(*row) for row in conn.execute(query)}


def _ends(conn: Connection, messages: Iterable[Message]) -> dict[int, list[_Part]]:
    """Per message how its segments ended, by number."""
    ends: dict[int, list[_Part]] = {each.id: [] for each in messages}
    ids = [each.id + number for each in messages for number in range(1, each.segments + 1)]
    columns = (segment.c.id, segment.c.state, segment.c.error, segment.c.done_at, segment.c.message_state)
    for start in range(0, len(ids), _KEYS_A_QUERY):
        query = select(*columns).where(segment.c.id.in_(ids[start : start + _KEYS_A_QUERY])).order_by(segment.c.id)
        for segment_id, state, error, done_at, said in conn.execute(query):
            ends[segment_id & MESSAGE_MASK].append(_Part(state, error, done_at or 0, said))
    return ends
