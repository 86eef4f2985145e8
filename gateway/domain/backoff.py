"""Destinations whose queue at the carrier is full: what is for them waits, in order, and one segment goes ahead to ask."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

from gateway.domain.message import Flight
from gateway.domain.verdict import RETRY_S

# A phone whose queue is full says nothing about the link; this many phones within a second do.
CROWD, CROWD_S = 10, 1.0

_segment_id = attrgetter("segment_id")


class Backoff:
    """One destination."""

    __slots__ = ("aside", "probe", "refusals", "returning", "until_s")

    def __init__(self) -> None:
        self.aside: list[Flight] = []
        self.returning: set[int] = set()  # to be put aside when that is written down: nobody goes before them
        self.refusals = 0
        self.until_s = 0.0
        self.probe = 0  # the segment that asks


class Backoffs(dict[str, Backoff]):
    """All of a link, by destination."""

    def __init__(self) -> None:
        super().__init__()
        self.aside: Counter[int] = Counter()  # by sender's queue, how many wait for their destination
        self.asks_at = 0.0  # when the next destination is to be asked
        self._crowd: list[float] = []

    def is_aside(self, flight: Flight) -> bool:
        """Whether a segment must wait for its destination."""
        backoff = self.get(flight.message.destination)
        return backoff is not None and backoff.probe != flight.segment_id

    def put(self, flight: Flight) -> None:
        """Let a segment wait for its destination."""
        self[flight.message.destination].aside.append(flight)
        self.aside[flight.queue] += 1

    def known(self, key: int) -> list[Flight]:
        """What waits here of a sender's queue."""
        return [flight for backoff in self.values() for flight in backoff.aside if flight.queue == key]

    def refused(self, flight: Flight, now_s: float) -> bool:
        """Its destination's queue is full: wait, longer each time; True when so many are full at once that it is the link."""
        destination = flight.message.destination
        backoff = self.get(destination)
        if backoff is None:
            backoff = self[destination] = Backoff()
            self._crowd = [at for at in self._crowd if at > now_s - CROWD_S]
            self._crowd.append(now_s)
        # What was in the window with the first only says the same again.
        if backoff.until_s <= now_s or backoff.probe == flight.segment_id:
            backoff.until_s = now_s + RETRY_S[min(backoff.refusals, len(RETRY_S) - 1)]
            backoff.refusals += 1
            backoff.probe = 0
            self.asks_at = min(each.until_s for each in self.values()) if len(self) < CROWD else now_s
        if len(self._crowd) < CROWD:
            return False
        self._crowd.clear()
        return True

    def returns(self, flight: Flight) -> None:
        """A claimed segment that must wait for its destination is being written down."""
        self[flight.message.destination].returning.add(flight.segment_id)

    def came_back(self, flight: Flight) -> None:
        """It is, and waits in its place again."""
        backoff = self.get(flight.message.destination)
        if backoff is not None:
            backoff.returning.discard(flight.segment_id)

    def ask(self, now_s: float) -> list[Flight]:
        """Of each destination whose wait is over the first segment, which goes ahead to ask."""
        asking: list[Flight] = []
        if now_s < self.asks_at:
            return asking
        for destination in [destination for destination, backoff in self.items() if backoff.until_s <= now_s]:
            backoff = self[destination]
            if backoff.returning:
                backoff.until_s = now_s + RETRY_S[0]
                continue
            if not backoff.aside:
                del self[destination]
                continue
            first = min(backoff.aside, key=_segment_id)
            backoff.aside.remove(first)
            self._forget((first,))
            backoff.probe = first.segment_id
            backoff.until_s = now_s + RETRY_S[-1]  # should the one that asks get lost on its way
            asking.append(first)
        self.asks_at = min((backoff.until_s for backoff in self.values()), default=0.0)
        return asking

    def answered(self, flight: Flight) -> list[Flight]:
        """What may follow when a segment has an answer that is not of a full queue: all others, if it was the one that asked."""
        destination = flight.message.destination
        backoff = self.get(destination)
        if backoff is None or backoff.probe != flight.segment_id:
            return []
        if backoff.returning:
            backoff.probe = 0
            backoff.until_s = self.asks_at = 0.0
            return []
        del self[destination]
        self._forget(backoff.aside)
        return backoff.aside

    def hurry(self, destination: str, now_s: float) -> bool:
        """Let a destination be asked now; whether it waits at all."""
        backoff = self.get(destination)
        if backoff is None:
            return False
        backoff.until_s = self.asks_at = now_s
        return True

    def withhold(self, first_id: int, last_id: int) -> None:
        """Forget the segments of a range."""
        for backoff in self.values():
            gone = [flight for flight in backoff.aside if first_id <= flight.segment_id <= last_id]
            if gone:
                self._forget(gone)
                backoff.aside = [flight for flight in backoff.aside if flight not in gone]

    def _forget(self, flights: list[Flight] | tuple[Flight, ...]) -> None:
        for flight in flights:
            self.aside[flight.queue] -= 1
            if not self.aside[flight.queue]:
                del self.aside[flight.queue]
