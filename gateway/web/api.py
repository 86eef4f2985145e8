"""The messages API: POST /v1/messages, GET /v1/messages/{id} and GET /v1/balance.

Thin on purpose: a handler reads, makes one call of a service, and writes what came of it. A message is answered once it is on disk.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import hdrs, web
from sqlalchemy import Connection

from billing import accounts
from billing.accounts import Account
from billing.event import ChargeState
from gateway.domain.address import TON_INTERNATIONAL
from gateway.domain.failure import Kind, Refused
from gateway.domain.message import STATE_NAMES, State
from gateway.services.parts import ENCODING_NAMES
from gateway.services.ports import Reader
from gateway.services.reception import Accepted, Answer, Reception, answer_fields
from gateway.services.submit import Submission
from gateway.smpp.vendor_tlv import NO_VENDOR_TLVS, VendorTlvs
from gateway.store import trace
from gateway.store.partners import Partner
from gateway.store.trace import Trace
from gateway.web import problem
from gateway.web.body import read_body
from gateway.web.intake import BATCH, Intake, canonical, parse
from gateway.web.keys import Caller, Keys
from gateway.web.limits import Limits

JSON = "application/json"
IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENCY_KEY_CHARS_MAX = 128
_MESSAGE_ID_MAX = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}
_REPLAYED = {"Idempotent-Replay": "true"}


class NothingAccepted(Exception):
    """Nothing of a request was accepted: it is answered, and its Idempotency-Key stays free for another try."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__("nothing was accepted")
        self.answers = answers


class Api:
    """The handlers."""

    def __init__(self, reception: Reception, reader: Reader, keys: Keys, limits: Limits, vendor_tlvs: VendorTlvs = NO_VENDOR_TLVS) -> None:
        self._reception = reception
        self._reader = reader
        self._keys = keys
        self._limits = limits
        self.intake = Intake(
            reception.catalogue, batch_messages_max=limits.batch_messages_max, now_us=reception.now_us, vendor_tlvs=vendor_tlvs
        )

    async def post(self, request: web.Request) -> web.Response:
        """Accept one message, or up to a thousand in one commit."""
        headers = request.headers
        authorization = headers.get(hdrs.AUTHORIZATION)
        caller = self._keys.recall(authorization) or await self._keys.find(authorization)
        document = parse(await read_body(request, self._limits))
        batch = self.intake.batch_of(document)
        key = headers.get(IDEMPOTENCY_KEY)
        if key is not None:
            return await self._post_once(caller, _checked_key(key), document, batch)
        if batch is not None:
            answers = await self._reception.submit_all([self.intake.submission_or_refusal(caller, message) for message in batch])
            _refuse_if_later_helps(answers)
            return web.Response(body=_batch_body(answers), status=202, content_type=JSON)
        answer = await self._submit(self.intake.submission(caller, document))
        if isinstance(answer, Refused):
            raise answer
        return web.Response(body=_body(answer), status=202, content_type=JSON)

    async def _submit(self, submission: Submission) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            # Cancelled when the server stops; the message is on disk all the same.
            if not answered.done():
                answered.set_result(answer)

        self._reception.submit(submission, done)
        return await answered

    async def _post_once(self, caller: Caller, key: str, document: Any, batch: list[Any] | None) -> web.Response:
        submissions: list[Submission | Refused]
        if batch is None:
            submissions = [self.intake.submission(caller, document)]
        else:
            submissions = [self.intake.submission_or_refusal(caller, message) for message in batch]

        def render(answers: list[Answer]) -> str:
            if not any(isinstance(answer, Accepted) for answer in answers):
                raise NothingAccepted(answers)
            _refuse_if_later_helps(answers, is_any_enough=True)
            return (_body(answers[0]) if batch is None else _batch_body(answers)).decode()  # type: ignore[arg-type]  # accepted, by the line above

        request_hash = hashlib.sha256(canonical(document)).hexdigest()
        try:
            body, is_repeat = await self._reception.submit_once(caller.partner.id, key, request_hash, submissions, render)
        except NothingAccepted as refused:
            return _refusals(refused.answers, is_batch=batch is not None)
        return web.Response(body=body.encode(), status=202, content_type=JSON, headers=_REPLAYED if is_repeat else None)

    async def get(self, request: web.Request) -> web.Response:
        """One message with its history; only the partner who sent it sees it."""
        caller = await self._keys.find(request.headers.get(hdrs.AUTHORIZATION))
        message_id = message_id_of(request)
        life = await self._reader.read(trace.read, message_id) if message_id else None
        if life is None or life.message.partner_id != caller.partner.id:
            raise Refused("not_found", "there is no such message of yours", field="id")
        return web.Response(body=orjson.dumps(life_fields(life)), content_type=JSON, headers=_NO_STORE)

    async def balance(self, request: web.Request) -> web.Response:
        """The caller's wallets: the first one, and all of them."""
        caller = await self._keys.find(request.headers.get(hdrs.AUTHORIZATION))
        found = await self._reader.read(_wallets, caller.partner)
        return web.Response(body=orjson.dumps(found), content_type=JSON, headers=_NO_STORE)


