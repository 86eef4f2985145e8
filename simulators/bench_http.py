"""The bench's HTTP customer: keep-alive connections, one request at a time on each, octets made by hand."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from simulators.bench_meter import Meter, Plan, text_of

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_REFUSED: Final = b'"error"'


class PostTemplate:
    """The octets of POST /v1/messages, for one message or a batch."""

    def __init__(self, api_key: str, source: str, service: str, parts: int, *, is_batch: bool) -> None:
        self._is_batch = is_batch
        self._head = (
            f"POST /v1/messages HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {api_key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        message = f'{{"from":"{source}","to":"+86139%08d","text":"{text_of(0, parts)}","service":"{service}"}}'
        self._message = message.replace("No 00000000", "No %08d").encode()

    def request(self, messages: range) -> bytes:
        """One whole request."""
        bodies = [self._message % (index, index) for index in messages]
        body = b'{"messages":[' + b",".join(bodies) + b"]}" if self._is_batch else bodies[0]
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)


class HttpLoad(asyncio.Protocol):
    """One connection."""

    def __init__(self, plan: Plan, meter: Meter, template: PostTemplate) -> None:
        self._plan = plan
        self._meter = meter
        self._template = template
        self._asked = 0
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports don't inherit from asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._asked:
            self._meter.refuse("the gateway hung up", self._asked)

    def close(self) -> None:
        """Go without a word."""
        self._asked = 0
        if self._transport is not None:
            self._transport.abort()

    def pump(self) -> None:
        """Send the next request if it is due and the one before was answered."""
        if self._asked or self._transport is None:
            return
        due = self._plan.take(self._meter.now())
        if due is not None:
            self._asked = len(due)
            self._transport.write(self._template.request(due))

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        head_end = held.find(_END)
        if head_end < 0:
            self._held = held
            return
        stated = _LENGTH.search(held, 0, head_end)
        size = head_end + len(_END) + (int(stated[1]) if stated else 0)
        if len(held) < size:
            self._held = held
            return
        self._held = b""
        asked, self._asked = self._asked, 0
        if held[9:12] != b"202":
            self._meter.refuse(f"HTTP {held[9:12].decode('latin-1')}", asked)
        else:
            refused = held.count(_REFUSED, head_end) if asked > 1 else 0
            if refused:
                self._meter.refuse("refused in a batch", refused)
            self._meter.answer(asked - refused)
        self.pump()
