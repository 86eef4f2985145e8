"""What a partner's submit_sm must be and what it is answered with: the M cases, over real sockets, in octets made by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.domain.message import State
from simulators.smsc_rules import Rule
from tests.support.gateway import House, opened_gateway
from tests.support.wire import DELIVER_SM, ENQUIRE_LINK, RESPONSE, SUBMIT_SM, Wire, frame, message_body, read_message, tlv

PAYLOAD, REFERENCE, SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER = 0x0424, 0x0204, 0x020C, 0x020E, 0x020F
CHINESE = "门铃网关把很长的中文短信切成几段。"


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(),)}) as opened:
        yield opened


@pytest.fixture
async def wire(house) -> Wire:
    return await house.bound()


async def sent(house: House, count: int) -> list:
    """The submit_sm that reached the carrier."""
    await house.smsc.until(lambda: len(house.smsc.log) == count)
    return [taken.pdu for taken in house.smsc.log]


async def assert_nothing_happened(house: House) -> None:
    assert await house.messages() == []
    assert await house.charges() == []


async def test_a_plain_submit_is_on_disk_when_it_is_answered(house, wire):
    """M01"""
    answer = await wire.submit()
    stored = await house.messages()

    assert answer.status == 0
    assert answer.body == str(stored[0].id).encode() + b"\0"
    assert len(answer.text) <= 64
    assert [charge.amount_minor for charge in await house.charges()] == [10]


async def test_every_message_has_an_id_of_its_own(house, wire):
    """M01"""
    assert len({(await wire.submit()).text for _ in range(30)}) == 30


async def test_an_error_answer_has_no_body(wire):
    """M02"""
    assert (await wire.submit(priority=4)).body == b""


@pytest.mark.parametrize("address", ["", "86139abc", "+", "12", "8613900001234;", "９９９".encode().decode("latin-1")])
async def test_a_destination_that_is_no_number_is_refused(house, wire, address):
    """M03"""
    assert (await wire.submit(to=(1, 1, address))).status == 0x0B
    await assert_nothing_happened(house)


async def test_a_sender_is_needed(wire):
    """M04: choice, there is no default sender; lists of allowed senders come later."""
    assert (await wire.submit(source=(0, 1, ""))).status == 0x0A


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"source": (7, 1, "1069")}, 0x48),
        ({"source": (0, 2, "1069")}, 0x49),
        ({"to": (7, 1, "8613900001234")}, 0x50),
        ({"to": (5, 0, "8613900001234")}, 0x50),
        ({"to": (1, 19, "8613900001234")}, 0x51),
    ],
)
async def test_a_bad_type_of_number_or_plan_has_its_own_status(house, wire, fields, status):
    """M05"""
    assert (await wire.submit(**fields)).status == status
    await assert_nothing_happened(house)


@pytest.mark.parametrize("name", ["Bellhop", "ABCDEFGHIJK"])
async def test_a_name_may_be_the_sender(house, wire, name):
    """M06"""
    assert (await wire.submit(source=(5, 0, name))).status == 0
    (pdu,) = await sent(house, 1)
    assert (pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr) == (5, 0, name)


async def test_a_name_over_eleven_characters_is_refused(wire):
    """M06"""
    assert (await wire.submit(source=(5, 0, "ABCDEFGHIJKL"))).status == 0x0A


@pytest.mark.parametrize("esm_class", [0x04, 0x0C, 0x14, 0x18, 0x20, 0x3C])
async def test_message_types_that_an_esme_may_not_submit_are_refused(wire, esm_class):
    """M07"""
    assert (await wire.submit(esm_class=esm_class)).status == 0x43


@pytest.mark.parametrize("esm_class", [0x00, 0x01, 0x02, 0x03, 0x08, 0x10, 0x80])
async def test_modes_acknowledgements_and_reply_path_are_taken(wire, esm_class):
    """M07"""
    assert (await wire.submit(esm_class=esm_class)).status == 0


@pytest.mark.parametrize(("priority", "status"), [(0, 0), (3, 0), (4, 0x06), (255, 0x06)])
async def test_priorities_are_0_to_3(wire, priority, status):
    """M08"""
    assert (await wire.submit(priority=priority)).status == status


@pytest.mark.parametrize(("registered", "status"), [(0x01, 0), (0x02, 0), (0x10, 0), (0x1D, 0), (0x03, 0x07), (0x20, 0x07), (0x80, 0x07)])
async def test_reserved_bits_of_registered_delivery_are_refused(wire, registered, status):
    """M09"""
    assert (await wire.submit(registered=registered)).status == status


@pytest.mark.parametrize(("replace", "status"), [(0, 0), (1, 0), (2, 0x54)])
async def test_replace_if_present_is_0_or_1(wire, replace, status):
    """M10"""
    assert (await wire.submit(replace=replace)).status == status


@pytest.mark.parametrize("schedule", ["260101000000000X", "261301000000000+", "abcdefghijklmno+", "991231235959000+", "000101000000000R"])
async def test_a_malformed_schedule_or_one_too_far_ahead_is_refused(house, wire, schedule):
    """M12: nothing is sent at another time than asked for."""
    assert (await wire.submit(schedule=schedule)).status == 0x61
    await assert_nothing_happened(house)


@pytest.mark.parametrize("schedule", ["200101000000000+", "000000000000000R"])
async def test_a_schedule_that_is_past_or_now_is_sent_now(house, wire, schedule):
    """M12"""
    assert (await wire.submit(schedule=schedule)).status == 0
    assert len(await sent(house, 1)) == 1


@pytest.mark.parametrize("validity", ["2601", "260101000000000X", "200101000000000+", "000000000000000R"])
async def test_a_validity_that_is_malformed_or_over_is_refused(wire, validity):
    """M13"""
    assert (await wire.submit(validity=validity)).status == 0x62


async def test_a_relative_validity_is_kept(house, wire):
    """M13"""
    assert (await wire.submit(validity="000000010000000R")).status == 0
    (stored,) = await house.messages()
    assert stored.expires_at - stored.accepted_at == pytest.approx(3_600_000_000, abs=1_000_000)


@pytest.mark.parametrize("sm_length", [6, 100, 254])
async def test_an_sm_length_beyond_the_pdu_is_refused(wire, sm_length):
    """M14"""
    assert (await wire.submit(text=b"hello", sm_length=sm_length)).status == 0x01
    assert await wire.is_alive()


@pytest.mark.parametrize(("size", "status"), [(254, 0), (255, 0x01)])
async def test_sm_length_ends_at_254_in_3_4(wire, size, status):
    """M15"""
    assert (await wire.submit(text=b"a" * size)).status == status


async def test_a_long_short_message_in_the_default_alphabet_is_split(house, wire):
    """M15: 0x00 and over 160 octets; one id for all parts."""
    answer = await wire.submit(text=b"a" * 200, registered=1)
    parts = await sent(house, 2)
    receipt = read_message((await wire.read_until(DELIVER_SM)).body)

    assert {pdu.esm_class for pdu in parts} == {0x40}
    assert b"".join(pdu.short_message[6:] for pdu in parts) == b"a" * 200
    assert receipt.tlvs[0x001E] == answer.body
    assert [charge.amount_minor for charge in await house.charges()] == [20]


async def test_160_octets_in_the_default_alphabet_go_as_they_came(house, wire):
    """M15"""
    await wire.submit(text=b"a" * 160)

    (pdu,) = await sent(house, 1)
    assert (pdu.short_message, pdu.esm_class) == (b"a" * 160, 0)


async def test_a_payload_is_split_by_us(house, wire):
    """M16"""
    text = CHINESE * 9  # 153 characters, 306 octets

    answer = await wire.submit(text=b"", coding=8, tlvs=tlv(PAYLOAD, text.encode("utf-16-be")), registered=1)
    parts = await sent(house, 3)

    assert answer.status == 0
    assert all(len(pdu.short_message) <= 140 and not pdu.tlvs and pdu.data_coding == 8 for pdu in parts)
    assert b"".join(pdu.short_message[6:] for pdu in parts).decode("utf-16-be") == text
    assert len({pdu.short_message[3] for pdu in parts}) == 1
    assert [pdu.short_message[4:6] for pdu in parts] == [b"\3\1", b"\3\2", b"\3\3"]
    await house.until_states(State.DELIVERED, State.DELIVERED, State.DELIVERED)


async def test_a_binary_payload_is_split_as_octets(house, wire):
    """M16"""
    octets = bytes(range(256))

    assert (await wire.submit(text=b"", coding=4, tlvs=tlv(PAYLOAD, octets))).status == 0
    parts = await sent(house, 2)

    assert b"".join(pdu.short_message[6:] for pdu in parts) == octets
    assert {pdu.data_coding for pdu in parts} == {4}


async def test_a_payload_over_the_services_parts_is_refused_whole(house, wire):
    """M16: refused, never cut."""
    assert (await wire.submit(text=b"", tlvs=tlv(PAYLOAD, b"a" * 60_000))).status == 0x01
    await assert_nothing_happened(house)


async def test_text_and_payload_exclude_each_other(house, wire):
    """M17"""
    assert (await wire.submit(text=b"a", tlvs=tlv(PAYLOAD, b"b"))).status == 0xC1
    await assert_nothing_happened(house)


@pytest.mark.parametrize("tlvs", [b"", tlv(PAYLOAD, b"")])
async def test_an_empty_message_is_a_message(house, wire, tlvs):
    """M18"""
    assert (await wire.submit(text=b"", tlvs=tlvs)).status == 0
    (pdu,) = await sent(house, 1)
    assert pdu.short_message == b""


async def test_there_are_no_predefined_messages(wire):
    """M19"""
    assert (await wire.submit(default_id=1)).status == 0x63


@pytest.mark.parametrize(("service_type", "status"), [("", 0), ("CMT", 0), ("WAP", 0), ("notice", 0x15), ("NOPE", 0x15), ("chat", 0)])
async def test_a_service_type_names_a_bearer_or_a_service_of_ours(house, wire, service_type, status):
    """M20: six letters do not fit the field."""
    assert (await wire.submit(service_type=service_type)).status == status


@pytest.mark.parametrize("coding", [1, 2, 3, 4, 5, 6, 8, 0x0E, 0x10, 0xF0, 0xF5, 0xFF])
async def test_any_coding_that_fits_one_short_message_goes_as_it_came(house, wire, coding):
    """M21: choice."""
    assert (await wire.submit(coding=coding, text=b"\x00\xfe\x80")).status == 0
    (pdu,) = await sent(house, 1)
    assert (pdu.data_coding, pdu.short_message) == (coding, b"\x00\xfe\x80")


@pytest.mark.parametrize("text", [b"", b"\x05\x00\x03", b"\xff" + b"a" * 50, b"\x05\x00\x09\x01\x02\x01x", b"\x01\x00"])
async def test_a_header_that_lies_is_refused_and_not_stored(house, wire, text):
    """M22"""
    assert (await wire.submit(esm_class=0x40, text=text)).status == 0x43
    await assert_nothing_happened(house)


@pytest.mark.parametrize("header", [b"\x05\x00\x03\x07\x02\x00", b"\x05\x00\x03\x07\xff\xfe", b"\x05\x70\x03\x01\x02\x03", b"\x00"])
async def test_a_header_that_only_says_odd_things_goes_as_it_came(house, wire, header):
    """M22"""
    assert (await wire.submit(esm_class=0x40, text=header + b"x")).status == 0
    (pdu,) = await sent(house, 1)
    assert (pdu.esm_class, pdu.short_message) == (0x40, header + b"x")


@pytest.mark.parametrize(("coding", "size", "status"), [(8, 140, 0), (8, 142, 0x01), (0, 160, 0), (0, 161, 0x01), (4, 254, 0x01)])
async def test_a_part_with_a_header_must_fit_one_short_message(house, wire, coding, size, status):
    """M22: it has a header already, so we can't split it."""
    text = b"\x05\x00\x03\x07\x02\x01" + b"a" * (size - 6)

    assert (await wire.submit(esm_class=0x40, coding=coding, text=text)).status == status


