"""How the gateway is: asked of itself, or, when it does not answer, read from its store; and told in plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from gateway.cli_http import GatewayClient
from gateway.cli_store import reading
from gateway.errors import BellhopError
from gateway.store import queues, receipts

TIMEOUT_S = 3.0


async def ask(url: str) -> dict[str, Any] | None:
    """What the running gateway says of itself; None when no gateway answers there."""
    async with GatewayClient(url, timeout_s=TIMEOUT_S, say=lambda _line: None) as client:
        try:
            ready = await client.get("/readyz")
            if not isinstance(ready.body, dict) or "ready" not in ready.body:
                return None
            told = await client.get("/v1/status")
        except (aiohttp.ClientError, TimeoutError):
            return None
    # A gateway that hides its status, or is older than this command, still says whether it is ready.
    fields = told.body if told.status == 200 and isinstance(told.body, dict) else {}
    return {**fields, "ready": ready.body["ready"] is True, "answers": True, "url": url, "checks": ready.body.get("checks", {})}


def from_store(config: Path) -> dict[str, Any]:
    """What can be said without the gateway."""
    try:
        with reading(config) as opened, opened.engine.begin() as conn:
            queued, parked = queues.count_queued(conn, time.time_ns() // 1000), receipts.count_parked(conn)
    except BellhopError as error:
        return {"store": {"readable": False, "failure": error.lines[0]}}
    return {"store": {"readable": True, "failure": ""}, "queued": queued, "parked_receipts": parked}


def lines_of(found: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    if not found["answers"]:
        yield f"gateway   does not answer at {found['url']}; this is what its store says"
    else:
        version = f" {found['version']}" if found.get("version") else ""
        yield f"gateway{version}   {'ready' if found['ready'] else 'not ready'} at {found['url']}"
    for name, check in _objects(found.get("checks")):
        if not check.get("ok", True):
            yield f"check     {name}: {check.get('detail') or 'not ok'}"
    store = found.get("store")
    if isinstance(store, dict) and store.get("failure"):
        yield f"store     {store['failure']}"
    for link in found.get("links") or ():
        if isinstance(link, dict):
            yield _link_line(link)
    if isinstance(bound := found.get("partners_bound"), list):
        yield f"partners  {', '.join(map(str, bound)) if bound else 'none'} bound"
    for name, words in (("queued", "segments waiting for a link"), ("parked_receipts", "receipts without a message")):
        if name in found:
            yield f"{'queue' if name == 'queued' else 'parked':<9} {found[name]} {words}"


def _objects(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, each in value.items() if isinstance(value, dict) else ():
        if isinstance(each, dict):
            yield str(name), each


def _link_line(link: dict[str, Any]) -> str:
    facts = [f"{link[name]} {words}" for name, words in (("window_free", "free in the window"), ("waiting", "waiting")) if name in link]
    if not link.get("up") and link.get("reason"):
        facts.append(str(link["reason"]))
    return f"link      {link.get('name')}  {'up' if link.get('up') else 'down'}  {', '.join(facts)}"
