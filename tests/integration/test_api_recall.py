"""Messages that are sent later, taken back or changed over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import MESSAGE, House, opened_house

LATER = "2099-01-01T00:00:00Z"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(tmp_path) as found:
        yield found


async def scheduled(house: House, **fields: Any) -> str:
    status, accepted = await house.post({**MESSAGE, "delay_s": 3_600, **fields})
    assert status == 202
    return str(accepted["id"])


async def test_a_message_with_a_delay_is_scheduled_and_has_not_left(house: House):
    message_id = await scheduled(house, validity_s=600)

    _, life = await house.get(f"/v1/messages/{message_id}")

    assert (life["state"], house.link.flights) == ("scheduled", [])
    assert life["accepted_at"] < life["schedule_at"] < life["expires_at"]
    assert [step["event"] for step in life["history"]] == ["accepted", "scheduled"]


@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", "2020-01-01t02:00:00.5+02:00"])
async def test_a_time_that_has_come_means_now(house: House, at: str):
    await house.post({**MESSAGE, "schedule_at": at})

    assert len(house.link.flights) == 1


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"schedule_at": LATER}, 422, "schedule_at"),
        ({"schedule_at": "tomorrow, at the usual hour"}, 400, "schedule_at"),
        ({"schedule_at": "2027-02-30T00:00:00Z"}, 400, "schedule_at"),
        ({"schedule_at": "2027-02-03T00:00:00"}, 400, "schedule_at"),
        ({"schedule_at": LATER, "delay_s": 5}, 400, "delay_s"),
        ({"delay_s": -1}, 400, "delay_s"),
    ],
)
async def test_a_bad_schedule_is_named(house: House, fields: dict[str, Any], status: int, field: str):
    refused = await house.post({**MESSAGE, **fields})

    assert (refused[0], refused[1]["field"]) == (status, field)


async def test_a_waiting_message_is_taken_back_once_however_often_it_is_asked(house: House):
    message_id = await scheduled(house)

    status, life = await house.ask("DELETE", f"/v1/messages/{message_id}")
    again, same = await house.ask("DELETE", f"/v1/messages/{message_id}")

    assert (status, life["state"], life["parts"][0]["error"]) == (200, "failed", "cancelled")
    assert life["charge"]["state"] == "released"
    assert (again, same) == (200, life)


async def test_a_message_on_its_way_is_neither_taken_back_nor_changed(house: House):
    _, accepted = await house.post(MESSAGE)

    assert (await house.ask("DELETE", f"/v1/messages/{accepted['id']}"))[0] == 409
    assert (await house.ask("PATCH", f"/v1/messages/{accepted['id']}", {"text": "too late"}))[0] == 409


async def test_a_waiting_message_gets_another_text_and_price(house: House):
    message_id = await scheduled(house)

    status, life = await house.ask("PATCH", f"/v1/messages/{message_id}", {"text": "a" * 200})

    assert (status, life["segments"], life["charge"]["amount_minor"], life["state"]) == (200, 2, 20, "scheduled")


async def test_a_scheduled_message_is_sent_now_instead(house: House):
    message_id = await scheduled(house, text="as it was")

    status, life = await house.ask("PATCH", f"/v1/messages/{message_id}", {"delay_s": 0})

    assert (status, life["schedule_at"]) == (200, None)
    await house.until_sent(1)
    assert house.link.flights[0].body == b"as it was"


async def test_a_text_that_is_too_long_leaves_the_message_as_it_was(house: House):
    message_id = await scheduled(house)

    status, problem = await house.ask("PATCH", f"/v1/messages/{message_id}", {"text": "a" * 2_000})

    assert (status, problem["reason"]) == (422, "too_long")
    assert (await house.get(f"/v1/messages/{message_id}"))[1]["segments"] == 1


@pytest.mark.parametrize("change", [{}, [], {"to": "+8613900000002"}, {"text": 5}, {"schedule_at": "soon, but not too soon"}])
async def test_a_change_that_is_none_is_refused(house: House, change: Any):
    message_id = await scheduled(house)

    assert (await house.ask("PATCH", f"/v1/messages/{message_id}", change))[0] == 400


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
async def test_another_partner_finds_nothing(house: House, method: str):
    message_id = await scheduled(house)
    body = {"text": "mine now"} if method == "PATCH" else None

    assert (await house.ask(method, f"/v1/messages/{message_id}", body, key="poor-key"))[0] == 404
    assert (await house.ask(method, "/v1/messages/12345678", body))[0] == 404