async def test_a_payload_with_a_header_is_not_split(house, wire):
    """M16, M22"""
    text = b"\x05\x00\x03\x07\x02\x01" + b"a" * 1_000

    assert (await wire.submit(esm_class=0x40, text=b"", tlvs=tlv(PAYLOAD, text))).status == 0x01
    await assert_nothing_happened(house)


async def test_header_and_sar_exclude_each_other(house, wire):
    """M23"""
    sar = tlv(SAR_REFERENCE, b"\0\1") + tlv(SAR_TOTAL, b"\2") + tlv(SAR_NUMBER, b"\1")

    assert (await wire.submit(esm_class=0x40, text=b"\x05\x00\x03\x07\x02\x01x", tlvs=sar)).status == 0xC4
    await assert_nothing_happened(house)


async def test_sar_parts_leave_with_a_header(house, wire):
    """M23: every carrier understands a header; each part is a message with its own id and receipt."""
    answers = []
    for number, text in enumerate((b"one", b"two"), 1):
        sar = tlv(SAR_REFERENCE, b"\x01\x07") + tlv(SAR_TOTAL, b"\2") + tlv(SAR_NUMBER, bytes((number,)))
        answers.append(await wire.submit(text=text, tlvs=sar))
    parts = await sent(house, 2)

    assert len({answer.text for answer in answers}) == 2
    assert [(pdu.esm_class, pdu.short_message) for pdu in parts] == [
        (0x40, b"\x05\x00\x03\x07\x02\x01one"),
        (0x40, b"\x05\x00\x03\x07\x02\x02two"),
    ]


