"""MO rows: parts until they are joined, and whole messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from gateway.sms.national import Shift
from gateway.sms.reassembly import Part, PartKey
from gateway.store.schema import mo, mo_part

SETTLED = 0


class Mo(NamedTuple):
    """One whole MO; the fields are the row's, in its order."""

    id: int
    link: str
    source: str
    source_ton: int
    source_npi: int
    destination: str
    destination_ton: int
    destination_npi: int
    data_coding: int
    esm_class: int
    parts: int
    parts_missing: int
    text: str | None
    body: bytes
    outcome: str
    partner_id: int | None
    im_account: int | None
    fingerprint: int
    session_id: int
    received_at: int
    protocol_id: int = 0
    tlvs: bytes | None = None  # as they stand in a PDU


class StoredPart(NamedTuple):
    """A part at rest."""

    id: int
    part: Part
    mo_id: int | None
    link: str
    tlvs: bytes = b""


def insert_mo(conn: Connection, row: Mo) -> None:
    """Write a whole MO."""
    conn.execute(insert(mo).values(**row._asdict()))


def is_repeat(conn: Connection, fingerprint: int, session_id: int, since: int) -> bool:
    """Whether the same came a short while ago over another connection: then the SMSC missed our answer and sent it again.

    A connection that ended with unbind missed none of our answers: what was answered is marked 0, and the same words once more are
    new words.
    """
    query = select(mo.c.id).where(
        mo.c.fingerprint == fingerprint, mo.c.received_at >= since, mo.c.session_id != session_id, mo.c.session_id != SETTLED
    )
    return conn.execute(query.limit(1)).first() is not None


class Parted(NamedTuple):
    """A connection that ended in order: `since_id` is the least id to look at, `unheard` came by it and was not answered any more."""

    session_id: int
    since_id: int
    unheard: frozenset[int]


def settle_sessions(conn: Connection, sessions: Sequence[Parted]) -> list[None]:
    """Mark what came by these connections and was answered."""
    for session_id, since_id, unheard in sessions:
        came_by_it = (mo.c.id >= since_id, mo.c.session_id == session_id, mo.c.id.not_in(unheard))
        conn.execute(update(mo).where(*came_by_it).values(session_id=SETTLED))
    return [None] * len(sessions)


def parts_of(conn: Connection, key: PartKey) -> list[StoredPart]:
    """The parts that came under a key, in order of arrival."""
    columns = (
        mo_part.c.id,
        mo_part.c.number,
        mo_part.c.body,
        mo_part.c.data_coding,
        mo_part.c.received_at,
        mo_part.c.mo_id,
        mo_part.c.link,
        mo_part.c.shift,
        mo_part.c.tlvs,
    )
    query = select(*columns).where(*_is_key(key)).order_by(mo_part.c.id)
    return [
        StoredPart(row[0], Part(row[1], bytes(row[2]), row[3], row[4], Shift(*divmod(row[7], 256))), row[5], row[6], bytes(row[8] or b""))
        for row in conn.execute(query)
    ]


def insert_part(conn: Connection, id_: int, key: PartKey, part: Part, link: str, tlvs: bytes = b"") -> None:
    """Keep one part."""
    conn.execute(
        insert(mo_part).values(
            id=id_,
            source=key.source,
            destination=key.destination,
            reference=key.reference,
            is_wide=key.wide,
            total=key.total,
            number=part.number,
            link=link,
            data_coding=part.data_coding,
            body=part.body,
            received_at=part.received_at,
            shift=part.shift.locking * 256 + part.shift.single,
            tlvs=tlvs or None,
        )
    )


def set_joined(conn: Connection, key: PartKey, mo_id: int) -> None:
    """Mark the parts of a message that is whole now."""
    conn.execute(update(mo_part).where(*_is_key(key)).values(mo_id=mo_id))


def forget_parts(conn: Connection, key: PartKey) -> None:
    """Remove the parts of an earlier message, whose reference is used again."""
    conn.execute(delete(mo_part).where(*_is_key(key)))


def keys_waiting_since(conn: Connection, before: int, limit: int) -> list[PartKey]:
    """Messages that still miss parts and whose last part came before this."""
    columns = (mo_part.c.source, mo_part.c.destination, mo_part.c.reference, mo_part.c.is_wide, mo_part.c.total)
    query = select(*columns).where(mo_part.c.mo_id.is_(None), mo_part.c.received_at < before).distinct().limit(limit)
    return [PartKey(row[0], row[1], row[2], bool(row[3]), row[4]) for row in conn.execute(query)]


def forget_joined_parts(conn: Connection, before: int) -> int:
    """Remove parts joined long ago; how many."""
    return conn.execute(delete(mo_part).where(mo_part.c.mo_id.is_not(None), mo_part.c.received_at < before)).rowcount


def by_ids(conn: Connection, ids: list[int]) -> dict[int, Mo]:
    """MOs by id."""
    query = select(*(mo.c[name] for name in Mo._fields)).where(mo.c.id.in_(ids))
    return {row[0]: Mo(*tuple(row))._replace(body=bytes(row.body), tlvs=bytes(row.tlvs or b"") or None) for row in conn.execute(query)}


def _is_key(key: PartKey) -> tuple[ColumnElement[bool], ...]:
    return (
        mo_part.c.source == key.source,
        mo_part.c.destination == key.destination,
        mo_part.c.reference == key.reference,
        mo_part.c.is_wide == key.wide,
        mo_part.c.total == key.total,
    )
