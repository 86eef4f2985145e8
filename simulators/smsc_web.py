"""The SMSC simulator's page of virtual phones and its JSON API: an aiohttp application behind a port of the World's network.

No authentication: it belongs on a loopback address. Writing needs a JSON content type or a method that forms can't send, so a
foreign web page open in the same browser can't write. The page gets its texts as JSON and shows them as text only.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import resources
from typing import Any, Final

from aiohttp import web

from gateway.world import Listener, World
from simulators import smsc_json
from simulators.phones import RECEIVED, SENT, Message, PhoneError, msisdn_of
from simulators.smsc import Smsc
from simulators.smsc_json import BadInput
from simulators.smsc_messages import Taken
from simulators.smsc_rules import Rule, RuleError, parse_rule, rule_document

WAIT_S_MAX = 300.0
LIST_MAX = 10_000
BODY_BYTES_MAX = 256 * 1024
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_COALESCE_S = 0.05
_KEEPALIVE_S = 15.0
_STOP_S = 1.0

_PAGES: Final = {
    "/": ("phones.html", "text/html"),
    "/phones.js": ("phones.js", "text/javascript"),
    "/phones.css": ("phones.css", "text/css"),
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _json(document: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    return web.Response(text=json.dumps(document, ensure_ascii=False), status=status, content_type=content_type)


def _problem(status: int, title: str, field: str = "", **more: object) -> web.Response:
    document: dict[str, object] = {"title": title, "status": status} | ({"field": field} if field else {}) | more
    return _json(document, status, "application/problem+json")


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn bad input into a problem that names its field."""
    try:
        return await handler(request)
    except (BadInput, PhoneError) as error:
        return _problem(400, error.reason, error.field)
    except RuleError as error:
        return _problem(400, str(error), "rule")
    except web.HTTPException as error:
        return _problem(error.status, error.reason)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _body(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="the content type must be application/json")
    try:
        return json.loads(await request.text())
    except (ValueError, RecursionError):
        raise BadInput("body", "the body is not JSON") from None


async def _object(request: web.Request) -> Mapping[str, object]:
    document = await _body(request)
    if not isinstance(document, dict):
        raise BadInput("body", "the body must be an object")
    return document


