"""What we hand to partners: receipts and messages from phones, held, in order, again when asked; the R cases of the server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from gateway.domain.message import State
from gateway.store.outbox import KIND_INTERMEDIATE
from simulators.smsc_rules import Rule
from tests.support.gateway import PARTNER_CODE, House, opened_gateway
from tests.support.wire import (
    BIND_RX,
    BIND_TX,
    DELIVER_SM,
    PHONE,
    RESPONSE,
    SUBMIT_SM,
    Delivered,
    Frame,
    Wire,
    frame,
    message_body,
    read_message,
    tlv,
)

CHINESE = "收到，谢谢！" * 30


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path) as opened:
        yield opened


async def delivered(wire: Wire, *, status: int = 0) -> Delivered:
    """The next deliver_sm, answered."""
    request = await wire.read_until(DELIVER_SM)
    await wire.answer(request, b"" if status else b"\0", status=status)
    return read_message(request.body)


async def texts(wire: Wire, count: int) -> list[bytes]:
    return [(await delivered(wire)).text for _ in range(count)]


async def write(house: House, *words: str) -> None:
    """A phone's owner writes to the partner; all of it is on disk."""
    before = len(await house.mos())
    for count, word in enumerate(words, 1):
        house.smsc.send_mo(PHONE, PARTNER_CODE, word)
        await house.until_mos(before + count)


async def test_a_final_receipt_says_it_in_text_and_parameters(house):
    """R01"""
    wire = await house.bound()

    answer = await wire.submit(registered=1, source=(5, 0, "Bellhop"))
    got = await delivered(wire)

    assert (got.esm_class, got.source, got.destination, got.coding) == (0x04, PHONE, "Bellhop", 0)
    written = re.fullmatch(rb"id:(\d+) sub:001 dlvrd:001 submit date:(\d{10}) done date:(\d{10}) stat:DELIVRD err:000 text:", got.text)
    assert written is not None
    assert written[1].decode() == answer.text
    assert got.tlvs == {0x001E: answer.body, 0x0427: b"\2"}


@pytest.mark.parametrize(
    ("stat", "err", "told", "state"),
    [
        ("DELIVRD", "000", b"DELIVRD", 2),
        ("EXPIRED", "002", b"EXPIRED", 3),
        ("UNDELIV", "001", b"UNDELIV", 5),
        ("REJECTD", "003", b"REJECTD", 8),
        ("DELETED", "004", b"DELETED", 4),
    ],
)
async def test_text_and_parameter_tell_the_same_state(tmp_path, stat, err, told, state):
    """R02"""
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(stat=stat, err=err),)}) as house:
        wire = await house.bound()

        await wire.submit(registered=1)
        got = await delivered(wire)

        assert b"stat:" + told + b" err:" + err.encode() in got.text
        assert got.tlvs[0x0427] == bytes((state,))
        assert got.tlvs.get(0x0423) == (None if err == "000" else b"\3\0" + bytes((int(err),)))


@pytest.mark.parametrize(
    ("registered", "told"), [(0, []), (1, ["DELIVRD", "UNDELIV"]), (2, ["UNDELIV"]), (0x10, []), (0x11, ["DELIVRD", "UNDELIV"])]
)
async def test_receipts_are_told_as_asked(house, registered, told):
    """R03: the final receipts that were asked for, and what the carrier tells in between where that was."""
    wire = await house.bound()
    for number in (PHONE, "8613900000001"):
        answer = await wire.ask(SUBMIT_SM, _submit_to(number, registered))
        while answer.command_id == DELIVER_SM:
            answer = await wire.read()
    await house.until_states(State.DELIVERED, State.FAILED)

    rows = await house.outbox()

    assert [{10: "DELIVRD", 11: "UNDELIV"}[row.state] for row in rows if row.kind != KIND_INTERMEDIATE] == told
    assert any(row.kind == KIND_INTERMEDIATE for row in rows) == bool(registered & 0x10)


def _submit_to(number: str, registered: int) -> bytes:
    return message_body(to=(1, 1, number), registered=registered)


async def test_each_part_with_a_header_has_its_own_receipt(house):
    """R03: a partner that splits by itself gets an id and a receipt for each part."""
    wire = await house.bound()
    ids = []
    for number in (1, 2):
        await wire.send(_frame_of_part(number))
        ids.append((await wire.read_until(SUBMIT_SM | RESPONSE)).body)

    rows = await house.until_outbox_rows(2)
    assert sorted(str(row.message_id).encode() + b"\0" for row in rows) == sorted(ids)


def _frame_of_part(number: int) -> bytes:
    return frame(SUBMIT_SM, message_body(esm_class=0x40, registered=1, text=b"\5\0\3\7\2" + bytes((number,)) + b"part"), sequence=number)


