"""What waits for a link: rows in their queues, and rows whose time has yet to come.

A queued segment without `retry_at` is in its queue (index segment_queue); one with it waits for that time (index segment_due) and is
in no queue until then. So retries, and any number of scheduled messages, cost the queues nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, text, tuple_

from billing import bulk
from gateway.domain.message import Flight
from gateway.store import options
from gateway.store.messages import FLIGHTS, flight_of
from gateway.store.schema import segment

# Spelt out, not bound: only so can the engine see that a partial index covers the query.
_IS_IN_QUEUE = text("segment.state = 0 AND segment.retry_at IS NULL")
_WAITS = text("segment.state = 0 AND segment.retry_at IS NOT NULL")

_PAGE = (
    FLIGHTS.where(
        _IS_IN_QUEUE, segment.c.link == bindparam("link"), segment.c.queue == bindparam("queue"), segment.c.id > bindparam("after")
    )
    .order_by(segment.c.id)
    .limit(bindparam("limit"))
)
_DUE = (
    FLIGHTS.add_columns(segment.c.retry_at)
    .where(
        _WAITS,
        segment.c.retry_at <= bindparam("until"),
        segment.c.retry_at >= bindparam("from_at"),
        tuple_(segment.c.retry_at, segment.c.id) > tuple_(bindparam("from_at"), bindparam("from_id")),
    )
    .order_by(segment.c.retry_at, segment.c.id)
    .limit(bindparam("limit"))
)
_DUE_OF_LINK = _DUE.where(segment.c.link == bindparam("link"))

# One step of the index per queue, however long the queues are.
_KEYS = text(
    """
    WITH RECURSIVE key(queue) AS (
        SELECT (SELECT queue FROM segment WHERE state = 0 AND retry_at IS NULL AND link = :link ORDER BY queue LIMIT 1)
        UNION ALL
        SELECT (SELECT segment.queue FROM segment
                WHERE segment.state = 0 AND segment.retry_at IS NULL AND segment.link = :link AND segment.queue > key.queue
                ORDER BY segment.queue LIMIT 1)
        FROM key WHERE key.queue IS NOT NULL
    )
    SELECT queue FROM key WHERE queue IS NOT NULL
    """
)
_RELEASE = bulk.update_of(segment, "id", guard="segment.state = 0", sets="retry_at = NULL")


class Wanted(NamedTuple):
    """What to read of one queue."""

    queue: int
    after: int  # segment id
    limit: int


class Waiting(NamedTuple):
    """A segment that waits for its time."""

    flight: Flight
    retry_at: int


def keys(conn: Connection, link: str) -> list[int]:
    """For reading: the queues of a link that have rows."""
    return [row[0] for row in conn.execute(_KEYS, {"link": link})]


def pages(conn: Connection, link: str, wanted: Sequence[Wanted]) -> list[list[Flight]]:
    """For reading: the next segments of these queues, each in order."""
    found = [
        [flight_of(row) for row in conn.execute(_PAGE, {"link": link, "queue": each.queue, "after": each.after, "limit": each.limit}).all()]
        for each in wanted
    ]
    options.dress(conn, [flight for page in found for flight in page])
    return found


def due(conn: Connection, after: tuple[int, int], until: int, limit: int, link: str | None = None) -> list[Waiting]:
    """For reading: segments whose time comes by `until`, after (retry_at, id), in that order; of one link, or of all."""
    asked = {"from_at": after[0], "from_id": after[1], "until": until, "limit": limit}
    rows = conn.execute(_DUE, asked) if link is None else conn.execute(_DUE_OF_LINK, {**asked, "link": link})
    found = [Waiting(flight_of(row), row[-1]) for row in rows.all()]
    options.dress(conn, [each.flight for each in found])
    return found


def release(conn: Connection, segment_ids: Sequence[int]) -> None:
    """Put segments whose time has come into their queues."""
    bulk.execute(conn, _RELEASE, [(segment_id,) for segment_id in segment_ids])


def count_queued(conn: Connection, now_us: int) -> int:
    """For reading: segments that could leave now; what is scheduled for later is not counted."""
    in_queue = conn.exec_driver_sql("SELECT count(*) FROM segment WHERE state = 0 AND retry_at IS NULL").scalar_one()
    waiting = text("SELECT count(*) FROM segment WHERE state = 0 AND retry_at IS NOT NULL AND retry_at <= :now")
    return int(in_queue) + int(conn.execute(waiting, {"now": now_us}).scalar_one())
