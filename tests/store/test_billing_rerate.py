"""Pricing anew: looked at without a trace, done once by two people, and undone by doing it with the old tariff."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select

from billing import book, check_ledger, refunds, rerate
from billing.booking import Booking
from billing.check import check
from billing.errors import RerateError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Record, RecordType, Settlement
from billing.rerate import Price, Rater, RunState, Scope
from billing.runs import Books
from billing.schema import charge, transfer

NOW = 1_790_000_000_000_000
DAYS = Scope("default", 20200101, 20300101)
WALLET, PRICE, CREDIT = 11, 10, 1_000
BOOKING = Booking()


class Killed(Exception):
    """The process ends here."""


class Ledger:
    """A wallet and charges of ten each: some paid by it, some collected by the carrier."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.books = Books(engine.begin, engine.begin)
        self.ids = itertools.count(1_000)
        with engine.begin() as conn:
            self.house = book.ensure_house(conn, "CNY", new_id=self.new_id, now_us=1)
            book.open_account(conn, WALLET, "partner:acme", "CNY", True, 1)
            book.top_up(conn, WALLET, CREDIT, "first", self.new_id(), 1)

    def new_id(self) -> int:
        return next(self.ids) << 8

    def give_back(self, charge_id: int, minor: int) -> None:
        asked = refunds.Refund(charge_id, minor, "courtesy", f"R{charge_id}", "ann")
        with self.engine.begin() as conn:
            refunds.refund(conn, asked, into=BOOKING, new_id=self.new_id, now_us=NOW)

    def receive(self) -> int:
        """An MO, which is free and final at once."""
        id_ = self.new_id()
        numbers = ("sim", "10086", "8613900000000", "10086", None)
        event = BillableEvent(id_, Direction.MO, NOW, "chat", FeeClass.FREE, Payer.OTHER, None, *numbers, 1, 1, 0, 0, "CNY", "main/1", "")
        settled = Settlement(id_, ChargeState.ZERO_RATED, None, 0, 0, 1, self.new_id(), "DELIVRD", NOW, None, None, "sim", NOW)
        with self.engine.begin() as conn:
            book.record_many(conn, [Record(event, settled)], now_us=NOW)
        return id_

    def sell(self, *, wallet: int | None = WALLET, service: str = "chat") -> int:
        id_ = self.new_id()
        names = ("sim", "10086", None if wallet else "8613900000000", "8613900000000", None)
        payer = Payer.SP if wallet else Payer.DEST
        money = (1, 1, PRICE, PRICE, "CNY", "main/1", "old")
        event = BillableEvent(id_, Direction.MT, NOW, service, FeeClass.PER_PART, payer, wallet, *names, *money)
        settled = Settlement(id_, ChargeState.CAPTURED, wallet, PRICE, PRICE, 1, self.new_id(), "DELIVRD", NOW, "000", "A1", "sim", NOW)
        with self.engine.begin() as conn:
            assert book.hold_many(conn, [event], revenue=self.house.revenue, now_us=NOW) == [True]
            assert book.settle_many(conn, [settled], now_us=NOW) == [True]
        return id_

    def run(self, rater: Rater, *, page_rows: int = 2, scope: Scope = DAYS, books: Books | None = None, run_id: int = 0) -> rerate.Run:
        if not run_id:
            run_id = self.new_id()
            with self.engine.begin() as conn:
                rerate.request(conn, scope, "main/2", run_id=run_id, actor="ann", now_us=NOW)
                rerate.decide(conn, run_id, actor="bob", approves=True, now_us=NOW)
        facts: dict[str, Any] = {"new_id": self.new_id, "now_us": NOW, "page_rows": page_rows}
        return rerate.carry_out(books or self.books, run_id, rater, into=BOOKING, revenue_of=self.revenue_of, **facts)

    def revenue_of(self, _conn: Connection, _currency: str) -> int:
        return self.house.revenue

    def posted(self) -> int:
        with self.engine.begin() as conn:
            return book.balance(conn, WALLET).posted

    def count(self, *types: RecordType) -> int:
        with self.engine.begin() as conn:
            query = select(func.count()).select_from(charge).where(charge.c.record_type.in_([int(each) for each in types]))
            return int(conn.execute(query).scalar_one())

    def transfers(self) -> int:
        with self.engine.begin() as conn:
            return int(conn.execute(select(func.count()).select_from(transfer)).scalar_one())


def at(minor: int, rule: str = "new") -> Rater:
    return lambda _row: Price(minor, 0, "CNY", "main/2", rule)


@pytest.fixture
def ledger(engine: Engine) -> Iterator[Ledger]:
    opened = Ledger(engine)
    yield opened
    with engine.begin() as conn:
        assert check(conn, check_ledger.INVARIANTS[:1]) == []


def test_a_look_writes_nothing_and_tells_each_difference(ledger: Ledger):
    sold = [ledger.sell(), ledger.sell(wallet=None)]
    before = ledger.transfers()

    found = list(rerate.differences(ledger.books, DAYS, at(7), page_rows=1))

    assert [(each.charge_id, each.before_minor, each.after_minor) for each in found] == [(id_, 10, 7) for id_ in sold]
    assert (ledger.transfers(), ledger.count(RecordType.RERATE)) == (before, 0)


def test_only_the_difference_moves(ledger: Ledger):
    for _ in range(3):
        ledger.sell()

    done = ledger.run(at(7))

    assert (done.state, done.looked_at, done.corrected) == (RunState.DONE, 3, 3)
    assert ledger.posted() == CREDIT - 3 * 7
    assert (ledger.count(RecordType.REVERSAL), ledger.count(RecordType.RERATE)) == (3, 3)


