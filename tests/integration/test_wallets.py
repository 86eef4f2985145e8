"""A price is paid from the wallet of its currency: partners over HTTP and SMPP, and the messenger, beside a service sold in dollars."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from billing import accounts, vouchers
from billing.money import Money
from gateway.domain.credentials import hash_of_api_key
from gateway.settings import Messenger, Service, Settings, ShortCode
from gateway.smpp.consts import Status
from gateway.store import consistency, partner_changes
from gateway.web.openapi import Balance, Brought
from tests.support.gateway import PARTNER, House, opened_gateway
from tests.support.wire import HOST

KEY = "bh_key-of-acme"
TO = "+8613900000100"
DOLLARS = ShortCode(number="10669900", service="world")


def with_dollars(settings: Settings) -> Settings:
    services = (*settings.services, Service(name="world", price=25, currency="USD"))
    # The messenger writes over the first short code of its own.
    changes = {"services": services, "short_codes": (DOLLARS, *settings.short_codes), "messenger": Messenger(open_registration=True)}
    return settings.model_copy(update=changes)


class Site:
    """A running gateway, a client with acme's key, and a person in the messenger."""

    def __init__(self, house: House, http: aiohttp.ClientSession) -> None:
        self.house = house
        self._http = http
        self._url = f"http://{HOST}:{house.gateway.web_port}"

    async def ask(self, method: str, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self._http.request(method, self._url + path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def top_up(self, party: str, minor: int, currency: str) -> None:
        """As a command does it, beside the running gateway; and what the gateway does every few seconds."""
        clock, world = self.house.world.clock, self.house.world
        bring = partial(accounts.top_up, actor="ann", new_id=world.next_id, now_us=clock.now_us())
        await self.house.gateway.writer.run(bring, party, Money(minor, currency), f"{party} {currency}")
        await self.house.gateway.accounts.refresh()

    async def wallets(self, party: str) -> dict[str, tuple[int, int]]:
        """By currency: what came in less what was captured, and what is held."""
        found = await self.house.read(accounts.of_party, party)
        return {each.currency: (each.posted_minor, each.held_minor) for each in found}

    async def faults(self) -> list[str]:
        return [each.invariant for each in await self.house.read(consistency.check)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened_gateway(tmp_path, change=with_dollars) as house, aiohttp.ClientSession() as http:
        await house.gateway.writer.run(partner_changes.set_api_key_hash, PARTNER, hash_of_api_key(KEY))
        yield Site(house, http)


async def test_without_a_wallet_in_its_currency_a_price_is_refused_and_names_it(site: Site):
    status, problem = await site.ask("POST", "/v1/messages", {"to": TO, "text": "hello", "service": "world"})

    assert (status, problem["reason"]) == (402, "no_wallet")
    assert "no wallet in USD" in problem["detail"]
    assert await site.wallets("partner:acme") == {"CNY": (100_000, 0)}


async def test_a_partner_pays_dollars_from_its_dollars_and_yuan_from_its_yuan(site: Site):
    wire = await site.house.bound()
    refused = await wire.submit(service_type=b"world")
    await site.top_up("partner:acme", 60, "USD")

    over_smpp = await wire.submit(service_type=b"world", to=(1, 1, TO[1:]))
    over_http = await site.ask("POST", "/v1/messages", {"to": TO, "text": "hello", "service": "world"})
    in_yuan = await site.ask("POST", "/v1/messages", {"to": TO, "text": "hello", "service": "chat"})
    too_much = await site.ask("POST", "/v1/messages", {"to": TO, "text": "hello", "service": "world"})

    assert (refused.status, over_smpp.status, over_http[0], in_yuan[0]) == (Status.ESME_RSUBMITFAIL, 0, 202, 202)
    assert over_http[1]["price"] == {"amount_minor": 25, "currency": "USD"}
    assert (too_much[0], too_much[1]["reason"]) == (402, "no_credit")
    assert await site.faults() == []


async def test_the_balance_tells_every_wallet_and_the_first_one_as_before(site: Site):
    await site.top_up("partner:acme", 60, "USD")

    status, found = await site.ask("GET", "/v1/balance")

    balance = Balance.model_validate(found)
    assert (status, balance.currency, balance.posted_minor) == (200, "CNY", 100_000)
    assert [(each.currency, each.posted_minor, each.limit_minor) for each in balance.wallets] == [("CNY", 100_000, 0), ("USD", 60, 0)]


async def test_a_person_in_the_messenger_pays_from_the_wallet_of_the_price(site: Site):
    body = {"nick": "Li", "password": "correct horse"}
    _, made = await site.ask("POST", "/chat/api/register", body, key="")
    words = {"to": TO, "text": "hi"}
    refused = await site.ask("POST", "/chat/api/messages", words, key=made["token"])

    await site.top_up(f"im:{made['account']}", 30, "USD")
    status, sent = await site.ask("POST", "/chat/api/messages", words, key=made["token"])

    assert (refused[0], refused[1]["reason"]) == (402, "no_wallet")
    assert (status, sent["price_minor"], sent["currency"]) == (202, 25, "USD")
    assert set(await site.wallets(f"im:{made['account']}")) == {"CNY", "USD"}
    assert await site.faults() == []


async def test_partners_and_people_bring_in_their_vouchers_and_no_one_elses(site: Site):
    world = site.house.world
    make = partial(vouchers.make, actor="ann", random_octets=world.entropy.token_bytes, new_id=world.next_id, now_us=1)
    mine, theirs = (await site.house.gateway.writer.run(make, vouchers.Batch("spring", 500, "USD", 2, 2**62))).codes
    _, made = await site.ask("POST", "/chat/api/register", {"nick": "Li", "password": "correct horse"}, key="")

    by_partner = await site.ask("POST", "/v1/vouchers", {"code": mine})
    spent = await site.ask("POST", "/v1/messages", {"to": TO, "text": "hello", "service": "world"})
    stolen = await site.ask("POST", "/chat/api/vouchers", {"code": mine}, key=made["token"])
    by_person = await site.ask("POST", "/chat/api/vouchers", {"code": theirs}, key=made["token"])

    found = Brought.model_validate(by_partner[1])
    assert (by_partner[0], found.amount_minor, found.is_new, found.wallet.posted_minor) == (200, 500, True, 500)
    assert (spent[0], spent[1]["price"]["currency"]) == (202, "USD")
    assert (stolen[0], stolen[1]["reason"]) == (422, "bad_code")
    assert (by_person[0], by_person[1]["amount_minor"], by_person[1]["currency"]) == (200, 500, "USD")
    assert await site.faults() == []


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": 5}, {"code": "x" * 65}, {"code": "x", "party": "im:10001"}, [], "x"])
async def test_what_is_no_code_is_refused_and_not_counted_as_a_guess(site: Site, body: Any):
    answers = [await site.ask("POST", "/v1/vouchers", body) for _ in range(7)]

    assert {status for status, _ in answers} == {400}
    assert (await site.ask("POST", "/v1/vouchers", {"code": "x"}))[1]["reason"] == "bad_code"
