"""The SMSC simulator over real sockets: outcomes by number, receipts, phones, MO, the JSON API and the command."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.real_world import RealWorld
from gateway.smpp.consts import MessageState, Status, Tag
from gateway.smpp.pdu import CancelSm, DataSm, QuerySm, SmeAddress, SubmitMulti, SubmitSm
from gateway.smpp.session import Limits
from simulators.esme import BindKind, BindRefusedError, Esme, NoResponse
from simulators.faults import SmscFaults
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_messages import IdForm
from simulators.smsc_rules import Rule
from simulators.smsc_web import SmscWeb

ROOT = Path(__file__).parents[2]
PHONE = "8613900001234"
HOST = "127.0.0.1"


class House:
    """A simulator, its page and the ESMEs of one test."""

    def __init__(self, world: RealWorld, smsc: Smsc) -> None:
        self.world = world
        self.smsc = smsc
        self.esmes: list[Esme] = []

    async def esme(self, **options: object) -> Esme:
        esme = await Esme.connect(self.world, HOST, self.smsc.port, **options)  # type: ignore[arg-type]
        self.esmes.append(esme)
        return esme

    async def until(self, is_true, timeout_s: float = 5.0) -> None:
        assert await self.smsc.until(is_true, timeout_s)


@asynccontextmanager
async def house(*, faults: SmscFaults | None = None, **options: object) -> AsyncIterator[House]:
    world = RealWorld()
    config = SmscConfig(**{"port": 0, "receipt_delay_ms": 1, "retry_delay_ms": 10, **options})  # type: ignore[arg-type]
    smsc = Smsc(world, config, faults=faults)
    await smsc.start()
    opened = House(world, smsc)
    try:
        yield opened
    finally:
        for esme in opened.esmes:
            esme.abort()
        await smsc.stop()
        await world.close()


@asynccontextmanager
async def page(opened: House) -> AsyncIterator[aiohttp.ClientSession]:
    web = SmscWeb(opened.world, opened.smsc, port=0)
    await web.start()
    try:
        async with aiohttp.ClientSession(f"http://{HOST}:{web.port}") as client:
            yield client
    finally:
        await web.stop()


def message(destination: str = PHONE, text: bytes = b"hello", **fields: object) -> SubmitSm:
    return SubmitSm(source_addr="1069", destination_addr=destination, registered_delivery=1, short_message=text)._replace(**fields)


# Binds.


@pytest.mark.parametrize("kind", list(BindKind))
async def test_any_credentials_bind_unless_some_are_asked_for(kind):
    async with house() as opened:
        esme = await opened.esme(kind=kind, system_id="whoever", password="whatever")

        assert (await esme.unbind()).value == "unbound"


async def test_wrong_credentials_are_refused_with_their_status():
    async with house(system_id="bellhop", password="secret") as opened:
        refusals = []
        for system_id, password in (("other", "secret"), ("bellhop", "wrong")):
            with pytest.raises(BindRefusedError) as raised:
                await opened.esme(system_id=system_id, password=password)
            refusals.append(raised.value.status)
        await opened.esme(system_id="bellhop", password="secret")

        assert refusals == [Status.ESME_RINVSYSID, Status.ESME_RINVPASWD]


# Receipts and outcomes.


async def test_message_is_answered_delivered_and_receipted():
    async with house(first_id=500) as opened:
        esme = await opened.esme()

        response = await esme.submit(message(text=b"hello there", tlvs={Tag.USER_MESSAGE_REFERENCE: b"\x12\x34"}))
        receipt = await esme.next_delivery()

        assert (response.command_status, response.message_id) == (Status.ESME_ROK, "500")
        assert (receipt.source_addr, receipt.destination_addr, receipt.esm_class) == (PHONE, "1069", 0x04)
        assert receipt.short_message.startswith(b"id:500 sub:001 dlvrd:001 submit date:")
        assert receipt.short_message.endswith(b"stat:DELIVRD err:000 text:hello there")
        assert receipt.tlvs == {0x001E: b"500\0", 0x0427: b"\x02", 0x0204: b"\x12\x34"}


@pytest.mark.parametrize(
    ("suffix", "stat", "state", "err"),
    [("0001", b"UNDELIV", 5, b"001"), ("0002", b"EXPIRED", 3, b"002"), ("0003", b"REJECTD", 8, b"003")],
)
async def test_failing_number_gets_its_receipt_and_reaches_no_phone(suffix, stat, state, err):
    async with house() as opened:
        esme = await opened.esme()

        response = await esme.submit(message(f"861390000{suffix}"))
        receipt = await esme.next_delivery()

        assert response.command_status == Status.ESME_ROK
        assert b"stat:%b err:%b" % (stat, err) in receipt.short_message
        assert receipt.tlvs[0x0427] == bytes((state,))
        assert len(opened.smsc.phones) == 0


async def test_number_0004_is_refused_for_good():
    async with house() as opened:
        esme = await opened.esme()

        statuses = [(await esme.submit(message("8613900000004"))).command_status for _ in range(2)]

        assert statuses == [Status.ESME_RSUBMITFAIL] * 2


async def test_number_0005_throttles_once():
    async with house() as opened:
        esme = await opened.esme()

        statuses = [(await esme.submit(message("8613900000005"))).command_status for _ in range(2)]

        assert statuses == [Status.ESME_RTHROTTLED, Status.ESME_ROK]


async def test_number_0006_is_delivered_without_receipt():
    async with house() as opened:
        esme = await opened.esme()

        await esme.submit(message("8613900000006"))
        await opened.until(lambda: opened.smsc.counts.delivered == 1)
        await esme.submit(message())
        receipt = await esme.next_delivery()

        assert receipt.source_addr == PHONE


async def test_number_0007_is_never_answered_yet_delivered():
    async with house() as opened:
        esme = await opened.esme(limits=Limits(response_timeout_s=0.2))

        with pytest.raises(NoResponse):
            await esme.submit(message("8613900000007"))

        assert opened.smsc.counts.delivered == 1


async def test_number_0008_is_receipted_before_it_is_answered():
    async with house() as opened:
        esme = await opened.esme()

        answer = asyncio.ensure_future(esme.submit(message("8613900000008")))
        receipt = await esme.next_delivery()
        was_answered = answer.done()

        assert not was_answered
        assert f"id:{(await answer).message_id} ".encode() in receipt.short_message


async def test_number_0009_is_receipted_twice():
    async with house() as opened:
        esme = await opened.esme()

        await esme.submit(message("8613900000009"))
        receipts = [await esme.next_delivery() for _ in range(2)]

        assert receipts[0].short_message == receipts[1].short_message


@pytest.mark.parametrize(
    ("asked", "suffix", "is_sent"),
    [(0, "1234", False), (1, "1234", True), (2, "1234", False), (2, "0001", True), (3, "1234", True), (3, "0001", False)],
)
async def test_registered_delivery_decides_which_receipts_are_sent(asked, suffix, is_sent):
    async with house() as opened:
        esme = await opened.esme()

        await esme.submit(message(f"861390000{suffix}", registered_delivery=asked))
        await opened.until(lambda: next(iter(opened.smsc.log)).state is not MessageState.ENROUTE)

        assert opened.smsc.counts.receipts == is_sent


@pytest.mark.parametrize(
    ("form", "answered", "receipted"),
    [
        (IdForm.DEC, "48879", "48879"),
        (IdForm.HEX, "BEEF", "BEEF"),
        (IdForm.MIXED, "BEEF", "48879"),
        (IdForm.GUID, "00000000-0000-0000-0000-00000000beef", "00000000-0000-0000-0000-00000000beef"),
    ],
)
async def test_message_ids_have_the_form_asked_for(form, answered, receipted):
    async with house(id_form=form, first_id=0xBEEF) as opened:
        esme = await opened.esme()

        response = await esme.submit(message())
        receipt = await esme.next_delivery()

        assert response.message_id == answered
        assert receipt.tlvs[0x001E] == receipted.encode() + b"\0"
        assert receipt.short_message.startswith(f"id:{receipted} ".encode())


async def test_peer_of_version_3_3_gets_no_optional_parameters():
    async with house() as opened:
        esme = await opened.esme(interface_version=0x33)

        await esme.submit(message())
        receipt = await esme.next_delivery()

        assert not receipt.tlvs


async def test_receipts_go_to_the_receiver_of_the_same_system_id():
    async with house() as opened:
        stranger = await opened.esme(system_id="stranger", kind=BindKind.RX)
        transmitter = await opened.esme(system_id="acme", kind=BindKind.TX)
        receiver = await opened.esme(system_id="acme", kind=BindKind.RX)

        await transmitter.submit(message())
        await receiver.next_delivery()

        assert not stranger.deliveries


async def test_receipt_is_held_until_its_esme_can_receive():
    async with house() as opened:
        transmitter = await opened.esme(kind=BindKind.TX)

        await transmitter.submit(message())
        await opened.until(lambda: opened.smsc.deliveries.held == 1)
        receiver = await opened.esme(kind=BindKind.RX)

        assert b"stat:DELIVRD" in (await receiver.next_delivery()).short_message


async def test_receipts_a_dropped_bind_left_unanswered_come_again():
    async with house(limits=Limits(window_max=2, peer_window_max=1000)) as opened:
        silent = await opened.esme(on_deliver=lambda pdu: None)
        for number in range(5):
            await silent.submit(message(text=b"%d" % number))
        await opened.until(lambda: len(silent.deliveries) == 2)
        silent.abort()
        await opened.until(lambda: opened.smsc.deliveries.held == 5)

        after = await opened.esme()
        texts = {(await after.next_delivery()).short_message[-1:] for _ in range(5)}

        assert texts == {b"0", b"1", b"2", b"3", b"4"}


async def test_delivery_refused_for_now_is_tried_again_and_one_refused_for_good_is_not():
    async with house() as opened:
        statuses = iter([Status.ESME_RX_T_APPN, Status.ESME_RMSGQFUL, Status.ESME_ROK, Status.ESME_RX_R_APPN])
        esme = await opened.esme(on_deliver=lambda pdu: next(statuses))

        await esme.submit(message())
        await opened.until(lambda: opened.smsc.deliveries.counts.acknowledged == 1)
        await esme.submit(message())
        await opened.until(lambda: opened.smsc.deliveries.counts.refused == 1)

        assert len(esme.deliveries) == 4


async def test_hundred_receipts_pass_through_a_window_of_one():
    async with house(limits=Limits(window_max=1, peer_window_max=1000)) as opened:
        esme = await opened.esme(limits=Limits(window_max=100))

        await asyncio.gather(*(esme.submit(message()) for _ in range(100)))
        receipts = [await esme.next_delivery() for _ in range(100)]

        assert len({receipt.tlvs[0x001E] for receipt in receipts}) == 100


async def test_faults_by_chance_repeat_with_the_same_seed():
    async def run() -> tuple[list[int], int]:
        async with house(seed=7, faults=SmscFaults(throttle=0.3, receipt_duplicate=0.3, receipt_s_min=0.0, receipt_s_max=0.001)) as opened:
            esme = await opened.esme()
            statuses = [(await esme.submit(message())).command_status for _ in range(40)]
            await opened.until(lambda: opened.smsc.counts.delivered == opened.smsc.counts.accepted)
            return statuses, opened.smsc.counts.receipts

    first, second = await run(), await run()

    assert first == second
    assert set(first[0]) == {Status.ESME_ROK, Status.ESME_RTHROTTLED}


# The other requests.


async def test_data_sm_is_delivered_like_submit_sm():
    async with house() as opened:
        esme = await opened.esme()

        response = await esme.request(
            DataSm(source_addr="1069", destination_addr=PHONE, registered_delivery=1, tlvs={Tag.MESSAGE_PAYLOAD: b"long " * 60})
        )
        await esme.next_delivery()

        assert response.command_status == Status.ESME_ROK
        assert opened.smsc.phones.get(PHONE).messages[0].text == "long " * 60


async def test_submit_multi_reaches_each_destination_and_names_the_refused():
    async with house() as opened:
        esme = await opened.esme()
        destinations = tuple(SmeAddress(1, 1, number) for number in ("111", "222", "8613900000004"))

        response = await esme.request(
            SubmitMulti(source_addr="1069", dest_address=destinations, registered_delivery=1, short_message=b"all")
        )
        receipts = [await esme.next_delivery() for _ in range(2)]

        assert {receipt.source_addr for receipt in receipts} == {"111", "222"}
        assert [(each.destination_addr, each.error_status_code) for each in response.unsuccess_sme] == [("8613900000004", 0x45)]


async def test_query_sm_tells_the_state():
    async with house(receipt_delay_ms=60_000) as opened:
        esme = await opened.esme()
        message_id = (await esme.submit(message())).message_id

        waiting = await esme.request(QuerySm(message_id=message_id, source_addr="1069"))
        foreign = await esme.request(QuerySm(message_id=message_id, source_addr="9999"))
        cancelled = await esme.request(CancelSm(message_id=message_id, source_addr="1069", destination_addr=PHONE))
        over = await esme.request(QuerySm(message_id=message_id, source_addr="1069"))
        again = await esme.request(CancelSm(message_id=message_id, source_addr="1069", destination_addr=PHONE))

        assert (waiting.message_state, waiting.final_date) == (MessageState.ENROUTE, "")
        assert foreign.command_status == Status.ESME_RQUERYFAIL
        assert cancelled.command_status == Status.ESME_ROK
        assert over.message_state == MessageState.DELETED
        assert len(over.final_date) == 16
        assert again.command_status == Status.ESME_RCANCELFAIL


# Phones and MO.


async def test_long_chinese_text_is_joined_on_the_phone():
    text = "门铃网关把这条很长的短信切成几段再拼起来😀" * 8
    async with house() as opened:
        esme = await opened.esme()

        responses = await esme.submit_text("1069", PHONE, text)
        await opened.until(lambda: opened.smsc.counts.delivered == len(responses))

        assert len(responses) == 3
        assert [message.text for message in opened.smsc.phones.get(PHONE).messages] == [text]


async def test_reply_is_held_until_a_bind_can_receive_and_then_accepted():
    async with house() as opened:
        reply = opened.smsc.send_mo(PHONE, "1069", "收到，谢谢")
        state_before = reply.state

        esme = await opened.esme()
        delivered = await esme.next_delivery()
        await opened.until(lambda: reply.state == "accepted")

        assert state_before == "pending"
        assert (delivered.source_addr, delivered.destination_addr, delivered.data_coding) == (PHONE, "1069", 8)
        assert delivered.short_message.decode("utf-16-be") == "收到，谢谢"


async def test_reply_the_gateway_refuses_says_so():
    async with house() as opened:
        await opened.esme(on_deliver=lambda pdu: Status.ESME_RX_P_APPN)

        reply = opened.smsc.send_mo(PHONE, "1069", "no")

        await opened.until(lambda: reply.state == "refused")


# The JSON API.


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


# The command.


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def start_command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.cli", "smsc", *arguments, cwd=ROOT, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_is_ready_serves_and_ends_with_0(number):
    port = free_port()
    process = await start_command("--port", str(port), "--http-port", "0", "--receipt-delay-ms", "0")
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    world = RealWorld()
    esme = await Esme.connect(world, HOST, port)

    await esme.submit(message())
    await esme.next_delivery()
    process.send_signal(number)
    reason = await esme.wait_over()
    rest = await process.stderr.read()
    await world.close()

    assert line.startswith(f"ready smpp=127.0.0.1:{port} phones=http://127.0.0.1:")
    assert reason.value == "peer unbound"
    assert (await process.wait(), rest) == (0, b"")


@pytest.mark.parametrize("which", ["--port", "--http-port"])
async def test_command_says_in_one_line_that_a_port_is_taken(which):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "--http-port" if which == "--port" else "--port"

        process = await start_command(which, str(port), other, "0")
        _, errors = await process.communicate()

    assert process.returncode == 3
    assert errors.decode().splitlines() == [
        f"bellhop sim smsc: 127.0.0.1:{port} is in use by another program; choose another --port or --http-port"
    ]


async def test_default_rules_can_be_extended_by_a_file(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps([{"suffix": "77", "stat": "NONSENSE"}]))

    process = await start_command("--port", "0", "--http-port", "0", "--rules", str(path))
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert "stat: one of DELIVRD" in errors.decode()


def test_load_configuration_has_no_rules():
    assert SmscConfig.for_load().rules == ()
    assert Rule().stat == "DELIVRD"
