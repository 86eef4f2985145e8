"""Comparing our books with a carrier's files: one run for the files of a period, its items, and whether it is within the tolerance.

Our side of a closed period cannot change any more, so a run is made once for the same files and profile; asked again, it is shown as it
is. A run that a crash left half way is made anew. A run for more files supersedes one that nobody has resolved anything of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from billing import audit, bulk, calendar, carrier_files, statement_profile
from billing.audit import Act
from billing.carriers import Carrier
from billing.errors import ReconciliationError
from billing.matching import Class
from billing.recon_sides import RunState, Sides, Totals
from billing.runs import Books
from billing.schema import carrier_books
from billing.schema_reconciliation import recon_item, recon_run

# One transaction writes so many items: on SQLite the gateway's writer waits while it is made.
WRITTEN_ROWS = 512
_INSERT = bulk.insert_into(
    recon_item,
    *("run", "number", "kind", "tier", "charge_id", "file_id", "line_no", "more_lines", "day", "msisdn", "service", "price_minor"),
    *("currency", "ours_count", "theirs_count", "ours_minor", "theirs_minor", "delta_minor"),
)


class Run(NamedTuple):
    """A run as it is shown; `totals` has an entry for each currency."""

    number: int
    carrier: str
    period: int
    state: RunState
    ours_count: int
    theirs_count: int
    item_count: int
    difference_count: int
    totals: list[dict[str, Any]]
    is_within: bool
    created_by: str
    created_at: int


def compare(books: Books, carrier: Carrier, period: int, *, actor: str, now_us: int) -> tuple[Run, bool]:
    """Compare a closed period with the carrier's files for it; the run, and whether it is new.

    Raises ReconciliationError for a period that is open, has no file, files of several profiles, or an earlier run with resolutions.
    """
    with books.reading() as conn:
        files = carrier_files.usable(conn, carrier.name, period)
        _refuse_unready(conn, carrier.name, period, files)
    digest = _digest(period, files)
    number = _open(books, carrier.name, period, digest, actor, now_us)
    if number is None:
        with books.reading() as conn:
            found = conn.execute(_of_period(carrier.name, period).where(recon_run.c.digest == digest)).one()
        return _shown(found), False
    profile = statement_profile.parse(files[0].profile_toml)
    sides = Sides(books, carrier.name, period, profile, files)
    rows, counts = sides.summary() if profile.kind == "summary" else sides.details()
    totals = Totals()
    _write(books, number, totals.counted(rows))
    with books.writing() as conn:
        is_within = totals.is_within(profile)
        state = RunState.REVIEW if totals.differences else RunState.ACCEPTED
        values = {"state": int(state), "ours_count": counts[0], "theirs_count": counts[1], "item_count": totals.items}
        values |= {"difference_count": totals.differences, "is_within": is_within}
        _advance(conn, number, RunState.COMPARING, **values, totals=json.dumps(totals.told(), separators=(",", ":")))
        detail = {"carrier": carrier.name, "period": calendar.write(period), "items": totals.items, "differences": totals.differences}
        audit.record(conn, Act(actor, "reconcile.run", f"recon:{number}", detail), now_us=now_us)
    with books.reading() as conn:
        return shown(conn, number), True


def shown(conn: Connection, number: int) -> Run:
    """A run by its number; raises ReconciliationError where there is none."""
    row = conn.execute(select(recon_run).where(recon_run.c.number == number)).one_or_none()
    if row is None or row.state == int(RunState.COMPARING):
        raise ReconciliationError(f"there is no comparison {number}")
    return _shown(row)


def listed(conn: Connection, carrier: str = "") -> list[Run]:
    """Every run that is through, of one carrier where one is given."""
    query = select(recon_run).where(recon_run.c.state != int(RunState.COMPARING))
    query = query.where(recon_run.c.carrier == carrier) if carrier else query
    return [_shown(row) for row in conn.execute(query.order_by(recon_run.c.number))]


def items(
    conn: Connection,
    run: int,
    *,
    kind: Class | None = None,
    resolution: int | None = None,
    is_open: bool = False,
    after: int = 0,
    rows_max: int = 100,
) -> list[Any]:
    """A page of a run's differences by number, or of the items of one class, with one resolution, or with none yet."""
    columns = recon_item.c
    query = select(recon_item).where(columns.run == run, columns.number > after)
    query = query.where(columns.kind != int(Class.MATCH)) if kind is None else query.where(columns.kind == int(kind))
    if resolution is not None:
        query = query.where(columns.resolution == resolution)
    if is_open:
        query = query.where(columns.resolution.is_(None))
    return list(conn.execute(query.order_by(columns.number).limit(rows_max)))


