"""What an SMSC simulator counts, and the load it measures."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_WINDOW_S = 1.0


@dataclass(slots=True)
class SmscCounts:
    """What has happened since the start."""

    binds: int = 0
    binds_refused: int = 0
    submits: int = 0
    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    delivered: int = 0
    receipts: int = 0
    mo: int = 0
    violations: int = 0


class Load:
    """Messages in the last second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def percent(self, now: float, full_per_s: int) -> int:
        """Count one more; how near this comes to the full load, 100 at most."""
        self._times.append(now)
        while now - self._times[0] > _WINDOW_S:
            self._times.popleft()
        return min(100, 100 * len(self._times) // full_per_s)
