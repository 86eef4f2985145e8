"""What becomes of segments: submitted, tried again, unknown, or at their end, with the message's charge settled in the same transaction.

These are the writer's operations; each gets all items that gathered for it. A segment ends once: only the ending that took effect
folds into its message, settles the charge and makes the receipt for the sender. Items bring their own `seq`, an id made on the
loop, which orders settlements and names the outbox row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from billing import book, booking, counters, suspense
from billing.booking import Booking
from billing.event import Settlement
from gateway.domain.message import Flight, Message, State
from gateway.domain.verdict import STAT_OF_STATE, of_message_state
from gateway.services.correlation import Correlation, Report
from gateway.services.late import charge_late, charge_parts_late
from gateway.services.parking import Parking, report_of
from gateway.services.settling import settle_long, settle_short, whole_messages
from gateway.services.telling import entry_for, intermediate_entry_for
from gateway.store import ended, messages, options, outbox, receipts
from gateway.store.ended import End
from gateway.store.messages import Ending


class Submitted(NamedTuple):
    """The SMSC took a segment and named it."""

    flight: Flight
    smsc_id: str
    at: int
    seq: int


class Retry(NamedTuple):
    """A segment goes back to the queue."""

    flight: Flight
    status: int | None
    at: int
    retry_at: int | None  # None: at once, in its old place
    is_unknown: bool  # the bytes left and nobody answered: the next attempt may be a duplicate
    attempt: int = 0  # its number, where the flight goes on before this is written


class Move(NamedTuple):
    """A segment goes to another link's queue; `status` is the carrier's refusal, None: its link has been down too long."""

    flight: Flight
    to: str
    at: int
    status: int | None


class Ended(NamedTuple):
    """A segment came to its end."""

    ending: Ending
    seq: int


class Notice(NamedTuple):
    """A whole message came to its end; `entry` is the outbox row that tells its sender, if he asked.

    Its state is a live one where only an intermediate state is told.
    """

    message: Message
    state: State
    error: str | None
    done_at: int
    entry: outbox.Entry | None
    message_state: int | None = None  # SMPP's, where somebody said one
    delivered: int = 0  # parts
    user_reference: int | None = None  # of the submission, where its sender wants it back


class Noted(NamedTuple):
    """What a receipt did: `ended`, `intermediate`, `repeat`, `late`, `contradicts` or `parked`; and its message's end, if it was that."""

    effect: str
    notice: Notice | None
    segment_id: int = 0  # that it ended


class Replayed(NamedTuple):
    """One parked receipt, matched again; `outcome` is None for one that still waits."""

    id: int
    outcome: str | None
    notice: Notice | None = None


