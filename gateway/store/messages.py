"""Messages and segments: the rows of MT traffic, many at a time. What waits is read in store/queues.py.

Every function runs inside the writer's transaction, or on a reading connection where it says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, select, text

from billing import bulk
from billing.schema import charge
from gateway.domain.message import FINAL, MESSAGE_MASK, SEGMENTS_MAX, Flight, Message, State
from gateway.store import options
from gateway.store.schema import attempt, message, segment

_INSERT_MESSAGE = bulk.insert_into(message, *Message._fields)
_CLAIMED_COLUMNS = ("id", "state", "link", "body", "attempts", "expires_at", "claimed_at", "queue")
# What is written as claimed waits for nothing: a third of the cost of a row is in columns that only say so.
_INSERT_CLAIMED = bulk.insert_into(segment, *_CLAIMED_COLUMNS)
_INSERT_SEGMENT = bulk.insert_into(segment, *_CLAIMED_COLUMNS, "target", "retry_at")
_CLAIM = bulk.update_of(segment, "id", "claimed_at", "attempts", guard="segment.state = 0", sets="state = 1, retry_at = NULL")
_SUBMITTED = bulk.update_of(segment, "id", "smsc_id", "submitted_at", guard="segment.state IN (1, 3)", sets="state = 2, status = 0")
_SMSC_ID_ONLY = bulk.update_of(segment, "id", "smsc_id", "submitted_at", guard="segment.smsc_id IS NULL")
_MOVE = bulk.update_of(
    segment,
    *("id", "link"),
    operands=("link",),
    sets="state = 0, retry_at = NULL",
    guard="segment.state IN (0, 1, 3) AND segment.link = v.column3",
)
_RETRY = bulk.update_of(segment, "id", "status", "retry_at", "is_possible_duplicate", guard="segment.state IN (1, 3)", sets="state = 0")
_UNKNOWN = bulk.update_of(segment, "id", "error", guard="segment.state = 1", sets="state = 3")
_END = bulk.update_of(
    segment,
    *("id", "state", "done_at", "error"),
    operands=("status", "smsc_id", "message_state"),
    sets="status = COALESCE(v.column5, segment.status), smsc_id = COALESCE(v.column6, segment.smsc_id), message_state = v.column7",
    guard=f"segment.state < {FINAL}",
)
_INSERT_ATTEMPT = bulk.insert_into(
    attempt, "segment_id", "number", "link", "claimed_at", "ended_at", "outcome", "status", on_conflict="ON CONFLICT DO NOTHING"
)

# Spelt out, not bound: only so can the engine see that a partial index covers the query.
_IS_IN_QUEUE = text("segment.state = 0 AND segment.retry_at IS NULL")
_IS_IN_FLIGHT = text("segment.state IN (1, 2, 3)")

# How many keys one IN list takes: a few statement texts only, each cached by the engine.
_KEYS_A_QUERY = 500
_CANDIDATES_MAX = 100


class Ending(NamedTuple):
    """A segment's final state."""

    flight: Flight
    state: State
    done_at: int
    status: int | None
    error: str | None
    smsc_id: str | None = None
    message_state: int | None = None  # SMPP's, where the carrier or the sender said one


def insert(
    conn: Connection, messages: Sequence[Message], segments: Sequence[tuple[Any, ...]], claimed: Sequence[tuple[Any, ...]] = ()
) -> None:
    """Write accepted messages and their segments: (id, state, link, body, attempts, expires_at, claimed_at, queue, target, retry_at).

    Those of `claimed` have neither target nor retry_at.
    """
    bulk.execute(conn, _INSERT_MESSAGE, messages)
    bulk.execute(conn, _INSERT_CLAIMED, claimed)
    bulk.execute(conn, _INSERT_SEGMENT, segments)


def claim(conn: Connection, claims: Sequence[tuple[int, int, int]]) -> list[bool]:
    """Take queued segments for sending: (id, claimed_at, attempts); for each whether this took it, so that nobody else sends it too."""
    if bulk.all_or_none(conn, _CLAIM, claims):
        return [True] * len(claims)
    return [bulk.execute(conn, _CLAIM, [each]) == 1 for each in claims]


