"""Accepting what a tariff priced: the counters are asked, the price is held, and what the rule adds is written beside the charge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from billing import book, counters, suspense
from gateway.services.rating import NO_FACTS, Rating

if TYPE_CHECKING:
    from gateway.services.submit import Draft


def hold(conn: Connection, rating: Rating, draft: Draft, revenue: int, revenues: Mapping[str, int]) -> bool:
    """Hold one draft's price; False: its wallet can't pay, and nothing was written."""
    pricing = draft.pricing
    if pricing is None:
        event = draft.event
        return book.hold_many(conn, [event], revenue=revenue, revenues=revenues, now_us=event.event_at)[0]
    # Who pays was perhaps not known when it was drafted: a chat's wallet is found in the transaction.
    rated = pricing.asked._replace(event=draft.event)
    counter = None
    if rated.rule is not None:
        rated, counter = rating.counted(conn, rated)
    event = rated.event
    if not book.hold_many(conn, [event], revenue=revenue, revenues=revenues, now_us=event.event_at)[0]:
        return False
    if counter is not None:
        counters.take(conn, counter, event.id, event.quantity, event.amount_minor)
    if rated.facts is not NO_FACTS:
        book.add_facts(conn, [rated.facts.row(event.id)])
    if rated.reason:
        reason, _, detail = rated.reason.partition(": ")
        suspense.park(conn, event.id, reason, detail, now_us=event.event_at)
    pricing.rated = rated
    return True
