"""What comes back from the links: answers, silence and receipts, and what each of them makes of a segment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from gateway.domain.message import MODE_MASK, SENT_ONCE, Flight, State, UnknownOutcome
from gateway.domain.verdict import RETRY_S, Verdict, of_status
from gateway.services import outcome
from gateway.services.catalogue import Catalogue
from gateway.services.correlation import Report
from gateway.services.lane import PAGE, Lane
from gateway.services.outcome import Ended, Move, Noted, Notice, Outcome, Retry, Submitted
from gateway.services.ports import Reader
from gateway.services.queues import Queues
from gateway.store import messages
from gateway.store.batch import Bulk, resolver
from gateway.store.messages import Ending
from gateway.store.writer import StoreWriter
from gateway.world import World

# A carrier that takes a message and never answers must not make its phone ring for a day: then it is held, for its receipt.
RESENDS_MAX = 5
TRIED_MAX = 10_000
_LAST_ID = (1 << 63) - 1

Reroute = Callable[[Flight, int | None], str | None]


class Returns:
    """Hears what became of each submit_sm, and has it written down."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        catalogue: Catalogue,
        lanes: dict[str, Lane],
        queues: Queues,
        rows: Outcome,
        *,
        correlated_max: int,
        lane_of: Callable[[str], Lane],
        pump: Callable[[Lane], None],
        noticed: Callable[[Notice], None],
        reroute: Reroute | None,
    ) -> None:
        self._world = world
        self._writer = writer
        self._catalogue = catalogue
        self._lanes = lanes
        self._queues = queues
        self._correlated_max = correlated_max
        self._lane_of = lane_of
        self._pump = pump
        self._noticed = noticed
        self._reroute = reroute
        self._flying: dict[tuple[str, str], Flight] = {}
        self._ended: dict[tuple[str, str], int] = {}  # the segment that a receipt ended
        self._resends: dict[int, int] = {}
        self._refusals: dict[int, int] = {}
        self.claim: Bulk[tuple[list[Flight], int], list[bool]] = Bulk(outcome.claim_many, rank=1)
        self._submit: Bulk[Submitted, Notice | None] = Bulk(rows.submit_many, rank=2, is_kept=True)
        self._retry: Bulk[Retry, None] = Bulk(outcome.retry_many, rank=2, is_kept=True)
        self._note: Bulk[Retry, None] = Bulk(outcome.note_many, rank=2, is_kept=True)
        self._hold: Bulk[tuple[Flight, int], None] = Bulk(rows.hold_unknown_many, rank=2, is_kept=True)
        self._move: Bulk[Move, bool] = Bulk(outcome.move_many, rank=2, is_kept=True)
        self._end: Bulk[Ended, Notice | None] = Bulk(rows.end_many, rank=3, is_kept=True)
        self._report: Bulk[Report, Noted] = Bulk(rows.report_many, rank=4)
        self._regroup: Bulk[Mapping[str, Sequence[str]], None] = Bulk(rows.regroup_many, rank=1, is_kept=True)
        self._forget: Bulk[str, None] = Bulk(rows.forget_many, rank=1, is_kept=True)

    def policy(self, flight: Flight) -> UnknownOutcome:
        """What to do with a segment whose outcome nobody knows: as its service says, but what is sent once is never sent again."""
        service = self._catalogue.services.get(flight.message.service)
        policy = service.unknown_outcome if service is not None else UnknownOutcome.HOLD
        if policy is UnknownOutcome.RESEND and flight.message.esm_class & MODE_MASK in SENT_ONCE:
            return UnknownOutcome.HOLD
        return policy

    # -- answers ----------------------------------------------------------------------------------------------------------------

    def responded(self, flight: Flight, status: int, smsc_id: str) -> None:
        """A submit_sm was answered."""
        lane = self._lane_of(flight.link)
        if status == 0:
            lane.accepted += 1
            if lane.pace.repeats:
                lane.pace.accepted()
            if lane.backoffs:
                lane.answered(flight)
            _remember(self._flying, (flight.link, smsc_id), flight, self._correlated_max)
            item = Submitted(flight, smsc_id, self._world.clock.now_us(), self._world.next_id())
            self._writer.put(self._submit, item, self._notice_done)
        else:
            self._refused(lane, flight, status)

    def _refused(self, lane: Lane, flight: Flight, status: int) -> None:
        treatment = lane.errors.of(status)
        verdict = treatment.verdict
        if verdict is Verdict.THROTTLED:
            lane.throttles += 1
            self._slow_down(lane)
        is_crowd = verdict is Verdict.BUSY and lane.backoffs.refused(flight, self._world.clock.monotonic())
        if is_crowd:
            self._slow_down(lane)
        is_sent_once = flight.message.esm_class & MODE_MASK in SENT_ONCE
        if is_sent_once:
            verdict = Verdict.FINAL
        if lane.backoffs and verdict not in (Verdict.BUSY, Verdict.THROTTLED):
            lane.answered(flight)
        match verdict:
            case Verdict.THROTTLED:
                self._in_its_place(lane, flight, status)
            case Verdict.BUSY:
                self.again(flight, status)
            # A routing rule may list a status that the link's own table calls final.
            case Verdict.NEXT_ROUTE | Verdict.RETRY | Verdict.FINAL if not is_sent_once and self.moves(lane, [flight], status):
                pass
            case Verdict.RETRY | Verdict.NEXT_ROUTE if (refusals := self._count(flight)) < treatment.attempts_max:
                self.again(flight, status, treatment.wait_s(refusals))
            case _:
                self.end(flight, State.FAILED, f"command_status 0x{status:08X}", status)

    def _slow_down(self, lane: Lane) -> None:
        """The link as a whole waits, so that order holds, and is slower then; once for all that was in the window."""
        now_s = self._world.clock.monotonic()
        if lane.paused_until <= now_s:
            lane.pause(lane.pace.throttled(now_s, lane.measured_per_s(now_s)), now_s)
            lane.unpaid = lane.claimed.count + lane.reserved  # they were claimed at another pace

    def _count(self, flight: Flight) -> int:
        """Refusals that count against the attempts: being too fast or a full queue is nobody's fault."""
        refusals = self._refusals.get(flight.segment_id, 0) + 1
        _remember(self._refusals, flight.segment_id, refusals, self._correlated_max)
        return refusals

    def _in_its_place(self, lane: Lane, flight: Flight, status: int) -> None:
        """Again, in its old place.

        Where a resend is harmless it stays claimed, unless one before it waits to be claimed; else it must not look sent after a crash.
        """
        if self.policy(flight) is not UnknownOutcome.RESEND or lane.has_before(flight):
            lane.settling += 1  # what is behind it waits until it is in its place
            self.again(flight, status, is_settling=True)
            return
        self._writer.put(self._note, Retry(flight, status, self._world.clock.now_us(), None, False, flight.attempts), _ignore)
        flight.attempts += 1
        lane.unpaid += 1
        lane.claimed.put(flight.queue, flight)
        self._pump(lane)

    def ready(self, lane: Lane, flight: Flight) -> None:
        """A claimed segment waits for the window, behind nothing of its queue that has to be claimed first."""
        if lane.has_before(flight):
            self.again(flight, None)
        else:
            lane.claimed.put(flight.queue, flight)

    def again(
        self, flight: Flight, status: int | None, delay_s: float = 0.0, *, is_unknown: bool = False, is_settling: bool = False
    ) -> None:
        """Back into the queue: at once in its old place, or after a delay."""
        now_us = self._world.clock.now_us()
        retry_at = now_us + int(delay_s * 1e6) if delay_s else None
        left = self._lane_of(flight.link)
        is_aside = bool(left.backoffs) and left.backoffs.is_aside(flight)
        is_moving = retry_at is None and not is_aside and (status is None or is_settling)
        if is_aside:
            left.backoffs.returns(flight)
        elif is_moving:
            left.moves(flight)
        retry = Retry(flight, status, now_us, retry_at, is_unknown)

        def done(_result: None, _error: BaseException | None) -> None:
            lane = self._lane_of(flight.link)
            if lane.backoffs:
                lane.backoffs.came_back(flight)
            if is_moving:
                left.has_moved(flight)
            flight.is_possible_duplicate = flight.is_possible_duplicate or is_unknown
            if is_settling:
                lane.settling = max(0, lane.settling - 1)
            if retry_at is not None:
                self._queues.wait_until(lane, flight, retry_at)
            else:
                self._queues.rejoin(lane, flight)
                if lane.claimed.count and (is_settling or status is None):
                    # What is claimed and comes after it must not overtake it.
                    for later in lane.claimed.remove(flight.queue, flight.segment_id + 1, _LAST_ID):
                        self.again(later, None)
            self._pump(lane)

        self._writer.put(self._retry, retry, done)

    # -- silence ----------------------------------------------------------------------------------------------------------------

    def unanswered(self, flight: Flight) -> None:
        """A submit_sm whose answer will never come: the service's policy decides, and nobody guesses."""
        lane = self._lane_of(flight.link)
        if lane.backoffs:
            lane.answered(flight)
        policy = self.policy(flight)
        resends = self._resends.get(flight.segment_id, 0)
        # After its time it is not sent again, but it may have been delivered: its receipt or a late answer can still say so.
        is_over = flight.message.expires_at <= self._world.clock.now_us()
        if policy is UnknownOutcome.RESEND and resends < RESENDS_MAX and not is_over:
            _remember(self._resends, flight.segment_id, resends + 1, self._correlated_max)
            self.again(flight, None, RETRY_S[min(resends, len(RETRY_S) - 1)], is_unknown=True)
        elif policy is UnknownOutcome.DROP:
            self.end(flight, State.FAILED, "no response from the carrier; dropped as its service asks")
        else:
            self._writer.put(self._hold, (flight, self._world.clock.now_us()), _ignore)

    def opted_out(self, flight: Flight) -> None:
        """What waits must not leave any more, nor again; but what was sent without an answer may have been delivered all the same."""
        if not flight.is_possible_duplicate:
            self.end(flight, State.FAILED, "opted out")
            return
        now_us = self._world.clock.now_us()
        self._writer.put(self.claim, ([flight], now_us), _ignore)  # takes it from the queue, if it is not claimed already
        self._writer.put(self._hold, (flight, now_us), _ignore)

    def responded_late(self, flight: Flight, status: int, smsc_id: str) -> None:
        """An answer came after all: what was held as unknown is known now, and what waits to be sent again need not be."""
        if self.policy(flight) is UnknownOutcome.HOLD:
            self.responded(flight, status, smsc_id)
        elif of_status(status) is Verdict.ACCEPTED:
            # Where it waits still, this takes it from the queue. Sent again already, this does nothing: the store takes the first id,
            # and a receipt for either ends it.
            self._writer.put(self.claim, ([flight], self._world.clock.now_us()), _ignore)
            self.responded(flight, status, smsc_id)

    async def recover(self, reader: Reader) -> int:
        """After a restart: segments that were claimed have an unknown outcome now; how many there were."""
        recovered = 0
        while page := await reader.read(messages.in_state, State.SUBMITTING, PAGE):
            await asyncio.gather(*(self._recover(flight) for flight in page))
            recovered += len(page)
        return recovered

    async def _recover(self, flight: Flight) -> None:
        policy = self.policy(flight)
        now_us = self._world.clock.now_us()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done = resolver(future)
        if policy is UnknownOutcome.RESEND:
            self._writer.put(self._retry, Retry(flight, None, now_us, None, True), done)
        elif policy is UnknownOutcome.HOLD:
            self._writer.put(self._hold, (flight, now_us), done)
        else:
            ending = Ending(flight, State.FAILED, now_us, None, "no response; dropped")
            self._writer.put(self._end, Ended(ending, self._world.next_id()), done)
        await future

    # -- another link -------------------------------------------------------------------------------------------------------------

    def moves(self, lane: Lane, flights: list[Flight], status: int | None) -> bool:
        """Give a whole message to another link, if the routes know one it was not at yet; False when it stays.

        One part alone never moves: the parts of a message stay on one link.
        """
        first = flights[0]
        if self._reroute is None or len(flights) != first.message.segments:
            return False
        to = self._reroute(first, status)
        if to is None or to == first.link or to in first.tried or to not in self._lanes:
            return False
        lane.reroutes += len(flights)
        now_us = self._world.clock.now_us()
        for flight in flights:
            self._writer.put(self._move, Move(flight, to, now_us, status), self._moved(flight, to))
        return True

    def _moved(self, flight: Flight, to: str) -> Callable[[bool | None, BaseException | None], None]:
        def done(is_moved: bool | None, _error: BaseException | None) -> None:
            if is_moved:
                moved = flight.moved(to)
                _remember(self._queues.tried, moved.segment_id, moved.tried, TRIED_MAX)
                lane = self._lane_of(to)
                self._queues.join(lane, [moved])
                self._pump(lane)

        return done

    # -- receipts and ends --------------------------------------------------------------------------------------------------------

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
                    _remember(self._ended, key, result.segment_id, self._correlated_max)
                if result.notice is not None:
                    self._noticed(result.notice)
            done(result, error)

        self._writer.put(self._report, report, noted)

    def regroup(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Other links share their receipts from now on."""
        self._writer.put(self._regroup, groups, _ignore)

    def forget(self, link: str) -> None:
        """A link is gone: who bears its name next may be another carrier, with other ids."""
        for kept in (self._flying, self._ended):
            for key in [key for key in kept if key[0] == link]:
                del kept[key]
        self._writer.put(self._forget, link, _ignore)

    def end(self, flight: Flight, state: State, error: str, status: int | None = None) -> None:
        """Bring a segment to its end without a receipt."""
        ending = Ending(flight, state, self._world.clock.now_us(), status, error[:32])
        self._writer.put(self._end, Ended(ending, self._world.next_id()), self._notice_done)

    def _notice_done(self, notice: Notice | None, _error: BaseException | None) -> None:
        if notice is not None:
            self._noticed(notice)


def _remember(kept: dict[Any, Any], key: Any, value: Any, limit: int) -> None:
    kept[key] = value
    if len(kept) > limit:
        # Many at once: to find its first key a dict walks past all that were taken out before it.
        for old in list(islice(kept, limit // 16 + 1)):
            del kept[old]


def _ignore(_result: object, _error: BaseException | None) -> None:
    """For operations whose items are kept until they succeed: nothing waits for them."""
