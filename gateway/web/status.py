"""GET /v1/status: how the gateway stands, for `bellhop status` and for people; names and counts only, nothing of anyone's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web


def add_routes(app: web.Application, status: Callable[[], Mapping[str, Any]]) -> None:
    """Put the status on an app."""

    async def get(_request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(dict(status())), content_type="application/json", headers={"Cache-Control": "no-store"})

    app.router.add_get("/v1/status", get)
