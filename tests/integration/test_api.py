"""The messages API: what it accepts, what it refuses, and with which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from gateway.store.schema import opt_out
from tests.support.api import DAY_US, MESSAGE, TO, House, checked, opened_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(tmp_path) as found:
        yield found


# -- accepting ------------------------------------------------------------------------------------------------------------


async def test_a_message_is_accepted_stored_and_handed_to_its_link(house: House):
    status, accepted = await house.post({**MESSAGE, "from": "10661700", "service": "chat", "reference": "r-1", "priority": 2})

    assert (status, accepted["segments"], accepted["encoding"]) == (202, 1, "gsm7")
    assert accepted["price"] == {"amount_minor": 10, "currency": "CNY"}
    assert await house.count() == 1
    flight = house.link.flights[0].message
    assert (flight.source, flight.destination, flight.reference, flight.priority) == ("10661700", TO[1:], "r-1", 2)


async def test_sender_and_service_may_be_left_out(house: House):
    _, accepted = await house.post(MESSAGE)

    _, life = await house.get(f"/v1/messages/{accepted['id']}")
    assert (life["from"], life["service"]) == ("10661700", "chat")


@pytest.mark.parametrize("body", [{"messages": [MESSAGE, {"to": "1"}, {**MESSAGE, "text": "汉" * 100}]}, [MESSAGE, 7, MESSAGE]])
async def test_each_message_of_a_batch_is_answered_for_itself_and_in_order(house: House, body: Any):
    status, answered = await house.post(body)

    first, second, third = answered["messages"]
    assert (status, await house.count()) == (202, 2)
    assert int(first["id"]) < int(third["id"])
    assert second["error"]["status"] in (400, 422)
    assert second["error"]["field"].startswith("messages[1]")


async def test_a_whole_number_may_be_written_with_a_point(house: House):
    await house.post({**MESSAGE, "priority": 3.0, "validity_s": 6e1})

    flight = house.link.flights[0].message
    assert (flight.priority, flight.expires_at - flight.accepted_at) == (3, 60_000_000)


async def test_validity_is_the_shorter_of_what_is_asked_and_what_the_service_allows(house: House):
    _, answered = await house.post([{**MESSAGE, "validity_s": 60}, {**MESSAGE, "validity_s": 200_000}])

    lives = [(await house.get(f"/v1/messages/{accepted['id']}"))[1] for accepted in answered["messages"]]
    assert [flight.message.expires_at - flight.message.accepted_at for flight in house.link.flights] == [60_000_000, DAY_US]
    assert all(life["accepted_at"].endswith("Z") and len(life["accepted_at"]) == 27 for life in lives)


# -- refusing -------------------------------------------------------------------------------------------------------------

DEEP = b"[" * 10_000 + b"]" * 10_000
MALFORMED = [
    (b"", 400, ""),
    (b"{", 400, ""),
    (b"\xff", 400, ""),
    (b"7", 400, "messages"),
    (b"[]", 400, "messages"),
    (b'{"messages": {}}', 400, "messages"),
    (b'{"messages": [], "to": ""}', 400, "to"),
    (DEEP, 400, ""),
    (b'{"to": ' + b"[" * 1000 + b"]" * 1000 + b', "text": "x"}', 400, "to"),
    (b'{"to": "%b", "text": NaN}' % TO.encode(), 400, "text"),
    (b'{"messages": [{}, {"to": "+86", "text": -Infinity}]}', 400, "messages[1].text"),
    (b'{"to": "%b", "text": "\\ud83d"}' % TO.encode(), 400, "text"),
    (b'[{"to": "\\udc00"}]', 400, "messages[0].to"),
    (b'{"\\ud800": 1}', 400, "\\ud800"),
    (b'{"to": "%b", "text": "a\\u0000b"}' % TO.encode(), 400, "text"),
    (b'{"to": "%b", "to": "%b", "text": "x"}' % (TO.encode(), TO.encode()), 400, "to"),
    (b'{"to": "%b", "text": "x", "validity_s": %b}' % (TO.encode(), b"9" * 5000), 400, "validity_s"),
]
MISFITS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"to": 8613900000001}, 400, "to", "bad_field"),
    ({"to": None}, 400, "to", "bad_field"),
    ({"text": ""}, 400, "text", "bad_field"),
    ({"text": ["x"]}, 400, "text", "bad_field"),
    ({"priority": True}, 400, "priority", "bad_field"),
    ({"priority": 4}, 400, "priority", "bad_field"),
    ({"validity_s": 1.5}, 400, "validity_s", "bad_field"),
    ({"validity_s": 2**63}, 400, "validity_s", "bad_field"),
    ({"reference": "r" * 65}, 400, "reference", "bad_field"),
    ({"txt": "x"}, 400, "txt", "unknown_field"),
    ({"to": "12"}, 422, "to", "bad_address"),
    ({"to": "+86abc"}, 422, "to", "bad_address"),
    ({"from": "12"}, 422, "from", "bad_address"),
    ({"from": "аdmin"}, 422, "from", "bad_address"),  # a Cyrillic letter that looks Latin
    ({"from": "汉" * 8}, 422, "from", "bad_address"),
    ({"from": "1066999901"}, 422, "from", "bad_address"),
    ({"service": "ringtones"}, 422, "service", "unknown_service"),
    ({"text": "汉" * 300}, 422, "text", "too_long"),
    ({"text": "x" * 40_001}, 422, "text", "too_long"),
]


@pytest.mark.parametrize(("body", "status", "at"), MALFORMED)
async def test_what_is_no_good_json_is_refused_with_its_place(house: House, body: bytes, status: int, at: str):
    answered, refused = await house.post(body)

    assert (answered, refused["field"], await house.count()) == (status, at, 0)


@pytest.mark.parametrize(("change", "status", "at", "reason"), MISFITS)
async def test_a_field_that_does_not_fit_is_named(house: House, change: dict[str, Any], status: int, at: str, reason: str):
    answered, refused = await house.post({**MESSAGE, **change})

    assert (answered, refused["field"], refused["reason"], await house.count()) == (status, at, reason, 0)


@pytest.mark.parametrize("text", ["😀", "مرحبا", "e\u0301", "\u202eabc", '"quoted" \\ back'])
async def test_any_other_text_is_taken(house: House, text: str):
    assert (await house.post({**MESSAGE, "text": text}))[0] == 202


async def test_a_typing_error_is_answered_with_a_suggestion_and_a_long_text_with_the_parts_it_needs(house: House):
    _, misspelt = await house.post({"to": TO, "txet": "x"})
    _, long = await house.post({**MESSAGE, "text": "汉" * 300})

    assert "did you mean text?" in misspelt["detail"]
    assert "needs 5 parts, at most 3" in long["detail"]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nobody", "Basic YTpi", "Bearer " + "x" * 300])
async def test_without_a_right_key_nothing_is_answered_but_401(house: House, header: str | None):
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("POST", "/v1/messages"), ("GET", "/v1/messages/1"), ("GET", "/v1/balance")):
        async with house.http.request(method, path, headers=headers) as response:
            refused = checked(response, await response.read())

            assert (response.status, refused["reason"]) == (401, "unauthorized")
            assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_the_reasons_of_the_services_have_their_statuses(house: House):
    await house.writer.run(lambda conn: conn.execute(insert(opt_out).values(msisdn=TO[1:], short_code="10661700", since=1)))

    poor, refused_poor = await house.post({**MESSAGE, "to": "+8613900000002"}, key="poor-key")
    stopped, refused_stopped = await house.post(MESSAGE)

    assert (poor, refused_poor["reason"]) == (402, "no_credit")
    assert (stopped, refused_stopped["reason"], refused_stopped["field"]) == (403, "opted_out", "to")


@pytest.mark.parametrize("body", [MESSAGE, [MESSAGE, MESSAGE]])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}])
async def test_a_full_backlog_says_when_to_come_again_and_keeps_no_key(house: House, body: Any, key: dict[str, str]):
    house.reception.queued = 100

    async with house.http.post("/v1/messages", json=body, headers={"Authorization": "Bearer acme-key", **key}) as response:
        status, later = response.status, int(response.headers["Retry-After"])
    house.reception.queued = 0

    assert (status, later > 0) == (429, True)
    assert (await house.post(body, **key))[0] == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 202),
    ],
)
async def test_only_plain_json_is_read(house: House, headers: dict[str, str], status: int):
    assert (await house.post(MESSAGE, **headers))[0] == status


async def test_an_address_that_is_not_served_and_a_wrong_method_are_problems_too(house: House):
    async with house.http.get("/v2") as nowhere, house.http.delete("/v1/messages") as wrong:
        statuses = [(answer.status, checked(answer, await answer.read())["reason"]) for answer in (nowhere, wrong)]

        assert statuses == [(404, "not_found"), (405, "method_not_allowed")]
        assert wrong.headers["Allow"] == "POST"
