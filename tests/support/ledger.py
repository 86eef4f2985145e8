"""The ledger and a plain model of it, driven by rules: whatever the order and the repeats, money ends where the model says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.pool import StaticPool

from billing import accounts, approvals, book, refunds, schema, schema_ledger, vouchers
from billing.approvals import Limits
from billing.booking import Booking
from billing.check import check
from billing.errors import ApprovalError, CorrectionRefusedError, LedgerError, ReferenceReusedError, VoucherError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from billing.refunds import Asked, Refund
from billing.vouchers import Batch

CURRENCIES = {11: "CNY", 12: "CNY", 13: "QQB"}
WALLETS = tuple(CURRENCIES)
# A second person is asked above this much.
LIMIT_MINOR = 6
LIMITS = Limits(dict.fromkeys(CURRENCIES.values(), LIMIT_MINOR))
FINAL = (ChargeState.CAPTURED, ChargeState.RELEASED, ChargeState.EXPIRED)
CREDIT_MINOR = 20
NOBODY_PAYS = 0
PAYERS = (*WALLETS, NOBODY_PAYS)
KINDS = ("refund", "goodwill", "writeoff", "adjust")
TABLES = ("account", "transfer", "charge", "audit_log", "approval", "voucher_batch", "voucher")


@lru_cache(maxsize=1)
def in_memory() -> Engine:
    """One database for all examples: each empties it first, which is cheaper than making the tables anew."""
    assert schema_ledger.metadata is schema.metadata
    engine = create_engine("sqlite://", poolclass=StaticPool)
    event.listen(engine, "connect", lambda dbapi, _record: setattr(dbapi, "isolation_level", None))
    event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
    schema.metadata.create_all(engine)
    return engine


_offers: list[tuple[str, dict[str, st.SearchStrategy[Any]]]] = []


def offered(weight: int = 1, **drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a method one of the machine's steps, taken as often as its weight says.

    Hypothesis switches whole rules off for an example, and with many of them few examples would have all that a fault takes.
    """

    def register(step: Callable[..., None]) -> Callable[..., None]:
        _offers.extend([(step.__name__, drawn)] * weight)
        return step

    return register


