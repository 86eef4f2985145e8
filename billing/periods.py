"""Days and months of a carrier's books: open, closing, closed, locked; nothing opens again.

A period is sealed by moving one number, `carrier_books.closed_until`, in a short transaction: whoever books reads that number in his
own, so from then on no row can enter. What is in the period is counted afterwards, in a read that blocks nobody, and written beside it;
an interrupted close goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from billing import audit, calendar
from billing.audit import Act
from billing.booking import closed_until
from billing.calendar import Span
from billing.carriers import Carrier
from billing.errors import PeriodError
from billing.runs import Books
from billing.schema import carrier_books, charge
from billing.schema_periods import period, period_total


class PeriodState(IntEnum):
    """How far a period is."""

    OPEN = 0
    CLOSING = 1
    CLOSED = 2
    LOCKED = 3


class Closing(NamedTuple):
    """What to close, and who does; `grace_us` is how long receipts may still come, `is_now` cuts that short."""

    carrier: Carrier
    period: int
    actor: str
    now_us: int
    grace_us: int = 0
    is_now: bool = False
    held: int = 0  # charges of its events that are still held, as the caller counted them


class Period(NamedTuple):
    """A period as its row says; one without a row is open."""

    carrier: str
    period: int
    state: PeriodState
    records: int = 0
    held: int = 0
    closing_by: str | None = None
    closed_at: int | None = None
    closed_by: str | None = None
    locked_by: str | None = None


class Total(NamedTuple):
    """One line of what is in a period: `state` is a ChargeState, amounts are signed minor units."""

    currency: str
    record_type: int
    state: int
    service: str
    records: int
    amount_minor: int
    tax_minor: int


def close(books: Books, closing: Closing) -> Period:
    """Close a period, or begin to: while its grace runs it is only marked as closing. A period closed before stays as it is.

    Raises PeriodError for one that is not over, or that does not follow what is closed.
    """
    with books.writing() as conn:
        known = seal(conn, closing)
    if known is not None:
        return known
    with books.reading() as conn:
        totals = totals_of(conn, closing.carrier.name, *calendar.days(closing.period))
    with books.writing() as conn:
        return finish(conn, closing, totals)


def seal(conn: Connection, closing: Closing) -> Period | None:
    """The first step of `close`: let no more rows in, and None; or the period, where it is closed already or its grace runs."""
    span = calendar.span_of(closing.period, closing.carrier.zone)
    if closing.now_us < span.to_us:
        raise PeriodError(f"{calendar.write(closing.period)} is not over yet on the clock of {closing.carrier.name}")
    known = _written(conn, closing.carrier.name, closing.period)
    if known is not None and known.state >= PeriodState.CLOSED:
        return known
    if closing.now_us < span.to_us + closing.grace_us and not closing.is_now:
        _mark(conn, closing, span, None)
        return find(conn, closing.carrier.name, closing.period)
    _seal(conn, closing, span)
    return None


def finish(conn: Connection, closing: Closing, totals: Sequence[Total]) -> Period:
    """The last step of `close`: write down what is in a sealed period; the first who comes here closes it."""
    name = closing.carrier.name
    is_sealed = (period.c.carrier == name) & (period.c.period == closing.period) & (period.c.state == int(PeriodState.CLOSING))
    values = {"state": int(PeriodState.CLOSED), "closed_at": closing.now_us, "closed_by": closing.actor}
    records = sum(total.records for total in totals)
    if conn.execute(update(period).where(is_sealed).values(**values, records=records)).rowcount == 1:
        if totals:
            conn.execute(insert(period_total), [{"carrier": name, "period": closing.period, **total._asdict()} for total in totals])
        detail = {"records": records, "held": closing.held, "now": closing.is_now}
        audit.record(conn, Act(closing.actor, "period.close", _subject(name, closing.period), detail), now_us=closing.now_us)
    return find(conn, name, closing.period)


def unfinished(conn: Connection, carrier: str, before_us: int) -> list[int]:
    """Periods that were sealed before an instant and never finished: who closed them was interrupted."""
    columns = period.c
    is_left = (columns.carrier == carrier) & (columns.state == int(PeriodState.CLOSING)) & (columns.sealed_at < before_us)
    return list(conn.execute(select(columns.period).where(is_left).order_by(columns.period)).scalars())


def first_open(conn: Connection, carrier: str) -> int | None:
    """The first day that is open; before any period was closed, that of the first record in the books; None for empty ones."""
    day = closed_until(conn).get(carrier, 0)
    if day:
        return day
    in_books = (charge.c.carrier == carrier) & charge.c.journal_seq.is_not(None)
    first = conn.execute(select(charge.c.period).where(in_books).order_by(charge.c.journal_seq).limit(1)).scalar()
    return None if first is None else int(first)


def lock(conn: Connection, carrier: str, of: int, *, actor: str, now_us: int) -> Period:
    """Lock a closed period: its settlement is agreed. Raises PeriodError for one that is not closed."""
    is_it = (period.c.carrier == carrier) & (period.c.period == of)
    closed = is_it & (period.c.state == int(PeriodState.CLOSED))
    values = {"state": int(PeriodState.LOCKED), "locked_at": now_us, "locked_by": actor}
    if conn.execute(update(period).where(closed).values(values)).rowcount != 1:
        known = find(conn, carrier, of)
        if known.state is not PeriodState.LOCKED:
            raise PeriodError(f"{calendar.write(of)} of {carrier} is {known.state.name.lower()}; only a closed period is locked")
        return known
    audit.record(conn, Act(actor, "period.lock", _subject(carrier, of)), now_us=now_us)
    return find(conn, carrier, of)


def find(conn: Connection, carrier: str, of: int) -> Period:
    """One period."""
    known = _written(conn, carrier, of)
    if known is not None:
        return known
    # A day is closed with its month, and what came before the first period that was ever closed with that one.
    is_covered = closed_until(conn).get(carrier, 0) >= calendar.days(of)[1]
    return Period(carrier, of, PeriodState.CLOSED if is_covered else PeriodState.OPEN)


def all_of(conn: Connection, carrier: str = "", rows_max: int = 400) -> list[Period]:
    """The periods that are not open, the newest first; of one carrier, or of all."""
    query = select(period).order_by(period.c.after_day.desc(), period.c.first_day, period.c.carrier).limit(rows_max)
    return [_period(row) for row in conn.execute(query.where(period.c.carrier == carrier) if carrier else query)]


def kept_totals(conn: Connection, carrier: str, of: int) -> list[Total]:
    """What was in a period when it was closed."""
    columns = [period_total.c[name] for name in Total._fields]
    is_it = (period_total.c.carrier == carrier) & (period_total.c.period == of)
    return [Total(*row) for row in conn.execute(select(*columns).where(is_it).order_by(*columns[:4]))]


def totals_of(conn: Connection, carrier: str, first: int, after: int) -> list[Total]:
    """What is in days [first, after) now."""
    columns = charge.c
    keys = (columns.currency, columns.record_type, columns.state, columns.service)
    sums = (func.count(), func.sum(columns.amount_minor), func.sum(columns.tax_minor))
    in_days = (columns.carrier == carrier) & (columns.period >= first) & (columns.period < after) & columns.journal_seq.is_not(None)
    rows = conn.execute(select(*keys, *sums).where(in_days).group_by(*keys).order_by(*keys))
    return [Total(row[0], row[1], row[2], row[3], row[4], int(row[5]), int(row[6])) for row in rows]


def _seal(conn: Connection, closing: Closing, span: Span) -> None:
    """Let no more rows in: from this commit on."""
    name = closing.carrier.name
    # The row's lock first (PostgreSQL): bookers hold it for reading until they are done.
    is_ours = carrier_books.c.carrier == name
    if conn.execute(update(carrier_books).where(is_ours).values(closed_until=carrier_books.c.closed_until)).rowcount == 0:
        conn.execute(insert(carrier_books), {"carrier": name, "closed_until": 0})
    first_open = int(conn.execute(select(carrier_books.c.closed_until).where(is_ours)).scalar_one())
    if first_open and first_open < span.first:
        raise PeriodError(f"{calendar.write(first_open)} of {name} is still open; periods close in their order")
    _mark(conn, closing, span, closing.now_us)
    if first_open < span.after:
        conn.execute(update(carrier_books).where(is_ours).values(closed_until=span.after))


def _mark(conn: Connection, closing: Closing, span: Span, sealed_at: int | None) -> None:
    """Note that a period is closing, and when it was sealed; who began stays."""
    is_it = (period.c.carrier == closing.carrier.name) & (period.c.period == closing.period)
    row = conn.execute(select(period.c.sealed_at).where(is_it)).one_or_none()
    if row is None:
        facts = {"carrier": closing.carrier.name, "period": closing.period, "first_day": span.first, "after_day": span.after}
        began = {"state": int(PeriodState.CLOSING), "closing_at": closing.now_us, "closing_by": closing.actor, "sealed_at": sealed_at}
        conn.execute(insert(period), {**facts, **began, "held": closing.held if sealed_at else 0})
        subject = _subject(closing.carrier.name, closing.period)
        audit.record(conn, Act(closing.actor, "period.closing", subject), now_us=closing.now_us)
    elif sealed_at is not None and row.sealed_at is None:
        conn.execute(update(period).where(is_it).values(sealed_at=sealed_at, held=closing.held))


def _written(conn: Connection, carrier: str, of: int) -> Period | None:
    row = conn.execute(select(period).where(period.c.carrier == carrier, period.c.period == of)).one_or_none()
    return None if row is None else _period(row)


def _period(row: Row[Any]) -> Period:
    state = PeriodState(row.state)
    return Period(row.carrier, row.period, state, row.records, row.held, row.closing_by, row.closed_at, row.closed_by, row.locked_by)


def _subject(carrier: str, of: int) -> str:
    return f"period:{carrier}/{calendar.write(of)}"
