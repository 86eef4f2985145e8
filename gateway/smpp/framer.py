"""Cuts the stream into frames by command_length, and nothing more (SMPP 3.4 section 3.2)."""

from __future__ import annotations

import struct

from gateway.smpp.consts import HEADER_BYTES, Status
from gateway.smpp.errors import FrameError

_LENGTH = struct.Struct(">L")
_LENGTH_BYTES = 4


class Framer:
    """Holds at most one unfinished frame; its announced length is checked before anything of it is kept."""

    __slots__ = ("_frame_bytes_max", "_held", "_needed")

    def __init__(self, frame_bytes_max: int = 65536) -> None:
        assert frame_bytes_max >= HEADER_BYTES
        self._frame_bytes_max = frame_bytes_max
        self._held = bytearray()
        self._needed = _LENGTH_BYTES

    @property
    def held(self) -> int:
        """Octets of the unfinished frame."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes; raises FrameError, which carries the good frames ahead of the bad length."""
        held = self._held
        if held:
            held += data
            if len(held) < self._needed:
                return []
            data = bytes(held)
            held.clear()
        frames: list[bytes] = []
        start = 0
        size = len(data)
        needed = _LENGTH_BYTES
        limit = self._frame_bytes_max
        read_length = _LENGTH.unpack_from
        while size - start >= _LENGTH_BYTES:
            needed = read_length(data, start)[0]
            if not HEADER_BYTES <= needed <= limit:
                raise FrameError(
                    Status.ESME_RINVCMDLEN, f"command_length {needed} is not within 16 to {limit}", _sequence(data, start), frames
                )
            end = start + needed
            if end > size:
                break
            frames.append(data[start:end])
            start = end
            needed = _LENGTH_BYTES
        if start < size:
            held += data[start:]
        self._needed = needed
        return frames


def _sequence(data: bytes, start: int) -> int:
    header = data[start : start + HEADER_BYTES]
    return int.from_bytes(header[12:], "big") if len(header) == HEADER_BYTES else 0
