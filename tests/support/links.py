"""A link without a gateway, and a carrier's side that writes down what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.domain.message import Flight, Message
from gateway.links.smpp_client import LinkConfig, SmppLink
from gateway.real_world import RealWorld
from gateway.smpp.session import Limits
from tests.support.wire import HOST, PHONE, SENDER

LOOK_S = 0.005


class Ears:
    """Hears a link that stands alone; what it heard is in `heard` as (what, *arguments)."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *told: self.heard.append((name, *told))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [told[1:] for told in self.heard if told[0] == name]


@asynccontextmanager
async def lone_link(port: int, ears: Ears | None = None, **options: Any) -> AsyncIterator[SmppLink]:
    """A link without a gateway; options are fields of its config or of its limits."""
    world = RealWorld()
    of_limits = {name: options.pop(name) for name in Limits._fields if name in options}
    limits = Limits(session_init_timeout_s=options.pop("bind_timeout_s", 10), enquire_link_s=0)._replace(**of_limits)
    config = LinkConfig("sim", HOST, port, "bellhop", "secret8", "", "transceiver", 1, limits, 1.0, 0.02, 0.08, unbound_wait_s=0.0)
    link = SmppLink(config._replace(**options), world, ears or Ears())  # type: ignore[arg-type]
    link.start()
    try:
        yield link
    finally:
        await link.stop(0.2)
        await world.close()


async def until(is_true: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait for something that only traffic can make true."""
    async with asyncio.timeout(timeout_s):
        while not is_true():
            await asyncio.sleep(LOOK_S)


def flight(text: bytes = b"hello", *, message_id: int = 1 << 20, tlvs: bytes = b"", **fields: Any) -> Flight:
    """A segment on its way."""
    message = Message(
        message_id, 1, None, None, None, "chat", SENDER, 0, 1, PHONE, 1, 1, 0, 0, 0, 0, 0, 0, 1, None, 1, 2
    )._replace(**fields)  # fmt: skip
    return Flight(message_id | 1, message, text, "sim", tlvs=tlvs)
