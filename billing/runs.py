"""Export runs in SQL: which charges belong to which run, fixed once and for ever.

A run is opened, gathers its charges page by page, is closed, and is marked written when the manifests of all its files stand. A page
is found in a read and joined to the run by its ids, so the gateway's writer never waits for a scan. Each transition is
guarded by the state it starts from: a second export at work on the same run fails instead of mixing in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, select
from sqlalchemy.exc import IntegrityError

from billing import audit, bulk, calendar
from billing.audit import Act
from billing.booking import closed_until
from billing.errors import ExportError
from billing.event import ChargeState
from billing.profile import Profile
from billing.schema import charge
from billing.schema_exports import export_member, export_run

# So many charges join a run in one transaction: on SQLite the gateway's writer waits while it is made, and for its commit.
GATHER_ROWS = 512
_BILLABLE = (int(ChargeState.CAPTURED), int(ChargeState.ZERO_RATED))

Told = Callable[[str, int, int], None]


class RunState(IntEnum):
    """How far a run is."""

    GATHERING = -1
    CLOSED = 0
    WRITTEN = 1


class Books(NamedTuple):
    """How to begin a transaction that only reads, and one that writes."""

    reading: Callable[[], AbstractContextManager[Connection]]
    writing: Callable[[], AbstractContextManager[Connection]]


class Order(NamedTuple):
    """What to export, and who wants it: the days [first, after) of a carrier's books, of one service or provider where one is named."""

    carrier: str
    zone: str
    first: int
    after: int
    profile: Profile
    node: str
    producer: str
    created_by: str
    service: str | None = None
    provider: str | None = None


def open_run(books: Books, order: Order, span: calendar.Span, *, run_id: int, now_us: int) -> None:
    """Begin a run that has no charges yet."""
    with books.writing() as conn:
        of_carrier = (charge.c.carrier == order.carrier) & charge.c.journal_seq.is_not(None)
        row = {
            **_facts(order),
            "id": run_id,
            "first_day": order.first,
            "after_day": order.after,
            "from_us": span.from_us,
            "to_us": span.to_us,
            "service": order.service,
            "provider": order.provider,
            "upto_seq": conn.execute(select(func.coalesce(func.max(charge.c.journal_seq), 0)).where(of_carrier)).scalar_one(),
            "state": int(RunState.GATHERING),
            "is_period_closed": closed_until(conn).get(order.carrier, 0) >= order.after,
            "records": 0,
            "amount_minor": 0,
            "original": run_id,
            "created_at": now_us,
        }
        conn.execute(export_run.insert(), row)
        days = f"{calendar.write(order.first)} to {calendar.write(order.after)}"
        _note(conn, order, "export", run_id, {"profile": order.profile.name, "carrier": order.carrier, "days": days}, now_us)


def open_revision(books: Books, before: Any, order: Order, *, reason: str, approved_by: str, run_id: int, now_us: int) -> None:
    """Begin a revision of a written run: the same charges, told anew in the profile's form of today."""
    if before.state != RunState.WRITTEN:
        raise ExportError(f"run {before.id} is not written yet; export its days again first")
    row = {
        **{name: getattr(before, name) for name in _KEPT},
        **_facts(order),
        "id": run_id,
        "state": int(RunState.CLOSED),
        "revision": before.revision + 1,
        "supersedes": before.id,
        "reason": reason,
        "approved_by": approved_by,
        "created_at": now_us,
    }
    try:
        with books.writing() as conn:
            conn.execute(export_run.insert(), row)
            detail: dict[str, object] = {"supersedes": str(before.id), "reason": reason, "approved_by": approved_by}
            _note(conn, order, "export-revise", run_id, detail, now_us)
    except IntegrityError as error:
        raise ExportError(f"run {before.id} is revised by another one already; name the newest") from error


_KEPT = (
    *("carrier", "first_day", "after_day", "from_us", "to_us", "service", "provider", "upto_seq", "is_period_closed"),
    *("records", "amount_minor", "lost_records", "original"),
)


