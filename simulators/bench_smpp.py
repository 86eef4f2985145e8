"""The bench's SMPP customer: octets made once and patched per message, so that the load maker stays out of the figures."""

from __future__ import annotations

import asyncio
import struct
from typing import Final

from gateway.smpp.codec import encode
from gateway.smpp.consts import CommandId, Tag
from gateway.smpp.pdu import BindTransceiver, SubmitSm
from simulators.bench_meter import NUMBER_DIGITS, NUMBER_PREFIX, Meter, Plan, number_of, text_of

SOURCE = "10661700"
_header = struct.Struct(">LLLL").unpack_from
_length = struct.Struct(">L").unpack_from
_sequence = struct.Struct(">L").pack
_HEADER_BYTES: Final = 16
_ANSWER: Final = struct.Struct(">LLLL").pack
# In deliver_sm: header, an empty service_type, TON and NPI, then the handset it tells of.
_NUMBER_AT: Final = _HEADER_BYTES + 3
_DIGITS = slice(_NUMBER_AT + len(NUMBER_PREFIX), _NUMBER_AT + len(NUMBER_PREFIX) + NUMBER_DIGITS)
_PREFIX = slice(_NUMBER_AT, _NUMBER_AT + len(NUMBER_PREFIX))
_PREFIX_OCTETS: Final = NUMBER_PREFIX.encode()


class SubmitTemplate:
    """A submit_sm cut where messages differ: sequence number, handset, and the message's number in the text."""

    def __init__(self, service: str, parts: int, *, with_receipt: bool) -> None:
        text = text_of(0, parts).encode()
        is_long = parts > 1
        whole = encode(
            SubmitSm(
                service_type=service,
                source_addr_npi=1,
                source_addr=SOURCE,
                dest_addr_ton=1,
                dest_addr_npi=1,
                destination_addr=number_of(0),
                registered_delivery=int(with_receipt),
                short_message=b"" if is_long else text,
                tlvs={Tag.MESSAGE_PAYLOAD: text} if is_long else {},
            )
        )
        number_at = whole.index(number_of(0).encode()) + len(NUMBER_PREFIX)
        text_at = whole.index(b"No 00000000") + 3
        self._head = whole[:12]
        self._before_number = whole[16:number_at]
        self._before_text = whole[number_at + NUMBER_DIGITS : text_at]
        self._after_text = whole[text_at + 8 :]

    def pdu(self, index: int) -> bytes:
        """The octets of one message; its sequence number is its own number plus one."""
        digits = b"%08d" % index
        return b"".join((self._head, _sequence(index + 1), self._before_number, digits, self._before_text, digits, self._after_text))


class SmppLoad(asyncio.Protocol):
    """One bind that keeps its window full while the plan has messages due."""

    def __init__(self, plan: Plan, meter: Meter, template: SubmitTemplate, window: int) -> None:
        self._plan = plan
        self._meter = meter
        self._template = template
        self._window = window
        self._in_flight = 0
        self._held = b""
        self._transport: asyncio.Transport | None = None
        self.bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def bind(self, system_id: str, password: str) -> None:
        """Ask to be let in; `bound` gets the command_status."""
        self._write(encode(BindTransceiver(sequence_number=0x7FFFFFFF, system_id=system_id, password=password)))

    def pump(self) -> None:
        """Send what is due and fits the window, in one write."""
        out: list[bytes] = []
        self._fill(out)
        if out:
            self._write(b"".join(out))

    def close(self) -> None:
        """Go without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports don't inherit from asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.bound.done():
            self.bound.set_exception(ConnectionError("the gateway hung up"))

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        start, end = 0, len(held)
        out: list[bytes] = []
        while end - start >= _HEADER_BYTES:
            length, command, status, sequence = _header(held, start)
            if end - start < length:
                break
            self._take(command, status, sequence, held[start : start + length], out)
            start += length
        self._held = held[start:]
        self._fill(out)
        if out:
            self._write(b"".join(out))

    def _take(self, command: int, status: int, sequence: int, frame: bytes, out: list[bytes]) -> None:
        if command == CommandId.SUBMIT_SM_RESP:
            self._in_flight -= 1
            if status:
                self._meter.refuse(f"command_status 0x{status:08X}")
            else:
                self._meter.answer()
        elif command == CommandId.DELIVER_SM:
            out.append(_ANSWER(17, CommandId.DELIVER_SM_RESP, 0, sequence) + b"\0")
            if frame[_PREFIX] == _PREFIX_OCTETS:
                self._meter.finish(int(frame[_DIGITS]))
        elif command == CommandId.ENQUIRE_LINK:
            out.append(_ANSWER(16, CommandId.ENQUIRE_LINK_RESP, 0, sequence))
        elif command == CommandId.BIND_TRANSCEIVER_RESP:
            self.bound.set_result(status)

    def _fill(self, out: list[bytes]) -> None:
        room = self._window - self._in_flight
        if room <= 0 or self._plan.is_empty:
            return
        now, take, pdu = self._meter.now(), self._plan.take, self._template.pdu
        while room > 0 and (due := take(now)) is not None:
            out.append(pdu(due.start))
            self._in_flight += 1
            room -= 1

    def _write(self, octets: bytes) -> None:
        if self._transport is not None:
            self._transport.write(octets)
