"""Optional parameters on their way through the gateway: from a partner to the carrier, and from a phone to the partner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import update

from gateway.domain.credentials import hash_of_api_key
from gateway.settings_smpp import SmppTlv
from gateway.store import partner_changes
from gateway.store.schema import mo_part
from tests.support.commands import Shell
from tests.support.gateway import PARTNER, PARTNER_CODE, House, opened_gateway
from tests.support.wire import (
    DELIVER_SM,
    HOST,
    PHONE,
    RESPONSE,
    SUBMIT_SM,
    Delivered,
    Wire,
    cstring,
    data_body,
    frame,
    message_body,
    raw_smsc,
    read_message,
    tlv,
)

ENTITY, CAMPAIGN = 0x1400, 0x1500
TLVS = (SmppTlv(name="dlt_entity_id", tag=ENTITY, length_max=30), SmppTlv(name="campaign", tag=CAMPAIGN, type="integer", length_max=4))
DESTINATION_PORT, USSD_OP, PRIVACY, REFERENCE, SET_DPF = 0x020B, 0x0501, 0x0201, 0x0204, 0x0421
KEY = "bh_key-of-acme"


class Between:
    """The gateway with a scripted carrier on one side and partners on the other."""

    def __init__(self, house: House, carrier: Wire) -> None:
        self.house = house
        self.carrier = carrier
        self._sequence = 0

    async def sent(self) -> Delivered:
        """The next submit_sm at the carrier, answered."""
        request = await self.carrier.read_until(SUBMIT_SM)
        await self.carrier.answer(request, cstring(f"id-{request.sequence}"))
        return read_message(request.body)

    async def write(self, text: bytes, tlvs: bytes, **fields: object) -> None:
        """The carrier brings a message from a phone, and it is taken."""
        self._sequence += 1
        body = message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), text=text, tlvs=tlvs, **fields)
        await self.carrier.send(frame(DELIVER_SM, body, sequence=self._sequence))
        assert (await self.carrier.read_until(DELIVER_SM | RESPONSE)).status == 0


@asynccontextmanager
async def between(folder: Path) -> AsyncIterator[Between]:
    async with raw_smsc() as smsc, opened_gateway(folder, carrier_port=smsc.port, more={"smpp_tlvs": TLVS}) as house:
        carrier = await smsc.accept_bind()
        await house.until_link()
        try:
            yield Between(house, carrier)
        finally:
            carrier.reset()  # it would not answer our unbind


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Between]:
    async with between(tmp_path) as found:
        yield found


async def heard(wire: Wire) -> Delivered:
    request = await wire.read_until(DELIVER_SM)
    await wire.answer(request, b"\0")
    return read_message(request.body)


async def test_a_submissions_named_and_standard_parameters_reach_the_carrier_as_they_came(opened):
    """H18, matrix row 26"""
    partner = await opened.house.bound()
    given = tlv(ENTITY, b"1201\0") + tlv(DESTINATION_PORT, b"\x23\xf0") + tlv(USSD_OP, b"\2") + tlv(0x1FFF, b"unnamed")

    assert (await partner.submit(tlvs=given + tlv(REFERENCE, b"\0\7") + tlv(SET_DPF, b"\1"))).status == 0

    assert (await opened.sent()).tlvs == {ENTITY: b"1201\0", DESTINATION_PORT: b"\x23\xf0", USSD_OP: b"\2"}


async def test_every_part_of_a_long_message_carries_them(opened):
    partner = await opened.house.bound()

    await partner.submit(text=b"a" * 200, tlvs=tlv(ENTITY, b"1201\0") + tlv(PRIVACY, b"\3"))

    assert [(await opened.sent()).tlvs for _ in range(2)] == [{ENTITY: b"1201\0", PRIVACY: b"\3"}] * 2


async def test_a_data_sm_passes_them_on_as_well(opened):
    partner = await opened.house.bound()

    await partner.ask(0x103, data_body(tlvs=tlv(0x0424, b"hello") + tlv(DESTINATION_PORT, b"\0\x50") + tlv(CAMPAIGN, b"\0\0\0\7")))

    assert (await opened.sent()).tlvs == {DESTINATION_PORT: b"\0\x50", CAMPAIGN: b"\0\0\0\7"}


async def test_trace_tells_them_by_name(opened, tmp_path, capsys, monkeypatch):
    partner = await opened.house.bound()
    answer = await partner.submit(tlvs=tlv(ENTITY, b"1201\0") + tlv(DESTINATION_PORT, b"\x23\xf0"))
    config = tmp_path / "bellhop.toml"
    config.write_text('[store]\nurl = "sqlite:///bellhop.db"\n[[smpp_tlvs]]\nname = "dlt_entity_id"\ntag = 0x1400\n')
    shell = Shell(capsys, monkeypatch)

    told = await asyncio.to_thread(shell, "trace", answer.text, "--json", "-c", config)
    shown = await asyncio.to_thread(shell, "trace", answer.text, "-c", config)

    assert told.json["tlvs"] == {"destination_port": "23f0", "dlt_entity_id": "1201"}
    assert "passed on: dlt_entity_id 1201, destination_port 23f0" in shown.out


async def test_over_http_they_are_given_by_name(opened):
    await opened.house.gateway.writer.run(partner_changes.set_api_key_hash, PARTNER, hash_of_api_key(KEY))
    url = f"http://{HOST}:{opened.house.gateway.web_port}/v1/messages"
    body = {"to": f"+{PHONE}", "text": "hello", "protocol_id": 65, "tlvs": {"dlt_entity_id": "1201", "campaign": 7}}

    async with aiohttp.ClientSession() as http, http.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}) as response:
        assert response.status == 202

    got = await opened.sent()
    assert (got.tlvs, got.protocol_id) == ({ENTITY: b"1201\0", CAMPAIGN: b"\0\0\0\7"}, 65)


async def test_a_phones_message_brings_them_to_its_partner(opened):
    partner = await opened.house.bound()

    given = tlv(ENTITY, b"1201") + tlv(CAMPAIGN, b"misshapen") + tlv(REFERENCE, b"\0\7") + tlv(USSD_OP, b"\x12") + tlv(0x1FFF, b"unnamed")
    await opened.write(b"hi", given)

    got = await heard(partner)
    assert (got.text, got.tlvs) == (b"hi", {ENTITY: b"1201", REFERENCE: b"\0\7", USSD_OP: b"\x12"})


async def test_they_wait_on_disk_for_a_partner_that_is_away(tmp_path):
    """R13"""
    async with between(tmp_path) as first:
        await first.write(b"hi", tlv(ENTITY, b"1201\0"))

    async with between(tmp_path) as later:
        partner = await later.house.bound()

        assert (await heard(partner)).tlvs == {ENTITY: b"1201\0"}


async def test_what_the_parts_of_a_long_message_bring_is_the_whole_messages(opened):
    """R15: in any order; of two that differ the first part's counts."""
    partner = await opened.house.bound()
    parts = {1: tlv(ENTITY, b"first\0"), 2: tlv(ENTITY, b"second\0") + tlv(CAMPAIGN, b"\0\0\0\7"), 3: b""}

    for number in (3, 2, 1):
        header = b"\x05\x00\x03\x09\x03" + bytes((number,))
        await opened.write(header + b"%d" % number * 100, parts[number], esm_class=0x40)

    got = await heard(partner)
    assert got.tlvs == {0x0424: b"1" * 100 + b"2" * 100 + b"3" * 100, ENTITY: b"first\0", CAMPAIGN: b"\0\0\0\7"}


async def test_what_came_of_a_message_whose_rest_never_came_brings_them_too(opened):
    partner = await opened.house.bound()
    await opened.write(b"\x05\x00\x03\x09\x02\x02rest", tlv(ENTITY, b"1201\0"), esm_class=0x40)

    await opened.house.gateway.writer.run(lambda conn: conn.execute(update(mo_part).values(received_at=1)))
    await opened.house.gateway.sweep.sweep()

    got = await heard(partner)
    assert (got.text, got.tlvs) == (b"rest", {ENTITY: b"1201\0"})


async def test_a_partner_of_3_3_gets_the_message_without_them(opened):
    partner = await opened.house.bound(version=0x33)

    await opened.write(b"hi", tlv(ENTITY, b"1201\0"))

    got = await heard(partner)
    assert (got.text, got.tlvs) == (b"hi", {})
