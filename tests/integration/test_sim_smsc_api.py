"""The JSON API and the page of the SMSC simulator over real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.smpp.consts import Status
from tests.support.smsc import PHONE, house, message, page


async def test_api_waits_for_a_message_that_comes_later():
    async with house() as opened, page(opened) as client:
        esme = await opened.esme()
        waiting = asyncio.ensure_future(client.get(f"/api/phones/{PHONE}/messages", params={"wait": "10", "contains": "code"}))

        await esme.submit(message(text=b"something else"))
        await esme.submit(message(text=b"your code is 4711"))
        response = await waiting
        found = await response.json()

        assert response.status == 200
        assert [(each["text"], each["from"], each["complete"]) for each in found] == [("your code is 4711", "1069", True)]


async def test_api_says_408_with_what_came_when_the_wait_is_over():
    async with house() as opened, page(opened) as client:
        esme = await opened.esme()
        await esme.submit(message(text=b"one"))
        await opened.until(lambda: opened.smsc.counts.delivered == 1)

        response = await client.get(f"/api/phones/{PHONE}/messages", params={"wait": "0.1", "count": "2"})

        assert response.status == 408
        assert [each["text"] for each in (await response.json())["messages"]] == ["one"]


async def test_api_gives_only_what_is_newer_than_a_known_id():
    async with house() as opened, page(opened) as client:
        esme = await opened.esme()
        await esme.submit(message(text=b"one"))
        await opened.until(lambda: opened.smsc.counts.delivered == 1)
        known = (await (await client.get(f"/api/phones/{PHONE}/messages")).json())[-1]["id"]

        await esme.submit(message(text=b"two"))
        newer = await (await client.get(f"/api/phones/{PHONE}/messages", params={"after": str(known), "wait": "5"})).json()

        assert [each["text"] for each in newer] == ["two"]


async def test_api_sends_a_reply_and_shows_its_state():
    async with house() as opened, page(opened) as client:
        esme = await opened.esme()

        sent = await client.post(f"/api/phones/{PHONE}/messages", json={"to": "1069", "text": "hi"})
        reply = await sent.json()
        await esme.next_delivery()
        await opened.until(lambda: opened.smsc.deliveries.counts.acknowledged == 1)
        thread = await (await client.get(f"/api/phones/{PHONE}/messages", params={"direction": "all"})).json()

        assert sent.status == 202
        assert [(each["id"], each["state"]) for each in thread] == [(reply["id"], "accepted")]


async def test_api_lists_submits_and_clears_them():
    async with house() as opened, page(opened) as client:
        esme = await opened.esme(system_id="acme")
        await esme.submit(message("111", b"first"))
        await esme.submit(message("222", b"second"))

        found = await (await client.get("/api/messages", params={"to": "222"})).json()
        newer = await (await client.get("/api/messages", params={"after": str(int(found[0]["id"]) - 1)})).json()
        cleared = await client.delete("/api/messages")
        left = await (await client.get("/api/messages")).json()

        assert [(each["text"], each["hex"], each["system_id"]) for each in found] == [("second", b"second".hex(), "acme")]
        assert [each["to"] for each in newer] == ["222"]
        assert (cleared.status, left) == (204, [])


async def test_api_puts_a_rule_in_force_at_run_time():
    async with house() as opened, page(opened) as client:
        esme = await opened.esme()

        added = await client.post("/api/rules", json={"prefix": "8613", "status": "ESME_RMSGQFUL"})
        refused = await esme.submit(message())
        await client.delete("/api/rules")
        taken = await esme.submit(message())

        assert (added.status, (await added.json())[0]) == (201, {"prefix": "8613", "status": 0x14})
        assert (refused.command_status, taken.command_status) == (Status.ESME_RMSGQFUL, Status.ESME_ROK)


async def test_api_shows_binds_and_drops_them():
    async with house() as opened, page(opened) as client:
        esme = await opened.esme(system_id="acme")

        status = await (await client.get("/api/status")).json()
        dropped = await (await client.delete("/api/binds", params={"how": "unbind"})).json()
        reason = await esme.wait_over()

        assert [(bind["system_id"], bind["state"]) for bind in status["binds"]] == [("acme", "bound_trx")]
        assert (dropped, reason.value) == ({"dropped": 1}, "peer unbound")


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "field"),
    [
        ("GET", f"/api/phones/{PHONE}/messages?wait=forever", {}, 400, "wait"),
        ("GET", f"/api/phones/{PHONE}/messages?wait=nan", {}, 400, "wait"),
        ("GET", f"/api/phones/{PHONE}/messages?after=-1", {}, 400, "after"),
        ("GET", f"/api/phones/{PHONE}/messages?count=0", {}, 400, "count"),
        ("GET", f"/api/phones/{PHONE}/messages?direction=up", {}, 400, "direction"),
        ("GET", "/api/phones/%3Cscript%3E/messages", {}, 400, "msisdn"),
        ("POST", "/api/phones", {"json": {"msisdn": 5}}, 400, "msisdn"),
        ("POST", "/api/phones", {"json": []}, 400, "body"),
        ("POST", f"/api/phones/{PHONE}/messages", {"json": {"to": "1069"}}, 400, "text"),
        ("POST", f"/api/phones/{PHONE}/messages", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "body"),
        ("POST", f"/api/phones/{PHONE}/messages", {"data": {"to": "1069", "text": "x"}}, 415, None),
        ("POST", "/api/rules", {"json": {"suffix": 5}}, 400, "rule"),
        ("GET", "/nowhere", {}, 404, None),
        ("PUT", "/api/messages", {}, 405, None),
        ("POST", "/api/rules", {"data": b"x" * 300_000, "headers": {"Content-Type": "application/json"}}, 413, None),
    ],
)
async def test_api_refuses_bad_input_with_a_problem_that_names_it(method, path, options, status, field):
    async with house() as opened, page(opened) as client:
        response = await client.request(method, path, **options)
        document = json.loads(await response.text())

        assert response.status == status
        assert document.get("field") == field


async def test_api_on_a_loopback_address_refuses_foreign_host_names():
    async with house() as opened, page(opened) as client:
        foreign = await client.get("/api/phones", headers={"Host": "evil.example:8081"})
        local = await client.get("/api/phones", headers={"Host": "localhost:8081"})

        assert (foreign.status, local.status) == (403, 200)


async def test_page_allows_no_inline_script_and_shows_text_as_text():
    async with house() as opened, page(opened) as client:
        response = await client.get("/")
        html = await response.text()
        script = await (await client.get("/phones.js")).text()

        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert "innerHTML" not in script
        assert " style=" not in html
        assert " onclick" not in html


async def test_page_hears_of_changes_and_stops_with_the_simulator():
    async with house() as opened:
        async with page(opened) as client:
            events = await client.get("/api/events")
            first = await events.content.readuntil(b"\n\n")

            opened.smsc.send_mo(PHONE, "1069", "hi")
            change = await asyncio.wait_for(events.content.readuntil(b"\n\n"), 5)

        assert first == b"retry: 1000\n\n"
        assert change.startswith(b"event: change\n")
