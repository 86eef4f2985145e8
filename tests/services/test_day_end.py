"""Days that the gateway closes by itself: on their carrier's clock, once, in their order, and audited as its own act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from billing import audit, book, calendar, periods
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from billing.periods import Closing, PeriodState
from billing.runs import Books
from gateway.services.day_end import DayEnd

BERLIN = Carrier("de", ZoneInfo("Europe/Berlin"))
CHINA = Carrier("cn", ZoneInfo("Asia/Shanghai"))
WALLET = 11
HOUR = 3_600


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - calendar.EPOCH) // timedelta(microseconds=1)


class Night:
    """Books of two carriers, a clock that the test turns, and nodes that close days; this is what they write and read through."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.at = us("2026-03-28T12:00:00+01:00")
        self.booking = Booking(Carriers([BERLIN, CHINA], {"second": "cn"}))
        self.is_healthy = True
        self.interrupt: Callable[..., Any] | None = None
        self._ids = iter(range(256, 10**9, 256))
        with engine.begin() as conn:
            self.booking.open_books(conn)
            self.revenue = book.ensure_house(conn, "CNY", new_id=lambda: next(self._ids), now_us=1).revenue
            book.open_account(conn, WALLET, "partner:acme", "CNY", True, 1)
            book.top_up(conn, WALLET, 10_000, "first", next(self._ids), 1)

    def now_us(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1e6

    async def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        if fn is self.interrupt:
            self.interrupt = None
            raise asyncio.CancelledError
        with self.engine.begin() as conn:
            return fn(conn, *args)

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        with self.engine.begin() as conn:
            return fn(conn, *args)

    def node(self, wait_s: int = 2 * HOUR, *carriers: Carrier) -> DayEnd:
        return DayEnd(self, self, self, self.booking, {each.name: wait_s for each in carriers or (BERLIN,)})

    def sell(self, at: str, link: str = "sim") -> None:
        id_, at_us = next(self._ids), us(at)
        names, money = (link, "10086", None, "8613900000000", None), (1, 1, 10, 10, "CNY", "flat/1", "service:chat")
        event = BillableEvent(id_, Direction.MT, at_us, "chat", FeeClass.PER_PART, Payer.SP, WALLET, *names, *money)
        settled = Settlement(id_, ChargeState.CAPTURED, WALLET, 10, 10, 1, next(self._ids), "DELIVRD", at_us, "000", "A", link, at_us)
        with self.engine.begin() as conn:
            assert book.hold_many(conn, [event], revenue=self.revenue, now_us=at_us) == [True]
            assert book.settle_many(conn, [settled], now_us=at_us, into=self.booking) == [True]

    def state(self, day: str, carrier: str = "de") -> PeriodState:
        with self.engine.begin() as conn:
            return periods.find(conn, carrier, calendar.parse(day)).state

    def closed(self) -> list[tuple[str, str]]:
        """What the log says was closed, and by whom."""
        with self.engine.begin() as conn:
            assert audit.broken_at(conn) is None
            return [(each.subject, each.actor) for each in audit.entries(conn) if each.act == "period.close"]


@pytest.fixture
def night(engine: Engine) -> Night:
    return Night(engine)


@pytest.mark.parametrize(
    ("day", "before", "due"),
    [
        ("2026-03-28", "2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00"),  # two hours after midnight it is three o'clock
        ("2026-03-29", "2026-03-30T01:59:59+02:00", "2026-03-30T02:00:00+02:00"),  # a day of 23 hours
        ("2026-10-24", "2026-10-25T01:59:59+02:00", "2026-10-25T02:00:00+02:00"),
        ("2026-10-25", "2026-10-26T01:59:59+01:00", "2026-10-26T02:00:00+01:00"),  # a day of 25 hours
    ],
)
async def test_a_day_is_closed_two_hours_after_its_midnight_whatever_its_length(night: Night, day: str, before: str, due: str):
    node = night.node()
    night.sell(f"{day}T23:59:59{before[-6:] if day.endswith(('29', '24')) else '+01:00'}")

    night.at = us(before)
    await node.sweep()
    early = night.state(day)
    night.at = us(due)
    await node.sweep()

    assert (early, night.state(day)) == (PeriodState.OPEN, PeriodState.CLOSED)
    assert night.closed() == [(f"period:de/{day}", "gateway")]


async def test_what_is_sold_after_midnight_is_in_the_next_day(night: Night):
    node = night.node()
    night.sell("2026-03-28T23:59:59+01:00")
    night.sell("2026-03-29T00:00:00+01:00")

    night.at = us("2026-03-29T12:00:00+02:00")
    await node.sweep()

    with night.engine.begin() as conn:
        assert periods.find(conn, "de", 20260328).records == 1
        assert [total.records for total in periods.totals_of(conn, "de", 20260329, 20260330)] == [1]
    assert night.state("2026-03-29") is PeriodState.OPEN


async def test_each_carrier_has_midnights_of_its_own(night: Night):
    node = night.node(0, BERLIN, CHINA)
    night.sell("2026-03-28T12:00:00+00:00")
    night.sell("2026-03-28T12:00:00+00:00", link="second")

    night.at = us("2026-03-29T00:00:00+08:00")
    await node.sweep()
    first = (night.state("2026-03-28", "cn"), night.state("2026-03-28", "de"))
    night.at = us("2026-03-29T00:00:00+01:00")
    await node.sweep()

    assert first == (PeriodState.CLOSED, PeriodState.OPEN)
    assert night.state("2026-03-28", "de") is PeriodState.CLOSED


async def test_several_nodes_close_a_day_once(night: Night):
    nodes = [night.node() for _ in range(4)]
    night.sell("2026-03-28T12:00:00+01:00")
    night.at = us("2026-03-29T12:00:00+02:00")

    await asyncio.gather(*(node.sweep() for node in nodes))
    await asyncio.gather(*(node.sweep() for node in nodes))

    assert night.closed() == [("period:de/2026-03-28", "gateway")]


async def test_after_a_long_stop_every_day_is_closed_in_its_order(night: Night):
    night.sell("2026-03-28T12:00:00+01:00")
    night.at = us("2026-04-02T12:00:00+02:00")

    await night.node().sweep()

    days = ["2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01"]
    assert night.closed() == [(f"period:de/{day}", "gateway") for day in days]


async def test_a_close_that_was_interrupted_is_finished_by_who_looks_later(night: Night):
    night.sell("2026-03-28T12:00:00+01:00")
    night.at = us("2026-03-29T12:00:00+02:00")
    night.interrupt = periods.finish
    with pytest.raises(asyncio.CancelledError):
        await night.node().sweep()
    sealed = night.state("2026-03-28")

    await night.node().sweep()
    too_soon = night.state("2026-03-28")
    night.at += HOUR * 1_000_000
    await night.node().sweep()

    assert (sealed, too_soon, night.state("2026-03-28")) == (PeriodState.CLOSING, PeriodState.CLOSING, PeriodState.CLOSED)
    assert night.closed() == [("period:de/2026-03-28", "gateway")]


async def test_a_day_that_somebody_closed_before_stays_as_he_closed_it(night: Night):
    night.sell("2026-03-28T12:00:00+01:00")
    night.at = us("2026-03-29T12:00:00+02:00")
    books = Books(night.engine.begin, night.engine.begin)
    periods.close(books, Closing(BERLIN, 20260328, "ann", night.at, is_now=True))

    await night.node().sweep()

    assert night.closed() == [("period:de/2026-03-28", "ann")]
