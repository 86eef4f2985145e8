"""What a bad SMSC does to octets: PDUs with lying lengths, unknown ids and wrong numbers, and writes byte by byte."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.smpp.consts import HEADER_BYTES, SEQUENCE_MAX, CommandId
from gateway.smpp.pdu import EnquireLink, encode
from simulators.streams import Stream

_GARBAGE_BYTES = 48
_UNKNOWN_ID = 0x00000999
_FAR_AWAY = 0x1000000


def _with_length(frame: bytes, length: int) -> bytes:
    return length.to_bytes(4, "big") + frame[4:]


def _garbage(numbers: Stream) -> bytes:
    """Octets whose first four can't be a command_length."""
    return b"\xff\xff\xff\xff" + bytes(numbers.randrange(256) for _ in range(_GARBAGE_BYTES - 4))


def _renumbered(frame: bytes) -> bytes:
    sequence = (int.from_bytes(frame[12:16], "big") + _FAR_AWAY) & SEQUENCE_MAX
    return frame[:12] + sequence.to_bytes(4, "big") + frame[16:]


def _unknown(frame: bytes) -> bytes:
    """The response bit stays: an unknown response is to be ignored, an unknown request to be answered with generic_nack."""
    bit = int.from_bytes(frame[4:8], "big") & 0x80000000
    return frame[:4] + (_UNKNOWN_ID | bit).to_bytes(4, "big") + frame[8:]


def _truncated(frame: bytes) -> bytes:
    """A whole frame whose last field has lost its NUL; one without a body gets half a TLV."""
    if len(frame) == HEADER_BYTES:
        return _with_length(frame + b"\x04\x24\x00", len(frame) + 3)
    return _with_length(frame[:-1], len(frame) - 1)


def spoil(frame: bytes, fault: str, numbers: Stream) -> bytes:
    """One frame as a fault of smsc_rule.FAULTS leaves it."""
    if fault == "garbage":
        return _garbage(numbers)
    if fault == "long":
        return _with_length(frame, len(frame) + 7)
    if fault == "short":
        return _with_length(frame, HEADER_BYTES - 1)
    if fault == "twice":
        return frame + frame
    spoilers: dict[str, Callable[[bytes], bytes]] = {"unknown-id": _unknown, "wrong-sequence": _renumbered, "truncated": _truncated}
    return spoilers[fault](frame)


def unasked(fault: str, numbers: Stream) -> bytes:
    """A spoilt PDU that answers nothing: a request, except that a wrong number makes sense only in a response."""
    if fault == "wrong-sequence":
        header = (HEADER_BYTES, int(CommandId.SUBMIT_SM_RESP), 0, numbers.randrange(1, SEQUENCE_MAX))
        return b"".join(each.to_bytes(4, "big") for each in header)
    return spoil(encode(EnquireLink(sequence_number=numbers.randrange(1, SEQUENCE_MAX))), fault, numbers)


class Trickle:
    """Writes some octets one by one, and all others behind them in order; `gap_s` 0 is one byte a loop turn."""

    def __init__(self, write: Callable[[bytes], None], finished: Callable[[], None]) -> None:
        self._write = write
        self._finished = finished
        self._waiting: deque[tuple[bytes, float | None]] = deque()
        self._timer: asyncio.Handle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether octets wait, so that others must wait behind them."""
        return bool(self._waiting)

    def add(self, data: bytes, gap_s: float | None) -> None:
        """Write data byte by byte, or whole behind what waits (None)."""
        self._waiting.append((data, gap_s))
        if self._timer is None:
            self._step()

    def stop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _step(self) -> None:
        self._timer = None
        while self._waiting:
            data, gap_s = self._waiting.popleft()
            if gap_s is None:
                self._write(data)
                continue
            self._write(data[:1])
            if len(data) > 1:
                self._waiting.appendleft((data[1:], gap_s))
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(gap_s, self._step) if gap_s else loop.call_soon(self._step)
            return
        self._finished()
