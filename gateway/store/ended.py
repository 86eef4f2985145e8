"""Segments that have ended, as a late receipt may still find them: the failed and expired ones by the SMSC's id, any by its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select, text

from gateway.domain.message import MESSAGE_MASK, State
from gateway.store.schema import message, segment

# Spelt as the partial index is.
_IS_UNDELIVERED = text("segment.state IN (11, 12) AND segment.smsc_id IS NOT NULL")


class End(NamedTuple):
    """How a segment ended; `message_state` is None where nobody but us said so."""

    segment_id: int
    state: State
    message_state: int | None


def of_segment(conn: Connection, segment_id: int) -> End | None:
    """How a segment ended, None while it lives."""
    columns = (segment.c.id, segment.c.state, segment.c.message_state)
    row = conn.execute(select(*columns).where(segment.c.id == segment_id, segment.c.state >= int(State.DELIVERED))).one_or_none()
    return End(row[0], State(row[1]), row[2]) if row is not None else None


def undelivered(conn: Connection, links: Sequence[str], smsc_ids: Sequence[str], destination: str) -> End | None:
    """The newest failed or expired segment to a handset that one of these ids names on one of these links."""
    query = (
        select(segment.c.id, segment.c.state, segment.c.message_state)
        .select_from(segment.join(message, message.c.id == segment.c.id.op("&")(MESSAGE_MASK)))
        .where(_IS_UNDELIVERED, segment.c.smsc_id.in_(smsc_ids), segment.c.link.in_(links), message.c.destination == destination)
        .order_by(segment.c.id.desc())
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    return End(row[0], State(row[1]), row[2]) if row is not None else None
