"""What an operator may tell the links: /v1/ops/links and /v1/ops/reload."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.domain.failure import Refused
from gateway.links.smpp_client import SmppLink
from gateway.links.smpp_links import Links
from gateway.services.ports import Reader
from gateway.store import waiting
from gateway.web.control import Order

RATE_MAX = 1_000_000
UP_WAIT_S = 2.0


def orders(links: Links, reader: Reader, reload: Callable[[], Awaitable[Any]]) -> list[Order]:
    """The orders about links."""

    async def listed(_where: dict[str, str], _asked: dict[str, Any]) -> Any:
        return {"links": await _with_waiting(links.rows())}

    async def shown(where: dict[str, str], _asked: dict[str, Any]) -> Any:
        return (await _with_waiting([links.row(links.named(where["name"]))]))[0]

    async def start(where: dict[str, str], asked: dict[str, Any]) -> Any:
        await links.start_link(where["name"])
        await _up(links.named(where["name"]))
        return await shown(where, asked)

    async def stop(where: dict[str, str], asked: dict[str, Any]) -> Any:
        await links.stop_link(where["name"])
        return await shown(where, asked)

    async def drain(where: dict[str, str], asked: dict[str, Any]) -> Any:
        await links.drain_link(where["name"])
        return await shown(where, asked)

    async def rate(where: dict[str, str], asked: dict[str, Any]) -> Any:
        links.set_rate(where["name"], _rate_of(asked))
        return await shown(where, asked)

    async def reread(_where: dict[str, str], _asked: dict[str, Any]) -> Any:
        return await reload()

    async def _with_waiting(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Memory holds the beginning of a long queue only: what the store says counts. A link that is gone may have left some."""
        by_link = await reader.read(waiting.by_link)
        told = [{**row, "waiting": by_link.pop(row["name"], 0)} for row in rows]
        known = {link.name for link in links}
        return [*told, *({"name": name, "state": "removed", "waiting": count} for name, count in by_link.items() if name not in known)]

    return [
        Order("GET", "/links", listed),
        Order("GET", "/links/{name}", shown),
        Order("POST", "/links/{name}/start", start),
        Order("POST", "/links/{name}/stop", stop),
        Order("POST", "/links/{name}/drain", drain),
        Order("POST", "/links/{name}/rate", rate),
        Order("POST", "/reload", reread),
    ]


async def _up(link: SmppLink) -> None:
    """Give a bind the moment that it takes, so that the answer tells of it."""
    deadline = link.world.clock.monotonic() + UP_WAIT_S
    while not link.is_up and link.world.clock.monotonic() < deadline:  # noqa: ASYNC110 - only for an operator's order
        await asyncio.sleep(0.02)


def _rate_of(asked: dict[str, Any]) -> float:
    value = asked.get("rate_per_s")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= RATE_MAX:
        raise Refused("bad_request", f"must be a number from 0 to {RATE_MAX}; 0 sets no limit", field="rate_per_s")
    return float(value)
