"""Whole lives of subscriptions in virtual time: the real gateway, a simulated carrier, a phone that writes, and months that pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, select

from billing import calendar, subscriptions
from billing.event import ChargeState, FeeClass
from billing.schema import charge
from billing.subscription import Status
from billing.subscriptions import Subscriptions
from gateway.app import Gateway
from gateway.services.opt_outs import OptOut
from gateway.services.subscription_acts import SubscriptionActs
from gateway.settings import Service, Settings, ShortCode, Store
from gateway.settings_billing import Billing
from gateway.settings_offers import Offer
from gateway.settings_smpp import Link
from gateway.store import consistency
from gateway.store.engine import open_reading
from gateway.telemetry import Metrics
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.world import START_US, Sim, SimWorld, run

CODE, PARTNER_CODE = "10661700", "10661888"
PHONE, POOR = "8613900001234", "8613900000001"  # the carrier delivers nothing to the second: error 001
HOUR_S, DAY_S = 3_600, 86_400
NEWS = Offer(
    name="news", title="News", service="chat", short_code=CODE, keyword="NEWS", price=600, language="en", trial_days=11, provider="daily"
)
JOKES = Offer(name="jokes", title="Jokes", service="chat", short_code=CODE, keyword="JOKES", price=200, language="en")
PAPER = Offer(
    name="paper",
    title="Paper",
    service="chat",
    short_code=PARTNER_CODE,
    keyword="PAPER",
    price=100,
    language="en",
    texts={"ended": ""},
)
BILLED = Offer(
    name="weather",
    title="Weather",
    service="chat",
    short_code=CODE,
    keyword="WEATHER",
    price=300,
    language="en",
    charge_on="delivery",
    unpaid_codes=("001",),
    confirmations_required=1,
)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - calendar.EPOCH) // timedelta(microseconds=1)


class Town:
    """A gateway with three offers, a carrier, and a calendar that the test turns."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.node = sim.node("gateway")
        self.smsc = Smsc(sim.node("carrier").world, SmscConfig(host=sim.node("carrier").ip))
        self.gateway: Gateway | None = None

    async def begin(self) -> None:
        self.smsc_task = self.sim.node("carrier").start(self.smsc.start())
        self.run_gateway()
        await self.pause(10.0)

    @property
    def running(self) -> Gateway:
        assert self.gateway is not None
        return self.gateway

    def run_gateway(self) -> None:
        self.node.start(self._program)

    async def _program(self, world: SimWorld) -> None:
        settings = Settings(
            store=Store(url=f"sqlite:///{world.folder}/store.db", durability="normal"),
            links=(Link(name="carrier", host="carrier", port=2776, system_id="bellhop", password=SecretStr("secret8"), backoff_s_max=4.0),),
            services=(Service(name="chat", price=10), Service(name="note", price=0)),
            short_codes=(ShortCode(number=CODE, service="chat"), ShortCode(number=PARTNER_CODE, service="chat", partner="acme")),
            billing=Billing(time_zone="Asia/Shanghai"),
            offers=(NEWS, JOKES, BILLED, PAPER),
        )
        gateway = Gateway(settings, world, check_password=lambda *_: False, metrics=Metrics(), operator_token="x")
        await gateway.start()
        self.gateway = gateway
        while True:
            await asyncio.sleep(3_600.0)

    async def pause(self, seconds: float = 15.0) -> None:
        await asyncio.sleep(seconds)

    async def say(self, text: str, phone: str = PHONE, to: str = CODE) -> list[str]:
        """Send an MO, and what the phone has got by then since."""
        before = len(self.texts(phone))
        self.smsc.send_mo(phone, to, text)
        await self.pause()
        return self.texts(phone)[before:]

    def texts(self, phone: str = PHONE) -> list[str]:
        known = self.smsc.phones.get(phone)
        return [each.text or "" for each in known.messages if each.direction == "received"] if known is not None else []

    async def go_to(self, at: str | int) -> None:
        """Let the calendar jump, and whatever is due then happen."""
        wanted = us(at) if isinstance(at, str) else at
        self.node.clock_offset_us += wanted - self.node.world.clock.now_us()
        await self.pause(30.0)

    async def later(self, seconds: int) -> None:
        await self.go_to(self.node.world.clock.now_us() + seconds * 1_000_000)

    def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        engine = open_reading(f"sqlite:///{self.node.folder}/store.db")
        try:
            with engine.begin() as conn:
                return fn(conn, *args)
        finally:
            engine.dispose()

    def held(self, phone: str = PHONE) -> dict[str, subscriptions.Subscription]:
        rows = self.read(lambda conn: subscriptions.of_subscriber(conn, f"msisdn:{phone}", live_only=False))
        return {row.offer: row for row in rows}

    def fees(self) -> list[tuple[Any, ...]]:
        query = select(charge.c.cycle, charge.c.state, charge.c.amount_minor, charge.c.period)
        query = query.where(charge.c.subscription.is_not(None)).order_by(charge.c.id)
        return self.read(lambda conn: [tuple(row) for row in conn.execute(query)])


