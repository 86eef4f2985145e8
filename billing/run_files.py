"""The files of a run in SQL: each takes the next number of its profile and carrier, and a written one keeps its hash for ever."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from billing.errors import ExportError
from billing.manifest import period_name
from billing.profile import Profile
from billing.runs import Books
from billing.schema_exports import export_file


class FileState(IntEnum):
    """How far a file is; from 1 on its bytes never change."""

    OPEN = 0
    WRITTEN = 1
    DELIVERED = 2
    ACKED = 3
    REJECTED = 4


class RunFile(NamedTuple):
    """One file of a run."""

    run_id: int
    part: int
    profile: str
    carrier: str
    file_seq: int
    revision: int
    first_record: int
    records: int | None
    state: int
    closure: str | None
    file_name: str
    bytes: int | None
    sha256: str | None
    previous_sha256: str | None
    supersedes_sha256: str | None


_COLUMNS = tuple(export_file.c[name] for name in RunFile._fields)


def files_of(books: Books, run_id: int) -> list[RunFile]:
    """The files of a run that have a number, by part."""
    query = select(*_COLUMNS).where(export_file.c.run_id == run_id).order_by(export_file.c.part)
    with books.reading() as conn:
        return [RunFile(*row) for row in conn.execute(query)]


def open_file(books: Books, run: Any, profile: Profile, *, part: int, first_record: int) -> RunFile:
    """Give the next part of a run the next number; raises ExportError while the file before it is not written."""
    of_carrier = (export_file.c.profile == run.profile) & (export_file.c.carrier == run.carrier) & (export_file.c.revision == 0)
    try:
        with books.writing() as conn:
            file_seq = conn.execute(select(func.coalesce(func.max(export_file.c.file_seq), 0)).where(of_carrier)).scalar_one() + 1
            row = {
                "run_id": run.id,
                "part": part,
                "profile": run.profile,
                "carrier": run.carrier,
                "file_seq": file_seq,
                "revision": 0,
                "first_record": first_record,
                "state": int(FileState.OPEN),
                "file_name": _name(run, profile, file_seq, 0),
                "previous_sha256": _sha256_before(conn, run, file_seq),
            }
            conn.execute(export_file.insert(), row)
    except IntegrityError as error:
        raise ExportError("another export is at work on the same run; run this one again") from error
    return RunFile(**{name: row.get(name) for name in RunFile._fields})  # type: ignore[arg-type] # columns by name


def open_revised(books: Books, run: Any, profile: Profile) -> None:
    """Give a revision its files: numbers and bounds of those it supersedes, once."""
    before = files_of(books, run.supersedes)
    if files_of(books, run.id):
        return
    rows = [
        each._replace(
            run_id=run.id,
            revision=run.revision,
            state=int(FileState.OPEN),
            file_name=_name(run, profile, each.file_seq, run.revision),
            bytes=None,
            sha256=None,
            supersedes_sha256=each.sha256,
        )._asdict()
        for each in before
    ]
    with books.writing() as conn:
        conn.execute(export_file.insert(), rows)


def mark_written(books: Books, file: RunFile, now_us: int) -> None:
    """Note what was written; of two exports at work on one file the second changes nothing."""
    values = {
        "state": int(FileState.WRITTEN),
        "records": file.records,
        "closure": file.closure,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "written_at": now_us,
    }
    with books.writing() as conn:
        of_file = (export_file.c.run_id == file.run_id) & (export_file.c.part == file.part)
        conn.execute(export_file.update().where(of_file, export_file.c.state == int(FileState.OPEN)).values(values))


def _sha256_before(conn: Connection, run: Any, file_seq: int) -> str | None:
    if file_seq == 1:
        return None
    columns = export_file.c
    before = (
        (columns.profile == run.profile) & (columns.carrier == run.carrier) & (columns.file_seq == file_seq - 1) & (columns.revision == 0)
    )
    found: str | None = conn.execute(select(columns.sha256).where(before)).scalar()
    if found is None:
        raise ExportError(f"file {file_seq - 1} of {run.carrier} is being written by another export; run this one again")
    return found


def _name(run: Any, profile: Profile, file_seq: int, revision: int) -> str:
    period = period_name(run.first_day, run.after_day)
    return f"{run.node}_{run.profile}_{run.carrier}_{period}_{file_seq:08d}_r{revision:02d}.{profile.extension}"
