"""Subscriptions on disk: each step once, each cycle's charge once, and the money where it belongs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError

from billing import book, calendar, check_subscriptions, cycles, subscription, subscriptions
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from billing.check import Violation, check
from billing.errors import ReferenceReusedError, SubscriptionError
from billing.event import ChargeState, FeeClass, RecordType
from billing.schema import charge, transfer
from billing.schema_subscription import subscription_cycle
from billing.subscription import DAY_US, HOUR_US, Status, Text
from billing.subscriptions import Evidence, Offer, Subscriptions, Taken
from gateway.store.engine import open_writing
from gateway.store.schema import metadata

CHINA = ZoneInfo("Asia/Shanghai")
PHONE = "msisdn:8613900000001"
ACCOUNT = "im:10001"


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - calendar.EPOCH) // timedelta(microseconds=1)


NOON = us("2006-05-10T12:00:00+08:00")
NEWS = Offer("news", "News", "chat", "10661700", 600, "CNY", provider="daily")
GAME = Offer("game", "Game", "chat", "10661700", 500, "CNY", pays_from_wallet=True)


class Desk:
    """A store with two offers, and a clock the test sets."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.booking = Booking(Carriers([Carrier("first", CHINA)]))
        self._ids = iter(range(256, 10**9, 256))
        metadata.create_all(engine)
        with engine.begin() as conn:
            self.booking.open_books(conn)
            self.house = book.ensure_house(conn, "CNY", new_id=self.next_id, now_us=1)
            self.wallet = book.open_account(conn, 77, ACCOUNT, "CNY", True, 1)
        offers = {offer.name: offer for offer in (NEWS, GAME)}
        self.steps = Subscriptions(offers, into=self.booking)

    @classmethod
    def again(cls, engine: Engine, first_id: int) -> Desk:
        """The same store by another process, with ids of its own."""
        desk = cls(engine)
        desk._ids = iter(range(first_id, 2**62, 256))
        return desk

    def next_id(self) -> int:
        return next(self._ids)

    def order(self, offer: Offer = NEWS, subscriber: str = PHONE, at: int = NOON) -> subscriptions.Ordered:
        with self.engine.begin() as conn:
            return self.steps.order(conn, self.next_id(), offer, subscriber, "sim", Evidence("mo", "4711", offer.name, at))

    def take(self, id_: int, event: subscription.Event) -> Taken:
        evidence = Evidence("mo", "4712", "Y", event.at) if isinstance(event, subscription.Confirm | subscription.Cancel) else None
        with self.engine.begin() as conn:
            return self.steps.take(conn, id_, event, evidence)

    def subscribed(self, offer: Offer = NEWS, subscriber: str = PHONE) -> int:
        id_ = self.order(offer, subscriber).taken.subscription.id
        for _ in range(2):
            self.take(id_, subscription.Confirm(NOON + 1))
        return id_

    def top_up(self, amount: int) -> None:
        with self.engine.begin() as conn:
            book.top_up(conn, self.wallet, amount, str(amount), self.next_id(), 1)

    def tick_all(self, at: int) -> int:
        """Let everything due happen, as the sweep does."""
        steps = 0
        while True:
            with self.engine.begin() as conn:
                found = subscriptions.due(conn, at, rows_max=2)
                for row in found:
                    self.steps.take(conn, row.id, subscription.Tick(at), charge_id=self.next_id(), seen=row.version)
                steps += len(found)
            if not found:
                return steps

    def life(self, id_: int) -> subscription.Life:
        with self.engine.begin() as conn:
            return subscriptions.locked(conn, id_).life

    def fees(self, id_: int) -> list[tuple[int, int, int, int]]:
        """(cycle, record type, amount, day) of every record."""
        columns = charge.c.cycle, charge.c.record_type, charge.c.amount_minor, charge.c.period
        with self.engine.begin() as conn:
            return [
                tuple(row)
                for row in conn.execute(select(*columns).where(charge.c.subscription == id_).order_by(charge.c.record_type, charge.c.cycle))
            ]

    def broken(self) -> list[Violation]:
        with self.engine.begin() as conn:
            return check(conn, check_subscriptions.INVARIANTS)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    engine = open_writing(f"sqlite:///{tmp_path / 'store.db'}", synchronous="OFF")
    yield Desk(engine)
    engine.dispose()


