"""Settlements in SQL: statements for a carrier and its content providers, made from the records of a closed period and nothing else.

Drafted again they have the same lines, or the books were changed behind our back: approving computes them anew and compares. The steps are
draft, approved by somebody else, locked; a number is given with the draft, and no draft goes away, so numbers have no gap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, case, cast, delete, func, or_, select, update

from billing import audit, calendar, recon, settlement_rules, waterfall
from billing.audit import Act
from billing.errors import SettlementError
from billing.event import ChargeState, Direction, FeeClass, RecordType
from billing.schema import charge
from billing.schema_reconciliation import recon_item, recon_run, settlement, settlement_line
from billing.settlement_rules import CARRIER, PROVIDER, Rule
from billing.waterfall import Deductions, Line, Reason, Records

_REASONS = {
    int(RecordType.CHARGE): Reason.GROSS,
    int(RecordType.REFUND): Reason.REFUND,
    int(RecordType.ADJUST): Reason.ADJUST,
    int(RecordType.REVERSAL): Reason.REVERSAL,
    int(RecordType.RERATE): Reason.RERATE,
    int(RecordType.WRITEOFF): Reason.WRITEOFF,
}
_BILLABLE = (int(ChargeState.CAPTURED), int(ChargeState.ZERO_RATED))


class State(IntEnum):
    """How far a statement is."""

    DRAFT = 0
    APPROVED = 1
    LOCKED = 2


class Statement(NamedTuple):
    """One statement with its lines."""

    id: int
    carrier: str
    party: str
    number: int
    period: int
    currency: str
    state: State
    settled_minor: int
    digest: str
    created_by: str
    created_at: int
    approved_by: str | None
    approved_at: int | None
    locked_by: str | None
    locked_at: int | None
    lines: tuple[Line, ...]

    @property
    def reference(self) -> str:
        """What it is called: `cmcc-gd/carrier/1`, `cmcc-gd/provider/news-co/3`."""
        return f"{self.carrier}/{self.party}/{self.number}"


def draft(conn: Connection, carrier: str, period: int, *, actor: str, new_id: Callable[[], int], now_us: int) -> list[Statement]:
    """Make the statements of a closed period, or find those it has; drafts that lag behind the rules are computed anew.

    Raises SettlementError for an open period, a party without a rule, and an approved statement that the books no longer bear out.
    """
    if conn.dialect.name == "postgresql":
        # Two drafts at once would take one number; the second waits, and finds what the first made.
        conn.exec_driver_sql("LOCK TABLE settlement IN EXCLUSIVE MODE")
    statements = []
    for (party, currency), lines in sorted(computed(conn, carrier, period).items()):
        known = _of_period(conn, carrier, party, period, currency)
        digest = _digest(lines)
        if known is None:
            statements.append(_insert(conn, (carrier, party, period, currency), lines, actor, new_id(), now_us))
        elif known.digest == digest:
            statements.append(known)
        elif known.state is State.DRAFT:
            statements.append(_replace(conn, known, lines, actor, now_us))
        else:
            raise SettlementError(f"statement {known.reference} was {known.state.name.lower()} and the books say something else now")
    return statements


def computed(conn: Connection, carrier: str, period: int) -> dict[tuple[str, str], list[Line]]:
    """The lines of every statement of a period, from its records and the rules, by (party, currency)."""
    if not recon.is_closed(conn, carrier, period):
        raise SettlementError(f"{calendar.write(period)} of {carrier} is not closed yet; only a closed period is settled")
    rules = settlement_rules.effective(conn, carrier, period)
    records = _records(conn, carrier, period)
    currencies = sorted({currency for _, currency in (*records, *rules)})
    lines: dict[tuple[str, str], list[Line]] = {}
    for currency in currencies:
        of_parties = {party: found for (party, each), found in records.items() if each == currency}
        lines |= _of_currency(carrier, period, currency, of_parties, rules)
    return lines


def approve(conn: Connection, reference: str, *, actor: str, now_us: int) -> Statement:
    """Approve a draft by somebody who did not make it; it is computed anew, and refused when the books say something else."""
    known = named(conn, reference)
    if known.state is not State.DRAFT and known.approved_by == actor:
        return known
    if known.state is not State.DRAFT:
        raise SettlementError(f"statement {reference} was approved by {known.approved_by}")
    if known.created_by == actor:
        raise SettlementError(f"statement {reference} was made by {actor}; somebody else approves it")
    lines = computed(conn, known.carrier, known.period).get((known.party, known.currency))
    if lines is None or _digest(lines) != known.digest:
        raise SettlementError(f"statement {reference} is not what books and rules say now; draft it again")
    columns = settlement.c
    mine = (columns.id == known.id) & (columns.state == int(State.DRAFT)) & (columns.created_by != actor) & (columns.digest == known.digest)
    _step(conn, reference, mine, {"state": int(State.APPROVED), "approved_by": actor, "approved_at": now_us})
    _told(conn, "settle.approve", known, actor, now_us)
    return named(conn, reference)


def lock(conn: Connection, reference: str, *, actor: str, now_us: int) -> Statement:
    """Lock an approved statement: it was sent, and stays as it is."""
    known = named(conn, reference)
    if known.state is State.LOCKED:
        return known
    if known.state is State.DRAFT:
        raise SettlementError(f"statement {reference} is a draft; it is approved first")
    mine = (settlement.c.id == known.id) & (settlement.c.state == int(State.APPROVED))
    _step(conn, reference, mine, {"state": int(State.LOCKED), "locked_by": actor, "locked_at": now_us})
    _told(conn, "settle.lock", known, actor, now_us)
    return named(conn, reference)


def named(conn: Connection, reference: str) -> Statement:
    """The statement of a reference; raises SettlementError where there is none."""
    head, _, number = reference.rpartition("/")
    carrier, _, party = head.partition("/")
    columns = settlement.c
    if number.isascii() and number.isdigit() and len(number) < 10:
        query = select(settlement).where(columns.carrier == carrier, columns.party == party, columns.number == int(number))
        if (row := conn.execute(query).mappings().one_or_none()) is not None:
            return _shown(conn, row)
    raise SettlementError(
        f"there is no statement {reference[:80]!r}; they are called as in cmcc-gd/carrier/1 or cmcc-gd/provider/news-co/1"
    )


def of_id(conn: Connection, id_: int) -> Statement | None:
    """The statement of an id."""
    row = conn.execute(select(settlement).where(settlement.c.id == id_)).mappings().one_or_none()
    return None if row is None else _shown(conn, row)


def listed(conn: Connection, carrier: str = "", period: int | None = None) -> list[Statement]:
    """Every statement, of one carrier and one period where they are given."""
    columns = settlement.c
    query = select(settlement).order_by(columns.carrier, columns.party, columns.number)
    query = query.where(columns.carrier == carrier) if carrier else query
    query = query if period is None else query.where(columns.period == period)
    return [_shown(conn, row) for row in conn.execute(query).mappings().all()]


def _of_currency(
    carrier: str, period: int, currency: str, of_parties: Mapping[str | None, Records], rules: Mapping[tuple[str, str], Rule]
) -> dict[tuple[str, str], list[Line]]:
    """The carrier's lines on the whole, and each provider's on its part of it; what no provider has is ours."""
    providers = sorted(
        {party for party in of_parties if party is not None}
        | {party.removeprefix(PROVIDER) for party, each in rules if party != CARRIER and each == currency}
    )
    wanted = [CARRIER, *(PROVIDER + name for name in providers)]
    if missing := [party for party in wanted if (party, currency) not in rules]:
        month = calendar.write(calendar.month_of(period))
        raise SettlementError(f"{carrier}/{missing[0]} has records or providers in {currency} and no rule for {month}; import one")
    whole = _sum([*of_parties.values()])
    terms = rules[CARRIER, currency].terms
    parts = [of_parties.get(name, Records()) for name in (None, *providers)]
    taken = waterfall.deductions(whole, terms)
    divided = waterfall.divided(taken, [part.validated_minor for part in parts])
    lines = {(CARRIER, currency): waterfall.of_carrier(whole, terms)}
    for name, part, share in zip(providers, parts[1:], divided[1:], strict=True):
        lines[PROVIDER + name, currency] = waterfall.of_provider(part, rules[PROVIDER + name, currency].terms, Deductions(*share))
    assert all(waterfall.adds_up(each) for each in lines.values())
    return lines


def _records(conn: Connection, carrier: str, period: int) -> dict[tuple[str | None, str], Records]:
    """What the records of a period add up to for each (provider, currency); MT and MO are counted in parts, whatever the currency."""
    first, after = calendar.days(period)
    amounts: dict[tuple[str | None, str], dict[Reason, int]] = {}
    counts: dict[tuple[str | None, str], dict[Reason, int]] = {}
    collected: dict[tuple[str | None, str], int] = {}
    mt = mo = 0
    for row in conn.execute(_charges(carrier, first, after)):
        key = (row.provider, row.currency)
        reason = _REASONS.get(row.record_type)
        amounts.setdefault((None, row.currency), {})
        counts.setdefault((None, row.currency), {})
        if reason is not None and row.records:
            of_key, count = amounts.setdefault(key, {}), counts.setdefault(key, {})
            of_key[reason] = of_key.get(reason, 0) + int(row.minor)
            count[reason] = count.get(reason, 0) + int(row.records)
            collected[key] = collected.get(key, 0) + int(row.collected)
        if row.record_type == int(RecordType.CHARGE):
            mt += int(row.parts) if row.direction == int(Direction.MT) else 0
            mo += int(row.parts) if row.direction == int(Direction.MO) else 0
    for row in conn.execute(_without_charge(carrier, first, after)):
        key = (row.provider, row.currency)
        amounts.setdefault(key, {})[Reason.UNKNOWN] = int(row.minor)
        counts.setdefault(key, {})[Reason.UNKNOWN] = int(row.records)
    return {key: Records(of_key, counts[key], mt, mo, collected.get(key, 0)) for key, of_key in amounts.items()}


def _charges(carrier: str, first: int, after: int) -> Any:
    columns = charge.c
    by_us = or_(columns.wallet.is_not(None), columns.fee_class == int(FeeClass.SP_COLLECTED))
    # What is free counts for the balance of MT and MO only.
    priced = case((columns.amount_minor != 0, 1), else_=0)
    keys = (columns.provider, columns.currency, columns.record_type, columns.direction)
    return (
        select(
            *keys,
            func.sum(columns.amount_minor).label("minor"),
            func.sum(priced).label("records"),
            func.sum(case((by_us, columns.amount_minor), else_=cast(0, Integer))).label("collected"),
            func.sum(columns.parts).label("parts"),
        )
        .where(columns.carrier == carrier, columns.journal_seq.is_not(None))
        .where(columns.period >= first, columns.period < after, columns.state.in_(_BILLABLE))
        .group_by(*keys)
    )


def _without_charge(carrier: str, first: int, after: int) -> Any:
    """What resolutions moved where no correction bears it."""
    columns = recon_item.c
    return (
        select(
            columns.booked_provider.label("provider"),
            columns.currency,
            func.sum(columns.booked_minor).label("minor"),
            func.count().label("records"),
        )
        .join(recon_run, recon_run.c.number == columns.run)
        .where(recon_run.c.carrier == carrier, columns.booked_period >= first, columns.booked_period < after)
        .group_by(columns.booked_provider, columns.currency)
    )


def _sum(parts: list[Records]) -> Records:
    amounts: dict[Reason, int] = {}
    counts: dict[Reason, int] = {}
    for part in parts:
        for reason, minor in part.amounts.items():
            amounts[reason] = amounts.get(reason, 0) + minor
            counts[reason] = counts.get(reason, 0) + part.counts.get(reason, 0)
    collected = sum(part.collected_minor for part in parts)
    return Records(amounts, counts, max((part.mt for part in parts), default=0), max((part.mo for part in parts), default=0), collected)


def _digest(lines: list[Line]) -> str:
    return hashlib.sha256(json.dumps(lines, ensure_ascii=False).encode()).hexdigest()


def _of_period(conn: Connection, carrier: str, party: str, period: int, currency: str) -> Statement | None:
    columns = settlement.c
    query = select(settlement).where(
        columns.carrier == carrier, columns.party == party, columns.period == period, columns.currency == currency
    )
    row = conn.execute(query.with_for_update()).mappings().one_or_none()
    return None if row is None else _shown(conn, row)


def _insert(conn: Connection, key: tuple[str, str, int, str], lines: list[Line], actor: str, id_: int, now_us: int) -> Statement:
    carrier, party, period, currency = key
    columns = settlement.c
    last = select(func.coalesce(func.max(columns.number), 0)).where(columns.carrier == carrier, columns.party == party)
    values = {"id": id_, "carrier": carrier, "party": party, "number": int(conn.execute(last).scalar_one()) + 1, "period": period}
    made = {"currency": currency, "state": int(State.DRAFT), "created_by": actor, "created_at": now_us}
    conn.execute(settlement.insert(), {**values, **made, "settled_minor": lines[-1].amount_minor, "digest": _digest(lines)})
    _write_lines(conn, id_, lines)
    statement = _of_period(conn, carrier, party, period, currency)
    assert statement is not None
    _told(conn, "settle.draft", statement, actor, now_us)
    return statement


def _replace(conn: Connection, known: Statement, lines: list[Line], actor: str, now_us: int) -> Statement:
    mine = (settlement.c.id == known.id) & (settlement.c.state == int(State.DRAFT)) & (settlement.c.digest == known.digest)
    values = {"created_by": actor, "created_at": now_us, "settled_minor": lines[-1].amount_minor, "digest": _digest(lines)}
    _step(conn, known.reference, mine, values)
    conn.execute(delete(settlement_line).where(settlement_line.c.settlement_id == known.id))
    _write_lines(conn, known.id, lines)
    statement = named(conn, known.reference)
    _told(conn, "settle.draft", statement, actor, now_us)
    return statement


def _write_lines(conn: Connection, id_: int, lines: list[Line]) -> None:
    rows = [
        {
            "settlement_id": id_,
            "line_no": number,
            "reason": line.reason.value,
            "amount_minor": line.amount_minor,
            "record_count": line.records,
            "note": line.note,
        }
        for number, line in enumerate(lines, 1)
    ]
    conn.execute(settlement_line.insert(), rows)


def _step(conn: Connection, reference: str, mine: Any, values: Mapping[str, Any]) -> None:
    if conn.execute(update(settlement).where(mine).values(**values)).rowcount != 1:
        raise SettlementError(f"somebody else is at work on statement {reference}; look at it again")


def _told(conn: Connection, act: str, statement: Statement, actor: str, now_us: int) -> None:
    detail = {"amount_minor": statement.settled_minor, "currency": statement.currency, "period": calendar.write(statement.period)}
    audit.record(conn, Act(actor, act, f"settlement:{statement.reference}"[:96], detail), now_us=now_us)


def _shown(conn: Connection, row: Any) -> Statement:
    columns = settlement_line.c
    query = select(settlement_line).where(columns.settlement_id == row["id"]).order_by(columns.line_no)
    lines = tuple(Line(Reason(line.reason), line.amount_minor, line.record_count, line.note) for line in conn.execute(query))
    values = {name: row[name] for name in Statement._fields if name != "lines"}
    return Statement(**{**values, "state": State(row["state"]), "lines": lines})
