"""The PDU inspector's memory: the newest frames of all connections in both directions, as they were on the wire.

Frames are kept as octets and read only when somebody looks, so that recording costs next to nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from gateway.smpp.consts import HEADER_BYTES, RESPONSE_BIT
from gateway.smpp.errors import FrameError
from gateway.smpp.framer import Framer
from gateway.world import Clock

IN: Final = "in"
OUT: Final = "out"
_OPEN_MAX = 10_000
_FRAME_BYTES_MAX = 65536


class Seen(NamedTuple):
    """One frame. `number` counts from 1 and never repeats; `answers` is the number of the request and how long it waited."""

    number: int
    at_us: int
    connection: int
    label: str
    direction: str
    frame: bytes
    fault: str = ""
    answers: tuple[int, int] | None = None

    @property
    def command_id(self) -> int:
        """What the header says, 0 when there is none."""
        return int.from_bytes(self.frame[4:8], "big") if len(self.frame) >= HEADER_BYTES else 0


class Inspector:
    """Keeps `kept_max` frames; `changed` is called after each."""

    def __init__(self, clock: Clock, kept_max: int, changed: Callable[[], None]) -> None:
        self._clock = clock
        self._seen: deque[Seen] = deque(maxlen=kept_max)
        self._changed = changed
        self._last = 0
        self._open: OrderedDict[tuple[int, str, int], tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Seen]:
        """Oldest first."""
        return iter(self._seen)

    def get(self, number: int) -> Seen | None:
        """A frame by its number, None when it is forgotten."""
        if not self._seen or not self._seen[0].number <= number <= self._last:
            return None
        return self._seen[number - self._seen[0].number]

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        self._seen.clear()
        self._open.clear()

    def add(self, connection: int, label: str, direction: str, frame: bytes, fault: str = "") -> None:
        """Remember a frame, and which request it answers."""
        self._last += 1
        at_us = self._clock.now_us()
        answers: tuple[int, int] | None = None
        if len(frame) >= HEADER_BYTES and not fault:
            sequence = int.from_bytes(frame[12:16], "big")
            if frame[4] & RESPONSE_BIT >> 24:
                asked = self._open.pop((connection, OUT if direction == IN else IN, sequence), None)
                answers = (asked[0], at_us - asked[1]) if asked is not None else None
            else:
                self._open[connection, direction, sequence] = (self._last, at_us)
                if len(self._open) > _OPEN_MAX:
                    self._open.popitem(last=False)
        self._seen.append(Seen(self._last, at_us, connection, label, direction, frame, fault, answers))
        self._changed()


class Line:
    """One connection's tap."""

    def __init__(self, inspector: Inspector, connection: int) -> None:
        self._inspector = inspector
        self._connection = connection
        self._framer: Framer | None = Framer(_FRAME_BYTES_MAX)
        self.label = ""

    def received(self, data: bytes) -> None:
        """Take what the ESME sent, however it is cut."""
        if self._framer is None:
            return
        lost = b""
        try:
            frames = self._framer.feed(data)
        except FrameError as error:
            frames = error.frames_before
            lost = data[sum(map(len, frames)) :] or data
            self._framer = None
        for frame in frames:
            self._inspector.add(self._connection, self.label, IN, frame)
        if lost:
            self._inspector.add(self._connection, self.label, IN, lost[:_FRAME_BYTES_MAX], "lost")

    def sent(self, data: bytes) -> None:
        """Take what we send: always whole frames."""
        start = 0
        while start + HEADER_BYTES <= len(data):
            end = start + int.from_bytes(data[start : start + 4], "big")
            self._inspector.add(self._connection, self.label, OUT, data[start:end])
            start = end

    def spoilt(self, data: bytes, fault: str) -> None:
        """Take octets we have spoilt on purpose, as they are."""
        self._inspector.add(self._connection, self.label, OUT, data, fault)
