"""A period that is closed stays as it is: whoever books later finds the next open day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, select

from billing import audit, book, calendar, check_periods, periods
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from billing.check import check
from billing.errors import PeriodError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from billing.periods import Closing, Period, PeriodState
from billing.runs import Books
from billing.schema import charge

DAY_US = 86_400_000_000
CHINA = timezone(timedelta(hours=8))
FIRST = Carrier("first", UTC)
OTHER = Carrier("other", CHINA)
WALLET = 11


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - calendar.EPOCH) // timedelta(microseconds=1)


NOON = us("2026-10-31T12:00:00Z")
NOVEMBER = us("2026-11-01T00:00:00Z")


class Ledger:
    """A wallet, two carriers, and charges settled when the test says."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.booking = Booking(Carriers([FIRST, OTHER], {"second": "other"}))
        self.books = Books(engine.begin, engine.begin)
        self._ids = iter(range(256, 10**9, 256))
        with engine.begin() as conn:
            self.booking.open_books(conn)
            self.revenue = book.ensure_house(conn, "CNY", new_id=self.next_id, now_us=1).revenue
            book.open_account(conn, WALLET, "partner:acme", "CNY", True, 1)
            book.top_up(conn, WALLET, 10_000, "first", self.next_id(), 1)

    def next_id(self) -> int:
        return next(self._ids)

    def hold(self, event_at: int, link: str = "sim", price: int = 10) -> int:
        id_ = self.next_id()
        names = (link, "10086", None, "8613900000000", None)
        money = (1, 1, price, price, "CNY", "flat/1", "service:chat")
        event = BillableEvent(id_, Direction.MT, event_at, "chat", FeeClass.PER_PART, Payer.SP, WALLET, *names, *money)
        with self.engine.begin() as conn:
            assert book.hold_many(conn, [event], revenue=self.revenue, now_us=event_at) == [True]
        return id_

    def settle(self, id_: int, event_at: int, now_us: int, link: str = "sim", price: int = 10) -> None:
        money = (ChargeState.CAPTURED, WALLET, price, price, 1, self.next_id())
        settlement = Settlement(id_, *money, "DELIVRD", now_us, "000", "A1", link, event_at)
        with self.engine.begin() as conn:
            assert book.settle_many(conn, [settlement], now_us=now_us, into=self.booking) == [True]

    def sell(self, event_at: int, now_us: int | None = None, link: str = "sim") -> int:
        id_ = self.hold(event_at, link)
        self.settle(id_, event_at, now_us or event_at, link)
        return id_

    def place(self, id_: int) -> tuple[str, str, bool]:
        with self.engine.begin() as conn:
            row = conn.execute(select(charge.c.carrier, charge.c.period, charge.c.late).where(charge.c.id == id_)).one()
        return row.carrier, calendar.write(row.period), bool(row.late)

    def close(self, typed: str, now_us: int = NOVEMBER, carrier: Carrier = FIRST, **asked: object) -> Period:
        closing = Closing(carrier, calendar.parse(typed), "ann", now_us)
        return periods.close(self.books, closing._replace(**asked))  # type: ignore[arg-type]  # its fields by name


@pytest.fixture
def ledger(engine: Engine) -> Iterator[Ledger]:
    opened = Ledger(engine)
    yield opened
    with engine.begin() as conn:
        assert check(conn, check_periods.INVARIANTS) == []
        assert audit.broken_at(conn) is None


def test_a_charge_is_booked_on_the_day_of_its_event_on_its_carriers_clock(ledger: Ledger):
    evening = us("2026-10-31T20:00:00Z")

    assert ledger.place(ledger.sell(evening)) == ("first", "2026-10-31", False)
    assert ledger.place(ledger.sell(evening, link="second")) == ("other", "2026-11-01", False)


def test_a_receipt_after_midnight_still_counts_for_yesterday_while_that_is_open(ledger: Ledger):
    assert ledger.place(ledger.sell(NOON, NOVEMBER + 1)) == ("first", "2026-10-31", False)


def test_a_receipt_after_the_close_is_booked_in_the_open_day_and_marked_late(ledger: Ledger):
    held = ledger.hold(NOON)
    ledger.close("2026-10-31", held=1)

    ledger.settle(held, NOON, NOVEMBER + 2 * DAY_US)

    assert ledger.place(held) == ("first", "2026-11-03", True)


def test_closing_says_what_is_in_it_and_later_rows_do_not_change_that(ledger: Ledger):
    ledger.sell(NOON)
    ledger.sell(us("2026-10-02T08:00:00Z"))
    late = ledger.hold(NOON)

    closed = ledger.close("2026-10", held=1)
    ledger.settle(late, NOON, NOVEMBER + 5)

    assert (closed.state, closed.records, closed.held, closed.closed_by) == (PeriodState.CLOSED, 2, 1, "ann")
    with ledger.engine.begin() as conn:
        (total,) = periods.kept_totals(conn, "first", 20261000)
        assert periods.totals_of(conn, "first", 20261001, 20261101) == [total]
    assert (total.records, total.amount_minor, total.currency) == (2, 20, "CNY")


