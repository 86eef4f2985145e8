"""Getting committed segments onto their links: departures.py claims and sends, returns.py records what comes back.

One lane per link. While a lane keeps up, a committed segment goes straight from the accept batch to the link, for it was written as
claimed. Otherwise it waits in its sender's queue, in memory or, beyond that queue's share, only in the table (queues.py). Queues take
turns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from gateway.domain.message import Flight, Message, UnknownOutcome
from gateway.domain.pacing import Pace
from gateway.domain.verdict import ErrorTable
from gateway.services.catalogue import Catalogue
from gateway.services.departures import Departures
from gateway.services.lane import Lane, LaneState, LinkPort
from gateway.services.offers import Offers
from gateway.services.outcome import Notice, Outcome
from gateway.services.ports import Reader
from gateway.services.queues import Queues
from gateway.services.returns import Reroute, Returns
from gateway.services.submit import Accepting, Draft
from gateway.store.batch import Bulk
from gateway.store.writer import StoreWriter
from gateway.world import World


class Limits(NamedTuple):
    """What a lane may hold."""

    in_memory_max: int = 5_000
    correlated_max: int = 50_000


class Dispatch:
    """All lanes, and the writer's operations on what flies."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        reader: Reader,
        catalogue: Catalogue,
        *,
        limits: Limits,
        noticed: Callable[[Notice], None],
        sent: Callable[[Flight, float], None],
        metered: Collection[int] = (),
        reroute: Reroute | None = None,
        is_stopped: Callable[[Message], bool] | None = None,
        rows: Outcome | None = None,
    ) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._is_stopping = False
        self.lanes: dict[str, Lane] = {}
        self._removed: dict[str, Lane] = {}
        self._queues = Queues(world, writer, reader, self.lanes, limits.in_memory_max, self.pump)
        self._returns = Returns(
            world,
            writer,
            catalogue,
            self.lanes,
            self._queues,
            rows or Outcome(),
            correlated_max=limits.correlated_max,
            lane_of=self._lane_of,
            pump=self.pump,
            noticed=noticed,
            reroute=reroute,
        )
        self._departures = Departures(world, writer, self._queues, self._returns, sent=sent, is_stopped=is_stopped)
        self._offers = Offers(self._queues, self._returns)
        self.accept_bulk: Bulk[Draft, Any] = Bulk(Accepting(catalogue.revenue_account, metered, catalogue).accept_many, rank=0)
        self.responded = self._returns.responded
        self.responded_late = self._returns.responded_late
        self.unanswered = self._returns.unanswered
        self.reported = self._returns.reported
        self.flying = self._returns.flying
        self.regroup = self._returns.regroup
        self.end = self._returns.end
        self.withhold = self._queues.withhold
        self.restored = self._queues.restored

    # -- links --------------------------------------------------------------------------------------------------------------

    def add_link(self, link: LinkPort, pace: Pace, *, errors: ErrorTable | None = None, reroute_after_s: float = 0.0) -> Lane:
        """Give a link its lane; rows that wait for a link of this name are found when it has room. `reroute_after_s` 0: never."""
        lane = Lane(link, pace, self._world.clock.monotonic(), errors=errors, reroute_after_s=reroute_after_s)
        lane.is_closed = self._is_stopping
        self._removed.pop(link.name, None)
        self.lanes[link.name] = lane
        return lane

    def remove_link(self, name: str) -> None:
        """Take a link's lane away; what waits for it stays in the store, and answers may still come."""
        self.hold(name)
        lane = self._removed[name] = self.lanes.pop(name)
        lane.forget()
        self._returns.forget(name)

    def hold(self, name: str) -> None:
        """Claim nothing more for a link, and give back what is claimed and has not left."""
        lane = self.lanes[name]
        lane.is_closed = True
        for flight in lane.claimed.clear():
            self._returns.again(flight, None)

    def resume(self, name: str) -> None:
        """End of holding."""
        lane = self.lanes[name]
        lane.is_closed = self._is_stopping
        self.pump(lane)

    def set_rate(self, name: str, rate_per_s: float) -> None:
        """Configure another rate for a link, 0 for none; what the carrier's refusals made of the old one is forgotten."""
        lane = self.lanes[name]
        lane.pace.set_rate(rate_per_s, self._world.clock.monotonic())
        self.pump(lane)

    def congestion(self, name: str, level: int) -> None:
        """The carrier said how full it is, 0 to 100: congestion_state, SMPP 5.0 section 4.8.4.18."""
        lane = self._lane_of(name)
        now_s = self._world.clock.monotonic()
        pause_s = lane.pace.congestion(level, now_s, lane.measured_per_s(now_s))
        if pause_s:
            lane.pause(pause_s, now_s)
            self._departures.wake(lane, now_s)

    def alerted(self, destination: str) -> None:
        """A handset is reachable again (alert_notification): what is to be tried again for it is tried now."""
        for lane in self.lanes.values():
            if lane.hurry(destination, self._world.clock.monotonic()):
                self.pump(lane)

    def state(self, name: str) -> LaneState:
        """How a link's lane stands."""
        return self.lanes[name].state(self._world.clock.monotonic())

    def _lane_of(self, name: str) -> Lane:
        return self.lanes.get(name) or self._removed[name]

    # -- accepting ----------------------------------------------------------------------------------------------------

    def choose_link(self) -> str:
        """The link for a new message: the first that has a bind up, else the first, whose queue it joins."""
        for lane in self.lanes.values():
            if (lane.reserved > 0 or lane.link.window_free > 0) and not lane.is_closed:
                return lane.link.name
        return next(iter(self.lanes), "")

    def reserve(self, name: str, segments: int, policy: UnknownOutcome) -> bool:
        """Keep room for segments that may leave at once, or nearly; False when they must queue."""
        lane = self.lanes.get(name)
        if lane is None:
            return False
        if lane.joining or lane.waiting.count or lane.moving or lane.spilled or lane.is_unread:
            lane.joining += 1
            return False
        now_s = self._world.clock.monotonic()
        room = lane.room_ahead(now_s) if policy is UnknownOutcome.RESEND else lane.room(now_s)
        if room < segments:
            lane.joining += 1
            return False
        lane.reserved += segments
        lane.pace.take(segments)
        return True

    def committed(self, draft: Draft) -> None:
        """A draft is on disk: send it if it was claimed, else queue it."""
        lane = self.lanes.get(draft.link)
        if lane is None:
            self._orphaned(draft)
        elif draft.is_claimed:
            flights = draft.flights()
            lane.reserved -= len(flights)
            if lane.claimed.count or lane.waiting.count or lane.moving or lane.backoffs:
                for flight in flights:
                    self._departures.put_off(lane, flight)
                self._departures.send_claimed(lane)
                return
            now_s = self._world.clock.monotonic()
            for flight in flights:
                if now_s < lane.paused_until or lane.link.window_free <= lane.promised or lane.settling or lane.is_closed:
                    self._departures.put_off(lane, flight)
                else:
                    self._departures.send(lane, flight, now_s)
        else:
            lane.joined(draft.schedule_at)
            self._queue(lane, draft)

    def replied(self, draft: Draft) -> None:
        """A reply is on disk, written together with the MO that it answers: queue it."""
        lane = self.lanes.get(draft.link)
        if lane is not None:
            self._queue(lane, draft)

    def _queue(self, lane: Lane, draft: Draft) -> None:
        flights, schedule_at = draft.flights(), draft.schedule_at
        if schedule_at is not None and schedule_at > self._world.clock.now_us():
            for flight in flights:
                self._queues.wait_until(lane, flight, schedule_at)
            self._departures.wake(lane, self._world.clock.monotonic())
        else:
            self._queues.join(lane, flights, has_time=schedule_at is not None)
            self._departures.pump_soon(lane)

    def _orphaned(self, draft: Draft) -> None:
        """Its link was removed while it was being written: it waits for a link of that name."""
        if draft.is_claimed and draft.link in self._removed:
            for flight in draft.flights():
                self._returns.again(flight, None)

    def abandoned(self, draft: Draft) -> None:
        """A draft was not written: give its reserved room, or its place among those that join, back."""
        lane = self.lanes.get(draft.link)
        if lane is None:
            return
        if draft.is_claimed:
            lane.reserved -= len(draft.bodies)
            lane.pace.take(-len(draft.bodies))
            self.pump(lane)
        else:
            lane.joined(draft.schedule_at)

    # -- sending --------------------------------------------------------------------------------------------------------

    def pump(self, lane: Lane) -> None:
        """Claim as much as the link has room for, and send what is claimed."""
        self._departures.pump(lane)

    def window_opened(self, name: str) -> None:
        """A link has room again, or is bound again."""
        lane = self.lanes.get(name)
        if lane is not None and (lane.waiting.count or lane.claimed.count or lane.is_unread or lane.hungry or lane.retries):
            self.pump(lane)

    # -- as time goes by ------------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Once a second: read what becomes due, look at the links' speed, and offer the queues of links that are down to others."""
        now_s = self._world.clock.monotonic()
        for lane in list(self.lanes.values()):
            lane.throughput.mark(lane.accepted, now_s)
            if lane.spilled:
                lane.look_for_hunger()
            self._offers.look_at(lane, now_s)
            if lane.hungry:
                self.pump(lane)
        await self._queues.read_due()

    # -- starting and stopping ------------------------------------------------------------------------------------------------

    async def recover(self) -> int:
        """After a restart: segments that were claimed have an unknown outcome now; how many there were."""
        return await self._returns.recover(self._reader)

    def release(self) -> None:
        """Before a stop: claim nothing more, and give back what is claimed and has not left."""
        self._is_stopping = True
        for name in self.lanes:
            self.hold(name)
