"""The figures of the books for /metrics, read from the store now and then, off the hot path.

A look at many corrections or subscriptions takes its time: the next one waits a hundred times as long as the last one took.
"""

from __future__ import annotations

import asyncio
import contextlib

from billing import calendar, figures
from billing.booking import Booking
from billing.figures import Figures
from gateway.domain.failure import StoreUnavailable
from gateway.services.ports import Reader
from gateway.world import Clock

INTERVAL_S = 15.0
REST = 100.0


class Counting:
    """The periodic task; `figures` is what the last look found, None before the first."""

    def __init__(self, clock: Clock, reader: Reader, books: Booking) -> None:
        self._clock = clock
        self._reader = reader
        self._books = books
        self.figures: Figures | None = None

    async def run(self) -> None:
        """Look, and rest, for ever."""
        pause = INTERVAL_S
        while True:
            await asyncio.sleep(pause)
            began = self._clock.monotonic()
            with contextlib.suppress(StoreUnavailable):
                await self.look()
            pause = max(INTERVAL_S, REST * (self._clock.monotonic() - began))

    async def look(self) -> None:
        """Look once; raises StoreUnavailable."""
        self.figures = await self._reader.read(figures.look)

    def open_seconds(self) -> dict[str, float]:
        """How long ago the first day that is open began on its carrier's clock; of carriers that ever closed one."""
        if self.figures is None:
            return {}
        now_us, carriers = self._clock.now_us(), self._books.carriers
        found = {}
        for name, day in self.figures.first_open.items():
            zone = (carriers.named(name) or carriers.default).zone
            found[name] = max(0.0, (now_us - calendar.span_of(day, zone).from_us) / 1e6)
        return found
