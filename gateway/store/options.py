"""What few messages have: a schedule, a user_message_reference, TLVs to pass on; a row only for those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from billing import bulk
from gateway.domain.message import Flight
from gateway.store.schema import message_option

_KEYS_A_QUERY = 500


class Option(NamedTuple):
    """One row; the fields are the row's, in its order."""

    message_id: int
    schedule_at: int | None  # UTC µs
    user_reference: int | None
    tlvs: bytes | None  # as they stand in a PDU
    data_coding: int | None = None  # as the sender gave it, where its parts have another


_IN_USE = "message options"
_INSERT = bulk.insert_into(message_option, *Option._fields)
_ANY = "SELECT 1 FROM message_option LIMIT 1"
_BY_IDS = select(*(message_option.c[name] for name in Option._fields)).where(
    message_option.c.message_id.in_(bindparam("ids", expanding=True))
)


def insert(conn: Connection, rows: Sequence[Option]) -> None:
    """Write the options of new messages."""
    if rows:
        conn.info[_IN_USE] = True
        bulk.execute(conn, _INSERT, rows)


def are_in_use(conn: Connection) -> bool:
    """Whether any message has options, as far as this connection knows; asked once, so that who uses none pays nothing."""
    if _IN_USE not in conn.info:
        conn.info[_IN_USE] = bool(bulk.read(conn, _ANY))
    return bool(conn.info[_IN_USE])


def dress(conn: Connection, flights: Sequence[Flight]) -> None:
    """For reading: give segments that were read from their rows the TLVs of their messages."""
    found = load(conn, sorted({flight.message.id for flight in flights}))
    for flight in flights if found else ():
        option = found.get(flight.message.id)
        if option is not None and option.tlvs:
            flight.tlvs = bytes(option.tlvs)


def load(conn: Connection, message_ids: Sequence[int]) -> dict[int, Option]:
    """For reading: the options of those of these messages that have any, by message id."""
    found: dict[int, Option] = {}
    # Asked each time, for only the writer's connection would know; but it is one row against hundreds.
    if not message_ids or conn.exec_driver_sql(_ANY).first() is None:
        return found
    for start in range(0, len(message_ids), _KEYS_A_QUERY):
        for row in conn.execute(_BY_IDS, {"ids": message_ids[start : start + _KEYS_A_QUERY]}):
            found[row[0]] = Option(*row)
    return found