class Outcome:
    """The operations; what they remember belongs to the writer thread."""

    def __init__(self, groups: Mapping[str, Sequence[str]] | None = None, books: Booking = booking.DEFAULT) -> None:
        self._books = books
        self._correlation = Correlation(groups)
        self.parking = Parking(self._correlation)
        self.late = {"charged": 0, "absorbed": 0}  # receipts that said delivered after the end

    def submit_many(self, conn: Connection, items: Sequence[Submitted]) -> list[Notice | None]:
        """Record SMSC ids; a receipt that came before its response finds its message here."""
        messages.set_submitted(conn, [(item.flight.segment_id, item.smsc_id, item.at) for item in items])
        self.parking.load(conn)
        # By place: a segment that was sent again may be here twice, answered late and answered.
        early = self.parking.waits_for([(item.flight.link, item.smsc_id) for item in items]) if self.parking.is_waiting else ()
        notices: list[Notice | None] = [None] * len(items)
        for place in early:
            notices[place] = self._adopt(conn, items[place])
        return notices

    def _adopt(self, conn: Connection, item: Submitted) -> Notice | None:
        """The first final receipt that waited for an id ends its segment; one older than its message belongs to an earlier use."""
        notice: Notice | None = None
        for row in self.parking.take(conn, item.flight.link, item.smsc_id):
            report = report_of(row, item.at, item.seq)
            if row.received_at >= item.flight.message.accepted_at and self._correlation.is_of(conn, report, item.flight, item.smsc_id):
                settled = self._settle(conn, report, item.flight)
                outcome = receipts.ADOPTED if settled.effect == "ended" else settled.effect
                receipts.close(conn, row.id, outcome, item.at, item.flight.segment_id)
                notice = notice or settled.notice
        return notice

    def report_many(self, conn: Connection, reports: Sequence[Report]) -> list[Noted]:
        """Match receipts to live segments and end those; park what matches nothing."""
        self.parking.load(conn)
        flights = self._correlation.segments_of(conn, reports)
        noted: list[Noted | None] = [None] * len(reports)
        endings: list[tuple[int, Ended]] = []
        over: set[int] = set()  # segments that end here
        id_of = self._correlation.id_of
        for place, (report, flight) in enumerate(zip(reports, flights, strict=True)):
            state = of_message_state(report.message_state)
            if state is None:
                is_over = flight is None or flight.segment_id in over
                noted[place] = Noted("intermediate", None if flight is None or is_over else self._tell(conn, report, flight))
            elif report.ended_segment:
                noted[place] = self._after_the_end(conn, report, report.ended_segment)
            elif flight is None:
                noted[place] = self._unmatched(conn, report)
            else:
                endings.append((place, _ended_by(report, flight, state, id_of(report))))
                over.add(flight.segment_id)
        took: list[bool] = []
        notices = self.end_many(conn, [each for _, each in endings], took)
        for (place, each), notice, is_new in zip(endings, notices, took, strict=True):
            segment_id = each.ending.flight.segment_id
            noted[place] = Noted("ended", notice, segment_id) if is_new else self._after_the_end(conn, reports[place], segment_id)
        return [one for one in noted if one is not None]

    def end_many(self, conn: Connection, items: Sequence[Ended], took: list[bool] | None = None) -> list[Notice | None]:
        """End segments, fold their messages, settle charges and write the receipts due; the message's end, where this was it."""
        if not items:
            return []
        fresh = messages.end(conn, [ending for ending, _ in items])
        if took is not None:
            took.extend(fresh)
        notices: list[Notice | None] = [None] * len(items)
        settlements: list[Settlement] = []
        entries: list[outbox.Entry] = []
        partial: list[tuple[Message, int]] = []
        touched = {ending.flight.message.id for ending, _ in items if ending.flight.message.segments > 1}
        long_ones = whole_messages(conn, touched) if touched else {}
        for place, ((ending, seq), is_new) in enumerate(zip(items, fresh, strict=True)):
            if not is_new:
                continue
            message = ending.flight.message
            if message.segments == 1:
                settlement, state = settle_short(ending, seq), ending.state
                error, message_state, delivered = ending.error, ending.message_state, int(state is State.DELIVERED)
            else:
                whole = long_ones.pop(message.id, None)
                if whole is None:
                    continue
                settlement, state = settle_long(ending, seq, whole), whole.state
                error, message_state, delivered = whole.error, whole.message_state, whole.delivered
                if delivered < message.segments:
                    partial.append((message, seq))
            settlements.append(settlement)
            entry = entry_for(message, state, seq)
            if entry is not None:
                entries.append(entry)
            notices[place] = Notice(message, state, error, ending.done_at, entry, message_state, delivered)
        if settlements:
            self._charge(conn, settlements, items[0].ending.done_at)
        for message, seq in partial:
            charged = charge_parts_late(conn, message.id, message.segments, self._books, seq=seq, now_us=items[0].ending.done_at)
            self.late["charged"] += charged
        outbox.insert(conn, entries)
        return _with_references(conn, notices) if entries and options.are_in_use(conn) else notices

    def _charge(self, conn: Connection, settlements: Sequence[Settlement], now_us: int) -> None:
        """Settle charges; give counted ones back what they did not use, and suspend what was delivered without a price."""
        standing = booking.standing(conn)
        book.settle_many(conn, settlements, now_us=now_us, into=self._books, standing=standing)
        if standing.is_counting:
            # A message delivered whole used all its units, into however many parts the carrier may have cut it.
            whole = STAT_OF_STATE[State.DELIVERED]
            used = ((each.id, None if each.delivery_status == whole else each.parts_charged, each.amount_minor) for each in settlements)
            counters.settle(conn, used)
        if standing.is_parking:
            suspense.settled(conn, [each.id for each in settlements], now_us=now_us)

    def _tell(self, conn: Connection, report: Report, flight: Flight) -> Notice | None:
        """Pass an intermediate state on to a sender who asked for that."""
        entry = intermediate_entry_for(flight.message, report.message_state, report.seq)
        if entry is None or ended.of_segment(conn, flight.segment_id) is not None or outbox.is_told(conn, entry):
            return None
        outbox.insert(conn, [entry])
        notice = Notice(flight.message, State.SUBMITTED, report.error, report.at, entry, report.message_state)
        found = options.load(conn, [flight.message.id]) if options.are_in_use(conn) else {}
        return notice._replace(user_reference=found[flight.message.id].user_reference) if found else notice

    def _settle(self, conn: Connection, report: Report, flight: Flight) -> Noted:
        """What one final receipt that was parked does to its segment."""
        state = of_message_state(report.message_state)
        assert state is not None, "only final receipts wait"
        took: list[bool] = []
        (notice,) = self.end_many(conn, [_ended_by(report, flight, state, self._correlation.id_of(report))], took)
        return (
            Noted("ended", notice, flight.segment_id) if took[0] else self._after_the_end(conn, report, flight.segment_id, is_parked=True)
        )

    def _after_the_end(self, conn: Connection, report: Report, segment_id: int, *, is_parked: bool = False) -> Noted:
        """A receipt for a segment that has ended moves no money, whatever it says; one that says otherwise is kept for people to see."""
        end = ended.of_segment(conn, segment_id)
        return self._against(conn, report, end, is_parked=is_parked) if end is not None else Noted("repeat", None)

    def _against(self, conn: Connection, report: Report, end: End, *, is_parked: bool = False) -> Noted:
        if of_message_state(report.message_state) is end.state:
            return Noted("repeat", None, end.segment_id)
        effect = receipts.LATE if end.message_state is None else receipts.CONTRADICTS
        if of_message_state(report.message_state) is State.DELIVERED:
            is_charged = charge_late(conn, end.segment_id, self._books, seq=report.seq, now_us=report.at)
            self.late["charged" if is_charged else "absorbed"] += 1
        if not is_parked:  # else the row that it has already says so, once it is closed
            self.parking.record(conn, report, end.segment_id, effect)
        return Noted(effect, None, end.segment_id)

    def _unmatched(self, conn: Connection, report: Report) -> Noted:
        end = self._correlation.end_of(conn, report)
        if end is not None:
            return self._against(conn, report, end)
        self._park(conn, report)
        return Noted("parked", None)

    def _park(self, conn: Connection, report: Report) -> None:
        self.parking.park(conn, report)

    def replay_many(self, conn: Connection, ids: Sequence[int], at: int, seqs: Sequence[int]) -> list[Replayed]:
        """Match parked receipts again, as if they came now."""
        self.parking.load(conn)
        rows = receipts.by_ids(conn, ids)
        reports = [report_of(row, at, seq) for row, seq in zip(rows, seqs, strict=False)]
        replayed = []
        for row, report in zip(rows, reports, strict=True):
            (flight,) = self._correlation.segments_of(conn, [report], is_again=True)
            noted: Noted | None = None
            if flight is not None and flight.message.accepted_at <= row.received_at:
                noted = self._settle(conn, report, flight)
            elif (end := self._correlation.end_of(conn, report)) is not None:
                noted = self._against(conn, report, end, is_parked=True)
            if noted is None:
                replayed.append(Replayed(row.id, None))
                continue
            outcome = receipts.REPLAYED if noted.effect == "ended" else noted.effect
            receipts.close(conn, row.id, outcome, at, noted.segment_id)
            replayed.append(Replayed(row.id, outcome, noted.notice))
        return replayed

    def regroup_many(self, conn: Connection, items: Sequence[Mapping[str, Sequence[str]]]) -> list[None]:
        """Other links share their receipts now; what waits may mean a message of another link."""
        self._correlation.regroup(items[-1])
        self.parking.load(conn)
        return [None] * len(items)

    def forget_many(self, conn: Connection, links: Sequence[str]) -> list[None]:
        """Links are gone, and with them what was learnt of their receipts."""
        for link in links:
            self._correlation.forget(conn, link)
        return [None] * len(links)

    def hold_unknown_many(self, conn: Connection, items: Sequence[tuple[Flight, int]]) -> list[None]:
        """Leave segments whose outcome nobody knows to their receipt, which may be here already, or their expiry: (flight, when)."""
        self.parking.is_new = True
        return hold_unknown_many(conn, items)


