"""How fast a link may send: a token bucket per PDU, under a ceiling that the carrier's own words move. No clock of its own.

A carrier that throttles lowers the ceiling (multiplicatively) and pauses the link; the ceiling rises again (additively, and faster
beyond where it was cut) while nothing is refused, and is lifted when it has held. A carrier of SMPP 5 says how full it is before it
refuses: congestion_state, 5.0 section 4.8.4.18: below 80 the ceiling may rise, at 80 to 89 it stays, at 90 to 99 it falls, at 100 the
link pauses.
"""

from __future__ import annotations

from enum import StrEnum
from math import log

UNLIMITED = 1 << 30
RATE_MIN = 1.0
# What a quiet link is cut from: one refusal among few messages says little of what the carrier takes.
CUT_FROM_MIN = 10.0
CUT = 0.7
# A ceiling would rise from nothing to where it was cut in so long without a refusal, and beyond by so much a second. It is lifted when it
# held at the configured rate or, where there is none, at so many times what it was cut from.
RISE_S = 20.0
GROWTH = 1.25
TOP = 8.0
HOLD_S = 10.0
PAUSE_S, PAUSE_S_MAX = 0.5, 8.0
# A full window of answers says the same thing many times: one step per so long.
STEP_S = 1.0
# A level once said counts for so long.
LEVEL_S = 5.0
RISING_BELOW, FALLING_FROM, FULL = 80, 90, 100


class Reason(StrEnum):
    """Why a link is slower than it is configured."""

    NONE = ""
    THROTTLED = "throttled"
    CONGESTED = "congested"


