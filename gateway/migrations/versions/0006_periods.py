"""Closing: periods and what was in them, and runs that price charges anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """New tables only."""
    _periods()


def _periods() -> None:
    op.create_table(
        "period",
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False, comment="a day as YYYYMMDD, a month as YYYYMM00"),
        sa.Column("first_day", sa.Integer(), nullable=False),
        sa.Column("after_day", sa.Integer(), nullable=False, comment="the first day after it"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="1 closing, 2 closed, 3 locked; open periods have no row"),
        sa.Column("closing_at", sa.BigInteger(), nullable=False),
        sa.Column("closing_by", sa.String(64), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), comment="from here on no row enters it"),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("closed_by", sa.String(64)),
        sa.Column("locked_at", sa.BigInteger()),
        sa.Column("locked_by", sa.String(64)),
        sa.Column("records", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column(
            "held",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("0"),
            comment="charges of its events still held when it was sealed",
        ),
        sa.PrimaryKeyConstraint("carrier", "period"),
    )
    op.create_table(
        "period_total",
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("record_type", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("carrier", "period", "currency", "record_type", "state", "service"),
    )
    op.create_table(
        "rerate_run",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("first_day", sa.Integer(), nullable=False),
        sa.Column("after_day", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(32), nullable=False, server_default=sa.text("''"), comment="empty: all"),
        sa.Column("tariff", sa.String(64), nullable=False, comment="the version that prices anew"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 requested, 1 approved, 2 done, 3 refused"),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("upto_seq", sa.BigInteger(), nullable=False, comment="last journal_seq it looks at"),
        sa.Column("after_seq", sa.BigInteger(), nullable=False, server_default=sa.text("-1"), comment="how far it is"),
        sa.Column("looked_at", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("corrected", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("done_at", sa.BigInteger()),
        sa.CheckConstraint("decided_by <> requested_by", name="rerate_run_four_eyes"),
    )
