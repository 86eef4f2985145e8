"""Receipts that found no message: kept, searchable, and taken up when their message turns up."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from gateway.store.schema import parked_receipt


class Parked(NamedTuple):
    """A receipt without a message."""

    id: int
    link: str
    smsc_id: str
    message_state: int
    error: str | None
    received_at: int


_COLUMNS = (
    parked_receipt.c.id,
    parked_receipt.c.link,
    parked_receipt.c.smsc_id,
    parked_receipt.c.state,
    parked_receipt.c.error,
    parked_receipt.c.received_at,
)


def park(conn: Connection, id_: int, link: str, smsc_id: str, message_state: int, error: str | None, at: int) -> None:
    """Keep a receipt; the same one again is kept once."""
    known = select(parked_receipt.c.id).where(
        parked_receipt.c.smsc_id == smsc_id,
        parked_receipt.c.link == link,
        parked_receipt.c.state == message_state,
        parked_receipt.c.done_at.is_(None),
    )
    if conn.execute(known).first() is None:
        conn.execute(insert(parked_receipt).values(id=id_, link=link, smsc_id=smsc_id, state=message_state, error=error, received_at=at))


def take_parked(conn: Connection, link: str, smsc_id: str, since: int, at: int) -> Parked | None:
    """The final receipt waiting under an id, marked as used; one older than `since` belongs to an earlier use of the id."""
    query = (
        select(*_COLUMNS)
        .where(
            parked_receipt.c.smsc_id == smsc_id,
            parked_receipt.c.link == link,
            parked_receipt.c.done_at.is_(None),
            parked_receipt.c.received_at >= since,
        )
        .order_by(parked_receipt.c.id)
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    conn.execute(update(parked_receipt).where(parked_receipt.c.id == row[0]).values(done_at=at))
    return Parked(*row)


def count_parked(conn: Connection) -> int:
    """For reading: receipts still without a message."""
    return int(conn.exec_driver_sql("SELECT count(*) FROM parked_receipt WHERE done_at IS NULL").scalar_one())
