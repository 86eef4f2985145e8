"""How long to wait before the next bind: by how the last one ended, longer each time, never at once. No clock of its own.

A bind that stood longer than its pause was a success, and all pauses begin anew.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Ended(Enum):
    """How an attempt to bind, or the bind it led to, came to its end."""

    LOST = "lost"  # no connection, no answer, or it broke
    UNBOUND = "unbound"  # the carrier said unbind: it wants us away for a while
    ALREADY_BOUND = "already bound"  # it still holds a session of ours that is gone
    CREDENTIALS = "credentials"  # it knows us not; only a person can put that right


class Times(NamedTuple):
    """Every pause in seconds."""

    backoff_s_min: float = 0.5
    backoff_s_max: float = 30.0
    standoff_s_max: float = 900.0
    already_bound_wait_s: float = 60.0
    unbound_wait_s: float = 2.0


class Redial:
    """The pauses of one bind."""

    def __init__(self, times: Times) -> None:
        assert 0 < times.backoff_s_min <= times.backoff_s_max
        self._times = times
        self._grown: dict[Ended, int] = {}
        self._last_s = times.backoff_s_min

    def pause_s(self, ended: Ended, stood_s: float, chance: float) -> float:
        """Seconds to wait now; `stood_s` is how long it was bound, `chance` is uniform in [0, 1)."""
        if stood_s > self._last_s:
            self._grown.clear()
        grown = self._grown.get(ended, 0)
        self._grown[ended] = grown + 1
        self._last_s = self._pause_s(ended, 1 << min(grown, 30), chance)
        return self._last_s

    def _pause_s(self, ended: Ended, factor: int, chance: float) -> float:
        times = self._times
        if ended is Ended.CREDENTIALS:
            longest = min(max(times.backoff_s_max, times.backoff_s_min) * factor, max(times.standoff_s_max, times.backoff_s_min))
            return longest * (1 + chance) / 2
        if ended is Ended.ALREADY_BOUND:
            # Not shorter than asked for: each try before its time may count as life in the session that is to die.
            return min(times.already_bound_wait_s * factor, max(times.standoff_s_max, times.already_bound_wait_s)) * (1 + chance / 10)
        # Full jitter, so that a fleet does not come back as one; half the shortest pause at least, so that nobody is hammered.
        longest = min(times.backoff_s_min * factor, times.backoff_s_max)
        pause_s = times.backoff_s_min / 2 + (longest - times.backoff_s_min / 2) * chance
        return times.unbound_wait_s + pause_s if ended is Ended.UNBOUND else pause_s
