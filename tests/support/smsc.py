"""A simulated SMSC with its page and ESMEs, over real sockets, for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from gateway.real_world import RealWorld
from gateway.smpp.pdu import SubmitSm
from simulators.esme import Esme
from simulators.faults import SmscFaults
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_web import SmscWeb

PHONE = "8613900001234"
HOST = "127.0.0.1"


class House:
    """A simulator, its page and the ESMEs of one test."""

    def __init__(self, world: RealWorld, smsc: Smsc) -> None:
        self.world = world
        self.smsc = smsc
        self.esmes: list[Esme] = []

    async def esme(self, **options: object) -> Esme:
        esme = await Esme.connect(self.world, HOST, self.smsc.port, **options)  # type: ignore[arg-type]
        self.esmes.append(esme)
        return esme

    async def until(self, is_true, timeout_s: float = 30.0) -> None:
        assert await self.smsc.until(is_true, timeout_s)


@asynccontextmanager
async def house(*, faults: SmscFaults | None = None, **options: object) -> AsyncIterator[House]:
    world = RealWorld()
    config = SmscConfig(**{"port": 0, "receipt_delay_ms": 1, "retry_delay_ms": 10, **options})  # type: ignore[arg-type]
    smsc = Smsc(world, config, faults=faults)
    await smsc.start()
    opened = House(world, smsc)
    try:
        yield opened
    finally:
        for esme in opened.esmes:
            esme.abort()
        await smsc.stop()
        await world.close()


@asynccontextmanager
async def page(opened: House) -> AsyncIterator[aiohttp.ClientSession]:
    web = SmscWeb(opened.world, opened.smsc, port=0)
    await web.start()
    try:
        async with aiohttp.ClientSession(f"http://{HOST}:{web.port}") as client:
            yield client
    finally:
        await web.stop()


def message(destination: str = PHONE, text: bytes = b"hello", **fields: object) -> SubmitSm:
    return SubmitSm(source_addr="1069", destination_addr=destination, registered_delivery=1, short_message=text)._replace(**fields)
