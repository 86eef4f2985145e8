"""/v1/ops: what an operator may tell a running gateway. Each call needs the operator's token, which a file on this machine holds."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import orjson
import structlog
from aiohttp import hdrs, web

from gateway.domain.failure import Refused

_log = structlog.get_logger(__name__)
_NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}

# (path parameters, query or JSON body as a dict) -> what is answered as JSON; raises Refused.
Action = Callable[[dict[str, str], dict[str, Any]], Awaitable[Any]]


class Order(NamedTuple):
    """One thing an operator can ask for; `path` is below /v1/ops."""

    method: str
    path: str
    action: Action


def token_hash(token: str) -> bytes:
    """What is kept of the operator's token in memory."""
    return hashlib.sha256(token.encode()).digest()


def add_routes(app: web.Application, expected: bytes, orders: Sequence[Order]) -> None:
    """Put the orders on an app, each behind the token."""
    for order in orders:
        app.router.add_route(order.method, f"/v1/ops{order.path}", _handler(expected, order))


def _handler(expected: bytes, order: Order) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        if not hmac.compare_digest(token_hash(authorization.removeprefix("Bearer ")), expected):
            raise Refused("unauthorized", "this needs the operator's token; it is in the token file beside the configuration")
        asked = await _asked(request)
        answer = await order.action(dict(request.match_info), asked)
        if request.method != hdrs.METH_GET:
            _log.info("operator", order=order.path, method=order.method, subject=list(request.match_info.values()))
        return web.Response(body=orjson.dumps(answer), content_type="application/json", headers=_NO_STORE)

    return handle


async def _asked(request: web.Request) -> dict[str, Any]:
    if request.method == hdrs.METH_GET:
        return dict(request.query)
    body = await request.read()
    try:
        asked = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise Refused("bad_request", "the body is not JSON") from None
    if not isinstance(asked, dict):
        raise Refused("bad_request", "the body is not a JSON object")
    return asked
