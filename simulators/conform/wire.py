"""One connection of a conformance run: sends any octets, reads whole frames, and keeps all of it as evidence.

It has no session of ours in between, so nothing that ours would forgive or refuse is hidden.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from gateway.smpp import pdu as p
from gateway.smpp.consts import HEADER_BYTES, RESPONSE_BIT, CommandId, status_name
from gateway.smpp.errors import SmppError
from gateway.world import Clock
from simulators.conform.case import Failed

Found = TypeVar("Found")

_HEADER = struct.Struct(">LLLL")
FRAME_BYTES_MAX = 1 << 20
HEX_SHOWN = 96


class Frame(NamedTuple):
    """One PDU as it came; `pdu` is None where its body cannot be read."""

    command_id: int
    command_status: int
    sequence_number: int
    octets: bytes
    pdu: p.Pdu | None
    fault: str

    @property
    def body(self) -> bytes:
        return self.octets[HEADER_BYTES:]


class Line(NamedTuple):
    """A piece of evidence."""

    at_s: float
    direction: str  # ">" to the peer, "<" from it, "." what else happened
    text: str
    octets: bytes


def name_of(command_id: int) -> str:
    """The PDU's name in the specification's spelling."""
    try:
        return CommandId(command_id).name.lower()
    except ValueError:
        return f"0x{command_id:08X}"


def frame(command_id: int, body: bytes = b"", *, sequence: int = 1, status: int = 0, length: int | None = None) -> bytes:
    """Octets of a PDU; `length` lies about them when given."""
    return _HEADER.pack(HEADER_BYTES + len(body) if length is None else length, command_id, status, sequence) + body


class Wire(asyncio.Protocol):
    """The connection. While `is_polite`, enquire_link is answered; deliveries are answered with `delivery_status`, None: not at all."""

    def __init__(self, clock: Clock, evidence: list[Line], timeout_s: float) -> None:
        self._clock = clock
        self._evidence = evidence
        self._timeout_s = timeout_s
        self._transport: Any = None
        self._held = bytearray()
        self._changed = asyncio.Event()
        self._sequence = 0
        self.is_polite = True
        self.delivery_status: int | None = 0
        self.is_closed = False
        self.inbox: list[Frame] = []
        self.deliveries: list[Frame] = []
        self.enquiries = 0
        self.on_frame: Callable[[Frame], bool] | None = None  # True: it has been dealt with

    # -- asyncio.Protocol -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_closed:
            self._note("connection reset" if exc is not None else "connection closed")
        self.is_closed = True
        self._changed.set()

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        while len(held) >= HEADER_BYTES:
            length = int.from_bytes(held[:4], "big")
            if not HEADER_BYTES <= length <= FRAME_BYTES_MAX:
                self._note(f"command_length {length}", bytes(held[:HEADER_BYTES]))
                self._transport.abort()
                break
            if len(held) < length:
                break
            octets = bytes(held[:length])
            del held[:length]
            self._take(_read(octets))
        self._changed.set()

    def _take(self, got: Frame) -> None:
        fault = f", unreadable: {got.fault}" if got.fault else ""
        status = f" {status_name(got.command_status)}" if got.command_id & RESPONSE_BIT else ""
        self._write_down("<", f"{name_of(got.command_id)}{status} seq={got.sequence_number}{fault}", got.octets)
        if self.on_frame is not None and self.on_frame(got):
            return
        if got.command_id == CommandId.ENQUIRE_LINK and self.is_polite:
            self.enquiries += 1
            self.answer(got)
        elif got.command_id in (CommandId.DELIVER_SM, CommandId.DATA_SM):
            self.deliveries.append(got)
            if self.delivery_status is not None:
                self.answer(got, self.delivery_status)
        else:
            self.inbox.append(got)

    # -- saying -----------------------------------------------------------------------------------------------------------

    def next_sequence(self) -> int:
        """A number for a request."""
        self._sequence += 1
        return self._sequence

    def send(self, pdu: p.Pdu) -> int:
        """Send a PDU, numbered when it has no number yet; the number."""
        sequence = pdu.sequence_number or self.next_sequence()
        self.send_octets(p.encode(pdu._replace(sequence_number=sequence)))
        return sequence

    def send_octets(self, octets: bytes) -> None:
        """Send octets in a write of their own."""
        if self.is_closed:
            return
        command_id = int.from_bytes(octets[4:8], "big") if len(octets) >= HEADER_BYTES else -1
        self._write_down(">", name_of(command_id) if command_id >= 0 else f"{len(octets)} octets", octets)
        self._transport.write(octets)

    def answer(self, request: Frame, status: int = 0, body: bytes | None = None) -> None:
        """Answer a request of the peer's; deliver_sm_resp has an empty message_id."""
        if body is None:
            body = b"\0" if status == 0 and request.command_id in (CommandId.DELIVER_SM, CommandId.DATA_SM) else b""
        self.send_octets(frame(request.command_id | RESPONSE_BIT, body, sequence=request.sequence_number, status=status))

    def reset(self) -> None:
        """Break the connection off."""
        if not self.is_closed and self._transport is not None:
            self._note("we reset the connection")
            self.is_closed = True
            self._transport.abort()

    # -- hearing ----------------------------------------------------------------------------------------------------------

    async def until(self, look: Callable[[], Found | None], timeout_s: float | None = None) -> Found | None:
        """What `look` finds, as soon as it does; None when time is over or the peer has gone."""
        deadline = self._clock.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            found = look()
            left = deadline - self._clock.monotonic()
            if found is not None or self.is_closed or left <= 0:
                return found
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return look()

    async def answer_to(self, sequence: int, timeout_s: float | None = None) -> Frame:
        """The response with a number; raises Failed when none comes."""
        got = await self.until(lambda: self._take_response(sequence), timeout_s)
        if got is None:
            raise Failed("the connection was closed instead of an answer" if self.is_closed else f"no answer to request {sequence}")
        return got

    def _take_response(self, sequence: int) -> Frame | None:
        for place, got in enumerate(self.inbox):
            if got.sequence_number == sequence and got.command_id & RESPONSE_BIT:
                return self.inbox.pop(place)
        return None

    async def ask(self, pdu: p.Pdu, timeout_s: float | None = None) -> Frame:
        """Send a request and take its response."""
        return await self.answer_to(self.send(pdu), timeout_s)

    async def ask_octets(self, command_id: int, body: bytes, *, sequence: int | None = None, status: int = 0) -> Frame:
        """The same with a body made by hand."""
        number = self.next_sequence() if sequence is None else sequence
        self.send_octets(frame(command_id, body, sequence=number, status=status))
        return await self.answer_to(number)

    async def request(self, command_id: int, timeout_s: float | None = None) -> Frame | None:
        """The next request of a kind that the peer makes."""

        def look() -> Frame | None:
            for place, got in enumerate(self.inbox):
                if got.command_id == command_id:
                    return self.inbox.pop(place)
            return None

        return await self.until(look, timeout_s)

    async def delivery(self, timeout_s: float | None = None) -> Frame | None:
        """The next deliver_sm or data_sm."""
        return await self.until(lambda: self.deliveries.pop(0) if self.deliveries else None, timeout_s)

    async def closes(self, timeout_s: float | None = None) -> bool:
        """Whether the peer closes in time."""
        await self.until(lambda: None, timeout_s)
        return self.is_closed

    async def is_alive(self) -> bool:
        """Whether the session answers an enquire_link."""
        if self.is_closed:
            return False
        sequence = self.send(p.EnquireLink())
        got = await self.until(lambda: self._take_response(sequence))
        return got is not None and got.command_status == 0

    def _note(self, text: str, octets: bytes = b"") -> None:
        self._write_down(".", text, octets)

    def _write_down(self, direction: str, text: str, octets: bytes) -> None:
        self._evidence.append(Line(self._clock.monotonic(), direction, text, octets[: HEX_SHOWN * 4]))


def _read(octets: bytes) -> Frame:
    _, command_id, status, sequence = _HEADER.unpack_from(octets)
    try:
        return Frame(command_id, status, sequence, octets, p.decode(octets), "")
    except SmppError as error:
        return Frame(command_id, status, sequence, octets, None, str(error))
