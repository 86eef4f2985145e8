"""What is weighed together, on both engines: many small acts of one person are one great one, and wait for another."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import Connection, text

from billing import accounts, approvals, book, vouchers
from billing.approvals import DAY_US, Limits
from billing.booking import Booking
from billing.check import check
from billing.errors import VoucherError
from billing.vouchers import Batch

NOW = 1_800_000_000_000_000
LIMITS = Limits({"CNY": 10_000, "USD": 10_000})
YEAR_US = 365 * DAY_US


class Desk:
    """Two wallets of one party and a third of another, with short names for what is tried."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.now_us = NOW
        ids = itertools.count(1_000)
        self.new_id = lambda: next(ids)
        for currency in ("CNY", "USD"):
            book.ensure_house(conn, currency, new_id=self.new_id, now_us=1)
        self.yuan, self.dollars, self.other = (
            book.open_account(conn, self.new_id(), party, currency, True, 1)
            for party, currency in (("partner:acme", "CNY"), ("partner:acme", "USD"), ("partner:other", "CNY"))
        )

    def credit(self, wallet: int, limit_minor: int, actor: str = "li") -> int | None:
        """Ask for a limit; the request it became, if it did."""
        return accounts.set_limit(
            self.conn, wallet, limit_minor, actor=actor, new_id=self.new_id, now_us=self.now_us, limits=LIMITS
        ).approval_id

    def make(self, name: str, minor: int, currency: str = "CNY", actor: str = "li") -> vouchers.Made:
        octets = iter([sum(name.encode()).to_bytes(10, "big")])
        batch = Batch(name, minor, currency, 1, self.now_us + YEAR_US)
        world = {"random_octets": lambda _: next(octets), "new_id": self.new_id, "now_us": self.now_us}
        return vouchers.make(self.conn, batch, actor=actor, limits=LIMITS, **world)

    def redeem(self, code: str) -> bool:
        return vouchers.redeem(self.conn, code, self.yuan, actor="li", new_id=self.new_id, now_us=self.now_us).is_new

    def decide(self, request: int | None, approve: bool = True) -> None:
        assert request is not None
        approvals.decide(self.conn, request, actor="wang", approve=approve, into=Booking(), new_id=self.new_id, now_us=self.now_us)

    def broken(self) -> set[str]:
        return {each.invariant for each in check(self.conn)}


@pytest.fixture
def desk(empty_store: Connection) -> Desk:
    return Desk(empty_store)


def test_small_raises_of_a_credit_by_one_person_count_together(desk: Desk):
    first, second, third = desk.credit(desk.yuan, 6_000), desk.credit(desk.yuan, 10_000), desk.credit(desk.yuan, 10_001)

    assert (first, second) == (None, None)
    assert third is not None
    assert accounts.one(desk.conn, desk.yuan).limit_minor == 10_000


def test_another_person_another_wallet_and_another_party_are_weighed_by_themselves(desk: Desk):
    desk.credit(desk.yuan, 10_000)

    assert desk.credit(desk.dollars, 10_000) is None
    assert desk.credit(desk.other, 10_000) is None
    assert desk.credit(desk.yuan, 20_000, actor="zhao") is None
    assert desk.credit(desk.yuan, 20_001, actor="LI") is not None


def test_what_two_people_granted_is_weighed_no_more_and_what_was_taken_back_neither(desk: Desk):
    desk.credit(desk.yuan, 10_000)
    desk.decide(desk.credit(desk.yuan, 50_000))

    after_two = desk.credit(desk.yuan, 60_000)
    desk.credit(desk.yuan, 50_000)
    again = desk.credit(desk.yuan, 60_000)

    assert (after_two, again) == (None, None)
    assert desk.credit(desk.yuan, 60_001) is not None


def test_batches_of_vouchers_within_a_day_count_together_whoever_makes_them(desk: Desk):
    first, second = desk.make("a", 6_000), desk.make("b", 4_000, actor="zhao")
    third, abroad = desk.make("c", 1), desk.make("d", 10_000, "USD")
    desk.now_us += DAY_US
    tomorrow = desk.make("e", 10_000)

    assert (first.approval_id, second.approval_id, abroad.approval_id, tomorrow.approval_id) == (None, None, None, None)
    assert third.approval_id is not None


def test_vouchers_that_wait_for_a_second_person_bring_nothing_until_he_agrees(desk: Desk):
    made = desk.make("large", 20_000)
    with pytest.raises(VoucherError, match="this code brings nothing"):
        desk.redeem(made.codes[0])

    desk.decide(made.approval_id)

    assert desk.redeem(made.codes[0])
    assert desk.broken() == set()


def test_vouchers_that_were_refused_stay_worthless_and_weigh_nothing(desk: Desk):
    made = desk.make("large", 20_000)
    desk.decide(made.approval_id, approve=False)

    with pytest.raises(VoucherError, match="this code brings nothing"):
        desk.redeem(made.codes[0])
    assert desk.make("small", 10_000).approval_id is None


def test_a_voucher_redeemed_without_agreement_is_found(desk: Desk):
    made = desk.make("large", 20_000)
    desk.decide(made.approval_id)
    desk.redeem(made.codes[0])

    desk.conn.execute(text("UPDATE approval SET state = 11"))

    assert desk.broken() == {"voucher_was_agreed_to"}
