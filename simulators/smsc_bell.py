"""How whoever waits for a change in the SMSC simulator hears of one."""

from __future__ import annotations

import asyncio


class Bell:
    """Rung when something worth looking at has changed; whoever waits looks again."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1
        if self._waiting:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for the next ring; False when none came in time."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiter)
        return True
