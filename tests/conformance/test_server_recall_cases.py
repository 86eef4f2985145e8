"""What a partner may ask about messages it submitted: query_sm, cancel_sm and replace_sm (M31-M33), and replace_if_present (M11)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.domain.message import State
from simulators.smsc_rules import Rule
from tests.support.gateway import House, opened_gateway
from tests.support.wire import (
    CANCEL_SM,
    PHONE,
    QUERY_SM,
    REPLACE_SM,
    RESPONSE,
    SUBMIT_SM,
    Frame,
    RawSmsc,
    Wire,
    cancel_body,
    cstring,
    frame,
    message_body,
    query_body,
    raw_smsc,
    read_message,
    replace_body,
)

CHINESE = "门铃网关把很长的中文短信切成几段。"


@pytest.fixture
async def carrier() -> AsyncIterator[RawSmsc]:
    """A carrier that lets nobody in until its test does: what is submitted waits."""
    async with raw_smsc() as smsc:
        yield smsc


@pytest.fixture
async def house(tmp_path, carrier) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path, carrier_port=carrier.port) as opened:
        yield opened
        for each in carrier.wires:
            each.reset()


@pytest.fixture
async def wire(house) -> Wire:
    return await house.bound()


async def submitted(wire: Wire, **fields: object) -> str:
    answer = await wire.submit(**fields)
    assert answer.status == 0
    return answer.text


async def taken(carrier: RawSmsc, count: int = 1) -> list[Frame]:
    """Let the gateway in and take what it submits."""
    smsc = await carrier.accept_bind()
    found = []
    for number in range(count):
        found.append(await smsc.read_until(SUBMIT_SM))
        await smsc.answer(found[-1], cstring(f"id{number}"))
    return found


def held(charges: list) -> list[int]:
    return [charge.amount_minor for charge in charges if charge.state == 0]


# -- query_sm -----------------------------------------------------------------------------------------------------------------


async def test_a_message_that_waits_is_enroute(wire):
    """M31"""
    message_id = await submitted(wire)

    answer = await wire.ask(QUERY_SM, query_body(message_id))

    assert answer.head[:2] == (QUERY_SM | RESPONSE, 0)
    assert answer.body == cstring(message_id) + cstring("") + bytes((1, 0))


async def test_a_message_at_its_end_has_its_date_state_and_error(tmp_path):
    """M31"""
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(),)}) as house:
        wire = await house.bound()
        message_id = await submitted(wire)
        (segment,) = await house.until_states(State.DELIVERED)

        answer = await wire.ask(QUERY_SM, query_body(message_id))

        final_date = answer.body.split(b"\0")[1]
        assert len(final_date) == 16
        assert final_date.endswith(b"00+")
        assert answer.body[-2] == 2
        assert segment.state == State.DELIVERED


async def test_an_unknown_id_is_said(wire):
    """M31"""
    for message_id in ("1", "9" * 19, "letters", "", "9" * 64):
        assert (await wire.ask(QUERY_SM, query_body(message_id))).head[:2] == (QUERY_SM | RESPONSE, 0x0C)


@pytest.mark.parametrize("source", [(0, 1, "10669999"), (5, 0, "Bellhop"), (1, 1, PHONE)])
async def test_a_wrong_source_learns_nothing(wire, source):
    """M31"""
    message_id = await submitted(wire)

    answer = await wire.ask(QUERY_SM, query_body(message_id, source=source))

    assert (answer.status, answer.body) == (0x67, b"")


async def test_another_partner_cannot_tell_a_message_from_none(house, wire):
    """M31"""
    message_id = await submitted(wire)
    other = await house.bound(system_id="other")

    for command_id, body in (
        (QUERY_SM, query_body(message_id)),
        (CANCEL_SM, cancel_body(message_id)),
        (REPLACE_SM, replace_body(message_id)),
    ):
        answer = await other.ask(command_id, body)
        assert (answer.status, answer.body) == (0x0C, b"")
    await house.until_states(State.ACCEPTED)


async def test_a_peer_of_3_3_asks_by_its_eight_digits(house, wire):
    """M31: choice, an id of eight hexadecimal digits names the newest message that was answered with it."""
    old = await house.bound(version=0x33)
    message_id = await submitted(old)

    answer = await old.ask(QUERY_SM, query_body(message_id))

    assert len(message_id) == 8
    assert answer.body == cstring(message_id) + cstring("") + bytes((1, 0))
    assert (await old.ask(CANCEL_SM, cancel_body(message_id))).status == 0


async def test_a_query_that_names_no_source_is_answered(wire):
    """M31: choice, the partner has shown who it is."""
    message_id = await submitted(wire)

    assert (await wire.ask(QUERY_SM, query_body(message_id, source=(0, 0, "")))).status == 0


# -- cancel_sm ----------------------------------------------------------------------------------------------------------------


async def test_a_waiting_message_is_cancelled_and_its_hold_released(house, wire, carrier):
    """M32"""
    message_id = await submitted(wire, registered=1)

    receipt = read_message((await wire.ask(CANCEL_SM, cancel_body(message_id))).body)
    answer = await wire.read()
    state = await wire.ask(QUERY_SM, query_body(message_id))

    assert (answer.command_id, answer.status, answer.body) == (CANCEL_SM | RESPONSE, 0, b"")
    assert receipt.text.startswith(f"id:{message_id} ".encode())
    assert state.body[-2] == 4  # DELETED
    assert [(charge.state, charge.amount_minor) for charge in await house.charges()] == [(11, 0)]
    last = await submitted(wire, text=b"the next one")
    (sent,) = await taken(carrier)
    assert read_message(sent.body).text == b"the next one"
    assert last


async def test_a_long_message_is_cancelled_whole(house, wire):
    """M32"""
    message_id = await submitted(wire, text=b"a" * 200)

    assert (await wire.ask(CANCEL_SM, cancel_body(message_id))).status == 0

    await house.until_states(State.FAILED, State.FAILED)
    assert held(await house.charges()) == []


async def test_all_to_one_destination_are_cancelled_with_an_empty_id(house, wire):
    """M32"""
    for text in (b"one", b"two", b"a" * 200):
        await submitted(wire, text=text)
    await submitted(wire, to=(1, 1, "8613900009999"))
    await submitted(wire, service_type="premi")

    assert (await wire.ask(CANCEL_SM, cancel_body(service_type="chat", to=(1, 1, PHONE)))).status == 0
    states = [segment.state for segment in await house.segments()]
    assert states == [State.FAILED] * 4 + [State.ACCEPTED] * 2

    assert (await wire.ask(CANCEL_SM, cancel_body(to=(1, 1, PHONE)))).status == 0
    assert [segment.state for segment in await house.segments()] == [State.FAILED] * 4 + [State.ACCEPTED, State.FAILED]
    assert (await wire.ask(CANCEL_SM, cancel_body(to=(1, 1, PHONE)))).status == 0x11


async def test_urgent_messages_are_cancelled_by_destination_too(house, wire):
    """M32"""
    await submitted(wire, priority=3)

    assert (await wire.ask(CANCEL_SM, cancel_body(to=(1, 1, PHONE)))).status == 0
    await house.until_states(State.FAILED)


async def test_another_partners_messages_to_that_destination_stay(house, wire):
    """M32"""
    await submitted(wire)
    other = await house.bound(system_id="other")

    assert (await other.ask(CANCEL_SM, cancel_body(to=(1, 1, PHONE)))).status == 0x11
    await house.until_states(State.ACCEPTED)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"source": (0, 1, "10669999")}, 0x11),
        ({"to": (1, 1, "8613900009999")}, 0x11),
        ({"to": (1, 1, PHONE)}, 0),
        ({"source": (0, 0, "")}, 0),
    ],
)
async def test_a_cancel_by_id_must_fit_what_it_says_beside(wire, fields, status):
    """M32"""
    message_id = await submitted(wire)

    assert (await wire.ask(CANCEL_SM, cancel_body(message_id, **fields))).status == status


async def test_a_message_at_its_end_is_not_cancelled(tmp_path):
    """M32"""
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(),)}) as house:
        wire = await house.bound()
        message_id = await submitted(wire)
        await house.until_states(State.DELIVERED)

        assert (await wire.ask(CANCEL_SM, cancel_body(message_id))).status == 0x11
        assert (await wire.ask(REPLACE_SM, replace_body(message_id))).status == 0x13
        assert [charge.amount_minor for charge in await house.charges()] == [10]


async def test_a_message_on_its_way_is_not_cancelled(house, wire, carrier):
    """M32: choice, what has been sent is sent."""
    smsc = await carrier.accept_bind()
    await house.until_link()
    message_id = await submitted(wire)
    sent = await smsc.read_until(SUBMIT_SM)

    assert (await wire.ask(CANCEL_SM, cancel_body(message_id))).status == 0x11
    assert (await wire.ask(REPLACE_SM, replace_body(message_id))).status == 0x13
    await smsc.answer(sent, cstring("id"))
    await house.until_states(State.SUBMITTED)
    assert (await wire.ask(CANCEL_SM, cancel_body(message_id))).status == 0x11


# -- replace_sm ---------------------------------------------------------------------------------------------------------------


async def test_a_waiting_message_gets_another_text_under_its_id(house, wire, carrier):
    """M33"""
    message_id = await submitted(wire, text=b"first", registered=1)

    answer = await wire.ask(REPLACE_SM, replace_body(message_id, text=b"second"))
    (sent,) = await taken(carrier)

    assert (answer.command_id, answer.status, answer.body) == (REPLACE_SM | RESPONSE, 0, b"")
    assert read_message(sent.body).text == b"second"
    (stored,) = await house.messages()
    assert (str(stored.id), stored.registered_delivery) == (message_id, 0)


async def test_a_longer_text_has_more_parts_and_a_greater_hold(house, wire, carrier):
    """M33"""
    message_id = await submitted(wire)
    assert held(await house.charges()) == [10]

    assert (await wire.ask(REPLACE_SM, replace_body(message_id, text=b"b" * 200))).status == 0

    assert held(await house.charges()) == [20]
    sent = [read_message(each.body) for each in await taken(carrier, 2)]
    assert b"".join(each.text[6:] for each in sent) == b"b" * 200
    assert {each.esm_class for each in sent} == {0x40}


async def test_a_shorter_text_has_fewer_parts_and_a_smaller_hold(house, wire, carrier):
    """M33"""
    message_id = await submitted(wire, text=b"a" * 250)

    assert (await wire.ask(REPLACE_SM, replace_body(message_id, text=b"short"))).status == 0

    assert held(await house.charges()) == [10]
    (sent,) = await taken(carrier)
    assert (read_message(sent.body).text, read_message(sent.body).esm_class) == (b"short", 0)


async def test_the_new_text_is_read_in_the_coding_of_the_old(house, wire, carrier):
    """M33: the old one was cut in another alphabet than it came in."""
    message_id = await submitted(wire, coding=8, text=("a" * 120).encode("utf-16-be"))

    assert (await wire.ask(REPLACE_SM, replace_body(message_id, text=CHINESE.encode("utf-16-be")))).status == 0

    (sent,) = await taken(carrier)
    assert (read_message(sent.body).coding, read_message(sent.body).text.decode("utf-16-be")) == (8, CHINESE)


async def test_a_text_that_the_credit_does_not_cover_leaves_the_old_one(house, carrier):
    """M33"""
    wire = await house.bound(system_id="some")
    message_id = await submitted(wire, text=b"as it was")

    assert (await wire.ask(REPLACE_SM, replace_body(message_id, text=b"b" * 254))).status == 0
    assert held(await house.charges()) == [20]
    long = b"\x04\x24\x01\xf4" + b"c" * 500
    assert (await wire.ask(REPLACE_SM, replace_body(message_id, text=b"", tlvs=long))).status == 0x45

    assert held(await house.charges()) == [20]
    assert len(await taken(carrier, 2)) == 2


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"source": (0, 1, "10669999")}, 0x13),
        ({"schedule": "261301000000000+"}, 0x61),
        ({"schedule": "990101000000000+"}, 0x61),
        ({"validity": "261301000000000+"}, 0x62),
        ({"validity": "200101000000000+"}, 0x62),
        ({"schedule": "000010000000000R", "validity": "000001000000000R"}, 0),
        ({"default_id": 1}, 0x63),
        ({"registered": 3}, 0x07),
        ({"text": b"a" * 254}, 0),
    ],
)
async def test_what_a_replacement_must_be(house, wire, fields, status):
    """M33"""
    message_id = await submitted(wire)

    assert (await wire.ask(REPLACE_SM, replace_body(message_id, **fields))).status == status


async def test_a_replacement_may_move_the_schedule_and_keep_the_validity(house, wire):
    """M33"""
    message_id = await submitted(wire, validity="000000010000000R")

    assert (await wire.ask(REPLACE_SM, replace_body(message_id, schedule="000001000000000R"))).status == 0

    (stored,), (segment,) = await house.messages(), await house.segments()
    assert stored.expires_at - segment.retry_at == pytest.approx(3_600_000_000, abs=2_000_000)
    assert segment.retry_at - stored.accepted_at == pytest.approx(86_400_000_000, abs=2_000_000)


async def test_two_replacements_in_one_write_are_done_in_turn(house, wire, carrier):
    """M33"""
    message_id = await submitted(wire)

    texts = {1: b"two", 2: b"three"}
    await wire.send(b"".join(frame(REPLACE_SM, replace_body(message_id, text=text), sequence=n) for n, text in texts.items()))
    answers = [await wire.read(), await wire.read()]

    assert {answer.status for answer in answers} == {0}
    (sent,) = await taken(carrier)
    assert read_message(sent.body).text == b"three"


# -- replace_if_present -------------------------------------------------------------------------------------------------------


async def test_a_message_with_the_flag_takes_the_place_of_the_one_that_waits(house, wire, carrier):
    """M11: choice, the new message has its own id, and the old one ends as DELETED."""
    first = await submitted(wire, text=b"old", registered=1)

    receipt = read_message((await wire.ask(SUBMIT_SM, message_body(text=b"new", replace=1))).body)
    second = (await wire.read_until(SUBMIT_SM | RESPONSE)).text

    assert first != second
    assert receipt.tlvs[0x001E] == cstring(first)
    assert (await wire.ask(QUERY_SM, query_body(first))).body[-2] == 4
    assert held(await house.charges()) == [10]
    (sent,) = await taken(carrier)
    assert read_message(sent.body).text == b"new"


@pytest.mark.parametrize("other", [{"to": (1, 1, "8613900009999")}, {"source": (0, 1, "10661801")}, {"service_type": "premi"}])
async def test_a_message_to_another_target_is_not_replaced(house, wire, other):
    """M11"""
    await submitted(wire)

    await submitted(wire, replace=1, **other)

    await house.until_states(State.ACCEPTED, State.ACCEPTED)


async def test_the_newest_of_those_that_wait_is_replaced(house, wire):
    """M11: choice."""
    await submitted(wire, text=b"one")
    await submitted(wire, text=b"two")

    await submitted(wire, text=b"three", replace=1)

    await house.until_states(State.ACCEPTED, State.FAILED, State.ACCEPTED)


async def test_a_replacement_that_is_refused_leaves_the_old_message(house, wire):
    """M11"""
    await submitted(wire)

    assert (await wire.submit(replace=1, text=b"", tlvs=b"\x04\x24\xea\x60" + b"a" * 60_000)).status == 0x01

    await house.until_states(State.ACCEPTED)


async def test_what_comes_after_it_is_not_replaced(house, wire):
    """M11: both are in one segment of TCP, so that the store may get them together."""
    newer = frame(SUBMIT_SM, message_body(text=b"newer", replace=1), sequence=101)
    newest = frame(SUBMIT_SM, message_body(text=b"newest"), sequence=102)

    await wire.send(newer + newest)

    assert {(await wire.read()).head[:2], (await wire.read()).head[:2]} == {(SUBMIT_SM | RESPONSE, 0)}
    await house.until_states(State.ACCEPTED, State.ACCEPTED)


async def test_what_comes_after_a_cancellation_of_all_is_not_cancelled(house, wire):
    """M32"""
    await submitted(wire, text=b"old")
    cancelled = frame(CANCEL_SM, cancel_body(to=(1, 1, PHONE)), sequence=101)

    await wire.send(cancelled + frame(SUBMIT_SM, message_body(text=b"new"), sequence=102))

    assert {(await wire.read()).status, (await wire.read()).status} == {0}
    await house.until_states(State.FAILED, State.ACCEPTED)
