"""What one peer may use of the HTTP door: time for a header, and connections; aiohttp bounds neither by itself."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, NamedTuple

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from gateway.domain.failure import Refused
from gateway.web import problem

_log = structlog.get_logger("gateway.web")

_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
_TOO_MANY_BODY = (
    b'{"type":"urn:bellhop:problem:too_many_connections","title":"Too Many Requests","status":429,'
    b'"detail":"this address has too many connections open","field":"","reason":"too_many_connections"}'
)
REFUSAL = _TOO_MANY % (len(_TOO_MANY_BODY), _TOO_MANY_BODY)


class Limits(NamedTuple):
    """The limits of the HTTP door; the names are those of the settings."""

    body_bytes_max: int = 4_194_304
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    keep_alive_s: float = 75.0
    batch_messages_max: int = 1000
    connections_per_address_max: int = 256


class Door:
    """Makes the protocol of each connection, and counts connections by address."""

    def __init__(self, server: web.Server, limits: Limits, **handler_arguments: Any) -> None:
        self._server = server
        self._arguments = handler_arguments
        self.limits = limits
        self._connections: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> GuardedHandler:
        """The protocol of a new connection."""
        return GuardedHandler(self, self._server, loop=self._loop, **self._arguments)

    def admit(self, address: str) -> bool:
        """Count a connection in, unless its address has as many as it may."""
        count = self._connections.get(address, 0)
        if count >= self.limits.connections_per_address_max:
            return False
        self._connections[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """A connection is gone."""
        left = self._connections[address] - 1
        if left:
            self._connections[address] = left
        else:
            del self._connections[address]


class GuardedHandler(RequestHandler):
    """aiohttp's protocol, closed when a header does not come in time, and quiet about peers that speak no HTTP.

    Of aiohttp's own attributes it reads four: `_request_count`, which moves with each whole header; `_waiter`, which is pending while
    no request is under way; and `_reading_paused` and `_buffer_paused`, its two reasons not to read.
    """

    __slots__ = ("_address", "_door", "_header_timer")

    def __init__(self, door: Door, server: web.Server, **arguments: Any) -> None:
        super().__init__(server, **arguments)
        self._door = door
        self._address: str | None = None
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not self._door.admit(address):
            assert isinstance(transport, asyncio.Transport)
            self._force_close = True  # whatever it sends is not read
            transport.write(REFUSAL)
            transport.close()
            return
        self._address = address
        super().connection_made(transport)
        self._await_header()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._address is not None:
            self._door.leave(self._address)
            self._address = None
            self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        requests = self._request_count
        super().data_received(data)
        if self._request_count != requests:
            if self._header_timer is not None:
                self._stop_waiting()
        elif self._header_timer is None and self._waiter is not None and not self._waiter.done():
            # Nothing is under way, and what came is not yet a whole header: the next request's has begun.
            self._await_header()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp asks for this twice a request, and parses nothing each time, when there was no pause to end.
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def _await_header(self) -> None:
        self._header_timer = self._loop.call_later(self._door.limits.header_timeout_s, self._header_is_late)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_is_late(self) -> None:
        self._header_timer = None
        self.force_close()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no request we can read; no traceback for what peers send, and nothing of it in the log."""
        if status == HTTPStatus.BAD_REQUEST:
            is_long = isinstance(exc, LineTooLong) or "Too many" in str(exc)
            refused = (
                Refused("header_too_large", "the request line or a header is too long, or there are too many")
                if is_long
                else Refused("bad_request", "this is no HTTP request")
            )
        else:
            _log.error("request failed outside its handler", status=status, exc_info=exc)
            refused = Refused("internal", "the request could not be handled")
        response = problem.response(refused)
        response.force_close()
        return response