def gather(books: Books, run: Any, page_rows: int, told: Told) -> None:
    """Give the run its charges, from where an interrupted export left it, count what no file holds, and close it."""
    records, amount_minor, after = run.records, run.amount_minor, _last_member(books, run.id)
    while page := _page(books, run, after, page_rows):
        amount_minor += sum(row[2] for row in page)
        _join(books, run, [row[1] for row in page], records, amount_minor)
        records, after = records + len(page), page[-1][0]
        told("gathering", records, 0)
    with books.reading() as conn:
        left = select(func.count()).select_from(charge).where(_scope(run), charge.c.journal_seq <= run.upto_seq, ~_is_taken(run.profile))
        lost = conn.execute(left).scalar_one()
    with books.writing() as conn:
        _advance(conn, run.id, records, state=int(RunState.CLOSED), lost_records=lost)


def has_unexported(books: Books, order: Order) -> bool:
    """Whether a charge of the order is in no file of its profile yet."""
    query = select(charge.c.id).where(_scope_of(order), ~_is_taken(order.profile.name)).limit(1)
    with books.reading() as conn:
        return conn.execute(query).first() is not None


def runs_of(books: Books, order: Order) -> list[Any]:
    """The newest revisions of the runs of exactly this order, and those of the carrier that an interrupted export left, oldest first."""
    columns = export_run.c
    of_order = and_(
        columns.first_day == order.first,
        columns.after_day == order.after,
        func.coalesce(columns.service, "") == (order.service or ""),
        func.coalesce(columns.provider, "") == (order.provider or ""),
    )
    newer = export_run.alias("newer")
    is_newest = ~select(newer.c.id).where(newer.c.original == columns.original, newer.c.revision > columns.revision).exists()
    is_open = columns.state != int(RunState.WRITTEN)
    query = select(export_run).where(
        columns.profile == order.profile.name, columns.carrier == order.carrier, is_open | (of_order & is_newest)
    )
    with books.reading() as conn:
        return list(conn.execute(query.order_by(columns.created_at, columns.id)))


def by_id(books: Books, run_id: int) -> Any:
    """One run; raises ExportError when there is none."""
    with books.reading() as conn:
        run = conn.execute(select(export_run).where(export_run.c.id == run_id)).one_or_none()
    if run is None:
        raise ExportError(f"there is no run {run_id}; `bellhop billing export list` shows them")
    return run


def revision_of(books: Books, run_id: int) -> Any:
    """The run whose files replace those of this one; None while there is none."""
    with books.reading() as conn:
        return conn.execute(select(export_run).where(export_run.c.supersedes == run_id)).one_or_none()


def mark_written(books: Books, run_id: int, now_us: int) -> None:
    """Note that the manifests of all its files stand; what was written once keeps its first date."""
    values = {"state": int(RunState.WRITTEN), "written_at": now_us}
    with books.writing() as conn:
        conn.execute(export_run.update().where(export_run.c.id == run_id, export_run.c.state == int(RunState.CLOSED)).values(values))


class Previewed(NamedTuple):
    """What an export would find of one currency, record type and service; `exported` of the records are in files already."""

    currency: str
    record_type: int
    service: str
    records: int
    amount_minor: int
    tax_minor: int
    exported: int


def preview(books: Books, order: Order) -> list[Previewed]:
    """Counts and sums of an order, without opening a run."""
    columns = charge.c
    key = (columns.currency, columns.record_type, columns.service)
    is_member = case((_is_taken(order.profile.name), 1), else_=0)
    query = (
        select(*key, func.count(), func.sum(columns.amount_minor), func.sum(columns.tax_minor), func.sum(is_member))
        .where(_scope_of(order))
        .group_by(*key)
        .order_by(*key)
    )
    with books.reading() as conn:
        # A sum of bigints is a numeric on PostgreSQL.
        return [Previewed(*row[:3], *(int(figure) for figure in row[3:])) for row in conn.execute(query)]


def _facts(order: Order) -> dict[str, Any]:
    return {
        "profile": order.profile.name,
        "spec": order.profile.spec(),
        "node": order.node,
        "producer": order.producer,
        "carrier": order.carrier,
        "zone": order.zone,
        "created_by": order.created_by,
    }