def queued_among(conn: Connection, segment_ids: Iterable[int]) -> set[int]:
    """Which of these are queued."""
    return _with_state(conn, list(segment_ids), (State.ACCEPTED,))


def set_submitted(conn: Connection, rows: Sequence[tuple[int, str, int]]) -> None:
    """Record the SMSC's ids: (segment id, smsc id, submitted_at); a segment whose receipt came first only gets its id."""
    if bulk.execute(conn, _SUBMITTED, rows) != len(rows):
        bulk.execute(conn, _SMSC_ID_ONLY, rows)


def set_retry(conn: Connection, rows: Sequence[tuple[int, int | None, int | None, bool]]) -> None:
    """Put segments back into the queue: (id, command_status, retry_at or None for its old place, is_possible_duplicate)."""
    bulk.execute(conn, _RETRY, rows)


def move(conn: Connection, rows: Sequence[tuple[int, str, str]]) -> list[bool]:
    """Give segments that are not with a carrier to another link's queue: (id, to, from); for each whether it was still there."""
    if bulk.all_or_none(conn, _MOVE, rows):
        return [True] * len(rows)
    return [bulk.execute(conn, _MOVE, [each]) == 1 for each in rows]


def set_unknown(conn: Connection, rows: Sequence[tuple[int, str]]) -> None:
    """Mark segments whose outcome nobody knows: (id, why)."""
    bulk.execute(conn, _UNKNOWN, rows)


