"""/v1/ops/receipts: parked receipts matched again, or dismissed."""

from __future__ import annotations

from typing import Any

from gateway.domain.failure import Refused
from gateway.domain.ids import ID_MAX
from gateway.services.replay import Replay
from gateway.store.receipts import Wanted
from gateway.web.control import Order


def orders(replay: Replay) -> list[Order]:
    """What an operator may do about receipts without a message."""

    async def again(_where: dict[str, str], asked: dict[str, Any]) -> Any:
        if "id" in asked:
            return {"outcomes": {await replay.replay_one(_id(asked)): 1}}
        link = asked.get("link")
        if link is not None and not isinstance(link, str):
            raise Refused("bad_request", "link is the name of a link", field="link")
        return {"outcomes": dict(await replay.replay(Wanted(link=link)))}

    async def dismiss(_where: dict[str, str], asked: dict[str, Any]) -> Any:
        await replay.dismiss(_id(asked))
        return {"dismissed": str(_id(asked))}

    return [Order("POST", "/receipts/replay", again), Order("POST", "/receipts/dismiss", dismiss)]


def _id(asked: dict[str, Any]) -> int:
    text = str(asked.get("id", ""))
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= ID_MAX):
        raise Refused("bad_request", "id is the number of a parked receipt", field="id")
    return int(text)
