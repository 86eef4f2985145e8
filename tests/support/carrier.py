"""A carrier that does only what its test says, with the gateway bound to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.gateway import PARTNER_CODE, House, opened_gateway
from tests.support.wire import DELIVER_SM, PHONE, RESPONSE, SUBMIT_SM, Frame, RawSmsc, Wire, cstring, frame, message_body, raw_smsc


class Carrier:
    """A scripted carrier with the gateway bound to it."""

    def __init__(self, house: House, smsc: RawSmsc, wire: Wire) -> None:
        self.house = house
        self.smsc = smsc
        self.wire = wire

    async def submit(self, count: int = 1, **fields: object) -> list[Frame]:
        """A partner submits; the submit_sm as they reach the carrier."""
        partner = await self.house.bound(2)
        for number in range(count):
            assert (await partner.submit(**{"text": b"%d" % number, **fields})).status == 0
        return [await self.wire.read_until(SUBMIT_SM) for _ in range(count)]

    async def take(self, request: Frame, smsc_id: str) -> None:
        await self.wire.answer(request, cstring(smsc_id))

    async def report(self, text: str, *, tlvs: bytes = b"", esm_class: int = 0x04, status: int = 0) -> None:
        """A receipt, and its acknowledgement."""
        body = message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), esm_class=esm_class, text=text.encode(), tlvs=tlvs)
        await self.deliver(body, status)

    async def deliver(self, body: bytes, status: int = 0, *, command_id: int = DELIVER_SM) -> None:
        await self.wire.send(frame(command_id, body, sequence=900))
        got = await self.wire.read_until(command_id | RESPONSE)
        assert got.head == (command_id | RESPONSE, status, 900)


@asynccontextmanager
async def bound_carrier(folder: Path, **link: Any) -> AsyncIterator[Carrier]:
    async with raw_smsc() as smsc, opened_gateway(folder, carrier_port=smsc.port, link=link) as house:
        wire = await smsc.accept_bind()
        await house.until_link()
        try:
            yield Carrier(house, smsc, wire)
        finally:
            for each in smsc.wires:
                each.reset()