def play(story: Callable[[Town], Awaitable[None]]) -> None:
    async def main(sim: Sim) -> None:
        town = Town(sim)
        await town.begin()
        await story(town)
        assert town.read(consistency.check) == []

    run(main, 7)


def test_a_whole_life_from_order_to_trial_to_months_that_fail() -> None:
    async def story(town: Town) -> None:
        (asked,) = await town.say("news")
        assert asked.startswith("You asked for News at 6.00 CNY a month.")
        (again,) = await town.say("y")
        assert again.startswith("Please confirm once more")
        (trial,) = await town.say("是")
        assert trial.startswith("You have News, free for 11 days")
        row = town.held()["news"]
        assert row.life.status is Status.TRIAL
        evidence = town.read(subscriptions.evidence_of, row.id)
        assert [(each["step"], each["said"]) for each in evidence] == [("order", "news"), ("confirm", "y"), ("confirm", "是")]
        assert town.fees() == []
        await town.later(9 * DAY_S)
        assert town.texts()[-1].startswith("News will be charged soon")
        assert town.fees() == []
        await town.later(3 * DAY_S)
        assert [fee[:3] for fee in town.fees()] == [(20260100, ChargeState.CAPTURED, 600)]
        await town.go_to("2026-02-01T00:00:10+08:00")
        assert [fee[0] for fee in town.fees()] == [20260100, 20260200]
        (ended,) = await town.say("TD NEWS")
        assert ended.startswith("News has ended")
        await town.go_to("2026-04-01T00:00:10+08:00")
        assert len(town.fees()) == 2
        assert town.held()["news"].life.cancelled_via == "TD"

    play(story)


def test_a_billing_message_charges_on_delivery_once_over_a_restart() -> None:
    async def story(town: Town) -> None:
        await town.say("weather")
        await town.say("Y")
        await town.later(73 * HOUR_S)
        town.node.kill()
        town.run_gateway()
        await town.pause(60.0)
        assert [fee[:3] for fee in town.fees()] == [(20260100, ChargeState.CAPTURED, 300)]
        assert len([text for text in town.texts() if text.startswith("Weather: 3.00 CNY a month")]) == 1
        life = town.held()["weather"].life
        assert (life.charging, life.charged, life.cycle) == (0, 20260100, 20260200)
        row = town.read(lambda conn: conn.execute(select(charge).where(charge.c.subscription.is_not(None))).one())
        assert (row.fee_class, row.charged_msisdn, row.wallet) == (FeeClass.MONTHLY, PHONE, None)

    play(story)


def test_who_leaves_while_the_billing_message_is_under_way_pays_for_that_one_only() -> None:
    async def story(town: Town) -> None:
        for text in ("weather", "Y"):
            await town.say(text)
        town.smsc.change(replace(town.smsc.config, receipt_delay_ms=120_000))
        await town.later(73 * HOUR_S)
        assert [fee[:3] for fee in town.fees()] == [(20260100, ChargeState.HELD, 300)]
        await town.say("TD WEATHER")
        assert town.held()["weather"].life.status is Status.CANCELLED
        await town.pause(200.0)
        await town.later(60 * DAY_S)
        assert [fee[:3] for fee in town.fees()] == [(20260100, ChargeState.CAPTURED, 300)]
        assert town.held()["weather"].life.charging == 0

    play(story)


def test_two_months_that_the_carrier_cannot_collect_clear_it() -> None:
    async def story(town: Town) -> None:
        await town.say("weather", POOR)
        await town.say("Y", POOR)
        await town.later(73 * HOUR_S)
        assert town.held(POOR)["weather"].life.status is Status.SUSPENDED
        await town.go_to("2026-02-01T00:00:10+08:00")
        life = town.held(POOR)["weather"].life
        assert (life.status, life.cancelled_via) == (Status.CANCELLED, "unpaid")
        assert [fee[:3] for fee in town.fees()] == [(20260100, ChargeState.RELEASED, 0), (20260200, ChargeState.RELEASED, 0)]

    play(story)


def test_who_leaves_within_72_hours_pays_nothing() -> None:
    async def story(town: Town) -> None:
        for text in ("jokes", "y", "y"):
            await town.say(text)
        await town.later(71 * HOUR_S)
        await town.say("TDJOKES")
        await town.later(40 * DAY_S)
        assert town.fees() == []

    play(story)


