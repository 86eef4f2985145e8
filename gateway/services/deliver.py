"""Handing over what the outbox holds: receipts and MOs to partners' binds, chat messages and statuses to connectors.

One lane per target. A row just committed goes straight to a target that keeps up; what it cannot take now stays in the table and
is read again, in order, when it can. A row is done when the other side has said so, and that is on disk.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.services.outcome import Notice
from gateway.services.ports import Reader
from gateway.store import outbox
from gateway.store.batch import Bulk
from gateway.store.outbox import Handover
from gateway.store.writer import StoreWriter
from gateway.world import World

IN_MEMORY_MAX = 2_000
PAGE = 200
TAKEN = 0
AGAIN_S = 1.0
AGAIN_S_MAX = 60.0


class TargetPort(Protocol):
    """A partner's binds, or a connector."""

    @property
    def room(self) -> int:
        """How many more it can be handed now."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether it will have room again soon: bound, or running."""
        ...

    def hand_over(self, handover: Handover) -> bool:
        """Give it one; the port later calls the lane's taken, refused or again for it. False: no room after all."""
        ...


class OutboxLane:
    """The queue of one target."""

    def __init__(
        self, target: str, port: TargetPort, world: World, writer: StoreWriter, reader: Reader, done: Bulk[tuple[int, int, int], None]
    ) -> None:
        self.target = target
        self.port = port
        self._world = world
        self._writer = writer
        self._reader = reader
        self._done = done
        self._waiting: deque[Handover] = deque()
        self._handed: set[int] = set()  # given to the port, or done and not yet on disk
        self._cursor = 0
        self._is_spilled = True
        self._is_loading = False
        self._spills = 0
        self._resets = 0
        self._pause_s = AGAIN_S
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait in memory."""
        return len(self._waiting)

    def offer(self, handover: Handover) -> None:
        """A row was just committed."""
        if self._is_spilled or len(self._waiting) >= IN_MEMORY_MAX or not self.port.is_there:
            self._is_spilled = True
            self._spills += 1
            if handover.entry.id <= self._cursor and not self._is_known(handover.entry.id):
                # Committed together with one of a higher id: the table is read again from here.
                self._cursor = handover.entry.id - 1
                self._resets += 1
        else:
            self._waiting.append(handover)
            self._cursor = max(self._cursor, handover.entry.id)
        self.pump()

    def pump(self) -> None:
        """Hand over as much as the target has room for."""
        if self._timer is not None:
            return
        while self._waiting and self.port.room > 0:
            handover = self._waiting.popleft()
            self._handed.add(handover.entry.id)
            if not self.port.hand_over(handover):
                self._handed.discard(handover.entry.id)
                self._waiting.appendleft(handover)
                break
        if self._is_spilled and not self._is_loading and len(self._waiting) < PAGE and self.port.room > 0:
            self._is_loading = True
            asyncio.get_running_loop().create_task(self._load(), name=f"outbox of {self.target}")

    def taken(self, handover: Handover) -> None:
        """The target has it."""
        self._pause_s = AGAIN_S
        self._finish(handover, TAKEN)

    def taken_late(self, handover: Handover) -> None:
        """The target says after all that it has it: if it still waits to go again, it need not."""
        place = bisect_left(self._waiting, handover.entry.id, key=_entry_id)
        if place < len(self._waiting) and self._waiting[place].entry.id == handover.entry.id:
            del self._waiting[place]
            self._handed.add(handover.entry.id)
            self._finish(handover, TAKEN)

    def refused(self, handover: Handover, status: int) -> None:
        """The target will never take it; the row keeps why."""
        self._finish(handover, status)

    def again(self, handover: Handover) -> None:
        """The target could not take it now; it goes first the next time, and the others wait behind it."""
        self._put_back(handover)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._resume)
            self._pause_s = min(self._pause_s * 2, AGAIN_S_MAX)

    def returned(self, handovers: list[Handover]) -> None:
        """A connection of the target went away with these unanswered, oldest first: they may come twice."""
        for handover in handovers:
            self._put_back(handover)
        if not self.port.is_there:
            # Nobody is there: the table remembers, memory need not. Who comes back is not made to wait.
            self._waiting.clear()
            self._is_spilled, self._cursor = True, 0
            self._resets += 1
            self._pause_s = AGAIN_S
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def forget(self, entry_ids: Sequence[int]) -> list[int]:
        """Rows that are to be given up: taken out of memory; those in the target's hands are not among what is returned."""
        gone = set(entry_ids) - self._handed
        if gone and self._waiting:
            self._waiting = deque(handover for handover in self._waiting if handover.entry.id not in gone)
        return sorted(gone)

    def _put_back(self, handover: Handover) -> None:
        """It waits again, in its old place: many may come back in any order."""
        self._handed.discard(handover.entry.id)
        self._waiting.insert(bisect_left(self._waiting, handover.entry.id, key=_entry_id), handover)

    def _is_known(self, entry_id: int) -> bool:
        place = bisect_left(self._waiting, entry_id, key=_entry_id)
        is_waiting = place < len(self._waiting) and self._waiting[place].entry.id == entry_id
        return is_waiting or entry_id in self._handed

    def _resume(self) -> None:
        self._timer = None
        self.pump()

    def _finish(self, handover: Handover, outcome: int) -> None:
        entry_id = handover.entry.id

        def done(_result: None, _error: BaseException | None) -> None:
            self._handed.discard(entry_id)

        self._writer.put(self._done, (entry_id, self._world.clock.now_us(), outcome), done)

    async def _load(self) -> None:
        spills, resets = self._spills, self._resets
        try:
            page = await self._reader.read(outbox.load, self.target, self._cursor, PAGE)
        finally:
            self._is_loading = False
        if resets != self._resets:
            self.pump()
            return
        known = self._handed.union(map(_entry_id, self._waiting))
        for handover in page:
            self._cursor = max(self._cursor, handover.entry.id)
            if handover.entry.id not in known:
                self._waiting.append(handover)
        if len(page) < PAGE and self._spills == spills:
            self._is_spilled = False
        self.pump()


def _entry_id(handover: Handover) -> int:
    return handover.entry.id


class Delivering:
    """All outbox lanes."""

    def __init__(self, world: World, writer: StoreWriter, reader: Reader) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._done: Bulk[tuple[int, int, int], None] = Bulk(outbox.set_done, rank=5, is_kept=True)
        self.lanes: dict[str, OutboxLane] = {}

    def lane(self, target: str, make_port: Callable[[], TargetPort]) -> OutboxLane:
        """The lane of a target; made with its port when it is new."""
        known = self.lanes.get(target)
        if known is None:
            known = self.lanes[target] = OutboxLane(target, make_port(), self._world, self._writer, self._reader, self._done)
        return known

    def noticed(self, notice: Notice) -> None:
        """A message came to its end."""
        if notice.entry is not None:
            facts = (notice.message_state, notice.delivered, notice.user_reference)
            self.offer(Handover(notice.entry, notice.message, None, notice.error, notice.done_at, *facts))

    def offer(self, handover: Handover) -> None:
        """A row was committed; a target that was never there finds it in the table."""
        lane = self.lanes.get(handover.entry.target)
        if lane is not None:
            lane.offer(handover)