def test_a_carrier_billed_month_is_a_captured_charge_in_the_open_day(desk: Desk) -> None:
    id_ = desk.subscribed()
    desk.tick_all(NOON + 80 * HOUR_US)
    assert desk.fees(id_) == [(20060500, RecordType.CHARGE, 600, 20060513)]
    with desk.engine.begin() as conn:
        row = conn.execute(select(charge).where(charge.c.subscription == id_)).one()
        assert conn.execute(select(transfer.c.id).where(transfer.c.id == row.id)).first() is None
    assert (row.state, row.fee_class, row.charged_msisdn) == (ChargeState.CAPTURED, FeeClass.MONTHLY, "8613900000001")
    assert (row.carrier, row.provider, row.id, row.late) == ("first", "daily", row.event_id, False)
    assert desk.broken() == []


def test_repeated_ticks_charge_each_month_once(desk: Desk) -> None:
    id_ = desk.subscribed()
    for day in range(60):
        for _ in range(2):
            desk.tick_all(NOON + day * DAY_US)
    assert [fee[0] for fee in desk.fees(id_)] == [20060500, 20060600, 20060700]
    assert desk.broken() == []


def test_months_missed_while_nobody_ticked_are_charged_in_order(desk: Desk) -> None:
    id_ = desk.subscribed()
    desk.tick_all(NOON + 60 * DAY_US)
    assert [(fee[0], fee[3]) for fee in desk.fees(id_)] == [(20060500, 20060513), (20060600, 20060601), (20060700, 20060701)]


def test_a_wallet_pays_its_month_and_a_short_one_suspends_then_clears(desk: Desk) -> None:
    desk.top_up(700)
    id_ = desk.subscribed(GAME, ACCOUNT)
    desk.tick_all(NOON + 80 * HOUR_US)
    with desk.engine.begin() as conn:
        assert book.balance(conn, desk.wallet).available == 200
    june = us("2006-06-01T00:00:00+08:00")
    desk.tick_all(june)
    assert desk.life(id_).status is Status.SUSPENDED
    desk.tick_all(us("2006-07-01T00:00:00+08:00"))
    assert (desk.life(id_).status, desk.life(id_).cancelled_via) == (Status.CANCELLED, "unpaid")
    with desk.engine.begin() as conn:
        known = [(each["cycle"], each["state"], each["code"]) for each in subscriptions.cycles_of(conn, id_)]
    assert known == [(20060500, 10, None), (20060600, 11, cycles.NO_CREDIT), (20060700, 11, cycles.NO_CREDIT)]
    assert len(desk.fees(id_)) == 1
    assert desk.broken() == []


def test_a_wallet_filled_in_time_is_active_again(desk: Desk) -> None:
    id_ = desk.subscribed(GAME, ACCOUNT)
    desk.tick_all(NOON + 80 * HOUR_US)
    assert desk.life(id_).status is Status.SUSPENDED
    desk.top_up(500)
    desk.tick_all(us("2006-06-01T00:00:00+08:00"))
    assert desk.life(id_).status is Status.ACTIVE
    assert desk.broken() == []


def test_who_has_an_offer_cannot_order_it_twice_and_may_after_its_end(desk: Desk) -> None:
    first = desk.order()
    again = desk.order()
    assert (first.is_new, again.is_new) == (True, False)
    assert again.taken.subscription.id == first.taken.subscription.id
    desk.take(first.taken.subscription.id, subscription.Cancel(NOON + 1, "TD"))
    assert desk.order().is_new


def test_the_order_and_both_confirmations_are_kept_as_evidence(desk: Desk) -> None:
    id_ = desk.subscribed()
    desk.take(id_, subscription.Confirm(NOON + 5))
    desk.take(id_, subscription.Cancel(NOON + 9, "TD"))
    with desk.engine.begin() as conn:
        shown = [(each["number"], each["step"], each["reference"]) for each in subscriptions.evidence_of(conn, id_)]
    assert shown == [(1, "order", "4711"), (2, "confirm", "4712"), (3, "confirm", "4712"), (4, "cancel", "4712")]


def test_what_was_decided_by_an_older_version_does_nothing(desk: Desk) -> None:
    id_ = desk.subscribed()
    with desk.engine.begin() as conn:
        seen = subscriptions.locked(conn, id_).version
    desk.take(id_, subscription.Cancel(NOON + 2, "STOP"))
    with desk.engine.begin() as conn:
        taken = desk.steps.take(conn, id_, subscription.Tick(NOON + 90 * HOUR_US), seen=seen)
    assert taken.subscription.life.status is Status.CANCELLED
    assert desk.fees(id_) == []


