"""What people give back on a charge, or add to it: refund, adjustment, goodwill, write-off.

A refund, a write-off and a lowering adjustment give back what was captured, and together never more than that. What a double refund
gives beyond the capture is goodwill: our own expense, and no smaller revenue. Each act has a reference and is done once under it;
above a limit it becomes a request to a second person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from billing import approvals, audit, book, corrections, money, names, reasons
from billing.approvals import DEFAULT_LIMITS, Deed, Limits
from billing.audit import ACTOR_CHARS_MAX, Act
from billing.booking import Booking
from billing.corrections import Correction
from billing.errors import CorrectionRefusedError, ReferenceReusedError, UnknownChargeError
from billing.event import ChargeState, RecordType
from billing.schema import charge, transfer

REFERENCE_CHARS_MAX = 64
MULTIPLIER_MAX = 10
AMOUNT_MINOR_MAX = 10**15

# Records that change what of a charge stands; goodwill is a gift beside it.
_WITHIN_CAPTURE = tuple(int(kind) for kind in RecordType if kind not in (RecordType.CHARGE, RecordType.GOODWILL))
_KINDS = {
    "refund": (RecordType.REFUND, "revenue"),
    "adjust": (RecordType.ADJUST, "revenue"),
    "goodwill": (RecordType.GOODWILL, "goodwill"),
    "writeoff": (RecordType.WRITEOFF, "bad_debt"),
}
_EXTRA = "refund-extra"  # the goodwill of a refund that gives back more than once


class Refund(NamedTuple):
    """What to give back of a charge; without an amount, all that remains. A multiplier of 2 gives as much again, as goodwill."""

    charge_id: int
    amount_minor: int | None
    reason: str
    reference: str
    actor: str
    multiplier: int = 1


class Refunded(NamedTuple):
    """A refund as it stands. With `approval_id` and no corrections it waits for a second person, and nothing was given back."""

    charge_id: int
    correction_ids: tuple[int, ...]
    refunded_minor: int
    goodwill_minor: int
    remaining_minor: int
    is_new: bool
    approval_id: int | None


class Asked(NamedTuple):
    """An adjustment (signed: below zero gives back), a goodwill credit or a write-off; the latter without amount is of all that remains."""

    charge_id: int
    amount_minor: int | None
    reason: str
    reference: str
    actor: str


class Corrected(NamedTuple):
    """A correction as it is booked, signed: below zero gave back. With `approval_id` and no correction it waits for a second person."""

    charge_id: int
    correction_id: int | None
    amount_minor: int
    currency: str
    remaining_minor: int
    is_new: bool
    approval_id: int | None


class _Leg(NamedTuple):
    """One record to write."""

    record_type: RecordType
    house: str
    cause: str
    amount_minor: int


class _Wish(NamedTuple):
    """Any of the acts."""

    kind: str
    charge_id: int
    amount_minor: int | None
    reason: str
    reference: str
    actor: str
    multiplier: int = 1

    @property
    def cause(self) -> str:
        return f"{self.kind}:{self.reference}"


class _Done(NamedTuple):
    """The records of an act, or the request it became."""

    ids: tuple[int, ...]
    amounts: tuple[int, ...]
    currency: str
    remaining_minor: int
    is_new: bool
    approval_id: int | None


def refund(
    conn: Connection, asked: Refund, *, into: Booking, new_id: Callable[[], int], now_us: int, limits: Limits = DEFAULT_LIMITS
) -> Refunded:
    """Give back a charge, or a part of it, once per reference.

    Raises CorrectionRefusedError, which names the field, for more than remains; ReferenceReusedError for a reference with other content.
    """
    done = _act(conn, _Wish("refund", *asked), into=into, new_id=new_id, now_us=now_us, limits=limits)
    given = (*(-amount for amount in done.amounts), 0, 0)
    return Refunded(asked.charge_id, done.ids, given[0], given[1], done.remaining_minor, done.is_new, done.approval_id)


def adjust(
    conn: Connection, asked: Asked, *, into: Booking, new_id: Callable[[], int], now_us: int, limits: Limits = DEFAULT_LIMITS
) -> Corrected:
    """Add to a charge, or take from it, once per reference; what is added must be in the wallet."""
    return _corrected(conn, _Wish("adjust", *asked), into, new_id, now_us, limits)


def goodwill(
    conn: Connection, asked: Asked, *, into: Booking, new_id: Callable[[], int], now_us: int, limits: Limits = DEFAULT_LIMITS
) -> Corrected:
    """Give something for a charge out of our own pocket, once per reference; what was captured is no bound."""
    return _corrected(conn, _Wish("goodwill", *asked), into, new_id, now_us, limits)


def write_off(
    conn: Connection, asked: Asked, *, into: Booking, new_id: Callable[[], int], now_us: int, limits: Limits = DEFAULT_LIMITS
) -> Corrected:
    """Give a charge up as bad debt, once per reference: the payer owes it no more, and our revenue stands."""
    return _corrected(conn, _Wish("writeoff", *asked), into, new_id, now_us, limits)


def remaining(conn: Connection, charge_id: int) -> int:
    """What could still be given back of a charge, in minor units; raises UnknownChargeError."""
    return _remaining(corrections.locked(conn, charge_id), corrections.of_charge(conn, charge_id))


def _corrected(conn: Connection, wish: _Wish, into: Booking, new_id: Callable[[], int], now_us: int, limits: Limits) -> Corrected:
    done = _act(conn, wish, into=into, new_id=new_id, now_us=now_us, limits=limits)
    id_, amount = (done.ids[0], done.amounts[0]) if done.ids else (None, 0)
    return Corrected(wish.charge_id, id_, amount, done.currency, done.remaining_minor, done.is_new, done.approval_id)


def _act(conn: Connection, wish: _Wish, *, into: Booking, new_id: Callable[[], int], now_us: int, limits: Limits) -> _Done:
    _refuse_malformed(wish)
    original = corrections.locked(conn, wish.charge_id)
    known = _known(conn, wish, original)
    if known is not None:
        return known
    before = approvals.of_cause(conn, wish.cause)
    if wish.amount_minor is None and before is not None:
        # What remained when it was asked for; by now it may be another amount.
        wish = wish._replace(amount_minor=abs(before.amount_minor) // wish.multiplier)
    made = corrections.of_charge(conn, wish.charge_id)
    legs = _legs(wish, original, made)
    currency = original["currency"]
    total = sum(leg.amount_minor for leg in legs)
    # All that people did to one charge counts together: a sum cannot be split to stay below the limit.
    moved = sum(abs(each["amount_minor"]) for each in made if each["record_type"] not in (RecordType.REVERSAL, RecordType.RERATE))
    if before is not None or limits.asks(abs(total) + moved, currency):
        payload = wish._replace(amount_minor=abs(legs[0].amount_minor) if wish.kind != "adjust" else legs[0].amount_minor)._asdict()
        request = approvals.Request(wish.kind, wish.cause, f"charge:{wish.charge_id}", payload, total, currency, wish.actor)
        asked, is_new = approvals.ask(conn, request, limits=limits, new_id=new_id, now_us=now_us)
        return _Done((), (), currency, _remaining(original, made), is_new, asked.id)
    return _book(conn, wish, legs, original, into=into, new_id=new_id, now_us=now_us)


def _execute(conn: Connection, deed: Deed) -> Mapping[str, Any]:
    """Do what two people stand for."""
    wish = _Wish(**deed.payload)
    original = corrections.locked(conn, wish.charge_id)
    legs = _legs(wish, original, corrections.of_charge(conn, wish.charge_id))
    done = _book(conn, wish, legs, original, into=deed.into, new_id=deed.new_id, now_us=deed.now_us, approved_by=deed.approved_by)
    return {"charge_id": wish.charge_id, "correction_ids": list(done.ids), "remaining_minor": done.remaining_minor}


for _kind in _KINDS:
    approvals.executes(_kind)(_execute)


def _book(
    conn: Connection,
    wish: _Wish,
    legs: tuple[_Leg, ...],
    original: Any,
    *,
    into: Booking,
    new_id: Callable[[], int],
    now_us: int,
    approved_by: str = "",
) -> _Done:
    house = book.ensure_house(conn, original["currency"], new_id=new_id, now_us=now_us)._asdict()
    ids = []
    for leg in legs:
        tax = _tax(original, corrections.of_charge(conn, wish.charge_id), leg)
        id_, account = new_id(), house[leg.house]
        correction = Correction(id_, wish.charge_id, leg.record_type, leg.amount_minor, leg.cause, wish.reason, account, tax)
        ids.append(corrections.post(conn, correction, into=into, now_us=now_us).charge_id)
    amounts = tuple(leg.amount_minor for leg in legs)
    detail: dict[str, object] = {"amount_minor": sum(amounts), "currency": original["currency"], "reason": wish.reason, "records": ids}
    if approved_by:
        detail["approved_by"] = approved_by
    audit.record(conn, Act(wish.actor, wish.kind, f"charge:{wish.charge_id}", detail), now_us=now_us)
    left = _remaining(original, corrections.of_charge(conn, wish.charge_id))
    return _Done(tuple(ids), amounts, original["currency"], left, True, None)


def _legs(wish: _Wish, original: Any, made: list[Any]) -> tuple[_Leg, ...]:
    """The records an act writes; raises CorrectionRefusedError where the charge does not allow it."""
    _refuse_unsettled(original)
    left, currency = _remaining(original, made), original["currency"]
    if wish.amount_minor is None and left <= 0:
        raise CorrectionRefusedError("charge", f"nothing remains of charge {wish.charge_id} to give back", left)
    record_type, house = _KINDS[wish.kind]
    if wish.kind == "adjust":
        assert wish.amount_minor is not None
        signed = wish.amount_minor
    else:
        signed = -(left if wish.amount_minor is None else wish.amount_minor)
    if record_type is not RecordType.GOODWILL and -signed > left:
        asked, may = money.Money(-signed, currency), money.Money(left, currency)
        raise CorrectionRefusedError("amount", f"{asked} is more than the {may} that remain of charge {wish.charge_id}", left)
    own = _Leg(record_type, house, wish.cause, signed)
    if wish.multiplier == 1:
        return (own,)
    return own, _Leg(RecordType.GOODWILL, "goodwill", f"{_EXTRA}:{wish.reference}", signed * (wish.multiplier - 1))


def _remaining(original: Any, made: list[Any]) -> int:
    if original["state"] != ChargeState.CAPTURED:
        captured = 0
    else:
        captured = original["amount_minor"]
    return int(captured + sum(each["amount_minor"] for each in made if each["record_type"] in _WITHIN_CAPTURE))


def _tax(original: Any, made: list[Any], leg: _Leg) -> int:
    """The tax in what is given back: its share of the whole so far, so that a charge given back in parts gives back all of it."""
    if leg.record_type is RecordType.GOODWILL or leg.amount_minor > 0:
        return 0
    within = [each for each in made if each["record_type"] in _WITHIN_CAPTURE]
    # What the charge came to, with what was charged late, added, or priced anew; the others gave back of that.
    came = [original] + [each for each in within if _is_of_the_price(each)]
    charged, tax = (sum(each[name] for each in came) for name in ("amount_minor", "tax_minor"))
    if not tax:
        return 0
    given = min(max(charged - _remaining(original, made) - leg.amount_minor, 0), charged)
    back = -sum(each["tax_minor"] for each in within if not _is_of_the_price(each))
    return -int(max(tax * given // charged - back, 0))


def _is_of_the_price(made: Any) -> bool:
    return bool(made["amount_minor"] > 0 or made["record_type"] == RecordType.REVERSAL)


def _known(conn: Connection, wish: _Wish, original: Any) -> _Done | None:
    """The records an act made before under this reference; raises ReferenceReusedError where it was another act."""
    columns = (charge.c.id, charge.c.corrects, charge.c.amount_minor, charge.c.reason, charge.c.record_type)
    query = select(*columns).join(transfer, transfer.c.id == charge.c.id)
    own = conn.execute(query.where(transfer.c.cause == wish.cause)).one_or_none()
    if own is None:
        return None
    extra = conn.execute(query.where(transfer.c.cause == f"{_EXTRA}:{wish.reference}")).one_or_none() if wish.kind == "refund" else None
    signed = wish.amount_minor if wish.kind == "adjust" or wish.amount_minor is None else -wish.amount_minor
    is_same = (own.corrects, own.reason) == (wish.charge_id, wish.reason) and signed in (None, own.amount_minor)
    if not is_same or (extra.amount_minor if extra else 0) != own.amount_minor * (wish.multiplier - 1):
        raise ReferenceReusedError(f"reference: {wish.reference!r} was used before for another {wish.kind}")
    rows = (own,) if extra is None else (own, extra)
    left = _remaining(original, corrections.of_charge(conn, wish.charge_id))
    ids, amounts = tuple(int(row.id) for row in rows), tuple(int(row.amount_minor) for row in rows)
    before = approvals.of_cause(conn, wish.cause)
    return _Done(ids, amounts, original["currency"], left, False, None if before is None else before.id)


def _refuse_malformed(wish: _Wish) -> None:
    names.checked(wish.reference, "reference", REFERENCE_CHARS_MAX)
    names.checked(wish.actor, "actor", ACTOR_CHARS_MAX)
    reasons.checked(wish.reason)
    amount = wish.amount_minor
    if amount is None:
        if wish.kind in ("adjust", "goodwill"):
            raise CorrectionRefusedError("amount", "is missing")
    elif wish.kind == "adjust" and amount == 0:
        raise CorrectionRefusedError("amount", "must not be zero")
    elif wish.kind != "adjust" and amount <= 0:
        raise CorrectionRefusedError("amount", "must be above zero")
    elif abs(amount) > AMOUNT_MINOR_MAX:
        raise CorrectionRefusedError("amount", f"must be at most {AMOUNT_MINOR_MAX} minor units")
    if not 1 <= wish.multiplier <= MULTIPLIER_MAX:
        raise CorrectionRefusedError("multiplier", f"must be 1 to {MULTIPLIER_MAX}")


def _refuse_unsettled(original: Any) -> None:
    if original["state"] == ChargeState.HELD:
        raise CorrectionRefusedError("charge", f"charge {original['id']} is still held; it can be corrected once it is settled")
    if original["state"] == ChargeState.SUSPENDED:
        raise CorrectionRefusedError("charge", f"charge {original['id']} has no price yet; it is in suspense")


def currency_of(conn: Connection, charge_id: int) -> str:
    """The currency a charge is in, in which amounts about it are meant; raises UnknownChargeError."""
    currency = conn.execute(select(charge.c.currency).where(charge.c.id == charge_id)).scalar()
    if currency is None:
        raise UnknownChargeError(f"there is no charge {charge_id}")
    return str(currency)
