"""Kannel's bearerbox as an ESME at our door and at our simulator: long Unicode texts both ways, and its receipts."""

from __future__ import annotations

import pytest

from simulators.smsc_rules import Rule
from tests.support.gateway import PARTNER, PARTNER_CODE, PASSWORD, opened_gateway
from tests.support.kannel import BEARERBOX, DELIVERED, SMSBOX, Heard, kannel
from tests.support.smsc import house as simulator
from tests.support.wire import PHONE

LONG = "门铃：一个很长的中文短信，要分成几段才能送到手机上，表情也要完整🎂。" * 4
BACK = "手机回信，也很长，也有表情🎉，也要一字不差地回到合作伙伴那里。" * 5

pytestmark = [
    pytest.mark.skipif(BEARERBOX is None or SMSBOX is None, reason="no Kannel (apt-get install kannel)"),
    pytest.mark.timeout(120),
]


def joined(bodies: list[bytes]) -> str:
    """The text of parts with a user data header of 8 bit."""
    return b"".join(body[6:] for body in sorted(bodies, key=lambda body: body[5])).decode("utf-16-be")


async def test_kannel_sends_and_receives_long_unicode_texts_through_our_door(tmp_path):
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(),)}) as house:
        async with kannel(tmp_path, house.port, PARTNER, PASSWORD) as boxes:
            await boxes.send(PARTNER_CODE, PHONE, LONG, "through")
            await boxes.until(lambda: ("through", DELIVERED) in boxes.receipts)
            house.smsc.send_mo(PHONE, PARTNER_CODE, BACK)
            await boxes.until(lambda: bool(boxes.heard))
        bodies = [taken.pdu.short_message for taken in house.smsc.log]

    assert joined(bodies) == LONG
    assert boxes.heard == [Heard(PHONE, PARTNER_CODE, BACK)]
    assert {kind for _, kind in boxes.receipts} == {DELIVERED}


async def test_kannel_sends_and_receives_long_unicode_texts_at_our_simulator(tmp_path):
    async with simulator(rules=(Rule(),)) as house:
        async with kannel(tmp_path, house.smsc.port, "kannel", "secret") as boxes:
            await boxes.send(PARTNER_CODE, PHONE, LONG, "there")
            await boxes.until(lambda: ("there", DELIVERED) in boxes.receipts)
            house.smsc.send_mo(PHONE, PARTNER_CODE, BACK)
            await boxes.until(lambda: bool(boxes.heard))
        bodies = [taken.pdu.short_message for taken in house.smsc.log]

    assert joined(bodies) == LONG
    assert boxes.heard == [Heard(PHONE, PARTNER_CODE, BACK)]
