"""Getting queued segments onto their links: claim first, send after the commit; returns.py records what comes back.

One lane per link. While a lane keeps up, a committed segment goes straight from the accept batch to the link, for it was written as
claimed. Otherwise it waits in its sender's queue, in memory or, beyond that queue's share, only in the table (queues.py). Queues take
turns. The link's window is the back-pressure: no more is claimed than it has free. Only where a service resends what is unknown may one
window's worth be claimed ahead, for after a crash its worst is the mark of a possible duplicate (docs/adr/0010-claim-ahead.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from gateway.domain.message import Flight, Message, State, UnknownOutcome
from gateway.domain.pacing import Pace
from gateway.domain.verdict import ErrorTable
from gateway.services.catalogue import Catalogue
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

# After a store that could not be written.
STORE_PAUSE_S = 0.5


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
        self._sent = sent
        self._is_stopped = is_stopped  # whether its subscriber has opted out since
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
        self._offers = Offers(self._queues, self._returns)
        self.accept_bulk: Bulk[Draft, Any] = Bulk(Accepting(catalogue.revenue_account, metered).accept_many, rank=0)
        self._claim = self._returns.claim
        self._claiming = self._queues.claiming
        self._policy = self._returns.policy
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
            self._wake(lane, now_s)

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
                    self._put_off(lane, flight)
                self._send_claimed(lane)
                return
            now_s = self._world.clock.monotonic()
            for flight in flights:
                if now_s < lane.paused_until or lane.link.window_free <= lane.promised or lane.settling or lane.is_closed:
                    self._put_off(lane, flight)
                else:
                    self._send(lane, flight, now_s)
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
            self._wake(lane, self._world.clock.monotonic())
        else:
            self._queues.join(lane, flights, has_time=schedule_at is not None)
            self.pump(lane)

    def _put_off(self, lane: Lane, flight: Flight) -> None:
        if lane.is_closed:
            self._returns.again(flight, None)
        else:
            self._returns.ready(lane, flight)

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
        now_s = self._world.clock.monotonic()
        lane.due(now_s)
        if lane.backoffs:
            lane.ask_again(now_s)
        if not lane.is_closed and now_s >= lane.paused_until and not lane.settling:
            if lane.unpaid:
                self._send_claimed(lane)
            if lane.waiting.count:
                self._claim_waiting(lane, now_s)
            self._send_claimed(lane)
        if (lane.hungry or lane.is_unread) and not lane.is_loading and lane.link.window_free > 0 and not lane.is_closed:
            self._queues.load(lane)
        self._wake(lane, now_s)

    def _claim_waiting(self, lane: Lane, now_s: float) -> None:
        """Claim in turn.

        What may be claimed ahead may be a window ahead, and the first of a queue another window: a queue never waits for what others
        have claimed. What may not be claimed ahead gets the next free place of the window, before what others have claimed already.
        """
        link, now_us = lane.link, self._world.clock.now_us()
        tokens, room = lane.pace.available(now_s), link.window_free - lane.promised
        strict = link.window_free - lane.reserved - lane.claimed.count
        ahead = strict + link.window_max if link.is_up else 0
        while lane.waiting.count and tokens > 0:
            flight = lane.waiting.head()
            is_ahead = self._policy(flight) is UnknownOutcome.RESEND
            if is_ahead:
                if ahead <= 0 and (ahead <= -link.window_max or not link.is_up or flight.queue in lane.claimed):
                    return
            elif room <= 0 or (strict <= 0 and flight.queue in lane.claimed):
                return
            lane.take()
            if self._is_over(lane, flight, now_us):
                continue
            if lane.backoffs and lane.backoffs.is_aside(flight):
                lane.backoffs.put(flight)
                continue
            tokens, room, strict, ahead = tokens - 1, room - 1, strict - 1, ahead - 1
            lane.reserved += 1
            if not is_ahead:
                lane.promised += 1
            lane.pace.take(1)
            flight.attempts += 1
            self._claiming.add(flight.segment_id)
            lane.moves(flight)
            self._writer.put(self._claim, (flight, now_us), self._claimed(lane, flight, is_ahead))

    def _claimed(self, lane: Lane, flight: Flight, is_ahead: bool) -> Callable[[bool | None, BaseException | None], None]:
        def done(is_mine: bool | None, error: BaseException | None) -> None:
            lane.reserved -= 1
            if not is_ahead:
                lane.promised -= 1
            self._claiming.discard(flight.segment_id)
            lane.has_moved(flight)
            if error is not None:
                flight.attempts -= 1
                now_s = self._world.clock.monotonic()
                lane.pause(STORE_PAUSE_S, now_s)
                self._queues.rejoin(lane, flight)
                self._wake(lane, now_s)
            elif is_mine:
                self._put_off(lane, flight)
                self._send_claimed(lane)
            else:
                self.pump(lane)  # it was taken back meanwhile: its room is the next one's

        return done

    def _send_claimed(self, lane: Lane) -> None:
        """Send what is claimed already, in turn, as far as the window goes."""
        if not lane.claimed.count or lane.is_closed or lane.settling:
            return
        now_s, now_us = self._world.clock.monotonic(), self._world.clock.now_us()
        if now_s < lane.paused_until:
            return
        while lane.claimed.count and lane.link.window_free > lane.promised:
            if lane.unpaid:
                if lane.pace.available(now_s) < 1:
                    return
                lane.pace.take(1)
                lane.unpaid -= 1
            flight = lane.claimed.take()
            if not self._is_over(lane, flight, now_us):
                self._send(lane, flight, now_s)
        if not lane.claimed.count:
            lane.unpaid = 0

    def _send(self, lane: Lane, flight: Flight, now_s: float) -> None:
        # Where a bind went away before a byte left, or its destination must wait: not unknown, it can simply wait again.
        if (lane.backoffs and lane.backoffs.is_aside(flight)) or not lane.link.send(flight):
            self._returns.again(flight, None)
        else:
            flight.sent_s = now_s
            self._sent(flight, now_s)

    def _is_over(self, lane: Lane, flight: Flight, now_us: int) -> bool:
        """Whether a segment may not leave any more; then it is ended, or left to the receipt of an attempt before."""
        if flight.message.expires_at <= now_us:
            self.end(flight, State.EXPIRED, "validity period over")
        elif self._is_stopped is not None and self._is_stopped(flight.message):
            self._returns.opted_out(flight)
        else:
            return False
        if lane.backoffs:
            lane.answered(flight)
        return True

    def window_opened(self, name: str) -> None:
        """A link has room again, or is bound again."""
        lane = self.lanes.get(name)
        if lane is not None and (lane.waiting.count or lane.claimed.count or lane.is_unread or lane.hungry or lane.retries):
            self.pump(lane)

    def _wake(self, lane: Lane, now_s: float) -> None:
        """One timer per lane, for what it has to do next."""
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        if lane.is_closed:
            return
        due = lane.next_due(now_s)
        if due is not None:
            lane.timer = asyncio.get_running_loop().call_later(max(0.001, due - now_s), self.pump, lane)

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
