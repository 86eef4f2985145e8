"""The HTTP server: routes on an aiohttp application, served through a World's network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from gateway.domain.failure import Refused
from gateway.services.ports import Reader
from gateway.services.recall import Recall
from gateway.services.reception import Reception
from gateway.services.redeeming import Redeeming
from gateway.smpp.vendor_tlv import NO_VENDOR_TLVS, VendorTlvs
from gateway.store.partners import Partner
from gateway.web import problem
from gateway.web.api import Api
from gateway.web.keys import Keys
from gateway.web.limits import Door, Limits
from gateway.web.openapi import OPERATIONS, document
from gateway.web.ops import Check, Ops
from gateway.web.preview import PreviewApi
from gateway.web.recall import RecallApi
from gateway.web.vouchers import VoucherApi
from gateway.world import Listener, World

SHUTDOWN_S_MAX = 5.0
# Of a body that nobody wants, so much time is spent on reading it, for a client that only reads its answer after writing all.
LINGER_S = 2.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AppHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
# (route, status, seconds) of each request answered
Observe = Callable[[str, int, float], None]

_BOUNDARY: web.AppKey[Callable[[AppHandler], AppHandler]] = web.AppKey("boundary")

_log = structlog.get_logger("gateway.web")


def make_app(
    world: World,
    reception: Reception,
    reader: Reader,
    recall: Recall,
    redeeming: Redeeming,
    *,
    checks: Callable[[], Sequence[Check]],
    metrics: Callable[[], bytes] | None,
    limits: Limits,
    observe: Observe | None = None,
    add_pages: Sequence[Callable[[web.Application], None]] = (),
    learn: Callable[[Partner], object] | None = None,
    vendor_tlvs: VendorTlvs = NO_VENDOR_TLVS,
) -> web.Application:
    """The application with the API, its description and the health endpoints; each of `add_pages` adds routes of its own.

    `learn` hears of each partner that was just read.
    """
    keys = Keys(reader, world.clock, learn=learn)
    api = Api(reception, reader, keys, limits, vendor_tlvs)
    recall_api = RecallApi(recall, reader, keys, api.intake, limits)
    ops = Ops(checks, metrics)
    description = document(limits, reception.catalogue.services, vendor_tlvs)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    handlers: dict[str, Handler] = {
        "post_messages": api.post,
        "post_preview": PreviewApi(reception, keys, limits, api.intake).post,
        "get_message": api.get,
        "delete_message": recall_api.delete,
        "patch_message": recall_api.patch,
        "get_balance": api.balance,
        "post_vouchers": VoucherApi(redeeming, keys, limits).post,
        "get_healthz": ops.healthz,
        "get_readyz": ops.readyz,
        "get_metrics": ops.metrics,
        "get_openapi": openapi,
    }
    app = web.Application(client_max_size=limits.body_bytes_max)
    app[_BOUNDARY] = _boundary(world, observe)
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, handlers.pop(operation.id))
    assert not handlers, "every handler has its operation in the OpenAPI document"
    for add in add_pages:
        add(app)
    return app


def _boundary(world: World, observe: Observe | None) -> Callable[[AppHandler], AppHandler]:
    """Wraps the whole application: here refusals become answers, and nothing unexpected gets past.

    Not a middleware, of which aiohttp would make three calls for each request.
    """
    monotonic = world.clock.monotonic

    def around(handler: AppHandler) -> AppHandler:
        async def boundary(request: web.BaseRequest) -> web.StreamResponse:
            begun_s = monotonic()
            try:
                response = await handler(request)
            except Refused as refused:
                response = problem.response(refused)
            except web.HTTPException as error:
                if error.status < HTTPStatus.BAD_REQUEST:
                    raise
                response = problem.response(problem.of_http_error(error))
                if hdrs.ALLOW in error.headers:
                    response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
            except Exception as error:  # noqa: BLE001 - the last door before the peer: it gets an answer, and the log gets the error
                response = _incident(str(world.next_id()), request, error)
            if observe is not None:
                observe(_route(request), response.status, monotonic() - begun_s)
            return response

        return boundary

    return around


def _incident(number: str, request: web.BaseRequest, error: Exception) -> web.Response:
    _log.error("request failed", incident=number, method=request.method, route=_route(request), exc_info=error)
    return problem.response(Refused("internal", f"something went wrong here; it is in the log as incident {number}"))


def _route(request: web.BaseRequest) -> str:
    """The route's pattern, never the path: a label may not be chosen by the peer."""
    assert isinstance(request, web.Request)
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


class WebListener:
    """The open door; closing it lets requests that are under way finish."""

    def __init__(self, runner: web.AppRunner, listener: Listener) -> None:
        self._runner = runner
        self._listener = listener

    @property
    def port(self) -> int:
        return self._listener.port

    def close(self) -> None:
        """Take no new connections."""
        self._listener.close()

    async def wait_closed(self) -> None:
        """Finish what is under way, then close the connections and the application."""
        await self._listener.wait_closed()
        await self._runner.cleanup()


async def serve(world: World, app: web.Application, host: str, port: int, limits: Limits) -> WebListener:
    """Open the door; raises OSError when the address cannot be had."""
    # Bodies stay compressed as they came: a handler that wants none must not pay for a bomb.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S_MAX)
    await runner.setup()
    assert runner.server is not None
    if _BOUNDARY in app:
        runner.server.request_handler = app[_BOUNDARY](runner.server.request_handler)
    door = Door(
        runner.server,
        limits,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=limits.keep_alive_s,
        lingering_time=LINGER_S,
    )
    try:
        listener = await world.network.listen(door, host, port)
    except OSError:
        await runner.cleanup()
        raise
    return WebListener(runner, listener)
