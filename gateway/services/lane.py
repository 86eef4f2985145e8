"""One link's lane: what waits, what is claimed, what comes back, and how much room there is. It decides nothing about the store."""

from __future__ import annotations

import asyncio
import heapq
from bisect import insort
from operator import attrgetter
from typing import NamedTuple, Protocol

from gateway.domain.backoff import Backoffs
from gateway.domain.fairness import FairQueues, is_urgent
from gateway.domain.message import Flight
from gateway.domain.pacing import Pace, Throughput
from gateway.domain.verdict import ErrorTable
from gateway.store.queues import Wanted

PAGE = 500
QUEUES_A_READ = 50
_segment_id = attrgetter("segment_id")


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


class LaneState(NamedTuple):
    """How a lane stands, for people and metrics."""

    waiting: int  # in memory
    queues: int  # of different senders
    spilled: int  # queues that have rows beyond what is in memory
    backoffs: int  # destinations whose queue at the carrier is full
    rate_per_s: float  # configured; 0 no limit
    limit_per_s: float  # what holds now; 0 no limit
    ceiling_per_s: float  # what the carrier's refusals or congestion allow; 0 none
    reason: str  # why there is a ceiling: throttled or congested
    paused_s: float
    throttles: int  # refusals for speed since the start
    reroutes: int  # segments given to another link
    is_held: bool

    def pace(self) -> dict[str, object]:
        """How fast it may send, as JSON."""
        return {
            "rate_per_s": self.rate_per_s,
            "ceiling_per_s": round(self.ceiling_per_s, 1),
            "reason": self.reason,
            "paused_s": round(self.paused_s, 1),
            "throttles": self.throttles,
            "backoffs": self.backoffs,
            "reroutes": self.reroutes,
            "held": self.is_held,
        }


class Spill:
    """A queue that has rows beyond what is in memory: memory knows it up to `cursor`."""

    __slots__ = ("cursor", "is_rewound", "marks", "pending")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.is_rewound = False  # some rows after the cursor may be in memory as well
        self.marks = 0  # counts rows written while a page is read
        self.pending = 0  # rows on their way into the queue


