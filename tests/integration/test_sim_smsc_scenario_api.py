"""Scenarios at run time, several SMSCs behind one API, and the PDU inspector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.real_world import RealWorld
from gateway.smpp.consts import Status
from simulators.esme import Esme
from simulators.smsc_fleet import Fleet
from simulators.smsc_scenario import parse
from simulators.smsc_web import SmscWeb
from tests.support.smsc import HOST, PHONE, house, message, page

TWO = """
[[smsc]]
name = "one"
port = 0
receipt_delay_ms = 1
[[smsc.rule]]
suffix = "77"
fault = "truncated"
[[smsc]]
name = "two"
port = 0
password = "secret"
"""


class Doors:
    """A running fleet with its API."""

    def __init__(self, world: RealWorld, fleet: Fleet, client: aiohttp.ClientSession) -> None:
        self.world, self.fleet, self.client = world, fleet, client
        self.esmes: list[Esme] = []

    async def esme(self, name: str = "one", **options: Any) -> Esme:
        esme = await Esme.connect(self.world, HOST, self.fleet.get(name).port, **options)
        self.esmes.append(esme)
        return esme

    async def json(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        options = {"json": document} if document is not None else {}
        async with self.client.request(method, path, **options) as response:
            return response.status, None if response.status == 204 else await response.json(content_type=None)


@asynccontextmanager
async def doors(text: str = TWO) -> AsyncIterator[Doors]:
    world = RealWorld()
    fleet = Fleet.of_scenario(world, parse(text, "test"), host=HOST, seed=1)
    await fleet.start()
    web = SmscWeb(world, fleet, port=0)
    await web.start()
    async with aiohttp.ClientSession(f"http://{HOST}:{web.port}") as client:
        opened = Doors(world, fleet, client)
        yield opened
        for esme in opened.esmes:
            esme.abort()
    await web.stop()
    await fleet.stop()
    await world.close()


async def test_several_smscs_stand_behind_one_api():
    async with doors() as opened:
        await opened.esme("one", system_id="first")
        await opened.esme("two", system_id="second", password="secret")

        _, first = await opened.json("GET", "/api/status")
        _, second = await opened.json("GET", "/api/status?smsc=two")
        status, refused = await opened.json("GET", "/api/status?smsc=three")

        assert (first["name"], first["smscs"], first["binds"][0]["system_id"]) == ("one", ["one", "two"], "first")
        assert (second["name"], second["binds"][0]["system_id"]) == ("two", "second")
        assert (status, refused["field"]) == (400, "smsc")


async def test_scenario_is_shown_as_it_was_written():
    async with doors() as opened:
        _, shown = await opened.json("GET", "/api/scenario")

        assert shown["smsc"][0]["rule"] == [{"suffix": "77", "fault": "truncated"}]
        assert [each["name"] for each in shown["smsc"]] == ["one", "two"]


async def test_keys_of_one_smsc_change_and_the_others_stay():
    async with doors() as opened:
        esme = await opened.esme()

        status, shown = await opened.json("PATCH", "/api/scenario/one", {"usual": {"status": "ESME_RMSGQFUL"}, "id_form": "guid"})
        refused = await esme.submit(message())
        await opened.json("PATCH", "/api/scenario/one", {"usual": {"status": 0}})
        taken = await esme.submit(message())

        assert (status, shown["usual"], len(shown["rule"])) == (200, {"status": 0x14}, 1)
        assert (refused.command_status, len(taken.message_id)) == (Status.ESME_RMSGQFUL, 36)


async def test_smsc_is_replaced_whole_without_repeating_what_cannot_change():
    async with doors() as opened:
        esme = await opened.esme()

        status, shown = await opened.json("PUT", "/api/scenario/one", {"rule": [{"status": "ESME_RSYSERR", "times": 1}]})
        first, second = await esme.submit(message()), await esme.submit(message())

        assert (status, shown["rule"]) == (200, [{"status": 8, "times": 1}])
        assert (first.command_status, second.command_status) == (Status.ESME_RSYSERR, 0)


async def test_whole_scenario_is_put_in_force_for_the_smscs_it_names():
    async with doors() as opened:
        esme = await opened.esme()
        _, shown = await opened.json("GET", "/api/scenario")

        shown["smsc"][0]["rule"] = [{"status": "ESME_RSYSERR"}]
        status, _ = await opened.json("PUT", "/api/scenario", shown)

        assert status == 200
        assert (await esme.submit(message())).command_status == Status.ESME_RSYSERR


async def test_one_rule_is_added_changed_replaced_and_removed():
    async with doors() as opened:
        added = await opened.json("POST", "/api/scenario/one/rules", {"suffix": "88", "status": 69})
        patched = await opened.json("PATCH", "/api/scenario/one/rules/0", {"percent": 50})
        replaced = await opened.json("PUT", "/api/scenario/one/rules/1", {"suffix": "99", "receipt": False})
        _, rules = await opened.json("GET", "/api/scenario/one/rules")
        removed = await opened.json("DELETE", "/api/scenario/one/rules/0")
        one = await opened.json("GET", "/api/scenario/one/rules/0")
        none = await opened.json("GET", "/api/scenario/one/rules/7")

        assert added == (201, {"place": 0, "suffix": "88", "status": 69})
        assert patched == (200, {"suffix": "88", "status": 69, "percent": 50.0})
        assert replaced == (200, {"suffix": "99", "receipt": False})
        assert len(rules) == 2
        assert removed == (204, None)
        assert one == (200, {"suffix": "99", "receipt": False})
        assert none[0] == 404


async def test_rules_put_in_force_by_the_old_way_are_part_of_the_scenario():
    async with doors() as opened:
        await opened.json("POST", "/api/rules", {"suffix": "55", "receipt": False})

        _, shown = await opened.json("GET", "/api/scenario/one")

        assert shown["rule"] == [{"suffix": "55", "receipt": False}, {"suffix": "77", "fault": "truncated"}]
        assert "magic_numbers" not in shown


@pytest.mark.parametrize(
    ("method", "path", "document", "status", "field"),
    [
        ("PATCH", "/api/scenario/one", {"port": 1}, 400, "port"),
        ("PATCH", "/api/scenario/one", {"usual": {"stats": {"LOST": 1}}}, 400, "usual.stats.LOST"),
        ("PATCH", "/api/scenario/one", {"rule": [{"sufix": "1"}]}, 400, "rule[0].sufix"),
        ("PATCH", "/api/scenario/one", {"mo": [{"file": "none.csv"}]}, 400, "mo.file"),
        ("PATCH", "/api/scenario/three", {}, 404, None),
        ("PUT", "/api/scenario", {"smsc": [{"name": "three"}]}, 400, "smsc[0].name"),
        ("POST", "/api/scenario/one/rules", {"percent": 200}, 400, "percent"),
        ("PATCH", "/api/scenario/one/rules/9", {}, 404, None),
        ("POST", "/api/events", {"do": "explode"}, 400, "do"),
        ("POST", "/api/events", {"do": "unbind", "at_s": 5}, 400, "at_s"),
        ("POST", "/api/mo", {"from": "861", "to": "1069"}, 400, "text"),
        ("POST", "/api/mo", {"from": "861", "to": "1069", "hex": "0g"}, 400, "hex"),
        ("GET", "/api/pdus?direction=up", None, 400, "direction"),
        ("GET", "/api/pdus/99999", None, 404, None),
    ],
)
async def test_wrong_change_is_refused_with_its_path_and_changes_nothing(method, path, document, status, field):
    async with doors() as opened:
        before = await opened.json("GET", "/api/scenario")

        got, problem = await opened.json(method, path, document)

        assert (got, problem.get("field")) == (status, field)
        assert await opened.json("GET", "/api/scenario") == before


async def test_event_and_message_happen_when_they_are_posted():
    async with doors() as opened:
        esme = await opened.esme()

        said = await opened.json("POST", "/api/mo", {"from": PHONE, "to": "1069", "text": "你好" * 50, "parts": "sar"})
        parts = [await esme.next_delivery() for _ in range(2)]
        done = await opened.json("POST", "/api/events", {"do": "unbind"})
        reason = await esme.wait_over()

        assert (said, len(parts)) == ((202, {"pdus": 2}), 2)
        assert (done[0], reason.value) == (202, "peer unbound")


# The inspector.


async def test_inspector_lists_both_directions_and_says_what_answers_what():
    async with doors() as opened:
        esme = await opened.esme(password="topsecret"[:8])
        await esme.submit(message(text=b"hello there"))
        await esme.next_delivery()
        await opened.fleet.first.until(lambda: opened.fleet.first.deliveries.counts.acknowledged == 1)

        _, pdus = await opened.json("GET", "/api/pdus")

        assert [(each["direction"], each["command"]) for each in pdus] == [
            ("in", "bind_transceiver"),
            ("out", "bind_transceiver_resp"),
            ("in", "submit_sm"),
            ("out", "submit_sm_resp"),
            ("out", "deliver_sm"),
            ("in", "deliver_sm_resp"),
        ]
        assert pdus[2]["what"] == f"1069 → {PHONE} · hello there"
        assert pdus[3]["answers"]["number"] == pdus[2]["number"]
        assert "receipt DELIVERED" in pdus[4]["what"]


async def test_inspector_takes_a_pdu_apart_and_hides_the_password():
    async with doors() as opened:
        esme = await opened.esme(password="verysecr")
        await esme.submit(message(text=b"hi", tlvs={0x0204: b"\x00\x07"}))

        _, bind = await opened.json("GET", "/api/pdus/1")
        _, submit = await opened.json("GET", "/api/pdus/3")
        fields = {part["name"]: part for part in submit["fields"]}

        assert b"verysecr".hex() not in bind["hex"]
        assert "verysecr" not in str(bind["fields"])
        assert fields["registered_delivery"]["means"] == "receipt"
        assert fields["user_message_reference (0x0204)"]["value"] == 7
        assert bytes.fromhex(submit["hex"])[fields["short_message"]["start"] : fields["short_message"]["end"]] == b"hi"
        assert [part["start"] for part in submit["fields"][1:]] == [part["end"] for part in submit["fields"][:-1]]
        assert submit["content"]["text"] == "hi"


async def test_inspector_filters_and_marks_errors_and_spoilt_octets():
    async with doors() as opened:
        esme = await opened.esme()
        await esme.submit(message("nobody"))
        spoilt = asyncio.ensure_future(esme.submit(message("86139000077", text=b"find me")))
        await opened.fleet.first.until(lambda: len(opened.fleet.first.inspector) >= 6)

        _, errors = await opened.json("GET", "/api/pdus?errors=true")
        _, found = await opened.json("GET", "/api/pdus?contains=find+me")
        _, submits = await opened.json("GET", "/api/pdus?command=submit_sm&direction=in")
        _, newer = await opened.json("GET", f"/api/pdus?after={submits[-1]['number']}")
        cleared, _ = await opened.json("DELETE", "/api/pdus")
        _, left = await opened.json("GET", "/api/pdus")
        spoilt.cancel()

        assert [(each["status_name"], each["fault"]) for each in errors] == [("ESME_RINVDSTADR", ""), ("ESME_ROK", "truncated")]
        assert errors[1]["problem"] == "message_id has no NUL within 65 octets"
        assert (len(found), len(submits)) == (1, 2)
        assert all(each["number"] > submits[-1]["number"] for each in newer)
        assert (cleared, left) == (204, [])


async def test_inspector_shows_octets_that_are_no_pdu():
    async with house(pdus_max=100) as opened, page(opened) as client:
        _, writer = await asyncio.open_connection(HOST, opened.smsc.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await opened.until(lambda: len(opened.smsc.inspector) == 2)

        pdus = await (await client.get("/api/pdus")).json()
        detail = await (await client.get(f"/api/pdus/{pdus[0]['number']}")).json()
        writer.close()

        assert pdus[0]["fault"] == "lost"
        assert detail["fields"][0]["kind"] == "error"


async def test_inspector_keeps_no_more_than_it_may():
    async with house(pdus_max=5) as opened, page(opened) as client:
        esme = await opened.esme()
        for number in range(5):
            await esme.submit(message(text=b"%d" % number, registered_delivery=0))

        pdus = await (await client.get("/api/pdus")).json()

        assert [each["number"] for each in pdus] == [8, 9, 10, 11, 12]


async def test_smsc_that_remembers_no_pdus_says_so():
    async with house() as opened, page(opened) as client:
        response = await client.get("/api/pdus")

        assert response.status == 404
        assert "pdus_max" in (await response.json(content_type=None))["title"]
