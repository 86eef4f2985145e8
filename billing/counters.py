"""What payers had of counted rules: taken when an event is accepted, in its transaction, and given back for what was not delivered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text

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


def take(conn: Connection, counter: Counter, charge_id: int, units: int, amount_minor: int) -> None:
    """Count an event that is accepted."""
    for period in (counter.day, calendar.month_of(counter.day)):
        _add(conn, counter, period, units, amount_minor)
    row = {"charge_id": charge_id, "payer": counter.payer, "rule": counter.rule, "day": counter.day}
    conn.execute(tariff_use.insert(), {**row, "units": units, "amount_minor": amount_minor})


def are_in_use(conn: Connection) -> bool:
    """Whether any charge on its way was counted."""
    return conn.exec_driver_sql("SELECT charge_id FROM tariff_use LIMIT 1").first() is not None


def settle(conn: Connection, ended: Iterable[tuple[int, int, int]]) -> None:
    """Give back what counted charges took and did not use: (charge, parts charged, amount captured)."""
    facts = {each[0]: each[1:] for each in ended}
    for row in conn.execute(_TAKEN, {"ids": list(facts)}).all() if facts else ():
        charged, captured = facts[row.charge_id]
        unused = max(0, row.units - charged)  # by the message there is one unit, of however many parts
        counter = Counter(row.payer, row.rule, row.day)
        if unused or captured != row.amount_minor:
            for period in (row.day, calendar.month_of(row.day)):
                _add(conn, counter, period, -unused, captured - row.amount_minor)
        conn.execute(delete(tariff_use).where(tariff_use.c.charge_id == row.charge_id))


def _add(conn: Connection, counter: Counter, period: int, units: int, minor: int) -> tuple[int, int]:
    values = {"payer": counter.payer, "rule": counter.rule, "period": period, "units": units, "minor": minor}
    found = conn.execute(_ADD, values).one()
    return int(found[0]), int(found[1])
