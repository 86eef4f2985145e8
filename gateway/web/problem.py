"""Refusals as problem+json (RFC 9457): one table says which status a reason has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from gateway.domain.failure import Kind, Refused

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

STATUS_BY_REASON: dict[str, HTTPStatus] = {
    "bad_json": HTTPStatus.BAD_REQUEST,
    "bad_field": HTTPStatus.BAD_REQUEST,
    "unknown_field": HTTPStatus.BAD_REQUEST,
    "bad_request": HTTPStatus.BAD_REQUEST,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "no_credit": HTTPStatus.PAYMENT_REQUIRED,
    "no_wallet": HTTPStatus.PAYMENT_REQUIRED,
    "opted_out": HTTPStatus.FORBIDDEN,
    "sender_not_allowed": HTTPStatus.FORBIDDEN,
    "destination_not_allowed": HTTPStatus.FORBIDDEN,
    "service_not_allowed": HTTPStatus.FORBIDDEN,
    "priority_not_allowed": HTTPStatus.FORBIDDEN,
    "blocked": HTTPStatus.FORBIDDEN,
    "not_allowed": HTTPStatus.FORBIDDEN,
    "refused": HTTPStatus.CONFLICT,
    "blocked_sender": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "too_slow": HTTPStatus.REQUEST_TIMEOUT,
    "key_reused": HTTPStatus.CONFLICT,
    "too_late": HTTPStatus.CONFLICT,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "bad_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "header_too_large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
}
STATUS_BY_KIND: dict[Kind, HTTPStatus] = {
    Kind.PERMANENT: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.TEMPORARY: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.UNKNOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}
# After these the rest of the request is not read, so the connection cannot carry another one.
_CLOSING = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE})


def status_of(refused: Refused) -> HTTPStatus:
    """The HTTP status of a refusal."""
    return STATUS_BY_REASON.get(refused.reason) or STATUS_BY_KIND[refused.kind]


def fields_of(refused: Refused, prefix: str = "") -> dict[str, Any]:
    """The members of the problem; `prefix` places the field in a batch: messages[3]."""
    status = status_of(refused)
    field = refused.field
    return {
        "type": f"urn:bellhop:problem:{refused.reason}",
        "title": status.phrase,
        "status": status.value,
        "detail": refused.text,
        "field": f"{prefix}.{field}" if prefix and field else prefix or field,
        "reason": refused.reason,
    }


def response(refused: Refused, headers: Mapping[str, str] | None = None) -> web.Response:
    """A refusal as an answer, which no cache may keep."""
    status = status_of(refused)
    answer = web.Response(body=orjson.dumps(fields_of(refused)), status=status.value, content_type=MEDIA_TYPE, headers=headers)
    answer.headers[hdrs.CACHE_CONTROL] = "no-store"
    if refused.kind is not Kind.PERMANENT:
        answer.headers[hdrs.RETRY_AFTER] = str(math.ceil(refused.retry_after_s) or RETRY_AFTER_S)
    if status is HTTPStatus.UNAUTHORIZED:
        answer.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="bellhop"'
    if status in _CLOSING:
        answer.force_close()
    return answer


def of_http_error(error: web.HTTPException) -> Refused:
    """What the router found wrong, as a refusal."""
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return Refused("method_not_allowed", "this address does not answer that method; see the Allow header")
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Refused("too_large", "the request's body is larger than this server accepts")
    if error.status == HTTPStatus.NOT_FOUND:
        return Refused("not_found", "there is nothing at this address")
    return Refused("bad_request", error.reason)
