"""Vouchers at the doors, on both engines: a code counts once, tells nothing to who guesses, and who guesses waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine

from billing import accounts, audit, book, vouchers
from billing.vouchers import Batch
from gateway.domain.failure import Refused
from gateway.services.redeeming import ADDRESS_FACTOR, Brought, Redeeming

PARTY, OTHER = "partner:acme", "im:10001"
HERE, THERE = "192.0.2.1", "198.51.100.7"
FAILURES_MAX = 3


class DirectWriter:
    """A transaction for each call, at once: but another task may come between."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        await asyncio.sleep(0)
        with self._engine.begin() as conn:
            return fn(conn, *args)


class Door:
    """The door with two parties before it, and vouchers of 7.00 CNY and 5.00 USD."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.now_s = 0.0
        ids = itertools.count(1)
        self._octets = itertools.count(1)
        clock = SimpleNamespace(now_us=lambda: 5, monotonic=lambda: self.now_s)
        world: Any = SimpleNamespace(clock=clock, next_id=lambda: next(ids))
        self.next_id = world.next_id
        writer: Any = DirectWriter(engine)
        self.redeeming = Redeeming(world, writer, failures_max=FAILURES_MAX, wait_s_max=60.0)
        with engine.begin() as conn:
            book.ensure_house(conn, "CNY", new_id=self.next_id, now_us=1)
            for party in (PARTY, OTHER):
                book.open_account(conn, self.next_id(), party, "CNY", True, 1)

    def code(self, currency: str = "CNY", minor: int = 700, expires_at: int = 100) -> str:
        batch = Batch(f"b{next(self._octets)}", minor, currency, 1, expires_at)
        with self.engine.begin() as conn:
            made = vouchers.make(conn, batch, actor="li", random_octets=self._random, new_id=self.next_id, now_us=1)
        return made.codes[0]

    def _random(self, octets: int) -> bytes:
        return next(self._octets).to_bytes(octets, "big")

    async def redeem(self, code: str, party: str = PARTY, address: str = HERE) -> Brought:
        return await self.redeeming.redeem(party, code, address=address)

    async def refusal(self, code: str = "wrong", party: str = PARTY, address: str = HERE) -> Refused:
        with pytest.raises(Refused) as refused:
            await self.redeem(code, party, address)
        return refused.value

    def posted(self, party: str) -> dict[str, int]:
        with self.engine.begin() as conn:
            return {each.currency: each.posted_minor for each in accounts.of_party(conn, party)}

    def acts(self) -> list[tuple[str, str]]:
        with self.engine.begin() as conn:
            return [(each.actor, each.act) for each in audit.entries(conn) if each.actor != "li"]


@pytest.fixture
def door(engine: Engine) -> Door:
    return Door(engine)


async def test_a_code_brings_its_value_once_and_answers_its_owner_the_same(door: Door):
    code = door.code()

    first, again = await door.redeem(code), await door.redeem(code.lower().replace("-", " "))

    assert (first.value_minor, first.is_new, again.value_minor, again.is_new) == (700, True, 700, False)
    assert door.posted(PARTY) == {"CNY": 700}
    assert door.acts() == [(PARTY, "redeem voucher")]


async def test_a_voucher_of_another_currency_opens_its_wallet(door: Door):
    done = await door.redeem(door.code("USD", 500), OTHER)

    assert (done.wallet.party, done.wallet.currency) == (OTHER, "USD")
    assert door.posted(OTHER) == {"CNY": 0, "USD": 500}


async def test_unknown_used_and_expired_codes_are_told_the_same_and_open_nothing(door: Door):
    used, old = door.code("USD"), door.code("USD", expires_at=4)
    await door.redeem(used, OTHER, THERE)

    refused = [await door.refusal(code) for code in ("nonsense", used, old)]

    assert {(each.reason, each.text, each.field) for each in refused} == {("bad_code", "this code brings nothing", "code")}
    assert door.posted(PARTY) == {"CNY": 0}


async def test_who_guesses_waits_longer_each_time_and_a_right_code_waits_too(door: Door):
    code = door.code()
    reasons = [(await door.refusal()).reason for _ in range(FAILURES_MAX)]

    locked = await door.refusal(code)
    door.now_s += locked.retry_after_s
    await door.refusal()
    longer = await door.refusal(code, address=THERE)
    door.now_s += longer.retry_after_s

    assert reasons == ["bad_code"] * FAILURES_MAX
    assert (locked.reason, locked.retry_after_s, longer.retry_after_s) == ("too_many_codes", 1.0, 2.0)
    assert (await door.redeem(code)).is_new
    assert (PARTY, "guess vouchers") in door.acts()


async def test_a_code_of_ones_own_between_two_guesses_forgives_nothing(door: Door):
    code = door.code()
    for _ in range(FAILURES_MAX):
        await door.redeem(code)
        await door.refusal()

    assert (await door.refusal(code)).reason == "too_many_codes"


async def test_one_address_does_not_guess_under_many_names(door: Door):
    for number in range(FAILURES_MAX * ADDRESS_FACTOR):
        assert (await door.refusal(party=f"im:{20_000 + number}")).reason == "bad_code"

    assert (await door.refusal(door.code(), OTHER)).reason == "too_many_codes"
    assert (await door.redeem(door.code(), OTHER, THERE)).is_new


async def test_codes_sent_all_at_once_are_not_all_tried(door: Door):
    answers = await asyncio.gather(*[door.redeem(f"wrong {number}") for number in range(50)], return_exceptions=True)

    assert [each.reason for each in answers if isinstance(each, Refused)].count("bad_code") == 1
