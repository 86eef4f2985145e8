"""A settlement's statement as people read it: one HTML page that prints well, or a CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from billing import calendar, cdr
from billing.money import format_minor
from billing.settlements import State, Statement
from billing.waterfall import Line, Reason

# What a spreadsheet would run instead of showing.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TEXTS: Mapping[Reason, str] = {
    Reason.GROSS: "Charged in the period",
    Reason.REFUND: "Refunds",
    Reason.ADJUST: "Adjustments",
    Reason.REVERSAL: "Reversed charges",
    Reason.RERATE: "Charges at corrected prices",
    Reason.WRITEOFF: "Written off",
    Reason.UNKNOWN: "Differences without a charge of ours",
    Reason.VALIDATED: "Validated",
    Reason.BAD_DEBT: "Bad debt",
    Reason.CARRIER_SHARE: "Carrier's share",
    Reason.HOUSE_SHARE: "Our share",
    Reason.IMBALANCE: "Unbalanced traffic",
    Reason.ABSOLUTE: "Fixed amount",
    Reason.FLOOR: "Up to the agreed minimum",
    Reason.CAP: "Down to the agreed maximum",
    Reason.TAX: "Tax withheld",
    Reason.DUE: "Due",
    Reason.COLLECTED: "Collected by us already",
    Reason.SETTLED: "Amount settled",
}
_COUNTED = {Reason.IMBALANCE: "parts"}


class _Row(NamedTuple):
    text: str
    note: str
    records: str
    amount: str
    is_total: bool
    is_last: bool
    is_negative: bool


def fields(each: Statement) -> dict[str, Any]:
    """Every fact, line by line; ids are strings, because readers of JSON keep numbers in doubles."""
    lines = [
        {
            "reason": line.reason.value,
            "amount_minor": line.amount_minor,
            "records": line.records,
            "note": line.note,
            "is_total": line.is_total,
        }
        for line in each.lines
    ]
    facts = {**each._asdict(), "id": str(each.id), "period": calendar.write(each.period), "state": each.state.name.lower(), "lines": lines}
    return {"statement": each.reference, **facts}


def render_html(statement: Statement, *, house: str) -> str:
    """The page; `house` is who sends it."""
    return _template().render(
        house=house,
        party=statement.party.rpartition("/")[2] if "/" in statement.party else statement.carrier,
        statement=statement,
        period=calendar.write(statement.period),
        currency=statement.currency,
        rows=[_row(line, statement.currency) for line in statement.lines],
        is_draft=statement.state is State.DRAFT,
        state=statement.state.name.lower(),
        direction=_direction(statement),
        amount=_grouped(format_minor(abs(statement.settled_minor), statement.currency)),
        created=_day(statement.created_at),
        approved=_day(statement.approved_at),
        locked=_day(statement.locked_at),
    )


def render_csv(statement: Statement) -> str:
    """A line for each line, with amounts both as people write them and in minor units."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(("statement", "period", "state", "line", "item", "is_total", "records", "note", "amount", "currency", "amount_minor"))
    facts = (statement.reference, calendar.write(statement.period), statement.state.name)
    for number, line in enumerate(statement.lines, 1):
        row = _row(line, statement.currency)
        words = (number, row.text, int(line.is_total), line.records or "", row.note)
        amounts = (format_minor(line.amount_minor, statement.currency), statement.currency, line.amount_minor)
        writer.writerow((*(_safe(fact) for fact in facts), *(_safe(word) for word in words), *amounts))
    return written.getvalue()


def _row(line: Line, currency: str) -> _Row:
    records = f"{line.records:,}" + (f" {_COUNTED[line.reason]}" if line.reason in _COUNTED else "") if line.records else ""
    sign = "" if line.is_total or line.amount_minor <= 0 or line.reason is Reason.GROSS else "+"
    amount = sign + format_minor(line.amount_minor, currency).replace("-", "\N{MINUS SIGN}")
    text, is_last = _TEXTS[line.reason], line.reason is Reason.SETTLED
    return _Row(text, line.note, records, _grouped(amount), line.is_total, is_last, line.amount_minor < 0)


def _grouped(amount: str) -> str:
    """Thousands apart, for reading only."""
    whole, point, fraction = amount.partition(".")
    sign, digits = (whole[0], whole[1:]) if not whole[0].isdigit() else ("", whole)
    return f"{sign}{int(digits):,}{point}{fraction}"


def _direction(statement: Statement) -> str:
    other = "carrier" if statement.party == "carrier" else "provider"
    if statement.settled_minor == 0:
        return "Nothing is to be paid"
    is_ours = (statement.settled_minor > 0) == (other == "carrier")
    return f"To be paid by the {other} to us" if is_ours else f"To be paid by us to the {other}"


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _day(at_us: int | None) -> str:
    return "" if at_us is None else cdr.utc_time(at_us)[:10]


@lru_cache(maxsize=1)
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).get_template(
        "statement.html"
    )
