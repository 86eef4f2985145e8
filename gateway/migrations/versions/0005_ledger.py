"""The ledger's people: requests that wait for a second person, and vouchers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """New tables only."""
    _approvals()
    _vouchers()


def _approvals() -> None:
    op.create_table(
        "approval",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False, comment="what is asked for, as refund; its executor knows the payload"),
        sa.Column("cause", sa.String(96), nullable=False, unique=True, comment="as of the act itself, so that a repeat asks once"),
        sa.Column("subject", sa.String(96), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 waiting, 10 approved, 11 refused, 12 expired"),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", sa.BigInteger()),
        sa.CheckConstraint("decided_by <> requested_by", name="approval_by_another"),
        sa.CheckConstraint("state NOT IN (10, 11) OR decided_by IS NOT NULL", name="approval_decided_by_somebody"),
    )
    where = sa.text("state = 0")
    op.create_index("approval_waiting", "approval", ["id"], sqlite_where=where, postgresql_where=where)


def _vouchers() -> None:
    op.create_table(
        "voucher_batch",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(32), nullable=False, unique=True),
        sa.Column("value_minor", sa.BigInteger(), nullable=False, comment="of each voucher"),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("vouchers", sa.Integer(), nullable=False, comment="how many were made"),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("value_minor > 0", name="voucher_batch_value_positive"),
    )
    op.create_table(
        "voucher",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False, unique=True, comment="SHA-256 of an 80-bit random code"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 live, 10 redeemed, 11 void"),
        sa.Column("wallet", sa.BigInteger(), comment="that it was redeemed into"),
        sa.Column("transfer_id", sa.BigInteger(), unique=True, comment="that redeemed it"),
        sa.Column("ended_at", sa.BigInteger()),
        sa.CheckConstraint(
            "(state = 10) = (wallet IS NOT NULL) AND (state = 10) = (transfer_id IS NOT NULL)", name="voucher_redeemed_by_a_transfer"
        ),
    )
    op.create_index("voucher_of_batch", "voucher", ["batch_id", "id"])