async def test_a_failure_before_the_carrier_took_it_is_receipted_too(tmp_path):
    """R01, R02: refused in submit_sm_resp."""
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(status=0x0B),)}) as house:
        wire = await house.bound()

        answer = await wire.submit(registered=2)
        got = await delivered(wire)

        assert got.tlvs[0x001E] == answer.body
        assert got.tlvs[0x0427] == b"\5"


async def test_the_receipted_id_is_the_answered_id_octet_by_octet(house):
    """R04"""
    wire = await house.bound()
    answers = {}
    receipts = set()
    for number in range(10):
        await wire.send(_numbered(number))
    while len(answers) < 10 or len(receipts) < 10:
        got = await wire.read()
        if got.command_id == DELIVER_SM:
            receipts.add(read_message(got.body).tlvs[0x001E])
        else:
            answers[got.sequence] = got.body

    assert receipts == set(answers.values())


def _numbered(number: int) -> bytes:
    return frame(SUBMIT_SM, message_body(registered=1, text=b"%d" % number), sequence=1_000 + number)


@pytest.mark.parametrize("status", [0x64, 0x14, 0x58, 0x08, 0x04])
async def test_what_a_partner_cannot_take_now_comes_again_in_its_order(house, status):
    """R10"""
    wire = await house.bound()
    await write(house, "one", "two", "three")
    requests = [await wire.read_until(DELIVER_SM) for _ in range(3)]

    for request in requests:
        await wire.answer(request, status=status)

    assert await texts(wire, 3) == [b"one", b"two", b"three"]
    assert [row.outcome for row in await house.until_outbox_done(3)] == [0, 0, 0]


async def test_what_comes_behind_something_refused_for_now_waits_behind_it(house):
    """R10"""
    wire = await house.bound()
    await write(house, "one")
    first = await wire.read_until(DELIVER_SM)
    await wire.answer(first, status=0x64)
    await house.until(lambda: house.gateway.delivering.lanes[_target(house)].waiting == 1)

    await write(house, "two")

    assert await texts(wire, 2) == [b"one", b"two"]


def _target(house: House) -> str:
    return next(target for target in house.gateway.delivering.lanes if target.startswith("partner:"))


@pytest.mark.parametrize("status", [0x65, 0x66, 0x0B, 0x400])
async def test_what_a_partner_refuses_does_not_come_again_and_is_recorded(house, status):
    """R11"""
    wire = await house.bound()
    await write(house, "never", "next")

    assert (await delivered(wire, status=status)).text == b"never"
    assert (await delivered(wire)).text == b"next"

    assert [row.outcome for row in await house.until_outbox_done(2)] == [status, 0]
    assert await wire.has_nothing_to_say()


async def test_an_unanswered_deliver_sm_comes_again(tmp_path):
    """R12"""
    async with opened_gateway(tmp_path, door={"response_timeout_s": 0.1, "enquire_link_s": 30}) as house:
        wire = await house.bound()
        await write(house, "again")
        first = await wire.read_until(DELIVER_SM)

        second = await wire.read_until(DELIVER_SM)

        assert second.sequence != first.sequence
        assert second.body == first.body
        await wire.answer(second, b"\0")
        await house.until_outbox_done(1)


async def test_an_answer_after_its_time_still_counts(tmp_path):
    """R12"""
    async with opened_gateway(tmp_path, door={"response_timeout_s": 0.3, "enquire_link_s": 30}) as house:
        wire = await house.bound()
        await write(house, "slow")
        request = await wire.read_until(DELIVER_SM)
        await house.until(lambda: house.gateway.delivering.lanes[_target(house)].waiting == 1)

        await wire.answer(request, b"\0")

        assert [row.outcome for row in await house.until_outbox_done(1)] == [0]
        assert await wire.has_nothing_to_say()


async def test_a_partner_that_never_answers_holds_one_window_and_the_rest_waits(tmp_path):
    """Row 72"""
    async with opened_gateway(tmp_path, door={"window": 2, "response_timeout_s": 30}) as house:
        wire = await house.bound()
        await write(house, "one", "two", "three", "four")

        await wire.read_until(DELIVER_SM)
        await wire.read_until(DELIVER_SM)

        assert await wire.has_nothing_to_say()
        wire.reset()
        await house.until(lambda: house.gateway.smpp_server.sessions == 0)
        assert await texts(await house.bound(BIND_RX), 4) == [b"one", b"two", b"three", b"four"]


async def test_messages_and_receipts_wait_for_an_absent_partner_in_order(house):
    """R13"""
    sender = await house.bound(BIND_TX)
    answer = await sender.submit(registered=1)
    await house.until_outbox_rows(1)
    await write(house, "one", "two")
    sender.reset()

    got = await house.bound(BIND_RX)
    receipt = await delivered(got)

    assert receipt.tlvs[0x001E] == answer.body
    assert await texts(got, 2) == [b"one", b"two"]
    await house.until_outbox_done(3)


