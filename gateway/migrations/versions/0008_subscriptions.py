"""Tables of subscriptions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ZERO = sa.text("0")


def upgrade() -> None:
    """New tables only."""
    _subscription()
    _evidence()
    _cycles()


def _subscription() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("offer", sa.String(32), nullable=False),
        sa.Column(
            "subscriber", sa.String(32), nullable=False, comment="msisdn:DIGITS, whose carrier collects, or im:NUMBER, whose wallet pays"
        ),
        sa.Column("short_code", sa.String(21), nullable=False),
        sa.Column("link", sa.String(32), comment="by which the order came: whose clock and books"),
        sa.Column("price_minor", sa.BigInteger(), nullable=False, comment="of a cycle, as it was when ordered"),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default=_ZERO, comment="grows with each step"),
        sa.Column(
            "status", sa.SmallInteger(), nullable=False, comment="0 pending confirmation, 1 trial, 2 active, 3 suspended, 10 cancelled"
        ),
        sa.Column("ordered_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmations", sa.SmallInteger(), nullable=False, server_default=_ZERO),
        sa.Column("subscribed_at", sa.BigInteger(), nullable=False, server_default=_ZERO, comment="of the last confirmation"),
        sa.Column("trial_until", sa.BigInteger(), nullable=False, server_default=_ZERO),
        sa.Column("cycle", sa.Integer(), nullable=False, server_default=_ZERO, comment="the next to be charged, as YYYYMM00 or YYYYMMDD"),
        sa.Column("charge_at", sa.BigInteger(), nullable=False, server_default=_ZERO),
        sa.Column("charging", sa.Integer(), nullable=False, server_default=_ZERO, comment="the cycle asked for and not answered"),
        sa.Column("charged", sa.Integer(), nullable=False, server_default=_ZERO, comment="the last cycle paid"),
        sa.Column("failed_from", sa.Integer(), nullable=False, server_default=_ZERO, comment="the run of failed cycles"),
        sa.Column("failed_to", sa.Integer(), nullable=False, server_default=_ZERO),
        sa.Column("reminded", sa.Integer(), nullable=False, server_default=_ZERO),
        sa.Column("due_at", sa.BigInteger(), comment="when time alone brings about the next step"),
        sa.Column("cancelled_at", sa.BigInteger()),
        sa.Column("cancelled_via", sa.String(32), nullable=False, server_default=sa.text("''")),
        sa.CheckConstraint("(status = 10) = (cancelled_at IS NOT NULL)", name="subscription_ended_has_its_time"),
    )
    live, due = sa.text("status != 10"), sa.text("due_at IS NOT NULL")
    op.create_index("subscription_live", "subscription", ["subscriber", "offer"], unique=True, sqlite_where=live, postgresql_where=live)
    op.create_index("subscription_subscriber", "subscription", ["subscriber", "id"])
    op.create_index("subscription_due", "subscription", ["due_at", "id"], sqlite_where=due, postgresql_where=due)


def _evidence() -> None:
    op.create_table(
        "subscription_evidence",
        sa.Column("subscription", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="1 to n"),
        sa.Column("step", sa.String(16), nullable=False, comment="order, confirm, cancel, resume"),
        sa.Column("channel", sa.String(16), nullable=False, comment="mo or staff"),
        sa.Column("reference", sa.String(64), nullable=False, comment="the MO's id, or who did it"),
        sa.Column("said", sa.String(160), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subscription", "number"),
    )


def _cycles() -> None:
    op.create_table(
        "subscription_cycle",
        sa.Column("subscription", sa.BigInteger(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("charge", sa.BigInteger(), comment="its charge; none where a wallet could not pay"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 asked for, 10 paid, 11 failed, 12 unanswered"),
        sa.Column("code", sa.String(32), comment="why it failed"),
        sa.Column("event_at", sa.BigInteger(), nullable=False, comment="when it fell due"),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("subscription", "cycle"),
    )
    asked = sa.text("state = 0")
    op.create_index("subscription_cycle_charge", "subscription_cycle", ["charge"], unique=True)
    op.create_index("subscription_cycle_asked", "subscription_cycle", ["subscription", "cycle"], sqlite_where=asked, postgresql_where=asked)
