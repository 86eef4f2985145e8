"""The auditor's checks of money: charges, wallets, tax, late receipts, and days that are closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from simulators import house
from simulators.books import DELIVERED, Books, Correction, Kept
from simulators.evidence import Evidence
from simulators.sightings import Wire, seen_of, what

CAPTURED, ZERO_RATED = 10, 13
_ADJUST, _GOODWILL = 2, 6
_PRICES = {name: (price, by) for name, price, by, _ in house.SERVICES}
_LATE_REASON = "late"
# Who can always pay what is charged late.
_RICH = ("acme", "quick")


# -- I3: one charge, of what was delivered ------------------------------------------------------------------------------------------


def charges(_evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """Each message has one charge, of exactly what was delivered."""
    for stray in books.strays:
        yield f"charge {stray} has no message"
    if books.pending:
        yield f"{books.pending} holds were never settled"
    for kept in books.messages.values():
        row = kept.charge
        if row is None:
            yield f"{what(kept)} has no charge"
            continue
        price = _price_of(kept)[0]
        due = _due(kept)
        is_captured = row["state"] in (CAPTURED, ZERO_RATED)
        if is_captured and not kept.delivered:
            yield f"{what(kept)} is charged, and nothing of it was delivered"
        if (row["state"] == CAPTURED) != (due > 0) or (is_captured and not price and row["state"] != ZERO_RATED):
            yield f"{what(kept)} has a charge in state {row['state']}, {due} is due"
        if row["amount_minor"] != due:
            yield f"{what(kept)} is charged {row['amount_minor']}, {due} is due"


def _price_of(kept: Kept) -> tuple[int, str]:
    return _PRICES[kept.service] if kept.front != "gateway" else (0, "part")


def _due(kept: Kept) -> int:
    price, by = _price_of(kept)
    if by == "message":
        return price if kept.delivered == len(kept.parts) else 0
    return price * kept.delivered


def wallets(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """A wallet has its first credit and its top-ups, less what is due, less or more what was corrected; and holds nothing."""
    spent: Counter[str] = Counter()
    for kept in books.messages.values():
        sent = evidence.sent.get(kept.token)
        if sent is not None:
            spent[f"im:{sent.owner}" if sent.front == "im" else f"partner:{sent.owner}"] += _due(kept)
    parties = {row["id"]: party for party, row in books.wallets.items()}
    for each in books.corrections:
        if each.row["wallet"] is not None:
            spent[parties[each.row["wallet"]]] += each.row["amount_minor"]
    for cause, row in books.top_ups.items():
        if cause in evidence.wishes:
            spent[row["party"]] -= row["posted_minor"]
    credit = {f"partner:{name}": minor for name, minor in house.PARTNERS.items()}
    credit |= {f"im:{number}": house.ACCOUNT_CREDIT for number in house.ACCOUNTS}
    for party, minor in credit.items():
        row = books.wallets[party]
        if row["posted_minor"] != minor - spent[party]:
            yield f"{party} has {row['posted_minor']}, should have {minor - spent[party]}"
        if row["held_minor"]:
            yield f"{party} still holds {row['held_minor']}"


def taxes(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """A price contains its tax to the nearest minor unit, what is captured of it its share, and what is given back never more."""
    made: dict[int, list[Any]] = {}
    for each in books.corrections:
        made.setdefault(each.row["corrects"], []).append(each.row)
    for kept in books.messages.values():
        row = kept.charge
        if row is None:
            continue
        ppm = _ppm(evidence, kept)
        held = row["unit_price_minor"] * row["quantity"]
        whole = _half_up(Fraction(held * ppm, 1_000_000 + ppm))
        due = _half_up(Fraction(whole * row["amount_minor"], held)) if held else 0
        if row["tax_minor"] != due:
            yield f"{what(kept)} is charged {row['amount_minor']} with {row['tax_minor']} tax, {due} is due"
        yield from _tax_given_back(kept, made.get(kept.id, []))


def _tax_given_back(kept: Kept, made: list[Any]) -> Iterator[str]:
    """The whole tax goes back with the last of the amount, and before that the share of what was given back, never rounded up."""
    within = [row for row in made if row["record_type"] != _GOODWILL]
    came = [kept.charge, *(row for row in within if row["amount_minor"] > 0)]
    amount, tax = (sum(row[name] for row in came) for name in ("amount_minor", "tax_minor"))
    given, back = (-sum(row[name] for row in within if row["amount_minor"] < 0) for name in ("amount_minor", "tax_minor"))
    # What came between two that gave back changed their shares; but whoever gives back all gives back all tax.
    is_known = len(came) == 1 or given == amount
    if not 0 <= back <= tax or any(row["tax_minor"] for row in made if row["record_type"] == _GOODWILL):
        yield f"{back} tax were given back of {what(kept)}, it was charged {tax}"
    elif amount and is_known and back != tax * given // amount:
        yield f"{back} of {tax} tax were given back of {what(kept)}, with {given} of {amount}"


def _ppm(evidence: Evidence, kept: Kept) -> int:
    return house.TAXES_PPM[kept.service] if evidence.has_tax and kept.front != "gateway" else 0


def _half_up(number: Fraction) -> int:
    return floor(number + Fraction(1, 2))


# -- receipts after the end ------------------------------------------------------------------------------------------------------------


def late_charges(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    """A part delivered after the end of its message is charged once, where the carrier's policy says so, and nothing else is."""
    late = {each.cause.partition(":")[2]: each for each in books.corrections if each.cause.startswith("late:")}
    if late and not evidence.charges_late:
        yield f"{len(late)} parts were charged late, and the policy is to absorb"
    parts = {row["id"]: (kept, row) for kept in books.messages.values() for row in kept.parts}
    for number, each in late.items():
        kept, part = parts.get(int(number), (None, None)) if number.isdecimal() else (None, None)
        if kept is None:
            yield f"part {number} was charged late, and is not there"
        else:
            yield from _is_late(evidence, kept, part, each, wire)
    for number in books.late_segments if evidence.charges_late else ():
        kept, _ = parts.get(number, (None, None))
        sent = evidence.sent.get(kept.token) if kept is not None else None
        if kept is not None and sent is not None and sent.owner in _RICH and _late_price(kept) and str(number) not in late:
            yield f"{what(kept)} part {number & 0xFF} was delivered late and never charged"


