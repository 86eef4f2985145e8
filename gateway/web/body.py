"""Reading a request's JSON body, within its limits of size and time."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from gateway.domain.failure import Refused
from gateway.web.limits import Limits

_JSON = "application/json"


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """The whole body; raises Refused (`bad_media_type`, `too_large`, `too_slow`, `bad_request`)."""
    headers = request.headers
    media_type = headers.get(hdrs.CONTENT_TYPE)
    if media_type != _JSON:
        _check_media_type(media_type)
    # Compressed bodies are not taken: a small one may unpack to any size.
    if hdrs.CONTENT_ENCODING in headers and headers[hdrs.CONTENT_ENCODING].lower() != "identity":
        raise Refused("bad_media_type", "a compressed body is not accepted", field=hdrs.CONTENT_ENCODING)
    content = request.content
    try:
        if content.is_eof():
            body = content.read_nowait()  # it came with its header, as small ones do
        else:
            async with asyncio.timeout(limits.body_timeout_s):
                body = await _read(request, limits)
    except TimeoutError:
        raise Refused("too_slow", f"the body was not whole within {limits.body_timeout_s:g} seconds") from None
    except (RequestPayloadError, HttpProcessingError, ConnectionError):
        raise Refused("bad_request", "the body broke off, or its framing is wrong") from None
    if len(body) > limits.body_bytes_max:
        raise _too_large(limits)
    return body


async def _read(request: web.Request, limits: Limits) -> bytes:
    length = request.content_length
    if length is not None and length > limits.body_bytes_max:
        raise _too_large(limits)
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > limits.body_bytes_max:
            raise _too_large(limits)
    return bytes(body)


def _check_media_type(media_type: str | None) -> None:
    essence, _, parameters = (media_type or "").partition(";")
    charset = parameters.lower().replace(" ", "").replace('"', "")
    if essence.strip().lower() != _JSON or charset not in ("", "charset=utf-8"):
        raise Refused("bad_media_type", "the body must be application/json in UTF-8", field=hdrs.CONTENT_TYPE)


def _too_large(limits: Limits) -> Refused:
    return Refused("too_large", f"the body may have {limits.body_bytes_max} bytes")
