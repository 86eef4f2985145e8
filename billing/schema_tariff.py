"""The tables of prices: versions of tariffs, what payers had of counted rules, and events that no rule prices."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, SmallInteger, String, Table, Text

from billing.schema import Id, metadata

tariff_version = Table(
    "tariff_version",
    metadata,
    Column("plan", String(21), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="0 draft, 1 approved, 2 retired"),
    Column("from_us", BigInteger, nullable=False),
    Column(
        "to_us", BigInteger, nullable=False, comment="the first instant it does not hold; moves once, when the next version is approved"
    ),
    Column("content", Text, nullable=False, comment="the tariff as TOML"),
    Column("sha256", String(64), nullable=False, comment="of the content"),
    Column("created_by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("approved_by", String(64)),
    Column("approved_at", BigInteger),
    Column("retired_by", String(64)),
    Column("retired_at", BigInteger),
    PrimaryKeyConstraint("plan", "number"),
    CheckConstraint("approved_by <> created_by", name="tariff_version_four_eyes"),
)

tariff_usage = Table(
    "tariff_usage",
    metadata,
    Column("payer", String(32), nullable=False, comment="a phone's number with its plus, or a wallet's id"),
    Column("rule", String(64), nullable=False, comment="plan/rule: it goes on over versions"),
    Column("period", Integer, nullable=False, comment="a day as YYYYMMDD, a month as YYYYMM00"),
    Column("units", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("payer", "rule", "period"),
    comment="only of rules with allowances, tiers or caps",
)

tariff_use = Table(
    "tariff_use",
    metadata,
    Column("charge_id", Id, primary_key=True, autoincrement=False),
    Column("payer", String(32), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("day", Integer, nullable=False),
    Column("units", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("prices", Text, nullable=False, comment="of its units in their order, as JSON: runs of (how many, price)"),
    comment="what a charge took of the counters, until it is settled",
)

suspense = Table(
    "suspense",
    metadata,
    Column("event_id", Id, primary_key=True, autoincrement=False),
    Column("reason", String(32), nullable=False, comment="no_rule, no_sponsor, no_credit"),
    Column("detail", String(160), nullable=False),
    Column("state", SmallInteger, nullable=False, comment="0 open, 1 recycled, 2 discarded"),
    Column("created_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("done_by", String(64)),
    Column("note", String(160), comment="why it was discarded"),
)
Index("suspense_open", suspense.c.event_id, sqlite_where=suspense.c.state == 0, postgresql_where=suspense.c.state == 0)
