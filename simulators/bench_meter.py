"""What a bench run measures: when each message was meant to leave, reached the far end, and was final; and the load's plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

# +86139 and eight digits: each message goes to a number of its own, which names it again wherever it turns up.
NUMBER_PREFIX = "86139"
NUMBER_DIGITS = 8
MESSAGES_MAX = 10**NUMBER_DIGITS
_NUMBER_LENGTH = len(NUMBER_PREFIX) + NUMBER_DIGITS
_UNSET = -1.0


class Percentiles(NamedTuple):
    """A latency's shape, in milliseconds; None where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """The shape of these latencies."""
    if not seconds:
        return Percentiles(None, None, None)
    ordered = sorted(seconds)
    p50, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.50, 0.95, 0.99))
    return Percentiles(round(p50 * 1e3, 2), round(p95 * 1e3, 2), round(p99 * 1e3, 2))


class Meter:
    """The times of every message, by its number; `now` gives seconds that never go back.

    A message is done when its client has the answer and it is final: its last receipt was taken, or, without receipts, all its
    parts reached the far end. `finals` is how many such signs a message needs.
    """

    def __init__(self, messages: int, now: Callable[[], float], *, finals: int = 1) -> None:
        self.messages = messages
        self.now = now
        self.sent = [_UNSET] * messages
        self.arrived = [_UNSET] * messages
        self.final = [_UNSET] * messages
        self.answered = self.refused = self.finished = self.surplus = 0
        self.first_refusal = ""
        self._signs_left = [finals] * messages
        self._is_over = asyncio.Event()

    def answer(self, count: int = 1) -> None:
        """The gateway has accepted messages."""
        self.answered += count
        self._look()

    def refuse(self, why: str, count: int = 1) -> None:
        """The gateway has refused messages: they are lost to this run."""
        self.refused += count
        self.first_refusal = self.first_refusal or why
        self._look()

    def arrive(self, index: int) -> None:
        """A submit_sm of this message reached the far end; only the first counts for latency."""
        if self.arrived[index] == _UNSET:
            self.arrived[index] = self.now()

    def finish(self, index: int) -> None:
        """One sign that this message is final."""
        left = self._signs_left[index] = self._signs_left[index] - 1
        if left > 0:
            return
        if left < 0:
            self.surplus += 1
            return
        self.final[index] = self.now()
        self.finished += 1
        self._look()

    def _look(self) -> None:
        if self.answered + self.refused >= self.messages and self.finished >= self.messages - self.refused:
            self._is_over.set()

    async def wait(self, stalled_s: float, progress: Callable[[int], None]) -> bool:
        """Wait for the last message; False when nothing moved for so long."""
        seen, seen_at = (-1, -1), self.now()
        while not self._is_over.is_set():
            state = (self.answered, self.finished)
            if state != seen:
                seen, seen_at = state, self.now()
            elif self.now() - seen_at > stalled_s:
                return False
            progress(self.finished)
            try:
                await asyncio.wait_for(self._is_over.wait(), 0.25)
            except TimeoutError:
                continue
        progress(self.finished)
        return True

    # -- afterwards -----------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """From the first message's leaving to the last one's end."""
        ends = [at for at in self.final if at != _UNSET]
        return max(ends) - min(at for at in self.sent if at != _UNSET) if ends else 0.0

    def mid80_per_s(self) -> float:
        """The rate between the 10th and the 90th percentile message: without ramp-up and tail."""
        ends = sorted(at for at in self.final if at != _UNSET)
        low, high = len(ends) // 10, len(ends) * 9 // 10
        if high <= low or ends[high] <= ends[low]:
            return 0.0
        return (high - low) / (ends[high] - ends[low])

    def latencies(self, ends: Sequence[float]) -> Percentiles:
        """From when each message was meant to leave to `ends`."""
        return percentiles([end - start for start, end in zip(self.sent, ends, strict=False) if end != _UNSET and start != _UNSET])


class Plan:
    """Which messages leave next, in units of one request; at `rate_per_s` 0 as soon as somebody asks.

    With a rate each unit has its moment, and latency counts from that moment even when the gateway was not ready to take it then.
    """

    def __init__(self, meter: Meter, *, unit: int, rate_per_s: float) -> None:
        self._meter = meter
        self._unit = unit
        self._gap_s = unit / rate_per_s if rate_per_s else 0.0
        self._next = 0
        self._units = 0
        self.started_s: float | None = None

    @property
    def is_paced(self) -> bool:
        return self._gap_s > 0

    @property
    def is_empty(self) -> bool:
        """Whether everything has left."""
        return self._next >= self._meter.messages

    def start(self) -> None:
        """The run begins now."""
        self.started_s = self._meter.now()

    def take(self, now: float) -> range | None:
        """The next request's messages, if it is time for them."""
        first = self._next
        if first >= self._meter.messages:
            return None
        if self._gap_s:
            # A client may ask before the run begins: then nothing is due.
            due = None if self.started_s is None else self.started_s + self._units * self._gap_s
            if due is None or due > now:
                return None
            now = due
        end = self._next = min(first + self._unit, self._meter.messages)
        self._units += 1
        for index in range(first, end):
            self._meter.sent[index] = now
        return range(first, end)


def number_of(index: int) -> str:
    """The digits of a message's own handset."""
    return f"{NUMBER_PREFIX}{index:0{NUMBER_DIGITS}d}"


def index_of(number: str) -> int | None:
    """The message whose handset this is."""
    if len(number) != _NUMBER_LENGTH or not number.startswith(NUMBER_PREFIX):
        return None
    return int(number[-NUMBER_DIGITS:])


def text_of(index: int, parts: int) -> str:
    """A text in the GSM alphabet, about 60 characters or as many as fill these parts, unlike any other of the run."""
    head = f"No {index:08d}: your parcel waits at the counter until six today"
    return head if parts == 1 else (head + "; bring a card with your name").ljust(153 * (parts - 1) + 60, ".")
