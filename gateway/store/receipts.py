"""Receipts that found no live message: kept, searchable, and taken up when their message turns up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from gateway.store.schema import parked_receipt

# How a parked receipt was closed.
ADOPTED, REPLAYED, REPEAT, LATE, CONTRADICTS, DISMISSED = "adopted", "replayed", "repeat", "late", "contradicts", "dismissed"
WAITING_MAX = 10_000


class Parked(NamedTuple):
    """A receipt without a message; the fields are the row's."""

    id: int
    link: str
    smsc_id: str
    state: int  # SMPP message_state
    error: str | None
    received_at: int
    source: str | None  # the handset
    destination: str | None  # our sender address
    stat: str | None
    excerpt: str | None
    done_at: int | None = None
    outcome: str | None = None
    segment_id: int | None = None


class Wanted(NamedTuple):
    """Which receipts are asked for; None is any."""

    link: str | None = None
    smsc_id: str | None = None
    handset: str | None = None
    since: int | None = None  # UTC µs
    is_waiting: bool = True


_COLUMNS = tuple(parked_receipt.c[name] for name in Parked._fields)


def park(conn: Connection, receipt: Parked) -> bool:
    """Keep a receipt; the same one again is kept once. Whether it is new."""
    known = select(parked_receipt.c.id).where(
        parked_receipt.c.smsc_id == receipt.smsc_id,
        parked_receipt.c.link == receipt.link,
        parked_receipt.c.state == receipt.state,
        parked_receipt.c.done_at.is_(None),
    )
    if receipt.done_at is None and conn.execute(known).first() is not None:
        return False
    conn.execute(insert(parked_receipt).values(**receipt._asdict()))
    return True


def is_known_of(conn: Connection, segment_id: int, state: int) -> bool:
    """Whether this state of an ended segment was recorded before."""
    query = select(parked_receipt.c.id).where(parked_receipt.c.segment_id == segment_id, parked_receipt.c.state == state)
    return conn.execute(query.limit(1)).first() is not None


def by_ids(conn: Connection, ids: Sequence[int]) -> list[Parked]:
    """Of these, the ones that still wait, oldest first."""
    query = select(*_COLUMNS).where(parked_receipt.c.id.in_(ids), parked_receipt.c.done_at.is_(None)).order_by(parked_receipt.c.id)
    return [Parked(*row) for row in conn.execute(query)]


def find(conn: Connection, id_: int) -> Parked | None:
    """For reading: one receipt, whatever became of it."""
    row = conn.execute(select(*_COLUMNS).where(parked_receipt.c.id == id_)).one_or_none()
    return Parked(*row) if row is not None else None


def page(conn: Connection, wanted: Wanted, after: int, limit: int) -> list[Parked]:
    """For reading: receipts in the order in which they came."""
    query = _where(select(*_COLUMNS), wanted).where(parked_receipt.c.id > after).order_by(parked_receipt.c.id).limit(limit)
    return [Parked(*row) for row in conn.execute(query)]


def newest_waiting(conn: Connection, limit: int = WAITING_MAX) -> list[Parked]:
    """The newest that still wait, oldest first."""
    query = select(*_COLUMNS).where(parked_receipt.c.done_at.is_(None)).order_by(parked_receipt.c.id.desc()).limit(limit)
    return [Parked(*row) for row in reversed(conn.execute(query).all())]


def close(conn: Connection, id_: int, outcome: str, at: int, segment_id: int | None = None) -> bool:
    """Say what became of a receipt; False when it was closed before."""
    is_open = (parked_receipt.c.id == id_) & parked_receipt.c.done_at.is_(None)
    values = {"done_at": at, "outcome": outcome, "segment_id": segment_id}
    return conn.execute(update(parked_receipt).where(is_open).values(**values)).rowcount == 1


def forget(conn: Connection, closed_before: int, waiting_before: int, limit: int) -> int:
    """Remove receipts that were closed, or came and were never closed, before these times; at most `limit` of them."""
    is_old = (parked_receipt.c.done_at < closed_before) | (
        parked_receipt.c.done_at.is_(None) & (parked_receipt.c.received_at < waiting_before)
    )
    old = select(parked_receipt.c.id).where(is_old).order_by(parked_receipt.c.id).limit(limit)
    return conn.execute(delete(parked_receipt).where(parked_receipt.c.id.in_(old))).rowcount


def of_message(conn: Connection, message_id: int, parts: int) -> list[Parked]:
    """For reading: what came for a message beside the receipt that ended it, or waited for it."""
    query = select(*_COLUMNS).where(parked_receipt.c.segment_id.between(message_id + 1, message_id + parts)).order_by(parked_receipt.c.id)
    return [Parked(*row) for row in conn.execute(query)]


def count_parked(conn: Connection) -> int:
    """For reading: receipts still without a message."""
    return int(conn.exec_driver_sql("SELECT count(*) FROM parked_receipt WHERE done_at IS NULL").scalar_one())


def count(conn: Connection, wanted: Wanted) -> int:
    """For reading: how many receipts are as asked for."""
    return int(conn.execute(_where(select(func.count()).select_from(parked_receipt), wanted)).scalar_one())


def _where(query: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.is_waiting:
        query = query.where(parked_receipt.c.done_at.is_(None))
    for column, value in ((parked_receipt.c.link, wanted.link), (parked_receipt.c.smsc_id, wanted.smsc_id)):
        if value is not None:
            query = query.where(column == value)
    if wanted.handset is not None:
        query = query.where(parked_receipt.c.source.in_((wanted.handset, f"+{wanted.handset}")))
    return query if wanted.since is None else query.where(parked_receipt.c.received_at >= wanted.since)
