"""What a carrier-grade SMPP door needs: policies, schedules, fair queues, learnt id forms, receipts that can be searched."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns with defaults that need no rewriting of rows, the new tables, and the queue's index by sender."""
    _partners()
    _messages()
    _segments()
    _receipts()
    _mobile_originated()


def _where(condition: str) -> dict[str, Any]:
    """A partial index in the words of both engines."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _partners() -> None:
    op.add_column(
        "partner",
        sa.Column("policy", sa.Text(), nullable=False, server_default=sa.text("'{}'"), comment="what it may do, as JSON: domain.policy"),
    )
    op.create_table(
        "partner_usage",
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False, comment="days since 1970, UTC"),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "day"),
        comment="only of partners with a daily limit",
    )


def _messages() -> None:
    op.create_table(
        "message_option",
        sa.Column("message_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("schedule_at", sa.BigInteger(), comment="not sent before"),
        sa.Column("user_reference", sa.Integer(), comment="user_message_reference of the submission, given back in receipts"),
        sa.Column("tlvs", sa.LargeBinary(), comment="parameters to pass on, as they stand in a PDU"),
        sa.Column("data_coding", sa.SmallInteger(), comment="as the sender gave it, where its parts have another"),
        comment="only of messages that have any of these",
    )


def _segments() -> None:
    queue = sa.Column(
        "queue",
        sa.BigInteger(),
        nullable=False,
        server_default=sa.text("0"),
        comment="whose turn it takes: partner id, 0 our own; +1 urgent",
    )
    op.add_column("segment", queue)
    op.add_column(
        "segment", sa.Column("target", sa.BigInteger(), comment="hash of service, source and destination, while it can still be replaced")
    )
    op.add_column(
        "segment",
        sa.Column("message_state", sa.SmallInteger(), comment="SMPP message_state that ended it, where the carrier or the sender said one"),
    )
    op.drop_index("segment_queue", "segment")
    op.create_index("segment_queue", "segment", ["link", "queue", "id", "expires_at"], **_where("state = 0 AND retry_at IS NULL"))
    op.create_index("segment_due", "segment", ["retry_at"], **_where("state = 0 AND retry_at IS NOT NULL"))
    op.create_index("segment_target", "segment", ["queue", "target"], **_where("state = 0 AND target IS NOT NULL"))
    op.create_index("segment_undelivered", "segment", ["smsc_id"], **_where("state IN (11, 12) AND smsc_id IS NOT NULL"))


def _mobile_originated() -> None:
    named = "national tables its header named: locking * 256 + single"
    op.add_column("mo_part", sa.Column("shift", sa.Integer(), nullable=False, server_default=sa.text("0"), comment=named))
    op.add_column("mo", sa.Column("protocol_id", sa.SmallInteger(), nullable=False, server_default=sa.text("0")))
    for table in ("mo_part", "mo"):
        op.add_column(table, sa.Column("tlvs", sa.LargeBinary(), comment="parameters to pass on, as they stand in a PDU"))


def _receipts() -> None:
    for name, length, comment in (
        ("source", 21, "the handset"),
        ("destination", 21, "our sender address"),
        ("stat", 16, "as the receipt's text spelt it"),
        ("excerpt", 40, "beginning of the message's text, where the receipt quotes it"),
        ("outcome", 16, "adopted, replayed, repeat, late, contradicts or dismissed"),
    ):
        op.add_column("parked_receipt", sa.Column(name, sa.String(length), comment=comment))
    op.add_column("parked_receipt", sa.Column("segment_id", sa.BigInteger(), comment="the segment it was found to mean"))
    op.create_index("parked_receipt_segment", "parked_receipt", ["segment_id"], **_where("segment_id IS NOT NULL"))
    op.create_table(
        "link_form",
        sa.Column("link", sa.String(32), primary_key=True),
        sa.Column("form", sa.String(32), nullable=False, comment="how its receipts write the ids of its responses"),
        sa.Column("confirmed", sa.Integer(), nullable=False, comment="receipts that agreed since it was learnt"),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
    )
