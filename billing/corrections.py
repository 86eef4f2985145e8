"""Records that correct a charge: refund, adjustment, reversal, re-rating, write-off, goodwill; the charge itself is never changed.

A correction has an id and a cause of its own, bears the facts of the charge it corrects, and stands in the day that is open when it is
made. Its amount is signed: below zero gives back. Where a wallet paid, a transfer moves the same amount in the same transaction; where
the carrier collects, the record alone says what he is to give back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from billing import calendar
from billing.booking import Booking
from billing.errors import LedgerError, ReferenceReusedError, UnknownAccountError, UnknownChargeError
from billing.event import ChargeState, RecordType, TransferState
from billing.schema import account, charge, transfer

CAUSE_CHARS_MAX = 96
_COPIED = (
    *("event_id", "direction", "event_at", "service", "fee_class", "payer", "wallet", "link", "short_code", "charged_msisdn"),
    *("peer_msisdn", "im_account", "parts", "currency", "tariff_version", "tariff_rule", "carrier", "item", "provider", "mo_link_id"),
    *("subscription", "cycle"),
)


class Correction(NamedTuple):
    """What to write; `cause` is unique, as in `refund:REFERENCE`, and says once for all which act this is."""

    id: int
    corrects: int
    record_type: RecordType
    amount_minor: int
    cause: str
    reason: str
    house: int  # the house account at the other end of the transfer: revenue, goodwill, bad debt
    tax_minor: int = 0
    tariff_version: str = ""  # empty: as the charge
    tariff_rule: str = ""


class Posted(NamedTuple):
    """A correction that stands; not new when its cause was used before, with the same content."""

    charge_id: int
    is_new: bool


def post(conn: Connection, correction: Correction, *, into: Booking, now_us: int) -> Posted:
    """Write one correction and move its money.

    Raises UnknownChargeError, ReferenceReusedError for a cause with other content, and LedgerError when a wallet can't pay what is added.
    The bounds (a refund within its capture) are the caller's, who has locked the charge by `locked`.
    """
    assert correction.amount_minor != 0
    assert 0 < len(correction.cause) <= CAUSE_CHARS_MAX
    original = locked(conn, correction.corrects)
    known = conn.execute(select(charge).join(transfer, transfer.c.id == charge.c.id).where(transfer.c.cause == correction.cause)).first()
    if known is not None:
        if (known.corrects, known.record_type, known.amount_minor) != (
            correction.corrects,
            int(correction.record_type),
            correction.amount_minor,
        ):
            raise ReferenceReusedError("the same reference was used for another correction")
        return Posted(int(known.id), False)
    row = _row(conn, correction, original, into, now_us)
    # The money first: a wallet that cannot pay leaves nothing written.
    _move(conn, correction, original, now_us)
    conn.execute(charge.insert(), row)
    return Posted(correction.id, True)


class Repricing(NamedTuple):
    """Another price for a charge: its reversal and its re-rating, of which only the difference moves."""

    reversal_id: int
    rerate_id: int
    corrects: int
    amount_minor: int
    tax_minor: int
    cause: str
    reason: str
    house: int
    tariff_version: str
    tariff_rule: str


def reprice(conn: Connection, wanted: Repricing, *, into: Booking, now_us: int) -> int | None:
    """Take back what a charge costs and charge the other price; the difference, None where there is none or it was done before.

    Raises UnknownChargeError, and LedgerError when a wallet can't pay what it costs more, or when more was given back than it would
    cost; then nothing is written.
    """
    original = locked(conn, wanted.corrects)
    if conn.execute(select(transfer.c.id).where(transfer.c.cause == wanted.cause)).first() is not None:
        return None
    made = of_charge(conn, wanted.corrects)
    before, tax = current_price(original, made), current_price(original, made, "tax_minor")
    delta = wanted.amount_minor - before
    if not delta:
        return None
    if standing(original, made) + delta < 0:
        raise LedgerError(f"more of charge {wanted.corrects} was given back than it would cost")
    common = (wanted.cause, wanted.reason, wanted.house)
    priced = Correction(wanted.rerate_id, wanted.corrects, RecordType.RERATE, wanted.amount_minor, *common, wanted.tax_minor)
    priced = priced._replace(tariff_version=wanted.tariff_version, tariff_rule=wanted.tariff_rule)
    _move(conn, priced._replace(amount_minor=delta), original, now_us)
    if before:
        taken = Correction(wanted.reversal_id, wanted.corrects, RecordType.REVERSAL, -before, *common, -tax)
        conn.execute(charge.insert(), _row(conn, taken, original, into, now_us))
    conn.execute(charge.insert(), _row(conn, priced, original, into, now_us))
    return delta


def current_price(original: Mapping[str, Any], made: Sequence[Mapping[str, Any]], column: str = "amount_minor") -> int:
    """What a charge costs after its re-ratings, or the tax in that; refunds and the like are not of its price."""
    repriced = (RecordType.REVERSAL, RecordType.RERATE)
    return int(original[column]) + sum(int(each[column]) for each in made if each["record_type"] in repriced)


def standing(original: Mapping[str, Any], made: Sequence[Mapping[str, Any]]) -> int:
    """What of a charge stands after all its corrections; goodwill is a gift beside it."""
    kept = sum(int(each["amount_minor"]) for each in made if each["record_type"] != RecordType.GOODWILL)
    return int(original["amount_minor"]) + kept


def locked(conn: Connection, charge_id: int) -> Any:
    """The charge itself, which nobody else corrects before this transaction is over."""
    query = select(charge).where(charge.c.id == charge_id, charge.c.record_type == int(RecordType.CHARGE))
    row = conn.execute(query.with_for_update()).mappings().one_or_none()
    if row is None:
        raise UnknownChargeError(f"there is no charge {charge_id}")
    return row


def of_charge(conn: Connection, charge_id: int) -> list[Any]:
    """Every correction of a charge, oldest first."""
    return of_charges(conn, [charge_id]).get(charge_id, [])


def of_charges(conn: Connection, charge_ids: Sequence[int]) -> dict[int, list[Any]]:
    """The corrections of those charges that have any, oldest first."""
    found: dict[int, list[Any]] = {}
    for row in conn.execute(select(charge).where(charge.c.corrects.in_(charge_ids)).order_by(charge.c.journal_seq)).mappings():
        found.setdefault(row["corrects"], []).append(row)
    return found


def _row(conn: Connection, correction: Correction, original: Any, into: Booking, now_us: int) -> dict[str, Any]:
    if original["carrier"] is None:
        raise LedgerError(f"charge {correction.corrects} is not settled yet")
    place = into.place_in(conn, original["carrier"], now_us, now_us)
    row = {name: original[name] for name in _COPIED}
    row |= {
        "id": correction.id,
        "record_type": int(correction.record_type),
        "state": int(ChargeState.CAPTURED),
        "booked_at": now_us,
        "journal_seq": correction.id,
        "parts_charged": 0,
        "quantity": 1,
        "unit_price_minor": correction.amount_minor,
        "amount_minor": correction.amount_minor,
        "tax_minor": correction.tax_minor,
        "period": place.period,
        "corrects": correction.corrects,
        "reason": correction.reason,
    }
    if correction.tariff_version:
        row |= {"tariff_version": correction.tariff_version, "tariff_rule": correction.tariff_rule}
    assert not calendar.is_month(place.period)
    return row


def _move(conn: Connection, correction: Correction, original: Any, now_us: int) -> None:
    """The transfer of a correction. Where no wallet paid, it runs between the house and what the carrier owes, so that its cause stands."""
    amount = correction.amount_minor
    wallet = original["wallet"]
    other = wallet if wallet is not None else _receivable(conn, original["currency"])
    debit, credit = (correction.house, other) if amount < 0 else (other, correction.house)
    if wallet is not None:
        free = account.c.posted_minor - account.c.held_minor + account.c.limit_minor
        is_wallet = (account.c.id == wallet) & account.c.is_wallet
        guard = is_wallet if amount < 0 else is_wallet & (free >= amount)
        if conn.execute(update(account).where(guard).values(posted_minor=account.c.posted_minor - amount)).rowcount != 1:
            raise LedgerError("the wallet cannot pay this correction")
    row = {
        "id": correction.id,
        "cause": correction.cause,
        "debit_account": debit,
        "credit_account": credit,
        "amount_minor": abs(amount),
        "posted_minor": abs(amount),
        "currency": original["currency"],
        "state": int(TransferState.POSTED),
        "created_at": now_us,
        "settled_at": now_us,
    }
    conn.execute(transfer.insert(), row)


def _receivable(conn: Connection, currency: str) -> int:
    party = f"house:receivable:{currency}"
    found = conn.execute(select(account.c.id).where(account.c.party == party, account.c.currency == currency)).scalar()
    if found is None:
        raise UnknownAccountError(f"no house account is open for what carriers owe in {currency}")
    return int(found)