async def test_a_full_queue_is_said_and_nothing_is_charged(tmp_path):
    """M25"""
    async with opened_gateway(tmp_path, backlog_max=1) as house:
        wire = await house.bound()
        house.gateway.reception.queued = 1  # the sweep counts every five seconds

        assert (await wire.submit()).status == 0x14
        assert await wire.is_alive()
        await assert_nothing_happened(house)


async def test_without_credit_nothing_is_taken(house):
    """M25: choice, RSUBMITFAIL."""
    wire = await house.bound(system_id="poor")

    assert (await wire.submit()).status == 0x45
    await assert_nothing_happened(house)
    assert (await wire.submit(service_type="CMT", text=b"")).status == 0x45


async def test_a_store_that_cannot_be_written_is_a_system_error_and_nothing_is_charged(house, wire):
    """M26: nothing is acknowledged that is not on disk."""
    house.gateway.writer._healthy = False

    assert (await wire.submit()).status == 0x08

    house.gateway.writer._healthy = True
    assert (await wire.submit()).status == 0
    assert len(await house.charges()) == 1


async def test_a_partner_beyond_its_window_is_throttled_and_loses_nothing(tmp_path):
    """M27"""
    async with opened_gateway(tmp_path, door={"peer_window": 10}) as house:
        wire = await house.bound()

        await wire.send(b"".join(frame(SUBMIT_SM, message_body(), sequence=n) for n in range(1, 41)) + frame(ENQUIRE_LINK, sequence=41))
        answers = [await wire.read() for _ in range(41)]

        statuses = [answer.status for answer in answers if answer.command_id == SUBMIT_SM | RESPONSE]
        assert sorted(set(statuses)) == [0, 0x58]
        assert statuses.count(0) >= 10
        assert [answer.sequence for answer in answers if answer.command_id == ENQUIRE_LINK | RESPONSE] == [41]
        assert len(await house.messages()) == statuses.count(0) == len(await house.charges())


async def test_the_same_submit_again_is_another_message(house, wire):
    """M28: choice, no window in which repeats are dropped."""
    reference = tlv(REFERENCE, b"\x12\x34")

    first, second = await wire.submit(tlvs=reference), await wire.submit(tlvs=reference)

    assert first.text != second.text
    assert len(await house.messages()) == 2


async def test_a_partner_pays_only_for_what_was_delivered(tmp_path):
    """P2"""
    async with opened_gateway(tmp_path) as house:
        wire = await house.bound()
        for number in ("8613900001234", "8613900000001"):
            await wire.submit(to=(1, 1, number))

        await house.until_states(State.DELIVERED, State.FAILED)

        assert [(charge.delivery_status, charge.amount_minor) for charge in await house.charges()] == [("DELIVRD", 10), ("UNDELIV", 0)]