def test_the_key_of_a_cycle_refuses_a_second_charge_whatever_the_code_does(desk: Desk) -> None:
    id_ = desk.subscribed()
    desk.tick_all(NOON + 80 * HOUR_US)
    again = subscription.Charge(20060500, NOON)
    with pytest.raises(IntegrityError), desk.engine.begin() as conn:
        cycles.record(conn, id_, again, desk.next_id(), cycles.CycleState.PAID, NOON)


def test_what_the_carrier_refuses_afterwards_is_reversed_once_and_two_months_clear(desk: Desk) -> None:
    id_ = desk.subscribed()
    desk.tick_all(us("2006-06-02T00:00:00+08:00"))
    at = us("2006-06-20T00:00:00+08:00")

    def refuse(cycle: int, code: str = "CB:0007") -> Taken:
        with desk.engine.begin() as conn:
            return desk.steps.refused_later(conn, id_, cycle, code, correction_id=desk.next_id(), now_us=at)

    assert refuse(20060500).texts == (Text.SUSPENDED,)
    assert refuse(20060500).texts == ()
    with pytest.raises(ReferenceReusedError):
        refuse(20060500, "CB:0001")
    with pytest.raises(SubscriptionError):
        refuse(20060700)
    assert refuse(20060600).texts == (Text.CLEARED,)
    assert desk.fees(id_)[2:] == [(20060500, RecordType.REVERSAL, -600, 20060620), (20060600, RecordType.REVERSAL, -600, 20060620)]
    assert desk.life(id_).status is Status.CANCELLED
    assert desk.broken() == []


def test_an_offer_taken_from_the_settings_rests_and_can_be_cancelled(desk: Desk) -> None:
    id_ = desk.subscribed()
    bare = Subscriptions({}, into=desk.booking)
    with desk.engine.begin() as conn:
        bare.take(conn, id_, subscription.Tick(NOON + 90 * HOUR_US))
        assert subscriptions.cycles_of(conn, id_) == []
        bare.take(conn, id_, subscription.Cancel(NOON + 91 * HOUR_US, "staff"))
    assert desk.life(id_).status is Status.CANCELLED


def test_due_ones_come_in_pages_that_neither_repeat_nor_skip(desk: Desk) -> None:
    ids = [desk.subscribed(NEWS, f"msisdn:861390000{number:04d}") for number in range(7)]
    found, after = [], (0, 0)
    with desk.engine.begin() as conn:
        while page := subscriptions.due(conn, NOON + 90 * HOUR_US, after, 3):
            found += [row.id for row in page]
            after = (page[-1].life.due_at or 0, page[-1].id)
    assert found == ids
    assert desk.tick_all(NOON + 80 * HOUR_US) >= 7
    with desk.engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(subscription_cycle)).scalar_one() == 7


_WORKER = """
import sys
from tests.store.test_billing_subscriptions import Desk
from gateway.store.engine import open_writing
url, at, first_id = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
desk = Desk.again(open_writing(url), first_id)
print("ready", flush=True)
desk.tick_all(at)
"""


def test_killed_at_any_moment_each_wallet_has_paid_each_month_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    engine = open_writing(url)
    desk = Desk(engine)
    ids = []
    for number in range(20):
        party = f"im:{20000 + number}"
        with engine.begin() as conn:
            wallet = book.open_account(conn, 1000 + number, party, "CNY", True, 1)
            book.top_up(conn, wallet, 5000, party, desk.next_id(), 1)
        ids.append(desk.subscribed(GAME, party))
    at = us("2006-11-20T00:00:00+08:00")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for kill in range(6):
        first_id = str((kill + 1) * 10**7 * 256)
        worker = subprocess.Popen([sys.executable, "-c", _WORKER, url, str(at), first_id], stdout=subprocess.PIPE, env=environment)
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        try:
            worker.wait(timeout=0.02 * (kill + 1))
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGKILL)
        worker.communicate()
        assert desk.broken() == []
    Desk.again(engine, 10**10).tick_all(at)
    for id_ in ids:
        assert [fee[0] for fee in desk.fees(id_)] == [20060500, 20060600, 20060700, 20060800, 20060900, 20061000, 20061100]
    with engine.begin() as conn:
        left = conn.execute(select(func.sum(transfer.c.posted_minor)).where(transfer.c.cause.is_(None))).scalar_one()
    assert left == 20 * 7 * 500
    assert desk.broken() == []
    engine.dispose()