class LedgerMachine(RuleBasedStateMachine):
    """Two wallets in yuan and one in coins; the model keeps what came in, what was captured, the open holds and what was given back.

    `engine_of` gives the database, whose tables are there: another one runs the same machine on another engine.
    """

    engine_of: Callable[[], Engine] = staticmethod(in_memory)

    def __init__(self) -> None:
        super().__init__()
        self.engine = type(self).engine_of()
        self.last_id = 256
        self.journal_seq = 0
        self.house: dict[str, int] = {}
        with self.engine.begin() as conn:
            for name in TABLES:
                conn.execute(schema.metadata.tables[name].delete())
            for currency in sorted(set(CURRENCIES.values())):
                self.house[currency] = book.ensure_house(conn, currency, new_id=self.next_id, now_us=0).revenue
            for wallet, currency in CURRENCIES.items():
                book.open_account(conn, wallet, f"im:{wallet}", currency, True, 0)
        self.posted = dict.fromkeys(WALLETS, 0)
        self.limit = dict.fromkeys(WALLETS, 0)
        self.open: dict[int, tuple[int, int]] = {}
        self.done: list[tuple[int, int, int]] = []
        self.captured: dict[int, tuple[int, int]] = {}  # a charge: who paid, and what
        self.given: dict[int, int] = {}  # of a charge, what is less than its capture by now
        self.moved: dict[int, int] = {}  # of a charge, all that people did to it, without signs
        self.used: list[tuple[int, int, int, str]] = []
        self.acts: list[tuple[str, int, int, str, int]] = []
        self.waiting: list[tuple[int, tuple[str, int, int, int]]] = []
        self.codes: dict[str, int] = {}  # a code: 0, or the wallet it went into
        # Something to settle, to refuse and to give back from the first step on.
        for wallet in WALLETS:
            self._bring(wallet, 60)
        self._hold([(payer, 4, 5) for payer in PAYERS])

    def next_id(self) -> int:
        self.last_id += 256
        return self.last_id

    @offered(wallet=st.sampled_from(WALLETS), amount=st.integers(1, 60))
    def top_up(self, wallet: int, amount: int) -> None:
        self._bring(wallet, amount)

    def _bring(self, wallet: int, amount: int) -> None:
        id_ = self.next_id()

        self._transact(lambda conn: book.top_up(conn, wallet, amount, f"R{id_}", id_, 1))

        self.posted[wallet] += amount
        self.used.append((wallet, amount, id_, f"R{id_}"))

    @offered(other=st.booleans())
    def repeat_a_top_up(self, data: st.DataObject, other: bool) -> None:
        if not self.used:
            return
        wallet, amount, id_, reference = data.draw(st.sampled_from(self.used))
        again = (wallet, amount + other, reference, self.next_id(), 2)
        if other:
            self._refused(ReferenceReusedError, lambda conn: book.top_up(conn, *again))
        else:
            assert self._transact(lambda conn: book.top_up(conn, *again)) == (id_, False)

    @offered(wallet=st.sampled_from(WALLETS), limit=st.integers(0, CREDIT_MINOR))
    def give_credit(self, wallet: int, limit: int) -> None:
        def step(conn: Any) -> Any:
            return accounts.set_limit(conn, wallet, limit, actor="li", new_id=self.next_id, now_us=2)

        if self._available(wallet) - self.limit[wallet] + limit < 0:
            self._refused(LedgerError, step)
        else:
            self._transact(step)
            self.limit[wallet] = limit

    @offered(
        weight=2,
        wanted=st.lists(st.tuples(st.sampled_from((*WALLETS, NOBODY_PAYS)), st.integers(0, 12), st.integers(1, 4)), min_size=1, max_size=5),
    )
    def hold(self, wanted: list[tuple[int, int, int]]) -> None:
        self._hold(wanted)

    def _hold(self, wanted: list[tuple[int, int, int]]) -> None:
        events = [an_event(self.next_id(), *each) for each in wanted]

        def step(conn: Any) -> list[bool]:
            by_currency = {
                currency: [each for each in events if each.currency == currency] for currency in dict.fromkeys(e.currency for e in events)
            }
            fits = {}
            for currency, some in by_currency.items():
                took = book.hold_many(conn, some, revenue=self.house[currency], now_us=3)
                fits |= {each.id: fit for each, fit in zip(some, took, strict=True)}
            return [fits[each.id] for each in events]

        fits = self._transact(step)

        for event_, (wallet, _, _), fit in zip(events, wanted, fits, strict=True):
            assert fit == (wallet == NOBODY_PAYS or event_.amount_minor <= self._available(wallet))
            if fit:
                self.open[event_.id] = (wallet, event_.amount_minor)

    @offered(quantity=st.integers(1, 6))
    def amend(self, data: st.DataObject, quantity: int) -> None:
        if not self.open:
            return
        id_ = data.draw(st.sampled_from(sorted(self.open)))
        wallet, held = self.open[id_]
        unit = self._transact(lambda conn: conn.execute(text("SELECT unit_price_minor FROM charge WHERE id = :id"), {"id": id_}).scalar())
        fits = wallet == NOBODY_PAYS or unit * quantity - held <= self._available(wallet)

        amount = self._transact(lambda conn: book.amend(conn, id_, parts=quantity, quantity=quantity))

        assert amount == (unit * quantity if fits else None)
        if fits:
            self.open[id_] = (wallet, unit * quantity)

    @offered(weight=3)
    def settle_some(self, data: st.DataObject) -> None:
        known = [(id_, *held) for id_, held in self.open.items()] + self.done
        if not known:
            return
        # Drawn with repetition, open and settled ones mixed: repeats within one call and over calls.
        drawn = data.draw(st.lists(st.tuples(st.sampled_from(known), st.sampled_from(FINAL), st.integers(0, 4)), min_size=1, max_size=6))
        settlements = [self._settlement(*charge, state, less) for charge, state, less in drawn]

        took = self._transact(lambda conn: book.settle_many(conn, settlements, now_us=4))

        for settlement, effective in zip(settlements, took, strict=True):
            assert effective == (settlement.id in self.open)
            if effective:
                wallet, held = self.open.pop(settlement.id)
                self.done.append((settlement.id, wallet, held))
                self.captured[settlement.id] = (wallet, settlement.amount_minor)
                self._pay(wallet, -settlement.amount_minor)

    @offered(
        weight=4,
        kind=st.sampled_from(KINDS),
        amount=st.integers(1, 40),
        times=st.integers(1, 2),
    )
    def correct(self, data: st.DataObject, kind: str, amount: int, times: int) -> None:
        if not self.captured:
            return
        charge = data.draw(st.sampled_from(sorted(self.captured)))
        signed = data.draw(st.sampled_from((-amount, amount))) if kind == "adjust" else amount
        times = times if kind == "refund" else 1
        reference = f"C{self.next_id()}"
        back = -signed if kind == "adjust" else signed
        act = (kind, charge, signed, reference, times)
        if kind != "goodwill" and back > self._left(charge):
            self._refused(CorrectionRefusedError, lambda conn: self._do(conn, act))
        elif self.moved.get(charge, 0) + amount * times > LIMIT_MINOR:
            asked = self._transact(lambda conn: self._do(conn, act))
            assert asked.approval_id is not None
            self.waiting.append((asked.approval_id, (kind, charge, back, times)))
        elif back < 0 and self._cannot_pay(charge, -back):
            self._refused(LedgerError, lambda conn: self._do(conn, act))
        else:
            done = self._transact(lambda conn: self._do(conn, act))
            assert done.is_new
            self._booked(kind, charge, back, times)
            assert done.remaining_minor == self._left(charge)
            self.acts.append(act)

    @offered(weight=2, change=st.sampled_from(("nothing", "amount", "charge")))
    def repeat_an_act(self, data: st.DataObject, change: str) -> None:
        if not self.acts:
            return
        kind, charge, amount, reference, times = data.draw(st.sampled_from(self.acts))
        if change == "nothing":
            assert not self._transact(lambda conn: self._do(conn, (kind, charge, amount, reference, times))).is_new
            return
        others = [each for each in self.captured if each != charge]
        if change == "charge" and not others:
            return
        other = (kind, others[0], amount, reference, times) if change == "charge" else (kind, charge, amount + 1 or 2, reference, times)
        self._refused(ReferenceReusedError, lambda conn: self._do(conn, other))

    @offered(weight=3, who=st.sampled_from(("li", "wang")), approve=st.booleans())
    def decide(self, data: st.DataObject, who: str, approve: bool) -> None:
        if not self.waiting:
            return
        place = data.draw(st.integers(0, len(self.waiting) - 1))
        number, (kind, charge, back, times) = self.waiting[place]

        def step(conn: Any) -> Any:
            return approvals.decide(conn, number, actor=who, approve=approve, into=Booking(), new_id=self.next_id, now_us=6)

        if who == "li":
            self._refused(ApprovalError, step)
        elif approve and kind != "goodwill" and back > self._left(charge):
            self._refused(CorrectionRefusedError, step)
        elif approve and back < 0 and self._cannot_pay(charge, -back):
            self._refused(LedgerError, step)
        else:
            self._transact(step)
            del self.waiting[place]
            if approve:
                self._booked(kind, charge, back, times)
            self._refused(ApprovalError, step)

    @offered(wallet=st.sampled_from(WALLETS))
    def make_vouchers(self, wallet: int) -> None:
        number = self.next_id()
        batch = Batch(f"b{number}", 7, CURRENCIES[wallet], 2, 100)
        octets = iter((number.to_bytes(10, "big"), (number + 1).to_bytes(10, "big")))

        codes = self._transact(
            lambda conn: vouchers.make(conn, batch, actor="li", random_octets=lambda _: next(octets), new_id=self.next_id, now_us=1)
        ).codes

        self.codes |= {f"{code} {CURRENCIES[wallet]}": 0 for code in codes}

    @offered(weight=2, wallet=st.sampled_from(WALLETS))
    def redeem(self, data: st.DataObject, wallet: int) -> None:
        if not self.codes:
            return
        known = data.draw(st.sampled_from(sorted(self.codes)))
        code, _, currency = known.partition(" ")

        def step(conn: Any) -> Any:
            return vouchers.redeem(conn, code, wallet, actor="li", new_id=self.next_id, now_us=7)

        if self.codes[known] not in (0, wallet) or currency != CURRENCIES[wallet]:
            self._refused(VoucherError, step)
        else:
            assert self._transact(step).is_new == (self.codes[known] == 0)
            if self.codes[known] == 0:
                self.codes[known] = wallet
                self.posted[wallet] += 7

    @rule(data=st.data(), place=st.integers(0, len(_offers) - 1))
    def step(self, data: st.DataObject, place: int) -> None:
        name, drawn = _offers[place]
        values = {each: data.draw(strategy, each) for each, strategy in drawn.items()}
        method = getattr(self, name)
        method(data=data, **values) if "data" in inspect.signature(method).parameters else method(**values)

    @invariant()
    def wallets_are_what_the_model_says(self) -> None:
        with self.engine.begin() as conn:
            for wallet in WALLETS:
                held = sum(amount for owner, amount in self.open.values() if owner == wallet)
                assert book.balance(conn, wallet) == (self.posted[wallet], held, self.posted[wallet] - held)
                assert accounts.one(conn, wallet).free_minor == self._available(wallet)

    @invariant()
    def nothing_violates_the_ledger(self) -> None:
        with self.engine.begin() as conn:
            assert check(conn) == []

    @invariant()
    def no_money_appears_or_vanishes(self) -> None:
        sums: dict[str, int] = {}
        with self.engine.begin() as conn:
            totals = accounts.trial_balance(conn)
        for each in totals:
            sums[each.currency] = sums.get(each.currency, 0) + each.balance_minor
        assert set(sums.values()) == {0}
        wallets = {each.currency: each.balance_minor for each in totals if each.name == "wallets im"}
        for currency in sums:
            assert wallets[currency] == sum(self.posted[wallet] for wallet, each in CURRENCIES.items() if each == currency)

    def _do(self, conn: Any, act: tuple[str, int, int, str, int]) -> Any:
        kind, charge, amount, reference, times = act
        world: dict[str, Any] = {"into": Booking(), "new_id": self.next_id, "now_us": 5, "limits": LIMITS}
        if kind == "refund":
            return refunds.refund(conn, Refund(charge, amount, "dispute", reference, "li", times), **world)
        function = {"goodwill": refunds.goodwill, "writeoff": refunds.write_off, "adjust": refunds.adjust}[kind]
        return function(conn, Asked(charge, amount, "dispute", reference, "li"), **world)

    def _booked(self, kind: str, charge: int, back: int, times: int) -> None:
        wallet, _ = self.captured[charge]
        self._pay(wallet, back * times)
        self.moved[charge] = self.moved.get(charge, 0) + abs(back) * times
        if kind != "goodwill":
            self.given[charge] = self.given.get(charge, 0) + back

    def _left(self, charge: int) -> int:
        return self.captured[charge][1] - self.given.get(charge, 0)

    def _pay(self, wallet: int, minor: int) -> None:
        if wallet != NOBODY_PAYS:
            self.posted[wallet] += minor

    def _cannot_pay(self, charge: int, minor: int) -> bool:
        wallet = self.captured[charge][0]
        return wallet != NOBODY_PAYS and self._available(wallet) < minor

    def _available(self, wallet: int) -> int:
        return self.posted[wallet] + self.limit[wallet] - sum(amount for owner, amount in self.open.values() if owner == wallet)

    def _settlement(self, id_: int, wallet: int, held: int, state: ChargeState, less: int) -> Settlement:
        self.journal_seq += 1
        amount = max(held - less, 0) if state is ChargeState.CAPTURED else 0
        return Settlement(id_, state, wallet or None, held, amount, 1, self.journal_seq, None, None, None, None, None)

    def _transact(self, step: Callable[[Any], Any]) -> Any:
        with self.engine.begin() as conn:
            return step(conn)

    def _refused(self, error: type[Exception], step: Callable[[Any], Any]) -> None:
        """What is refused leaves nothing behind: its transaction is rolled back by the error."""
        try:
            self._transact(step)
        except error:
            return
        raise AssertionError(f"was not refused as {error.__name__}")


def an_event(id_: int, wallet: int, unit: int, parts: int) -> BillableEvent:
    """A message a wallet pays for, or the carrier collects for."""
    names = ("cmcc-1", "10086", "8613800000000", "8613900000000", 10001)
    price = (parts, parts, unit, unit * parts, CURRENCIES.get(wallet, "CNY"), "flat/1", "service:chat")
    return BillableEvent(id_, Direction.MT, 0, "chat", FeeClass.PER_PART, Payer.SOURCE, wallet or None, *names, *price)
