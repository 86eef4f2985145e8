"""Frames and headers at the partners' door: the H cases, in octets made by hand; a healthy session beside must not notice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.links import smpp_transport
from gateway.links.smpp_server import SmppServer
from gateway.wiring import server_config
from tests.support.gateway import House, opened_gateway
from tests.support.wire import (
    BIND_TRX,
    DELIVER_SM,
    ENQUIRE_LINK,
    HOST,
    NACK,
    RESPONSE,
    SUBMIT_SM,
    Frame,
    Wire,
    bind_body,
    cstring,
    frame,
    message_body,
    tlv,
)

PAYLOAD, REFERENCE, SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER = 0x0424, 0x0204, 0x020C, 0x020E, 0x020F


class Pair:
    """A session that is treated badly, and one beside it."""

    def __init__(self, house: House, wire: Wire, healthy: Wire) -> None:
        self.house = house
        self.wire = wire
        self._healthy = healthy

    async def check_healthy(self) -> None:
        """P6: the other session works as ever."""
        assert (await self._healthy.submit(text=b"healthy")).status == 0


@pytest.fixture
async def pair(tmp_path) -> AsyncIterator[Pair]:
    async with opened_gateway(tmp_path) as house:
        pair = Pair(house, await house.bound(), await house.bound(system_id="other"))
        yield pair
        await pair.check_healthy()


async def last_words(wire: Wire) -> list[Frame]:
    """All PDUs up to the close."""
    left = await wire.wait_closed()
    frames = []
    while left:
        length = int.from_bytes(left[:4], "big")
        head = [int.from_bytes(left[at : at + 4], "big") for at in (4, 8, 12)]
        frames.append(Frame(head[0], head[1], head[2], left[16:length]))
        left = left[length:]
    return frames


@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 15])
async def test_a_length_below_a_header_is_nacked_and_ends_the_session(pair, length):
    """H01"""
    await pair.wire.send(frame(SUBMIT_SM, message_body(), sequence=5, length=length))

    assert await last_words(pair.wire) == [Frame(NACK, 0x02, 5, b"")]


async def test_a_bad_length_alone_is_nacked_without_a_number(pair):
    """H01: the sequence number was never read."""
    await pair.wire.send(b"\0\0\0\5\0")

    assert await last_words(pair.wire) == [Frame(NACK, 0x02, 0, b"")]


@pytest.mark.parametrize("length", [65_537, 2**31, 2**32 - 1, 100_000_000])
async def test_a_length_over_the_limit_is_nacked_and_ends_the_session(pair, length):
    """H02"""
    before = resident_kib()

    await pair.wire.send(frame(SUBMIT_SM, message_body(), sequence=6, length=length))

    assert await last_words(pair.wire) == [Frame(NACK, 0x02, 6, b"")]
    assert resident_kib() - before < 8_192


async def test_what_follows_a_bad_length_is_not_kept(pair):
    """H02: no allocation of what the peer announces."""
    before = resident_kib()
    await pair.wire.send(frame(SUBMIT_SM, b"", length=2**32 - 1))
    try:
        for _ in range(200):
            await pair.wire.send(b"x" * 65_536)
    except ConnectionError:
        pass

    await pair.wire.wait_closed()
    assert resident_kib() - before < 12_288


async def test_the_longest_frame_is_taken(pair):
    """H02"""
    text = b"x" * 1_000
    padding = 65_536 - 16 - len(message_body(text=b"", tlvs=tlv(PAYLOAD, text) + tlv(0x1500, b"")))

    answer = await pair.wire.submit(text=b"", tlvs=tlv(PAYLOAD, text) + tlv(0x1500, bytes(padding)))

    assert answer.status == 0


async def test_good_frames_ahead_of_a_bad_length_count(pair):
    """H01, P1"""
    await pair.wire.send(frame(SUBMIT_SM, message_body(), sequence=1) + b"\0\0\0\1")

    words = await last_words(pair.wire)

    assert words[0] == Frame(NACK, 0x02, 0, b"")
    await pair.house.until_messages(1)


@pytest.mark.parametrize("command_id", [0x00, 0x0A, 0x0C, 0x111, 0x112, 0x113, 0x7FFFFFFF])
async def test_an_unknown_command_is_nacked_and_the_session_goes_on(pair, command_id):
    """H03, M34"""
    assert (await pair.wire.ask(command_id, b"abc", sequence=9)).head == (NACK, 0x03, 9)
    assert await pair.wire.is_alive()


@pytest.mark.parametrize("command_id", [0x80000055, 0x800000FF, 0xFFFFFFFF])
async def test_an_unknown_response_is_ignored(pair, command_id):
    """H04"""
    await pair.wire.send(frame(command_id, b"abc", sequence=9))

    assert await pair.wire.is_alive()


async def test_a_generic_nack_to_our_deliver_sm_ends_that_delivery(pair):
    """H05"""
    pair.house.smsc.send_mo("8613900001234", "10661800", "nacked")
    request = await pair.wire.read_until(DELIVER_SM)

    await pair.wire.send(frame(NACK, sequence=request.sequence, status=0x03))

    (row,) = await pair.house.until_outbox_done(1)
    assert row.outcome == 0x03
    assert await pair.wire.is_alive()


async def test_a_pdu_of_single_octets_is_read(pair):
    """H06"""
    octets = frame(SUBMIT_SM, message_body(text=b"drip"), sequence=3)

    await pair.wire.send(*(octets[at : at + 1] for at in range(len(octets))))

    assert (await pair.wire.read()).head == (SUBMIT_SM | RESPONSE, 0, 3)


async def test_ten_pdus_in_one_write_are_answered_by_their_numbers(pair):
    """H07"""
    await pair.wire.send(b"".join(frame(SUBMIT_SM, message_body(), sequence=n) for n in range(10, 20)))

    answers = [await pair.wire.read() for _ in range(10)]

    assert [answer.head for answer in answers] == [(SUBMIT_SM | RESPONSE, 0, n) for n in range(10, 20)]
    assert len({answer.text for answer in answers}) == 10


async def quick_door(house: House, **limits: float) -> SmppServer:
    """A second door of the same gateway, with limits that have no setting."""
    config = server_config(house.gateway.settings)
    config = config._replace(host=HOST, port=0, limits=config.limits._replace(**limits))  # type: ignore[arg-type]
    gateway = house.gateway
    door = SmppServer(
        config,
        house.world,
        gateway.reception,
        gateway.delivering,
        gateway.smpp_server.check_bind,
        operations=gateway.operations,
        count_violation=lambda _: None,
    )
    await door.start()
    return door


@pytest.mark.parametrize("octets", [frame(SUBMIT_SM, length=50), frame(SUBMIT_SM, message_body())[:-1], b"\0\0"])
async def test_a_pdu_that_does_not_go_on_ends_the_session(pair, octets):
    """H08"""
    door = await quick_door(pair.house, pdu_timeout_s=0.1)
    slow, beside = await Wire.connect(door.port), await Wire.connect(door.port)
    await slow.bind()
    await beside.bind()

    await slow.send(octets)

    assert await slow.wait_closed(2) == b""
    assert await beside.is_alive()
    await beside.close()
    await door.stop()


async def test_dripping_does_not_help(pair):
    """H08: the limit is for the whole PDU."""
    door = await quick_door(pair.house, pdu_timeout_s=0.15)
    wire = await Wire.connect(door.port)
    await wire.bind()
    octets = frame(SUBMIT_SM, message_body(text=b"x" * 200))

    assert await is_dropped_while(wire, [octets[at : at + 1] for at in range(len(octets))], pause_s=0.02)
    await door.stop()
    assert await pair.house.messages() == []


@pytest.mark.parametrize("sequence", [0, 0x80000000, 0xFFFFFFFF])
async def test_an_odd_sequence_number_is_answered_with_itself(pair, sequence):
    """H09"""
    await pair.wire.send(frame(SUBMIT_SM, message_body(), sequence=sequence))

    assert (await pair.wire.read()).head == (SUBMIT_SM | RESPONSE, 0, sequence)


async def test_a_number_repeated_in_flight_is_answered_each_time(pair):
    """H09"""
    await pair.wire.send(frame(SUBMIT_SM, message_body(), sequence=7) * 2)

    first, second = await pair.wire.read(), await pair.wire.read()

    assert first.head == second.head == (SUBMIT_SM | RESPONSE, 0, 7)
    assert first.text != second.text


async def test_answers_to_nothing_and_second_answers_are_ignored(pair):
    """H11"""
    pair.house.smsc.send_mo("8613900001234", "10661800", "twice")
    request = await pair.wire.read_until(DELIVER_SM)

    await pair.wire.send(frame(DELIVER_SM | RESPONSE, b"\0", sequence=0x7654321))
    await pair.wire.answer(request, b"\0")
    await pair.wire.answer(request, b"\0", status=0x64)

    (row,) = await pair.house.until_outbox_done(1)
    assert row.outcome == 0
    assert await pair.wire.has_nothing_to_say()


async def test_answers_out_of_order_are_matched_by_number(pair):
    """H12"""
    for number in range(3):
        pair.house.smsc.send_mo("8613900001234", "10661800", f"mo {number}")
    requests = [await pair.wire.read_until(DELIVER_SM) for _ in range(3)]

    for request, status in zip(reversed(requests), (0x65, 0, 0x66), strict=True):
        await pair.wire.answer(request, b"" if status else b"\0", status=status)

    rows = await pair.house.until_outbox_done(3)
    assert [row.outcome for row in rows] == [0x66, 0, 0x65]


async def test_a_status_in_a_request_is_ignored(pair):
    """H13"""
    got = await pair.wire.ask(SUBMIT_SM, message_body(), status=0x58)

    assert got.head[:2] == (SUBMIT_SM | RESPONSE, 0)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"service_type": "SIXSIX"}, 0x15),
        ({"source": (0, 1, "1" * 21)}, 0x0A),
        ({"to": (1, 1, "1" * 21)}, 0x0B),
        ({"schedule": "2601010000000"}, 0x61),
        ({"schedule": "26010100000000000+"}, 0x61),
        ({"validity": "0000"}, 0x62),
    ],
)
async def test_a_field_over_its_maximum_is_answered_with_its_own_status(pair, fields, status):
    """H14"""
    answer = await pair.wire.submit(**fields)

    assert (answer.status, answer.body) == (status, b"")
    assert await pair.wire.is_alive()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * 40, 0x15),
        (cstring("") + b"\0\1" + b"9" * 40, 0x0A),
        (cstring("") + b"\0\1" + cstring("1069") + b"\1\1" + b"9" * 40, 0x0B),
    ],
)
async def test_a_missing_nul_is_answered_and_nothing_is_read_beyond(pair, body, status):
    """H14"""
    assert (await pair.wire.ask(SUBMIT_SM, body)).head[:2] == (SUBMIT_SM | RESPONSE, status)
    assert await pair.wire.is_alive()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (bind_body(system_id="s" * 16), 0x0F),
        (bind_body(password="p" * 9), 0x0E),
        (bind_body(system_type="t" * 13), 0x53),
        (bind_body(address_range="r" * 41), 0xC2),
    ],
)
async def test_a_bind_with_a_field_over_its_maximum_is_refused_and_may_be_tried_again(pair, body, status):
    """H14"""
    wire = await pair.house.wire()

    assert (await wire.ask(BIND_TRX, body)).head[:2] == (BIND_TRX | RESPONSE, status)
    assert (await wire.bind()).status == 0


@pytest.mark.parametrize("size", [0, 1, 5, 20, 33])
async def test_a_body_that_ends_too_early_is_answered_and_the_session_goes_on(pair, size):
    """H15: a field cut in its middle is answered with that field's status."""
    answer = await pair.wire.ask(SUBMIT_SM, message_body()[:size])

    assert answer.command_id == SUBMIT_SM | RESPONSE
    assert answer.status in (0x01, 0x02, 0x0A, 0x0B)
    assert await pair.wire.is_alive()


