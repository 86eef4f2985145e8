"""What becomes of segments: submitted, tried again, unknown, or at their end, with the message's charge settled in the same transaction.

These are the writer's operations; each gets all items that gathered for it. A segment ends once: only the ending that took effect
folds into its message, settles the charge and makes the receipt for the sender. Items bring their own `seq`, an id made on the
loop, which orders settlements and names the outbox row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from billing import book
from billing.event import ChargeState, FeeClass, Settlement
from billing.schema import charge
from gateway.domain.message import FINAL, Flight, Front, Message, State, fold
from gateway.domain.verdict import STAT_OF_STATE, of_message_state
from gateway.services.correlation import Correlation, Report
from gateway.store import messages, outbox, receipts
from gateway.store.messages import Ending

# Asked for by the sender, SMPP 3.4 section 5.2.17: 1 success and failure, 2 failure only.
RECEIPT_ALWAYS, RECEIPT_ON_FAILURE = 1, 2
CONNECTOR = "embedded"


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
    retry_at: int
    is_unknown: bool  # the bytes left and nobody answered: the next attempt may be a duplicate
    attempt: int = 0  # its number, where the flight goes on before this is written


class Ended(NamedTuple):
    """A segment came to its end."""

    ending: Ending
    seq: int


class Notice(NamedTuple):
    """A whole message came to its end; `entry` is the outbox row that tells its sender, if he asked."""

    message: Message
    state: State
    error: str | None
    done_at: int
    entry: outbox.Entry | None


class Noted(NamedTuple):
    """What a receipt did: `ended`, `intermediate`, `repeat` or `parked`; and its message's end, if it was that."""

    effect: str
    notice: Notice | None


class Outcome:
    """The operations; `_parked` belongs to the writer thread."""

    def __init__(self) -> None:
        self._parked: dict[tuple[str, str], int] = {}
        self._correlation = Correlation()

    def submit_many(self, conn: Connection, items: Sequence[Submitted]) -> list[Notice | None]:
        """Record SMSC ids; a receipt that came before its response finds its message here."""
        messages.set_submitted(conn, [(item.flight.segment_id, item.smsc_id, item.at) for item in items])
        if not self._parked:
            return [None] * len(items)
        # By place: a segment that was sent again may be here twice, answered late and answered.
        early = [place for place, item in enumerate(items) if (item.flight.link, item.smsc_id) in self._parked]
        adopted = dict(zip(early, self._adopt(conn, [items[place] for place in early]), strict=True))
        return [adopted.get(place) for place in range(len(items))]

    def _adopt(self, conn: Connection, items: Sequence[Submitted]) -> list[Notice | None]:
        ended: list[Ended | None] = []
        for item in items:
            parked = receipts.take_parked(conn, item.flight.link, item.smsc_id, item.flight.message.accepted_at, item.at)
            self._parked.pop((item.flight.link, item.smsc_id), None)
            state = of_message_state(parked.message_state) if parked else None
            if parked is None or state is None:
                ended.append(None)
            else:
                ended.append(Ended(Ending(item.flight, state, item.at, None, parked.error, item.smsc_id, parked.message_state), item.seq))
        notices = iter(end_many(conn, [one for one in ended if one is not None]))
        return [next(notices) if one is not None else None for one in ended]

    def report_many(self, conn: Connection, reports: Sequence[Report]) -> list[Noted]:
        """Match receipts to live segments and end those; park what matches nothing."""
        flights = self._correlation.segments_of(conn, reports)
        noted: list[Noted | None] = [None] * len(reports)
        endings: list[tuple[int, Ended]] = []
        for place, (report, flight) in enumerate(zip(reports, flights, strict=True)):
            state = of_message_state(report.message_state)
            if state is None:
                noted[place] = Noted("intermediate", None)
            elif flight is None:
                self._park(conn, report)
                noted[place] = Noted("parked", None)
            else:
                ending = Ending(flight, state, report.at, None, report.error or None, report.smsc_id, report.message_state)
                endings.append((place, Ended(ending, report.seq)))
        before = [ended for _, ended in endings]
        took: list[bool] = []
        notices = end_many(conn, before, took)
        for (place, _), notice, is_new in zip(endings, notices, took, strict=True):
            noted[place] = Noted("ended" if is_new else "repeat", notice)
        return [one for one in noted if one is not None]

    def _resolve(self, conn: Connection, reports: Sequence[Report]) -> list[Flight | None]:
        """The segment of each receipt: by its id, else by another form of its id, else by its addresses and what it quotes."""
        missing = [(report.link, report.smsc_id) for report in reports if report.flight is None]
        found = messages.find_by_smsc_ids(conn, missing) if missing else {}
        flights = [report.flight or found.get((report.link, report.smsc_id)) for report in reports]
        self._exact.update(report.link for report, flight in zip(reports, flights, strict=True) if flight is not None)
        for place, report in enumerate(reports):
            if flights[place] is None:
                other = None if report.link in self._exact else _in_other_form(conn, report)
                flights[place] = other or _unknown_one(conn, report)
        return flights

    def _park(self, conn: Connection, report: Report) -> None:
        receipts.park(conn, report.seq, report.link, report.smsc_id, report.message_state, report.error, report.at)
        self._parked[report.link, report.smsc_id] = report.seq
        if len(self._parked) > 10_000:
            del self._parked[next(iter(self._parked))]


