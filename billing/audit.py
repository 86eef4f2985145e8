"""Who did what to the books: one row for each act of a person, chained by hashes so that a row changed or taken out shows.

Traffic is not here, only what people decide: approvals, refunds, closings, settlements. The chain's end is read in the writer's own
transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, text

from billing import names
from billing.errors import AuditError, NameRefusedError
from billing.schema import audit_log

ACTOR_CHARS_MAX = 64
_GENESIS = "0" * 64
_PAGE_ROWS = 1_000


class Act(NamedTuple):
    """What a person did: `subject` is the thing it was done to, as `charge:123` or `tariff:main/3`; amounts go into `detail`."""

    actor: str
    act: str
    subject: str
    detail: Mapping[str, object] = {}


class Entry(NamedTuple):
    """One row of the log."""

    seq: int
    at: int
    actor: str
    act: str
    subject: str
    detail: str
    hash: str


class Detail(NamedTuple):
    """Who did something, when, and what the act says of itself."""

    actor: str
    at: int
    content: Mapping[str, Any]


def record(conn: Connection, act: Act, *, now_us: int) -> int:
    """Append an act; its number. Raises AuditError for an actor without a name."""
    try:
        names.checked(act.actor, "actor", ACTOR_CHARS_MAX)
    except NameRefusedError as error:
        raise AuditError(str(error)) from None
    lock(conn)
    last = conn.execute(select(audit_log.c.seq, audit_log.c.hash).order_by(audit_log.c.seq.desc()).limit(1)).first()
    seq, previous = (1, _GENESIS) if last is None else (last.seq + 1, last.hash)
    detail = json.dumps(dict(act.detail), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    row = {"seq": seq, "at": now_us, "actor": act.actor, "act": act.act, "subject": act.subject, "detail": detail}
    conn.execute(audit_log.insert(), {**row, "previous": previous, "hash": _hash(previous, row)})
    return seq


def lock(conn: Connection) -> None:
    """Let nobody else write an act until this transaction ends: for who weighs what was done before against what is done now."""
    if conn.dialect.name == "postgresql":  # SQLite has one writer
        conn.execute(text("LOCK TABLE audit_log IN EXCLUSIVE MODE"))


def entries(conn: Connection, *, after: int = 0, subject: str = "", actor: str = "", rows_max: int = 100) -> list[Entry]:
    """A page of the log by number; of one subject or actor where one is given."""
    columns = audit_log.c
    query = select(*(columns[name] for name in Entry._fields)).where(columns.seq > after)
    if subject:
        query = query.where(columns.subject == subject)
    if actor:
        query = query.where(columns.actor == actor)
    return [Entry(*row) for row in conn.execute(query.order_by(columns.seq).limit(rows_max))]


def details(conn: Connection, act: str, subject: str) -> list[Detail]:
    """All acts of one name on one thing with what they say, oldest first."""
    columns = audit_log.c
    query = select(columns.actor, columns.at, columns.detail).where(columns.subject == subject, columns.act == act)
    return [Detail(actor, at, json.loads(detail)) for actor, at, detail in conn.execute(query.order_by(columns.seq))]


def broken_at(conn: Connection) -> int | None:
    """The number of the first row that does not follow from the one before it, in number or in hash; None when the chain holds."""
    previous, seq = _GENESIS, 0
    while True:
        query = select(audit_log).where(audit_log.c.seq > seq).order_by(audit_log.c.seq).limit(_PAGE_ROWS)
        page = conn.execute(query).mappings().all()
        for row in page:
            if row["seq"] != seq + 1 or row["previous"] != previous or row["hash"] != _hash(previous, dict(row)):
                return int(row["seq"])
            seq, previous = row["seq"], row["hash"]
        if len(page) < _PAGE_ROWS:
            return None


def length(conn: Connection) -> int:
    """How many acts are in the log."""
    return int(conn.execute(select(func.count()).select_from(audit_log)).scalar_one())


def _hash(previous: str, row: Mapping[str, Any]) -> str:
    content = [previous, *(row[name] for name in ("seq", "at", "actor", "act", "subject", "detail"))]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