class SmscWeb:
    """Serves one Smsc: `await start()`, then `await stop()`."""

    def __init__(self, world: World, smsc: Smsc, *, host: str = "127.0.0.1", port: int = 8081) -> None:
        self._world = world
        self._smsc = smsc
        self._host = host
        self._port = port
        self._listener: Listener | None = None
        self._is_stopping = False
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
        self._smsc.bell.ring()
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[_guard, self._check_host], client_max_size=BODY_BYTES_MAX)
        app.on_response_prepare.append(_add_headers)
        add = app.router.add_route
        for path in _PAGES:
            add("GET", path, self._file)
        add("GET", "/api/status", self._status)
        add("GET", "/api/events", self._events)
        add("GET", "/api/phones", self._phones)
        add("POST", "/api/phones", self._add_phone)
        add("GET", "/api/phones/{msisdn}/messages", self._phone_messages)
        add("POST", "/api/phones/{msisdn}/messages", self._write)
        add("GET", "/api/messages", self._messages)
        add("DELETE", "/api/messages", self._clear)
        add("GET", "/api/rules", self._rules)
        add("POST", "/api/rules", self._add_rules)
        add("PUT", "/api/rules", self._replace_rules)
        add("DELETE", "/api/rules", self._reset_rules)
        add("DELETE", "/api/binds", self._drop_binds)
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

    # Phones.

    async def _phones(self, request: web.Request) -> web.Response:
        return _json([smsc_json.phone_document(phone) for phone in self._smsc.phones])

    async def _add_phone(self, request: web.Request) -> web.Response:
        phone = self._smsc.phones.add(smsc_json.text_of(await _object(request), "msisdn"))
        self._smsc.bell.ring()
        return _json(smsc_json.phone_document(phone), 201)

    async def _phone_messages(self, request: web.Request) -> web.Response:
        msisdn = request.match_info["msisdn"]
        if self._smsc.phones.get(msisdn) is None:  # else a destination as odd as some ESME wrote it
            msisdn = msisdn_of(msisdn)
        query = request.query
        direction = smsc_json.choice(query, "direction", (RECEIVED, SENT, "all"))
        after = smsc_json.number(query, "after", 0, 0, 10**18 - 1)
        is_growing_shown = smsc_json.choice(query, "incomplete", ("false", "true")) == "true"
        contains, peer = query.get("contains", ""), query.get("peer", "")

        def matches(message: Message) -> bool:
            return (
                (direction in ("all", message.direction))
                and (message.id is None or message.id > after)
                and (not contains or contains in (message.text or ""))
                and (not peer or message.peer == peer)
            )

        def find() -> list[Message]:
            phone = self._smsc.phones.get(msisdn)
            if phone is None:
                return []
            growing = phone.incomplete() if is_growing_shown else []
            return [message for message in (*phone.messages, *growing) if matches(message)]

        return await self._wait_for(query, find, smsc_json.message_document)

    async def _write(self, request: web.Request) -> web.Response:
        document = await _object(request)
        message = self._smsc.send_mo(request.match_info["msisdn"], smsc_json.text_of(document, "to"), smsc_json.text_of(document, "text"))
        return _json(smsc_json.message_document(message), 202)

    # Messages.

    async def _messages(self, request: web.Request) -> web.Response:
        query = request.query
        to, source = query.get("to", "").strip().removeprefix("+"), query.get("from", "").strip()
        contains, after = query.get("contains", ""), query.get("after", "")

        def matches(taken: Taken) -> bool:
            return (
                (not to or taken.pdu.destination_addr.removeprefix("+") == to)
                and (not source or taken.pdu.source_addr == source)
                and (not contains or contains in (taken.text() or ""))
            )

        def find() -> list[Taken]:
            found = list(self._smsc.log)
            seen = self._smsc.log.get(after) if after else None
            if seen is not None:
                found = found[found.index(seen) + 1 :]
            return [taken for taken in found if matches(taken)]

        return await self._wait_for(query, find, smsc_json.taken_document)

    async def _clear(self, request: web.Request) -> web.Response:
        self._smsc.log.clear()
        self._smsc.phones.clear()
        self._smsc.bell.ring()
        return web.Response(status=204)

    async def _wait_for(
        self, query: Mapping[str, str], find: Callable[[], list[Any]], render: Callable[[Any], dict[str, Any]]
    ) -> web.Response:
        """Answer with what is found, as soon as there are `count` of them; 408 with what there is when `wait` is over."""
        wait_s = smsc_json.seconds(query, "wait", WAIT_S_MAX)
        count = smsc_json.number(query, "count", 1, 1, LIST_MAX)
        limit = smsc_json.number(query, "limit", 1_000, 1, LIST_MAX)
        deadline = self._world.clock.monotonic() + wait_s
        found = find()
        while len(found) < count and wait_s and not self._is_stopping:
            left_s = deadline - self._world.clock.monotonic()
            if left_s <= 0:
                documents = [render(each) for each in found[-limit:]]
                return _problem(408, f"{len(found)} of {count} messages came in {wait_s:g} s", messages=documents)
            if await self._smsc.bell.wait(left_s):
                # Many rings a second make one look.
                await asyncio.sleep(min(_COALESCE_S, left_s))
            found = find()
        return _json([render(each) for each in found[-limit:]])

    # Rules, binds, status.

    async def _rules(self, request: web.Request) -> web.Response:
        return _json([rule_document(rule) for rule in self._smsc.rules.rules])

    async def _add_rules(self, request: web.Request) -> web.Response:
        self._smsc.rules.put_first(_parse_rules(await _body(request)))
        return _json([rule_document(rule) for rule in self._smsc.rules.rules], 201)

    async def _replace_rules(self, request: web.Request) -> web.Response:
        self._smsc.rules.replace(_parse_rules(await _body(request)))
        return await self._rules(request)

    async def _reset_rules(self, request: web.Request) -> web.Response:
        self._smsc.rules.replace(self._smsc.config.rules)
        return await self._rules(request)

    async def _drop_binds(self, request: web.Request) -> web.Response:
        how = smsc_json.choice(request.query, "how", ("unbind", "reset"))
        system_id = request.query.get("system_id", "")
        dropped = [session for session in self._smsc.sessions if session.is_bound and system_id in ("", session.system_id)]
        for session in dropped:
            session.unbind() if how == "unbind" else session.abort()
        return _json({"dropped": len(dropped)})

    async def _status(self, request: web.Request) -> web.Response:
        return _json(status_document(self._smsc))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: one `change` whenever the page should look again."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):  # the page was closed
            await response.write(b"retry: 1000\n\n")
            told = self._smsc.bell.rings
            while not self._is_stopping:
                has_rung = self._smsc.bell.rings != told or await self._smsc.bell.wait(_KEEPALIVE_S)
                told = self._smsc.bell.rings
                await response.write(b"event: change\ndata: %d\n\n" % told if has_rung else b": still here\n\n")
                await asyncio.sleep(_COALESCE_S)
        return response


def _parse_rules(document: object) -> list[Rule]:
    return [parse_rule(each) for each in (document if isinstance(document, list) else [document])]


def status_document(smsc: Smsc) -> dict[str, Any]:
    """Binds and counters, as /api/status gives them."""
    return {
        "smsc_id": smsc.config.smsc_id,
        "port": smsc.port,
        "started_at": smsc_json.time_text(smsc.started_at_us),
        "binds": [
            {
                "system_id": session.system_id,
                "state": session.session.state.value,
                "bound_at": smsc_json.time_text(session.bound_at_us),
                "submits": session.submits,
                "in_flight": session.session.in_flight,
                "waiting": len(session.waiting),
            }
            for session in smsc.sessions
            if session.is_bound
        ],
        "counts": asdict(smsc.counts),
        "deliveries": asdict(smsc.deliveries.counts) | {"held": smsc.deliveries.held, "waiting": smsc.deliveries.waiting},
        "planned": len(smsc.timeline),
        "messages": len(smsc.log),
        "phones": len(smsc.phones),
    }
