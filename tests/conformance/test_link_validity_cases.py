"""How long a carrier is told to try a message: what is left of its validity, as the link is set to say it."""

from __future__ import annotations

import time

import pytest

from gateway.domain.message import State
from tests.support.carrier import bound_carrier
from tests.support.gateway import opened_gateway
from tests.support.wire import SUBMIT_SM, read_message

DAY = "000001000000000R"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"validity": "000000000500000R"}, "000000000500000R"),
        ({"validity": "000000000001000R"}, "000000000001000R"),
        ({}, DAY),  # as the service says
        ({"validity": "000007000000000R"}, DAY),  # and never longer than that
    ],
)
async def test_the_carrier_hears_how_long_a_message_is_worth_trying(tmp_path, asked, told):
    """M13, matrix row 109"""
    async with bound_carrier(tmp_path) as carrier:
        (request,) = await carrier.submit(**asked)

        assert read_message(request.body).validity == told


async def test_a_message_that_is_tried_again_has_less_left(tmp_path):
    async with bound_carrier(tmp_path, errors={"0x08": "retry 5x 1s"}) as carrier:
        (request,) = await carrier.submit(validity="000000000500000R")
        await carrier.wire.answer(request, status=0x08)

        again = read_message((await carrier.wire.read_until(SUBMIT_SM)).body).validity

        assert "000000000400000R" < again < "000000000500000R"


async def test_a_link_may_say_it_as_a_date(tmp_path):
    async with bound_carrier(tmp_path, validity_period="absolute") as carrier:
        (request,) = await carrier.submit(validity="000000000500000R")

        told = read_message(request.body).validity
        until = time.strftime("%y%m%d%H%M%S", time.gmtime(time.time() + 300))
        assert told.endswith("000+")
        assert abs(int(told[:12]) - int(until)) <= 5 or told[:10] != until[:10]


async def test_a_link_may_leave_it_out(tmp_path):
    async with bound_carrier(tmp_path, validity_period="none") as carrier:
        (request,) = await carrier.submit(validity="000000000500000R")

        assert read_message(request.body).validity == ""


async def test_what_expires_at_the_carrier_is_expired_and_free(tmp_path):
    """A text that is worth nothing after a second is not delivered after a minute."""
    async with opened_gateway(tmp_path, smsc={"receipt_delay_ms": 60_000}) as house:
        await (await house.bound()).submit(validity="000000000001000R")

        await house.until_states(State.EXPIRED)

        assert [(charge.delivery_status, charge.amount_minor) for charge in await house.charges()] == [("EXPIRED", 0)]
