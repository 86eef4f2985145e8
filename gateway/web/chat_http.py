"""What the chat's HTTP routes share: who asks, from which page, and how a refusal is answered (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from yarl import URL

from gateway.connectors.embedded import Messenger, Session
from gateway.domain.failure import Kind, Refused
from gateway.web.chat_frames import Json, dump, parse_object, refused_json

COOKIE = "bellhop_chat"
BODY_BYTES_MAX = 16_384

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUS_BY_REASON = {
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "no_credit": HTTPStatus.PAYMENT_REQUIRED,
    "no_wallet": HTTPStatus.PAYMENT_REQUIRED,
    "registration_closed": HTTPStatus.FORBIDDEN,
    "foreign_page": HTTPStatus.FORBIDDEN,
    "opted_out": HTTPStatus.FORBIDDEN,
    "blocked": HTTPStatus.FORBIDDEN,
    "not_friends": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "client_id_reused": HTTPStatus.CONFLICT,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "bad_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "bad_json": HTTPStatus.BAD_REQUEST,
    "bad_field": HTTPStatus.BAD_REQUEST,
}
_STATUS_BY_KIND = {
    Kind.THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.TEMPORARY: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.UNKNOWN: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.PERMANENT: HTTPStatus.UNPROCESSABLE_ENTITY,
}
RETRY_AFTER_S = 2


def problem(refused: Refused) -> web.Response:
    """A refusal as application/problem+json."""
    status = _STATUS_BY_REASON.get(refused.reason) or _STATUS_BY_KIND[refused.kind]
    body: Json = {"type": f"urn:bellhop:problem:{refused.reason}", "title": status.phrase, "status": status.value, "detail": refused.text}
    body |= refused_json(refused)
    headers = {hdrs.CACHE_CONTROL: "no-store"}
    if refused.kind is not Kind.PERMANENT:
        headers[hdrs.RETRY_AFTER] = str(math.ceil(refused.retry_after_s) or RETRY_AFTER_S)
    if status is HTTPStatus.UNAUTHORIZED:
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return web.Response(status=status, text=dump(body), content_type="application/problem+json", headers=headers)


def answer(body: Json, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """A JSON answer, which no cache may keep."""
    return web.Response(status=status, text=dump(body), content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"})


def refusing(handler: Handler) -> Handler:
    """The handler, its refusals answered as problems."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return problem(refused)

    return handle


async def read_object(request: web.Request) -> Json:
    """The request's JSON object. Only application/json is read: another page's form cannot send that."""
    check_origin(request)
    if request.content_type != "application/json":
        raise Refused("bad_media_type", "the body must be application/json")
    if request.content_length is not None and request.content_length > BODY_BYTES_MAX:
        raise Refused("too_large", f"the body may have {BODY_BYTES_MAX} bytes")
    body = bytearray()
    async for chunk in request.content.iter_chunked(BODY_BYTES_MAX):
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refused("too_large", f"the body may have {BODY_BYTES_MAX} bytes")
    return parse_object(bytes(body))


def find_session(request: web.Request, messenger: Messenger) -> Session:
    """Who asks: by the Authorization header if there is one, else by the cookie."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if not scheme:
        token = request.cookies.get(COOKIE, "")
    elif scheme.lower() != "bearer":
        raise Refused("unauthorized", "Authorization must be a Bearer token")
    session = messenger.accounts.find_session(token.strip()) if token else None
    if session is None:
        raise Refused("unauthorized", "log in first")
    return session


def check_origin(request: web.Request, *, is_needed: bool = False) -> None:
    """Refuse what a page of another origin asks; browsers name theirs, other clients need not.

    A WebSocket is not held back by the same-origin policy, so one opened with a cookie must name its origin (`is_needed`).
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None and not is_needed:
        return
    # Compared with Host alone: behind a proxy that ends TLS the scheme here is not the one the browser sees.
    if origin is None or not _is_same_host(origin, request.host):
        raise Refused("foreign_page", "this request comes from a page of another site")


def has_cookie_only(request: web.Request) -> bool:
    """Whether the request is let in by its cookie, which a browser adds by itself."""
    return hdrs.AUTHORIZATION not in request.headers


def _is_same_host(origin: str, host: str) -> bool:
    try:
        page = URL(origin)
    except ValueError:
        return False
    return page.scheme in {"http", "https"} and page.raw_authority.lower() in {host.lower(), f"{host.lower()}:{page.port}"}