async def test_what_waits_survives_a_restart(tmp_path):
    """R13, P1"""
    async with opened_gateway(tmp_path) as house:
        await write(house, *(f"mo {number}" for number in range(5)))

    async with opened_gateway(tmp_path) as house:
        assert await texts(await house.bound(BIND_RX), 5) == [b"mo %d" % number for number in range(5)]


async def test_what_was_unanswered_when_a_partner_left_comes_again_in_order(house):
    """R13, R12"""
    first = await house.bound()
    await write(house, "one", "two", "three")
    requests = [await first.read_until(DELIVER_SM) for _ in range(3)]
    await first.answer(requests[1], b"\0")
    await house.until_rows_done(1)
    first.reset()
    await house.until(lambda: house.gateway.smpp_server.sessions == 0)

    assert await texts(await house.bound(), 2) == [b"one", b"three"]


async def test_a_partner_that_was_told_to_wait_and_comes_back_is_served_at_once(house):
    """R13: the pause was of the session that is gone."""
    first = await house.bound()
    await write(house, "patience")
    for _ in range(2):
        await delivered(first, status=0x64)
    first.reset()
    await house.until(lambda: house.gateway.smpp_server.sessions == 0)
    second = await house.bound()

    assert (await second.read(0.5)).command_id == DELIVER_SM


async def test_a_transmitter_gets_nothing(house):
    """R13"""
    wire = await house.bound(BIND_TX)
    await write(house, "not here")

    assert await wire.has_nothing_to_say()
    assert await texts(await house.bound(BIND_RX), 1) == [b"not here"]


async def test_more_than_a_page_that_waits_comes_in_order(tmp_path):
    """R13: beyond what is read at once, and beyond the window."""
    async with opened_gateway(tmp_path, door={"window": 7}, smsc={"rules": (Rule(),)}) as house:
        sender = await house.bound(BIND_TX)
        ids = [(await sender.submit(registered=1)).body for _ in range(250)]
        rows = await house.until_outbox_rows(250)
        order = [str(row.message_id).encode() + b"\0" for row in rows]
        wire = await house.bound(BIND_RX)

        got = [(await delivered(wire)).tlvs[0x001E] for _ in range(250)]

        assert got == order
        assert sorted(got) == sorted(ids)
        await house.until_outbox_done(250)


async def test_two_receivers_share_and_nothing_comes_twice(house):
    """R14"""
    left, right = await house.bound(BIND_RX), await house.bound(BIND_RX)
    await write(house, "one", "two", "three", "four")

    assert sorted(await texts(left, 2) + await texts(right, 2)) == [b"four", b"one", b"three", b"two"]
    assert await left.has_nothing_to_say()
    assert await right.has_nothing_to_say()


async def test_when_one_of_two_receivers_leaves_the_other_gets_what_it_left(house):
    """R14"""
    left, right = await house.bound(BIND_RX), await house.bound(BIND_RX)
    await write(house, "one", "two")
    await left.read_until(DELIVER_SM)
    left.reset()

    assert sorted(await texts(right, 2)) == [b"one", b"two"]


async def test_a_long_message_from_a_phone_is_joined_and_comes_whole(house):
    """R15"""
    wire = await house.bound()
    house.smsc.send_mo(PHONE, PARTNER_CODE, CHINESE)

    got = await delivered(wire)

    assert (got.esm_class, got.coding, got.text) == (0, 8, b"")
    assert got.tlvs[0x0424].decode("utf-16-be") == CHINESE


async def test_a_long_message_cannot_come_to_a_peer_of_3_3_and_does_not_hold_up_the_others(house):
    """R15, S20: nothing is cut; the row keeps why."""
    wire = await house.bound(version=0x33)
    house.smsc.send_mo(PHONE, PARTNER_CODE, CHINESE)
    await house.until_mos(1)
    await write(house, "short")

    assert (await delivered(wire)).text == b"short"

    rows = await house.until_outbox_done(2)
    assert [row.outcome for row in rows] == [0x01, 0]


@pytest.mark.parametrize("body", [b"\0", b"", b"123\0"])
async def test_a_deliver_sm_resp_with_or_without_an_id_counts(house, body):
    """R17"""
    wire = await house.bound()
    await write(house, "taken")
    request: Frame = await wire.read_until(DELIVER_SM)

    await wire.answer(request, body)

    assert [row.outcome for row in await house.until_outbox_done(1)] == [0]


async def test_a_deliver_sm_resp_with_parameters_counts(house):
    """R17"""
    wire = await house.bound()
    await write(house, "taken")
    request = await wire.read_until(DELIVER_SM)

    await wire.answer(request, b"\0" + tlv(0x0425, b"\1"))

    assert [row.outcome for row in await house.until_outbox_done(1)] == [0]
