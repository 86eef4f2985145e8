"""Texts through the whole gateway: each alphabet, each way of long messages, classes and national tables, both ways.

The carrier is scripted in octets made by hand, and so is the partner.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import PARTNER_CODE, House, opened_gateway
from tests.support.wire import (
    DELIVER_SM,
    PHONE,
    RESPONSE,
    SUBMIT_SM,
    Delivered,
    Wire,
    cstring,
    frame,
    message_body,
    raw_smsc,
    read_message,
    tlv,
)

SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER, PAYLOAD = 0x020C, 0x020E, 0x020F, 0x0424
CONCATENATED = b"\x05\x00\x03"
TURKISH = "ışığın şişli ağaçlığı için çalışıyorum, "


class Road:
    """A partner, the gateway and a carrier in a row."""

    def __init__(self, house: House, partner: Wire, carrier: Wire) -> None:
        self.house = house
        self.partner = partner
        self._carrier = carrier

    async def submit(self, parts: int = 1, **fields: Any) -> list[Delivered]:
        """What the carrier gets of a submit_sm."""
        assert (await self.partner.submit(**fields)).status == 0
        got = [await self._carrier.read_until(SUBMIT_SM) for _ in range(parts)]
        for number, request in enumerate(got):
            await self._carrier.answer(request, cstring(f"{number:x}"))
        return [read_message(request.body) for request in got]

    async def deliver(self, **fields: Any) -> None:
        """A deliver_sm, and that it is answered."""
        await self._carrier.send(frame(DELIVER_SM, message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), **fields), sequence=900))
        assert (await self._carrier.read_until(DELIVER_SM | RESPONSE)).status == 0

    async def delivered(self) -> Delivered:
        """What the partner gets next."""
        return read_message((await self.partner.read_until(DELIVER_SM)).body)


@asynccontextmanager
async def road(folder: Path, door: dict[str, Any] | None = None, **link: Any) -> AsyncIterator[Road]:
    async with raw_smsc() as smsc, opened_gateway(folder, carrier_port=smsc.port, door=door, link=link) as house:
        carrier = await smsc.accept_bind()
        await house.until_link()
        try:
            yield Road(house, await house.bound(), carrier)
        finally:
            for each in smsc.wires:
                each.reset()


@pytest.mark.parametrize(
    ("alphabet", "theirs", "ours"),
    [
        ("gsm", b"\x05t\x05 \x00", b"\x05t\x05 \x00"),
        ("latin-1", b"\xe9t\xe9 @{}", b"\x05t\x05 \x00\x1b\x28\x1b\x29"),
        ("utf-8", "été @{}".encode(), b"\x05t\x05 \x00\x1b\x28\x1b\x29"),
        ("ascii", b"ete @{}", b"ete \x00\x1b\x28\x1b\x29"),
    ],
)
async def test_the_default_alphabet_of_a_link_holds_both_ways(tmp_path, alphabet, theirs, ours):
    """Row 54: our partner's data_coding 0 is GSM 7-bit, whatever the carrier's is."""
    async with road(tmp_path, alphabet=alphabet) as opened:
        (out,) = await opened.submit(text=ours)
        await opened.deliver(text=theirs)
        back = await opened.delivered()

    assert (out.coding, out.text) == (0, theirs)
    assert (back.coding, back.text) == (0, ours)


async def test_what_gsm_7_bit_cannot_say_reaches_the_partner_as_ucs_2(tmp_path):
    """Row 54: a carrier that writes UTF-8, one character of it cut in two by a part's end."""
    octets = "你好".encode()
    async with road(tmp_path, alphabet="utf-8") as opened:
        await opened.deliver(esm_class=0x40, text=CONCATENATED + b"\x07\x02\x02" + octets[4:])
        await opened.deliver(esm_class=0x40, text=CONCATENATED + b"\x07\x02\x01" + octets[:4])
        back = await opened.delivered()

    assert (back.esm_class, back.coding, back.text.decode("utf-16-be")) == (0, 8, "你好")


