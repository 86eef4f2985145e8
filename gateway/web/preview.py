"""POST /v1/messages/preview: what would become of messages; nothing is stored, held or sent."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import hdrs, web

from gateway.domain.failure import Refused
from gateway.services.preview import Preview
from gateway.services.reception import Reception
from gateway.web import problem
from gateway.web.body import read_body
from gateway.web.intake import BATCH, Intake, parse
from gateway.web.keys import Caller, Keys
from gateway.web.limits import Limits

_HEADERS = {hdrs.CACHE_CONTROL: "no-store"}


class PreviewApi:
    """The handler."""

    def __init__(self, reception: Reception, keys: Keys, limits: Limits, intake: Intake) -> None:
        self._reception = reception
        self._keys = keys
        self._limits = limits
        self._intake = intake

    async def post(self, request: web.Request) -> web.Response:
        """The same body as POST /v1/messages; each message of a batch is answered for itself."""
        caller = await self._keys.find(request.headers.get(hdrs.AUTHORIZATION))
        document = parse(await read_body(request, self._limits))
        batch = self._intake.batch_of(document)
        found = self._preview(caller, document) if batch is None else {BATCH: [self._answer(caller, *each) for each in enumerate(batch)]}
        return web.Response(body=orjson.dumps(found), content_type="application/json", headers=_HEADERS)

    def _answer(self, caller: Caller, place: int, message: Any) -> dict[str, Any]:
        try:
            return self._preview(caller, message)
        except Refused as refused:
            return {"error": problem.fields_of(refused, f"{BATCH}[{place}]")}

    def _preview(self, caller: Caller, message: Any) -> dict[str, Any]:
        return preview_fields(self._reception.preview(self._intake.submission(caller, message)))


def preview_fields(preview: Preview) -> dict[str, Any]:
    """A preview as JSON fields."""
    replacing, route = preview.replacing, preview.route
    return {
        "encoding": preview.encoding,
        "unit": preview.unit,
        "tables": preview.tables,
        "data_coding": preview.data_coding,
        "message_class": preview.message_class,
        "segments": len(preview.segments),
        "parts": [each._asdict() for each in preview.segments],
        "forced_by": [
            {"position": each.position, "character": each.char, "code_point": f"U+{ord(each.char):04X}", "suggestion": each.suggestion}
            for each in preview.forcing
        ],
        "forced_by_count": preview.forcing_count,
        "replacement": None
        if replacing is None
        else {
            "applied": replacing.is_applied,
            "changes": [{"position": each.position, "character": each.char, "by": each.by} for each in replacing.changes],
            "encoding": replacing.encoding,
            "segments": replacing.segments,
        },
        "price": {"amount_minor": preview.price_minor, "currency": preview.currency},
        "route": {
            "link": route.link,
            "rule": route.rule,
            "why": list(route.why),
            "sender": route.sender.digits_or_name if route.sender is not None else "",
        },
    }
