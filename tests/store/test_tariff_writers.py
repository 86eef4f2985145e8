"""Several writers at once: a cap is never passed, a version is approved once, an event is recycled once; and one version an instant."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, select

from billing import book, booking, counters, suspense, tariffs
from billing.counters import Counter
from billing.errors import BillingError, SuspenseError, TariffError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from billing.schema import account, charge, transfer
from billing.schema_tariff import tariff_version
from billing.suspense import Price
from billing.tariff import rate
from billing.tariff.rule import Model, Rule
from billing.tariff.version import FOREVER_US, Version, VersionState
from tests.support.engines import undone

NOW = 1_800_000_000_000_000
COUNTER = Counter("+8613900000001", "main/chat", 20270115)
CAPPED = Rule("chat", Model.CAPPED, 7, "CNY", cap_per_month_minor=100, free_per_month=3)


def together(*steps: Callable[[], None]) -> list[BillingError]:
    """Run these at the same time; what they refused."""
    raised: list[BillingError] = []
    gate = threading.Barrier(len(steps))

    def run(step: Callable[[], None]) -> None:
        gate.wait()
        try:
            step()
        except BillingError as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_two_writers_share_a_counter_and_never_pass_its_cap(engine: Engine):
    spent: list[int] = []

    def write(first_id: int) -> None:
        for number in range(12):
            with engine.begin() as conn:
                priced = rate.price(CAPPED, 1, NOW, counters.read(conn, COUNTER))
                counters.take(conn, COUNTER, first_id + number, priced.units)
            spent.append(priced.amount_minor)

    assert together(lambda: write(1_000), lambda: write(2_000)) == []

    with engine.begin() as conn:
        used = counters.read(conn, COUNTER)
    assert (used.units_month, used.amount_month_minor, sum(spent)) == (24, 100, 100)
    assert (spent.count(0), max(spent)) == (24 - 15, 7)


def test_what_two_people_approve_at_once_is_approved_by_one_of_them(engine: Engine):
    with engine.begin() as conn:
        tariffs.draft(conn, Version("main", 0, NOW, FOREVER_US, (CAPPED,)), actor="ann", now_us=1)

    def approve(actor: str) -> None:
        with engine.begin() as conn:
            tariffs.approve(conn, "main", 1, actor=actor, now_us=2)

    raised = together(lambda: approve("bob"), lambda: approve("eve"))

    assert [type(each) for each in raised] == [TariffError]
    with engine.begin() as conn:
        assert tariffs.find(conn, "main", 1).approved_by in ("bob", "eve")


def a_suspended_event(conn: Connection, event_id: int) -> int:
    """Delivered without a price; its sender's wallet has 100. The account that is paid."""
    for table in (charge, transfer, account):
        conn.execute(delete(table))
    ids = iter(range(1, 90))
    house = book.ensure_house(conn, "CNY", new_id=lambda: next(ids), now_us=NOW)
    book.open_account(conn, 90, "partner:acme", "CNY", True, NOW)
    book.top_up(conn, 90, 100, "first", 91, NOW)
    names = (90, "sim", "10661700", None, "8613900000001", None)
    sold = BillableEvent(event_id, Direction.MT, NOW, "chat", FeeClass.PER_PART, Payer.SP, *names, 1, 1, 0, 0, "CNY", "main/1", "suspense")
    book.hold_many(conn, [sold], revenue=house.revenue, now_us=NOW)
    suspense.park(conn, event_id, "no_rule", "none", now_us=NOW)
    book.settle_many(
        conn, [Settlement(event_id, ChargeState.CAPTURED, 90, 0, 0, 1, event_id, "DELIVRD", NOW, None, None, "sim")], now_us=NOW
    )
    suspense.settled(conn, [event_id], now_us=NOW)
    return house.revenue


def test_an_event_that_two_people_recycle_at_once_is_charged_once(engine: Engine):
    with engine.begin() as conn:
        revenue = a_suspended_event(conn, 512)
    price = Price(1, 1, 30, 30, 0, int(FeeClass.PER_PART), "CNY", "main/2", "chat", revenue, int(Payer.SP), 90, None)

    def recycle(seq: int) -> None:
        with engine.begin() as conn:
            suspense.recycle(conn, 512, lambda _row: price, into=booking.DEFAULT, journal_seq=seq, actor="ann", now_us=NOW + 1)

    raised = together(lambda: recycle(600), lambda: recycle(601))

    assert [type(each) for each in raised] == [SuspenseError]
    with engine.begin() as conn:
        found = conn.execute(select(charge).where(charge.c.id == 512)).one()
        assert (found.state, found.amount_minor, book.balance(conn, 90).posted) == (ChargeState.CAPTURED, 30, 70)


windows = st.tuples(st.integers(0, 20), st.just(FOREVER_US) | st.integers(1, 20)).map(lambda each: (each[0], max(each[0] + 1, each[1])))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(windows, st.booleans()), min_size=1, max_size=8))
def test_at_any_instant_one_version_holds_or_none(wanted: list[tuple[tuple[int, int], bool]]):
    with undone("sqlite") as conn:
        conn.execute(delete(tariff_version))
        for place, ((from_us, to_us), is_retired) in enumerate(wanted):
            rule = CAPPED._replace(price_minor=place + 1)
            number = tariffs.draft(conn, Version("main", 0, from_us, to_us, (rule,)), actor="ann", now_us=1).version.number
            try:
                tariffs.approve(conn, "main", number, actor="bob", now_us=2, is_now=True)
            except TariffError:
                continue
            if is_retired:
                tariffs.retire(conn, "main", number, actor="bob", now_us=3)
        approved = [each.version for each in tariffs.of_plan(conn, "main", VersionState.APPROVED)]

    assert all(sum(each.holds_at(instant) for each in approved) <= 1 for instant in range(25))
    ordered = sorted(approved, key=lambda each: each.from_us)
    assert all(first.to_us <= second.from_us for first, second in pairwise(ordered))
