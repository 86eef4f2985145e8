"""Wallets of one party in several currencies, on both engines: whose they are, who fills them, and which one pays."""

from __future__ import annotations

from itertools import count

import pytest
from sqlalchemy import Connection

from billing import accounts, audit, book, booking, suspense
from billing.check import check
from billing.errors import ReferenceReusedError, UnknownAccountError
from billing.event import FeeClass
from billing.money import Money
from billing.tariff.rule import Model, Rule
from billing.tariff.version import FOREVER_US, Matcher, Version
from gateway.domain.address import Address
from gateway.domain.failure import Refused
from gateway.domain.message import Front, State, UnknownOutcome
from gateway.services import recycling
from gateway.services.accounts import sender_of
from gateway.services.catalogue import NO_RATING, Catalogue, Service
from gateway.services.outcome import Ended, Outcome
from gateway.services.rating import Prices, Rating
from gateway.services.submit import Accepting, Draft, Drafting, Submission
from gateway.store import im, partners, wallets
from gateway.store.messages import Ending
from gateway.store.partners import Partner

NOW = 1_800_000_000_000_000
DAY_US = 86_400_000_000
SERVICE = Service("chat", 7, "CNY", True, UnknownOutcome.RESEND, DAY_US, 10, "flat/1:x", "service:chat", int(FeeClass.PER_PART))


