"""Comparisons with carriers' files over HTTP: what differs, and what is done about it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection

from billing import calendar, recon, resolutions
from billing.errors import ReconciliationError
from billing.matching import Class
from billing.recon import Run
from gateway.domain.failure import Refused
from gateway.store.staff import Scope
from gateway.web.billing_acts import PeriodAsked
from gateway.web.billing_door import Asked, BillingOperation, Call, Desk, number_in
from gateway.web.billing_jobs import carrier_option, order

ITEMS_MAX = 500
_WAYS = Literal["accept_carrier", "claim", "write_off", "fix_ours"]


class ComparisonsAsked(Asked):
    """Whose comparisons."""

    carrier: str = Field("", max_length=32)


class ItemsAsked(Asked):
    """Which differences."""

    kind: str = Field("", max_length=32, description="A class, such as AMOUNT_DIFF; empty: all but MATCH")
    open: bool = Field(False, description="Only those that nobody has resolved")
    after: int = Field(0, ge=0, description="Only greater numbers: the last one of the page before")
    limit: int = Field(100, ge=1, le=1000)


class ResolveAsked(Asked):
    """What is done about differences: about these, or about all of a class that are open."""

    items: list[int] = Field([], max_length=ITEMS_MAX, description="Their numbers in the comparison; or give kind")
    kind: str = Field("", max_length=32, description="A class, such as OURS_ONLY")
    by: _WAYS
    reason: str = Field(min_length=1, max_length=64, description="Why; it stands in the books")


async def list_comparisons(desk: Desk, call: Call) -> dict[str, Any]:
    """The comparisons with carriers' files."""
    found = await desk.reader.read(recon.listed, call.asked.carrier)
    return {"reconciliations": [_fields(each) for each in found]}


async def items(desk: Desk, call: Call) -> dict[str, Any]:
    """The differences of one comparison."""
    return await desk.reader.read(_items, number_in(call, "number"), call.asked)


async def compare(desk: Desk, call: Call) -> dict[str, Any]:
    """Compare a closed period with the carrier's files for it."""
    asked: PeriodAsked = call.asked
    return order(desk, call, "reconcile", ["reconcile", "run", "--period", asked.period, *carrier_option(asked.carrier)])


async def resolve(desk: Desk, call: Call) -> dict[str, Any]:
    """Take the carrier's figure, claim ours, write it off or correct our charge: the job's answer tells what was booked."""
    asked: ResolveAsked = call.asked
    if bool(asked.items) == bool(asked.kind):
        raise Refused("bad_field", "give items or kind", field="items")
    if any(each <= 0 for each in asked.items):
        raise Refused("bad_field", "an item has a number from 1 on", field="items")
    number = number_in(call, "number")
    await desk.reader.read(_shown, number)
    which = [f"{number}/{each}" for each in asked.items] or ["--run", str(number), "--class", _class(asked.kind).name]
    return order(desk, call, "resolve", ["reconcile", "resolve", *which, "--by", asked.by, f"--reason={asked.reason}"])


def _items(conn: Connection, number: int, asked: ItemsAsked) -> dict[str, Any]:
    _shown(conn, number)
    kind = _class(asked.kind) if asked.kind else None
    found = recon.items(conn, number, kind=kind, is_open=asked.open, after=asked.after, rows_max=asked.limit)
    return {"items": [resolutions.item_fields(each) for each in found]}


def _shown(conn: Connection, number: int) -> Run:
    try:
        return recon.shown(conn, number)
    except ReconciliationError as error:
        raise Refused("not_found", str(error), field="number") from None


def _class(typed: str) -> Class:
    if typed.upper() not in Class.__members__:
        raise Refused("bad_field", f"is none of {', '.join(each.name for each in Class)}", field="kind")
    return Class[typed.upper()]


def _fields(made: Run) -> dict[str, Any]:
    return {**made._asdict(), "period": calendar.write(made.period), "state": made.state.name.lower()}


RECONCILIATIONS = (
    BillingOperation(
        *("GET", "/reconciliations", "get_billing_reconciliations", "The comparisons with carriers' files"),
        *(Scope.READ, list_comparisons, ComparisonsAsked),
    ),
    BillingOperation(
        *("GET", "/reconciliations/{number}/items", "get_billing_reconciliation_items", "The differences of one comparison"),
        *(Scope.READ, items, ItemsAsked),
    ),
    BillingOperation(
        *("POST", "/reconciliations", "post_billing_reconcile", "Compare with the carrier's files, as a job"),
        *(Scope.ACT, compare, PeriodAsked, 202),
    ),
    BillingOperation(
        *("POST", "/reconciliations/{number}/resolve", "post_billing_resolve", "Resolve differences, as a job"),
        *(Scope.ACT, resolve, ResolveAsked, 202),
    ),
)
