"""Messages under a tariff, from acceptance to their end: what is held, what is captured, what comes back, and whose counters move."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection, select

from billing import amending, book, booking, counters, suspense, tariffs
from billing.calendar import month_of
from billing.counters import Counter
from billing.errors import SuspenseError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from billing.schema import charge
from billing.schema_tariff import tariff_use
from billing.tariff.rule import Model, Promotion, Rule
from billing.tariff.version import FOREVER_US, Matcher, Version
from gateway.domain.address import Address
from gateway.domain.failure import Refused
from gateway.domain.message import Flight, Front, State, UnknownOutcome
from gateway.services import priced, recycling
from gateway.services.catalogue import Catalogue, Service
from gateway.services.outcome import Ended, Outcome
from gateway.services.rating import Prices, Rating
from gateway.services.submit import Accepting, Draft, Drafting, Sender, Submission
from gateway.store import consistency
from gateway.store.messages import Ending

NOW = 1_800_000_000_000_000
PHONE, OTHER = "8613900000001", "8613900000002"
DAY_US = 86_400_000_000
SERVICE = Service("chat", 7, "CNY", True, UnknownOutcome.RESEND, DAY_US, 10, "flat/1:x", "service:chat", int(FeeClass.PER_PART))
BASE = Rule("chat", Model.PER_PART, 10, "CNY", service="chat")


class Shop:
    """A partner with credit under a tariff of these rules, on an empty store."""

    def __init__(self, conn: Connection, *rules: Rule, suspends: bool = False) -> None:
        self.conn = conn
        self._ids = count((NOW - 1_577_836_800_000_000) << 5)
        house = book.ensure_house(conn, "CNY", new_id=self.next_id, now_us=NOW)
        self.revenue = house.revenue
        self.wallet = book.open_account(conn, self.next_id(), "partner:acme", "CNY", True, NOW)
        self.sponsor = book.open_account(conn, self.next_id(), "sponsor:bank", "CNY", True, NOW)
        for wallet in (self.wallet, self.sponsor):
            book.top_up(conn, wallet, 1_000, f"first {wallet}", self.next_id(), NOW)
        self.rating = Rating(booking.DEFAULT, suspends=suspends)
        self.take(*rules)
        catalogue = Catalogue({"chat": SERVICE}, {}, "chat", "10661700", house.revenue, (), rating=self.rating)
        self._drafting, self._accepting = Drafting(catalogue), Accepting(house.revenue, catalogue=catalogue)
        self.rows = Outcome()

    def next_id(self) -> int:
        return next(self._ids) << 8

    def take(self, *rules: Rule) -> None:
        matchers = (Matcher(Version("main", 1, 0, FOREVER_US, rules)),) if rules else ()
        self.rating.reload(Prices(matchers, {("sponsor:bank", "CNY"): self.sponsor}, (1, 1, 1)))

    def draft(self, parts: int = 1, phone: str = PHONE, service: str = "chat") -> Draft:
        submission = Submission(
            Sender(Front.SMPP, self.wallet, 7), Address("10661700", 0, 1), Address(phone, 1, 1), service, "a" * (150 * parts)
        )
        return self._drafting.draft(submission, self.next_id(), NOW, 0.0, link="sim", reserve=lambda *_: True)

    def accept(self, *drafts: Draft) -> list[Refused | None]:
        return self._accepting.accept_many(self.conn, list(drafts))

    def sent(self, parts: int = 1, phone: str = PHONE) -> Draft:
        draft = self.draft(parts, phone)
        assert self.accept(draft) == [None]
        return draft

    def end(self, draft: Draft, *states: State) -> Any:
        """End its parts in these states; the charge."""
        flights: list[Flight] = draft.flights()
        assert len(flights) == len(states)
        for flight, state in zip(flights, states, strict=True):
            self.rows.end_many(self.conn, [Ended(Ending(flight, state, NOW + 1, None, None, "a"), self.next_id())])
        return self.charge(draft)

    def charge(self, draft: Draft) -> Any:
        return self.charge_of(draft.message.id)

    def charge_of(self, id_: int) -> Any:
        return self.conn.execute(select(charge).where(charge.c.id == id_)).one()

    def used(self, payer: str = f"+{PHONE}", rule: str = "main/chat") -> tuple[int, int]:
        """Units of the month, and what they cost."""
        day = booking.DEFAULT.carriers.day("default", NOW)
        found = counters.read(self.conn, Counter(payer, rule, day))
        assert month_of(day) % 100 == 0
        return found.units_month, found.amount_month_minor

    def held(self) -> int:
        return book.balance(self.conn, self.wallet).held

    def faults(self) -> list[str]:
        # Only charges and money: the segments of these tests are not sent.
        return [each.invariant for each in consistency.check(self.conn) if "charge" in each.detail or "wallet" in each.detail]


Shopping = Callable[..., Shop]
DELIVERED, FAILED = State.DELIVERED, State.FAILED


@pytest.fixture
def shop(empty_store: Connection) -> Shopping:
    return lambda *rules, **asked: Shop(empty_store, *rules, **asked)


# Only SQLite tells every statement.
ON_SQLITE = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def statements_of(conn: Connection, step: Callable[[], object]) -> list[str]:
    """What the engine was told, whoever told it."""
    told: list[str] = []
    raw = conn.connection.dbapi_connection
    raw.set_trace_callback(told.append)
    step()
    raw.set_trace_callback(None)
    return told


# -- what is held and captured -------------------------------------------------------------------------------------------------


def test_without_a_tariff_the_prices_of_services_hold(shop: Shopping):
    plain = shop()

    found = plain.end(plain.sent(2), DELIVERED, DELIVERED)

    assert (found.amount_minor, found.tariff_version, found.trace) == (14, "flat/1:x", None)


@ON_SQLITE
def test_plain_messages_of_a_tariff_are_held_in_as_many_statements_as_without_one(shop: Shopping):
    plain = shop(BASE)
    many = [plain.draft(phone=f"86139{number:08d}") for number in range(20)]
    assert all(draft.pricing is None for draft in many)
    with_tariff = statements_of(plain.conn, lambda: plain.accept(*many))
    plain.take()

    without = statements_of(plain.conn, lambda: plain.accept(*[plain.draft(phone=f"86138{number:08d}") for number in range(20)]))

    assert len(with_tariff) == len(without)


@ON_SQLITE
def test_what_rules_add_to_charges_costs_one_statement_for_all_of_them(shop: Shopping):
    taxed = shop(BASE._replace(tax_ppm=60_000, provider="tunes"))
    one, many = [taxed.draft()], [taxed.draft() for _ in range(20)]

    few, lots = (statements_of(taxed.conn, lambda drafts=drafts: taxed.accept(*drafts)) for drafts in (one, many))

    assert len(few) == len(lots)
    assert {(row.provider, row.tax_minor) for row in map(taxed.charge, many)} == {("tunes", 1)}


@pytest.mark.parametrize(
    ("states", "captured", "kept"),
    [((DELIVERED,) * 3, 10, (3, 10)), ((DELIVERED, FAILED, FAILED), 0, (1, 0)), ((FAILED,) * 3, 0, (0, 0))],
)
def test_a_torn_message_uses_what_is_free_first_and_gives_back_the_rest(
    shop: Shopping, states: tuple[State, ...], captured: int, kept: tuple[int, int]
):
    free = shop(BASE._replace(free_per_month=2))
    draft = free.sent(3)
    assert (free.charge(draft).amount_minor, free.held(), free.used()) == (10, 10, (3, 10))

    found = free.end(draft, *states)

    assert (found.amount_minor, found.fee_class, free.used(), free.held()) == (captured, FeeClass.PER_PART, kept, 0)
    assert free.conn.execute(select(tariff_use)).all() == []
    assert free.faults() == []


def test_a_message_charged_as_a_whole_is_not_charged_by_halves_when_a_cap_met_it(shop: Shopping):
    capped = shop(BASE._replace(model=Model.PER_MESSAGE, price_minor=100, cap_per_day_minor=150))
    capped.end(capped.sent(), DELIVERED)

    found = capped.end(capped.sent(2), DELIVERED, FAILED)

    assert (found.fee_class, found.state, found.amount_minor) == (FeeClass.PER_MSG, ChargeState.RELEASED, 0)
    assert capped.used() == (1, 100)
    assert capped.faults() == []


def test_caps_and_allowances_are_each_phones_own_unless_the_payers_are_meant(shop: Shopping):
    by_phone = shop(BASE._replace(free_per_month=1))
    first, second = by_phone.sent(), by_phone.sent(phone=OTHER)
    assert [by_phone.charge(each).amount_minor for each in (first, second)] == [0, 0]

    by_phone.take(BASE._replace(name="bulk", free_per_month=1, count_by="payer"))
    third, fourth = by_phone.sent(), by_phone.sent(phone=OTHER)

    assert [by_phone.charge(each).amount_minor for each in (third, fourth)] == [0, 10]
    assert by_phone.used(str(by_phone.wallet), "main/bulk") == (2, 10)


def test_the_tax_of_what_is_captured_is_its_share(shop: Shopping):
    taxed = shop(BASE._replace(price_minor=106, tax_ppm=60_000))
    whole, torn, lost = taxed.sent(3), taxed.sent(3), taxed.sent(3)

    found = [
        taxed.end(whole, *[DELIVERED] * 3),
        taxed.end(torn, DELIVERED, DELIVERED, FAILED),
        taxed.end(lost, *[FAILED] * 3),
    ]

    assert [(each.amount_minor, each.tax_minor) for each in found] == [(318, 18), (212, 12), (0, 0)]


def test_a_promotion_is_named_and_a_subscriber_or_a_sponsor_pays(shop: Shopping):
    promoted = BASE._replace(promotions=(Promotion("half", 0, FOREVER_US // 2, 50),), payer="subscriber")
    paid = shop(promoted)
    billed = paid.end(paid.sent(), DELIVERED)
    paid.take(BASE._replace(payer="sponsor:bank"))

    sponsored = paid.end(paid.sent(), DELIVERED)

    assert (billed.amount_minor, billed.promotion, billed.payer, billed.wallet) == (5, "half", Payer.DEST, None)
    assert (billed.charged_msisdn, billed.state) == (PHONE, ChargeState.CAPTURED)
    assert (sponsored.payer, sponsored.wallet, book.balance(paid.conn, paid.sponsor).posted) == (Payer.OTHER, paid.sponsor, 990)
    assert paid.faults() == []


# -- written anew -------------------------------------------------------------------------------------------------------------


def test_a_message_written_anew_is_priced_by_the_rule_that_priced_it(shop: Shopping):
    rule = BASE._replace(free_per_month=2, tax_ppm=250_000)
    free = shop(rule)
    tariffs.draft(free.conn, Version("main", 0, 0, FOREVER_US, (rule,)), actor="ann", now_us=NOW)
    draft = free.sent()

    amounts = [amending.amend(free.conn, draft.message.id, parts=parts) for parts in (4, 1, 3, 200)]

    assert amounts == [20, 0, 10, None]
    found = free.charge(draft)
    assert (found.parts, found.amount_minor, found.tax_minor, free.held(), free.used()) == (3, 10, 2, 10, (3, 10))
    assert free.faults() == []


@pytest.mark.parametrize(("price", "parts", "before", "after"), [(106, 3, 6, 18), (10, 8, 1, 5), (8, 10, 0, 5)])
def test_a_plain_charge_written_anew_keeps_its_price_and_has_the_tax_of_all_of_it(
    shop: Shopping, price: int, parts: int, before: int, after: int
):
    rule = BASE._replace(price_minor=price, tax_ppm=60_000)
    taxed = shop(rule)
    tariffs.draft(taxed.conn, Version("main", 0, 0, FOREVER_US, (rule,)), actor="ann", now_us=NOW)
    draft = taxed.sent()
    assert taxed.charge(draft).tax_minor == before

    assert amending.amend(taxed.conn, draft.message.id, parts=parts) == price * parts

    assert (taxed.charge(draft).tax_minor, taxed.held()) == (after, price * parts)


# -- without a price -----------------------------------------------------------------------------------------------------------


def test_what_no_rule_prices_is_refused_or_suspended_with_the_parts_that_were_delivered(shop: Shopping):
    strict = shop(BASE._replace(service="other"))
    with pytest.raises(Refused, match="no rule of main/1 fits service chat"):
        strict.draft()


def test_a_torn_message_without_a_price_is_suspended_with_the_parts_delivered(shop: Shopping):
    lenient = shop(BASE._replace(service="other"), suspends=True)

    torn = lenient.end(lenient.sent(3), DELIVERED, FAILED, DELIVERED)
    lost = lenient.end(lenient.sent(), FAILED)

    assert (torn.state, torn.amount_minor, torn.parts_charged) == (ChargeState.SUSPENDED, 0, 2)
    assert lost.state == ChargeState.RELEASED
    assert [each.event_id for each in suspense.listed(lenient.conn)] == [torn.id]
    assert lenient.faults() == []


def recycle(where: Shop, event_id: int) -> str | None:
    price_of = recycling.price_of(where.conn, where.rating, lambda _currency: where.revenue)
    asked = {"into": booking.DEFAULT, "journal_seq": where.next_id(), "actor": "ann", "now_us": NOW + DAY_US}
    return suspense.recycle(where.conn, event_id, price_of, **asked)


def test_what_was_suspended_is_charged_once_for_its_parts_with_its_counters_and_facts(shop: Shopping):
    mended = shop(BASE._replace(service="other"), suspends=True)
    torn = mended.end(mended.sent(4), DELIVERED, FAILED, DELIVERED, DELIVERED)
    assert recycle(mended, torn.id) is not None
    mended.take(BASE._replace(free_per_month=1, provider="tunes", tax_ppm=250_000))

    why = recycle(mended, torn.id)

    found = mended.conn.execute(select(charge).where(charge.c.id == torn.id)).one()
    assert (why, found.state, found.parts_charged) == (None, ChargeState.CAPTURED, 3)
    assert (found.amount_minor, found.tax_minor, found.provider, found.allowance) == (20, 4, "tunes", "chat")
    assert (found.journal_seq > torn.journal_seq, found.booked_at) == (True, NOW + DAY_US)
    assert (mended.used(), book.balance(mended.conn, mended.wallet)) == ((3, 20), (980, 0, 980))
    with pytest.raises(SuspenseError, match="is not suspended"):
        recycle(mended, torn.id)
    assert mended.used() == (3, 20)
    assert mended.faults() == []


def test_what_nobody_can_pay_stays_suspended_and_nothing_is_counted(shop: Shopping):
    mended = shop(BASE._replace(service="other"), suspends=True)
    sent = mended.end(mended.sent(), DELIVERED)
    mended.take(BASE._replace(price_minor=5_000, free_per_month=0, cap_per_month_minor=9_000))

    assert recycle(mended, sent.id) == "the wallet cannot pay it"
    assert (mended.used(), mended.charge_of(sent.id).state) == ((0, 0), ChargeState.SUSPENDED)
    assert [each.event_id for each in suspense.listed(mended.conn)] == [sent.id]


def test_a_torn_message_that_is_charged_as_a_whole_is_not_charged(shop: Shopping):
    mended = shop(BASE._replace(service="other"), suspends=True)
    torn = mended.end(mended.sent(2), DELIVERED, FAILED)
    mended.take(BASE._replace(model=Model.PER_MESSAGE))

    assert recycle(mended, torn.id) == "not all of it was delivered, and it is charged as a whole: discard it"


# -- what phones send ----------------------------------------------------------------------------------------------------------


def received(where: Shop) -> Any:
    id_ = where.next_id()
    names = ("sim", "10661700", PHONE, "10661700", None)
    mo = BillableEvent(id_, Direction.MO, NOW, "chat", FeeClass.FREE, Payer.OTHER, None, *names, 1, 1, 0, 0, "CNY", "flat/1:x", "mo:free")
    settled = Settlement(id_, ChargeState.ZERO_RATED, None, 0, 0, 0, id_, "DELIVRD", NOW, None, None, "sim")
    priced.record_mo(where.conn, where.rating, mo, settled, where.revenue, {}, booking.DEFAULT)
    return where.charge_of(id_)


def test_what_a_phone_sends_is_free_unless_a_rule_speaks_of_it(shop: Shopping):
    asked = shop(BASE)
    free = received(asked)
    asked.take(BASE, BASE._replace(name="sent", direction="MO", price_minor=20, free_per_day=1, tax_ppm=60_000))

    first, second = received(asked), received(asked)

    assert (free.state, free.tariff_rule) == (ChargeState.ZERO_RATED, "mo:free")
    assert (first.state, first.allowance, first.amount_minor) == (ChargeState.ZERO_RATED, "sent", 0)
    assert (second.state, second.amount_minor, second.tax_minor) == (ChargeState.CAPTURED, 20, 1)
    assert (second.payer, second.wallet, second.charged_msisdn) == (Payer.SOURCE, None, PHONE)
    assert asked.used(rule="main/sent") == (2, 20)
    assert not {"charge_terminal", "charge_has_its_hold", "charge_agrees_with_hold"} & set(asked.faults())


def test_what_a_sponsor_cannot_pay_is_suspended(shop: Shopping):
    asked = shop(BASE._replace(direction="MO", price_minor=2_000, payer="sponsor:bank"))

    found = received(asked)

    assert (found.state, found.amount_minor) == (ChargeState.SUSPENDED, 0)
    assert [each.reason for each in suspense.listed(asked.conn)] == ["no_credit"]
    assert recycle(asked, found.id) == "the wallet cannot pay it"
