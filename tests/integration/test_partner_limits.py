"""A partner's limits over HTTP, and its vendor TLVs; many sessions at the door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from gateway.domain.credentials import hash_of_api_key
from gateway.settings import Settings
from gateway.store import partner_changes
from gateway.store.schema import message, partner_usage
from tests.support.gateway import PARTNER, House, opened_gateway
from tests.support.partners import set_policy
from tests.support.wire import ENQUIRE_LINK, HOST, REPLACE_SM, RESPONSE, frame, replace_body

KEY = "bh_key-of-acme"
IDLE_SESSIONS = 300


class Site:
    """A running gateway and a client with acme's key."""

    def __init__(self, house: House, http: aiohttp.ClientSession) -> None:
        self.house = house
        self._http = http

    async def post(self, body: Any, path: str = "", **headers: str) -> tuple[int, dict[str, str], Any]:
        url = f"http://{HOST}:{self.house.gateway.web_port}/v1/messages{path}"
        async with self._http.post(url, json=body, headers={"Authorization": f"Bearer {KEY}", **headers}) as response:
            return response.status, dict(response.headers), await response.json(content_type=None)

    async def stored(self) -> int:
        return len(await self.house.rows(select(message)))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened_gateway(tmp_path) as house, aiohttp.ClientSession() as http:
        await house.gateway.writer.run(partner_changes.set_api_key_hash, PARTNER, hash_of_api_key(KEY))
        yield Site(house, http)


def texts(count: int) -> dict[str, Any]:
    return {"messages": [{"to": f"+86139000{number:05d}", "text": "hello"} for number in range(count)]}


async def test_over_its_rate_a_partner_is_told_when_to_come_again(site):
    """M24"""
    await set_policy(site.house, rate_per_s=1)

    first, _, _ = await site.post({"to": "+8613900000001", "text": "hello"})
    status, headers, problem = await site.post({"to": "+8613900000001", "text": "hello"})

    assert (first, status, problem["reason"], headers["Retry-After"]) == (202, 429, "throttled", "1")
    assert await site.stored() == 1


async def test_sessions_and_requests_share_one_rate(site):
    await set_policy(site.house, rate_per_s=1)
    wire = await site.house.bound()

    assert (await wire.submit()).status == 0
    assert (await site.post({"to": "+8613900000001", "text": "hello"}))[0] == 429


async def test_a_batch_within_a_second_comes_whole_and_the_next_waits(site):
    await set_policy(site.house, rate_per_s=2)

    status, _, answer = await site.post(texts(5))
    later, headers, problem = await site.post(texts(5), **{"Idempotency-Key": "second"})

    assert (status, [each["segments"] for each in answer["messages"]]) == (202, [1] * 5)
    assert (later, problem["reason"], headers["Retry-After"]) == (429, "throttled", "2")
    assert await site.stored() == 5


async def test_under_a_key_a_batch_that_the_day_does_not_cover_is_not_begun(site):
    await set_policy(site.house, messages_per_day=4)

    status, _, problem = await site.post(texts(5), **{"Idempotency-Key": "too-many"})
    again, _, _ = await site.post(texts(4), **{"Idempotency-Key": "enough"})
    repeated, headers, _ = await site.post(texts(4), **{"Idempotency-Key": "enough"})

    assert (status, problem["reason"], again) == (429, "day_quota", 202)
    assert (repeated, headers.get("Idempotent-Replay")) in ((202, "true"), (429, None))
    assert [row.messages for row in await site.house.rows(select(partner_usage))] == [4]


async def test_a_sender_that_is_not_allowed_is_forbidden(site):
    """M04"""
    await set_policy(site.house, senders=["1066*"])

    status, _, problem = await site.post({"to": "+8613900000001", "text": "hello", "from": "Bank"})

    assert (status, problem["reason"], problem["field"]) == (403, "sender_not_allowed", "from")


