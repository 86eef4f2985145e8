"""Accepting what a tariff priced: the counters are asked, the price is held, and what the rule adds is written beside the charge.

What no counter has a part in goes in one statement for all; a message with counters goes alone, for it changes what the next one costs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from billing import book, counters, suspense
from billing.booking import Booking
from billing.event import BillableEvent, ChargeState, Record, Settlement
from gateway.services.rating import NO_FACTS, Rated, Rating

if TYPE_CHECKING:
    from gateway.services.submit import Draft


def hold_all(conn: Connection, rating: Rating, drafts: Sequence[Draft], revenue: int, revenues: Mapping[str, int]) -> list[bool]:
    """Hold the price of each, first come first served; False: its wallet can't pay, and nothing was written."""
    fits: list[bool] = []
    for is_counted, run in itertools.groupby(drafts, key=_is_counted):
        if is_counted:
            fits += [_hold_counted(conn, rating, draft, revenue, revenues) for draft in run]
        else:
            fits += _hold_plain(conn, list(run), revenue, revenues)
    return fits


def _is_counted(draft: Draft) -> bool:
    return draft.pricing is not None and draft.pricing.asked.rule is not None


def _hold_plain(conn: Connection, drafts: Sequence[Draft], revenue: int, revenues: Mapping[str, int]) -> list[bool]:
    events = [draft.event for draft in drafts]
    fits = book.hold_many(conn, events, revenue=revenue, revenues=revenues, now_us=events[0].event_at)
    said = []
    for draft, is_held in zip(drafts, fits, strict=True):
        if is_held and draft.pricing is not None:
            # Who pays was perhaps not known when it was drafted: a chat's wallet is found in the transaction.
            draft.pricing.rated = draft.pricing.asked._replace(event=draft.event)
            said.append(draft.pricing.rated)
    _say(conn, said)
    return fits


def _hold_counted(conn: Connection, rating: Rating, draft: Draft, revenue: int, revenues: Mapping[str, int]) -> bool:
    assert draft.pricing is not None
    rated = take(conn, rating, draft.pricing.asked._replace(event=draft.event), revenue, revenues)
    if rated is None:
        return False
    draft.pricing.rated = rated
    return True


def take(conn: Connection, rating: Rating, asked: Rated, revenue: int, revenues: Mapping[str, int]) -> Rated | None:
    """Hold the price of one event, counted where its rule counts; None: its wallet can't pay, and nothing was written."""
    rated, counter, units = rating.counted(conn, asked) if asked.rule is not None else (asked, None, ())
    event = rated.event
    if not book.hold_many(conn, [event], revenue=revenue, revenues=revenues, now_us=event.event_at)[0]:
        return None
    if counter is not None:
        counters.take(conn, counter, event.id, units)
    _say(conn, [rated])
    return rated


def _say(conn: Connection, said: Iterable[Rated]) -> None:
    """Write what rules add to charges, and park those that have no price."""
    facts = []
    for rated in said:
        if rated.facts != NO_FACTS:
            facts.append(rated.facts.row(rated.event.id))
        if rated.reason:
            reason, _, detail = rated.reason.partition(": ")
            suspense.park(conn, rated.event.id, reason, detail, now_us=rated.event.event_at)
    book.add_facts(conn, facts)


def record_mo(
    conn: Connection,
    rating: Rating,
    event: BillableEvent,
    settled: Settlement,
    revenue: int,
    revenues: Mapping[str, int],
    books: Booking,
) -> None:
    """Write the charge of an MO: what it costs by a rule of its direction, else nothing. It is here already, so it is final at once.

    One whose sponsor cannot pay is suspended.
    """
    asked = rating.rated_mo(event) if rating.is_used else None
    if asked is None:
        book.record_many(conn, [Record(event, settled)], now_us=event.event_at, into=books)
        return
    rated = take(conn, rating, asked, revenue, revenues)
    if rated is None:
        unpaid = Rated(event, reason=f"no_credit: who pays by rule {asked.event.tariff_rule} cannot")
        rated = take(conn, rating, unpaid, revenue, revenues) or unpaid
    paid = rated.event
    final = settled._replace(
        state=ChargeState.CAPTURED,
        wallet=paid.wallet,
        held_minor=paid.amount_minor,
        amount_minor=paid.amount_minor,
        parts_charged=event.parts,
    )
    book.settle_many(conn, [final], now_us=event.event_at, into=books)
    counters.settle(conn, [(event.id, None, paid.amount_minor)])
    if rated.reason:
        suspense.settled(conn, [event.id], now_us=event.event_at)