class Shop:
    """A partner with a wallet in yuan, beside one whose name begins like its own."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._ids = count((NOW - 1_577_836_800_000_000) << 5)
        self.revenues = {code: book.ensure_house(conn, code, new_id=self.next_id, now_us=NOW).revenue for code in ("CNY", "USD")}
        self.first = self._partner(1, "acme")
        self._partner(2, "acme2")

    def next_id(self) -> int:
        return next(self._ids) << 8

    def _partner(self, id_: int, name: str) -> int:
        wallet = book.open_account(self.conn, self.next_id(), f"partner:{name}", "CNY", True, NOW)
        partners.add(self.conn, Partner(id_, name, None, f"hash of {name}", wallet, True), NOW)
        return wallet

    def top_up(self, party: str, minor: int, currency: str, reference: str = "r") -> tuple[int, bool]:
        found, is_new = accounts.top_up(
            self.conn, party, Money(minor, currency), reference, actor="ann", new_id=self.next_id, now_us=NOW + 1
        )
        return found.id, is_new

    def draft(self, service: Service, rating: Rating = NO_RATING) -> Draft:
        partner = partners.by_name(self.conn, "acme")
        assert partner is not None
        catalogue = Catalogue({"chat": service}, {}, "chat", "1066", self.revenues["CNY"], (), rating=rating, revenues=self.revenues)
        self.accepting = Accepting(self.revenues["CNY"], catalogue=catalogue)
        submission = Submission(sender_of(partner, Front.HTTP), Address("1066", 0, 1), Address("8613900000100", 1, 1), "chat", "hello")
        return Drafting(catalogue).draft(submission, self.next_id(), NOW, 0.0, link="sim", reserve=lambda *_: True)

    def delivered(self, draft: Draft) -> int:
        """A draft from its acceptance to its receipt; its charge."""
        assert self.accepting.accept_many(self.conn, [draft]) == [None]
        (flight,) = draft.flights()
        ending = Ending(flight, State.DELIVERED, NOW + 1, None, None, "a")
        Outcome().end_many(self.conn, [Ended(ending, self.next_id())])
        return draft.message.id

    def recycle(self, event_id: int, rating: Rating) -> str | None:
        """Price a suspended message again; why it stays."""
        price_of = recycling.price_of(self.conn, rating, self.revenues.__getitem__)
        into = booking.DEFAULT
        return suspense.recycle(self.conn, event_id, price_of, into=into, journal_seq=self.next_id(), actor="ann", now_us=NOW + DAY_US)

    def held(self, wallet: int) -> int:
        return book.balance(self.conn, wallet).held


@pytest.fixture
def shop(empty_store: Connection) -> Shop:
    return Shop(empty_store)


def test_a_partner_is_found_with_all_its_wallets_and_no_one_elses(shop: Shop):
    dollars, _ = shop.top_up("partner:acme", 100, "USD", "a")
    shop.top_up("partner:acme2", 100, "EUR", "b")

    found = [partners.by_name(shop.conn, "acme"), partners.by_api_key_hash(shop.conn, "hash of acme"), partners.all_partners(shop.conn)[0]]

    assert [each.wallets for each in found if each is not None] == [(("CNY", shop.first), ("USD", dollars))] * 3
    assert [each.name for each in partners.all_partners(shop.conn)] == ["acme", "acme2"]


def test_a_top_up_opens_the_wallet_of_its_currency_once_and_is_in_the_log_once(shop: Shop):
    first, again = shop.top_up("partner:acme", 100, "USD"), shop.top_up("partner:acme", 100, "USD")

    assert (first[0], first[1], again[1]) == (again[0], True, False)
    assert book.balance(shop.conn, first[0]).posted == 100
    assert [(each.actor, each.act) for each in audit.entries(shop.conn)] == [("ann", "open wallet"), ("ann", "top up")]
    with pytest.raises(ReferenceReusedError):
        shop.top_up("partner:acme", 100, "CNY")


def test_nobody_is_made_by_a_top_up(shop: Shop):
    for party in ("partner:nobody", "sponsor:nobody", "im:99999"):
        with pytest.raises(UnknownAccountError):
            shop.top_up(party, 100, "CNY")


def test_the_currency_of_the_price_chooses_the_wallet_and_the_account_that_is_paid(shop: Shop):
    dollars, _ = shop.top_up("partner:acme", 100, "USD", "a")
    shop.top_up("partner:acme", 100, "CNY", "b")

    refused = [shop.accepting.accept_many(shop.conn, [draft])[0] for draft in map(shop.draft, (SERVICE, SERVICE._replace(currency="USD")))]

    assert refused == [None, None]
    assert (shop.held(shop.first), shop.held(dollars)) == (7, 7)


def test_no_wallet_in_the_currency_is_refused_unless_it_is_free(shop: Shop):
    with pytest.raises(Refused, match="no wallet in USD") as refused:
        shop.draft(SERVICE._replace(currency="USD"))
    free = shop.draft(SERVICE._replace(currency="USD", unit_price_minor=0))

    assert refused.value.reason == "no_wallet"
    assert (free.event.wallet, shop.accepting.accept_many(shop.conn, [free])) == (None, [None])


def test_what_was_suspended_is_paid_from_the_wallet_of_the_price_it_gets(shop: Shop):
    rating = Rating(booking.DEFAULT, suspends=True)
    rule = Rule("chat", Model.PER_PART, 30, "USD", service="chat", count_by="payer", free_per_month=1)
    rating.reload(Prices((Matcher(Version("main", 1, 0, FOREVER_US, (rule._replace(service="other"),))),), {}, (1, 1, 1)))
    first, second = (shop.delivered(shop.draft(SERVICE, rating)) for _ in range(2))
    rating.reload(Prices((Matcher(Version("main", 1, 0, FOREVER_US, (rule,))),), {}, (1, 1, 2)))

    refused = shop.recycle(first, rating)
    dollars, _ = shop.top_up("partner:acme", 100, "USD", "a")
    done = [shop.recycle(each, rating) for each in (first, second)]

    assert refused == "its price is in USD, and who sent it has no wallet in USD"
    assert done == [None, None]
    assert book.balance(shop.conn, dollars).posted == 70
    assert {each.invariant for each in check(shop.conn)} == set()


def test_an_account_of_the_messenger_has_a_purse_for_each_currency(shop: Shop):
    ids = tuple(shop.next_id() for _ in range(im.SPARE_IDS))
    number = im.register(shop.conn, im.NewAccount("Li", "hash", 10_001, "CNY", 0, ids, NOW)).id
    dollars, _ = shop.top_up(f"im:{number}", 100, "USD")

    purses = [im.purse_in(shop.conn, number, currency) for currency in ("USD", "EUR")]

    assert purses == [im.Purse(dollars), im.Purse(None)]
    assert im.purse_in(shop.conn, number + 1, "USD") is None


def test_the_operators_lists_show_every_wallet_the_first_one_first(shop: Shop):
    ids = tuple(shop.next_id() for _ in range(im.SPARE_IDS))
    number = im.register(shop.conn, im.NewAccount("Li", "hash", 10_001, "CNY", 0, ids, NOW)).id
    for party in ("partner:acme", f"im:{number}"):
        shop.top_up(party, 100, "USD", party)

    partner, other = wallets.of_partners(shop.conn)
    (account,) = wallets.of_accounts(shop.conn)

    dollars = (wallets.Balance(100, 0, "USD"),)
    assert [(each.currency, each.available_minor, each.others) for each in (partner, account)] == [("CNY", 0, dollars)] * 2
    assert (partner.name, other.name, other.others, account.nick) == ("acme", "acme2", (), "Li")
