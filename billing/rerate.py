"""Pricing anew what was charged by a wrong tariff: looked at first, asked for by one person, done after another agrees.

Each charge is reversed and charged again, both as records in the open day, and only the difference moves. A run goes on where it was
killed; the same tariff again changes nothing. Charges that counters had a part in are left alone and counted: what their payers had at
the time is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from billing import audit, calendar, corrections
from billing.audit import Act
from billing.booking import Booking
from billing.corrections import Repricing
from billing.errors import LedgerError, RerateError
from billing.event import ChargeState, Direction, RecordType
from billing.runs import Books
from billing.schema import charge
from billing.schema_periods import rerate_run

PAGE_ROWS = 500
CORRECTED, UNPAID = "corrected", "unpaid"
_PRICED = (int(ChargeState.CAPTURED), int(ChargeState.ZERO_RATED))


class Price(NamedTuple):
    """What a charge costs by another tariff."""

    amount_minor: int
    tax_minor: int
    currency: str
    tariff_version: str
    tariff_rule: str


# Told a charge's row: its other price, or why it has none.
Rater = Callable[[Mapping[str, Any]], Price | str]


class RunState(IntEnum):
    """How far a run is."""

    REQUESTED = 0
    APPROVED = 1
    DONE = 2
    REFUSED = 3


class Scope(NamedTuple):
    """Which charges: of days [first, after) of a carrier's books; of one service, or of all."""

    carrier: str
    first_day: int
    after_day: int
    service: str = ""


class Difference(NamedTuple):
    """One charge whose price would be another; `why` says why it is left alone."""

    charge_id: int
    service: str
    currency: str
    before_minor: int
    after_minor: int
    tariff_rule: str
    why: str = ""


class Run(NamedTuple):
    """A run as its row says."""

    id: int
    scope: Scope
    tariff: str
    state: RunState
    requested_by: str
    decided_by: str | None
    looked_at: int
    corrected: int
    unpaid: int  # their wallets could not pay what they cost more: they stay as they are


def differences(books: Books, scope: Scope, rater: Rater, *, page_rows: int = PAGE_ROWS) -> Iterator[Difference]:
    """What pricing anew would change; nothing is written."""
    after = -1
    while True:
        with books.reading() as conn:
            page = _page(conn, scope, after, None, page_rows)
            made = corrections.of_charges(conn, [row["id"] for row in page])
            found = [_difference(row, made.get(row["id"], ()), rater) for row in page]
        yield from (each for each in found if each is not None)
        if len(page) < page_rows:
            return
        after = page[-1]["journal_seq"]


def request(conn: Connection, scope: Scope, tariff: str, *, run_id: int, actor: str, now_us: int) -> Run:
    """Ask for a run; it looks at the charges that are there now."""
    upto = conn.execute(select(func.coalesce(func.max(charge.c.journal_seq), 0)).where(*_in_scope(scope))).scalar_one()
    row = {"id": run_id, **scope._asdict(), "tariff": tariff, "state": int(RunState.REQUESTED), "upto_seq": upto}
    conn.execute(insert(rerate_run), {**row, "requested_by": actor, "requested_at": now_us})
    days = f"{calendar.write(scope.first_day)} to {calendar.write(calendar.previous_day(scope.after_day))}"
    detail = {"carrier": scope.carrier, "days": days, "tariff": tariff}
    audit.record(conn, Act(actor, "rerate.request", f"rerate:{run_id}", detail), now_us=now_us)
    return find(conn, run_id)


def decide(conn: Connection, run_id: int, *, actor: str, approves: bool, now_us: int) -> Run:
    """Agree to a run, or refuse it; raises RerateError for one's own, or one that is decided."""
    known = find(conn, run_id)
    if known.requested_by.casefold() == actor.casefold():
        raise RerateError(f"run {run_id} was asked for by {actor}: another person must decide")
    state = RunState.APPROVED if approves else RunState.REFUSED
    is_open = (rerate_run.c.id == run_id) & (rerate_run.c.state == int(RunState.REQUESTED))
    values = {"state": int(state), "decided_by": actor, "decided_at": now_us}
    if conn.execute(update(rerate_run).where(is_open).values(values)).rowcount != 1:
        raise RerateError(f"run {run_id} is {known.state.name.lower()} already")
    audit.record(conn, Act(actor, f"rerate.{'approve' if approves else 'refuse'}", f"rerate:{run_id}"), now_us=now_us)
    return find(conn, run_id)


