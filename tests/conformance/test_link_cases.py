"""Our link towards a carrier: the F cases, the R cases of the receiving side, and late, odd and repeated answers.

The carrier is the SMSC simulator where it can do what the case asks, else a scripted one in octets made by hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from gateway.domain.message import State
from simulators.smsc_rules import Rule
from tests.support.carrier import Carrier, bound_carrier
from tests.support.gateway import PARTNER_CODE, opened_gateway
from tests.support.links import lone_link
from tests.support.wire import (
    BIND_TRX,
    DATA_SM,
    DELIVER_SM,
    ENQUIRE_LINK,
    NACK,
    PHONE,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    cstring,
    frame,
    message_body,
    raw_smsc,
    read_message,
    tlv,
)


@pytest.fixture
async def carrier(tmp_path) -> AsyncIterator[Carrier]:
    async with bound_carrier(tmp_path) as opened:
        yield opened


def receipt(smsc_id: str, stat: str = "DELIVRD", err: str = "000") -> str:
    return f"id:{smsc_id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:{stat} err:{err} text:hello"


# Receipts


async def test_a_receipt_before_its_response_is_kept_and_matched(carrier):
    """R05"""
    (request,) = await carrier.submit()

    await carrier.report(receipt("A7"))
    assert len(await carrier.house.parked()) == 1
    await carrier.take(request, "A7")

    await carrier.house.until_states(State.DELIVERED)
    assert [charge.amount_minor for charge in await carrier.house.charges()] == [10]


async def test_a_receipt_and_its_response_in_one_write_match(carrier):
    """R05, row 42"""
    (request,) = await carrier.submit()
    body = message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), esm_class=4, text=receipt("A8").encode())

    await carrier.wire.send(frame(DELIVER_SM, body, sequence=5) + frame(SUBMIT_SM | RESPONSE, cstring("A8"), sequence=request.sequence))

    await carrier.house.until_states(State.DELIVERED)


async def test_a_receipt_that_comes_many_times_charges_once(carrier):
    """R06, row 44"""
    (request,) = await carrier.submit(registered=1)
    await carrier.take(request, "A9")

    for _ in range(20):
        await carrier.report(receipt("A9"))

    await carrier.house.until_states(State.DELIVERED)
    assert [(charge.amount_minor, charge.delivery_status) for charge in await carrier.house.charges()] == [(10, "DELIVRD")]
    assert len(await carrier.house.outbox()) == 1


@pytest.mark.parametrize(("first", "second", "state"), [("EXPIRED", "DELIVRD", State.EXPIRED), ("DELIVRD", "UNDELIV", State.DELIVERED)])
async def test_the_first_final_receipt_wins(carrier, first, second, state):
    """R06, row 47: precedence, the first final one."""
    (request,) = await carrier.submit()
    await carrier.take(request, "B1")

    await carrier.report(receipt("B1", first))
    await carrier.report(receipt("B1", second))

    await carrier.house.until_states(state)
    assert len(await carrier.house.charges()) == 1


@pytest.mark.parametrize("stat", ["ENROUTE", "ACCEPTD", "UNKNOWN"])
async def test_an_intermediate_receipt_ends_nothing(carrier, stat):
    """R06, row 46"""
    (request,) = await carrier.submit()
    await carrier.take(request, "B2")

    await carrier.report(receipt("B2", stat), esm_class=0x20)
    await carrier.house.until_states(State.SUBMITTED)
    await carrier.report(receipt("B2"))
    await carrier.report(receipt("B2", stat))

    await carrier.house.until_states(State.DELIVERED)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("id:{} sub:1 dlvrd:1 submit date:260101000000 done date:260101000100 stat:DELIVRD err:0 Text:x", State.DELIVERED),
        ("id:{} stat:DELIVERED", State.DELIVERED),
        ("ID:{} STAT:delivrd ERR:1F", State.DELIVERED),
        ("id:{} submit date:2601010000 done date:2601010001 stat:UNDELIVERABLE err:A4", State.FAILED),
        ("stat:EXPIRED id:{}", State.EXPIRED),
        ("id:{} sub:001 dlvrd:000 submit date:2601010000 done date:2601010001 stat:REJECTD err:005", State.FAILED),
        ("id: {} stat: DELIVRD text: id:other stat:UNDELIV", State.DELIVERED),
    ],
)
async def test_receipts_in_many_dresses_are_read(carrier, text, state):
    """R07, row 48"""
    (request,) = await carrier.submit()
    await carrier.take(request, "C3")

    await carrier.report(text.format("C3"))

    await carrier.house.until_states(state)


async def test_a_receipt_of_parameters_only_is_read(carrier):
    """R07, row 48"""
    (request,) = await carrier.submit()
    await carrier.take(request, "C4")

    await carrier.report("", tlvs=tlv(0x001E, b"C4\0") + tlv(0x0427, b"\2"))

    await carrier.house.until_states(State.DELIVERED)


async def test_a_receipt_in_the_payload_is_read(carrier):
    """R08"""
    (request,) = await carrier.submit()
    await carrier.take(request, "C5")

    await carrier.report("", tlvs=tlv(0x0424, receipt("C5").encode()))

    await carrier.house.until_states(State.DELIVERED)


async def test_a_receipt_in_a_data_sm_is_read(carrier):
    """R08"""
    (request,) = await carrier.submit()
    await carrier.take(request, "C6")
    body = b"\0" + b"\1\1" + cstring(PHONE) + b"\0\1" + cstring(PARTNER_CODE) + b"\4\0\0" + tlv(0x001E, b"C6\0") + tlv(0x0427, b"\2")

    await carrier.deliver(body, command_id=DATA_SM)

    await carrier.house.until_states(State.DELIVERED)


async def test_a_text_that_only_looks_like_a_receipt_is_a_message(carrier):
    """R08: choice, esm_class or receipted_message_id must say so."""
    await carrier.report(receipt("C7"), esm_class=0)

    (mo,) = await carrier.house.until_mos(1)
    assert mo.text == receipt("C7")


async def test_a_receipt_for_an_unknown_id_is_acknowledged_and_parked(carrier):
    """R09, row 45"""
    await carrier.report(receipt("nobody"))

    (parked,) = await carrier.house.parked()
    assert parked.smsc_id == "nobody"
    assert await carrier.house.mos() == []


async def test_a_receipt_that_cannot_be_read_reaches_nobody_as_a_message(carrier):
    """R09"""
    await carrier.report("what is this")

    assert await carrier.house.mos() == []


@pytest.mark.parametrize(
    ("answered", "receipted"),
    [
        ("3F2", "1010"),
        ("1010", "3F2"),
        ("3f2", "3F2"),
        ("0000003F2", "3F2"),
        ("12", "0000000012"),
        ("ABCDEF0123456789", "12379813738877118345"),
    ],
)
async def test_a_receipt_finds_its_message_in_another_form_of_the_id(carrier, answered, receipted):
    """R04, row 41: hexadecimal or decimal, padded or not, in any case."""
    (request,) = await carrier.submit()
    await carrier.take(request, answered)
    await carrier.house.until_states(State.SUBMITTED)

    await carrier.report(receipt(receipted))

    await carrier.house.until_states(State.DELIVERED)


async def test_other_forms_are_not_tried_where_the_carrier_repeats_its_ids_exactly(carrier):
    """R04: a decimal 16 is not the hexadecimal one of another message."""
    first, second = await carrier.submit(2)
    await carrier.take(first, "A0")
    await carrier.take(second, "16")
    await carrier.house.until_states(State.SUBMITTED, State.SUBMITTED)
    await carrier.report(receipt("A0"))

    await carrier.report(receipt("22"))

    await carrier.house.until_states(State.DELIVERED, State.SUBMITTED)
    assert len(await carrier.house.parked()) == 1


# Messages from phones


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        (0, b"hi \x00 \x1b\x65", "hi @ €"),
        (1, b"hi @", "hi @"),
        (3, b"\xe9t\xe9", "été"),
        (4, b"\x00\xff\x80", None),
        (6, b"\xbf\xe0", "Пр"),
        (8, "你好🔔".encode("utf-16-be"), "你好🔔"),
        (8, b"\x4f\x60\x59", "你\ufffd"),
        (0x10, b"flash", "flash"),
        (0x18, "类".encode("utf-16-be"), "类"),
        (0xF0, b"class 0", "class 0"),
        (0xF4, b"\x01\x02", None),
        (0xF7, b"\x01\x02", None),
        (0x0C, b"odd", None),
        (0xFF, b"\xff", None),
    ],
)
async def test_a_message_in_any_coding_is_taken_with_its_octets(carrier, coding, octets, text):
    """R16, row 65"""
    await carrier.deliver(message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), coding=coding, text=octets))

    (mo,) = await carrier.house.until_mos(1)
    assert (mo.text, mo.body, mo.data_coding) == (text, octets, coding)


@pytest.mark.parametrize("wide", [False, True])
async def test_parts_in_any_order_and_twice_are_joined_once(carrier, wide):
    """R15, row 64"""
    for number in (3, 1, 3, 2):
        header = (b"\6\x08\4\x01\x07\3" if wide else b"\5\0\3\7\3") + bytes((number,))
        await carrier.deliver(message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), esm_class=0x40, text=header + b"<%d>" % number))

    (mo,) = await carrier.house.until_mos(1)
    assert (mo.text, mo.parts, mo.parts_missing) == ("<1><2><3>", 3, 0)


async def test_parts_by_sar_are_joined(carrier):
    """R15"""
    for number in (2, 1):
        sar = tlv(0x020C, b"\x12\x34") + tlv(0x020E, b"\2") + tlv(0x020F, bytes((number,)))
        await carrier.deliver(message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), text=b"<%d>" % number, tlvs=sar))

    (mo,) = await carrier.house.until_mos(1)
    assert mo.text == "<1><2>"


async def test_a_long_message_in_the_payload_is_whole(carrier):
    """R15"""
    text = "长" * 400
    payload = tlv(0x0424, text.encode("utf-16-be"))

    await carrier.deliver(message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), coding=8, text=b"", tlvs=payload))

    (mo,) = await carrier.house.until_mos(1)
    assert mo.text == text


@pytest.mark.parametrize("header", [b"\5\0\3\7\2\0", b"\5\0\3\7\2\3", b"\5\0\3\7\0\0", b"\x20\0\3"])
async def test_a_header_that_lies_joins_nothing_and_is_kept(carrier, header):
    """R15, row 62"""
    await carrier.deliver(message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), esm_class=0x40, text=header + b"x"))

    (mo,) = await carrier.house.until_mos(1)
    assert mo.parts == 1


async def test_a_header_with_ports_reaches_the_partner_as_it_came(carrier):
    """R15: what is no concatenation is not ours to take off."""
    octets = b"\6\5\4\x0b\x84\x23\xf0" + b"push"
    partner = await carrier.house.bound()

    await carrier.deliver(message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), esm_class=0x40, coding=4, text=octets))

    got = read_message((await partner.read_until(DELIVER_SM)).body)
    assert (got.esm_class, got.coding, got.text) == (0x40, 4, octets)


async def test_a_message_from_nobody_is_refused_for_good(carrier):
    """R16"""
    await carrier.deliver(message_body(source=(0, 0, ""), to=(0, 1, PARTNER_CODE)), status=0x65)


# Faults


@pytest.mark.parametrize("status", [0x0D, 0x0E, 0x0F, 0x53])
async def test_a_refusal_of_our_credentials_waits_longest_and_says_why(status):
    """F01"""
    async with raw_smsc() as smsc, lone_link(smsc.port, backoff_s_min=0.01, backoff_s_max=30) as link:
        wire = await smsc.accept()

        await wire.answer(await wire.read(), status=status)
        await wire.wait_closed()

        with pytest.raises(TimeoutError):
            await smsc.accept(0.3)
        assert not link.is_up
        assert link.binds[0].last_failure.startswith(f"bind refused with command_status 0x{status:08X} (ESME_R")
        assert link.alarm == link.binds[0].last_failure


async def test_already_bound_is_tried_again(tmp_path):
    """F02"""
    async with raw_smsc() as smsc, opened_gateway(tmp_path, carrier_port=smsc.port, link={"already_bound_wait_s": 0.05}) as house:
        first = await smsc.accept()
        await first.answer(await first.read(), status=0x05)

        await smsc.accept_bind()

        await house.until_link()
        smsc.wires[-1].reset()


async def test_a_bind_that_is_never_answered_is_given_up_and_tried_again_after_a_pause():
    """F03"""
    async with raw_smsc() as smsc, lone_link(smsc.port, bind_timeout_s=0.05, backoff_s_min=0.02, backoff_s_max=0.5) as link:
        began = []
        for _ in range(5):
            wire = await smsc.accept()
            began.append(time.monotonic())
            assert (await wire.read()).command_id == BIND_TRX
            assert await wire.wait_closed(2) == b""
        assert link.binds[0].last_failure == "our bind was not answered in time"

        # How the pauses grow is tested where they are decided; here, that there is one of at least half the shortest.
        assert all(later - earlier > 0.05 + 0.01 for earlier, later in pairwise(began))


async def test_a_carrier_that_closes_right_after_the_bind_is_not_hammered():
    """F03, row 27"""
    async with raw_smsc() as smsc, lone_link(smsc.port, backoff_s_min=0.02, backoff_s_max=0.5) as link:
        began = []
        for _ in range(5):
            wire = await smsc.accept_bind()
            began.append(time.monotonic())
            wire.reset()

        assert all(later - earlier > 0.01 for earlier, later in pairwise(began))
        assert link.binds[0].last_failure == "connection lost"


async def test_throttled_messages_keep_their_order_and_go_once_each(tmp_path):
    """F04: what is refused is not charged twice, and the wish for a receipt stays."""
    rules = (Rule(contains="3", status=0x58, times=1),)
    async with opened_gateway(tmp_path, smsc={"rules": rules}, link={"window": 1}) as house:
        wire = await house.bound(2)
        for number in range(6):
            await wire.submit(text=b"%d" % number, registered=1)

        await house.until_states(*[State.DELIVERED] * 6)

        assert [taken.pdu.short_message for taken in house.smsc.log] == [b"%d" % number for number in range(6)]
        assert {taken.pdu.registered_delivery for taken in house.smsc.log} == {1}
        assert [charge.amount_minor for charge in await house.charges()] == [10] * 6


async def test_a_full_queue_of_one_phone_does_not_stop_the_others(tmp_path):
    """F05"""
    rules = (Rule(suffix="7777", status=0x14, times=1),)
    async with opened_gateway(tmp_path, smsc={"rules": rules}, link={"window": 1}) as house:
        wire = await house.bound(2)
        for number in ("8613900007777", "8613900001111", "8613900002222"):
            await wire.submit(to=(1, 1, number))

        await house.until_states(State.DELIVERED, State.DELIVERED, State.DELIVERED)

        assert [taken.pdu.destination_addr for taken in house.smsc.log] == ["8613900001111", "8613900002222", "8613900007777"]


@pytest.mark.parametrize("status", [0x0A, 0x0B, 0x0C, 0x15, 0x66])
async def test_a_final_status_ends_the_message_uncharged(carrier, status):
    """F06"""
    (request,) = await carrier.submit()

    await carrier.wire.answer(request, status=status)

    (segment,) = await carrier.house.until_states(State.FAILED)
    assert segment.status == status
    assert [charge.amount_minor for charge in await carrier.house.charges()] == [0]


@pytest.mark.parametrize("status", [0x08, 0x45, 0x64, 0xFF, 0x4FF, 0x12345])
async def test_a_temporary_or_unknown_status_is_tried_again(carrier, status):
    """F06, row 53"""
    (request,) = await carrier.submit()

    await carrier.wire.answer(request, status=status)
    again = await carrier.wire.read_until(SUBMIT_SM)
    await carrier.take(again, "D1")

    (segment,) = await carrier.house.until_states(State.SUBMITTED)
    assert (segment.attempts, segment.is_possible_duplicate) == (2, False)


async def test_an_error_with_a_body_is_read_like_one_without(carrier):
    """M02"""
    (request,) = await carrier.submit()

    await carrier.wire.answer(request, cstring("whatever"), status=0x0B)

    await carrier.house.until_states(State.FAILED)


async def test_an_unanswered_submit_is_resent_and_marked_where_its_service_says_so(tmp_path):
    """F07"""
    async with bound_carrier(tmp_path, response_timeout_s=0.15, validity_period="none") as carrier:
        (first,) = await carrier.submit()

        second = await carrier.wire.read_until(SUBMIT_SM)
        await carrier.take(second, "E1")

        assert second.body == first.body
        (segment,) = await carrier.house.until_states(State.SUBMITTED)
        assert segment.is_possible_duplicate


# The first five letters, which SMPP can carry, of a service that holds what is unknown.
HELD = "premi"


async def test_an_unanswered_submit_is_held_where_its_service_says_so(tmp_path):
    """F07, row 4: nothing more is sent, its receipt still counts."""
    async with bound_carrier(tmp_path, response_timeout_s=0.15, enquire_link_s=30) as carrier:
        await carrier.submit(text=b"hello", service_type=HELD)
        await carrier.house.until_states(State.UNKNOWN)

        await carrier.report(receipt("E2"))

        await carrier.house.until_states(State.DELIVERED)
        assert carrier.house.gateway.links[0].binds[0].in_flight == 0


async def test_a_late_answer_resolves_what_was_held_as_unknown(tmp_path):
    """F07, row 35"""
    async with bound_carrier(tmp_path, response_timeout_s=0.8, enquire_link_s=30) as carrier:
        (request,) = await carrier.submit(service_type=HELD)
        await carrier.house.until_states(State.UNKNOWN)

        await carrier.take(request, "E3")

        (segment,) = await carrier.house.until_states(State.SUBMITTED)
        assert segment.smsc_id == "E3"
        await carrier.report(receipt("E3"))
        await carrier.house.until_states(State.DELIVERED)


async def test_a_late_refusal_ends_what_was_held_as_unknown(tmp_path):
    """F07, row 35"""
    async with bound_carrier(tmp_path, response_timeout_s=0.8, enquire_link_s=30) as carrier:
        (request,) = await carrier.submit(service_type=HELD)
        await carrier.house.until_states(State.UNKNOWN)

        await carrier.wire.answer(request, status=0x0B)

        await carrier.house.until_states(State.FAILED)


async def test_a_late_answer_spares_the_resend(tmp_path):
    """F07, row 35"""
    async with bound_carrier(tmp_path, response_timeout_s=0.8, enquire_link_s=30) as carrier:
        (request,) = await carrier.submit()
        await carrier.house.until(lambda: bool(carrier.house.gateway.dispatch.lanes["sim"].retries))

        await carrier.take(request, "E4")
        await carrier.house.until_states(State.SUBMITTED)
        await carrier.report(receipt("E4"))

        await carrier.house.until_states(State.DELIVERED)
        assert len(await carrier.house.charges()) == 1
        assert await carrier.wire.is_alive()


async def test_a_full_window_lost_with_the_link_is_all_known_and_goes_again_marked(tmp_path):
    """F08"""
    async with bound_carrier(tmp_path, window=5, validity_period="none") as carrier:
        lost = await carrier.submit(5)
        carrier.wire.reset()
        wire = await carrier.smsc.accept_bind()

        again = [await wire.read_until(SUBMIT_SM) for _ in range(5)]
        for number, request in enumerate(again):
            await wire.answer(request, cstring(f"F{number}"))

        assert [request.body for request in again] == [request.body for request in lost]
        segments = await carrier.house.until_states(*[State.SUBMITTED] * 5)
        assert all(segment.is_possible_duplicate for segment in segments)


async def test_a_full_window_of_a_service_that_holds_is_not_sent_twice(tmp_path):
    """F08"""
    async with bound_carrier(tmp_path, window=5) as carrier:
        await carrier.submit(5, service_type=HELD)
        carrier.wire.reset()
        wire = await carrier.smsc.accept_bind()

        await carrier.house.until_states(*[State.UNKNOWN] * 5)
        assert await wire.is_alive()


async def test_never_more_than_the_window_is_in_flight(tmp_path):
    """F09"""
    async with bound_carrier(tmp_path, window=3) as carrier:
        partner = await carrier.house.bound(2)
        for _ in range(8):
            await partner.submit()
        requests = [await carrier.wire.read_until(SUBMIT_SM) for _ in range(3)]

        assert await carrier.wire.is_alive()
        await carrier.take(requests[1], "G1")
        assert (await carrier.wire.read()).command_id == SUBMIT_SM
        assert await carrier.wire.is_alive()


async def test_an_unbind_of_the_carrier_is_answered_and_the_link_comes_back(carrier):
    """F10"""
    await carrier.wire.send(frame(UNBIND, sequence=40))

    assert (await carrier.wire.read()).head == (UNBIND | RESPONSE, 0, 40)
    assert await carrier.wire.wait_closed() == b""
    wire = await carrier.smsc.accept_bind()
    assert await wire.is_alive()
    await carrier.house.until_link()


@pytest.mark.parametrize("octets", [b"\0\0\0\1", b"\xff" * 20, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_carrier_that_talks_garbage_is_nacked_left_and_found_again(carrier, octets):
    """F11"""
    (request,) = await carrier.submit()

    await carrier.wire.send(octets)

    assert (await carrier.wire.read()).head[:2] == (NACK, 0x02)
    await carrier.wire.wait_closed()
    wire = await carrier.smsc.accept_bind()
    again = await wire.read_until(SUBMIT_SM)
    assert read_message(again.body).text == read_message(request.body).text


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (frame(0x0A, sequence=3), (NACK, 0x03, 3)),
        (frame(SUBMIT_SM, message_body(), sequence=3), (SUBMIT_SM | RESPONSE, 0x04, 3)),
        (frame(BIND_TRX, sequence=3), (BIND_TRX | RESPONSE, 0x04, 3)),
        (frame(DELIVER_SM, message_body(sm_length=200), sequence=3), (DELIVER_SM | RESPONSE, 0x01, 3)),
        (frame(DELIVER_SM, message_body(tlvs=b"\0\0\0"), sequence=3), (DELIVER_SM | RESPONSE, 0xC0, 3)),
    ],
)
async def test_a_carriers_odd_request_is_answered_and_the_link_stays(carrier, octets, answer):
    """F11, row 56"""
    await carrier.wire.send(octets)

    assert (await carrier.wire.read()).head == answer
    assert await carrier.wire.is_alive()


@pytest.mark.parametrize(
    "octets", [frame(0x80000099), frame(SUBMIT_SM | RESPONSE, b"A\0", sequence=999), frame(0x0B, b"x\0y\0"), frame(0x102)]
)
async def test_what_needs_no_answer_gets_none_and_the_link_stays(carrier, octets):
    """F11, H04, H11, row 36, row 56"""
    await carrier.wire.send(octets)

    assert await carrier.wire.is_alive()
    assert carrier.house.gateway.links[0].violations == 1


async def test_a_second_answer_changes_nothing(carrier):
    """Row 37"""
    (request,) = await carrier.submit()
    await carrier.take(request, "H1")
    await carrier.wire.answer(request, status=0x0B)

    assert await carrier.wire.is_alive()
    (segment,) = await carrier.house.until_states(State.SUBMITTED)
    assert segment.smsc_id == "H1"


async def test_answers_out_of_order_find_their_messages(carrier):
    """H12, row 38"""
    requests = await carrier.submit(5)

    for number in (4, 2, 0, 3, 1):
        await carrier.take(requests[number], f"I{number}")

    segments = await carrier.house.until_states(*[State.SUBMITTED] * 5)
    assert [segment.smsc_id for segment in segments] == ["I0", "I1", "I2", "I3", "I4"]


async def test_a_response_without_an_id_is_accepted(carrier):
    """Row 39: its receipt is found by its addresses."""
    (request,) = await carrier.submit()

    await carrier.wire.answer(request, b"\0")

    await carrier.house.until_states(State.SUBMITTED)


async def test_a_carrier_that_stops_answering_enquire_link_is_left_and_found_again(tmp_path):
    """F12"""
    async with bound_carrier(tmp_path, enquire_link_s=0.1, response_timeout_s=0.1) as carrier:
        assert (await carrier.wire.read()).command_id == ENQUIRE_LINK
        assert await carrier.wire.wait_closed(2) == b""

        await carrier.smsc.accept_bind()


async def test_a_slow_carrier_is_waited_for(tmp_path):
    """F13"""
    async with opened_gateway(
        tmp_path, smsc={"response_delay_ms": 300, "rules": (Rule(),)}, link={"window": 2, "response_timeout_s": 5}
    ) as house:
        wire = await house.bound(2)
        for _ in range(4):
            await wire.submit()
        await house.until(lambda: house.gateway.links[0].window_free == 0)

        segments = await house.until_states(*[State.DELIVERED] * 4)

        assert not any(segment.is_possible_duplicate for segment in segments)
        assert house.smsc.counts.submits == 4


async def test_a_pdu_of_one_octet_at_a_time_from_the_carrier_is_read(carrier):
    """H06, row 33"""
    octets = frame(DELIVER_SM, message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE)), sequence=8)

    await carrier.wire.send(*(octets[at : at + 1] for at in range(len(octets))))

    assert (await carrier.wire.read()).head == (DELIVER_SM | RESPONSE, 0, 8)


async def test_a_carrier_that_reads_nothing_does_not_stop_the_partners(tmp_path):
    """Row 34"""
    async with bound_carrier(tmp_path, window=10_000) as carrier:
        carrier.wire.stop_reading()
        partner = await carrier.house.bound(2)

        answers = [await partner.submit() for _ in range(200)]

        assert {answer.status for answer in answers} == {0}


async def test_stopping_does_not_wait_for_a_carrier_that_is_away(tmp_path):
    """P10"""
    async with raw_smsc() as smsc:
        async with opened_gateway(tmp_path, carrier_port=smsc.port, link={"backoff_s_min": 20, "backoff_s_max": 20}):
            (await smsc.accept()).reset()
            await asyncio.sleep(0)
            began = time.monotonic()
        assert time.monotonic() - began < 10  # half of the pause that it must not wait for


async def test_a_carrier_that_tells_of_congestion_gets_less(carrier):
    """F14"""
    (request,) = await carrier.submit()

    await carrier.wire.answer(request, cstring("D1") + tlv(0x0428, bytes((100,))))
    await carrier.house.until_states(State.SUBMITTED)

    state = carrier.house.gateway.dispatch.state("sim")
    assert (state.reason, state.paused_s > 0) == ("congested", True)