def _ended_by(report: Report, flight: Flight, state: State, smsc_id: str) -> Ended:
    ending = Ending(flight, state, report.at, None, report.error or None, smsc_id, report.message_state)
    return Ended(ending, report.seq)


def retry_many(conn: Connection, items: Sequence[Retry]) -> list[None]:
    """Put segments back into their queue, keeping what the attempt was."""
    messages.set_retry(
        conn, [(item.flight.segment_id, item.status, item.retry_at, item.flight.is_possible_duplicate or item.is_unknown) for item in items]
    )
    messages.record_attempts(
        conn, [_attempt(item.flight, item.at, "unknown" if item.is_unknown else "retry", item.status) for item in items]
    )
    return [None] * len(items)


def move_many(conn: Connection, items: Sequence[Move]) -> list[bool]:
    """Give segments to other links, keeping what the attempt was: False for one that is no longer with its old link."""
    moved = messages.move(conn, [(item.flight.segment_id, item.to, item.flight.link) for item in items])
    refused = [item for item, is_moved in zip(items, moved, strict=True) if is_moved and item.status is not None]
    messages.record_attempts(conn, [_attempt(item.flight, item.at, "moved", item.status) for item in refused])
    return moved


def note_many(conn: Connection, items: Sequence[Retry]) -> list[None]:
    """Keep what an attempt was, of a segment that stays claimed."""
    messages.record_attempts(
        conn, [(item.flight.segment_id, item.attempt, item.flight.link, None, item.at, "retry", item.status) for item in items]
    )
    return [None] * len(items)


