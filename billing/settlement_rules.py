"""What is agreed with carriers and content providers: rules in TOML, each effective from a month on, and never changed once they are in.

A later rule of the same carrier, party and currency ends the one before it; `to` ends one without a successor.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple, Never

from sqlalchemy import Connection, select

from billing import audit, calendar, money
from billing.audit import Act
from billing.errors import MoneyError, PeriodError, SettlementError
from billing.schema_reconciliation import settlement_rule
from billing.shares import MILLION
from billing.waterfall import Terms

CARRIER = "carrier"
PROVIDER = "provider/"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)
_SHARE = re.compile(r"([0-9]{1,6})/([0-9]{1,6})", re.ASCII)
_KEYS: dict[str, type] = {
    **dict.fromkeys(("carrier", "provider", "currency", "from", "to", "share", "imbalance", "floor", "cap", "absolute"), str),
    **dict.fromkeys(("bad_debt_ppm", "tax_ppm"), int),
}


class Rule(NamedTuple):
    """One agreement; `party` is `carrier`, or `provider/NAME`."""

    carrier: str
    party: str
    currency: str
    effective_from: int
    effective_to: int | None
    terms: Terms


def parse(toml: str, source: str = "rules") -> list[Rule]:
    """Read `[[rules]]`; raises SettlementError that names the line of the rule and its key."""
    try:
        top = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise SettlementError(f"{source}: {error}") from None
    rules = top.pop("rules", [])
    if top or not isinstance(rules, list) or not rules:
        raise SettlementError(f"{source}: holds [[rules]], and nothing else")
    places = [number for number, line in enumerate(toml.splitlines(), 1) if re.match(r"\s*\[\[\s*rules\s*\]\]", line)]
    if len(places) != len(rules):
        raise SettlementError(f"{source}: each rule is a table of its own that begins with [[rules]]")
    found = [_Reading(f"{source}: line {line}", rule).rule() for line, rule in zip(places, rules, strict=True)]
    keys = [each[:4] for each in found]
    for count, key in enumerate(keys, 1):
        if keys.index(key) != count - 1:
            first, second = places[keys.index(key)], places[count - 1]
            raise SettlementError(f"{source}: line {second}, from: the rule of line {first} begins in the same month for the same party")
    return found


def add(conn: Connection, rules: list[Rule], *, actor: str, now_us: int) -> int:
    """Write rules that are not there yet; how many. Raises SettlementError where one of the same month says something else."""
    added = 0
    for rule in rules:
        known = [each for each in listed(conn, rule.carrier) if each[:4] == rule[:4]]
        if known and known[0] != rule:
            month = calendar.write(rule.effective_from)
            raise SettlementError(
                f"{rule.carrier}/{rule.party} has another rule from {month} on; a rule is not changed, let a new one begin later"
            )
        if known:
            continue
        terms = rule.terms._asdict()
        row = {**rule._asdict(), **terms, "created_by": actor, "created_at": now_us}
        conn.execute(settlement_rule.insert(), {name: value for name, value in row.items() if name != "terms"})
        detail: dict[str, object] = {"from": calendar.write(rule.effective_from), "currency": rule.currency, **terms}
        audit.record(conn, Act(actor, "settle.rule", f"settlement_rule:{rule.carrier}/{rule.party}"[:96], detail), now_us=now_us)
        added += 1
    return added


def listed(conn: Connection, carrier: str = "") -> list[Rule]:
    """Every rule, of one carrier where one is given, in order of party and month."""
    columns = settlement_rule.c
    query = select(settlement_rule).order_by(columns.carrier, columns.party, columns.currency, columns.effective_from)
    query = query.where(columns.carrier == carrier) if carrier else query
    return [
        Rule(
            *(row["carrier"], row["party"], row["currency"], row["effective_from"], row["effective_to"]),
            Terms(**{name: row[name] for name in Terms._fields}),
        )
        for row in conn.execute(query).mappings()
    ]


def effective(conn: Connection, carrier: str, period: int) -> dict[tuple[str, str], Rule]:
    """The rule of each (party, currency) for a month, or for a day by its month."""
    month = calendar.month_of(period)
    found = {(rule.party, rule.currency): rule for rule in listed(conn, carrier) if rule.effective_from <= month}
    return {key: rule for key, rule in found.items() if rule.effective_to is None or month <= rule.effective_to}


class _Reading:
    """One rule's table, and the words for what is wrong in it."""

    def __init__(self, where: str, table: dict[str, Any]) -> None:
        self.where, self.table = where, table

    def rule(self) -> Rule:
        for key, value in self.table.items():
            if key not in _KEYS:
                self._refuse(key, f"no such key; there are {', '.join(_KEYS)}")
            if type(value) is not _KEYS[key]:
                self._refuse(key, "must be text in quotes" if _KEYS[key] is str else "must be a whole number")
        carrier = self._name("carrier")
        party = PROVIDER + self._name("provider") if "provider" in self.table else CARRIER
        currency = self.table.get("currency", "")
        if currency not in money.EXPONENTS:
            self._refuse("currency", f"unknown currency {currency[:8]!r}")
        begin, end = self._month("from"), self._month("to") if "to" in self.table else None
        if end is not None and end < begin:
            self._refuse("to", "ends before it begins")
        if party != CARRIER and ("imbalance" in self.table or "bad_debt_ppm" in self.table):
            self._refuse("provider", "unbalanced traffic and bad debt are agreed with a carrier, and divided among the providers")
        num, den = self._share()
        floor, cap = self._amount("floor", currency), self._amount("cap", currency)
        if floor is not None and cap is not None and cap < floor:
            self._refuse("cap", "is below the floor")
        imbalance = self._amount("imbalance", currency) or 0
        if imbalance < 0:
            self._refuse("imbalance", "is not negative")
        ppm = (self._ppm("bad_debt_ppm"), self._ppm("tax_ppm"))
        terms = Terms(num, den, imbalance, ppm[0], floor, cap, self._amount("absolute", currency) or 0, ppm[1])
        return Rule(carrier, party, currency, begin, end, terms)

    def _name(self, key: str) -> str:
        name: str = self.table.get(key, "")
        if _NAME.fullmatch(name) is None:
            self._refuse(key, "is a name of letters, digits, point, dash and underscore")
        return name

    def _month(self, key: str) -> int:
        try:
            month = calendar.parse(self.table.get(key, ""))
        except PeriodError as error:
            self._refuse(key, str(error))
        if not calendar.is_month(month):
            self._refuse(key, "is a month such as 2026-10")
        return month

    def _share(self) -> tuple[int, int]:
        share = self.table.get("share", "0/1")
        match = _SHARE.fullmatch(share)
        if match is None or int(match[2]) == 0 or int(match[1]) > int(match[2]):
            self._refuse("share", f"{share[:20]!r} is no share such as 15/100")
        return int(match[1]), int(match[2])

    def _amount(self, key: str, currency: str) -> int | None:
        if key not in self.table:
            return None
        try:
            return money.parse(self.table[key], currency).amount_minor
        except MoneyError as error:
            self._refuse(key, str(error))

    def _ppm(self, key: str) -> int:
        ppm: int = self.table.get(key, 0)
        if not 0 <= ppm <= MILLION:
            self._refuse(key, f"is 0 to {MILLION} millionths")
        return ppm

    def _refuse(self, key: str, text: str) -> Never:
        raise SettlementError(f"{self.where}, {key}: {text}")
