"""The SMSC simulator's pages of phones and of PDUs, with their API: an aiohttp application on a port of the World's network.

No authentication: it belongs on a loopback address. Writing needs a JSON content type or a method that forms can't send, so a
foreign web page open in the same browser can't write. The page gets its texts as JSON and shows them as text only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import resources
from typing import Final

from aiohttp import web

from gateway.world import Listener, World
from simulators.form import FormError
from simulators.phones import PhoneError
from simulators.smsc import Smsc
from simulators.smsc_api import COALESCE_S, Api, problem
from simulators.smsc_fleet import Fleet
from simulators.smsc_json import BadInput
from simulators.smsc_pdus_api import PdusApi
from simulators.smsc_scenario_api import ScenarioApi

BODY_BYTES_MAX = 256 * 1024
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_KEEPALIVE_S = 15.0
_STOP_S = 1.0

_PAGES: Final = {
    "/": ("phones.html", "text/html"),
    "/phones.js": ("phones.js", "text/javascript"),
    "/phones.css": ("phones.css", "text/css"),
    "/pdus": ("pdus.html", "text/html"),
    "/pdus.js": ("pdus.js", "text/javascript"),
    "/pdus.css": ("pdus.css", "text/css"),
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn bad input into a problem that names its field."""
    try:
        return await handler(request)
    except (BadInput, PhoneError) as error:
        return problem(400, error.reason, error.field)
    except FormError as error:
        return problem(400, str(error), "rule" if request.path == "/api/rules" else error.where)
    except web.HTTPException as error:
        return problem(error.status, error.reason)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


class SmscWeb:
    """Serves one Smsc or several: `await start()`, then `await stop()`."""

    def __init__(self, world: World, smsc: Smsc | Fleet, *, host: str = "127.0.0.1", port: int = 8081) -> None:
        self._world = world
        self._fleet = fleet = smsc if isinstance(smsc, Fleet) else Fleet([smsc])
        self._host = host
        self._port = port
        self._listener: Listener | None = None
        self._is_stopping = False
        self._api = Api(world, fleet)
        self._others = (ScenarioApi(fleet), PdusApi(fleet, self._api))
        folder = resources.files("simulators").joinpath("pages")
        self._files = {path: (folder.joinpath(name).read_bytes(), kind) for path, (name, kind) in _PAGES.items()}
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_STOP_S)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._listener is not None, "start() first"
        return self._listener.port

    async def start(self) -> None:
        """Open the port. Raises OSError."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        self._listener = await self._world.network.listen(server, self._host, self._port)

    async def stop(self) -> None:
        """Close the port and end every request that waits."""
        self._is_stopping = True
        self._api.stop()
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[_guard, self._check_host], client_max_size=BODY_BYTES_MAX)
        app.on_response_prepare.append(_add_headers)
        add = app.router.add_route
        for path in _PAGES:
            add("GET", path, self._file)
        add("GET", "/api/events", self._events)
        for api in (self._api, *self._others):
            api.add_routes(app.router)
        return app

    @web.middleware
    async def _check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """On a loopback address only local names are served: no foreign page may reach us under a name it points here."""
        name = (request.url.host or "").lower()
        if self._host in _LOOPBACK and name not in _LOOPBACK:
            raise web.HTTPForbidden(reason="this page is served under localhost only")
        return await handler(request)

    async def _file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: one `change` whenever the page should look again."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):  # the page was closed
            await response.write(b"retry: 1000\n\n")
            told = self._fleet.bell.rings
            while not self._is_stopping:
                has_rung = self._fleet.bell.rings != told or await self._fleet.bell.wait(_KEEPALIVE_S)
                told = self._fleet.bell.rings
                await response.write(b"event: change\ndata: %d\n\n" % told if has_rung else b": still here\n\n")
                await asyncio.sleep(COALESCE_S)
        return response
