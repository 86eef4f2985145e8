"""Prices: versions of tariffs, what payers had of counted rules, and events that no rule prices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """New tables only."""
    _versions()
    _counters()
    _suspense()


def _versions() -> None:
    op.create_table(
        "tariff_version",
        sa.Column("plan", sa.String(21), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 draft, 1 approved, 2 retired"),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False, comment="the first instant it does not hold"),
        sa.Column("content", sa.Text(), nullable=False, comment="the tariff as TOML"),
        sa.Column("sha256", sa.String(64), nullable=False, comment="of the content"),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(64)),
        sa.Column("approved_at", sa.BigInteger()),
        sa.Column("retired_by", sa.String(64)),
        sa.Column("retired_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("plan", "number"),
        sa.CheckConstraint("approved_by <> created_by", name="tariff_version_four_eyes"),
    )


def _counters() -> None:
    op.create_table(
        "tariff_usage",
        sa.Column("payer", sa.String(32), nullable=False, comment="a phone's number with its plus, or a wallet's id"),
        sa.Column("rule", sa.String(64), nullable=False, comment="plan/rule: it goes on over versions"),
        sa.Column("period", sa.Integer(), nullable=False, comment="a day as YYYYMMDD, a month as YYYYMM00"),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payer", "rule", "period"),
        comment="only of rules with allowances, tiers or caps",
    )
    op.create_table(
        "tariff_use",
        sa.Column("charge_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("payer", sa.String(32), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=False, comment="of its units in their order, as JSON: runs of (how many, price)"),
        comment="what a charge took of the counters, until it is settled",
    )


def _suspense() -> None:
    op.create_table(
        "suspense",
        sa.Column("event_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.String(32), nullable=False, comment="no_rule, no_sponsor, no_credit"),
        sa.Column("detail", sa.String(160), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 open, 1 recycled, 2 discarded"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger()),
        sa.Column("done_by", sa.String(64)),
        sa.Column("note", sa.String(160), comment="why it was discarded"),
    )
    open_ones = sa.text("state = 0")
    op.create_index("suspense_open", "suspense", ["event_id"], sqlite_where=open_ones, postgresql_where=open_ones)
