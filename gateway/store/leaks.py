"""What slips past the books: charges still held when their day is sealed, and what was delivered after its message had ended."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from billing.event import ChargeState, FeeClass
from billing.schema import charge, transfer
from gateway.domain.ids import message_of
from gateway.domain.message import State
from gateway.domain.verdict import of_message_state
from gateway.store import receipts
from gateway.store.schema import parked_receipt

_PAGE_ROWS = 2_000


class Leak(NamedTuple):
    """Parts of one service over one link that were delivered and not charged."""

    link: str
    service: str
    currency: str
    parts: int
    amount_minor: int


def count_held(conn: Connection, least_id: int, before_id: int, links: tuple[str, ...], *, is_rest: bool = False) -> int:
    """For reading: charges with ids in [least, before) that are still held on these links; or, the rest, on any but these."""
    held = (charge.c.id >= least_id) & (charge.c.id < before_id) & (charge.c.state == int(ChargeState.HELD))
    query = select(func.count()).select_from(charge).where(held)
    is_of_links = func.coalesce(charge.c.link, "").in_(links)
    return int(conn.execute(query.where(~is_of_links if is_rest else is_of_links)).scalar_one())


def late_cause(segment_id: int) -> str:
    """What a charge for a late receipt is caused by: once for each part, however many receipts come."""
    return f"late:{segment_id}"


def late_price(state: int, fee_class: int, unit_price_minor: int, parts: int, *, is_counted: bool = False) -> int:
    """What one part that was delivered late costs; `state` is its charge's.

    By the part each is charged for itself. Charged as a whole, a long message is absorbed: its other parts failed. So is what a rule
    counts: its allowance or cap was given back when the message ended.
    """
    if is_counted:
        return 0
    if fee_class == FeeClass.PER_PART and state in (ChargeState.RELEASED, ChargeState.EXPIRED, ChargeState.CAPTURED):
        return unit_price_minor
    if fee_class != FeeClass.FREE and parts == 1 and state in (ChargeState.RELEASED, ChargeState.EXPIRED):
        return unit_price_minor
    return 0


def report(conn: Connection, window: tuple[int, int] | None) -> list[Leak]:
    """For reading: receipts [from, to) that said delivered for what had ended otherwise, and for which no charge was made."""
    found: dict[tuple[str, str, str], list[int]] = {}
    columns = parked_receipt.c
    after = 0
    while True:
        query = select(columns.id, columns.link, columns.segment_id, columns.state).where(
            columns.outcome.in_((receipts.LATE, receipts.CONTRADICTS)), columns.segment_id.is_not(None), columns.id > after
        )
        if window is not None:
            query = query.where(columns.received_at >= window[0], columns.received_at < window[1])
        page = conn.execute(query.order_by(columns.id).limit(_PAGE_ROWS)).all()
        late = {row.segment_id: row.link for row in page if of_message_state(row.state) is State.DELIVERED}
        for segment_id, (service, currency, price) in _uncharged(conn, list(late)).items():
            sums = found.setdefault((late[segment_id], service, currency), [0, 0])
            sums[0] += 1
            sums[1] += price
        if len(page) < _PAGE_ROWS:
            break
        after = page[-1].id
    return [Leak(*key, *sums) for key, sums in sorted(found.items())]


def _uncharged(conn: Connection, segment_ids: list[int]) -> dict[int, tuple[str, str, int]]:
    found: dict[int, tuple[str, str, int]] = {}
    for start in range(0, len(segment_ids), 500):
        part = segment_ids[start : start + 500]
        causes = {late_cause(each) for each in part}
        charged = set(conn.execute(select(transfer.c.cause).where(transfer.c.cause.in_(causes))).scalars())
        columns = (charge.c.id, charge.c.state, charge.c.service, charge.c.currency, charge.c.fee_class, charge.c.unit_price_minor)
        rows = conn.execute(select(*columns, charge.c.parts, charge.c.trace).where(charge.c.id.in_({message_of(each) for each in part})))
        charges = {row.id: row for row in rows}
        for each in part:
            row = charges.get(message_of(each))
            if row is not None and late_cause(each) not in charged:
                price = late_price(row.state, row.fee_class, row.unit_price_minor, row.parts, is_counted=row.trace is not None)
                if price:
                    found[each] = (row.service, row.currency, price)
    return found
