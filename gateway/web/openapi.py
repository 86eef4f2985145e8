"""The OpenAPI 3.1 document, made from the tables that serve: the operations that are routed, and the fields that are parsed.

The answers are pydantic models, which the tests hold every answer against.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import Field
from pydantic.json_schema import models_json_schema

from billing.event import ChargeState
from gateway.domain.message import STATE_NAMES
from gateway.services.parts import ENCODING_NAMES
from gateway.smpp.vendor_tlv import INTEGER, NO_VENDOR_TLVS, OCTETS, VendorTlv, VendorTlvs
from gateway.store.trace import SCHEDULED
from gateway.web import billing_api, intake, problem
from gateway.web.answer import Answer
from gateway.web.limits import Limits
from gateway.web.preview_answers import Preview

StateName = Literal["scheduled", "accepted", "submitting", "submitted", "unknown", "delivered", "failed", "expired"]
EncodingName = Literal["gsm7", "ucs2", "binary"]
ChargeStateName = Literal["held", "captured", "released", "expired", "zero_rated", "suspended"]
assert set(StateName.__args__) == {SCHEDULED, *STATE_NAMES.values()}  # type: ignore[attr-defined]  # what Literal keeps its values in
assert set(EncodingName.__args__) == set(ENCODING_NAMES.values())  # type: ignore[attr-defined]  # as above
assert set(ChargeStateName.__args__) == {state.name.lower() for state in ChargeState}  # type: ignore[attr-defined]  # as above


PREVIEW_PATH = "/v1/messages/preview"


class Price(Answer):
    """What was held for the message; charged when it is delivered."""

    amount_minor: int = Field(description="In minor units")
    currency: str


class Accepted(Answer):
    """A message that is on disk."""

    id: str = Field(pattern="^[0-9]+$", description="63 bits, as a string")
    segments: int = Field(ge=1, le=255)
    encoding: EncodingName
    price: Price


class Problem(Answer):
    """RFC 9457, with the field at fault and a stable word for the reason."""

    type: str
    title: str
    status: int
    detail: str
    field: str = Field(description="Empty when no single field is at fault")
    reason: str


class RefusedMessage(Answer):
    """A message of a batch that was not accepted."""

    error: Problem


class AcceptedBatch(Answer):
    """The messages of a batch, each answered for itself, in order."""

    messages: list[Accepted | RefusedMessage]


class PreviewBatch(Answer):
    """The messages of a batch, each previewed for itself, in order."""

    messages: list[Preview | RefusedMessage]


class Part(Answer):
    """One SMS of a message."""

    number: int
    state: StateName
    link: str
    smsc_id: str | None
    attempts: int
    possible_duplicate: bool
    submitted_at: str | None
    done_at: str | None
    command_status: int | None
    error: str | None


class Charge(Answer):
    """Where the money is."""

    state: ChargeStateName
    amount_minor: int
    currency: str


class Step(Answer):
    """One thing that happened; part 0 is the whole message."""

    at: str
    part: int
    event: str
    detail: str


class Message(Answer):
    """A message's life; its text is not shown."""

    id: str
    state: StateName
    from_: str = Field(alias="from")
    to: str
    service: str
    reference: str | None
    segments: int
    encoding: EncodingName
    accepted_at: str = Field(description="RFC 3339, UTC")
    schedule_at: str | None
    expires_at: str
    possible_duplicate: bool
    parts: list[Part]
    charge: Charge | None
    history: list[Step]


class Wallet(Answer):
    """What a partner has in one currency, in minor units."""

    available_minor: int
    held_minor: int
    posted_minor: int
    currency: str
    limit_minor: int = Field(ge=0, description="Credit: how much more than what is available can be spent")


class Balance(Answer):
    """A partner's first wallet, and all it has; a price is paid from the wallet of its currency."""

    available_minor: int
    held_minor: int
    posted_minor: int
    currency: str
    wallets: list[Wallet]


class Brought(Answer):
    """What a voucher brought."""

    amount_minor: int = Field(gt=0)
    currency: str
    is_new: bool = Field(description="Whether it was redeemed now, and not before by you")
    wallet: Wallet