def carry_out(
    books: Books,
    run_id: int,
    rater: Rater,
    *,
    into: Booking,
    revenue_of: Callable[[Connection, str], int],
    new_id: Callable[[], int],
    now_us: int,
    page_rows: int = PAGE_ROWS,
) -> Run:
    """Do an approved run, a page in a transaction; called again, it goes on where it stood. Raises RerateError for one not approved."""
    while True:
        with books.writing() as conn:
            known = conn.execute(select(rerate_run).where(rerate_run.c.id == run_id).with_for_update()).one_or_none()
            if known is None or known.state not in (RunState.APPROVED, RunState.DONE):
                raise RerateError(f"run {run_id} is not approved")
            if known.state == RunState.DONE:
                return find(conn, run_id)
            page = _page(conn, _scope(known), known.after_seq, known.upto_seq, page_rows)
            made = corrections.of_charges(conn, [row["id"] for row in page])
            done = Counter(_correct(conn, known, row, made.get(row["id"], ()), rater, into, revenue_of, new_id, now_us) for row in page)
            counts = {name: getattr(known, name) + done[name] for name in (CORRECTED, UNPAID)} | {"looked_at": known.looked_at + len(page)}
            if len(page) < page_rows:
                ended = {"state": int(RunState.DONE), "done_at": now_us}
            else:
                ended = {"after_seq": page[-1]["journal_seq"]}
            conn.execute(update(rerate_run).where(rerate_run.c.id == run_id).values({**counts, **ended}))


def find(conn: Connection, run_id: int) -> Run:
    """One run; raises RerateError when there is none."""
    row = conn.execute(select(rerate_run).where(rerate_run.c.id == run_id)).one_or_none()
    if row is None:
        raise RerateError(f"there is no run {run_id}; `bellhop billing rerate list` shows all")
    return _run(row)


def listed(conn: Connection, rows_max: int = 100) -> list[Run]:
    """The runs, the newest first."""
    return [_run(row) for row in conn.execute(select(rerate_run).order_by(rerate_run.c.id.desc()).limit(rows_max))]


def fields(run: Run) -> dict[str, Any]:
    """A run as JSON; its id is a string, because readers of JSON keep numbers in doubles."""
    days = {"first_day": calendar.write(run.scope.first_day), "after_day": calendar.write(run.scope.after_day)}
    return {**run._asdict(), "id": str(run.id), "scope": {**run.scope._asdict(), **days}, "state": run.state.name.lower()}


def _correct(
    conn: Connection,
    run: Row[Any],
    row: Mapping[str, Any],
    made: Sequence[Mapping[str, Any]],
    rater: Rater,
    into: Booking,
    revenue_of: Callable[[Connection, str], int],
    new_id: Callable[[], int],
    now_us: int,
) -> str | None:
    """What came of it: CORRECTED, UNPAID or nothing."""
    found = _difference(row, made, rater)
    if found is None or found.why:
        return None
    price = rater(row)
    assert not isinstance(price, str)
    wanted = Repricing(
        new_id(),
        new_id(),
        row["id"],
        price.amount_minor,
        price.tax_minor,
        f"rerate:{run.id}:{row['id']}",
        f"rerate {run.tariff}"[:64],
        revenue_of(conn, price.currency),
        price.tariff_version,
        price.tariff_rule,
    )
    try:
        return None if corrections.reprice(conn, wanted, into=into, now_us=now_us) is None else CORRECTED
    except LedgerError:
        return UNPAID  # the charge stays, and a look after the run still shows it


def _difference(row: Mapping[str, Any], made: Sequence[Mapping[str, Any]], rater: Rater) -> Difference | None:
    before = corrections.current_price(row, made)
    known = (row["id"], row["service"], row["currency"], before)
    if row["trace"] is not None:
        return Difference(*known, before, row["tariff_rule"], "its price came of counters")
    price = rater(row)
    if isinstance(price, str):
        return Difference(*known, before, row["tariff_rule"], price)
    if price.currency != row["currency"]:
        return Difference(*known, before, price.tariff_rule, f"it would be priced in {price.currency}")
    if price.amount_minor == before:
        return None
    if corrections.standing(row, made) + price.amount_minor - before < 0:
        return Difference(*known, before, price.tariff_rule, "more of it was given back than it would cost")
    return Difference(*known, price.amount_minor, price.tariff_rule)


def _page(conn: Connection, scope: Scope, after: int, upto_seq: int | None, page_rows: int) -> list[Mapping[str, Any]]:
    query = select(charge).where(*_in_scope(scope), charge.c.journal_seq > after)
    if upto_seq is not None:
        query = query.where(charge.c.journal_seq <= upto_seq)
    return [dict(row) for row in conn.execute(query.order_by(charge.c.journal_seq).limit(page_rows)).mappings()]


def _in_scope(scope: Scope) -> list[Any]:
    columns = charge.c
    is_it = [columns.carrier == scope.carrier, columns.period >= scope.first_day, columns.period < scope.after_day]
    is_it += [columns.journal_seq.is_not(None), columns.record_type == int(RecordType.CHARGE), columns.state.in_(_PRICED)]
    # What is received is recorded free without asking a tariff, so no rule may charge it afterwards.
    is_it.append(columns.direction != int(Direction.MO))
    return [*is_it, columns.service == scope.service] if scope.service else is_it


def _scope(row: Row[Any]) -> Scope:
    return Scope(row.carrier, row.first_day, row.after_day, row.service)


def _run(row: Row[Any]) -> Run:
    counts = (row.looked_at, row.corrected, row.unpaid)
    return Run(row.id, _scope(row), row.tariff, RunState(row.state), row.requested_by, row.decided_by, *counts)
