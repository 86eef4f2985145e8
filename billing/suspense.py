"""Events that no rule prices: parked with the reason, priced again when the tariff is mended, never lost.

Such an event is delivered free of charge and stands in the books as SUSPENDED, in no file. Recycled, it is charged in the day that is
open then, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from billing import audit, counters
from billing.audit import Act
from billing.booking import Booking
from billing.counters import Counter
from billing.errors import SuspenseError
from billing.event import ChargeState, TransferState
from billing.schema import account, charge, transfer
from billing.schema_tariff import suspense

NOT_DELIVERED = "not delivered"
_DETAIL_CHARS_MAX = 160
_NO_COLUMNS = frozenset({"revenue", "counter", "units"})  # of a Price


class SuspenseState(IntEnum):
    """Where a parked event stands."""

    OPEN = 0
    RECYCLED = 1
    DISCARDED = 2


class Parked(NamedTuple):
    """One parked event with what is known of it."""

    event_id: int
    reason: str
    detail: str
    state: SuspenseState
    created_at: int
    charge_state: int
    service: str
    link: str | None
    parts: int


class Price(NamedTuple):
    """What an event costs after all, as `recycle` is told; `revenue` is the account that is paid where a wallet pays."""

    parts_charged: int
    quantity: int
    unit_price_minor: int
    amount_minor: int
    tax_minor: int
    fee_class: int
    currency: str
    tariff_version: str
    tariff_rule: str
    revenue: int
    payer: int
    wallet: int | None
    charged_msisdn: str | None
    provider: str | None = None
    promotion: str | None = None
    allowance: str | None = None
    trace: str | None = None
    counter: Counter | None = None  # of a rule that counts
    units: int = 0


def park(conn: Connection, event_id: int, reason: str, detail: str, *, now_us: int) -> None:
    """Park an event as it is accepted."""
    row = {"event_id": event_id, "reason": reason, "detail": detail[:_DETAIL_CHARS_MAX], "state": int(SuspenseState.OPEN)}
    conn.execute(insert(suspense), {**row, "created_at": now_us})


_PARKED = select(suspense.c.event_id).where(suspense.c.event_id.in_(bindparam("ids", expanding=True)), suspense.c.state == 0)


def settled(conn: Connection, charge_ids: Sequence[int], *, now_us: int) -> None:
    """Of charges just settled, those parked: what was delivered is suspended, what was not needs no price."""
    parked = list(conn.execute(_PARKED, {"ids": list(charge_ids)}).scalars())
    if not parked:
        return
    is_free = charge.c.id.in_(parked) & (charge.c.state == int(ChargeState.ZERO_RATED))
    conn.execute(update(charge).where(is_free).values(state=int(ChargeState.SUSPENDED)))
    is_over = charge.c.state.in_((int(ChargeState.RELEASED), int(ChargeState.EXPIRED)))
    ended = list(conn.execute(select(charge.c.id).where(charge.c.id.in_(parked), is_over)).scalars())
    if ended:
        values = {"state": int(SuspenseState.DISCARDED), "done_at": now_us, "done_by": "gateway", "note": NOT_DELIVERED}
        conn.execute(update(suspense).where(suspense.c.event_id.in_(ended)).values(values))


def listed(conn: Connection, *, after_id: int = 0, rows_max: int = 100, state: SuspenseState | None = SuspenseState.OPEN) -> list[Parked]:
    """Parked events by id; those that wait, unless another state is asked for."""
    columns = (suspense.c.event_id, suspense.c.reason, suspense.c.detail, suspense.c.state, suspense.c.created_at)
    facts = (charge.c.state.label("charge_state"), charge.c.service, charge.c.link, charge.c.parts)
    query = select(*columns, *facts).join(charge, charge.c.id == suspense.c.event_id).where(suspense.c.event_id > after_id)
    if state is not None:
        query = query.where(suspense.c.state == int(state))
    rows = conn.execute(query.order_by(suspense.c.event_id).limit(rows_max))
    return [Parked(row[0], row[1], row[2], SuspenseState(row[3]), *row[4:]) for row in rows]


def fields(each: Parked) -> dict[str, Any]:
    """A parked event as JSON; its id is a string, because readers of JSON keep numbers in doubles."""
    states = {"state": each.state.name.lower(), "charge_state": ChargeState(each.charge_state).name.lower()}
    return {**each._asdict(), **states, "event_id": str(each.event_id)}


def recycle(
    conn: Connection,
    event_id: int,
    price_of: Callable[[Mapping[str, Any]], Price | str],
    *,
    into: Booking,
    journal_seq: int,
    actor: str,
    now_us: int,
) -> str | None:
    """Price a suspended event again and charge it; why it stays, None when it is charged. Raises SuspenseError for one that does not wait.

    `price_of` is told the charge's row and answers its price, or why there is still none.
    """
    is_waiting = (suspense.c.event_id == event_id) & (suspense.c.state == int(SuspenseState.OPEN))
    values = {"state": int(SuspenseState.RECYCLED), "done_at": now_us, "done_by": actor}
    row = conn.execute(select(charge).where(charge.c.id == event_id).with_for_update()).mappings().one_or_none()
    if row is None or conn.execute(select(suspense.c.event_id).where(is_waiting)).one_or_none() is None:
        raise SuspenseError(f"event {event_id} is not suspended")
    if row["state"] != ChargeState.SUSPENDED:
        return "it is still on its way"
    found = price_of(dict(row))
    if isinstance(found, str):
        return found
    if found.amount_minor and found.wallet is not None and not _debit(conn, event_id, found, now_us):
        return "the wallet cannot pay it"
    place = into.place_in(conn, row["carrier"], row["event_at"], now_us)
    state = ChargeState.CAPTURED if found.amount_minor else ChargeState.ZERO_RATED
    facts = {name: getattr(found, name) for name in Price._fields if name not in _NO_COLUMNS}
    booked = {"state": int(state), "booked_at": now_us, "journal_seq": journal_seq, "period": place.period, "late": place.late}
    conn.execute(update(charge).where(charge.c.id == event_id).values({**facts, **booked}))
    if conn.execute(update(suspense).where(is_waiting).values(values)).rowcount != 1:
        raise SuspenseError(f"event {event_id} was decided by somebody else meanwhile")
    if found.counter is not None:
        counters.count(conn, found.counter, found.units, found.amount_minor)
    audit.record(conn, Act(actor, "suspense.recycle", f"charge:{event_id}", {"amount_minor": found.amount_minor}), now_us=now_us)
    return None


def discard(conn: Connection, event_id: int, reason: str, *, actor: str, now_us: int) -> None:
    """Give up on charging an event; it stays suspended in the books. Raises SuspenseError for one that does not wait."""
    is_waiting = (suspense.c.event_id == event_id) & (suspense.c.state == int(SuspenseState.OPEN))
    values = {"state": int(SuspenseState.DISCARDED), "done_at": now_us, "done_by": actor, "note": reason[:_DETAIL_CHARS_MAX]}
    if conn.execute(update(suspense).where(is_waiting).values(values)).rowcount != 1:
        raise SuspenseError(f"event {event_id} is not suspended")
    audit.record(conn, Act(actor, "suspense.discard", f"charge:{event_id}", {"reason": reason}), now_us=now_us)


def _debit(conn: Connection, charge_id: int, price: Price, now_us: int) -> bool:
    """Take the price from the wallet at once, under the charge's own id; False: it is not there."""
    free = account.c.posted_minor - account.c.held_minor + account.c.limit_minor
    may_pay = (account.c.id == price.wallet) & account.c.is_wallet & (account.c.currency == price.currency) & (free >= price.amount_minor)
    debited = {"posted_minor": account.c.posted_minor - price.amount_minor}
    if conn.execute(update(account).where(may_pay).values(debited)).rowcount != 1:
        return False
    row = {
        "id": charge_id,
        "debit_account": price.wallet,
        "credit_account": price.revenue,
        "amount_minor": price.amount_minor,
        "posted_minor": price.amount_minor,
        "currency": price.currency,
        "state": int(TransferState.POSTED),
        "created_at": now_us,
        "settled_at": now_us,
    }
    conn.execute(insert(transfer), row)
    return True