async def test_an_empty_body_is_a_matter_of_length(pair):
    """H15"""
    assert (await pair.wire.ask(SUBMIT_SM)).status == 0x02


@pytest.mark.parametrize("left", [b"\0", b"\4\x24", b"\4\x24\0"])
async def test_trailing_octets_are_no_optional_parameter(pair, left):
    """H16"""
    assert (await pair.wire.submit(tlvs=left)).status == 0xC0
    assert await pair.wire.is_alive()


@pytest.mark.parametrize("length", [4, 100, 65_535])
async def test_an_optional_parameter_past_the_end_is_refused(pair, length):
    """H17"""
    assert (await pair.wire.submit(tlvs=tlv(0x1500, b"abc", length=length))).status == 0xC0
    assert await pair.wire.is_alive()


@pytest.mark.parametrize("tag", [0x0000, 0x0099, 0x1400, 0x3FFF, 0xFFFF])
async def test_an_unknown_or_vendor_parameter_is_ignored(pair, tag):
    """H18"""
    assert (await pair.wire.submit(tlvs=tlv(tag, b"whatever"))).status == 0


async def test_a_known_parameter_of_another_pdu_is_ignored(pair):
    """H19: choice, lenient."""
    assert (await pair.wire.submit(tlvs=tlv(0x0210, b"\x34"))).status == 0