def retry_many(conn: Connection, items: Sequence[Retry]) -> list[None]:
    """Put segments back into their queue, keeping what the attempt was."""
    messages.set_retry(
        conn, [(item.flight.segment_id, item.status, item.retry_at, item.flight.is_possible_duplicate or item.is_unknown) for item in items]
    )
    messages.record_attempts(
        conn, [_attempt(item.flight, item.at, "unknown" if item.is_unknown else "retry", item.status) for item in items]
    )
    return [None] * len(items)


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


def claim_many(conn: Connection, items: Sequence[tuple[Flight, int]]) -> list[bool]:
    """Claim queued segments for sending, (flight, now): False for one that is no longer queued."""
    return messages.claim(conn, [(flight.segment_id, at, flight.attempts) for flight, at in items])


def end_many(conn: Connection, items: Sequence[Ended], took: list[bool] | None = None) -> list[Notice | None]:
    """End segments, fold their messages, settle charges and write the receipts due; the message's end, where this was it."""
    if not items:
        return []
    fresh = {id(ending) for ending in messages.end(conn, [item.ending for item in items])}
    if took is not None:
        took.extend(id(item.ending) in fresh for item in items)
    notices: list[Notice | None] = [None] * len(items)
    settlements: list[Settlement] = []
    long_ones = _long_messages(conn, [item for item in items if id(item.ending) in fresh and item.ending.flight.message.segments > 1])
    for place, item in enumerate(items):
        ending = item.ending
        if id(ending) not in fresh:
            continue
        message = ending.flight.message
        if message.segments == 1:
            settlement, state = _settle_short(item), ending.state
        else:
            whole = long_ones.pop(message.id, None)
            if whole is None:
                continue
            settlement, state = _settle_long(item, *whole)
        settlements.append(settlement)
        notices[place] = Notice(message, state, ending.error, ending.done_at, _entry_for(message, state, item.seq))
    book.settle_many(conn, settlements, now_us=items[0].ending.done_at)
    outbox.insert(conn, [notice.entry for notice in notices if notice is not None and notice.entry is not None])
    return notices


_CHARGE_STATES = {State.DELIVERED: ChargeState.CAPTURED, State.FAILED: ChargeState.RELEASED, State.EXPIRED: ChargeState.EXPIRED}


def _settle_short(item: Ended) -> Settlement:
    flight, state, done_at, _, error, smsc_id, _ = item.ending
    is_delivered = state is State.DELIVERED
    return Settlement(
        flight.message.id,
        _CHARGE_STATES[state],
        flight.wallet,
        flight.held_minor,
        flight.held_minor if is_delivered else 0,
        1 if is_delivered else 0,
        item.seq,
        STAT_OF_STATE[state],
        done_at,
        error,
        smsc_id,
        flight.link,
    )


class _Whole(NamedTuple):
    """All segments of a long message at their end, and how its price was made."""

    segments: list[tuple[int, int, str | None, str | None]]
    unit_price_minor: int
    is_per_part: bool


_PRICES = select(charge.c.id, charge.c.unit_price_minor, charge.c.fee_class).where(charge.c.id.in_(bindparam("ids", expanding=True)))


def _long_messages(conn: Connection, items: Sequence[Ended]) -> dict[int, _Whole]:
    """Of the long messages that these endings touched, those that are at their end now."""
    if not items:
        return {}
    ids = sorted({item.ending.flight.message.id for item in items})
    ended = {
        message_id: segments
        for message_id, segments in messages.states_of(conn, ids).items()
        if all(state >= FINAL for _, state, _, _ in segments)
    }
    prices = {row[0]: (row[1], row[2]) for row in conn.execute(_PRICES, {"ids": list(ended)})} if ended else {}
    return {
        message_id: _Whole(segments, prices[message_id][0], prices[message_id][1] == FeeClass.PER_PART)
        for message_id, segments in ended.items()
    }


def _settle_long(
    item: Ended, segments: list[tuple[int, int, str | None, str | None]], unit_price_minor: int, is_per_part: bool
) -> tuple[Settlement, State]:
    """Per part: what was delivered is paid. Per message: all of it must have been."""
    flight = item.ending.flight
    state = fold(state for _, state, _, _ in segments)
    delivered = sum(1 for _, each, _, _ in segments if each == State.DELIVERED)
    charged = delivered if is_per_part or delivered == len(segments) else 0
    amount = unit_price_minor * delivered if is_per_part else flight.held_minor if charged else 0
    ids = ";".join(smsc_id for _, _, smsc_id, _ in segments if smsc_id)
    error = next((error for _, each, _, error in segments if each != State.DELIVERED and error), None)
    settlement = Settlement(
        flight.message.id,
        ChargeState.CAPTURED if charged else _CHARGE_STATES[state],
        flight.wallet,
        flight.held_minor,
        amount,
        charged,
        item.seq,
        STAT_OF_STATE[state],
        item.ending.done_at,
        error,
        ids or None,
        flight.link,
    )
    return settlement, state


def _entry_for(message: Message, state: State, entry_id: int) -> outbox.Entry | None:
    """The outbox row for a message's sender: an SMPP partner who asked for a receipt, or the messenger."""
    if message.front == Front.IM:
        return outbox.Entry(entry_id, outbox.connector_target(CONNECTOR), outbox.KIND_STATUS, message.id, int(state))
    if message.front != Front.SMPP or message.partner_id is None:
        return None
    asked = message.registered_delivery & 0x03
    if asked == RECEIPT_ALWAYS or (asked == RECEIPT_ON_FAILURE and state is not State.DELIVERED):
        return outbox.Entry(entry_id, outbox.partner_target(message.partner_id), outbox.KIND_RECEIPT, message.id, int(state))
    return None