def message_id_of(request: web.Request) -> int:
    """The id in a request's path, 0 for what is none."""
    typed = request.match_info["id"]
    message_id = int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 19 else 0
    return message_id if message_id <= _MESSAGE_ID_MAX else 0


def _checked_key(key: str) -> str:
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        reason = f"must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters"
        raise Refused("bad_field", reason, field=IDEMPOTENCY_KEY)
    return key


def _body(answer: Accepted) -> bytes:
    return orjson.dumps(answer_fields(answer))


def _batch_body(answers: Sequence[Answer]) -> bytes:
    return orjson.dumps(
        {
            BATCH: [
                {"error": problem.fields_of(answer, f"{BATCH}[{place}]")} if isinstance(answer, Refused) else answer_fields(answer)
                for place, answer in enumerate(answers)
            ]
        }
    )


def _refuse_if_later_helps(answers: Sequence[Answer], *, is_any_enough: bool = False) -> None:
    """Refuse a batch as a whole when the same again may be accepted later: nothing of it was (or, under a key, will be) stored."""
    passing = [answer for answer in answers if isinstance(answer, Refused) and answer.kind is not Kind.PERMANENT]
    if passing and (is_any_enough or len(passing) == len(answers)):
        raise passing[0]


def _refusals(answers: Sequence[Answer], *, is_batch: bool) -> web.Response:
    if not is_batch:
        assert isinstance(answers[0], Refused)
        return problem.response(answers[0])
    _refuse_if_later_helps(answers, is_any_enough=True)
    return web.Response(body=_batch_body(answers), status=202, content_type=JSON)


def _wallets(conn: Connection, partner: Partner) -> dict[str, Any]:
    found = accounts.of_party(conn, f"partner:{partner.name}")
    first = wallet_fields(next(each for each in found if each.id == partner.wallet))
    del first["limit_minor"]
    return {**first, "wallets": [wallet_fields(each) for each in found]}


def wallet_fields(each: Account) -> dict[str, Any]:
    """A wallet as JSON."""
    return {
        "available_minor": each.posted_minor - each.held_minor,
        "held_minor": each.held_minor,
        "posted_minor": each.posted_minor,
        "currency": each.currency,
        "limit_minor": each.limit_minor,
    }


# -- a message's life as JSON -----------------------------------------------------------------------------------------------


def life_fields(life: Trace) -> dict[str, Any]:
    """All there is to see of a message, its text apart."""
    message, charge = life.message, life.charge
    return {
        "id": str(message.id),
        "state": life.state_name,
        "from": _shown(message.source, message.source_ton),
        "to": _shown(message.destination, message.destination_ton),
        "service": message.service,
        "reference": message.reference,
        "segments": message.segments,
        "encoding": ENCODING_NAMES[message.encoding],
        "accepted_at": rfc3339(message.accepted_at),
        "schedule_at": rfc3339(life.schedule_at),
        "expires_at": rfc3339(message.expires_at),
        "possible_duplicate": any(part["is_possible_duplicate"] for part in life.parts),
        "parts": [_part_fields(part, part["id"] - message.id) for part in life.parts],
        "charge": None
        if charge is None
        else {
            "state": ChargeState(charge["state"]).name.lower(),
            "amount_minor": charge["amount_minor"],
            "currency": charge["currency"],
        },
        "history": [{"at": rfc3339(step.at), "part": step.part, "event": step.event, "detail": step.detail} for step in life.history],
    }


def _part_fields(part: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "number": number,
        "state": STATE_NAMES[State(part["state"])],
        "link": part["link"],
        "smsc_id": part["smsc_id"],
        "attempts": part["attempts"],
        "possible_duplicate": bool(part["is_possible_duplicate"]),
        "submitted_at": rfc3339(part["submitted_at"]),
        "done_at": rfc3339(part["done_at"]),
        "command_status": part["status"],
        "error": part["error"],
    }


def rfc3339(at_us: int | None) -> str | None:
    """UTC microseconds as RFC 3339."""
    return None if at_us is None else (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _shown(digits: str, ton: int) -> str:
    return f"+{digits}" if ton == TON_INTERNATIONAL else digits