def _note(conn: Connection, order: Order, act: str, run_id: int, detail: dict[str, object], now_us: int) -> None:
    audit.record(conn, Act(order.created_by, act, f"export:{run_id}", detail), now_us=now_us)


def _scope_of(order: Order) -> ColumnElement[bool]:
    return _charges(order.carrier, order.first, order.after, order.service, order.provider)


def _scope(run: Any) -> ColumnElement[bool]:
    return _charges(run.carrier, run.first_day, run.after_day, run.service, run.provider)


def _charges(carrier: str, first: int, after: int, service: str | None, provider: str | None) -> ColumnElement[bool]:
    columns = charge.c
    conditions: list[ColumnElement[bool]] = [
        columns.carrier == carrier,
        columns.journal_seq.is_not(None),
        columns.period >= first,
        columns.period < after,
        columns.state.in_(_BILLABLE),
    ]
    if service is not None:
        conditions.append(columns.service == service)
    if provider is not None:
        conditions.append(columns.provider == provider)
    return and_(*conditions)


def _is_taken(profile: str) -> ColumnElement[bool]:
    columns = export_member.c
    return select(columns.run_id).where(columns.charge_id == charge.c.id, columns.profile == profile).exists()


def _page(books: Books, run: Any, after: int, page_rows: int) -> list[Any]:
    """The next charges of the run that are in no file: (journal_seq, id, amount)."""
    columns = charge.c
    query = (
        select(columns.journal_seq, columns.id, columns.amount_minor)
        .where(_scope(run), columns.journal_seq > after, columns.journal_seq <= run.upto_seq, ~_is_taken(run.profile))
        .order_by(columns.journal_seq)
        .limit(page_rows)
    )
    with books.reading() as conn:
        return list(conn.execute(query))


def _join(books: Books, run: Any, ids: Sequence[int], records: int, amount_minor: int) -> None:
    members = [(run.id, number, id_, run.profile) for number, id_ in enumerate(ids, records + 1)]
    try:
        with books.writing() as conn:
            _advance(conn, run.id, records, records=records + len(ids), amount_minor=amount_minor)
            bulk.execute(conn, _INSERT_MEMBERS, members)
    except IntegrityError as error:
        raise ExportError("another export is at work on the same charges; run this one again") from error


_INSERT_MEMBERS = bulk.insert_into(export_member, "run_id", "record_seq", "charge_id", "profile")


def _last_member(books: Books, run_id: int) -> int:
    query = (
        select(charge.c.journal_seq)
        .join(export_member, export_member.c.charge_id == charge.c.id)
        .where(export_member.c.run_id == run_id)
        .order_by(export_member.c.record_seq.desc())
        .limit(1)
    )
    with books.reading() as conn:
        last = conn.execute(query).scalar()
    return -1 if last is None else int(last)


def _advance(conn: Connection, run_id: int, expected_records: int, **values: int) -> None:
    columns = export_run.c
    guard = (columns.id == run_id) & (columns.state == int(RunState.GATHERING)) & (columns.records == expected_records)
    if conn.execute(export_run.update().where(guard).values(**values)).rowcount != 1:
        raise ExportError("another export is at work on the same run; run this one again")


def members(books: Books, run: Any, sources: Sequence[str], after_seq: int, page_rows: int) -> list[tuple[Any, ...]]:
    """The next page of a run's charges in the order of the file: plain tuples of `sources`, `record_seq` among them."""
    names = ", ".join("export_member.record_seq" if name == "record_seq" else f"charge.{name}" for name in sources)
    with books.reading() as conn:
        mark = "%s" if conn.dialect.name == "postgresql" else "?"
        sql = (
            f"SELECT {names} FROM export_member JOIN charge ON charge.id = export_member.charge_id"  # noqa: S608 - names of our own
            f" WHERE export_member.run_id = {mark} AND export_member.record_seq > {mark} ORDER BY export_member.record_seq LIMIT {mark}"
        )
        # The driver's own tuples: a row object a record is a fifth of the time of an export.
        return list(conn.exec_driver_sql(sql, (run.original, after_seq, page_rows)).cursor.fetchall())
