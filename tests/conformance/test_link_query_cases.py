"""Receipts that do not come: the carrier is asked by query_sm, and its final word settles a message as a receipt would."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator

import pytest

from gateway.domain.message import State
from simulators.smsc_rules import Rule
from tests.support.carrier import Carrier, bound_carrier
from tests.support.gateway import opened_gateway
from tests.support.wire import DELIVER_SM, QUERY_SM, SUBMIT_SM, Frame, cstring, query_body, read_message

ENROUTE, DELIVERED, UNDELIVERABLE, UNKNOWN = 1, 2, 5, 7


@pytest.fixture
async def carrier(tmp_path) -> AsyncIterator[Carrier]:
    async with bound_carrier(tmp_path, query_after_s=0.001) as opened:
        yield opened


async def taken(carrier: Carrier, smsc_id: str = "A1", **fields: object) -> None:
    """A partner's message that the carrier took, and says no more of."""
    (request,) = await carrier.submit(**fields)
    await carrier.take(request, smsc_id)
    await carrier.house.until_states(State.SUBMITTED)


async def asked(carrier: Carrier) -> Frame:
    await carrier.house.gateway.asking.round()
    return await carrier.wire.read_until(QUERY_SM)


async def told(carrier: Carrier, question: Frame, state: int, error: int = 0) -> None:
    await carrier.wire.answer(question, cstring(question.text) + b"\0" + struct.pack("BB", state, error))


async def test_a_lost_receipt_is_asked_for_and_its_message_settled(carrier):
    """Matrix row 19"""
    partner = await carrier.house.bound()
    await taken(carrier, registered=1)

    question = await asked(carrier)
    await told(carrier, question, DELIVERED)

    assert question.body == query_body("A1")
    await carrier.house.until_states(State.DELIVERED)
    assert [(charge.delivery_status, charge.amount_minor) for charge in await carrier.house.charges()] == [("DELIVRD", 10)]
    receipt = read_message((await partner.read_until(DELIVER_SM)).body)
    assert b"stat:DELIVRD" in receipt.text


async def test_what_the_carrier_could_not_deliver_is_free_and_says_why(carrier):
    partner = await carrier.house.bound()
    await taken(carrier, registered=1)

    await told(carrier, await asked(carrier), UNDELIVERABLE, 27)

    await carrier.house.until_states(State.FAILED)
    assert [charge.amount_minor for charge in await carrier.house.charges()] == [0]
    assert b"stat:UNDELIV err:027" in read_message((await partner.read_until(DELIVER_SM)).body).text


@pytest.mark.parametrize("state", [ENROUTE, UNKNOWN])
async def test_what_is_on_its_way_still_waits_for_its_receipt_and_is_asked_for_again(carrier, state):
    await taken(carrier)

    await told(carrier, await asked(carrier), state)
    again = await asked(carrier)

    assert again.text == "A1"
    assert [segment.state for segment in await carrier.house.segments()] == [State.SUBMITTED]
    await carrier.report("id:A1 stat:DELIVRD err:000 text:")
    await carrier.house.until_states(State.DELIVERED)


@pytest.mark.parametrize("status", [0x0C, 0x67, 0x03, 0x58])
async def test_a_carrier_that_does_not_know_settles_nothing(carrier, status):
    await taken(carrier)

    await carrier.wire.answer(await asked(carrier), status=status)
    await carrier.report("id:A1 stat:DELIVRD err:000 text:")

    await carrier.house.until_states(State.DELIVERED)
    assert carrier.house.gateway.tally.metrics.queries == {("sim", "refused"): 1}


async def test_the_receipt_that_comes_after_all_changes_nothing(carrier):
    await taken(carrier)
    await told(carrier, await asked(carrier), DELIVERED)
    await carrier.house.until_states(State.DELIVERED)

    await carrier.report("id:A1 stat:UNDELIV err:001 text:")

    assert [(charge.delivery_status, charge.amount_minor) for charge in await carrier.house.charges()] == [("DELIVRD", 10)]
    assert [row.outcome for row in await carrier.house.parked()] == ["contradicts"]


async def test_each_is_asked_for_once_in_its_time_and_only_where_that_is_wanted(tmp_path):
    async with bound_carrier(tmp_path) as carrier:
        await taken(carrier)

        await carrier.house.gateway.asking.round()
        (request,) = await carrier.submit()

        assert request.command_id == SUBMIT_SM
        assert carrier.house.gateway.tally.metrics.queries == {}


async def test_traffic_goes_before_questions(tmp_path):
    """A question takes a place in the window, and a token of the rate, only where nothing else wants it."""
    async with bound_carrier(tmp_path, query_after_s=0.001, window=1) as carrier:
        await taken(carrier)
        (request,) = await carrier.submit()

        await carrier.house.gateway.asking.round()
        await carrier.take(request, "A2")

        assert (await asked(carrier)).text == "A1"


async def test_our_simulator_is_asked_as_any_carrier(tmp_path):
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(receipt=False),)}, link={"query_after_s": 0.001}) as house:
        await (await house.bound()).submit()
        await house.until_states(State.SUBMITTED)

        await house.until(lambda: house.smsc.log.get(next(iter(house.smsc.log)).id).state == DELIVERED)
        await house.gateway.asking.round()

        await house.until_states(State.DELIVERED)


async def test_a_question_that_is_never_answered_costs_nothing_but_its_place(tmp_path):
    async with bound_carrier(tmp_path, query_after_s=0.001, response_timeout_s=0.1, window=1) as carrier:
        await taken(carrier)

        await asked(carrier)
        await carrier.house.until(lambda: carrier.house.gateway.tally.metrics.queries == {("sim", "unanswered"): 1})
        again = await asked(carrier)

        assert (again.command_id, again.text) == (QUERY_SM, "A1")