def _is_late(evidence: Evidence, kept: Kept, part: Any, each: Correction, wire: Wire) -> Iterator[str]:
    name = f"{what(kept)} part {part['id'] & 0xFF}"
    told = [evidence.receipts[seen.smsc_id] for seen in seen_of(kept, part["id"] & 0xFF, wire) if seen.smsc_id in evidence.receipts]
    if part["state"] == DELIVERED:
        yield f"{name} was charged late, and was delivered in time"
    if not any("DELIVRD" in receipt.stats for receipt in told):
        yield f"{name} was charged late, and no receipt of it says that it was delivered"
    if (each.row["amount_minor"], each.row["corrects"]) != (_late_price(kept), kept.id):
        yield f"{name} was charged {each.row['amount_minor']} late, its price is {_late_price(kept)}"
    ppm = _ppm(evidence, kept)
    if each.row["tax_minor"] != _half_up(Fraction(each.row["amount_minor"] * ppm, 1_000_000 + ppm)):
        yield f"{name} was charged {each.row['amount_minor']} late with {each.row['tax_minor']} tax"
    if (each.row["record_type"], each.row["reason"]) != (_ADJUST, _LATE_REASON):
        yield f"{name} was charged late as something else"


def _late_price(kept: Kept) -> int:
    """By the part, each is charged for itself; as a whole, only what has one part can still become whole."""
    price, by = _price_of(kept)
    return price if by == "part" or len(kept.parts) == 1 else 0


# -- days -------------------------------------------------------------------------------------------------------------------------------


def places(_evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """A charge stands in the day of its event, a correction in that of its booking; or, where that was closed before, in a later one."""
    sealed = [row for row in books.periods if row["sealed_at"] is not None]
    for row in books.booked:
        own = _day(row["booked_at"] if row["record_type"] else row["event_at"])
        closed = [each for each in sealed if each["carrier"] == row["carrier"] and each["first_day"] <= own < each["after_day"]]
        name = f"record {row['id']} of {own}"
        if row["record_type"] == 0 and bool(row["late"]) != (row["period"] != own):
            yield f"{name} stands in {row['period']}, and is {'' if row['late'] else 'not '}marked late"
        if row["period"] != own and (row["period"] < own or not closed):
            yield f"{name} stands in {row['period']}, and its day was never closed"
        if row["period"] == own and closed and row["booked_at"] > min(each["sealed_at"] for each in closed):
            yield f"{name} was booked into its day after that was closed"


def closed_days(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """A closed period holds what the close answered, to the record and the minor unit."""
    for closed in evidence.closings:
        if not closed.is_closed:
            continue
        day, after = _days(closed.period)
        found: dict[tuple[str, int, int, str], tuple[int, int, int]] = {}
        for row in books.booked:
            if day <= row["period"] < after:
                key = (row["currency"], row["record_type"], row["state"], row["service"])
                records, amount, tax = found.get(key, (0, 0, 0))
                found[key] = (records + 1, amount + row["amount_minor"], tax + row["tax_minor"])
        if found != closed.totals:
            changed = sorted({key for key in {*found, *closed.totals} if found.get(key) != closed.totals.get(key)})
            yield f"period {closed.period} was closed with other contents than it has now: {changed[0]}"
        elif sum(records for records, _, _ in found.values()) != closed.records:
            yield f"period {closed.period} was closed with {closed.records} records"


def balance(_evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """What wallets have and what the house has come to nothing, in each currency."""
    for currency, minor in books.sums.items():
        if minor:
            yield f"wallets and house differ by {minor} {currency}"


def _day(at_us: int) -> int:
    """The day on the carrier's clock, which shows UTC, as YYYYMMDD."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    return at.year * 10_000 + at.month * 100 + at.day


def _days(period: int) -> tuple[int, int]:
    """The days [first, after) of a period; as numbers, not as dates: a day's successor needs not to exist."""
    return (period, period + 1) if period % 100 else (period + 1, period + 100)
