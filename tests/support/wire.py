"""SMPP by hand: octets put together without our codec, and a TCP peer that sends any octets and reads whole frames.

Works from both sides: `Wire.connect` plays an ESME against our server, `RawSmsc` a carrier that our link connects to.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

HOST = "127.0.0.1"
TIMEOUT_S = 5.0
RESPONSE = 0x80000000
NACK = 0x80000000
BIND_RX, BIND_TX, QUERY_SM, SUBMIT_SM, DELIVER_SM, UNBIND, BIND_TRX, ENQUIRE_LINK, DATA_SM = 1, 2, 3, 4, 5, 6, 9, 0x15, 0x103
REPLACE_SM, CANCEL_SM, SUBMIT_MULTI, BROADCAST_SM = 7, 8, 0x21, 0x111
PHONE = "8613900001234"
SENDER = "10661800"


class Frame(NamedTuple):
    """One PDU as it came."""

    command_id: int
    status: int
    sequence: int
    body: bytes

    @property
    def head(self) -> tuple[int, int, int]:
        return self.command_id, self.status, self.sequence

    @property
    def text(self) -> str:
        """The C-octet string that the body begins with."""
        return self.body.split(b"\0", 1)[0].decode("ascii")


def frame(command_id: int, body: bytes = b"", *, sequence: int = 1, status: int = 0, length: int | None = None) -> bytes:
    """A PDU with its header; `length` lies about the octets when given."""
    return struct.pack(">LLLL", 16 + len(body) if length is None else length, command_id, status, sequence) + body


def tlv(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    """An optional parameter; `length` lies when given."""
    return struct.pack(">HH", tag, len(value) if length is None else length) + value


def cstring(text: str | bytes) -> bytes:
    return (text.encode("latin-1") if isinstance(text, str) else text) + b"\0"


def bind_body(
    system_id: str = "acme", password: str = "pass1", *, system_type: str = "", version: int = 0x34, address_range: str = ""
) -> bytes:
    return cstring(system_id) + cstring(password) + cstring(system_type) + bytes((version, 0, 0)) + cstring(address_range)


def message_body(
    *,
    service_type: str | bytes = "",
    source: tuple[int, int, str | bytes] = (0, 1, SENDER),
    to: tuple[int, int, str | bytes] = (1, 1, PHONE),
    esm_class: int = 0,
    protocol_id: int = 0,
    priority: int = 0,
    schedule: str = "",
    validity: str = "",
    registered: int = 0,
    replace: int = 0,
    coding: int = 0,
    default_id: int = 0,
    text: bytes = b"hello",
    sm_length: int | None = None,
    tlvs: bytes = b"",
) -> bytes:
    """The body of submit_sm and deliver_sm (SMPP 3.4 section 4.4.1), field by field."""
    return b"".join(
        (
            cstring(service_type),
            bytes(source[:2]), cstring(source[2]),
            bytes(to[:2]), cstring(to[2]),
            bytes((esm_class, protocol_id, priority)),
            cstring(schedule), cstring(validity),
            bytes((registered, replace, coding, default_id, len(text) if sm_length is None else sm_length)),
            text, tlvs,
        )
    )  # fmt: skip


def address(source: tuple[int, int, str]) -> bytes:
    return bytes(source[:2]) + cstring(source[2])


def query_body(message_id: str, *, source: tuple[int, int, str] = (0, 1, SENDER)) -> bytes:
    """The body of query_sm (section 4.8.1)."""
    return cstring(message_id) + address(source)


def cancel_body(
    message_id: str = "", *, service_type: str = "", source: tuple[int, int, str] = (0, 1, SENDER), to: tuple[int, int, str] = (0, 0, "")
) -> bytes:
    """The body of cancel_sm (section 4.9.1)."""
    return cstring(service_type) + cstring(message_id) + address(source) + address(to)


def replace_body(
    message_id: str,
    *,
    source: tuple[int, int, str] = (0, 1, SENDER),
    schedule: str = "",
    validity: str = "",
    registered: int = 0,
    default_id: int = 0,
    text: bytes = b"other",
    tlvs: bytes = b"",
) -> bytes:
    """The body of replace_sm (section 4.10.1)."""
    times = cstring(schedule) + cstring(validity)
    return cstring(message_id) + address(source) + times + bytes((registered, default_id, len(text))) + text + tlvs


def multi_body(destinations: bytes, count: int, *, registered: int = 0, text: bytes = b"hello", esm_class: int = 0) -> bytes:
    """The body of submit_multi (section 4.5.1)."""
    head = cstring("") + address((0, 1, SENDER)) + bytes((count,)) + destinations
    return head + bytes((esm_class, 0, 0)) + cstring("") * 2 + bytes((registered, 0, 0, 0, len(text))) + text


def data_body(
    *,
    to: tuple[int, int, str] = (1, 1, PHONE),
    esm_class: int = 0,
    registered: int = 0,
    coding: int = 0,
    tlvs: bytes = b"",
) -> bytes:
    """The body of data_sm (section 4.7.1)."""
    return cstring("") + address((0, 1, SENDER)) + address(to) + bytes((esm_class, registered, coding)) + tlvs


class Delivered(NamedTuple):
    """The fields of a deliver_sm or submit_sm that tests look at."""

    source: str
    destination: str
    esm_class: int
    registered: int
    coding: int
    text: bytes
    tlvs: dict[int, bytes]
    validity: str = ""
    protocol_id: int = 0


def read_message(body: bytes) -> Delivered:
    """Take a deliver_sm or submit_sm apart, by hand too."""
    at = body.index(b"\0") + 3
    end = body.index(b"\0", at)
    source, at = body[at:end].decode("latin-1"), end + 3
    end = body.index(b"\0", at)
    destination, at = body[at:end].decode("latin-1"), end + 1
    esm_class, protocol_id, at = body[at], body[at + 1], at + 3
    at = body.index(b"\0", at) + 1
    end = body.index(b"\0", at)
    validity, at = body[at:end].decode("latin-1"), end + 1
    registered, coding, size = body[at], body[at + 2], body[at + 4]
    at += 5
    text, at = body[at : at + size], at + size
    tlvs: dict[int, bytes] = {}
    while at < len(body):
        tag, length = struct.unpack_from(">HH", body, at)
        tlvs[tag] = body[at + 4 : at + 4 + length]
        at += 4 + length
    return Delivered(source, destination, esm_class, registered, coding, text, tlvs, validity, protocol_id)


class Wire:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sequence = 100

    @classmethod
    async def connect(cls, port: int) -> Wire:
        return cls(*await asyncio.open_connection(HOST, port))

    async def send(self, *octets: bytes) -> None:
        """Each argument leaves in a write of its own."""
        for each in octets:
            self._writer.write(each)
            await self._writer.drain()

    async def read(self, timeout_s: float = TIMEOUT_S) -> Frame:
        """The next whole PDU; IncompleteReadError when the other side closed instead."""
        async with asyncio.timeout(timeout_s):
            header = await self._reader.readexactly(16)
            length, command_id, status, sequence = struct.unpack(">LLLL", header)
            return Frame(command_id, status, sequence, await self._reader.readexactly(length - 16))

    async def read_until(self, command_id: int) -> Frame:
        """The next PDU of one kind; others are passed over."""
        while (got := await self.read()).command_id != command_id:
            pass
        return got

    async def ask(self, command_id: int, body: bytes = b"", **options: int) -> Frame:
        """Send a request and take the next PDU."""
        self._sequence += 1
        await self.send(frame(command_id, body, **{"sequence": self._sequence, **options}))
        return await self.read()

    async def bind(self, command_id: int = BIND_TRX, **fields: object) -> Frame:
        got = await self.ask(command_id, bind_body(**fields))  # type: ignore[arg-type]
        assert got.head[:2] == (command_id | RESPONSE, 0), got
        return got

    async def submit(self, **fields: object) -> Frame:
        """A submit_sm and its answer."""
        got = await self.ask(SUBMIT_SM, message_body(**fields))  # type: ignore[arg-type]
        assert got.command_id == SUBMIT_SM | RESPONSE, got
        return got

    async def answer(self, request: Frame, body: bytes = b"", *, status: int = 0) -> None:
        await self.send(frame(request.command_id | RESPONSE, body, sequence=request.sequence, status=status))

    async def is_alive(self) -> bool:
        """Whether enquire_link is answered, by the very next PDU."""
        return (await self.ask(ENQUIRE_LINK, sequence=77)).head == (ENQUIRE_LINK | RESPONSE, 0, 77)

    async def wait_closed(self, timeout_s: float = TIMEOUT_S) -> bytes:
        """Wait until the other side closes; what it still sent."""
        async with asyncio.timeout(timeout_s):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""

    async def has_nothing_to_say(self) -> bool:
        """Whether no PDU is on its way: an enquire_link sent now is answered next."""
        return await self.is_alive()

    def reset(self) -> None:
        self._writer.transport.abort()

    def stop_reading(self) -> None:
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def close(self) -> None:
        self._writer.transport.abort()


class RawSmsc:
    """A carrier that does only what its test says."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[Wire] = asyncio.Queue()
        self.wires: list[Wire] = []
        self.connections = 0
        self.port = 0

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        wire = Wire(reader, writer)
        self.wires.append(wire)
        self._came.put_nowait(wire)

    async def accept(self, timeout_s: float = TIMEOUT_S) -> Wire:
        """The next connection that the link opens."""
        return await asyncio.wait_for(self._came.get(), timeout_s)

    async def accept_bind(self, timeout_s: float = TIMEOUT_S) -> Wire:
        """The next connection, bound."""
        wire = await self.accept(timeout_s)
        request = await wire.read()
        assert request.command_id == BIND_TRX
        await wire.answer(request, cstring("raw"))
        return wire


@asynccontextmanager
async def raw_smsc(tls: ssl.SSLContext | None = None) -> AsyncIterator[RawSmsc]:
    smsc = RawSmsc()
    server = await asyncio.start_server(smsc._accept, HOST, 0, ssl=tls)
    smsc.port = server.sockets[0].getsockname()[1]
    try:
        yield smsc
    finally:
        server.close()
        for wire in smsc.wires:
            wire.reset()
