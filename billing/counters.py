"""What payers had of counted rules: taken when an event is accepted, in its transaction, and given back for what was not delivered."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text, update

from billing import calendar
from billing.schema_tariff import tariff_use
from billing.tariff.rate import Used

_ADD = text(
    "INSERT INTO tariff_usage (payer, rule, period, units, amount_minor) VALUES (:payer, :rule, :period, :units, :minor)"
    " ON CONFLICT (payer, rule, period) DO UPDATE SET units = tariff_usage.units + excluded.units,"
    " amount_minor = tariff_usage.amount_minor + excluded.amount_minor RETURNING units, amount_minor"
)
_TAKEN = select(tariff_use).where(tariff_use.c.charge_id.in_(bindparam("ids", expanding=True)))


class Counter(NamedTuple):
    """Whose counter of which rule; `day` is on the carrier's clock."""

    payer: str
    rule: str
    day: int


def read(conn: Connection, counter: Counter) -> Used:
    """What was had so far; nobody else changes it before this transaction is over."""
    # Adding nothing takes the row's lock where the engine has one, and makes the row where there is none.
    day, month = (_add(conn, counter, period, 0, 0) for period in (counter.day, calendar.month_of(counter.day)))
    return Used(day[0], month[0], day[1], month[1])


def take(conn: Connection, counter: Counter, charge_id: int, units: Sequence[int]) -> None:
    """Count an event that is accepted, by the price of each of its units; what it does not use comes back by `settle`."""
    count(conn, counter, len(units), sum(units))
    row = {"charge_id": charge_id, "payer": counter.payer, "rule": counter.rule, "day": counter.day}
    conn.execute(tariff_use.insert(), {**row, "units": len(units), "amount_minor": sum(units), "prices": written(units)})


def count(conn: Connection, counter: Counter, units: int, amount_minor: int) -> None:
    """Count what is final at once, or take it back where it is below zero."""
    for period in (counter.day, calendar.month_of(counter.day)):
        _add(conn, counter, period, units, amount_minor)


class Use(NamedTuple):
    """What a charge that is not settled yet took."""

    counter: Counter
    units: int
    amount_minor: int


def of_charge(conn: Connection, charge_id: int) -> Use | None:
    """What a charge took, if it is counted and not settled."""
    row = conn.execute(select(tariff_use).where(tariff_use.c.charge_id == charge_id)).one_or_none()
    return None if row is None else Use(Counter(row.payer, row.rule, row.day), row.units, row.amount_minor)


def amend(conn: Connection, charge_id: int, use: Use, units: Sequence[int]) -> None:
    """Let a charge have taken something else."""
    count(conn, use.counter, len(units) - use.units, sum(units) - use.amount_minor)
    values = {"units": len(units), "amount_minor": sum(units), "prices": written(units)}
    conn.execute(update(tariff_use).where(tariff_use.c.charge_id == charge_id).values(values))


def written(units: Sequence[int]) -> str:
    """The prices of units as the table keeps them: runs of equal ones, (how many, price)."""
    return json.dumps([(len(list(run)), price) for price, run in itertools.groupby(units)], separators=(",", ":"))


def prices(kept: str) -> list[int]:
    """What `written` wrote."""
    return [price for many, price in json.loads(kept) for _ in range(many)]


def settle(conn: Connection, ended: Iterable[tuple[int, int | None, int]]) -> None:
    """Give back what counted charges took and did not use: (charge, units charged or None for all of them, amount captured)."""
    facts = {each[0]: each[1:] for each in ended}
    for row in conn.execute(_TAKEN, {"ids": list(facts)}).all() if facts else ():
        charged, captured = facts[row.charge_id]
        unused = 0 if charged is None else max(0, row.units - charged)
        if unused or captured != row.amount_minor:
            count(conn, Counter(row.payer, row.rule, row.day), -unused, captured - row.amount_minor)
        conn.execute(delete(tariff_use).where(tariff_use.c.charge_id == row.charge_id))


def _add(conn: Connection, counter: Counter, period: int, units: int, minor: int) -> tuple[int, int]:
    values = {"payer": counter.payer, "rule": counter.rule, "period": period, "units": units, "minor": minor}
    found = conn.execute(_ADD, values).one()
    return int(found[0]), int(found[1])
