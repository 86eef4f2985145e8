"""The ledger against a plain model: whatever the order, the repeats and the refusals, money ends where the model says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from billing import book, schema
from billing.check import check
from billing.errors import LedgerError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from tests.support.engines import kept_engine

WALLETS = (11, 12)
REVENUE, FUNDING = 1, 2
STATES = (ChargeState.CAPTURED, ChargeState.RELEASED, ChargeState.EXPIRED)


class LedgerMachine(RuleBasedStateMachine):
    """Two wallets; the model keeps what came in, what was captured, and the open holds."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        # One store for all examples: each empties it first, which is cheaper than making it anew.
        self.engine = engine
        with self.engine.begin() as conn:
            for table in (schema.account, schema.transfer, schema.charge):
                conn.execute(table.delete())
            ids = iter((REVENUE, FUNDING, *range(9_001, 9_004)))
            book.ensure_house(conn, "CNY", new_id=lambda: next(ids), now_us=0)
            for wallet in WALLETS:
                book.open_account(conn, wallet, f"im:{wallet}", "CNY", True, 0)
        self.posted = dict.fromkeys(WALLETS, 0)
        self.open: dict[int, tuple[int, int]] = {}
        self.done: list[tuple[int, int, int]] = []
        self.used: list[tuple[int, int, int, str]] = []
        self.last_id = 256
        self.journal_seq = 0

    def next_id(self) -> int:
        self.last_id += 256
        return self.last_id

    @rule(wallet=st.sampled_from(WALLETS), amount=st.integers(1, 60))
    def top_up(self, wallet: int, amount: int) -> None:
        id_ = self.next_id()

        self._transact(lambda conn: book.top_up(conn, wallet, amount, f"R{id_}", id_, 1))

        self.posted[wallet] += amount
        self.used.append((wallet, amount, id_, f"R{id_}"))

    @rule(data=st.data())
    def repeat_a_top_up(self, data: st.DataObject) -> None:
        if self.used:
            wallet, amount, id_, reference = data.draw(st.sampled_from(self.used))
            assert self._transact(lambda conn: book.top_up(conn, wallet, amount, reference, self.next_id(), 2)) == (id_, False)

    @rule(wanted=st.lists(st.tuples(st.sampled_from(WALLETS), st.integers(0, 12), st.integers(1, 4)), min_size=1, max_size=5))
    def hold(self, wanted: list[tuple[int, int, int]]) -> None:
        events = [an_event(self.next_id(), wallet, unit, parts) for wallet, unit, parts in wanted]

        fits = self._transact(lambda conn: book.hold_many(conn, events, revenue=REVENUE, now_us=3))

        for event_, fit in zip(events, fits, strict=True):
            wallet = event_.wallet
            assert fit == (event_.amount_minor <= self._available(wallet))
            if fit:
                self.open[event_.id] = (wallet, event_.amount_minor)

    @rule(data=st.data(), quantity=st.integers(1, 6))
    def amend(self, data: st.DataObject, quantity: int) -> None:
        if not self.open:
            return
        id_ = data.draw(st.sampled_from(sorted(self.open)))
        wallet, held = self.open[id_]
        unit = self._transact(lambda conn: conn.execute(text("SELECT unit_price_minor FROM charge WHERE id = :id"), {"id": id_}).scalar())
        fits = unit * quantity - held <= self._available(wallet)

        amount = self._transact(lambda conn: book.amend(conn, id_, parts=quantity, quantity=quantity))

        assert amount == (unit * quantity if fits else None)
        if fits:
            self.open[id_] = (wallet, unit * quantity)

    @rule(data=st.data())
    def settle_some(self, data: st.DataObject) -> None:
        known = [(id_, *held) for id_, held in self.open.items()] + self.done
        if not known:
            return
        # Drawn with repetition, open and settled ones mixed: repeats within one call and over calls.
        drawn = data.draw(st.lists(st.tuples(st.sampled_from(known), st.sampled_from(STATES), st.integers(0, 4)), min_size=1, max_size=6))
        settlements = [self._settlement(*charge, state, less) for charge, state, less in drawn]

        took = self._transact(lambda conn: book.settle_many(conn, settlements, now_us=4))

        for settlement, effective in zip(settlements, took, strict=True):
            assert effective == (settlement.id in self.open)
            if effective:
                wallet, held = self.open.pop(settlement.id)
                self.done.append((settlement.id, wallet, held))
                self.posted[wallet] -= settlement.amount_minor

    @invariant()
    def wallets_are_what_the_model_says(self) -> None:
        with self.engine.begin() as conn:
            for wallet in WALLETS:
                held = sum(amount for owner, amount in self.open.values() if owner == wallet)
                assert book.balance(conn, wallet) == (self.posted[wallet], held, self.posted[wallet] - held)

    @invariant()
    def nothing_violates_the_ledger(self) -> None:
        with self.engine.begin() as conn:
            assert check(conn) == []

    @invariant()
    def no_money_appears_or_vanishes(self) -> None:
        with self.engine.begin() as conn:
            revenue = conn.execute(text("SELECT COALESCE(SUM(posted_minor), 0) FROM transfer WHERE credit_account = 1")).scalar_one()
        assert revenue + sum(self.posted.values()) == sum(amount for _, amount, _, _ in self.used)

    def _available(self, wallet: int | None) -> int:
        assert wallet is not None
        return self.posted[wallet] - sum(amount for owner, amount in self.open.values() if owner == wallet)

    def _settlement(self, id_: int, wallet: int, held: int, state: ChargeState, less: int) -> Settlement:
        self.journal_seq += 1
        amount = max(held - less, 0) if state is ChargeState.CAPTURED else 0
        return Settlement(id_, state, wallet, held, amount, 1, self.journal_seq, None, None, None, None, None)

    def _transact(self, step: Callable[[Any], Any]) -> Any:
        with self.engine.begin() as conn:
            return step(conn)


def an_event(id_: int, wallet: int, unit: int, parts: int) -> BillableEvent:
    names = ("cmcc-1", "10086", "8613800000000", "8613900000000", 10001)
    price = (parts, parts, unit, unit * parts, "CNY", "flat/1", "service:chat")
    return BillableEvent(id_, Direction.MT, 0, "chat", FeeClass.PER_PART, Payer.SOURCE, wallet, *names, *price)


# Which rule notices first is the machine's to find.
FOUND = (AssertionError, LedgerError, IntegrityError)


def run_machine(engine_name: str, examples: int, steps: int) -> None:
    engine = kept_engine(engine_name, "machine")
    run_state_machine_as_test(
        lambda: LedgerMachine(engine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_ledger_follows_the_model_whatever_the_order(engine_name: str):
    run_machine(engine_name, examples=50 if engine_name == "sqlite" else 20, steps=20)


def test_the_machine_finds_a_second_settlement_when_the_guard_is_gone(engine_name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(book, "_SETTLE_CHARGE", book._SETTLE_CHARGE._replace(guard=""))
    monkeypatch.setattr(book, "_SETTLE_TRANSFER", book._SETTLE_TRANSFER._replace(guard=""))

    with pytest.raises(FOUND):
        run_machine(engine_name, examples=60, steps=15)


def test_the_machine_finds_a_hold_that_asks_no_balance(engine_name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(book, "_free_credit", lambda conn, wallets: dict.fromkeys(wallets, (10**9, "CNY")))

    with pytest.raises(FOUND):
        run_machine(engine_name, examples=60, steps=15)