async def test_what_an_ascii_carrier_cannot_be_told_goes_as_ucs_2(tmp_path):
    """Row 54"""
    async with road(tmp_path, alphabet="ascii") as opened:
        (out,) = await opened.submit(text=b"\x05t\x05")

    assert (out.coding, out.text.decode("utf-16-be")) == (8, "été")


@pytest.mark.parametrize(("alphabet", "octets"), [("latin-1", b"\xe9t\xe9"), ("utf-8", "été".encode())])
async def test_our_own_default_alphabet_can_be_another(tmp_path, alphabet, octets):
    """Row 54: a partner's data_coding 0, as the door's settings say."""
    async with road(tmp_path, door={"alphabet": alphabet}) as opened:
        (out,) = await opened.submit(text=octets)
        (part,) = await opened.submit(text=CONCATENATED + b"\x01\x02\x01" + octets, esm_class=0x40)

    assert (out.coding, out.text) == (0, b"\x05t\x05")
    assert (part.esm_class, part.text) == (0x40, CONCATENATED + b"\x01\x02\x01" + b"\x05t\x05")


async def test_packed_septets_hold_both_ways(tmp_path):
    """Row 50: behind a header they begin where a septet would."""
    async with road(tmp_path, packed=True) as opened:
        (out,) = await opened.submit(text=b"hellohello")
        first, second = await opened.submit(2, text=b"a" * 200)
        await opened.deliver(text=bytes.fromhex("e8329bfd4697d9ec37"))
        back = await opened.delivered()

    assert out.text.hex() == "e8329bfd4697d9ec37"
    assert (len(first.text), first.text[:6], first.text[6]) == (140, CONCATENATED + b"\x00\x02\x01", 0xC2)
    assert len(second.text) == 6 + 42
    assert (back.coding, back.text) == (0, b"hellohello")


async def test_parts_by_16_bit_references(tmp_path):
    """Row 60"""
    async with road(tmp_path, segment_method="udh16") as opened:
        parts = await opened.submit(2, text=b"a" * 200)

    assert [part.text[:7] for part in parts] == [b"\x06\x08\x04\x00\x00\x02\x01", b"\x06\x08\x04\x00\x00\x02\x02"]
    assert [len(part.text) for part in parts] == [159, 7 + 48]


async def test_parts_by_sar(tmp_path):
    """Row 61: no header is left, and the lengths are those that a header would have allowed."""
    async with road(tmp_path, segment_method="sar") as opened:
        parts = await opened.submit(2, text=b"a" * 200)
        (own,) = await opened.submit(text=CONCATENATED + b"\x09\x03\x02" + b"part", esm_class=0x40)

    assert [(part.esm_class, len(part.text)) for part in parts] == [(0, 153), (0, 47)]
    assert [part.tlvs[SAR_NUMBER] for part in parts] == [b"\x01", b"\x02"]
    assert {(part.tlvs[SAR_REFERENCE], part.tlvs[SAR_TOTAL]) for part in parts} == {(b"\x00\x00", b"\x02")}
    assert (own.esm_class, own.text, own.tlvs) == (0, b"part", {SAR_REFERENCE: b"\x00\x09", SAR_TOTAL: b"\x03", SAR_NUMBER: b"\x02"})


async def test_a_payload_is_one_submit_sm_and_priced_by_its_short_messages(tmp_path):
    """Row 62"""
    async with road(tmp_path, segment_method="payload") as opened:
        (out,) = await opened.submit(text=b"a" * 200)
        (short,) = await opened.submit(text=b"short")
        charges = await opened.house.charges()
        segments = await opened.house.segments()

    assert (out.text, out.tlvs) == (b"", {PAYLOAD: b"a" * 200})
    assert (short.text, short.tlvs) == (b"short", {})
    assert [charge.amount_minor for charge in charges] == [20, 10]
    assert len(segments) == 2


async def test_national_tables_a_link_allows_are_used_where_they_are_cheaper(tmp_path):
    """Row 49: 160 characters of Turkish in two short messages instead of three."""
    text = (TURKISH * 4).encode("utf-16-be")
    async with road(tmp_path, languages=("turkish",)) as opened:
        parts = await opened.submit(2, text=b"", coding=8, tlvs=tlv(PAYLOAD, text))

    assert [part.text[:9] for part in parts] == [b"\x08\x00\x03\x00\x02" + bytes((n,)) + b"\x25\x01\x01" for n in (1, 2)]
    assert {(part.esm_class, part.coding) for part in parts} == {(0x40, 0)}
    assert len(parts[0].text) == 9 + 149


