"""Carriers' files in SQL: a file is read in batches, and counts only when it was read whole and its trailer agreed.

Until then it is READING, and nothing looks at it; what refuses it takes its lines out again, and a crash leaves lines that the next import
of the same file takes out. Batches are short transactions, so the gateway beside it goes on writing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import IntEnum
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import IntegrityError

from billing import audit, bulk, calendar, statement_file
from billing.audit import Act
from billing.carriers import Carrier
from billing.errors import CarrierFileError
from billing.runs import Books
from billing.schema_reconciliation import carrier_file, carrier_line, recon_item
from billing.statement_file import Record
from billing.statement_profile import Profile

# One transaction writes so many lines: on SQLite the gateway's writer waits while it is made.
BATCH_ROWS = 1_000
_INSERT = bulk.insert_into(carrier_line, "file_id", *Record._fields)


class FileState(IntEnum):
    """Whether a file may be used."""

    READING = 0
    USABLE = 1


class Source(NamedTuple):
    """A file by the name it is told by, and how to open it; it is opened twice."""

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


class Import(NamedTuple):
    """What a file is imported as."""

    carrier: Carrier
    period: int
    profile: Profile
    actor: str


class Imported(NamedTuple):
    """A file that is usable now."""

    file_id: int
    sha256: str
    lines: int


def import_file(books: Books, source: Source, wanted: Import, *, file_id: int, now_us: int, batch_rows: int = BATCH_ROWS) -> Imported:
    """Read a file into the store; raises CarrierFileError, naming line and field, and then nothing of it is there."""
    sha256 = _sha256(source)
    _open(books, source, wanted, sha256, file_id, now_us)
    try:
        lines = _read(books, source, wanted, sha256, file_id, batch_rows)
        with books.writing() as conn:
            _advance(conn, file_id, state=int(FileState.USABLE), line_count=lines)
            told: dict[str, object] = {"carrier": wanted.carrier.name, "period": calendar.write(wanted.period), "sha256": sha256}
            act = Act(wanted.actor, "reconcile.import", f"carrier_file:{file_id}", {**told, "file": source.name[:160], "lines": lines})
            audit.record(conn, act, now_us=now_us)
    except BaseException:
        _remove(books, file_id)
        raise
    return Imported(file_id, sha256, lines)


def drop(books: Books, file_id: int, *, actor: str, now_us: int) -> None:
    """Take out a file that no comparison used, such as one that was read by the wrong profile; it may be imported again then."""
    with books.writing() as conn:
        used = conn.execute(select(recon_item.c.run).where(recon_item.c.file_id == file_id).limit(1)).first()
        if used is not None:
            raise CarrierFileError(f"file {file_id} is part of comparison {used.run} and stays")
        unused = (carrier_file.c.id == file_id) & (carrier_file.c.state == int(FileState.USABLE))
        if conn.execute(update(carrier_file).where(unused).values(state=int(FileState.READING))).rowcount != 1:
            raise CarrierFileError(f"there is no file {file_id}")
        audit.record(conn, Act(actor, "reconcile.drop", f"carrier_file:{file_id}"), now_us=now_us)
    _remove(books, file_id)


def usable(conn: Connection, carrier: str, period: int) -> list[Any]:
    """The files of a carrier for a period, in the order of their import."""
    columns = carrier_file.c
    condition = (columns.carrier == carrier) & (columns.period == period) & (columns.state == int(FileState.USABLE))
    return list(conn.execute(select(carrier_file).where(condition).order_by(columns.id)))


def listed(conn: Connection, carrier: str = "") -> list[Any]:
    """Every usable file, of one carrier where one is given."""
    columns = carrier_file.c
    query = select(carrier_file).where(columns.state == int(FileState.USABLE))
    return list(conn.execute((query.where(columns.carrier == carrier) if carrier else query).order_by(columns.id)))


def fields(file: Any) -> dict[str, Any]:
    """A row of `listed` as JSON."""
    names = ("carrier", "name", "profile", "sha256", "imported_by")
    told = {"file_id": str(file.id), "period": calendar.write(file.period), "records": file.line_count}
    return {**{name: getattr(file, name) for name in names}, **told}


def lines(conn: Connection, file_id: int, after_line: int, rows_max: int) -> list[Any]:
    """The next page of a file's lines, without their text."""
    columns = carrier_line.c
    facts = [column for column in columns if column.name not in ("file_id", "raw")]
    query = select(*facts).where(columns.file_id == file_id, columns.line_no > after_line)
    return list(conn.execute(query.order_by(columns.line_no).limit(rows_max)))


