"""The two ends of a TCP connection in memory, and what lies between them.

Bytes leave a transport's buffer when the connection's window has room, spend their latency on the wire in order, and wait in the
receiver's inbox until its protocol reads. The network is nobody's program: what is on the wire when a node dies still arrives.
"""

from __future__ import annotations

import asyncio
import asyncio.constants
import contextvars
import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from simulators.faults import CrashPoint
from simulators.loop import Life
from simulators.streams import Stream, between

if TYPE_CHECKING:
    from simulators.network import Fabric

# What is under way or unread in one direction of a connection, as by a kernel's socket buffers.
WINDOW_BYTES = 64 * 1024
READ_BYTES_MAX = 256 * 1024
FRAGMENT_GAP_S_MAX = 0.01


class Mark(Enum):
    """What may stand at the end of a stream of bytes."""

    FIN = auto()
    RESET = auto()


@dataclass(eq=False)
class Party:
    """A life as the network sees it; `on_write` tells whether the program dies at this write."""

    life: Life
    name: str
    ip: str
    on_write: Callable[[], CrashPoint | None]
    die: Callable[[CrashPoint], None]

    def context(self) -> contextvars.Context:
        """The current context, made this life's own if it is somebody else's."""
        context = contextvars.copy_context()
        return context if context.run(self.life.is_current) else self.life.context()


class Pipe:
    """One direction of a connection."""

    def __init__(self, fabric: Fabric, numbers: Stream, sender: SimTransport) -> None:
        self._fabric = fabric
        self._numbers = numbers
        self._sender = sender
        self._latency_s = between(numbers, fabric.faults.latency_s_min, fabric.faults.latency_s_max)
        self.unsent = bytearray()
        self._wire: deque[bytes | Mark] = deque()
        self._unread = 0  # bytes on the wire or in the receiver's inbox
        self._arrival_s = 0.0
        self._held_until_s = 0.0
        self._end: Mark | None = None
        self._end_sent: Mark | None = None

    def send(self, data: bytes) -> None:
        """Take bytes over; those without room wait in `unsent`, those after the end are lost."""
        if self._end is None:
            self.unsent += data
            self.pump()

    def end(self, mark: Mark) -> None:
        """End the stream, after what is unsent, or at once for a reset; the first end counts, except that a reset overtakes."""
        if mark is Mark.RESET:
            self.unsent.clear()
        if self._end is None or mark is Mark.RESET:
            self._end = mark
        self.pump()

    def pump(self) -> None:
        """Put on the wire what there is room for."""
        while self.unsent and self._unread < WINDOW_BYTES:
            size = self._fragment_size(min(len(self.unsent), WINDOW_BYTES - self._unread))
            piece = bytes(self.unsent[:size])
            del self.unsent[:size]
            self._unread += size
            self._put(piece, between(self._numbers, 0.0, FRAGMENT_GAP_S_MAX) if self.unsent else 0.0)
        if self._end is not None and not self.unsent and self._end_sent not in (self._end, Mark.RESET):
            self._end_sent = self._end
            self._put(self._end, 0.0)

    def taken(self, size: int) -> None:
        """The receiver has read bytes: there is room for more."""
        self._unread -= size
        if self.unsent:
            self.pump()
            self._sender.room_made()

    def hold(self, for_s: float) -> None:
        """Let nothing arrive for a while; nothing is lost."""
        self._held_until_s = max(self._held_until_s, self._fabric.loop.time() + for_s)

    def not_before(self, at_s: float) -> None:
        """Let nothing arrive before a time."""
        self._arrival_s = max(self._arrival_s, at_s)

    def cut(self) -> None:
        """Lose what is unsent and on the wire."""
        self.unsent.clear()
        self._wire.clear()
        self._end = self._end_sent = Mark.RESET

    def _fragment_size(self, size: int) -> int:
        if size > 1 and self._numbers.random() < self._fabric.faults.fragment_probability:
            return 1 + int(self._numbers.random() * (size - 1))
        return size

    def _put(self, item: bytes | Mark, gap_s: float) -> None:
        loop = self._fabric.loop
        self._arrival_s = max(self._arrival_s + gap_s, loop.time() + self._latency_s * (1 + self._numbers.random() / 4))
        self._wire.append(item)
        loop.call_at(self._arrival_s, self._arrive, context=self._fabric.context)

    def _arrive(self) -> None:
        loop = self._fabric.loop
        if loop.time() < self._held_until_s:
            loop.call_at(self._held_until_s, self._arrive, context=self._fabric.context)
        elif self._wire:
            # Timers of the same instant may swap, so each takes the head of the queue, not an item of its own.
            self._sender.peer.take_in(self._wire.popleft())


