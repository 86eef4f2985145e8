"""What an operator, or a carrier, may tell a lane while it runs: hold, go on, another rate, a handset that is back."""

from __future__ import annotations

import heapq
from typing import Any, Protocol

from gateway.domain.message import Flight
from gateway.domain.pacing import Pace
from gateway.services.lane import THROTTLE_PAUSE_S, Lane
from gateway.world import World

CONGESTED = 100  # SMPP 5.0 section 4.8.4.18: resources are exhausted


class _Lanes(Protocol):
    """What of the dispatcher is needed here."""

    lanes: dict[str, Lane]
    _world: World

    def pump(self, lane: Lane) -> None: ...

    def _again(self, lane: Lane, flight: Flight, status: int | None, delay_s: float, *, is_unknown: bool) -> Any: ...


class LaneOrders:
    """The orders, for the dispatcher to inherit."""

    def hold(self: _Lanes, name: str) -> None:
        """Claim nothing more for a link, and give back what is claimed and has not left."""
        lane = self.lanes[name]
        lane.is_stopping = True
        for flight in (*lane.claimed, *lane.returned):
            self._again(lane, flight, None, 0.0, is_unknown=False)
        lane.claimed.clear()
        lane.returned = []

    def resume(self: _Lanes, name: str) -> None:
        """Claim again."""
        lane = self.lanes[name]
        lane.is_stopping = False
        self.pump(lane)

    def set_rate(self: _Lanes, name: str, rate_per_s: float) -> None:
        """From now on at most this many submit_sm a second; 0 sets no limit."""
        lane = self.lanes[name]
        lane.pace = Pace(rate_per_s, self._world.clock.monotonic())
        self.pump(lane)

    def remove_link(self: _Lanes, name: str) -> None:
        """Forget a link that has stopped; what waits for it stays in the store."""
        lane = self.lanes.pop(name)
        lane.is_stopping = True
        if lane.timer is not None:
            lane.timer.cancel()

    def alerted(self: _Lanes, destination: str) -> None:
        """A handset is reachable again: what waits to be tried again for it is tried now."""
        for lane in self.lanes.values():
            if any(flight.message.destination == destination for _, _, flight in lane.retries):
                lane.retries = [(0.0 if entry[2].message.destination == destination else entry[0], *entry[1:]) for entry in lane.retries]
                heapq.heapify(lane.retries)
                self.pump(lane)

    def congestion(self: _Lanes, name: str, level: int) -> None:
        """The carrier's congestion_state: at its top the lane pauses."""
        if level >= CONGESTED:
            lane, now_s = self.lanes[name], self._world.clock.monotonic()
            lane.paused_until = max(lane.paused_until, now_s + THROTTLE_PAUSE_S)
