"""Between the lanes and the table: what memory does not hold is read page by page, and what waits for its time is read when that comes.

A queue that is longer than its share of memory continues in the table (it is *spilled*), each queue by itself, so that no sender's
backlog pushes another's message there. Memory owns what is due by `due_until`; what is due later is the table's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from gateway.domain.failure import StoreUnavailable
from gateway.domain.message import MESSAGE_MASK, SEGMENTS_MAX, Flight
from gateway.services.lane import PAGE, Lane
from gateway.services.ports import Reader
from gateway.store import queues
from gateway.store.batch import Bulk
from gateway.store.queues import Waiting, Wanted
from gateway.store.writer import StoreWriter
from gateway.world import World

# How far ahead of its time a segment is read: two rounds of the sweep, so that it leaves when its time comes and not a round later.
HORIZON_S = 2.0
_LAST_ID = (1 << 63) - 1

Result = TypeVar("Result")


class Queues:
    """What is in memory of all lanes' queues, and what is not."""

    def __init__(
        self, world: World, writer: StoreWriter, reader: Reader, lanes: dict[str, Lane], in_memory_max: int, pump: Callable[[Lane], None]
    ) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._lanes = lanes
        self._in_memory_max = in_memory_max
        self._pump = pump
        self.claiming: set[int] = set()  # segments whose claim is not on disk yet
        self.tried: dict[int, tuple[str, ...]] = {}  # by segment, links that it was moved away from
        self._withheld: set[int] = set()
        self._stale: set[int] = set()  # changed while a page was read, which may show them as they were
        self._reads = 0
        self._due_until = world.clock.now_us()
        self._due_after = (self._due_until, _LAST_ID)
        self._release: Bulk[int, None] = Bulk(_release_many, rank=2, is_kept=True)

    # -- into memory, or not ------------------------------------------------------------------------------------------------

    def join(self, lane: Lane, flights: list[Flight], *, has_time: bool = False) -> None:
        """Segments of one message, on disk and ready to leave, join their queue: in memory while there is room, else in the table only.

        `has_time`: their rows still wait for a time that came while they were written, and are in no queue of the table.
        """
        key, first = flights[0].queue, flights[0].segment_id
        if self._is_withheld(flights[0]):
            return
        if lane.is_unread or key in lane.spilled or lane.room_in_memory(key, self._in_memory_max) < len(flights):
            if lane.is_looking or not lane.is_unread:  # else its rows will be found
                if has_time:
                    self._to_table(lane, flights)
                else:
                    lane.spill(key, first)
        else:
            for flight in flights:
                lane.waiting.put(key, flight)

    def rejoin(self, lane: Lane, flight: Flight) -> None:
        """A segment that had left memory for its link takes its old place again."""
        if self._is_withheld(flight):
            return
        if lane.is_unread:
            if lane.is_looking:
                lane.spill(flight.queue, flight.segment_id)
        elif lane.backoffs.is_aside(flight):
            lane.backoffs.put(flight)
        else:
            lane.waiting.put(flight.queue, flight)

    def wait_until(self, lane: Lane, flight: Flight, retry_at: int) -> None:
        """A segment on disk that waits for its time: memory keeps it only if that is soon."""
        if self._is_withheld(flight):
            return
        if retry_at <= self._due_until and (lane.is_looking or not lane.is_unread):
            lane.retry(self._monotonic_of(retry_at), flight)

    # -- pages ------------------------------------------------------------------------------------------------------------------

    def load(self, lane: Lane) -> None:
        """Begin to read what a lane has room for."""
        lane.is_loading = True
        work = self._look_up(lane) if lane.is_unread else self._read_pages(lane)
        asyncio.get_running_loop().create_task(_or_later(work), name=f"queue of {lane.link.name}")

    async def _look_up(self, lane: Lane) -> None:
        """The queues that an earlier run left, and what is due and in none of them."""
        until, after, name = self._due_until, (0, 0), lane.link.name
        lane.is_looking = True

        def take(page: list[Waiting]) -> None:
            self._take_due(page, is_whole=True)

        try:
            keys = await self._reader.read(queues.keys, name)
            while len(page := await self._read(queues.due, after, until, PAGE, name, take=take)) == PAGE:
                after = (page[-1].retry_at, page[-1].flight.segment_id)
            for key in keys:
                lane.spill(key, 1)
            lane.is_unread = False
        finally:
            lane.is_looking = lane.is_loading = False
        self._pump(lane)

    async def _read_pages(self, lane: Lane) -> None:
        wanted = lane.wanted(self._in_memory_max)
        marks = {each.queue: lane.spilled[each.queue].marks for each in wanted}

        def take(found: list[list[Flight]]) -> None:
            for each, page in zip(wanted, found, strict=True):
                self._take_page(lane, each, page, marks[each.queue])

        try:
            if wanted:
                await self._read(queues.pages, lane.link.name, wanted, take=take)
        except StoreUnavailable:
            lane.hungry.update((each.queue, None) for each in wanted)
            raise
        finally:
            lane.is_loading = False
        if wanted:
            self._pump(lane)

    def _take_page(self, lane: Lane, asked: Wanted, page: list[Flight], marks: int) -> None:
        key, spill = asked.queue, lane.spilled[asked.queue]
        is_as_asked = spill.cursor == asked.after
        known = lane.known(key) if spill.is_rewound else frozenset()
        for flight in self._free(page):
            if flight.segment_id not in known and flight.segment_id not in self.claiming:
                lane.waiting.put(key, flight)
        if is_as_asked and page:
            spill.cursor = page[-1].segment_id
        if is_as_asked and len(page) < asked.limit and spill.marks == marks:
            lane.hungry.pop(key, None)
            if not spill.pending:
                del lane.spilled[key]
        elif lane.queue_depth(key) < PAGE:
            lane.hungry[key] = None

    def _free(self, flights: list[Flight]) -> list[Flight]:
        """Those that nobody withholds."""
        if self.tried:
            for flight in flights:
                flight.tried = self.tried.get(flight.segment_id, ())
        if not self._withheld and not self._stale:
            return flights
        return [flight for flight in flights if flight.message.id not in self._withheld and flight.message.id not in self._stale]

    async def _read(self, fn: Callable[..., Result], *args: Any, take: Callable[[Result], None]) -> Result:
        """Read, and take what was found while it is known what has changed meanwhile."""
        self._reads += 1
        try:
            found = await self._reader.read(fn, *args)
            take(found)
        finally:
            self._reads -= 1
            if not self._reads:
                self._stale.clear()
        return found

    # -- what waits for its time -----------------------------------------------------------------------------------------------

    async def read_due(self) -> None:
        """Read what is due within the horizon; call it about once a second."""
        self._due_until = until = max(self._due_until, self._world.clock.now_us() + int(HORIZON_S * 1e6))
        page: list[Waiting] = []

        def take(found: list[Waiting]) -> None:
            page[:] = found
            taken = self._take_due(found)
            if taken < len(found):
                # Memory is full of others: the rest is read again, and goes into its queues when it is due.
                self._due_until = found[taken].retry_at - 1
            if taken:
                self._due_after = (found[taken - 1].retry_at, found[taken - 1].flight.segment_id)

        while self._due_until == until:
            await self._read(queues.due, self._due_after, until, PAGE, take=take)
            if len(page) < PAGE and self._due_until == until:
                self._due_after = (until, _LAST_ID)
                return

    def _take_due(self, page: list[Waiting], *, is_whole: bool = False) -> int:
        """Into memory where it has room, else into their queues in the table, but not before their time; how many were taken."""
        now_us = self._world.clock.now_us()
        touched: dict[str, Lane] = {}
        taken = len(page)
        free = {flight.segment_id for flight in self._free([each.flight for each in page])}
        for place, (flight, retry_at) in enumerate(page):
            lane = self._lanes.get(flight.link)
            # A lane that was not read yet finds them itself.
            is_known = lane is not None and (lane.is_looking or not lane.is_unread)
            if lane is None or not is_known or flight.segment_id not in free or flight.segment_id in self.claiming:
                continue
            touched[flight.link] = lane
            spill = lane.spilled.get(flight.queue)
            is_in_turn = spill is None or flight.segment_id <= spill.cursor
            has_room = lane.room_in_memory(flight.queue, self._in_memory_max) > 0 and len(lane.retries) < self._in_memory_max // 4
            if (has_room and is_in_turn) or (is_whole and retry_at > now_us):
                lane.retry(self._monotonic_of(retry_at), flight)
            elif retry_at <= now_us:
                self._to_table(lane, [flight])
            else:
                taken = place
                break
        for lane in touched.values():
            self._pump(lane)
        return taken

    def _to_table(self, lane: Lane, flights: list[Flight]) -> None:
        """Segments whose time has come go into their queue in the table."""
        for flight in flights:
            lane.spill(flight.queue, flight.segment_id).pending += 1
            self._writer.put(self._release, flight.segment_id, self._released(lane, flight))

    def _released(self, lane: Lane, flight: Flight) -> Callable[[None, BaseException | None], None]:
        def done(_result: None, _error: BaseException | None) -> None:
            now = self._lanes.get(flight.link, lane)  # it may have been removed and come again
            spill = now.spill(flight.queue, flight.segment_id)
            if now is lane:
                spill.pending -= 1
            self._pump(now)

        return done

    def _monotonic_of(self, at_us: int) -> float:
        return self._world.clock.monotonic() + max(0.0, (at_us - self._world.clock.now_us()) / 1e6)

    # -- messages that somebody is changing ----------------------------------------------------------------------------------------

    def withhold(self, message_id: int) -> bool:
        """Take a message's waiting segments out of memory and keep loads from bringing them back; False if any is on its way.

        What the window holds is not looked at: whoever changes the rows must find them still queued, in his own transaction.
        """
        last_id = message_id + SEGMENTS_MAX
        if any(segment_id & MESSAGE_MASK == message_id for segment_id in self.claiming):
            return False
        for lane in self._lanes.values():
            if any(message_id <= flight.segment_id <= last_id for flight in lane.claimed):
                return False
        for lane in self._lanes.values():
            lane.withhold(message_id, last_id)
        self._withheld.add(message_id)
        return True

    def _is_withheld(self, flight: Flight) -> bool:
        """Whether a segment that comes back, from its link or on its way to another, is old: its message is being changed meanwhile.

        What it becomes is put into its queue when that is written.
        """
        return flight.message.id in self._withheld

    def restored(self, message_id: int, flights: list[Flight] | None, due_at: int | None = None) -> None:
        """End of withholding: flights to queue again, not before `due_at`; None when nothing of the message is left to send."""
        self._withheld.discard(message_id)
        if self._reads:
            self._stale.add(message_id)
        lane = self._lanes.get(flights[0].link) if flights else None
        if lane is None or not flights:
            return
        if due_at is not None and due_at > self._world.clock.now_us():
            for flight in flights:
                self.wait_until(lane, flight, due_at)
        else:
            for flight in flights:
                lane.waiting.put(flight.queue, flight)
        self._pump(lane)


async def _or_later(work: Coroutine[None, None, None]) -> None:
    """A store that cannot be read now is asked again by the next round of the sweep."""
    with contextlib.suppress(StoreUnavailable):
        await work


def _release_many(conn: Connection, segment_ids: Sequence[int]) -> list[None]:
    queues.release(conn, segment_ids)
    return [None] * len(segment_ids)
