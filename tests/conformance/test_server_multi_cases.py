"""More ways for a partner to submit: submit_multi (M29), data_sm (M30), schedules (M12) and what has no place here (M34)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.domain.message import State
from gateway.settings_smpp import DistributionList
from simulators.smsc_rules import Rule
from tests.support.gateway import House, opened_gateway
from tests.support.wire import (
    BROADCAST_SM,
    CANCEL_SM,
    DATA_SM,
    DELIVER_SM,
    NACK,
    PHONE,
    QUERY_SM,
    REPLACE_SM,
    RESPONSE,
    SUBMIT_MULTI,
    Frame,
    Wire,
    address,
    cancel_body,
    cstring,
    data_body,
    multi_body,
    query_body,
    read_message,
    replace_body,
    tlv,
)

PAYLOAD, REFERENCE, TIME_TO_LIVE, SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER = 0x0424, 0x0204, 0x0017, 0x020C, 0x020E, 0x020F
NUMBERS = ("8613900001234", "8613900001235", "8613900001236")
LISTS = (
    DistributionList(name="staff", numbers=NUMBERS),
    DistributionList(name="ours", partner="acme", numbers=NUMBERS[:1]),
    DistributionList(name="theirs", partner="other", numbers=NUMBERS[:1]),
)
FAILING = "8613900000001"  # the first rule's


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(),)}, more={"distribution_lists": LISTS}) as opened:
        yield opened


@pytest.fixture
async def wire(house) -> Wire:
    return await house.bound()


def to(*numbers: str) -> bytes:
    return b"".join(b"\1" + address((1, 1, number)) for number in numbers)


def a_list(name: str) -> bytes:
    return b"\2" + cstring(name)


def refused(answer: Frame) -> list[tuple[str, int]]:
    """The unsuccess_sme of a submit_multi_resp, taken apart by hand."""
    at = answer.body.index(b"\0") + 1
    count, at = answer.body[at], at + 1
    found = []
    for _ in range(count):
        end = answer.body.index(b"\0", at + 2)
        found.append((answer.body[at + 2 : end].decode(), int.from_bytes(answer.body[end + 1 : end + 5], "big")))
        at = end + 5
    assert at == len(answer.body)
    return found


# -- submit_multi -------------------------------------------------------------------------------------------------------------


async def test_one_id_for_all_and_a_receipt_for_each_destination(house, wire):
    """M29: choice, the id names all destinations; its receipts say by their address which one they are of."""
    answer = await wire.ask(SUBMIT_MULTI, multi_body(to(*NUMBERS), 3, registered=1))
    receipts = [read_message((await wire.read_until(DELIVER_SM)).body) for _ in NUMBERS]

    assert answer.head[:2] == (SUBMIT_MULTI | RESPONSE, 0)
    assert refused(answer) == []
    assert {receipt.tlvs[0x001E] for receipt in receipts} == {cstring(answer.text)}
    assert {receipt.source for receipt in receipts} == set(NUMBERS)
    assert len(await house.messages()) == 3
    assert [charge.amount_minor for charge in await house.charges()] == [10, 10, 10]


async def test_each_refused_destination_has_its_own_status(house, wire):
    """M29"""
    bad = b"\1" + address((1, 1, "letters")) + b"\1" + address((7, 1, "8613900009999"))

    answer = await wire.ask(SUBMIT_MULTI, multi_body(to(NUMBERS[0]) + bad, 3))

    assert answer.status == 0
    assert refused(answer) == [("letters", 0x0B), ("8613900009999", 0x50)]
    assert [message.destination for message in await house.messages()] == [NUMBERS[0]]


async def test_a_list_is_expanded_and_each_number_gets_it_once(house, wire):
    """M29"""
    answer = await wire.ask(SUBMIT_MULTI, multi_body(a_list("staff") + to(NUMBERS[1]) + a_list("ours"), 3))

    assert answer.status == 0
    assert sorted(message.destination for message in await house.messages()) == sorted(NUMBERS)


@pytest.mark.parametrize("name", ["nobody", "theirs", ""])
async def test_a_list_that_is_not_there_refuses_the_whole(house, wire, name):
    """M29"""
    answer = await wire.ask(SUBMIT_MULTI, multi_body(to(NUMBERS[0]) + a_list(name), 2))

    assert (answer.status, answer.body) == (0x34, b"")
    assert await house.messages() == []


@pytest.mark.parametrize(
    ("destinations", "count", "status"),
    [(b"", 0, 0x33), (to(*NUMBERS[:1]) * 255, 255, 0x33), (to(*NUMBERS[:1]) * 254, 254, 0), (b"\3" + address((1, 1, PHONE)), 1, 0x40)],
)
async def test_one_to_254_destinations_with_a_known_flag(wire, destinations, count, status):
    """M29"""
    assert (await wire.ask(SUBMIT_MULTI, multi_body(destinations, count))).status == status
    assert await wire.is_alive()


async def test_two_hundred_and_fifty_four_numbers_are_taken_in_one(house, wire):
    """M29"""
    numbers = [f"86139{n:08d}" for n in range(254)]

    answer = await wire.ask(SUBMIT_MULTI, multi_body(to(*numbers), 254))

    assert refused(answer) == []
    assert len(await house.messages()) == 254


async def test_where_nobody_is_taken_the_answer_is_the_refusal(house, wire):
    """M29"""
    assert (await wire.ask(SUBMIT_MULTI, multi_body(to(*NUMBERS), 3, esm_class=0x04))).head[1] == 0x43
    assert await house.messages() == []


async def test_the_one_id_is_asked_for_and_cancelled_as_a_whole(tmp_path):
    """M29, M31, M32: as far along as the least of its destinations; what still waits is cancelled."""
    async with opened_gateway(tmp_path, carrier_port=1) as house:
        wire = await house.bound()
        answer = await wire.ask(SUBMIT_MULTI, multi_body(to(*NUMBERS), 3))

        assert (await wire.ask(QUERY_SM, query_body(answer.text))).body[-2] == 1
        assert (await wire.ask(REPLACE_SM, replace_body(answer.text))).status == 0x13
        assert (await wire.ask(CANCEL_SM, cancel_body(to=(1, 1, NUMBERS[1])))).status == 0
        assert (await wire.ask(QUERY_SM, query_body(answer.text))).body[-2] == 1
        assert (await wire.ask(CANCEL_SM, cancel_body(answer.text))).status == 0
        assert (await wire.ask(QUERY_SM, query_body(answer.text))).body[-2] == 4
        assert (await wire.ask(CANCEL_SM, cancel_body(answer.text))).status == 0x11
        await house.until_states(*[State.FAILED] * 3)


# -- data_sm ------------------------------------------------------------------------------------------------------------------


async def test_a_data_sm_is_a_message_like_any_other(house, wire):
    """M30"""
    answer = await wire.ask(DATA_SM, data_body(tlvs=tlv(PAYLOAD, b"hello")))
    (stored,) = await house.messages()

    assert answer.head[:2] == (DATA_SM | RESPONSE, 0)
    assert answer.body == cstring(str(stored.id))
    await house.until_states(State.DELIVERED)
    assert [taken.pdu.short_message for taken in house.smsc.log] == [b"hello"]


async def test_a_data_sm_without_content_lacks_a_parameter(house, wire):
    """H21"""
    answer = await wire.ask(DATA_SM, data_body(tlvs=tlv(REFERENCE, b"\0\1")))

    assert (answer.command_id, answer.status, answer.body) == (DATA_SM | RESPONSE, 0xC3, b"")
    assert await house.messages() == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"to": (1, 1, "letters")}, 0x0B),
        ({"esm_class": 0x04}, 0x43),
        ({"registered": 0x80}, 0x07),
        ({"esm_class": 0x40}, 0x43),
        ({"tlvs": tlv(PAYLOAD, b"x") + tlv(SAR_TOTAL, b"\2")}, 0xC3),
        ({"tlvs": tlv(PAYLOAD, b"x") + tlv(TIME_TO_LIVE, bytes(4))}, 0xC4),
        ({"tlvs": tlv(PAYLOAD, b"a" * 60_000)}, 0x01),
    ],
)
async def test_what_a_data_sm_must_be(wire, fields, status):
    """M30"""
    assert (await wire.ask(DATA_SM, data_body(**{"tlvs": tlv(PAYLOAD, b"x"), **fields}))).status == status


async def test_sar_and_time_to_live_of_a_data_sm_are_kept(house, wire):
    """M30"""
    sar = tlv(SAR_REFERENCE, b"\0\7") + tlv(SAR_TOTAL, b"\2") + tlv(SAR_NUMBER, b"\1")

    assert (await wire.ask(DATA_SM, data_body(tlvs=tlv(PAYLOAD, b"part") + sar + tlv(TIME_TO_LIVE, b"\0\0\0\x78")))).status == 0

    (stored,) = await house.messages()
    assert stored.expires_at - stored.accepted_at == 120_000_000
    await house.until_states(State.DELIVERED)
    assert [taken.pdu.short_message for taken in house.smsc.log] == [b"\5\0\3\7\2\1part"]


@pytest.mark.parametrize(("number", "status"), [(PHONE, 0), (FAILING, 0xFE)])
async def test_in_transaction_mode_the_answer_says_what_became_of_it(tmp_path, number, status):
    """M30: choice."""
    async with opened_gateway(tmp_path) as house:
        wire = await house.bound()

        answer = await wire.ask(DATA_SM, data_body(to=(1, 1, number), esm_class=2, tlvs=tlv(PAYLOAD, b"x")))

        assert answer.head[:2] == (DATA_SM | RESPONSE, status)
        (segment,) = await house.segments()
        assert (segment.state == State.DELIVERED) == (status == 0)


async def test_in_transaction_mode_what_takes_too_long_is_answered_as_accepted(tmp_path):
    """M30: choice."""
    async with opened_gateway(tmp_path, carrier_port=1, door={"transaction_timeout_s": 0.05}) as house:
        wire = await house.bound()

        answer = await wire.ask(DATA_SM, data_body(esm_class=2, tlvs=tlv(PAYLOAD, b"x")))

        assert answer.status == 0
        assert (await wire.ask(QUERY_SM, query_body(answer.text))).body[-2] == 1


# -- schedules ----------------------------------------------------------------------------------------------------------------


async def test_a_scheduled_message_waits_and_is_sent_in_its_time(house, wire):
    """M12"""
    answer = await wire.submit(schedule="000000000002000R", validity="000000000100000R")
    (stored,), (segment,) = await house.messages(), await house.segments()

    assert answer.status == 0
    assert segment.state == State.ACCEPTED
    assert segment.retry_at - stored.accepted_at == pytest.approx(2_000_000, abs=1_000_000)
    assert stored.expires_at - segment.retry_at == 60_000_000
    await asyncio.sleep(0.2)
    assert len(house.smsc.log) == 0
    await house.until_states(State.DELIVERED, timeout_s=12)
    (segment,) = await house.segments()
    assert segment.claimed_at >= stored.expires_at - 60_000_000


@pytest.mark.parametrize("validity", ["000001000000000R", ""])
async def test_a_scheduled_message_can_be_cancelled(house, wire, validity):
    """M12, M32"""
    answer = await wire.submit(schedule="000007000000000R", validity=validity)

    assert (await wire.ask(CANCEL_SM, cancel_body(to=(1, 1, PHONE)))).status == 0
    assert (await wire.ask(QUERY_SM, query_body(answer.text))).body[-2] == 4


async def test_only_a_peer_of_5_0_hears_that_a_message_is_scheduled(house, wire):
    """M31"""
    answer = await wire.submit(schedule="000007000000000R")
    new = await house.bound(version=0x50)

    assert (await wire.ask(QUERY_SM, query_body(answer.text))).body[-2] == 1
    assert (await new.ask(QUERY_SM, query_body(answer.text))).body[-2] == 0


async def test_a_validity_before_the_schedule_is_refused(wire):
    """M13"""
    assert (await wire.submit(schedule="000007000000000R", validity="200101000000000+")).status == 0x62


async def test_priorities_and_receipts_of_5_0(house):
    """M08, M09"""
    new = await house.bound(version=0x50)

    assert (await new.submit(priority=4)).status == 0
    assert (await new.submit(priority=5)).status == 0x06
    assert (await new.submit(registered=3)).status == 0


async def test_broadcasts_are_no_command_of_ours(wire):
    """M34"""
    answer = await wire.ask(BROADCAST_SM, b"\0" * 20)

    assert (answer.command_id, answer.status) == (NACK, 0x03)
    assert await wire.is_alive()
