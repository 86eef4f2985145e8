"""Everything /v1/billing answers, and its part of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from gateway.web import problem
from gateway.web.billing_acts import ACTS
from gateway.web.billing_door import PREFIX, BillingOperation
from gateway.web.billing_jobs import JOBS
from gateway.web.billing_lists import LISTS
from gateway.web.billing_reads import READS
from gateway.web.billing_reconciliations import RECONCILIATIONS
from gateway.web.billing_statements import STATEMENTS
from gateway.web.billing_subscriptions import SUBSCRIPTIONS
from gateway.web.billing_suspense import SUSPENSE
from gateway.web.billing_tariffs import TARIFFS
from gateway.web.billing_uploads import UPLOADS

BILLING: tuple[BillingOperation, ...] = (
    *(*READS, *LISTS, *TARIFFS, *STATEMENTS, *SUBSCRIPTIONS, *SUSPENSE),
    *(*ACTS, *UPLOADS, *RECONCILIATIONS, *JOBS),
)

_REFUSALS = {
    "400": "A field is wrong, missing or unknown",
    "401": "The key is not known",
    "403": "The key's owner may not do this",
    "404": "There is no such thing",
    "409": "The books do not allow it, or the reference was used for something else",
    "503": "The store cannot be used at the moment",
}


def paths() -> dict[str, dict[str, Any]]:
    """The paths of the OpenAPI document."""
    found: dict[str, dict[str, Any]] = {}
    for operation in BILLING:
        found.setdefault(f"{PREFIX}{operation.path}", {})[operation.method.lower()] = _described(operation)
    return found


def schemas() -> dict[str, Any]:
    """The bodies that are asked for, by name."""
    found: dict[str, Any] = {}
    for operation in BILLING:
        if operation.asks is not None and operation.method != "GET":
            found[operation.asks.__name__] = operation.asks.model_json_schema(ref_template="#/components/schemas/{model}")
    return found


def _described(operation: BillingOperation) -> dict[str, Any]:
    is_json = operation.media_type == "application/json"
    content = {operation.media_type: {"schema": {"type": "object" if is_json else "string"}}}
    responses: dict[str, Any] = {str(operation.status): {"description": operation.summary, "content": content}}
    for status, description in _REFUSALS.items():
        refusal = {"schema": {"$ref": "#/components/schemas/Problem"}}
        responses[status] = {"description": description, "content": {problem.MEDIA_TYPE: refusal}}
    parameters = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": f"For members of the billing staff who may {operation.scope}.",
        "security": [{"staff": []}],
        "responses": responses,
    }
    if operation.asks is not None and operation.method == "GET":
        parameters.extend(_query(operation))
    elif operation.asks is not None:
        schema: dict[str, Any] = {"$ref": f"#/components/schemas/{operation.asks.__name__}"}
        media_type = "application/json"
        if operation.receive is not None:
            media_type = "multipart/form-data"
            with_file = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
            schema = {"allOf": [schema, with_file]}
        found["requestBody"] = {"required": True, "content": {media_type: {"schema": schema}}}
    if parameters:
        found["parameters"] = parameters
    return found


def _query(operation: BillingOperation) -> list[dict[str, Any]]:
    assert operation.asks is not None
    schema = operation.asks.model_json_schema()
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "description": field.pop("description", ""), "schema": field}
        for name, field in schema["properties"].items()
    ]
