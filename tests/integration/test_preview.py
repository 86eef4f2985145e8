"""POST /v1/messages/preview and the contents that go with it: what is told is what would be sent, and nothing is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli_preview import lines_of
from gateway.web import openapi, problem
from tests.support.api import MESSAGE, House, opened_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(tmp_path) as found:
        yield found


async def preview(house: House, body: Any, key: str = "acme-key") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with house.http.post("/v1/messages/preview", data=json.dumps(body).encode(), headers=headers) as response:
        found = await response.json(content_type=None)
        if response.status == 200:
            (openapi.PreviewBatch if "messages" in found else openapi.Preview).model_validate(found)
        else:
            assert response.content_type == problem.MEDIA_TYPE
        return response.status, found


async def test_a_plain_text_is_one_part_with_room_left_and_nothing_is_stored(house: House):
    status, found = await preview(house, {**MESSAGE, "text": "hello {}"})

    assert (status, found["encoding"], found["unit"], found["segments"]) == (200, "gsm7", "septet", 1)
    assert found["parts"] == [{"used": 10, "left": 150}]
    assert found["price"] == {"amount_minor": 10, "currency": "CNY"}
    assert found["route"] == {"link": "sim", "rule": "", "why": ["no rules: the first link that is up"], "sender": ""}
    assert (await house.count(), house.link.flights) == (0, [])


async def test_a_long_text_tells_each_part_and_costs_by_part(house: House):
    _, found = await preview(house, {**MESSAGE, "text": "a" * 200})

    assert found["parts"] == [{"used": 153, "left": 0}, {"used": 47, "left": 106}]
    assert found["price"]["amount_minor"] == 20


async def test_the_characters_that_need_ucs_2_are_told_with_their_places_and_what_to_write_instead(house: House):
    _, found = await preview(house, {**MESSAGE, "text": "naïve “你”"})

    assert (found["encoding"], found["unit"], found["data_coding"]) == ("ucs2", "utf16_unit", 8)
    assert found["parts"] == [{"used": 9, "left": 61}]
    assert [(each["position"], each["code_point"], each["suggestion"]) for each in found["forced_by"]] == [
        (2, "U+00EF", "i"),
        (6, "U+201C", '"'),
        (7, "U+4F60", None),
        (8, "U+201D", '"'),
    ]
    assert (found["forced_by_count"], found["replacement"]) == (4, None)


async def test_what_replacing_would_change_is_told_and_done_where_it_is_asked_for(house: House):
    text = "“" + "a" * 80 + "”"

    _, without = await preview(house, {**MESSAGE, "text": text})
    _, asked = await preview(house, {**MESSAGE, "text": text, "replace_typographic": True})
    await house.post({**MESSAGE, "text": text, "replace_typographic": True})

    assert (without["encoding"], without["segments"], without["replacement"]["applied"]) == ("ucs2", 2, False)
    assert (without["replacement"]["encoding"], without["replacement"]["segments"]) == ("gsm7", 1)
    assert without["replacement"]["changes"][0] == {"position": 0, "character": "“", "by": '"'}
    assert (asked["encoding"], asked["segments"], asked["replacement"]["applied"]) == ("gsm7", 1, True)
    assert house.link.flights[0].body == b'"' + b"a" * 80 + b'"'


async def test_the_list_of_forcing_characters_is_cut_and_its_count_is_not(house: House):
    _, found = await preview(house, {**MESSAGE, "text": "你" * 150})

    assert (len(found["forced_by"]), found["forced_by_count"]) == (100, 150)


async def test_each_message_of_a_batch_is_previewed_for_itself(house: House):
    status, found = await preview(house, {"messages": [MESSAGE, {"to": "1"}, {**MESSAGE, "text": "a" * 1000}]})

    first, second, third = found["messages"]
    assert (status, first["segments"]) == (200, 1)
    assert second["error"]["field"].startswith("messages[1]")
    assert third["error"]["reason"] == "too_long"


@pytest.mark.parametrize(
    ("body", "key", "status"), [({}, "acme-key", 400), (MESSAGE, "nobody", 401), ({**MESSAGE, "text": "a" * 999}, "acme-key", 422)]
)
async def test_what_would_be_refused_is_refused(house: House, body: Any, key: str, status: int):
    found, _ = await preview(house, body, key)

    assert found == status


async def test_a_preview_uses_no_reference(house: House):
    long = {**MESSAGE, "text": "a" * 200}
    await house.post(long)
    await preview(house, long)
    await house.post(long)

    assert [flight.body[3] for flight in house.link.flights] == [0, 0, 1, 1]


# -- contents -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "data_coding"),
    [
        ({"text": "x", "flash": True}, 0xF0),
        ({"text": "x", "flash": False}, 0),
        ({"text": "x", "class": 2}, 0xF2),
        ({"text": "你", "flash": True}, 0x18),
        ({"text": "你", "class": 1}, 0x19),
        ({"text": "a" * 200, "flash": True}, 0xF0),
    ],
)
async def test_a_text_can_have_a_class(house: House, fields: dict[str, Any], data_coding: int):
    await house.post({"to": MESSAGE["to"], **fields})

    assert {flight.message.data_coding for flight in house.link.flights} == {data_coding}


async def test_octets_go_with_their_header_and_their_coding(house: House):
    octets = {"to": MESSAGE["to"], "udh": "06050415811581", "body_hex": "024A3A"}

    await house.post(octets)
    await house.post({**octets, "data_coding": 0xF5})
    await house.post({**octets, "class": 1})

    sent = [(flight.message.esm_class, flight.message.data_coding, flight.body.hex()) for flight in house.link.flights]
    assert sent == [(0x40, coding, "06050415811581024a3a") for coding in (4, 0xF5, 0xF5)]


async def test_long_octets_are_split(house: House):
    await house.post({"to": MESSAGE["to"], "body_hex": "00" * 200})

    assert [(len(flight.body), flight.message.esm_class) for flight in house.link.flights] == [(140, 0x40), (72, 0x40)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "text"),
        ({"text": "x", "udh": "00"}, "udh"),
        ({"text": "x", "data_coding": 4}, "data_coding"),
        ({"text": "x", "body_hex": "00"}, "text"),
        ({"text": "x", "flash": True, "class": 1}, "class"),
        ({"text": "x", "flash": 1}, "flash"),
        ({"text": "x", "class": 4}, "class"),
        ({"body_hex": "0"}, "body_hex"),
        ({"body_hex": "0g"}, "body_hex"),
        ({"body_hex": "00 00"}, "body_hex"),
        ({"body_hex": "00", "udh": "0500"}, "udh"),
        ({"body_hex": "00", "udh": "0000"}, "udh"),
        ({"body_hex": "00" * 140, "udh": "06050415811581"}, "body_hex"),
        ({"body_hex": "00", "data_coding": 4, "class": 1}, "data_coding"),
        ({"body_hex": "00", "replace_typographic": True}, "replace_typographic"),
    ],
)
async def test_contents_that_contradict_themselves_are_refused_by_name(house: House, fields: dict[str, Any], field: str):
    status, refused = await house.post({"to": MESSAGE["to"], **fields})

    assert (status in (400, 422), refused["field"], await house.count()) == (True, field, 0)


# -- in words -------------------------------------------------------------------------------------------------------------


async def test_a_preview_is_told_in_a_few_lines(house: House):
    _, found = await preview(house, {**MESSAGE, "text": "“hi”"})

    assert lines_of(found) == [
        "encoding  ucs2",
        "segments  1: 4 UTF-16 units, 66 left in the last",
        "price     0.10 CNY",
        "route     sim: no rules: the first link that is up",
        "forced by '“' U+201C at 0, instead '\"'",
        "forced by '”' U+201D at 3, instead '\"'",
        "could be replaced (--replace): '“' by '\"', '”' by '\"'; then 1 segment(s) of gsm7",
    ]
