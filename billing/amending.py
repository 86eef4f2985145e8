"""What a held charge becomes when its message is written anew while it waits: another number of units, by the rule that priced it.

The price stays that of its acceptance, whatever tariff holds now. Where its rule counts, what it took before is as if it had never been.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, select, update

from billing import book, counters, tariffs
from billing.counters import Use
from billing.errors import AlreadySettledError, TariffError
from billing.event import BY_PART_CLASSES, ChargeState, FeeClass
from billing.schema import charge
from billing.tariff import rate
from billing.tariff.rate import Used

_COLUMNS = ("fee_class", "event_at", "tariff_version", "tariff_rule")
_HELD = select(*(charge.c[name] for name in _COLUMNS)).where(charge.c.state == int(ChargeState.HELD))


def amend(conn: Connection, charge_id: int, *, parts: int) -> int | None:
    """Price a held charge for so many parts; the amount it holds now. None: its wallet has not the difference free, nothing was changed.

    Raises AlreadySettledError for a charge no longer held.
    """
    known = conn.execute(_HELD.where(charge.c.id == charge_id)).one_or_none()
    if known is None:
        raise AlreadySettledError(charge_id, "settled")
    use = counters.of_charge(conn, charge_id)
    if use is not None:
        return _counted(conn, charge_id, known, use, parts)
    is_by_part = known.fee_class in BY_PART_CLASSES or known.fee_class == FeeClass.FREE
    amount = book.amend(conn, charge_id, parts=parts, quantity=parts if is_by_part else 1)
    rule = tariffs.rule_of(conn, known.tariff_version, known.tariff_rule) if amount is not None else None
    if amount is not None and rule is not None and rule.tax_ppm:
        # Of the whole new amount: a share of the old tax would carry its rounding along.
        conn.execute(update(charge).where(charge.c.id == charge_id).values(tax_minor=rate.tax_in(amount, rule.tax_ppm)))
    return amount


def _counted(conn: Connection, charge_id: int, known: Any, use: Use, parts: int) -> int | None:
    rule = tariffs.rule_of(conn, known.tariff_version, known.tariff_rule)
    if rule is None:
        raise TariffError(f"{known.tariff_version} counts nothing")
    units, minor = use.units, use.amount_minor
    had = counters.read(conn, use.counter)
    before = Used(had.units_day - units, had.units_month - units, had.amount_day_minor - minor, had.amount_month_minor - minor)
    priced = rate.price(rule, parts, known.event_at, before)
    amount = book.amend(conn, charge_id, parts=parts, quantity=priced.quantity, amount_minor=priced.amount_minor)
    if amount is not None:
        counters.amend(conn, charge_id, use, priced.units)
        trace = json.dumps(list(priced.steps), ensure_ascii=False, separators=(",", ":"))
        values = {"tax_minor": priced.tax_minor, "allowance": priced.allowance, "trace": trace}
        conn.execute(update(charge).where(charge.c.id == charge_id).values(values))
    return amount