@pytest.mark.parametrize("value", [b"", b"\1", b"\1\2\3"])
async def test_a_known_parameter_of_another_length_is_refused(pair, value):
    """H20"""
    assert (await pair.wire.submit(tlvs=tlv(REFERENCE, value))).status == 0xC2


@pytest.mark.parametrize(("total", "number"), [(2, 0), (2, 3), (0, 1)])
async def test_sar_parameters_that_contradict_each_other_are_refused(pair, total, number):
    """H20"""
    sar = tlv(SAR_REFERENCE, b"\0\1") + tlv(SAR_TOTAL, bytes((total,))) + tlv(SAR_NUMBER, bytes((number,)))

    assert (await pair.wire.submit(tlvs=sar)).status == 0xC4


@pytest.mark.parametrize("alone", [tlv(SAR_REFERENCE, b"\0\1"), tlv(SAR_TOTAL, b"\2"), tlv(SAR_NUMBER, b"\1")])
async def test_one_sar_parameter_alone_is_refused(pair, alone):
    """H21"""
    assert (await pair.wire.submit(tlvs=alone)).status == 0xC3


async def test_of_a_parameter_sent_twice_the_first_wins(pair):
    """H22"""
    answer = await pair.wire.submit(text=b"", tlvs=tlv(PAYLOAD, b"first") + tlv(PAYLOAD, b"second"))

    assert answer.status == 0
    assert [segment.body for segment in await pair.house.segments()] == [b"first"]