async def test_national_tables_of_a_phone_reach_the_partner_as_text(tmp_path):
    """Rows 49 and 68: parts come in any order, and without their headers nobody could read them."""
    async with road(tmp_path) as opened:
        header = b"\x08\x00\x03\x05\x02"
        await opened.deliver(esm_class=0x40, text=header + b"\x02\x24\x01\x01" + b"\x1bs")
        await opened.deliver(esm_class=0x40, text=header + b"\x01\x24\x01\x01" + b"a\x1bg")
        await opened.deliver(esm_class=0x40, text=header + b"\x02\x24\x01\x01" + b"\x1bs")
        back = await opened.delivered()
        (mo,) = await opened.house.until_mos(1)

    assert (back.esm_class, back.coding, back.text.decode("utf-16-be")) == (0, 8, "ağş")
    assert mo.text == "ağş"


async def test_one_short_message_with_national_tables_is_read_and_passed_on_as_it_came(tmp_path):
    """Row 49"""
    octets = b"\x03\x25\x01\x0d" + b"\x00\x03"
    async with road(tmp_path) as opened:
        await opened.deliver(esm_class=0x40, text=octets)
        back = await opened.delivered()
        (mo,) = await opened.house.until_mos(1)

    assert (back.esm_class, back.text) == (0x40, octets)
    assert mo.text == "\u0627\u067b"


@pytest.mark.parametrize(
    ("coding", "octets", "parts", "sent_coding"),
    [
        (0x10, b"a" * 150, 1, 0x10),
        (0xF0, b"a" * 160, 1, 0xF0),
        (0xF0, b"a" * 161, 2, 0xF0),
        (0xF1, b"a" * 200, 2, 0xF1),
        (0x18, "类".encode("utf-16-be") * 80, 2, 0x18),
        (0x18, "a".encode("utf-16-be") * 80, 1, 0x10),
        (0xC8, b"a" * 170, 2, 0xC8),
        (0xF5, b"\x01" * 150, 2, 0xF5),
    ],
)
async def test_a_message_keeps_its_class_and_its_message_waiting_however_long(tmp_path, coding, octets, parts, sent_coding):
    """Row 56"""
    async with road(tmp_path) as opened:
        got = await opened.submit(parts, coding=coding, text=octets)

    assert {part.coding for part in got} == {sent_coding}


@pytest.mark.parametrize("coding", [0x10, 0xC0, 0xD8, 0xE1, 0xF0, 0xF3])
async def test_class_message_waiting_and_protocol_id_of_a_phone_reach_the_partner(tmp_path, coding):
    """Row 56"""
    async with road(tmp_path) as opened:
        await opened.deliver(coding=coding, protocol_id=0x41, text=b"\x00a")
        request = await opened.partner.read_until(DELIVER_SM)

    assert (read_message(request.body).coding, read_message(request.body).text) == (coding, b"\x00a")
    assert request.body[request.body.index(PARTNER_CODE.encode()) + len(PARTNER_CODE) + 2] == 0x41


@pytest.mark.parametrize("method", ["udh8", "udh16", "sar", "payload"])
async def test_a_phone_shows_the_text_whichever_way_it_went(tmp_path, method):
    """Rows 49, 59 to 62: the simulated SMSC and its phones read every form."""
    text = TURKISH * 5
    async with opened_gateway(tmp_path, link={"segment_method": method, "languages": ("turkish",)}) as house:
        partner = await house.bound()
        assert (await partner.submit(text=b"", coding=8, tlvs=tlv(PAYLOAD, text.encode("utf-16-be")))).status == 0

        def shown() -> list[str | None]:
            return [message.text for phone in house.smsc.phones for message in phone.messages]

        await house.until(lambda: bool(shown()))
        assert shown() == [text]
