"""The messages API over time: repeated requests, a message's life, keys that come and go, and what operators ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from gateway.services.correlation import Report
from gateway.store.schema import partner
from gateway.web import keys, openapi
from gateway.web.billing_api import BILLING
from gateway.web.billing_door import PREFIX
from gateway.web.intake import FIELDS
from gateway.web.keys import Keys
from tests.support.api import MESSAGE, TO, House, opened_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(tmp_path) as found:
        yield found


async def post_raw(house: House, body: Any, key: str) -> tuple[int, bytes, bool]:
    headers = {"Authorization": "Bearer acme-key", "Idempotency-Key": key}
    async with house.http.post("/v1/messages", json=body, headers=headers) as response:
        return response.status, await response.read(), "Idempotent-Replay" in response.headers


# -- Idempotency-Key ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [MESSAGE, {"messages": [MESSAGE, {"to": "1", "text": "x"}]}])
async def test_a_repeat_is_answered_with_the_same_bytes_also_after_a_restart(tmp_path: Path, body: dict[str, Any]):
    async with opened_house(tmp_path) as house:
        first = await post_raw(house, body, "k-1")
        second = await post_raw(house, dict(reversed(body.items())), "k-1")
    async with opened_house(tmp_path) as house:
        third = await post_raw(house, body, "k-1")
        count = await house.count()

    assert first[0] == 202
    assert [answer[2] for answer in (first, second, third)] == [False, True, True]
    assert first[:2] == second[:2] == third[:2]
    assert count == 1


async def test_fifty_at_once_with_one_key_are_one_message(house: House):
    answers = await asyncio.gather(*(post_raw(house, MESSAGE, "same") for _ in range(50)))

    assert len({answer[:2] for answer in answers}) == 1
    assert sum(not is_repeat for _, _, is_repeat in answers) == 1
    assert (await house.count(), len(house.link.flights)) == (1, 1)


async def test_another_body_under_a_used_key_is_a_conflict(house: House):
    await house.post(MESSAGE, **{"Idempotency-Key": "k"})

    status, refused = await house.post({**MESSAGE, "text": "other"}, **{"Idempotency-Key": "k"})

    assert (status, refused["reason"], refused["field"], await house.count()) == (409, "key_reused", "Idempotency-Key", 1)


async def test_a_key_belongs_to_its_partner(house: House):
    await house.post({**MESSAGE, "service": "notice"}, **{"Idempotency-Key": "k"})
    await house.post({**MESSAGE, "service": "notice"}, key="poor-key", **{"Idempotency-Key": "k"})

    assert await house.count() == 2


async def test_a_key_under_which_nothing_was_accepted_stays_free(house: House):
    poor, _ = await house.post(MESSAGE, key="poor-key", **{"Idempotency-Key": "k"})
    batch, refused = await house.post([{"to": "1", "text": "x"}], key="poor-key", **{"Idempotency-Key": "k"})
    free, _ = await house.post({**MESSAGE, "service": "notice"}, key="poor-key", **{"Idempotency-Key": "k"})

    assert (poor, batch, free) == (402, 202, 202)
    assert refused["messages"][0]["error"]["field"] == "messages[0].to"


async def test_what_is_nested_too_deeply_to_be_compared_is_refused(house: House):
    deep = b"[" * 300 + b"]" * 300

    status, refused = await house.post(b'[{"to": "%b", "text": "x"}, %b]' % (TO.encode(), deep), **{"Idempotency-Key": "k"})

    assert (status, refused["reason"], await house.count()) == (400, "bad_json", 0)


@pytest.mark.parametrize("key", ["", "k" * 129, "ключ", "a\tb"])
async def test_a_key_that_cannot_be_kept_is_refused(house: House, key: str):
    status, refused = await house.post(MESSAGE, **{"Idempotency-Key": key})

    assert (status, refused["field"]) == (400, "Idempotency-Key")


# -- a message's life -----------------------------------------------------------------------------------------------------


async def test_a_life_shows_states_charge_and_history_but_no_text(house: House):
    _, accepted = await house.post({**MESSAGE, "text": "secret words " * 15, "reference": "r-7"})
    flights = house.link.flights
    settled = [asyncio.get_running_loop().create_future() for _ in flights]
    for number, (flight, done) in enumerate(zip(flights, settled, strict=True)):
        house.dispatch.responded(flight, 0, f"A{number}")
        report = Report(
            "sim", f"A{number}", 2, "DELIVRD", "000", TO[1:], "10661700", flight.message.accepted_at + 9, flight.segment_id, None
        )
        house.dispatch.reported(report, lambda noted, error, done=done: done.set_result(error))
    await asyncio.gather(*settled)

    _, life = await house.get(f"/v1/messages/{accepted['id']}")

    assert (life["state"], life["segments"], life["reference"], life["possible_duplicate"]) == ("delivered", 2, "r-7", False)
    assert life["charge"] == {"state": "captured", "amount_minor": 20, "currency": "CNY"}
    assert [(part["number"], part["state"], part["smsc_id"]) for part in life["parts"]] == [(1, "delivered", "A0"), (2, "delivered", "A1")]
    assert life["history"][0]["event"] == "accepted"
    assert {"submitting", "submitted", "delivered"} <= {step["event"] for step in life["history"]}
    assert "secret" not in json.dumps(life)


async def test_a_message_is_seen_by_its_partner_only(house: House):
    _, accepted = await house.post(MESSAGE)

    assert (await house.get(f"/v1/messages/{accepted['id']}"))[0] == 200
    assert (await house.get(f"/v1/messages/{accepted['id']}", key="poor-key"))[0] == 404


@pytest.mark.parametrize("typed", ["0", "1", "-1", "x", "9" * 19, "9" * 400, "%00", "%2e%2e", "١٢"])
async def test_an_id_that_is_none_is_not_found(house: House, typed: str):
    status, refused = await house.get(f"/v1/messages/{typed}")

    assert (status, refused["reason"]) == (404, "not_found")


async def test_the_balance_shows_what_is_held(house: House):
    await house.post(MESSAGE)

    status, wallet = await house.get("/v1/balance")

    found = {"available_minor": 990, "held_minor": 10, "posted_minor": 1000, "currency": "CNY"}
    assert (status, wallet) == (200, {**found, "wallets": [{**found, "limit_minor": 0}]})


# -- keys -----------------------------------------------------------------------------------------------------------------


class Hands:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def now_us(self) -> int:
        return int(self.now_s * 1e6)


async def test_a_disabled_partner_is_out_and_a_new_key_is_in_within_five_seconds(house: House):
    clock = Hands()
    known = Keys(house.reader, clock)
    await known.find("Bearer acme-key")
    with pytest.raises(keys.Refused):
        await known.find("Bearer poor-key-2")
    new_hash = keys.hashlib.sha256(b"poor-key-2").hexdigest()
    await house.writer.run(lambda conn: conn.execute(update(partner).where(partner.c.name == "acme").values(is_enabled=False)))
    await house.writer.run(lambda conn: conn.execute(update(partner).where(partner.c.name == "poor").values(api_key_hash=new_hash)))

    assert known.recall("Bearer acme-key") is not None
    clock.now_s += 5

    assert known.recall("Bearer acme-key") is None
    assert (await known.find("bearer  poor-key-2")).partner.name == "poor"
    with pytest.raises(keys.Refused, match="disabled"):
        await known.find("Bearer acme-key")


async def test_guessing_keys_fills_no_memory_and_forgets_no_partner(house: House):
    known = Keys(house.reader, Hands(), kept_max=5)
    await known.find("Bearer acme-key")

    for guess in range(20):
        with pytest.raises(keys.Refused):
            await known.find(f"Bearer guess-{guess}")

    assert len(known._unknown) == 5
    assert known.recall("Bearer acme-key") is not None


# -- operators ------------------------------------------------------------------------------------------------------------


async def test_readiness_is_red_while_nothing_can_be_written_and_says_why(house: House):
    house.links_up["sim"] = False
    ready, with_link_down = await house.get("/readyz")
    house.writer._healthy, house.writer._failure = False, "database or disk is full"

    async with house.http.get("/readyz") as response:
        red = openapi.Readiness.model_validate_json(await response.read())
    posted, refused = await house.post(MESSAGE)
    async with house.http.get("/healthz") as response:
        alive = response.status
    house.writer._healthy = True

    assert (ready, with_link_down["ready"], with_link_down["checks"]["link sim"]["ok"]) == (200, True, False)
    assert (red.ready, red.checks["store"].detail) == (False, "cannot be written: database or disk is full")
    assert (posted, refused["reason"], alive) == (503, "unavailable", 200)


async def test_metrics_are_plain_and_routes_are_counted_by_pattern(house: House):
    await house.get("/v1/messages/1")
    await house.get("/v1/nowhere")

    async with house.http.get("/metrics") as response:
        assert (response.status, response.content_type, await response.text()) == (200, "text/plain", "bellhop_up 1\n")
    assert house.observed[:2] == [("/v1/messages/{id}", 404), ("unknown", 404)]


async def test_the_description_names_every_route_and_every_field(house: House):
    async with house.http.get("/v1/openapi.json") as response:
        described = orjson.loads(await response.read())

    schemas = described["components"]["schemas"]
    references = {part.split('"')[0] for part in json.dumps(described).split("#/components/schemas/")[1:]}
    assert described["openapi"] == "3.1.0"
    assert references <= schemas.keys()
    answered = {operation.path for operation in openapi.OPERATIONS} | {f"{PREFIX}{operation.path}" for operation in BILLING}
    assert set(described["paths"]) == answered
    assert set(schemas["Submission"]["properties"]) == {field.name for field in FIELDS}


async def test_a_fault_of_ours_is_logged_with_its_number_and_shows_nothing(house: House, capsys: pytest.CaptureFixture[str]):
    def broken(*_: object) -> None:
        raise RuntimeError("of +8613900000001")

    house.reception.submit = broken  # type: ignore[method-assign]  # the only way to have a bug on purpose

    async with house.http.post("/v1/messages", json=MESSAGE, headers={"Authorization": "Bearer acme-key"}) as response:
        found = json.loads(await response.read())

    assert (response.status, found["reason"]) == (500, "internal")
    assert "RuntimeError" not in json.dumps(found)
    assert found["detail"].split()[-1] in capsys.readouterr().out