class ReadinessCheck(Answer):
    """One thing looked at; what is not required does not make us unready."""

    ok: bool
    required: bool
    detail: str


class Readiness(Answer):
    """Whether work may be sent here."""

    ready: bool
    checks: dict[str, ReadinessCheck]


class Liveness(Answer):
    """The process answers."""

    alive: bool


class Operation(NamedTuple):
    """One route: its answers by status, a model or a media type, and the refusals it can give."""

    method: str
    path: str
    id: str
    summary: str
    answers: dict[int, tuple[type[Answer], ...] | str]
    refusals: tuple[int, ...] = ()
    is_public: bool = False
    asks: str = ""  # the schema of its body; empty for a POST: messages


OPERATIONS = (
    Operation(
        "POST",
        "/v1/messages",
        "post_messages",
        "Accept one message, or a batch in one commit; answered once it is on disk",
        {202: (Accepted, AcceptedBatch)},
        (400, 401, 402, 403, 408, 409, 413, 415, 422, 429, 503),
    ),
    Operation(
        "POST",
        PREVIEW_PATH,
        "post_preview",
        "What would become of a message, or of a batch: encoding, segments, price and route; nothing is stored or sent",
        {200: (Preview, PreviewBatch)},
        (400, 401, 403, 408, 413, 415, 422, 503),
    ),
    Operation("GET", "/v1/messages/{id}", "get_message", "A message of yours with its history", {200: (Message,)}, (401, 404, 503)),
    Operation(
        "DELETE",
        "/v1/messages/{id}",
        "delete_message",
        "Take back a message of yours that waits; it ends as failed, and costs nothing",
        {200: (Message,)},
        (401, 404, 409, 503),
    ),
    Operation(
        "PATCH",
        "/v1/messages/{id}",
        "patch_message",
        "Change the text or the times of a message of yours that waits",
        {200: (Message,)},
        (400, 401, 402, 404, 408, 409, 413, 415, 422, 503),
        asks="Change",
    ),
    Operation("GET", "/v1/balance", "get_balance", "Your wallets", {200: (Balance,)}, (401, 503)),
    Operation(
        "POST",
        "/v1/vouchers",
        "post_vouchers",
        "Bring a voucher's value into your wallet of its currency; the same code again is answered the same and brings nothing",
        {200: (Brought,)},
        (400, 401, 408, 413, 415, 422, 429, 503),
        asks="Voucher",
    ),
    Operation("GET", "/v1/openapi.json", "get_openapi", "This document", {200: "application/json"}, is_public=True),
    Operation("GET", "/healthz", "get_healthz", "Whether the process answers", {200: (Liveness,)}, is_public=True),
    Operation("GET", "/readyz", "get_readyz", "Whether work may be sent here", {200: (Readiness,), 503: (Readiness,)}, is_public=True),
    Operation("GET", "/metrics", "get_metrics", "Prometheus metrics", {200: "text/plain"}, (404,), is_public=True),
)
_TITLES = {status.value: status.phrase for status in {*problem.STATUS_BY_REASON.values(), *problem.STATUS_BY_KIND.values()}}


def document(limits: Limits, services: Collection[str], vendor_tlvs: VendorTlvs = NO_VENDOR_TLVS) -> bytes:
    """The whole document as JSON."""
    models: set[type[Answer]] = {
        model for operation in OPERATIONS for answer in operation.answers.values() if not isinstance(answer, str) for model in answer
    }
    models.add(Problem)
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "serialization") for model in ordered], ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, limits.batch_messages_max)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Bellhop", "version": "1", "description": "Send messages to phones, and see what became of them."},
            "servers": [{"url": "/"}],
            "paths": {**paths, **billing_api.paths()},
            "components": {
                "schemas": {
                    "Submission": _submission(services, vendor_tlvs),
                    "Change": _change(),
                    "Voucher": _voucher(),
                    "SubmissionBatch": _batch(limits.batch_messages_max),
                    **schemas["$defs"],
                    **billing_api.schemas(),
                },
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer", "description": "Your API key"},
                    "staff": {"type": "http", "scheme": "bearer", "description": "The key of a member of the billing staff"},
                },
            },
            "security": [{"key": []}],
        }
    )


