"""The asyncio shell around a sans-IO session: bytes and timers, no decisions. Both simulators, SMSC and ESME, live in it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from gateway.smpp.events import Event
from gateway.smpp.session import Limits, Role, Session
from gateway.world import Clock

_TICK_S = 0.001


class SmppShell(asyncio.Protocol):
    """One connection. All PDUs of a read are handled at once, and everything to send goes out in one write a loop turn."""

    session: Session

    def __init__(self, clock: Clock, role: Role, limits: Limits) -> None:
        self._clock = clock
        self._role = role
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._is_touched = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self.is_writable = True
        self.is_gone = False

    @abstractmethod
    def handle(self, events: list[Event]) -> None:
        """Take what the session tells."""

    @abstractmethod
    def pump(self) -> None:
        """Give the session what waits to be sent; called before every write."""

    def opened(self) -> None:
        """The session exists; its peer has said nothing yet."""

    def now(self) -> float:
        return self._clock.monotonic()

    def touch(self) -> None:
        """Something may have to be written: once, at the end of this loop turn."""
        if not self._is_touched and not self.is_gone:
            self._is_touched = True
            asyncio.get_running_loop().call_soon(self._flush)

    def abort(self) -> None:
        """Reset the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports don't inherit from asyncio's
        self.session = Session(self._role, self._limits, now=self.now())
        self.opened()
        self.touch()

    def data_received(self, data: bytes) -> None:
        events = self.session.receive_data(data, self.now())
        if events:
            self.handle(events)
        self.touch()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        if self._timer is not None:
            self._timer.cancel()
        self.handle(self.session.receive_eof(self.now()))

    def pause_writing(self) -> None:
        """A peer that does not read is not read either: its memory is not ours to hold."""
        self.is_writable = False
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_writable = True
        if self._transport is not None:
            self._transport.resume_reading()
        self.touch()

    def _flush(self) -> None:
        self._is_touched = False
        if self.is_gone or self._transport is None:
            return
        if self.is_writable:
            self.pump()
        data = self.session.data_to_send()
        if data:
            self.write(data)
        if self.session.close_expected:
            self.hang_up()
            return
        self._arm()

    def write(self, data: bytes) -> None:
        """Hand octets to the connection."""
        if self._transport is not None:
            self._transport.write(data)

    def hang_up(self) -> None:
        """The session is over and all is written: close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _arm(self) -> None:
        """Have the timer ring at the next deadline; one that rings too early finds nothing to do and is armed again."""
        deadline = self.session.next_deadline()
        if deadline is None or deadline >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        delay_s = max(_TICK_S, deadline - self.now())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        if self.is_gone:
            return
        events = self.session.tick(self.now())
        if events:
            self.handle(events)
        self.touch()