def is_closed(conn: Connection, carrier: str, period: int) -> bool:
    """Whether a carrier's books take no row of this day or month any more."""
    closed = conn.execute(select(carrier_books.c.closed_until).where(carrier_books.c.carrier == carrier)).scalar()
    return closed is not None and int(closed) >= calendar.days(period)[1]


def _refuse_unready(conn: Connection, carrier: str, period: int, files: Sequence[Any]) -> None:
    told = calendar.write(period)
    if not is_closed(conn, carrier, period):
        raise ReconciliationError(f"{told} of {carrier} is not closed yet; only a closed period is compared")
    if not files:
        raise ReconciliationError(f"no file of {carrier} was imported for {told}")
    if len({file.profile_toml for file in files}) > 1:
        names = ", ".join(sorted({f"{file.name} ({file.profile})" for file in files}))
        raise ReconciliationError(f"the files of {told} were read by different profiles: {names}; drop some and import them again")


def _digest(period: int, files: Sequence[Any]) -> str:
    content = [str(period), files[0].profile_toml, *sorted(file.sha256 for file in files)]
    return hashlib.sha256("\0".join(content).encode()).hexdigest()


def _of_period(carrier: str, period: int) -> Any:
    return select(recon_run).where(recon_run.c.carrier == carrier, recon_run.c.period == period)


def _open(books: Books, carrier: str, period: int, digest: str, actor: str, now_us: int) -> int | None:
    """A new run's number, or None when this comparison was made before."""
    with books.writing() as conn:
        earlier = conn.execute(_of_period(carrier, period).order_by(recon_run.c.number)).all()
        for row in earlier:
            if row.digest == digest and row.state != int(RunState.COMPARING):
                return None
            if row.digest == digest:
                _forget(conn, row.number)
            elif row.state != int(RunState.SUPERSEDED):
                _supersede(conn, row)
        number = int(conn.execute(select(func.coalesce(func.max(recon_run.c.number), 0))).scalar_one()) + 1
        values = {"number": number, "carrier": carrier, "period": period, "digest": digest, "state": int(RunState.COMPARING)}
        try:
            conn.execute(recon_run.insert(), {**values, "created_by": actor, "created_at": now_us})
        except IntegrityError as error:
            raise ReconciliationError("another comparison is at work; try again in a moment") from error
    return number


def _forget(conn: Connection, number: int) -> None:
    """Take out a run that a crash left half way."""
    conn.execute(delete(recon_item).where(recon_item.c.run == number))
    conn.execute(delete(recon_run).where(recon_run.c.number == number, recon_run.c.state == int(RunState.COMPARING)))


def _supersede(conn: Connection, row: Any) -> None:
    resolved = select(recon_item.c.number).where(recon_item.c.run == row.number, recon_item.c.resolution.is_not(None)).limit(1)
    if conn.execute(resolved).first() is not None:
        period = calendar.write(row.period)
        raise ReconciliationError(f"comparison {row.number} of {period} has resolved items; a new file for {period} cannot replace it")
    _advance(conn, row.number, RunState(row.state), state=int(RunState.SUPERSEDED))


def _write(books: Books, number: int, rows: Iterator[tuple[Any, ...]]) -> None:
    written = 0
    while page := list(islice(rows, WRITTEN_ROWS)):
        with books.writing() as conn:
            _advance(conn, number, RunState.COMPARING, item_count=written)
            bulk.execute(conn, _INSERT, [(number, written + place, *row) for place, row in enumerate(page, 1)])
        written += len(page)


def _advance(conn: Connection, number: int, was: RunState, /, **values: Any) -> None:
    mine = (recon_run.c.number == number) & (recon_run.c.state == int(was))
    if conn.execute(update(recon_run).where(mine).values(**values)).rowcount != 1:
        raise ReconciliationError(f"somebody else is at work on comparison {number}; run it again")


def _shown(row: Any) -> Run:
    values = {name: getattr(row, name) for name in Run._fields}
    return Run(**{**values, "state": RunState(row.state), "totals": json.loads(row.totals), "is_within": bool(row.is_within)})