def record_attempts(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep attempts that settled nothing: (segment id, number, link, claimed_at, ended_at, outcome, status)."""
    if rows:
        bulk.execute(conn, _INSERT_ATTEMPT, rows)


def end(conn: Connection, endings: Sequence[Ending]) -> list[bool]:
    """Give segments their final states; for each whether it was new."""
    rows = [
        (each.flight.segment_id, int(each.state), each.done_at, each.error, each.status, each.smsc_id, each.message_state)
        for each in endings
    ]
    ids = [row[0] for row in rows]
    if len(set(ids)) == len(ids) and bulk.all_or_none(conn, _END, rows):
        return [True] * len(rows)
    return [bulk.execute(conn, _END, [row]) == 1 for row in rows]


class Part(NamedTuple):
    """How one segment of a message stands."""

    number: int
    state: int
    smsc_id: str | None
    error: str | None
    message_state: int | None


def states_of(conn: Connection, message_ids: Iterable[int]) -> dict[int, list[Part]]:
    """Per message its segments, by number."""
    found: dict[int, list[Part]] = {}
    columns = (segment.c.id, segment.c.state, segment.c.smsc_id, segment.c.error, segment.c.message_state)
    for message_id in message_ids:
        query = select(*columns).where(segment.c.id.between(message_id + 1, message_id + SEGMENTS_MAX)).order_by(segment.c.id)
        found[message_id] = [Part(row[0] - message_id, *row[1:]) for row in conn.execute(query)]
    return found


FLIGHT_COLUMNS = (
    segment.c.id,
    segment.c.body,
    segment.c.link,
    segment.c.attempts,
    segment.c.is_possible_duplicate,
    charge.c.wallet,
    charge.c.amount_minor,
    segment.c.smsc_id,
    segment.c.queue,
    *(message.c[name] for name in Message._fields),
)
FLIGHTS = select(*FLIGHT_COLUMNS).select_from(
    segment.join(message, message.c.id == segment.c.id.op("&")(MESSAGE_MASK)).join(charge, charge.c.id == message.c.id)
)
_BY_SMSC_ID = FLIGHTS.where(
    _IS_IN_FLIGHT,
    segment.c.state.in_(bindparam("states", [1, 2, 3], expanding=True)),
    segment.c.smsc_id.in_(bindparam("smsc_ids", expanding=True)),
)
_BY_STATE = FLIGHTS.where(_IS_IN_FLIGHT, segment.c.state == bindparam("state")).order_by(segment.c.id).limit(bindparam("limit"))
_OVERDUE = FLIGHTS.where(segment.c.id.in_(bindparam("ids", expanding=True)))


def find_by_smsc_ids(conn: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Flight]:
    """The live segments that these (link, smsc id) name; the newest where an SMSC used an id again."""
    wanted = set(keys)
    found: dict[tuple[str, str], Flight] = {}
    ids = sorted({smsc_id for _, smsc_id in keys})
    for start in range(0, len(ids), _KEYS_A_QUERY):
        for row in conn.execute(_BY_SMSC_ID, {"smsc_ids": ids[start : start + _KEYS_A_QUERY]}).all():
            flight, key = flight_of(row), (row[2], row[7])
            if key in wanted and (key not in found or found[key].segment_id < flight.segment_id):
                found[key] = flight
    return found


def find_unanswered(conn: Connection, link: str, source: str, destination: str) -> list[tuple[Flight, State]]:
    """Segments on this link between these addresses that were sent and have no SMSC id: a receipt may be theirs. Not more than a few."""
    query = FLIGHTS.add_columns(segment.c.state).where(
        _IS_IN_FLIGHT,
        segment.c.state.in_([1, 3]),
        segment.c.smsc_id.is_(None),
        segment.c.link == link,
        message.c.source == source,
        message.c.destination == destination,
    )
    return [(flight_of(row), State(row[-1])) for row in conn.execute(query.limit(_CANDIDATES_MAX))]


def awaited(conn: Connection, link: str, submitted_before: int, after: int, limit: int) -> list[tuple[Flight, str]]:
    """For reading: segments, in order of their ids, that a link's carrier took before a time and has not ended, with the carrier's ids."""
    query = FLIGHTS.where(
        _IS_IN_FLIGHT,
        segment.c.state == int(State.SUBMITTED),
        segment.c.smsc_id > "",
        segment.c.link == link,
        segment.c.submitted_at <= submitted_before,
        segment.c.id > after,
    )
    return [(flight_of(row), row[7]) for row in conn.execute(query.order_by(segment.c.id).limit(limit))]


def in_state(conn: Connection, state: State, limit: int) -> list[Flight]:
    """For reading: sent segments in one of the live states, oldest first."""
    return [flight_of(row) for row in conn.execute(_BY_STATE, {"state": int(state), "limit": limit})]


def overdue(conn: Connection, before: int, grace_us: int, limit: int) -> list[Flight]:
    """For reading: segments past their validity; submitted ones only after the grace, for their receipt may be on its way.

    What waits for its time is looked at when that comes.
    """
    queued = select(segment.c.id).where(_IS_IN_QUEUE, segment.c.expires_at <= before).limit(limit)
    in_flight = select(segment.c.id).where(_IS_IN_FLIGHT, segment.c.expires_at <= before - grace_us).limit(limit)
    ids = [row[0] for row in conn.execute(queued)] + [row[0] for row in conn.execute(in_flight)]
    return [flight_of(row) for row in conn.execute(_OVERDUE, {"ids": ids[:limit]})] if ids else []


def of_message(conn: Connection, message_id: int) -> list[Flight]:
    """The segments of a message, whatever their states, in order."""
    in_message = segment.c.id.between(message_id + 1, message_id + SEGMENTS_MAX)
    flights = [flight_of(row) for row in conn.execute(FLIGHTS.where(in_message).order_by(segment.c.id))]
    options.dress(conn, flights)
    return flights


def flight_of(row: Row[Any]) -> Flight:
    """A row of FLIGHTS."""
    segment_id, body, link, attempts, is_possible_duplicate, wallet, held_minor, _smsc_id, queue, *rest = tuple(row)
    return Flight(
        segment_id,
        Message(*rest[: len(Message._fields)]),
        bytes(body),
        link,
        attempts=attempts,
        is_possible_duplicate=bool(is_possible_duplicate),
        wallet=wallet,
        held_minor=held_minor,
        queue=queue,
    )


def _with_state(conn: Connection, ids: list[int], states: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for start in range(0, len(ids), _KEYS_A_QUERY):
        query = select(segment.c.id).where(segment.c.id.in_(ids[start : start + _KEYS_A_QUERY]), segment.c.state.in_(states))
        found.update(row[0] for row in conn.execute(query))
    return found
