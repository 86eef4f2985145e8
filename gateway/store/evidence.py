"""What proves a charge: the order that asked for it, how it left, and the receipt that said it arrived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from billing.event import Direction
from billing.schema_subscription import subscription_evidence
from gateway.domain.message import SEGMENTS_MAX, STATE_NAMES, State
from gateway.store import receipts
from gateway.store.schema import message, mo, segment


class Part(NamedTuple):
    """One SMS of what was charged."""

    number: int
    state: str
    link: str
    smsc_id: str | None
    submitted_at: int | None
    done_at: int | None
    error: str | None


class Receipt(NamedTuple):
    """A receipt beside the one that ended the message: what it said and what became of it."""

    at: int
    link: str
    stat: str
    outcome: str


class Order(NamedTuple):
    """What the handset sent that asked for it; its words are not shown."""

    mo_id: int
    at: int
    source: str
    destination: str
    link: str


class Evidence(NamedTuple):
    """All of it."""

    front: int | None  # gateway.domain.message.Front
    reference: str | None
    parts: list[Part]
    receipts: list[Receipt]
    order: Order | None


def of_charge(conn: Connection, charge: Mapping[str, Any]) -> Evidence:
    """What is known of the event of one charge; `charge` is its row."""
    event_id = int(charge["event_id"])
    if charge["direction"] == Direction.MO:
        return Evidence(None, None, [], [], _order(conn, event_id))
    sent = conn.execute(select(message.c.front, message.c.reference, message.c.segments).where(message.c.id == event_id)).one_or_none()
    linked = charge["mo_link_id"]
    if charge["subscription"] is not None:
        linked = _order_of_subscription(conn, charge["subscription"])
    order = _order(conn, int(linked)) if linked and linked.isdigit() else None
    if sent is None:
        return Evidence(None, None, [], [], order)
    told = [
        Receipt(each.done_at or each.received_at, each.link, each.stat or str(each.state), each.outcome or "waits")
        for each in receipts.of_message(conn, event_id, sent.segments)
    ]
    return Evidence(sent.front, sent.reference, _parts(conn, event_id), told, order)


def _parts(conn: Connection, message_id: int) -> list[Part]:
    columns = segment.c
    query = select(columns.id, columns.state, columns.link, columns.smsc_id, columns.submitted_at, columns.done_at, columns.error)
    rows = conn.execute(query.where(columns.id.between(message_id + 1, message_id + SEGMENTS_MAX)).order_by(columns.id))
    return [Part(row[0] - message_id, STATE_NAMES[State(row[1])], *row[2:]) for row in rows]


def _order_of_subscription(conn: Connection, subscription: int) -> str | None:
    """The MO that ordered a subscription, None where staff started it."""
    is_order = (subscription_evidence.c.step == "order") & (subscription_evidence.c.channel == "mo")
    query = select(subscription_evidence.c.reference).where(subscription_evidence.c.subscription == subscription, is_order)
    return conn.execute(query).scalar()


def _order(conn: Connection, mo_id: int) -> Order | None:
    columns = (mo.c.id, mo.c.received_at, mo.c.source, mo.c.destination, mo.c.link)
    row = conn.execute(select(*columns).where(mo.c.id == mo_id)).one_or_none()
    return None if row is None else Order(*row)