class Pace:
    """At most `rate_per_s`, in bursts of up to a tenth of a second's worth; a rate of 0 sets no limit but the carrier's."""

    __slots__ = ("_at_s", "_base", "_burst", "_held_until", "_limit", "_rate", "_rose_s", "_stepped_s", "_tokens", "reason", "repeats")

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        assert rate_per_s >= 0
        self._rate = rate_per_s
        self._limit = rate_per_s  # what holds now: the rate, or the ceiling where there is one
        self._burst = max(1.0, rate_per_s / 10)
        self._tokens = self._burst
        self._at_s = now_s
        self._base = 0.0  # where the ceiling was last cut; 0: there is no ceiling
        self._rose_s = now_s
        self._stepped_s = now_s - STEP_S
        self._held_until = 0.0
        self.repeats = 0  # refusals in a row
        self.reason = Reason.NONE

    # -- the bucket -------------------------------------------------------------------------------------------------------

    def available(self, now_s: float) -> int:
        """Whole tokens there are at `now_s`."""
        if not self._limit:
            return UNLIMITED
        if self._base:
            self._rise(now_s)
            if not self._limit:
                return UNLIMITED
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._limit)
        self._at_s = now_s
        return int(self._tokens)

    def take(self, count: int) -> None:
        """Use tokens; more than there are leaves a debt that time pays."""
        if self._limit:
            self._tokens -= count

    def delay(self, now_s: float) -> float:
        """Seconds until there is a token."""
        if self.available(now_s) >= 1 or not self._limit:
            return 0.0
        return (1.0 - self._tokens) / self._limit

    # -- what is configured, and what holds ------------------------------------------------------------------------------------

    @property
    def rate_per_s(self) -> float:
        """What is configured; 0 is no limit."""
        return self._rate

    @property
    def limit_per_s(self) -> float:
        """What holds now; 0 is no limit."""
        return self._limit

    @property
    def ceiling_per_s(self) -> float:
        """What the carrier's refusals or its congestion allow; 0 when there is no such ceiling."""
        return self._limit if self._base else 0.0

    def set_rate(self, rate_per_s: float, now_s: float) -> None:
        """Configure another rate; the ceiling goes, for it was made under the old one."""
        assert rate_per_s >= 0
        self._rate = rate_per_s
        self._lift(now_s)

    # -- what the carrier says ---------------------------------------------------------------------------------------------------

    def throttled(self, now_s: float, measured_per_s: float) -> float:
        """A submit_sm was refused as too fast: slow down; seconds to pause. Call it once per pause, not per refusal.

        `measured_per_s` is what went through lately: where no rate is configured the ceiling is cut from it.
        """
        self._cut(CUT, now_s, measured_per_s, Reason.THROTTLED)
        pause_s = min(PAUSE_S * 2.0**self.repeats, PAUSE_S_MAX)
        self.repeats = min(self.repeats + 1, 16)
        return pause_s

    def accepted(self) -> None:
        """A submit_sm was taken: the next pause is a short one again."""
        self.repeats = 0

    def congestion(self, level: int, now_s: float, measured_per_s: float) -> float:
        """The carrier said how full it is, 0 to 100; seconds to pause, 0 for none."""
        if level < RISING_BELOW:
            return 0.0
        if level < FALLING_FROM:
            if not self._base:
                self._cut(1.0, now_s, measured_per_s, Reason.CONGESTED)
            self._hold(now_s)
            return 0.0
        if now_s - self._stepped_s < STEP_S:
            self._hold(now_s)
            return 0.0
        if level < FULL:
            self._cut(CUT, now_s, measured_per_s, Reason.CONGESTED)
            self._hold(now_s)
            return 0.0
        pause_s = self.throttled(now_s, measured_per_s)
        self.reason = Reason.CONGESTED
        self._hold(now_s)
        return pause_s

    def _hold(self, now_s: float) -> None:
        self._held_until = now_s + LEVEL_S

    def _cut(self, factor: float, now_s: float, measured_per_s: float, reason: Reason) -> None:
        self.available(now_s)
        before = self._limit or max(measured_per_s, CUT_FROM_MIN)
        self._base = before
        self._rose_s = self._stepped_s = now_s
        self.reason = reason
        self._set_limit(max(RATE_MIN, before * factor), now_s)

    def _rise(self, now_s: float) -> None:
        """By time: slowly up to where it was cut, for that was too much; faster beyond; and lifted when it held at the top."""
        if now_s < self._held_until:
            self._rose_s = now_s
            return
        if self._limit < self._base:
            self._grow(self._base, (self._base - self._limit) * RISE_S / self._base, now_s)
        top = self._rate or TOP * self._base
        if self._base <= self._limit < top:
            self._grow(top, log(top / self._limit) / log(GROWTH), now_s)
        if self._limit >= top and now_s - self._rose_s >= HOLD_S:
            self._lift(now_s)

    def _grow(self, target: float, needed_s: float, now_s: float) -> None:
        elapsed_s = now_s - self._rose_s
        if elapsed_s >= needed_s:
            self._rose_s += needed_s
            self._set_limit(target, now_s)
            return
        is_beyond = self._limit >= self._base
        risen = self._limit * GROWTH**elapsed_s if is_beyond else self._limit + elapsed_s * self._base / RISE_S
        self._rose_s = now_s
        self._set_limit(risen, now_s)

    def _lift(self, now_s: float) -> None:
        self._base = 0.0
        self.reason = Reason.NONE
        self._set_limit(self._rate, now_s)

    def _set_limit(self, limit_per_s: float, now_s: float) -> None:
        # Tokens of the past are counted at the old limit.
        if self._limit:
            self._tokens += (now_s - self._at_s) * self._limit
        self._limit = limit_per_s
        self._burst = max(1.0, limit_per_s / 10)
        self._tokens = min(self._burst, self._tokens)
        self._at_s = now_s


class Throughput:
    """How many a second went through lately, from a counter that is looked at now and then."""

    __slots__ = ("_counts", "_times")

    def __init__(self, now_s: float) -> None:
        self._times = [now_s, now_s]
        self._counts = [0, 0]

    def mark(self, count: int, now_s: float) -> None:
        """Remember the counter; call it about once a second."""
        self._times = [self._times[1], now_s]
        self._counts = [self._counts[1], count]

    def per_s(self, count: int, now_s: float) -> float:
        """The rate since the last mark but one."""
        elapsed_s = now_s - self._times[0]
        return (count - self._counts[0]) / max(elapsed_s, 0.05)