def test_the_same_price_again_changes_nothing(ledger: Ledger):
    ledger.sell()
    ledger.run(at(7))
    before = ledger.transfers()

    again, same = ledger.run(at(7)), list(rerate.differences(ledger.books, DAYS, at(7)))

    assert (again.corrected, same, ledger.transfers()) == (0, [], before)


@pytest.mark.parametrize("wallet", [WALLET, None])
def test_there_and_back_is_nothing(ledger: Ledger, wallet: int | None):
    ledger.sell(wallet=wallet)
    before = ledger.posted()

    ledger.run(at(17))
    ledger.run(at(PRICE))

    with ledger.engine.begin() as conn:
        assert conn.execute(select(func.sum(charge.c.amount_minor))).scalar_one() == PRICE
    assert ledger.posted() == before


def test_a_wallet_that_cannot_pay_more_keeps_its_price_and_the_run_goes_on(ledger: Ledger):
    ledger.sell()
    ledger.sell(wallet=None)

    done = ledger.run(at(CREDIT * 2))

    assert (done.state, done.corrected, done.unpaid, ledger.posted()) == (RunState.DONE, 1, 1, CREDIT - PRICE)
    assert (rerate.fields(done)["unpaid"], ledger.run(at(PRICE)).unpaid) == (1, 0)


@pytest.mark.parametrize("dies_at", range(4))
def test_a_run_that_is_killed_goes_on_where_it_was(ledger: Ledger, dies_at: int):
    for _ in range(5):
        ledger.sell()
    run_id = ledger.new_id()
    with ledger.engine.begin() as conn:
        rerate.request(conn, DAYS, "main/2", run_id=run_id, actor="ann", now_us=NOW)
        rerate.decide(conn, run_id, actor="bob", approves=True, now_us=NOW)
    left = [dies_at]

    def dying(price: Rater) -> Callable[[Mapping[str, Any]], Price | str]:
        def rater(row: Mapping[str, Any]) -> Price | str:
            left[0] -= 1
            if left[0] == -1:
                raise Killed
            return price(row)

        return rater

    with pytest.raises(Killed):
        ledger.run(dying(at(7)), run_id=run_id)
    done = ledger.run(at(7), run_id=run_id)

    assert (done.state, done.looked_at, done.corrected) == (RunState.DONE, 5, 5)
    assert ledger.posted() == CREDIT - 5 * 7


@pytest.mark.parametrize(("given_minor", "price", "is_done"), [(10, 4, False), (5, 4, False), (4, 4, True), (3, 4, True), (10, 12, True)])
def test_no_more_is_given_back_of_a_charge_than_it_ever_cost(ledger: Ledger, given_minor: int, price: int, is_done: bool):
    sold = ledger.sell()
    ledger.give_back(sold, given_minor)

    (found,) = rerate.differences(ledger.books, DAYS, at(price))
    run = ledger.run(at(price))

    assert bool(found.why) is not is_done
    assert run.corrected == is_done
    assert ledger.posted() == CREDIT - (price if is_done else PRICE) + given_minor


def test_what_is_received_stays_free_whatever_a_rule_says(ledger: Ledger):
    ledger.receive()

    run = ledger.run(at(7))

    assert (run.looked_at, run.corrected, ledger.count(RecordType.RERATE)) == (0, 0, 0)


def test_a_look_reads_a_few_statements_a_page_however_many_charges_it_has(ledger: Ledger):
    for _ in range(12):
        ledger.sell()
    said: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda _conn, _cursor, statement, *_rest: said.append(statement))

    found = list(rerate.differences(ledger.books, DAYS, at(7), page_rows=50))

    assert len(found) == 12
    assert sum("FROM charge" in each for each in said) == 2


@pytest.mark.parametrize("same", ["ann", "Ann", "ANN"])
def test_a_name_spelt_otherwise_is_the_same_person(ledger: Ledger, same: str):
    run_id = ledger.new_id()
    with ledger.engine.begin() as conn:
        rerate.request(conn, DAYS, "main/2", run_id=run_id, actor="ann", now_us=NOW)
        with pytest.raises(RerateError, match="another person"):
            rerate.decide(conn, run_id, actor=same, approves=True, now_us=NOW)


def test_nobody_agrees_to_his_own_run_and_nothing_runs_unagreed(ledger: Ledger):
    with ledger.engine.begin() as conn:
        rerate.request(conn, DAYS, "main/2", run_id=256, actor="ann", now_us=NOW)

    with ledger.engine.begin() as conn, pytest.raises(RerateError, match="asked for by ann: another person must decide"):
        rerate.decide(conn, 256, actor="ann", approves=True, now_us=NOW)
    with pytest.raises(RerateError, match="run 256 is not approved"):
        ledger.run(at(7), run_id=256)
    with ledger.engine.begin() as conn:
        assert rerate.decide(conn, 256, actor="bob", approves=False, now_us=NOW).state is RunState.REFUSED
    with ledger.engine.begin() as conn, pytest.raises(RerateError, match="run 256 is refused already"):
        rerate.decide(conn, 256, actor="eve", approves=True, now_us=NOW)


def test_what_is_sold_after_the_request_is_not_of_the_run(ledger: Ledger):
    ledger.sell()
    with ledger.engine.begin() as conn:
        rerate.request(conn, DAYS, "main/2", run_id=256, actor="ann", now_us=NOW)
        rerate.decide(conn, 256, actor="bob", approves=True, now_us=NOW)
    ledger.sell()

    assert ledger.run(at(7), run_id=256).looked_at == 1


def test_a_service_may_be_priced_anew_by_itself(ledger: Ledger):
    ledger.sell()
    ledger.sell(service="premium")

    assert ledger.run(at(7), scope=DAYS._replace(service="premium")).looked_at == 1