def test_td_0000_lists_and_0000_ends_all_and_is_a_stop_only_after_that() -> None:
    async def story(town: Town) -> None:
        for text in ("jokes", "y", "y", "news", "y", "y"):
            await town.say(text)
        assert await town.say("TD 0000") == ["You have: Jokes, News. Send 0000 to end all."]
        assert await town.say("0000") == ["All ended: Jokes, News. Nothing more will be charged."]
        assert {row.life.cancelled_via for row in town.held().values()} == {"0000"}
        assert await town.say("TD 0000") == ["You have no subscription at 10661700."]
        (stopped,) = await town.say("0000")
        assert stopped.startswith("You will get no more messages")

    play(story)


def test_a_stop_ends_every_subscription_of_its_code() -> None:
    async def story(town: Town) -> None:
        for text in ("jokes", "y", "y"):
            await town.say(text)
        await town.say("STOP")
        assert town.held()["jokes"].life.cancelled_via == "STOP"
        await town.later(40 * DAY_S)
        assert town.fees() == []

    play(story)


def test_a_stop_to_a_partners_code_ends_what_was_ordered_there_and_only_that() -> None:
    async def story(town: Town) -> None:
        for code, word in ((CODE, "jokes"), (PARTNER_CODE, "paper")):
            for text in (word, "y", "y"):
                await town.say(text, to=code)
        await town.say("STOP", to=PARTNER_CODE)
        assert {name: row.life.cancelled_via for name, row in town.held().items()} == {"jokes": "", "paper": "STOP"}

    play(story)


def test_an_opt_out_that_an_operator_records_ends_what_is_under_the_code_and_says_nothing() -> None:
    async def story(town: Town) -> None:
        for code, word in ((CODE, "jokes"), (PARTNER_CODE, "paper")):
            for text in (word, "y", "y"):
                await town.say(text, to=code)
        gateway, before = town.running, len(town.texts())

        await gateway.opt_outs.record(OptOut(PHONE, CODE, True))
        await town.pause()
        ended = {name: row.life.cancelled_via for name, row in town.held().items()}
        await gateway.opt_outs.record(OptOut(PHONE, "", True))
        await town.later(40 * DAY_S)

        assert ended == {"jokes": "STOP", "paper": ""}
        assert {row.life.cancelled_via for row in town.held().values()} == {"STOP"}
        assert (town.fees(), town.texts()[before:]) == ([], [])

    play(story)


def test_a_phone_is_told_once_when_the_staff_ends_its_subscription_and_not_where_the_text_is_empty() -> None:
    async def story(town: Town) -> None:
        for code, word in ((CODE, "jokes"), (PARTNER_CODE, "paper")):
            for text in (word, "y", "y"):
                await town.say(text, to=code)
        before = len(town.texts())

        for row in town.held().values():
            await town.running.writer.run(_end_by_staff, town.running.bookkeeping.subscriptions, row.id, town.node.world.clock.now_us())
        await town.pause(60.0)

        assert town.texts()[before:] == ["Jokes was ended for you. Nothing more will be charged."]
        assert {row.life.cancelled_via for row in town.held().values()} == {"staff"}

    play(story)


def _end_by_staff(conn: Connection, steps: Subscriptions, id_: int, now_us: int) -> bool:
    return SubscriptionActs(steps, "ann", now_us).cancel(conn, id_, "asked by phone").is_new


def test_an_order_that_is_not_confirmed_lapses() -> None:
    async def story(town: Town) -> None:
        await town.say("jokes")
        await town.later(25 * HOUR_S)
        assert town.held()["jokes"].life.cancelled_via == "unconfirmed"
        assert await town.say("Y") == []

    play(story)


def test_who_says_it_twice_is_told_what_he_has() -> None:
    async def story(town: Town) -> None:
        first = await town.say("jokes")
        assert await town.say("jokes") == first
        await town.say("y")
        await town.say("y")
        (told,) = await town.say("JOKES")
        assert told.startswith("You have Jokes already")
        assert await town.say("TD NEWS") == ["You have no subscription to News."]

    play(story)


def test_the_clock_set_back_charges_nothing_twice() -> None:
    async def story(town: Town) -> None:
        for text in ("jokes", "y", "y"):
            await town.say(text)
        await town.later(73 * HOUR_S)
        await town.go_to(START_US + 3_600_000_000)
        await town.later(75 * HOUR_S)
        assert [fee[0] for fee in town.fees()] == [20260100]

    play(story)


@pytest.mark.parametrize("is_asking", [True, False])
def test_a_killed_gateway_finds_what_is_due_again(is_asking: bool) -> None:
    async def story(town: Town) -> None:
        for text in ("jokes", "y", "y"):
            await town.say(text)
        town.node.kill()
        town.node.clock_offset_us += 73 * HOUR_S * 1_000_000
        town.run_gateway()
        if is_asking:
            await town.pause(6.0)
            town.node.kill()
            town.run_gateway()
        await town.pause(60.0)
        assert [fee[0] for fee in town.fees()] == [20260100]

    play(story)