class SimTransport(asyncio.transports._FlowControlMixin):
    """One end of a connection, as asyncio's own socket transport behaves."""

    # Lets loop.sendfile, which aiohttp uses for files, fall back to writing.
    _sendfile_compatible = asyncio.constants._SendfileMode.FALLBACK
    peer: SimTransport

    def __init__(
        self, fabric: Fabric, number: int, party: Party, context: contextvars.Context, numbers: Stream, names: dict[str, Any]
    ) -> None:
        super().__init__(names, fabric.loop)
        self.number = number
        self.party = party
        self.pipe = Pipe(fabric, numbers, self)
        self._fabric = fabric
        self._numbers = numbers
        self._context = context
        self._protocol: asyncio.BaseProtocol | None = None
        self._inbox: deque[bytes | Mark] = deque()
        self._is_paused = False
        self._is_reading_due = False
        self._is_closing = False
        self._has_written_eof = False
        self.is_lost = False

    def open(self, protocol: asyncio.BaseProtocol) -> None:
        """Start with a protocol, in the context of its program."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._read_soon()

    def open_with(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Make the protocol of an accepted connection and start with it, in the listener's context."""
        self._fabric.loop.call_soon(lambda: self.open(factory()), context=self._context)

    # What the program calls.

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._has_written_eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._is_closing or self.party.life.is_dead:
            return
        crash = self.party.on_write()
        if crash is not None:
            self.pipe.send(bytes(data)[: round(len(data) * crash.arriving_share)])
            self.party.die(crash)
            return
        self.pipe.send(bytes(data))
        self._maybe_pause_protocol()  # type: ignore[attr-defined]  # asyncio's own, which typeshed leaves out

    def write_eof(self) -> None:
        if not (self._has_written_eof or self._is_closing or self.party.life.is_dead):
            self._has_written_eof = True
            self.pipe.end(Mark.FIN)

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if self._is_closing or self.party.life.is_dead:
            return
        self._is_closing = True
        self._drop_inbox()
        self.pipe.end(Mark.FIN)
        if not self.pipe.unsent:
            self._lose_soon(None)

    def abort(self) -> None:
        self._break(None)

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._read_soon()

    def is_reading(self) -> bool:
        return not self._is_closing and not self._is_paused

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        self._read_soon()

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def get_write_buffer_size(self) -> int:
        return len(self.pipe.unsent)

    # What the network calls.

    def take_in(self, item: bytes | Mark) -> None:
        """Something arrives from the peer."""
        if self.is_lost and item is Mark.RESET:
            return
        if item is Mark.RESET:
            self._inbox.append(item)
            self._is_paused = False  # a reset is noticed even by who doesn't read
        elif self._is_closing:
            self._refuse(item)
            return
        else:
            self._inbox.append(item)
        self._read_soon()

    def room_made(self) -> None:
        """Unsent bytes have gone out: the program may write on, or has finished closing."""
        self._fabric.loop.call_soon(self._go_on, context=self._context)

    def orphan(self) -> None:
        """The program is dead: its kernel closes, with a reset if there was something unread, and by chance."""
        has_unread = bool(self._inbox)
        self._is_closing = self.is_lost = True
        self._inbox.clear()
        self.pipe.unsent.clear()
        self.pipe.end(Mark.RESET if has_unread or self._numbers.random() < 0.5 else Mark.FIN)

    def sever(self) -> None:
        """The connection breaks under way: both directions are lost at once."""
        self.pipe.cut()
        self.take_in(Mark.RESET)

    def _go_on(self) -> None:
        if self._is_closing and not self.pipe.unsent:
            self._lose(None)
        elif not self._is_closing:
            self._maybe_resume_protocol()  # type: ignore[attr-defined]  # asyncio's own, which typeshed leaves out

    def _refuse(self, item: bytes | Mark) -> None:
        if isinstance(item, bytes):
            self.peer.pipe.taken(len(item))
            if self.is_lost:
                self.pipe.end(Mark.RESET)  # as a kernel answers bytes for a socket that is gone

    def _read_soon(self) -> None:
        if self._inbox and self._protocol is not None and not self._is_paused and not self._is_reading_due:
            self._is_reading_due = True
            self._fabric.loop.call_soon(self._read, context=self._context)

    def _read(self) -> None:
        self._is_reading_due = False
        if not self._inbox or self._is_paused or self.is_lost:
            return
        if Mark.RESET in self._inbox and self._is_closing:
            self._break(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        item = self._inbox.popleft()
        try:
            if isinstance(item, bytes):
                self._deliver(item)
            elif item is Mark.FIN:
                self._fabric.log("eof", connection=self.number, at=self.party.name)
                if not self.get_protocol().eof_received():  # type: ignore[attr-defined]  # a streaming protocol, as TCP needs
                    self.close()
            else:
                self._break(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        except Exception as error:  # noqa: BLE001 - as asyncio does: the error is reported and the connection closed
            self._fabric.loop.call_exception_handler({"message": "a protocol failed", "exception": error, "protocol": self._protocol})
            self._break(error)
        self._read_soon()

    def _deliver(self, data: bytes) -> None:
        pieces, size = [data], len(data)
        while self._inbox and isinstance(piece := self._inbox[0], bytes) and size + len(piece) <= READ_BYTES_MAX:
            self._inbox.popleft()
            pieces.append(piece)
            size += len(piece)
        self._fabric.log("bytes", connection=self.number, at=self.party.name, size=size)
        self.peer.pipe.taken(size)
        data = b"".join(pieces)
        protocol = self.get_protocol()
        if isinstance(protocol, asyncio.BufferedProtocol):
            _fill(protocol, data)
        else:
            protocol.data_received(data)  # type: ignore[attr-defined]  # a streaming protocol, as TCP needs

    def _break(self, error: Exception | None) -> None:
        if self.is_lost or self.party.life.is_dead:
            return
        has_unread = any(isinstance(item, bytes) for item in self._inbox)
        self._is_closing = True
        self._drop_inbox()
        self.pipe.unsent.clear()
        self.pipe.end(Mark.RESET if has_unread else Mark.FIN)
        self._lose_soon(error)

    def _drop_inbox(self) -> None:
        while self._inbox:
            if isinstance(item := self._inbox.popleft(), bytes):
                self.peer.pipe.taken(len(item))

    def _lose_soon(self, error: Exception | None) -> None:
        self._fabric.loop.call_soon(self._lose, error, context=self._context)

    def _lose(self, error: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._fabric.log("closed", connection=self.number, at=self.party.name, is_reset=error is not None)
        self._fabric.forget(self)
        if self._protocol is not None:
            self._protocol.connection_lost(error)


def _fill(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    while data:
        buffer = memoryview(protocol.get_buffer(len(data))).cast("B")
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
