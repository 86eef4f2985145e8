"""Why somebody was charged: every charge of a number or an account, newest first, each with all that was corrected in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select

from billing.event import ChargeState, RecordType
from billing.schema import account, charge

ROWS_MAX = 200
# What gives a captured amount back, or takes of it again. Goodwill is a present beside it, and bounds nothing.
_CORRECTING = frozenset({RecordType.REFUND, RecordType.ADJUST, RecordType.REVERSAL, RecordType.RERATE, RecordType.WRITEOFF})
_CORRECTIONS = (
    select(charge)
    .where(charge.c.corrects.is_not(None), charge.c.corrects.in_(bindparam("ids", expanding=True)))
    .order_by(charge.c.journal_seq)
)


class Charged(NamedTuple):
    """One charge and its corrections, oldest first, as rows of the charge table."""

    charge: Mapping[str, Any]
    corrections: Sequence[Mapping[str, Any]]

    @property
    def paid_minor(self) -> int:
        """What is left of it after its corrections; held amounts are not paid yet."""
        if self.charge["state"] in (ChargeState.HELD, ChargeState.SUSPENDED):
            return 0
        corrected = (int(each["amount_minor"]) for each in self.corrections if RecordType(each["record_type"]) in _CORRECTING)
        return int(self.charge["amount_minor"]) + sum(corrected)


class Window(NamedTuple):
    """Which charges: ids in [least, before), newest first; ids are in the order of time."""

    least: int = 0
    before: int = 2**63 - 1
    rows_max: int = 50


def of_number(conn: Connection, msisdn: str, window: Window) -> list[Charged]:
    """The charges a phone number pays for, digits without a plus."""
    return _charged(conn, _charges(window).where(charge.c.charged_msisdn == msisdn))


def of_party(conn: Connection, party: str, window: Window) -> list[Charged]:
    """The charges that a party's wallets pay for; it looks at every charge of the window."""
    wallets = conn.execute(select(account.c.id).where(account.c.party == party)).scalars().all()
    return _charged(conn, _charges(window).where(charge.c.wallet.in_(wallets))) if wallets else []


def of_charge(conn: Connection, charge_id: int) -> Charged | None:
    """One charge by its id, or by that of one of its corrections."""
    row = conn.execute(select(charge.c.id, charge.c.corrects).where(charge.c.id == charge_id)).one_or_none()
    if row is None:
        return None
    found = _charged(conn, select(charge).where(charge.c.id == (row.corrects or row.id)))
    return found[0] if found else None


def _charges(window: Window) -> Select[Any]:
    in_window = (charge.c.id >= window.least) & (charge.c.id < window.before)
    query = select(charge).where(in_window, charge.c.record_type == int(RecordType.CHARGE))
    return query.order_by(charge.c.id.desc()).limit(min(window.rows_max, ROWS_MAX))


def _charged(conn: Connection, query: Select[Any]) -> list[Charged]:
    rows = conn.execute(query).mappings().all()
    corrections: dict[int, list[Mapping[str, Any]]] = {}
    if rows:
        for each in conn.execute(_CORRECTIONS, {"ids": [row["id"] for row in rows]}).mappings():
            corrections.setdefault(each["corrects"], []).append(dict(each))
    return [Charged(dict(row), corrections.get(row["id"], [])) for row in rows]