async def test_vendor_tlvs_are_named_or_refused(site):
    status, _, problem = await site.post({"to": "+8613900000001", "text": "hello", "tlvs": {"dlt_entity_id": "1201"}})

    assert (status, problem["field"]) == (400, "tlvs.dlt_entity_id")
    assert (await site.post({"to": "+8613900000001", "text": "hello", "tlvs": {}}))[0] == 202
    assert (await site.post({"to": "+8613900000001", "text": "hello", "tlvs": "x"}))[2]["detail"] == "must be an object, not a string"


async def came(house: House, count: int) -> list[tuple[int, bytes]]:
    """What so many messages were at the carrier: data_coding and octets."""
    assert await house.smsc.until(lambda: len(house.smsc.log) == count)
    return [(taken.pdu.data_coding, taken.body) for taken in house.smsc.log]


async def test_a_policy_lets_curly_quotes_be_written_plainly_where_the_request_says_nothing(site):
    await set_policy(site.house, replace_typographic="yes")
    wire = await site.house.bound()
    curly = "\u201chi\u201d"

    await wire.submit(coding=8, text=curly.encode("utf-16-be"))
    await came(site.house, 1)
    await site.post({"to": "+8613900000001", "text": curly})
    await came(site.house, 2)
    await site.post({"to": "+8613900000001", "text": curly, "replace_typographic": False})

    assert await came(site.house, 3) == [(0, b'"hi"'), (0, b'"hi"'), (8, curly.encode("utf-16-be"))]


async def test_a_policy_that_forbids_it_goes_before_the_service(tmp_path):
    def replacing(settings: Settings) -> Settings:
        services = tuple(each.model_copy(update={"replace_typographic": True}) for each in settings.services)
        return settings.model_copy(update={"services": services})

    async with opened_gateway(tmp_path, change=replacing) as house:
        curly = "\u201chi\u201d".encode("utf-16-be")
        await set_policy(house, replace_typographic="no")
        await (await house.bound()).submit(coding=8, text=curly)
        await (await house.bound(system_id="other")).submit(coding=8, text=curly)

        assert sorted(await came(house, 2)) == [(0, b'"hi"'), (8, curly)]


async def test_another_text_of_a_waiting_message_follows_the_policy_as_well(site):
    await set_policy(site.house, replace_typographic="yes")
    wire = await site.house.bound()
    answer = await wire.submit(schedule="000000010000000R", coding=8, text="\u6536".encode("utf-16-be"))

    replaced = await wire.ask(REPLACE_SM, replace_body(answer.text, text="\u201chi\u201d".encode("utf-16-be")))

    assert replaced.status == 0
    assert [row.body for row in await site.house.segments()] == [b'"hi"']


async def test_a_preview_is_of_what_the_policy_makes_of_a_message(site):
    await set_policy(site.house, replace_typographic="yes", service="premium", senders=["1066*"])

    found = (await site.post({"to": "+8613900000001", "text": "\u201chi\u201d"}, path="/preview"))[2]
    refused, _, problem = await site.post({"to": "+8613900000001", "text": "hi", "from": "Bank"}, path="/preview")

    assert (found["encoding"], found["replacement"]["applied"], found["price"]["amount_minor"]) == ("gsm7", True, 100)
    assert (refused, problem["reason"]) == (403, "sender_not_allowed")


async def test_many_idle_sessions_cost_little_and_are_all_alive(site):
    wires = [await site.house.bound() for _ in range(IDLE_SESSIONS)]

    await asyncio.gather(*(wire.send(frame(ENQUIRE_LINK, sequence=9)) for wire in wires))
    answers = [await wire.read() for wire in wires]

    assert {answer.head for answer in answers} == {(ENQUIRE_LINK | RESPONSE, 0, 9)}
    assert site.house.gateway.smpp_server.bound_counts()[PARTNER] == IDLE_SESSIONS


async def test_who_only_connects_keeps_nobody_else_out(tmp_path):
    async with opened_gateway(tmp_path, door={"unbound_per_address_max": 3}) as house:
        idle = [await house.wire() for _ in range(3)]
        await house.until(lambda: house.gateway.smpp_server.sessions == 3)

        assert await (await house.wire()).wait_closed() == b""
        await idle[0].bind()
        await house.bound()
        assert house.gateway.smpp_server.sessions == 4
