"""One link's queue: what waits, what is claimed, what comes back, and how much room there is."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from gateway.domain.message import Flight
from gateway.domain.pacing import Pace

THROTTLE_PAUSE_S = 0.5
THROTTLE_PAUSE_S_MAX = 8.0


class LinkPort(Protocol):
    """A link as the dispatcher sees it."""

    @property
    def name(self) -> str: ...

    @property
    def window_free(self) -> int:
        """How many more requests its binds may have unanswered; 0 when not bound."""
        ...

    @property
    def window_max(self) -> int:
        """How many all its binds together may have unanswered."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether any bind stands."""
        ...

    def send(self, flight: Flight) -> bool:
        """Put a submit_sm into the window; False when there was no room after all."""
        ...


class Lane:
    """One link's queue. `cursor` is the last id that memory knows; what is beyond it lies in the table when `is_spilled`."""

    def __init__(self, link: LinkPort, pace: Pace) -> None:
        self.link = link
        self.pace = pace
        self.waiting: deque[Flight] = deque()
        self.claimed: deque[Flight] = deque()  # ahead of the window
        self.returned: list[Flight] = []  # throttled, still claimed
        self.is_stopping = False
        self.retries: list[tuple[float, int, Flight]] = []
        self.reserved = 0
        self.cursor = 0
        self.is_spilled = True  # until the first page says otherwise: there may be rows of an earlier run
        self.is_loading = False
        self.spills = 0
        self.paused_until = 0.0
        self.pause_s = THROTTLE_PAUSE_S
        self.timer: asyncio.TimerHandle | None = None

    @property
    def depth(self) -> int:
        """How many segments are in memory and have not left."""
        return len(self.waiting) + len(self.claimed) + len(self.returned) + len(self.retries)

    def room(self, now_s: float) -> int:
        """How many segments may be claimed now."""
        if now_s < self.paused_until or self.is_stopping:
            return 0
        return min(self.link.window_free - self.reserved - len(self.claimed) - len(self.returned), self.pace.available(now_s))

    def room_ahead(self, now_s: float) -> int:
        """The same, with one window's worth ahead."""
        if now_s < self.paused_until or self.is_stopping or not self.link.is_up:
            return 0
        room = self.link.window_free + self.link.window_max - self.reserved - len(self.claimed) - len(self.returned)
        return min(room, self.pace.available(now_s))