async def test_garbage_ends_only_its_own_session(pair):
    """P6"""
    for seed in range(20):
        wire = await pair.house.wire()
        await wire.send(os.urandom(16 + seed * 37))
        wire.reset()
    octets = await pair.house.wire()
    await octets.send(b"GET / HTTP/1.1\r\nHost: bellhop\r\n\r\n")

    (nack,) = await last_words(octets)
    assert nack.head[:2] == (NACK, 0x02)


async def test_a_flood_of_enquiries_is_answered(pair):
    """P6"""
    await pair.wire.send(b"".join(frame(ENQUIRE_LINK, sequence=n) for n in range(1, 2_001)))

    answers = [await pair.wire.read() for _ in range(2_000)]

    assert [answer.sequence for answer in answers] == list(range(1, 2_001))


async def test_a_peer_that_never_reads_is_dropped_and_costs_bounded_memory(pair, monkeypatch):
    """P6: what it would have to read is bounded: then nothing is read from it, and soon it is reset."""
    monkeypatch.setattr(smpp_transport, "STALLED_S", 0.3)
    before = resident_kib()
    wire = await pair.house.bound()
    wire.stop_reading()
    questions = frame(ENQUIRE_LINK) * 4_096
    sessions = pair.house.gateway.smpp_server.sessions

    assert await is_dropped_while(wire, [questions] * 1_000)
    await pair.house.until(lambda: pair.house.gateway.smpp_server.sessions < sessions)
    assert resident_kib() - before < 65_536


async def is_dropped_while(wire: Wire, writes: list[bytes], pause_s: float = 0) -> bool:
    """Whether the other side ends the connection before all of this is written."""
    try:
        async with asyncio.timeout(10):
            for octets in writes:
                await wire.send(octets)
                await asyncio.sleep(pause_s)
    except (ConnectionError, TimeoutError):
        return True
    return False


def resident_kib() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmRSS:")[1].split()[0])
