"""DELETE and PATCH of /v1/messages/{id}: a sender takes a waiting message back, or changes its text or its times."""

from __future__ import annotations

import orjson
from aiohttp import hdrs, web

from gateway.domain.failure import Refused
from gateway.services.ports import Reader
from gateway.services.recall import CANCELLED, Recall
from gateway.store import trace
from gateway.store.trace import Trace
from gateway.web.api import JSON, life_fields, message_id_of
from gateway.web.body import read_body
from gateway.web.intake import Intake, parse
from gateway.web.keys import Caller, Keys
from gateway.web.limits import Limits

_NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}


class RecallApi:
    """The handlers; both answer with the message as it is afterwards."""

    def __init__(self, recall: Recall, reader: Reader, keys: Keys, intake: Intake, limits: Limits) -> None:
        self._recall = recall
        self._reader = reader
        self._keys = keys
        self._intake = intake
        self._limits = limits

    async def delete(self, request: web.Request) -> web.Response:
        """Take a message back; one that was taken back before is answered like that one.

        Clients and proxies repeat a DELETE whose connection broke: the second must not say that it is too late.
        """
        caller = await self._keys.find(request.headers.get(hdrs.AUTHORIZATION))
        life = await self._life(caller, request)
        try:
            await self._recall.cancel(caller.partner.id, str(life.message.id))
        except Refused as refused:
            if refused.reason != "too_late" or not _is_taken_back(await self._life(caller, request)):
                raise
        return await self._answer(caller, request)

    async def patch(self, request: web.Request) -> web.Response:
        """Change a message."""
        caller = await self._keys.find(request.headers.get(hdrs.AUTHORIZATION))
        document = parse(await read_body(request, self._limits))
        change = self._intake.change(document)
        life = await self._life(caller, request)
        await self._recall.replace(caller.partner.id, str(life.message.id), "", change)
        return await self._answer(caller, request)

    async def _answer(self, caller: Caller, request: web.Request) -> web.Response:
        life = await self._life(caller, request)
        return web.Response(body=orjson.dumps(life_fields(life)), content_type=JSON, headers=_NO_STORE)

    async def _life(self, caller: Caller, request: web.Request) -> Trace:
        message_id = message_id_of(request)
        life = await self._reader.read(trace.read, message_id) if message_id else None
        if life is None or life.message.partner_id != caller.partner.id:
            raise Refused("not_found", "there is no such message of yours", field="id")
        return life


def _is_taken_back(life: Trace) -> bool:
    return all(part["error"] == CANCELLED for part in life.parts)
