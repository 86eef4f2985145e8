"""What an SMSC will do later: one timer for any number of deeds, in order of their time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from gateway.world import Clock

# A turn of the loop never works off more than this, so that sessions stay responsive behind a mountain of receipts.
DEEDS_PER_TURN_MAX = 500
_TICK_S = 0.001


class Timeline:
    """Deeds with a time; one asyncio timer is armed for the earliest of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deeds: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._is_working = False

    def __len__(self) -> int:
        return len(self._deeds)

    def after(self, delay_s: float, deed: Callable[..., None], *args: object) -> None:
        """Do `deed(*args)` in `delay_s`; deeds of the same time keep their order. Does nothing after close()."""
        if self._is_closed:
            return
        due = self._clock.monotonic() + delay_s
        heapq.heappush(self._deeds, (due, next(self._numbers), deed, args))
        if self._is_working:
            return  # armed when the work is done, for whatever is first then
        if self._timer is None:
            self._arm(delay_s)
        elif self._deeds[0][0] == due and delay_s < _TICK_S + self._timer.when() - asyncio.get_running_loop().time():
            self._timer.cancel()
            self._arm(delay_s)

    def close(self) -> None:
        """Forget everything not done yet."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._deeds.clear()

    def _arm(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(delay_s, _TICK_S), self._work)

    def _work(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        self._is_working = True
        try:
            for _ in range(DEEDS_PER_TURN_MAX):
                if not self._deeds or self._deeds[0][0] > now:
                    break
                _, _, deed, args = heapq.heappop(self._deeds)
                deed(*args)
        finally:
            self._is_working = False
            if self._deeds:
                self._arm(self._deeds[0][0] - now)
