"""Asking carriers by query_sm what became of messages whose final receipt is overdue: a receipt that was lost is not a message lost.

A pass over a link asks for each segment once that its carrier took longer than the link's `query_after_s` ago; the next pass begins
that much later. It asks only where nothing else wants to leave, and within the link's rate. A final state settles its segment exactly
as a receipt would; anything else leaves it to its receipt, the next pass, or its expiry.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from gateway.domain.failure import StoreUnavailable
from gateway.domain.message import Flight
from gateway.domain.verdict import of_message_state
from gateway.services.correlation import Report
from gateway.services.dispatch import Dispatch
from gateway.services.outcome import Noted
from gateway.services.ports import Reader
from gateway.store import messages
from gateway.world import World

TICK_S = 1.0
PAGE = 500
AT_ONCE_MAX = 10  # a link and second

FINAL, PENDING, REFUSED, UNANSWERED = "final", "pending", "refused", "unanswered"


class Told(NamedTuple):
    """A carrier's answer: what it says of a message, or the command_status with which it says nothing."""

    status: int
    message_state: int = 0
    error: str | None = None


class AskPort(Protocol):
    """A link that can be asked."""

    @property
    def name(self) -> str: ...

    @property
    def query_after_s(self) -> float:
        """How long a receipt may take; 0: nothing is asked."""
        ...

    def ask(self, flight: Flight, smsc_id: str, done: Callable[[Told | None], None]) -> bool:
        """Ask for one segment; `done` with the answer, or None when there will be none. False: not now."""
        ...


class Pass:
    """One link's round of questions."""

    __slots__ = ("cursor", "next_s", "waiting")

    def __init__(self) -> None:
        self.cursor = 0
        self.next_s = 0.0
        self.waiting: deque[tuple[Flight, str]] = deque()


class Asking:
    """Asks all links."""

    def __init__(
        self, world: World, reader: Reader, dispatch: Dispatch, links: Iterable[AskPort], *, counted: Callable[[str, str], None]
    ) -> None:
        self._world = world
        self._reader = reader
        self._dispatch = dispatch
        self._links = links
        self._counted = counted
        self._passes: dict[str, Pass] = {}

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            with contextlib.suppress(StoreUnavailable):
                await self.round()
            await asyncio.sleep(TICK_S)

    async def round(self) -> None:
        """What is to be asked now."""
        links = {link.name: link for link in self._links if link.query_after_s}
        for name in self._passes.keys() - links.keys():
            del self._passes[name]
        for name, link in links.items():
            await self._round(link, self._passes.setdefault(name, Pass()))

    async def _round(self, link: AskPort, turn: Pass) -> None:
        now_s = self._world.clock.monotonic()
        if not turn.waiting and now_s >= turn.next_s:
            before = self._world.clock.now_us() - int(link.query_after_s * 1e6)
            page = await self._reader.read(messages.awaited, link.name, before, turn.cursor, PAGE)
            turn.waiting.extend(page)
            turn.cursor = page[-1][0].segment_id if len(page) == PAGE else 0
            if not turn.cursor:
                turn.next_s = now_s + link.query_after_s
        lane = self._dispatch.lanes.get(link.name)
        room = 0 if lane is None else min(AT_ONCE_MAX, lane.room(now_s))
        while turn.waiting and room > 0 and lane is not None:
            flight, smsc_id = turn.waiting[0]
            if not link.ask(flight, smsc_id, self._answered(link.name, flight, smsc_id)):
                return
            turn.waiting.popleft()
            lane.pace.take(1)
            room -= 1

    def _answered(self, link: str, flight: Flight, smsc_id: str) -> Callable[[Told | None], None]:
        def done(told: Told | None) -> None:
            if told is None or told.status:
                self._counted(link, UNANSWERED if told is None else REFUSED)
                return
            is_final = of_message_state(told.message_state) is not None
            self._counted(link, FINAL if is_final else PENDING)
            if is_final:
                self._dispatch.reported(self._report(link, flight, smsc_id, told), _settled)

        return done

    def _report(self, link: str, flight: Flight, smsc_id: str, told: Told) -> Report:
        message, world = flight.message, self._world
        return Report(
            link,
            smsc_id,
            told.message_state,
            "",
            told.error,
            message.destination,
            message.source,
            world.clock.now_us(),
            world.next_id(),
            flight,
            is_asked=True,
        )


def _settled(_noted: Noted | None, _error: BaseException | None) -> None:
    """Nobody waits for it: what could not be written is asked for again."""
