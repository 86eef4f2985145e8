"""Export runs in SQL: which charges belong to which file, fixed once and for ever.

A run is opened with its number, gathers its charges page by page, is closed, and is marked written when its manifest stands. A page
is chosen in a read and written in a transaction of its own, so the gateway's writer never waits for a scan. Each transition is
guarded by the state it starts from: a second export at work on the same run fails instead of mixing in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, tuple_
from sqlalchemy.exc import IntegrityError

from billing import bulk
from billing.errors import ExportError
from billing.event import ChargeState
from billing.schema import charge, export_member, export_run

PROFILE = "charge"
_BILLABLE = (int(ChargeState.CAPTURED), int(ChargeState.ZERO_RATED))
_INSERT_MEMBER = bulk.insert_into(export_member, "charge_id", "run_id", "record_seq")


class RunState(IntEnum):
    """How far a run is."""

    GATHERING = -1
    CLOSED = 0
    WRITTEN = 1


class Books(NamedTuple):
    """How to begin a transaction that only reads, and one that writes."""

    reading: Callable[[], AbstractContextManager[Connection]]
    writing: Callable[[], AbstractContextManager[Connection]]


class Window(NamedTuple):
    """Which charges a run is for: those booked in [from_us, to_us) on the carrier's links (None: on any)."""

    carrier: str
    from_us: int
    to_us: int
    links: tuple[str, ...] | None


def open_run(books: Books, window: Window, *, run_id: int, now_us: int, name: Callable[[int], str]) -> None:
    """Take the next number of the carrier for a run that has no charges yet."""
    with books.writing() as conn:
        of_carrier = (export_run.c.profile == PROFILE) & (export_run.c.carrier == window.carrier)
        file_seq = conn.execute(select(func.coalesce(func.max(export_run.c.file_seq), 0)).where(of_carrier)).scalar_one() + 1
        row = {
            "id": run_id,
            "profile": PROFILE,
            "carrier": window.carrier,
            "file_seq": file_seq,
            "from_us": window.from_us,
            "to_us": window.to_us,
            "upto_seq": conn.execute(select(func.coalesce(func.max(charge.c.journal_seq), 0))).scalar_one(),
            "state": int(RunState.GATHERING),
            "records": 0,
            "amount_minor": 0,
            "file_name": name(file_seq),
            "created_at": now_us,
        }
        conn.execute(export_run.insert(), row)


def gather(books: Books, run: Any, links: Sequence[str] | None, page_rows: int) -> None:
    """Give the run its charges, from where an interrupted export left it, and close it."""
    records, amount_minor = run.records, run.amount_minor
    after = _last_member(books, run.id)
    while page := _page(books, run, links, after, page_rows):
        with books.writing() as conn:
            _join(conn, run.id, page, records)
            records += len(page)
            amount_minor += sum(row.amount_minor for row in page)
            _advance(conn, run.id, records - len(page), records=records, amount_minor=amount_minor)
        after = (page[-1].journal_seq, page[-1].id)
    with books.writing() as conn:
        _advance(conn, run.id, records, state=int(RunState.CLOSED))


def has_unexported(books: Books, window: Window) -> bool:
    """Whether a charge of the window is in no file yet."""
    with books.reading() as conn:
        return conn.execute(_unexported(window.from_us, window.to_us, window.links).limit(1)).first() is not None


def runs_of(books: Books, window: Window) -> list[Any]:
    """The runs of exactly this window, and those of the carrier that an interrupted export left unwritten, by number."""
    columns = export_run.c
    of_window = (columns.from_us == window.from_us) & (columns.to_us == window.to_us)
    condition = (columns.profile == PROFILE) & (columns.carrier == window.carrier)
    query = select(export_run).where(condition, of_window | (columns.state != int(RunState.WRITTEN)))
    with books.reading() as conn:
        return list(conn.execute(query.order_by(columns.file_seq)))


def sha256_before(books: Books, run: Any) -> str | None:
    """The hash of the carrier's file before this one."""
    columns = export_run.c
    condition = (columns.profile == run.profile) & (columns.carrier == run.carrier) & (columns.file_seq == run.file_seq - 1)
    with books.reading() as conn:
        found: str | None = conn.execute(select(columns.sha256).where(condition)).scalar()
    return found


def members(books: Books, run_id: int, after_seq: int, page_rows: int) -> list[Any]:
    """The next page of a run's charges in the order of the file, each with its record_seq."""
    columns = export_member.c
    query = (
        select(columns.record_seq, charge)
        .join(charge, charge.c.id == columns.charge_id)
        .where(columns.run_id == run_id, columns.record_seq > after_seq)
        .order_by(columns.record_seq)
        .limit(page_rows)
    )
    with books.reading() as conn:
        return list(conn.execute(query).mappings())


def mark_written(books: Books, run: Any, *, sha256: str, previous_sha256: str | None, now_us: int) -> None:
    """Note that the run's manifest stands; what was written once keeps its first date."""
    values = {"state": int(RunState.WRITTEN), "sha256": sha256, "previous_sha256": previous_sha256, "written_at": now_us}
    with books.writing() as conn:
        conn.execute(export_run.update().where(export_run.c.id == run.id, export_run.c.state == int(RunState.CLOSED)).values(values))


def _unexported(from_us: int, to_us: int, links: Sequence[str] | None) -> Any:
    columns = charge.c
    taken = select(export_member.c.charge_id).where(export_member.c.charge_id == columns.id).exists()
    query = select(columns.id, columns.journal_seq, columns.amount_minor).where(
        columns.journal_seq.is_not(None),
        columns.booked_at >= from_us,
        columns.booked_at < to_us,
        columns.state.in_(_BILLABLE),
        ~taken,
    )
    return query if links is None else query.where(columns.link.in_(links))


def _page(books: Books, run: Any, links: Sequence[str] | None, after: tuple[int, int], page_rows: int) -> Sequence[Any]:
    place = tuple_(charge.c.journal_seq, charge.c.id)
    query = _unexported(run.from_us, run.to_us, links).where(charge.c.journal_seq <= run.upto_seq, place > after)
    with books.reading() as conn:
        rows: Sequence[Any] = conn.execute(query.order_by(charge.c.journal_seq, charge.c.id).limit(page_rows)).all()
    return rows


def _last_member(books: Books, run_id: int) -> tuple[int, int]:
    query = (
        select(charge.c.journal_seq, charge.c.id)
        .join(export_member, export_member.c.charge_id == charge.c.id)
        .where(export_member.c.run_id == run_id)
        .order_by(export_member.c.record_seq.desc())
        .limit(1)
    )
    with books.reading() as conn:
        last = conn.execute(query).first()
    return (-1, -1) if last is None else (last[0], last[1])


def _join(conn: Connection, run_id: int, page: Sequence[Any], records: int) -> None:
    rows = [(row.id, run_id, records + place) for place, row in enumerate(page, 1)]
    try:
        bulk.execute(conn, _INSERT_MEMBER, rows)
    except IntegrityError as error:
        raise ExportError("another export is at work on the same charges; run this one again") from error


def _advance(conn: Connection, run_id: int, expected_records: int, **values: int) -> None:
    columns = export_run.c
    guard = (columns.id == run_id) & (columns.state == int(RunState.GATHERING)) & (columns.records == expected_records)
    if conn.execute(export_run.update().where(guard).values(**values)).rowcount != 1:
        raise ExportError("another export is at work on the same run; run this one again")
