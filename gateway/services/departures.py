"""What leaves: segments are claimed in turn as their link has room, and sent once the claim is on disk.

No more is claimed than the window has free. Only where a service resends what is unknown may one window's worth be claimed ahead, for
after a crash its worst is the mark of a possible duplicate (docs/adr/0010-claim-ahead.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.domain.message import Flight, Message, State, UnknownOutcome
from gateway.services.lane import Lane
from gateway.services.queues import Queues
from gateway.services.returns import Returns
from gateway.store.writer import StoreWriter
from gateway.world import World

# After a store that could not be written.
STORE_PAUSE_S = 0.5
# While there is enough to send and nobody else waits, claims take this part of a window at a time: each costs the loop its own work.
CLAIMS_A_WINDOW = 4


class Departures:
    """From the queues of a lane onto its link."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        queues: Queues,
        returns: Returns,
        *,
        sent: Callable[[Flight, float], None],
        is_stopped: Callable[[Message], bool] | None,
    ) -> None:
        self._world = world
        self._writer = writer
        self._queues = queues
        self._returns = returns
        self._sent = sent
        self._is_stopped = is_stopped  # whether its subscriber has opted out since
        self._claiming = queues.claiming
        self._claim = returns.claim
        self._policy = returns.policy

    def pump(self, lane: Lane) -> None:
        """Claim as much as the link has room for, and send what is claimed."""
        now_s = self._world.clock.monotonic()
        lane.due(now_s)
        if lane.backoffs:
            lane.ask_again(now_s)
        if not lane.is_closed and now_s >= lane.paused_until and not lane.settling:
            if lane.unpaid:
                self.send_claimed(lane)
            if lane.waiting.count:
                self._claim_waiting(lane, now_s)
            self.send_claimed(lane)
        if (lane.hungry or lane.is_unread) and not lane.is_loading and lane.link.window_free > 0 and not lane.is_closed:
            self._queues.load(lane)
        self.wake(lane, now_s)

    def pump_soon(self, lane: Lane) -> None:
        """Pump once for all that one commit brings."""
        if not lane.is_due:
            lane.is_due = True
            asyncio.get_running_loop().call_soon(self._pump_due, lane)

    def _pump_due(self, lane: Lane) -> None:
        lane.is_due = False
        self.pump(lane)

    def _claim_waiting(self, lane: Lane, now_s: float) -> None:
        """Claim in turn.

        What may be claimed ahead may be a window ahead, and the first of a queue another window: a queue never waits for what others
        have claimed. What may not be claimed ahead gets the next free place of the window, before what others have claimed already.
        """
        link, now_us = lane.link, self._world.clock.now_us()
        tokens, room = lane.pace.available(now_s), link.window_free - lane.promised
        strict = link.window_free - lane.reserved - lane.claimed.count
        ahead = strict + link.window_max if link.is_up else 0
        if 0 < ahead < link.window_max // CLAIMS_A_WINDOW and lane.waiting.is_alone and lane.waiting.head().queue in lane.claimed:
            return
        flights: list[Flight] = []
        promised = 0
        while lane.waiting.count and tokens > 0:
            flight = lane.waiting.head()
            is_ahead = self._policy(flight) is UnknownOutcome.RESEND
            if is_ahead:
                if ahead <= 0 and (ahead <= -link.window_max or not link.is_up or flight.queue in lane.claimed):
                    break
            elif room <= 0 or (strict <= 0 and flight.queue in lane.claimed):
                break
            lane.take()
            if self._is_over(lane, flight, now_us):
                continue
            if lane.backoffs and lane.backoffs.is_aside(flight):
                lane.backoffs.put(flight)
                continue
            tokens, room, strict, ahead = tokens - 1, room - 1, strict - 1, ahead - 1
            promised += not is_ahead
            flight.attempts += 1
            self._claiming.add(flight.segment_id)
            lane.moves(flight)
            flights.append(flight)
        if flights:
            lane.reserved += len(flights)
            lane.promised += promised
            lane.pace.take(len(flights))
            self._writer.put(self._claim, (flights, now_us), partial(self._claimed, lane, flights, promised))

    def _claimed(self, lane: Lane, flights: list[Flight], promised: int, are_mine: list[bool] | None, error: BaseException | None) -> None:
        """Claims are on disk, or were not written; False for a segment that was taken back meanwhile."""
        lane.reserved -= len(flights)
        lane.promised -= promised
        for flight in flights:
            self._claiming.discard(flight.segment_id)
            lane.has_moved(flight)
        if are_mine is None:
            now_s = self._world.clock.monotonic()
            lane.pause(STORE_PAUSE_S, now_s)
            for flight in flights:
                flight.attempts -= 1
                self._queues.rejoin(lane, flight)
            self.wake(lane, now_s)
            return
        for flight, is_mine in zip(flights, are_mine, strict=True):
            if is_mine:
                self.put_off(lane, flight)
        self.send_claimed(lane)
        if not all(are_mine):
            self.pump(lane)  # the room of those is the next ones'

    def send_claimed(self, lane: Lane) -> None:
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
                self.send(lane, flight, now_s)
        if not lane.claimed.count:
            lane.unpaid = 0

    def send(self, lane: Lane, flight: Flight, now_s: float) -> None:
        """Put one that is claimed on its link."""
        # Where a bind went away before a byte left, or its destination must wait: not unknown, it can simply wait again.
        if (lane.backoffs and lane.backoffs.is_aside(flight)) or not lane.link.send(flight):
            self._returns.again(flight, None)
        else:
            flight.sent_s = now_s
            self._sent(flight, now_s)

    def _is_over(self, lane: Lane, flight: Flight, now_us: int) -> bool:
        """Whether a segment may not leave any more; then it is ended, or left to the receipt of an attempt before."""
        if flight.message.expires_at <= now_us:
            self._returns.end(flight, State.EXPIRED, "validity period over")
        elif self._is_stopped is not None and self._is_stopped(flight.message):
            self._returns.opted_out(flight)
        else:
            return False
        if lane.backoffs:
            lane.answered(flight)
        return True

    def put_off(self, lane: Lane, flight: Flight) -> None:
        """Keep one that is claimed until the window has room."""
        if lane.is_closed:
            self._returns.again(flight, None)
        else:
            self._returns.ready(lane, flight)

    def wake(self, lane: Lane, now_s: float) -> None:
        """One timer per lane, for what it has to do next."""
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        if lane.is_closed:
            return
        due = lane.next_due(now_s)
        if due is not None:
            lane.timer = asyncio.get_running_loop().call_later(max(0.001, due - now_s), self.pump, lane)
