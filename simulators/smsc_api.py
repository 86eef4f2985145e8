"""The JSON API of the SMSC simulator: phones, messages, rules, binds, status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web

from gateway.world import World
from simulators import smsc_json
from simulators.phones import RECEIVED, SENT, Message, msisdn_of
from simulators.smsc import Smsc
from simulators.smsc_fleet import Fleet
from simulators.smsc_json import BadInput
from simulators.smsc_messages import Taken
from simulators.smsc_rules import parse_rules, rule_document

WAIT_S_MAX = 300.0
LIST_MAX = 10_000
# Many changes a second make one look.
COALESCE_S = 0.05


def json_response(document: object, status: int = 200, content_type: str = "application/json") -> web.Response:
    return web.Response(text=json.dumps(document, ensure_ascii=False), status=status, content_type=content_type)


def problem(status: int, title: str, field: str = "", **more: object) -> web.Response:
    document: dict[str, object] = {"title": title, "status": status} | ({"field": field} if field else {}) | more
    return json_response(document, status, "application/problem+json")


async def body_of(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="the content type must be application/json")
    try:
        return json.loads(await request.text())
    except (ValueError, RecursionError):
        raise BadInput("body", "the body is not JSON") from None


async def object_of(request: web.Request) -> Mapping[str, object]:
    document = await body_of(request)
    if not isinstance(document, dict):
        raise BadInput("body", "the body must be an object")
    return document


class Api:
    """The handlers; `stop()` lets every request that waits answer with what there is."""

    def __init__(self, world: World, fleet: Fleet) -> None:
        self._world = world
        self._fleet = fleet
        self._is_stopping = False

    def _of(self, request: web.Request) -> Smsc:
        """The SMSC that a request is about: `?smsc=NAME`, else the first."""
        return self._fleet.get(request.query.get("smsc", ""))

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the handlers in their places."""
        add = router.add_route
        add("GET", "/api/status", self._status)
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

    def stop(self) -> None:
        self._is_stopping = True
        self._fleet.bell.ring()

    # Phones.

    async def _phones(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        return json_response([smsc_json.phone_document(phone) for phone in smsc.phones])

    async def _add_phone(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        phone = smsc.phones.add(smsc_json.text_of(await object_of(request), "msisdn"))
        smsc.bell.ring()
        return json_response(smsc_json.phone_document(phone), 201)

    async def _phone_messages(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        msisdn = request.match_info["msisdn"]
        if smsc.phones.get(msisdn) is None:  # else a destination as odd as some ESME wrote it
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
            phone = smsc.phones.get(msisdn)
            if phone is None:
                return []
            growing = phone.incomplete() if is_growing_shown else []
            return [message for message in (*phone.messages, *growing) if matches(message)]

        return await self.wait_for(query, find, smsc_json.message_document)

    async def _write(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        document = await object_of(request)
        message = smsc.send_mo(request.match_info["msisdn"], smsc_json.text_of(document, "to"), smsc_json.text_of(document, "text"))
        return json_response(smsc_json.message_document(message), 202)

    # Messages.

    async def _messages(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
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
            found = list(smsc.log)
            seen = smsc.log.get(after) if after else None
            if seen is not None:
                found = found[found.index(seen) + 1 :]
            return [taken for taken in found if matches(taken)]

        return await self.wait_for(query, find, smsc_json.taken_document)

    async def _clear(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        smsc.log.clear()
        smsc.phones.clear()
        smsc.bell.ring()
        return web.Response(status=204)

    async def wait_for(
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
                return problem(408, f"{len(found)} of {count} messages came in {wait_s:g} s", messages=documents)
            if await self._fleet.bell.wait(left_s):
                await asyncio.sleep(min(COALESCE_S, left_s))
            found = find()
        return json_response([render(each) for each in found[-limit:]])

    # Rules, binds, status.

    async def _rules(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        return json_response([rule_document(rule) for rule in smsc.rules.rules])

    async def _add_rules(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        smsc.rules.put_first(parse_rules(await body_of(request)))
        return json_response([rule_document(rule) for rule in smsc.rules.rules], 201)

    async def _replace_rules(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        smsc.rules.replace(parse_rules(await body_of(request)))
        return await self._rules(request)

    async def _reset_rules(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        smsc.rules.replace(smsc.config.rules)
        return await self._rules(request)

    async def _drop_binds(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        how = smsc_json.choice(request.query, "how", ("unbind", "reset"))
        system_id = request.query.get("system_id", "")
        dropped = [session for session in smsc.sessions if session.is_bound and system_id in ("", session.system_id)]
        for session in dropped:
            session.unbind() if how == "unbind" else session.abort()
        return json_response({"dropped": len(dropped)})

    async def _status(self, request: web.Request) -> web.Response:
        smsc = self._of(request)
        return json_response(status_document(smsc) | {"smscs": list(self._fleet.names)})


def status_document(smsc: Smsc) -> dict[str, Any]:
    """Binds and counters, as /api/status gives them."""
    return {
        "name": smsc.config.name,
        "smsc_id": smsc.config.smsc_id,
        "seed": smsc.seed,
        "scenario_s": round(smsc.scenario_s, 3),
        "port": smsc.port,
        "started_at": smsc_json.time_text(smsc.started_at_us),
        "binds": [
            {
                "connection": session.number,
                "system_id": session.system_id,
                "state": session.session.state.value,
                "bound_at": smsc_json.time_text(session.bound_at_us),
                "mute": session.is_mute,
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