def raw_line(conn: Connection, file_id: int, line_no: int) -> str | None:
    """A line as it came."""
    columns = carrier_line.c
    found: str | None = conn.execute(select(columns.raw).where(columns.file_id == file_id, columns.line_no == line_no)).scalar()
    return found


def _sha256(source: Source) -> str:
    hashed = hashlib.sha256()
    with source.open() as file:
        while chunk := file.read(1 << 20):
            hashed.update(chunk)
    return hashed.hexdigest()


def _open(books: Books, source: Source, wanted: Import, sha256: str, file_id: int, now_us: int) -> None:
    """Take the file's hash for this import, from a crashed one too."""
    columns = carrier_file.c
    row = {
        "id": file_id,
        "carrier": wanted.carrier.name,
        "period": wanted.period,
        "name": source.name[:160],
        "profile": wanted.profile.name,
        "profile_toml": wanted.profile.toml,
        "sha256": sha256,
        "state": int(FileState.READING),
        "imported_by": wanted.actor,
        "imported_at": now_us,
    }
    with books.reading() as conn:
        known = conn.execute(select(carrier_file).where(columns.carrier == wanted.carrier.name, columns.sha256 == sha256)).first()
    if known is not None and known.state == int(FileState.USABLE):
        period = calendar.write(known.period)
        raise CarrierFileError(f"{source.name}: the same file was imported before, as {known.name} for {period} by {known.imported_by}")
    if known is not None:
        _remove(books, known.id)
    try:
        with books.writing() as conn:
            conn.execute(carrier_file.insert(), row)
    except IntegrityError as error:
        raise CarrierFileError(f"{source.name}: the same file is being imported by somebody else") from error


def _read(books: Books, source: Source, wanted: Import, sha256: str, file_id: int, batch_rows: int) -> int:
    first, after = calendar.days(wanted.period)
    count, hashed = 0, hashlib.sha256()
    with source.open() as file:
        records = statement_file.read(_hashed(file, hashed.update), wanted.profile, first, after, wanted.carrier.zone)
        try:
            while batch := [(file_id, *record) for record in islice(records, batch_rows)]:
                with books.writing() as conn:
                    _advance(conn, file_id, line_count=count)
                    bulk.execute(conn, _INSERT, batch)
                count += len(batch)
        except CarrierFileError as error:
            raise CarrierFileError(f"{source.name}: {error}") from None
    if hashed.hexdigest() != sha256:
        raise CarrierFileError(f"{source.name}: the file was changed while it was read; import it again")
    return count


def _hashed(file: BinaryIO, update_hash: Callable[[bytes], None]) -> Iterator[bytes]:
    # A line without an end is read in pieces no longer than what refuses it.
    while line := file.readline(statement_file.LINE_BYTES_MAX + 1):
        update_hash(line)
        yield line


def _advance(conn: Connection, file_id: int, **values: int) -> None:
    mine = (carrier_file.c.id == file_id) & (carrier_file.c.state == int(FileState.READING))
    if conn.execute(update(carrier_file).where(mine).values(**values)).rowcount != 1:
        raise CarrierFileError("another import of the same file took over; this one stops")


def _remove(books: Books, file_id: int, step: int = 20_000) -> None:
    """Take out a file that is not usable: lines first, in steps, so that a crash leaves what can be taken out again."""
    columns = carrier_line.c
    while True:
        with books.writing() as conn:
            page = select(columns.line_no).where(columns.file_id == file_id).order_by(columns.line_no).limit(step)
            last = max((row.line_no for row in conn.execute(page)), default=None)
            if last is None:
                unusable = (carrier_file.c.id == file_id) & (carrier_file.c.state == int(FileState.READING))
                conn.execute(delete(carrier_file).where(unusable))
                return
            conn.execute(delete(carrier_line).where(columns.file_id == file_id, columns.line_no <= last))
