"""The PDU inspector over the JSON API: what passed, filtered, and one PDU taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.smpp.consts import HEADER_BYTES, status_name
from simulators import smsc_json
from simulators.smsc_api import Api, json_response
from simulators.smsc_dissection import command_name, content_of, fields_of, problem_of
from simulators.smsc_fleet import Fleet
from simulators.smsc_inspector import IN, OUT, Inspector, Seen

_TEXT_CHARACTERS_MAX = 80


class PdusApi:
    """The handlers; `api` knows how to wait."""

    def __init__(self, fleet: Fleet, api: Api) -> None:
        self._fleet = fleet
        self._api = api

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the handlers in their places."""
        router.add_route("GET", "/api/pdus", self._list)
        router.add_route("DELETE", "/api/pdus", self._clear)
        router.add_route("GET", r"/api/pdus/{number:\d{1,18}}", self._one)

    def _inspector(self, request: web.Request) -> Inspector:
        inspector = self._fleet.get(request.query.get("smsc", "")).inspector
        if inspector is None:
            raise web.HTTPNotFound(reason="this SMSC remembers no PDUs: start it with pdus_max above 0")
        return inspector

    async def _list(self, request: web.Request) -> web.Response:
        inspector = self._inspector(request)
        query = request.query
        after = smsc_json.number(query, "after", 0, 0, 10**18 - 1)
        connection = smsc_json.number(query, "connection", 0, 0, 10**18 - 1)
        direction = smsc_json.choice(query, "direction", ("all", IN, OUT))
        only_errors = smsc_json.choice(query, "errors", ("false", "true")) == "true"
        hides_enquire = smsc_json.choice(query, "enquire_link", ("true", "false")) == "false"
        command, contains = query.get("command", ""), query.get("contains", "")

        def is_wanted(seen: Seen) -> bool:
            name = command_name(seen.command_id)
            return (
                seen.number > after
                and (not connection or seen.connection == connection)
                and (direction in ("all", seen.direction))
                and (not command or name.removesuffix("_resp") == command.removesuffix("_resp"))
                and not (hides_enquire and name.startswith("enquire_link"))
                and (not only_errors or is_error(seen))
                and (not contains or contains in _haystack(seen))
            )

        def find() -> list[Seen]:
            return [seen for seen in inspector if is_wanted(seen)]

        return await self._api.wait_for(query, find, summary)

    async def _clear(self, request: web.Request) -> web.Response:
        self._inspector(request).clear()
        self._fleet.bell.ring()
        return web.Response(status=204)

    async def _one(self, request: web.Request) -> web.Response:
        seen = self._inspector(request).get(int(request.match_info["number"]))
        if seen is None:
            raise web.HTTPNotFound(reason="this PDU is forgotten, or has never been")
        return json_response(detail(seen))


def is_error(seen: Seen) -> bool:
    """Whether a frame is spoilt, unreadable, or says an error."""
    if seen.fault or len(seen.frame) < HEADER_BYTES:
        return True
    return seen.frame[8:12] != b"\0\0\0\0" or bool(problem_of(seen.frame))


def _haystack(seen: Seen) -> str:
    found = summary(seen)
    return f"{found['what']} {found['command']} {found['status_name']} {found['label']}"


def summary(seen: Seen) -> dict[str, Any]:
    """One line of the list."""
    frame = seen.frame
    has_header = len(frame) >= HEADER_BYTES
    status = int.from_bytes(frame[8:12], "big") if has_header else 0
    return {
        "number": seen.number,
        "at": smsc_json.time_text(seen.at_us),
        "connection": seen.connection,
        "label": seen.label,
        "direction": seen.direction,
        "command": command_name(seen.command_id) if has_header else "octets",
        "status": status,
        "status_name": status_name(status),
        "sequence": int.from_bytes(frame[12:16], "big") if has_header else 0,
        "octets": len(frame),
        "what": _what(frame),
        "fault": seen.fault,
        "problem": problem_of(frame) if has_header else "shorter than a header",
        "error": is_error(seen),
        "answers": {"number": seen.answers[0], "ms": seen.answers[1] / 1000} if seen.answers else None,
    }


def _what(frame: bytes) -> str:
    """The gist: who to whom, and what."""
    values: Mapping[str, Any] = {part["name"]: part["value"] for part in fields_of(frame)}
    words = [str(values[name]) for name in ("system_id", "message_id") if values.get(name)]
    if "source_addr" in values and "destination_addr" in values:
        words.append(f"{values['source_addr'] or '-'} → {values['destination_addr'] or '-'}")
    content = content_of(frame)
    if "receipt" in content:
        words.append(f"receipt {content['receipt']['state']} for {content['receipt']['id']}")
    elif content:
        text = content["text"] if content["text"] is not None else f"{content['octets']} octets"
        words.append(text if len(text) <= _TEXT_CHARACTERS_MAX else text[:_TEXT_CHARACTERS_MAX] + "…")
    return " · ".join(words)


def detail(seen: Seen) -> dict[str, Any]:
    """One PDU with its fields, its octets in hexadecimal (a password as asterisks), and what it says."""
    parts = fields_of(seen.frame)
    octets = bytearray(seen.frame)
    for part in parts:
        if part["kind"] == "secret":
            octets[part["start"] : part["end"] - 1] = b"*" * (part["end"] - part["start"] - 1)
    return summary(seen) | {"fields": parts, "hex": octets.hex(), "content": content_of(seen.frame)}
