"""One SMPP connection: carries bytes between a socket and its sans-IO session, and holds no decisions.

A slice of what was read is handled per loop turn, all its PDUs together, and what the session wants written leaves in one write.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from gateway.smpp.events import Event
from gateway.smpp.pdu import Pdu
from gateway.smpp.session import Session
from gateway.world import Clock

WRITE_BUFFER_MAX = 1024 * 1024
STALLED_S = 30.0
# What one connection may say in one turn of the loop; unasked, uvloop reads up to 8 MB before it looks at anybody else.
SLICE_BYTES = 64 * 1024
# How long a peer is not heard that said a slice, more than any PDU, of nothing for us to do: enquire_link in thousands, or refuse.
PAUSE_S = 0.1


class SmppTransport(asyncio.Protocol):
    """The asyncio shell of a session; `handle` gets its events, `made` is called once when the connection stands."""

    # Thousands of idle sessions are normal at a door: no dict for each.
    __slots__ = (
        "_clock", "_handle", "_idle_bytes", "_is_flushing", "_is_unwanted", "_loop", "_made", "_rest", "_stalled_at", "_timer",
        "_timer_at", "_transport", "failure", "peer", "session",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        clock: Clock,
        handle: Callable[[SmppTransport, list[Event]], None],
        made: Callable[[SmppTransport], None] | None = None,
    ) -> None:
        self.session = session
        self.peer = ""
        self.failure: Exception | None = None  # why the connection broke, where the loop knows
        self._clock = clock
        self._handle = handle
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._is_flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._stalled_at: float | None = None
        self._rest = b""  # read and not taken yet; while there is some, nothing more is read
        self._idle_bytes = 0  # taken since something was to be done
        self._is_unwanted = False
        self._made = made

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS of this connection, if it has any and stands."""
        return None if self._transport is None else self._transport.get_extra_info("ssl_object")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._is_unwanted:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_MAX // 4)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        if self._made is not None:
            self._made(self)
        self._arm()
        self.flush_soon()

    def data_received(self, data: bytes) -> None:
        if self._rest or len(data) > SLICE_BYTES:
            data = self._rest + data
            data, self._rest = data[:SLICE_BYTES], data[SLICE_BYTES:]
        self._take(data)
        if self._rest or self._idle_bytes > SLICE_BYTES:
            self._let_others_go_first()

    def _let_others_go_first(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        if self._idle_bytes > SLICE_BYTES:
            self._idle_bytes = 0
            self._loop.call_later(PAUSE_S, self._hear_on)
        else:
            self._loop.call_soon(self._hear_on)

    def _hear_on(self) -> None:
        if self._transport is None or self._stalled_at is not None:
            return  # the rest is taken when the connection is lost, or the peer reads again
        if self._rest:
            data, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
            self._take(data)
            self._let_others_go_first()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _take(self, data: bytes) -> None:
        events = self.session.receive_data(data, self._clock.monotonic())
        if events:
            self._idle_bytes = 0
            self._handle(self, events)
        else:
            self._idle_bytes += len(data)
        self.flush_soon()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self.failure = exc
        if self._rest:
            rest, self._rest = self._rest, b""
            self._take(rest)
        events = self.session.receive_eof(self._clock.monotonic())
        if events:
            self._handle(self, events)

    def pause_writing(self) -> None:
        """The peer reads too little: nothing more is taken from it until it reads, and not for ever."""
        self._stalled_at = self._clock.monotonic()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._arm()

    def resume_writing(self) -> None:
        self._stalled_at = None
        self._hear_on()

    def send(self, request: Pdu, context: object = None) -> None:
        """Queue a request; it leaves with this loop turn. Raises what the session raises."""
        self.session.send_request(request, self._clock.monotonic(), context)
        if not self._is_flushing:
            self.flush_soon()
            self._arm()

    def respond(self, request: Pdu, response: Pdu) -> None:
        """Queue an answer; it leaves with this loop turn."""
        self.session.respond(request, response)
        if not self._is_flushing:
            self.flush_soon()

    def flush_soon(self) -> None:
        """Write what the session has, at the end of this loop turn."""
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def touch(self) -> None:
        """The session was told something by its owner: write what it wants written, and look at its timers anew."""
        self.flush_soon()
        self._arm()

    def abort(self) -> None:
        """Drop the connection at once, or as soon as there is one."""
        self._is_unwanted = True
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        self._is_flushing = False
        transport = self._transport
        if transport is None:
            return
        data = self.session.data_to_send()
        if data:
            transport.write(data)
            if transport.get_write_buffer_size() > WRITE_BUFFER_MAX:
                # The peer reads nothing; what it owes us is counted unknown when the connection is gone.
                transport.abort()
                return
        if self.session.close_expected and not transport.is_closing():  # closing TLS twice breaks it
            transport.close()
            if transport.get_write_buffer_size() and self._stalled_at is None:
                # It closes when all is written; a peer that reads nothing must not hold it open.
                self.pause_writing()

    def _arm(self) -> None:
        """Keep one timer at the session's next deadline; deadlines mostly move later, so it is only ever brought forward."""
        deadline = self.session.next_deadline()
        if self._stalled_at is not None:
            stalled = self._stalled_at + STALLED_S
            deadline = stalled if deadline is None else min(deadline, stalled)
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - self._clock.monotonic()) + 0.001, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        if self._stalled_at is not None and now - self._stalled_at >= STALLED_S:
            self.abort()
            return
        events = self.session.tick(now)
        if events:
            self._handle(self, events)
        self.flush_soon()
        self._arm()
