"""From what was charged to what is paid, as lines that a person can follow: each has a sign, a reason and a running total.

The order is that of the carriers' own summaries: gross, corrections, what is validated by them, then bad debt, the carrier's share, the
fee for unbalanced traffic, fixed charges, floor and cap, tax, and what one side has in hand already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from billing import shares


class Reason(StrEnum):
    """What a line is; totals stand among them and add nothing."""

    GROSS = "gross"
    REFUND = "refunds"
    ADJUST = "adjustments"
    REVERSAL = "reversals"
    RERATE = "re-rated"
    WRITEOFF = "written off"
    UNKNOWN = "differences without a charge"
    VALIDATED = "validated"
    BAD_DEBT = "bad debt"
    CARRIER_SHARE = "carrier share"
    HOUSE_SHARE = "our share"
    IMBALANCE = "unbalanced traffic"
    ABSOLUTE = "fixed amount"
    FLOOR = "floor"
    CAP = "cap"
    TAX = "tax"
    DUE = "due"
    COLLECTED = "collected by us"
    SETTLED = "amount settled"


# What corrects the gross amount, in the order of the statement.
CORRECTIONS = (Reason.REFUND, Reason.ADJUST, Reason.REVERSAL, Reason.RERATE, Reason.WRITEOFF, Reason.UNKNOWN)
TOTALS = frozenset({Reason.VALIDATED, Reason.DUE, Reason.SETTLED})


class Line(NamedTuple):
    """One line: what it adds or takes (of a total: what stands there), of how many records, and why."""

    reason: Reason
    amount_minor: int
    records: int = 0
    note: str = ""

    @property
    def is_total(self) -> bool:
        """Whether it sums up the lines above it."""
        return self.reason in TOTALS


class Terms(NamedTuple):
    """What is agreed with a party: `share_num` of `share_den` parts are the party's."""

    share_num: int = 0
    share_den: int = 1
    imbalance_minor: int = 0  # for each MT more than MO
    bad_debt_ppm: int = 0
    floor_minor: int | None = None
    cap_minor: int | None = None
    absolute_minor: int = 0  # added to what the party pays us, or to what we pay it; below zero: taken
    tax_ppm: int = 0  # withheld from what is due


class Records(NamedTuple):
    """What a party's records of one period and currency add up to."""

    amounts: Mapping[Reason, int] = {}  # of GROSS and CORRECTIONS, signed
    counts: Mapping[Reason, int] = {}
    mt: int = 0
    mo: int = 0
    collected_minor: int = 0  # of the validated amount, what wallets of ours have paid

    @property
    def validated_minor(self) -> int:
        """Gross with its corrections."""
        return sum(self.amounts.values())


class Deductions(NamedTuple):
    """What comes off the validated amount before anybody of ours gets a part."""

    bad_debt_minor: int
    carrier_share_minor: int


def deductions(records: Records, terms: Terms) -> Deductions:
    """Bad debt of what is validated, and the carrier's share of the rest."""
    bad_debt = shares.per_million(records.validated_minor, terms.bad_debt_ppm)
    return Deductions(bad_debt, shares.fraction(records.validated_minor - bad_debt, terms.share_num, terms.share_den))


def of_carrier(records: Records, terms: Terms) -> list[Line]:
    """What a carrier pays us; below zero: what we pay it."""
    taken = deductions(records, terms)
    excess = max(0, records.mt - records.mo)
    lines = _validated(records)
    lines += _kept(
        Line(Reason.BAD_DEBT, -taken.bad_debt_minor, note=f"{_percent(terms.bad_debt_ppm)} of the validated amount"),
        Line(Reason.CARRIER_SHARE, -taken.carrier_share_minor, note=f"{terms.share_num}/{terms.share_den}"),
        Line(Reason.IMBALANCE, -excess * terms.imbalance_minor, excess, f"{records.mt:,} MT, {records.mo:,} MO"),
    )
    return _closed(lines, terms, records.collected_minor)


def of_provider(records: Records, terms: Terms, taken: Deductions) -> list[Line]:
    """What we pay a content provider: its part of what the carrier leaves, less ours; `taken` is its part of the carrier's deductions."""
    left = records.validated_minor - taken.bad_debt_minor - taken.carrier_share_minor
    ours = left - shares.fraction(left, terms.share_num, terms.share_den)
    lines = _validated(records)
    lines += _kept(
        Line(Reason.BAD_DEBT, -taken.bad_debt_minor, note="its part of the carrier's deduction"),
        Line(Reason.CARRIER_SHARE, -taken.carrier_share_minor, note="its part of the carrier's share"),
        Line(Reason.HOUSE_SHARE, -ours, note=f"{terms.share_den - terms.share_num}/{terms.share_den}"),
    )
    return _closed(lines, terms, 0)


def divided(taken: Deductions, validated: Sequence[int]) -> list[Deductions]:
    """The carrier's deductions divided among parties by what each has validated; the parts add up."""
    return [
        Deductions(bad_debt, share)
        for bad_debt, share in zip(
            shares.split(taken.bad_debt_minor, validated), shares.split(taken.carrier_share_minor, validated), strict=True
        )
    ]


def adds_up(lines: Sequence[Line]) -> bool:
    """Whether every total is the sum of the lines above it that are none."""
    running = 0
    for line in lines:
        if line.is_total and line.amount_minor != running:
            return False
        if not line.is_total:
            running += line.amount_minor
    return bool(lines) and lines[-1].reason is Reason.SETTLED


def _validated(records: Records) -> list[Line]:
    lines = [Line(Reason.GROSS, records.amounts.get(Reason.GROSS, 0), records.counts.get(Reason.GROSS, 0))]
    for reason in CORRECTIONS:
        count = records.counts.get(reason, 0)
        if count:
            lines.append(Line(reason, records.amounts.get(reason, 0), count))
    return [*lines, Line(Reason.VALIDATED, records.validated_minor)]


def _closed(lines: list[Line], terms: Terms, collected: int) -> list[Line]:
    """Fixed amount, bounds, tax and what is in hand, down to the amount settled."""
    lines += _kept(Line(Reason.ABSOLUTE, terms.absolute_minor))
    running = _sum(lines)
    if terms.floor_minor is not None and running < terms.floor_minor:
        lines.append(Line(Reason.FLOOR, terms.floor_minor - running))
    elif terms.cap_minor is not None and running > terms.cap_minor:
        lines.append(Line(Reason.CAP, terms.cap_minor - running))
    due = _sum(lines)
    lines.append(Line(Reason.DUE, due))
    lines += _kept(
        Line(Reason.TAX, -shares.per_million(due, terms.tax_ppm) if due > 0 else 0, note=f"{_percent(terms.tax_ppm)} of what is due"),
        Line(Reason.COLLECTED, -collected, note="paid from wallets that we keep"),
    )
    return [*lines, Line(Reason.SETTLED, _sum(lines))]


def _sum(lines: Sequence[Line]) -> int:
    return sum(line.amount_minor for line in lines if not line.is_total)


def _kept(*lines: Line) -> list[Line]:
    """Those that say something."""
    return [line for line in lines if line.amount_minor or line.records]


def _percent(ppm: int) -> str:
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"