def hold_unknown_many(conn: Connection, items: Sequence[tuple[Flight, int]]) -> list[None]:
    """Leave segments whose outcome nobody knows to their receipt or their expiry: (flight, when)."""
    messages.set_unknown(conn, [(flight.segment_id, "no response") for flight, _ in items])
    messages.record_attempts(conn, [_attempt(flight, at, "unknown", None) for flight, at in items])
    return [None] * len(items)


def _attempt(flight: Flight, at: int, outcome: str, status: int | None) -> tuple[object, ...]:
    return (flight.segment_id, flight.attempts, flight.link, None, at, outcome, status)


def claim_many(conn: Connection, items: Sequence[tuple[Sequence[Flight], int]]) -> list[list[bool]]:
    """Claim queued segments for sending, (flights, now): False for each that is no longer queued."""
    took = iter(messages.claim(conn, [(flight.segment_id, at, flight.attempts) for flights, at in items for flight in flights]))
    return [[next(took) for _ in flights] for flights, _ in items]


def _with_references(conn: Connection, notices: Sequence[Notice | None]) -> list[Notice | None]:
    """Add what senders want back in their receipts."""
    found = options.load(conn, [notice.message.id for notice in notices if notice is not None and notice.entry is not None])
    return [
        notice._replace(user_reference=found[notice.message.id].user_reference)
        if notice is not None and notice.message.id in found
        else notice
        for notice in notices
    ]