def test_closing_again_changes_nothing(ledger: Ledger):
    ledger.sell(NOON)

    first, again = ledger.close("2026-10-31"), ledger.close("2026-10-31", NOVEMBER + 9, actor="bob")

    assert again == first


def test_days_close_in_their_order_and_a_month_closes_its_days(ledger: Ledger):
    ledger.close("2026-10-29")

    with pytest.raises(PeriodError, match="2026-10-30 of first is still open"):
        ledger.close("2026-10-31")
    month = ledger.close("2026-10")

    assert month.state is PeriodState.CLOSED
    with ledger.engine.begin() as conn:
        assert periods.find(conn, "first", 20261031).state is PeriodState.CLOSED
        assert periods.find(conn, "first", 20261101).state is PeriodState.OPEN


def test_one_carrier_closes_without_the_other(ledger: Ledger):
    ledger.close("2026-10-31")

    assert ledger.place(ledger.sell(NOON, NOVEMBER)) == ("first", "2026-11-01", True)
    assert ledger.place(ledger.sell(NOON, link="second")) == ("other", "2026-10-31", False)


def test_a_period_that_is_not_over_is_refused_on_its_own_clock(ledger: Ledger):
    over_in_china = us("2026-10-31T17:00:00Z")

    with pytest.raises(PeriodError, match="2026-10-31 is not over yet on the clock of first"):
        ledger.close("2026-10-31", over_in_china)
    assert ledger.close("2026-10-31", over_in_china, OTHER).state is PeriodState.CLOSED


def test_while_the_grace_runs_receipts_still_count_for_the_period(ledger: Ledger):
    hour_us = 3_600_000_000
    held = ledger.hold(NOON)

    waiting = ledger.close("2026-10-31", NOVEMBER + 1, grace_us=hour_us)
    ledger.settle(held, NOON, NOVEMBER + 2)
    closed = ledger.close("2026-10-31", NOVEMBER + hour_us, grace_us=hour_us, actor="bob")

    assert (waiting.state, waiting.closing_by) == (PeriodState.CLOSING, "ann")
    assert (closed.state, closed.records, closed.closing_by, closed.closed_by) == (PeriodState.CLOSED, 1, "ann", "bob")
    assert ledger.place(held) == ("first", "2026-10-31", False)


def test_who_does_not_want_to_wait_for_the_grace_says_so(ledger: Ledger):
    assert ledger.close("2026-10-31", NOVEMBER + 1, grace_us=DAY_US, is_now=True).state is PeriodState.CLOSED


def test_a_close_that_was_killed_after_the_seal_is_finished_by_the_next(ledger: Ledger):
    ledger.sell(NOON)

    class Killed(Exception):
        pass

    def killed() -> Engine:
        raise Killed

    halfway = Books(killed, ledger.engine.begin)  # type: ignore[arg-type]  # it never comes to reading
    with pytest.raises(Killed):
        periods.close(halfway, Closing(FIRST, 20261031, "ann", NOVEMBER))
    late = ledger.sell(NOON)
    closed = ledger.close("2026-10-31", NOVEMBER + 1)

    assert ledger.place(late)[2]
    assert (closed.state, closed.records) == (PeriodState.CLOSED, 1)


def test_only_a_closed_period_is_locked_and_only_once(ledger: Ledger):
    with ledger.engine.begin() as conn, pytest.raises(PeriodError, match="2026-10-31 of first is open"):
        periods.lock(conn, "first", 20261031, actor="bob", now_us=NOVEMBER)
    ledger.close("2026-10-31")

    with ledger.engine.begin() as conn:
        first = periods.lock(conn, "first", 20261031, actor="bob", now_us=NOVEMBER)
        again = periods.lock(conn, "first", 20261031, actor="eve", now_us=NOVEMBER)

    assert first == again
    assert (first.state, first.locked_by) == (PeriodState.LOCKED, "bob")


def test_every_step_is_in_the_audit_log_once(ledger: Ledger):
    ledger.close("2026-10-31")
    ledger.close("2026-10-31")

    with ledger.engine.begin() as conn:
        assert [(each.act, each.subject) for each in audit.entries(conn)] == [
            ("period.closing", "period:first/2026-10-31"),
            ("period.close", "period:first/2026-10-31"),
        ]


@pytest.mark.parametrize(
    ("fault", "invariant"),
    [
        ("UPDATE charge SET amount_minor = amount_minor - 1 WHERE journal_seq IS NOT NULL", "closed_adds_up"),
        ("UPDATE charge SET period = 20261101 WHERE journal_seq IS NOT NULL", "closed_stays_closed"),
        ("UPDATE carrier_books SET closed_until = 20261031 WHERE carrier = 'first'", "closed_is_sealed"),
    ],
)
def test_what_is_changed_in_a_closed_period_shows(ledger: Ledger, fault: str, invariant: str):
    ledger.sell(NOON)
    ledger.close("2026-10-31")

    with ledger.engine.connect() as conn:
        conn.exec_driver_sql(fault)
        assert invariant in {each.invariant for each in check(conn, check_periods.INVARIANTS)}
        conn.rollback()
