"""A token bucket: how many PDUs may leave now. No clock of its own."""

from __future__ import annotations

UNLIMITED = 1 << 30


class Pace:
    """At most `rate_per_s`, in bursts of up to a tenth of a second's worth; a rate of 0 sets no limit."""

    __slots__ = ("_at_s", "_burst", "_rate", "_tokens")

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        assert rate_per_s >= 0
        self._rate = rate_per_s
        self._burst = max(1.0, rate_per_s / 10)
        self._tokens = self._burst
        self._at_s = now_s

    def available(self, now_s: float) -> int:
        """Whole tokens there are at `now_s`."""
        if not self._rate:
            return UNLIMITED
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        return int(self._tokens)

    def take(self, count: int) -> None:
        """Use tokens; more than there are leaves a debt that time pays."""
        if self._rate:
            self._tokens -= count

    def delay(self, now_s: float) -> float:
        """Seconds until there is a token."""
        if not self._rate or self.available(now_s) >= 1:
            return 0.0
        return (1.0 - self._tokens) / self._rate
