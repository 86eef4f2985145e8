"""Whose turn it is on a link: the key of a fair queue, and the queues of those who wait.

Urgent queues go before ordinary ones; within each kind every queue has one turn a round. Who was not served in this round yet takes
his turn before anybody has a second one: so what a queue that was empty waits for is at most one item of each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")

URGENT = 1
# SMPP 3.4 section 5.2.14, GSM column: 0 is bulk, 1 normal; what is above may pass the others.
URGENT_PRIORITY = 2


def queue_of(partner_id: int | None, priority: int) -> int:
    """The queue of a message: one per partner (ids have their low 8 bits zero), our own share queue 0; an odd one is urgent."""
    return (partner_id or 0) | (URGENT if priority >= URGENT_PRIORITY else 0)


def is_urgent(queue: int) -> bool:
    """Whether a queue goes before the others."""
    return bool(queue & URGENT)


class _Turns:
    """Round robin: the keys of this round, those of the next, and who was served in this one and has nothing left."""

    __slots__ = ("following", "now", "served")

    def __init__(self) -> None:
        self.now: deque[int] = deque()
        self.following: deque[int] = deque()
        self.served: set[int] = set()

    def join(self, key: int) -> None:
        """A queue that was empty goes first in this round, unless it was served in it."""
        if key in self.served:
            self.following.append(key)
        else:
            self.now.appendleft(key)

    def head(self) -> int:
        if not self.now:
            self.now, self.following = self.following, self.now
            self.served.clear()
        return self.now[0]


class FairQueues(Generic[Item]):
    """Items in queues by key, each queue in the order of its items' numbers, whatever order they come in; empty queues are forgotten."""

    __slots__ = ("_kinds", "_order", "_queues", "count")

    def __init__(self, order: Callable[[Item], int]) -> None:
        self._order = order
        self._queues: dict[int, deque[Item]] = {}
        self._kinds = (_Turns(), _Turns())  # ordinary, urgent
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __contains__(self, key: int) -> bool:
        return key in self._queues

    def __iter__(self) -> Iterator[Item]:
        for queue in self._queues.values():
            yield from queue

    @property
    def keys(self) -> list[int]:
        """The keys of the queues that are not empty."""
        return list(self._queues)

    @property
    def is_alone(self) -> bool:
        """Whether only one queue has items: nobody waits for its turns."""
        return len(self._queues) == 1

    def depth(self, key: int) -> int:
        """How many items a queue has."""
        queue = self._queues.get(key)
        return len(queue) if queue is not None else 0

    def in_queue(self, key: int) -> Iterator[Item]:
        """The items of one queue, in order."""
        return iter(self._queues.get(key, ()))

    def put(self, key: int, item: Item) -> None:
        """Add an item in its place in its queue."""
        self.count += 1
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque((item,))
            self._kinds[key & URGENT].join(key)
            return
        order = self._order
        place = order(item)
        if place >= order(queue[-1]):
            queue.append(item)
        elif place < order(queue[0]):
            queue.appendleft(item)
        else:
            queue.insert(bisect_left(queue, place, key=order), item)

    def head(self) -> Item:
        """The item whose turn it is; IndexError when all are empty."""
        if len(self._queues) == 1:
            (alone,) = self._queues.values()
            return alone[0]
        return self._queues[self._turns().head()][0]

    def take(self) -> Item:
        """Remove the item whose turn it is, and give the turn on."""
        if len(self._queues) == 1:
            # Nobody to give the turn to: who comes next waits for one item of this queue at most, whichever round it stands in.
            (alone,) = self._queues.values()
            if len(alone) > 1:
                self.count -= 1
                return alone.popleft()
        turns = self._turns()
        key = turns.head()
        turns.now.popleft()
        queue = self._queues[key]
        item = queue.popleft()
        self.count -= 1
        if queue:
            turns.following.append(key)
        else:
            del self._queues[key]
            turns.served.add(key)
        return item

    def has_before(self, key: int, place: int) -> bool:
        """Whether a queue has an item with a smaller number."""
        queue = self._queues.get(key)
        return queue is not None and self._order(queue[0]) < place

    def remove(self, key: int, first: int, last: int) -> list[Item]:
        """Take items out of turn: those of a queue with numbers from `first` to `last`."""
        queue = self._queues.get(key)
        if queue is None:
            return []
        order = self._order
        start = bisect_left(queue, first, key=order)
        found = [item for item in islice(queue, start, None) if order(item) <= last]
        if not found:
            return []
        kept = [item for item in queue if not first <= order(item) <= last]
        self.count -= len(found)
        if kept:
            self._queues[key] = deque(kept)
        else:
            self._forget(key)
        return found

    def clear(self) -> list[Item]:
        """Take everything out, queue by queue."""
        found = list(self)
        self._queues.clear()
        self._kinds = (_Turns(), _Turns())
        self.count = 0
        return found

    def _turns(self) -> _Turns:
        ordinary, urgent = self._kinds
        return urgent if urgent.now or urgent.following else ordinary

    def _forget(self, key: int) -> None:
        del self._queues[key]
        turns = self._kinds[key & URGENT]
        for turn in (turns.now, turns.following):
            if key in turn:
                turn.remove(key)
