"""Getting queued segments onto their links: claim first, send after the commit, and record what comes back.

One lane per link. While a lane keeps up, a committed segment goes straight from the accept batch to the link, for it was written as
claimed. Otherwise it waits in memory, and beyond a limit only in the table, which is then read page by page in the order of ids.
The link's window is the back-pressure: no more is claimed than it has free. Only where a service resends what is unknown may one
window's worth be claimed ahead, for after a crash its worst is the mark of a possible duplicate (docs/adr/0010-claim-ahead.md).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

from gateway.domain import verdict
from gateway.domain.message import Flight, State, UnknownOutcome
from gateway.domain.pacing import Pace
from gateway.domain.verdict import Verdict
from gateway.services import outcome
from gateway.services.catalogue import Catalogue
from gateway.services.correlation import Report
from gateway.services.lane import THROTTLE_PAUSE_S, THROTTLE_PAUSE_S_MAX, Lane, LinkPort
from gateway.services.outcome import Ended, Noted, Notice, Outcome, Retry, Submitted
from gateway.services.ports import Reader
from gateway.services.submit import Accepting, Draft
from gateway.store import messages
from gateway.store.batch import Bulk, resolver
from gateway.store.messages import Ending
from gateway.store.writer import StoreWriter
from gateway.world import World

PAGE = 500
ATTEMPTS_MAX = 5
# A carrier that takes a message and never answers must not make its phone ring for a day: then it is held, for its receipt.
RESENDS_MAX = 5
RETRY_S = (1.0, 5.0, 15.0, 60.0)


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
        rows: Outcome | None = None,
    ) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._catalogue = catalogue
        self._limits = limits
        self._noticed = noticed
        self._sent = sent
        self.lanes: dict[str, Lane] = {}
        self._flying: dict[tuple[str, str], Flight] = {}
        self._ended: dict[tuple[str, str], int] = {}  # the segment that a receipt ended
        self._resends: dict[int, int] = {}
        rows = rows or Outcome()
        self.accept_bulk: Bulk[Draft, Any] = Bulk(Accepting(catalogue.revenue_account).accept_many, rank=0)
        self._claim: Bulk[tuple[Flight, int], bool] = Bulk(outcome.claim_many, rank=1)
        self._submit: Bulk[Submitted, Notice | None] = Bulk(rows.submit_many, rank=2, is_kept=True)
        self._retry: Bulk[Retry, None] = Bulk(outcome.retry_many, rank=2, is_kept=True)
        self._note: Bulk[Retry, None] = Bulk(outcome.note_many, rank=2, is_kept=True)
        self._hold: Bulk[tuple[Flight, int], None] = Bulk(rows.hold_unknown_many, rank=2, is_kept=True)
        self._end: Bulk[Ended, Notice | None] = Bulk(outcome.end_many, rank=3, is_kept=True)
        self._report: Bulk[Report, Noted] = Bulk(rows.report_many, rank=4)

    def add_link(self, link: LinkPort, pace: Pace) -> Lane:
        """Give a link its lane."""
        lane = self.lanes[link.name] = Lane(link, pace)
        return lane

    # -- accepting ----------------------------------------------------------------------------------------------------

    def choose_link(self) -> str:
        """The link for a new message: the first that has a bind up, else the first, whose queue it joins."""
        for lane in self.lanes.values():
            if lane.link.window_free > 0 or lane.reserved > 0:
                return lane.link.name
        return next(iter(self.lanes), "")

    def reserve(self, name: str, segments: int, policy: UnknownOutcome) -> bool:
        """Keep room for segments that may leave at once, or nearly; False when they must queue."""
        lane = self.lanes.get(name)
        if lane is None or lane.waiting or lane.is_spilled:
            return False
        now_s = self._world.clock.monotonic()
        room = lane.room_ahead(now_s) if policy is UnknownOutcome.RESEND else lane.room(now_s)
        if room < segments:
            return False
        lane.reserved += segments
        lane.pace.take(segments)
        return True

    def committed(self, draft: Draft) -> None:
        """A draft is on disk: send it if it was claimed, else queue it."""
        lane = self.lanes.get(draft.link)
        if lane is None:
            return
        flights = draft.flights()
        if draft.is_claimed:
            lane.reserved -= len(flights)
            lane.claimed.extend(flights)
            self._send_claimed(lane)
            return
        if lane.is_spilled or len(lane.waiting) + len(flights) > self._limits.in_memory_max:
            lane.is_spilled = True
            lane.spills += 1
        else:
            lane.waiting.extend(flights)
            lane.cursor = flights[-1].segment_id
        self.pump(lane)

    def abandoned(self, draft: Draft) -> None:
        """A draft was not written: give its reserved room back."""
        lane = self.lanes.get(draft.link)
        if lane is not None and draft.is_claimed:
            lane.reserved -= len(draft.bodies)
            lane.pace.take(-len(draft.bodies))
            self.pump(lane)

    # -- sending --------------------------------------------------------------------------------------------------------

    def pump(self, lane: Lane) -> None:
        """Claim as much as the link has room for."""
        now_s, now_us = self._world.clock.monotonic(), self._world.clock.now_us()
        self._send_claimed(lane)
        due = []
        while lane.retries and lane.retries[0][0] <= now_s:
            due.append(heapq.heappop(lane.retries)[2])
        # They were before the waiting ones, and keep their own order.
        lane.waiting.extendleft(sorted(due, key=_segment_id, reverse=True))
        room, room_ahead = lane.room(now_s), lane.room_ahead(now_s)
        while lane.waiting and (room_ahead if self._policy(lane.waiting[0]) is UnknownOutcome.RESEND else room) > 0:
            flight = lane.waiting.popleft()
            if flight.message.expires_at <= now_us:
                self.end(flight, State.EXPIRED, "validity period over")
                continue
            room, room_ahead = room - 1, room_ahead - 1
            lane.reserved += 1
            lane.pace.take(1)
            flight.attempts += 1
            self._writer.put(self._claim, (flight, now_us), self._claimed(lane, flight))
        if lane.is_spilled and not lane.is_loading and len(lane.waiting) < PAGE and lane.link.window_free > 0:
            self._load(lane)
        self._wake(lane, now_s)

    def _send_claimed(self, lane: Lane) -> None:
        """Send what is claimed already, oldest first, as far as the window goes."""
        if self._world.clock.monotonic() < lane.paused_until or lane.is_stopping:
            return
        if lane.returned:
            # They left before what is claimed now, and keep their own order.
            lane.claimed.extendleft(sorted(lane.returned, key=_segment_id, reverse=True))
            lane.returned = []
        now_us = self._world.clock.now_us() if lane.claimed else 0
        while lane.claimed and lane.link.window_free > 0:
            flight = lane.claimed.popleft()
            if flight.message.expires_at <= now_us:
                self.end(flight, State.EXPIRED, "validity period over")
            else:
                self._send(lane, flight)

    def release(self) -> None:
        """Before a stop: claim nothing more, and give back what is claimed and has not left."""
        for lane in self.lanes.values():
            lane.is_stopping = True
            for flight in (*lane.claimed, *lane.returned):
                self._again(lane, flight, None, 0.0, is_unknown=False)
            lane.claimed.clear()
            lane.returned = []

    def _claimed(self, lane: Lane, flight: Flight) -> Callable[[bool | None, BaseException | None], None]:
        def done(is_mine: bool | None, error: BaseException | None) -> None:
            lane.reserved -= 1
            if error is not None:
                flight.attempts -= 1
                lane.waiting.appendleft(flight)
                lane.paused_until = self._world.clock.monotonic() + THROTTLE_PAUSE_S
                self._wake(lane, self._world.clock.monotonic())
            elif is_mine:
                lane.claimed.append(flight)
                self._send_claimed(lane)

        return done

    def _send(self, lane: Lane, flight: Flight) -> None:
        now_s = self._world.clock.monotonic()
        if lane.link.send(flight):
            flight.sent_s = now_s
            self._sent(flight, now_s)
        else:
            # Claimed, and the bind went away before a byte left: not unknown, it can simply wait again.
            self._again(lane, flight, None, 0.0, is_unknown=False)

    def _wake(self, lane: Lane, now_s: float) -> None:
        """One timer per lane, for whichever comes first: a retry, the end of a pause, or a token."""
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        due = [lane.retries[0][0]] if lane.retries else []
        if lane.waiting or lane.is_spilled or lane.claimed or lane.returned:
            if lane.paused_until > now_s:
                due.append(lane.paused_until)
            elif lane.link.window_free > lane.reserved and lane.pace.available(now_s) < 1:
                due.append(now_s + lane.pace.delay(now_s))
        if due:
            lane.timer = asyncio.get_running_loop().call_later(max(0.001, min(due) - now_s), self.pump, lane)

    def _load(self, lane: Lane) -> None:
        lane.is_loading = True
        asyncio.get_running_loop().create_task(self._load_page(lane), name=f"queue of {lane.link.name}")

    async def _load_page(self, lane: Lane) -> None:
        spills = lane.spills
        try:
            page = await self._reader.read(messages.queue_page, lane.link.name, lane.cursor, PAGE)
        finally:
            lane.is_loading = False
        now_us, now_s = self._world.clock.now_us(), self._world.clock.monotonic()
        for flight, retry_at in page:
            lane.cursor = max(lane.cursor, flight.segment_id)
            if retry_at is not None and retry_at > now_us:
                heapq.heappush(lane.retries, (now_s + (retry_at - now_us) / 1e6, flight.segment_id, flight))
            else:
                lane.waiting.append(flight)
        if len(page) < PAGE and lane.spills == spills:
            lane.is_spilled = False
        self.pump(lane)

    # -- what comes back -----------------------------------------------------------------------------------------------

    def responded(self, flight: Flight, status: int, smsc_id: str) -> None:
        """A submit_sm was answered."""
        lane = self.lanes[flight.link]
        match verdict.of_status(status):
            case Verdict.ACCEPTED:
                lane.pause_s = THROTTLE_PAUSE_S
                self._remember(flight, smsc_id)
                item = Submitted(flight, smsc_id, self._world.clock.now_us(), self._world.next_id())
                self._writer.put(self._submit, item, self._notice_done)
            case Verdict.THROTTLED:
                # The link as a whole waits, so that order holds, and longer each time.
                now_s = self._world.clock.monotonic()
                if lane.paused_until <= now_s:
                    lane.paused_until = now_s + lane.pause_s
                    lane.pause_s = min(lane.pause_s * 2, THROTTLE_PAUSE_S_MAX)
                self._throttled(lane, flight, status)
            case Verdict.BUSY:
                self._again(lane, flight, status, RETRY_S[min(flight.attempts, len(RETRY_S)) - 1], is_unknown=False)
            case Verdict.RETRY if flight.attempts < ATTEMPTS_MAX:
                self._again(lane, flight, status, RETRY_S[min(flight.attempts, len(RETRY_S)) - 1], is_unknown=False)
            case _:
                self.end(flight, State.FAILED, f"command_status 0x{status:08X}", status)

    def _throttled(self, lane: Lane, flight: Flight, status: int) -> None:
        """Again, in its old place. Where a resend is harmless it stays claimed; else it must not look sent after a crash."""
        if self._policy(flight) is not UnknownOutcome.RESEND:
            self._again(lane, flight, status, 0.0, is_unknown=False)
            return
        self._writer.put(self._note, Retry(flight, status, self._world.clock.now_us(), 0, False, flight.attempts), _ignore)
        flight.attempts += 1
        lane.returned.append(flight)
        self._wake(lane, self._world.clock.monotonic())

    def _policy(self, flight: Flight) -> UnknownOutcome:
        service = self._catalogue.services.get(flight.message.service)
        return service.unknown_outcome if service is not None else UnknownOutcome.HOLD

    def unanswered(self, flight: Flight) -> None:
        """A submit_sm whose answer will never come: the service's policy decides, and nobody guesses."""
        lane = self.lanes[flight.link]
        policy = self._policy(flight)
        resends = self._resends.get(flight.segment_id, 0)
        # After its time it is not sent again, but it may have been delivered: its receipt or a late answer can still say so.
        is_over = flight.message.expires_at <= self._world.clock.now_us()
        if policy is UnknownOutcome.RESEND and resends < RESENDS_MAX and not is_over:
            _remember(self._resends, flight.segment_id, resends + 1, self._limits.correlated_max)
            self._again(lane, flight, None, RETRY_S[min(resends, len(RETRY_S) - 1)], is_unknown=True)
        elif policy is UnknownOutcome.DROP:
            self.end(flight, State.FAILED, "no response from the carrier; dropped as its service asks")
        else:
            self._writer.put(self._hold, (flight, self._world.clock.now_us()), _ignore)

    def responded_late(self, flight: Flight, status: int, smsc_id: str) -> None:
        """An answer came after all: what was held as unknown is known now, and what waits to be sent again need not be."""
        lane = self.lanes[flight.link]
        if self._policy(flight) is UnknownOutcome.HOLD:
            self.responded(flight, status, smsc_id)
        elif verdict.of_status(status) is Verdict.ACCEPTED:
            again = [entry for entry in lane.retries if entry[2] is flight]
            if again:
                lane.retries.remove(again[0])
                heapq.heapify(lane.retries)
                self._writer.put(self._claim, (flight, self._world.clock.now_us()), _ignore)
            # Sent again already: the store takes the first id, and a receipt for either ends it.
            self.responded(flight, status, smsc_id)

    def flying(self, link: str, smsc_id: str) -> Flight | None:
        """The segment an SMSC's id names, while it is in hand."""
        return self._flying.get((link, smsc_id))

    def reported(self, report: Report, done: Callable[[Noted | None, BaseException | None], None]) -> None:
        """A receipt came; `done` when it may be acknowledged."""
        key = (report.link, report.smsc_id)
        if ended := self._ended.get(key):
            # Again, or against it: the store knows how it ended.
            report = report._replace(flight=None, ended_segment=ended)

        def noted(result: Noted | None, error: BaseException | None) -> None:
            if result is not None:
                if result.effect == "ended":
                    self._flying.pop(key, None)
                    _remember(self._ended, key, result.segment_id, self._limits.correlated_max)
                if result.notice is not None:
                    self._noticed(result.notice)
            done(result, error)

        self._writer.put(self._report, report, noted)

    def end(self, flight: Flight, state: State, error: str, status: int | None = None) -> None:
        """Bring a segment to its end without a receipt."""
        ending = Ending(flight, state, self._world.clock.now_us(), status, error[:32])
        self._writer.put(self._end, Ended(ending, self._world.next_id()), self._notice_done)

    def window_opened(self, name: str) -> None:
        """A link has room again, or is bound again."""
        lane = self.lanes[name]
        if lane.waiting or lane.claimed or lane.is_spilled or lane.retries or lane.returned:
            self.pump(lane)

    def _again(self, lane: Lane, flight: Flight, status: int | None, delay_s: float, *, is_unknown: bool) -> None:
        now_us = self._world.clock.now_us()
        retry = Retry(flight, status, now_us, now_us + int(delay_s * 1e6), is_unknown)

        def done(_result: None, _error: BaseException | None) -> None:
            flight.is_possible_duplicate = flight.is_possible_duplicate or is_unknown
            heapq.heappush(lane.retries, (self._world.clock.monotonic() + delay_s, flight.segment_id, flight))
            self.pump(lane)

        self._writer.put(self._retry, retry, done)

    def _remember(self, flight: Flight, smsc_id: str) -> None:
        _remember(self._flying, (flight.link, smsc_id), flight, self._limits.correlated_max)

    def _notice_done(self, notice: Notice | None, _error: BaseException | None) -> None:
        if notice is not None:
            self._noticed(notice)

    async def recover(self) -> int:
        """After a restart: segments that were claimed have an unknown outcome now; how many there were."""
        recovered = 0
        while page := await self._reader.read(messages.in_state, State.SUBMITTING, PAGE):
            await asyncio.gather(*(self._recover(flight) for flight in page))
            recovered += len(page)
        return recovered

    async def _recover(self, flight: Flight) -> None:
        policy = self._policy(flight)
        now_us = self._world.clock.now_us()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done = resolver(future)
        if policy is UnknownOutcome.RESEND:
            self._writer.put(self._retry, Retry(flight, None, now_us, now_us, True), done)
        elif policy is UnknownOutcome.HOLD:
            self._writer.put(self._hold, (flight, now_us), done)
        else:
            ending = Ending(flight, State.FAILED, now_us, None, "no response; dropped")
            self._writer.put(self._end, Ended(ending, self._world.next_id()), done)
        await future


def _segment_id(flight: Flight) -> int:
    return flight.segment_id


def _remember(kept: dict[Any, Any], key: Any, value: Any, limit: int) -> None:
    kept[key] = value
    if len(kept) > limit:
        del kept[next(iter(kept))]


def _ignore(_result: object, _error: BaseException | None) -> None:
    """For operations whose items are kept until they succeed: nothing waits for them."""
