"""What waits for a link that has been down for a while is offered to the routes, which may give it to another link."""

from __future__ import annotations

from gateway.domain.message import Flight
from gateway.services.lane import Lane
from gateway.services.queues import Queues
from gateway.services.returns import Returns

# How much of a down link's queue is given to others in a second; what no other link took is not offered again before OFFER_S.
OFFERED_MAX, OFFER_S = 2_000, 30.0


class Offers:
    """Looks after lanes whose link is down."""

    def __init__(self, queues: Queues, returns: Returns) -> None:
        self._queues = queues
        self._returns = returns

    def look_at(self, lane: Lane, now_s: float) -> None:
        """Once a second: note since when a link is down, and offer its queue when that is long enough ago."""
        if lane.link.is_up:
            lane.down_since = None
        elif lane.down_since is None:
            lane.down_since = now_s
        elif lane.reroute_after_s and now_s - lane.down_since >= lane.reroute_after_s and now_s >= lane.offered_s + OFFER_S:
            self._offer(lane, now_s)

    def _offer(self, lane: Lane, now_s: float) -> None:
        """A page at a time; what the routes leave here stays, and is offered again."""
        kept: list[Flight] = []
        moved = 0
        while lane.waiting.count and moved < OFFERED_MAX:
            flight = lane.take()
            parts = [flight, *lane.waiting.remove(flight.queue, flight.segment_id + 1, flight.message.id + flight.message.segments)]
            if self._returns.moves(lane, parts, None):
                moved += len(parts)
            else:
                kept.extend(parts)
        for flight in kept:
            lane.waiting.put(flight.queue, flight)
        if kept and not moved:
            lane.offered_s = now_s
        if (lane.hungry or lane.is_unread) and not lane.is_loading:
            self._queues.load(lane)
