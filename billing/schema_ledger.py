"""Tables of the ledger that only people's acts write: requests that wait for a second person, and vouchers."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, SmallInteger, String, Table, Text

from billing.schema import Id, metadata

approval = Table(
    "approval",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False, comment="what is asked for, as refund; its executor knows the payload"),
    Column("cause", String(96), nullable=False, unique=True, comment="as of the act itself, so that a repeat asks once"),
    Column("subject", String(96), nullable=False),
    Column("payload", Text, nullable=False, comment="JSON"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("requested_by", String(64), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="0 waiting, 10 approved, 11 refused, 12 expired"),
    Column("decided_by", String(64)),
    Column("decided_at", BigInteger),
    CheckConstraint("decided_by <> requested_by", name="approval_by_another"),
    CheckConstraint("state NOT IN (10, 11) OR decided_by IS NOT NULL", name="approval_decided_by_somebody"),
)
Index("approval_waiting", approval.c.id, sqlite_where=approval.c.state == 0, postgresql_where=approval.c.state == 0)

voucher_batch = Table(
    "voucher_batch",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("name", String(32), nullable=False, unique=True),
    Column("value_minor", BigInteger, nullable=False, comment="of each voucher"),
    Column("currency", String(8), nullable=False),
    Column("vouchers", Integer, nullable=False, comment="how many were made"),
    Column("created_by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    CheckConstraint("value_minor > 0", name="voucher_batch_value_positive"),
)

voucher = Table(
    "voucher",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("code_hash", String(64), nullable=False, unique=True, comment="SHA-256 of an 80-bit random code"),
    Column("state", SmallInteger, nullable=False, comment="0 live, 10 redeemed, 11 void"),
    Column("wallet", BigInteger, comment="that it was redeemed into"),
    Column("transfer_id", BigInteger, unique=True, comment="that redeemed it"),
    Column("ended_at", BigInteger),
    CheckConstraint(
        "(state = 10) = (wallet IS NOT NULL) AND (state = 10) = (transfer_id IS NOT NULL)", name="voucher_redeemed_by_a_transfer"
    ),
)
Index("voucher_of_batch", voucher.c.batch_id, voucher.c.id)