def _operation(operation: Operation, messages_max: int) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": operation.id, "summary": operation.summary, "responses": _responses(operation)}
    if operation.is_public:
        found["security"] = []
    if operation.asks:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(operation.asks)}}}
    elif operation.method == "POST":
        alternatives = [_ref("Submission"), _ref("SubmissionBatch"), {"type": "array", "maxItems": messages_max, **_batch_items()}]
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"anyOf": alternatives}}}}
        found["parameters"] = [] if operation.path == PREVIEW_PATH else [_IDEMPOTENCY_KEY]
    if "{id}" in operation.path:
        # Any text is answered, with 404 when it is no message's id.
        found["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
    return found


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body is accepted once, and answered the same again (Idempotent-Replay: true)",
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,126}[!-~])?$"},
}


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in operation.answers.items():
        found[str(status)] = {"description": operation.summary, "content": _content(answer)}
    for status in operation.refusals:
        response: dict[str, Any] = {"description": _TITLES[status], "content": {problem.MEDIA_TYPE: {"schema": _ref("Problem")}}}
        if status in (429, 503):
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
        found[str(status)] = response
    return found


def _content(answer: tuple[type[Answer], ...] | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {answer: {"schema": {"type": "object" if answer == "application/json" else "string"}}}
    references = [_ref(model.__name__) for model in answer]
    return {"application/json": {"schema": references[0] if len(references) == 1 else {"anyOf": references}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _submission(services: Collection[str], vendor_tlvs: VendorTlvs) -> dict[str, Any]:
    properties = {field.name: _field(field) for field in intake.FIELDS}
    properties["tlvs"] = {**properties["tlvs"], "properties": {name: _vendor_tlv(each) for name, each in vendor_tlvs.by_name.items()}}
    properties["service"] = {"type": "string", "enum": list(services), "description": properties["service"]["description"]}
    return {
        "type": "object",
        "description": "One message",
        "properties": properties,
        "required": [field.name for field in intake.FIELDS if field.is_required],
        "oneOf": [{"required": ["text"]}, {"required": ["body_hex"]}],
        "additionalProperties": False,
    }


def _field(field: intake.Field) -> dict[str, Any]:
    if field.type is int:
        return {"type": "integer", "minimum": field.least, "maximum": field.most, "description": field.description}
    if field.type is dict:
        return {"type": "object", "maxProperties": field.most, "additionalProperties": False, "description": field.description}
    if field.type is bool:
        return {"type": "boolean", "description": field.description}
    found = {"type": "string", "minLength": field.least, "maxLength": field.most, "description": field.description}
    return {**found, "pattern": f"^({field.pattern})$"}


def _vendor_tlv(known: VendorTlv) -> dict[str, Any]:
    if known.kind == INTEGER:
        return {"type": "integer", "minimum": 0, "maximum": (1 << 8 * known.length_max) - 1}
    if known.kind == OCTETS:
        return {"type": "string", "pattern": f"^([0-9a-fA-F]{{2}}){{1,{known.length_max}}}$"}
    return {"type": "string", "minLength": 1, "maxLength": known.length_max, "pattern": "^[ -~]*$"}


def _change() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "What is to be different; a validity is from the schedule on",
        "properties": {field.name: _field(field) for field in intake.CHANGES},
        "minProperties": 1,
        "additionalProperties": False,
    }


def _voucher() -> dict[str, Any]:
    code = intake.CODE
    return {
        "type": "object",
        "description": "A voucher that you hold",
        "properties": {code.name: _field(code)},
        "required": [code.name],
        "additionalProperties": False,
    }


def _batch_items() -> dict[str, Any]:
    # Each is answered for itself, whatever it is: a list with a bad message in it is a good request.
    return {"items": {"anyOf": [_ref("Submission"), {"description": "Whatever else is answered with its own error"}]}, "minItems": 1}


def _batch(messages_max: int) -> dict[str, Any]:
    messages = {"type": "array", "maxItems": messages_max, **_batch_items()}
    return {"type": "object", "properties": {intake.BATCH: messages}, "required": [intake.BATCH], "additionalProperties": False}