class Lane:
    """One link's lane."""

    def __init__(self, link: LinkPort, pace: Pace, now_s: float, *, errors: ErrorTable | None = None, reroute_after_s: float = 0.0) -> None:
        self.link = link
        self.pace = pace
        self.errors = errors if errors is not None else ErrorTable()
        self.reroute_after_s = reroute_after_s
        self.waiting: FairQueues[Flight] = FairQueues(_segment_id)
        self.claimed: FairQueues[Flight] = FairQueues(_segment_id)  # ahead of the window
        self.moving: dict[int, list[int]] = {}  # by queue, segments that are being claimed or given back; in order
        self.retries: list[tuple[float, int, Flight]] = []  # whose time comes soon
        self.backoffs = Backoffs()
        self.spilled: dict[int, Spill] = {}
        self.hungry: dict[int, None] = {}  # spilled queues with room for a page
        self.is_unread = True  # until its queues were looked up: there may be rows of an earlier run
        self.is_looking = False  # while that goes on
        self.is_loading = False
        self.is_due = False  # about to be pumped
        self.is_closed = False  # held, removed or stopping: nothing more is claimed
        self.is_removed = False
        self.reserved = 0
        self.joining = 0  # drafts that found no room, and are in no queue before they are on disk: whoever comes now, comes after them
        self.promised = 0  # room kept for what must not be claimed ahead
        self.unpaid = 0  # claimed, and refused for speed: each goes again when the pace has a token for it
        self.settling = 0  # refused for speed, and their rows are not written yet
        self.paused_until = 0.0
        self.down_since: float | None = None
        self.offered_s = 0.0  # when its queue was last offered to other links, and nothing was taken
        self.accepted = 0
        self.throttles = 0
        self.reroutes = 0
        self.throughput = Throughput(now_s)
        self.timer: asyncio.TimerHandle | None = None

    @property
    def depth(self) -> int:
        """How many segments are in memory and have not left."""
        return self.waiting.count + self.claimed.count + len(self.retries) + self.backoffs.aside.total()

    def state(self, now_s: float) -> LaneState:
        """How it stands."""
        pace = self.pace
        pace.available(now_s)
        return LaneState(
            self.depth,
            len(self.waiting.keys),
            len(self.spilled),
            len(self.backoffs),
            pace.rate_per_s,
            pace.limit_per_s,
            pace.ceiling_per_s,
            str(pace.reason),
            max(0.0, self.paused_until - now_s),
            self.throttles,
            self.reroutes,
            self.is_closed,
        )

    # -- room to send -----------------------------------------------------------------------------------------------------

    def room(self, now_s: float) -> int:
        """How many segments may be claimed now."""
        if now_s < self.paused_until or self.is_closed:
            return 0
        return min(self.link.window_free - self.reserved - self.claimed.count, self.pace.available(now_s))

    def room_ahead(self, now_s: float) -> int:
        """The same, with one window's worth ahead."""
        if now_s < self.paused_until or self.is_closed or not self.link.is_up:
            return 0
        room = self.link.window_free + self.link.window_max - self.reserved - self.claimed.count
        return min(room, self.pace.available(now_s))

    def measured_per_s(self, now_s: float) -> float:
        """How many a second the carrier took lately."""
        return self.throughput.per_s(self.accepted, now_s)

    def pause(self, for_s: float, now_s: float) -> None:
        """Send nothing for a while."""
        self.paused_until = max(self.paused_until, now_s + for_s)

    # -- what waits -----------------------------------------------------------------------------------------------------------

    def queue_depth(self, key: int) -> int:
        """How much of the memory a queue has."""
        return self.waiting.depth(key) + (self.backoffs.aside[key] if self.backoffs else 0)

    def room_in_memory(self, key: int, in_memory_max: int) -> int:
        """How many more of a queue may be kept: up to three times what is left then, so each leaves room for the others."""
        free = in_memory_max - self.waiting.count - len(self.retries) - (self.backoffs.aside.total() if self.backoffs else 0)
        return (3 * free - self.queue_depth(key)) // 4 if free > 0 else 0

    def take(self) -> Flight:
        """The next of those that wait; its queue gets another page when it runs low."""
        flight = self.waiting.take()
        key = flight.queue
        if key in self.spilled and self.queue_depth(key) < PAGE:
            self.hungry[key] = None
        return flight

    def joined(self, schedule_at: int | None) -> None:
        """A draft that found no room is in its queue, or was not written."""
        if schedule_at is None:
            self.joining = max(0, self.joining - 1)

    def moves(self, flight: Flight) -> None:
        """Its claim, or its way back into its queue, is being written: what comes after it waits."""
        insort(self.moving.setdefault(flight.queue, []), flight.segment_id)

    def has_moved(self, flight: Flight) -> None:
        """It is on disk, or never will be."""
        ids = self.moving[flight.queue]
        ids.remove(flight.segment_id)
        if not ids:
            del self.moving[flight.queue]

    def has_before(self, flight: Flight) -> bool:
        """Whether something of its queue has to leave first."""
        ids = self.moving.get(flight.queue)
        if ids is not None and ids[0] < flight.segment_id:
            return True
        return bool(self.waiting.count) and self.waiting.has_before(flight.queue, flight.segment_id)

    def spill(self, key: int, first_id: int) -> Spill:
        """A row of this queue lies in the table only."""
        spill = self.spilled.get(key)
        if spill is None:
            spill = self.spilled[key] = Spill(first_id - 1)
        else:
            spill.marks += 1
            if first_id <= spill.cursor:
                spill.cursor, spill.is_rewound = first_id - 1, True
        if self.queue_depth(key) < PAGE:
            self.hungry[key] = None
        return spill

    def wanted(self, in_memory_max: int) -> list[Wanted]:
        """Which pages to read next, urgent queues first; a queue without room is forgotten until it moves again."""
        found: list[Wanted] = []
        share = max(1, in_memory_max // (2 * min(len(self.hungry), QUEUES_A_READ) or 1))
        for key in sorted(self.hungry, key=is_urgent, reverse=True)[:QUEUES_A_READ]:
            depth = self.queue_depth(key)
            limit = min(PAGE, share, max(self.room_in_memory(key, in_memory_max), 1 - depth))
            del self.hungry[key]
            # Not for a handful: a queue reads again when half of its share has left.
            if limit >= min(PAGE, depth + 1) and key in self.spilled:
                found.append(Wanted(key, self.spilled[key].cursor, limit))
        return found

    def known(self, key: int) -> frozenset[int]:
        """The segments of a queue that wait in memory."""
        return frozenset(flight.segment_id for flights in (self.waiting.in_queue(key), self.backoffs.known(key)) for flight in flights)

    def look_for_hunger(self) -> None:
        """Queues of which memory has nothing want a page, however they came to that."""
        self.hungry.update((key, None) for key in self.spilled if not self.queue_depth(key))

    def retry(self, due_s: float, flight: Flight) -> None:
        """Keep a segment until its time."""
        heapq.heappush(self.retries, (due_s, flight.segment_id, flight))

    def due(self, now_s: float) -> None:
        """Those whose time has come wait in their queues, in their old places."""
        while self.retries and self.retries[0][0] <= now_s:
            flight = heapq.heappop(self.retries)[2]
            self.waiting.put(flight.queue, flight)

    def forget(self) -> None:
        """Keep nothing in memory: all of it is in the store."""
        self.is_unread = True
        self.waiting.clear()
        self.retries.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def hurry(self, destination: str, now_s: float) -> bool:
        """Let what waits to be tried again for a destination be due now; whether there is any."""
        is_waiting = self.backoffs.hurry(destination, now_s)
        is_retried = any(flight.message.destination == destination for _, _, flight in self.retries)
        if is_retried:
            self.retries = [(now_s, *entry[1:]) if entry[2].message.destination == destination else entry for entry in self.retries]
            heapq.heapify(self.retries)
        return is_retried or is_waiting

    def withhold(self, message_id: int, last_id: int) -> None:
        """Take a message's segments out of memory."""
        for key in self.waiting.keys:
            self.waiting.remove(key, message_id, last_id)
        if any(message_id <= entry[1] <= last_id for entry in self.retries):
            self.retries = [entry for entry in self.retries if not message_id <= entry[1] <= last_id]
            heapq.heapify(self.retries)
        self.backoffs.withhold(message_id, last_id)
        self.look_for_hunger()

    # -- destinations whose queue is full ---------------------------------------------------------------------------------------

    def ask_again(self, now_s: float) -> None:
        """Of each destination whose wait is over the first segment goes ahead to ask."""
        for flight in self.backoffs.ask(now_s):
            self._rejoin(flight)

    def answered(self, flight: Flight) -> None:
        """The one that asked has an answer, and it is not that the queue is full: the others follow."""
        for each in self.backoffs.answered(flight):
            self._rejoin(each)

    def _rejoin(self, flight: Flight) -> None:
        self.waiting.put(flight.queue, flight)
        if flight.queue in self.spilled:
            self.hungry[flight.queue] = None

    def next_due(self, now_s: float) -> float | None:
        """When there is something to do: a retry, a question to a destination, the end of a pause, or a token, whichever is first."""
        due = self.retries[0][0] if self.retries else None
        if self.backoffs:
            due = self.backoffs.asks_at if due is None else min(due, self.backoffs.asks_at)
        if self.waiting.count or self.hungry or self.claimed.count:
            at = None
            if self.paused_until > now_s:
                at = self.paused_until
            elif (self.unpaid or self.link.window_free > self.reserved) and self.pace.available(now_s) < 1:
                at = now_s + self.pace.delay(now_s)
            if at is not None:
                due = at if due is None else min(due, at)
        return due
