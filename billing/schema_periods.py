"""The tables of closing: periods with who closed them, what was in them, and runs that price charges anew."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, PrimaryKeyConstraint, SmallInteger, String, Table, text

from billing.schema import Id, metadata

period = Table(
    "period",
    metadata,
    Column("carrier", String(32), nullable=False),
    Column("period", Integer, nullable=False, comment="a day as YYYYMMDD, a month as YYYYMM00"),
    Column("first_day", Integer, nullable=False),
    Column("after_day", Integer, nullable=False, comment="the first day after it"),
    Column("state", SmallInteger, nullable=False, comment="1 closing, 2 closed, 3 locked; open periods have no row"),
    Column("closing_at", BigInteger, nullable=False),
    Column("closing_by", String(64), nullable=False),
    Column("sealed_at", BigInteger, comment="from here on no row enters it"),
    Column("closed_at", BigInteger),
    Column("closed_by", String(64)),
    Column("locked_at", BigInteger),
    Column("locked_by", String(64)),
    Column("records", BigInteger, nullable=False, server_default=text("0")),
    Column("held", BigInteger, nullable=False, server_default=text("0"), comment="charges of its events still held when it was sealed"),
    PrimaryKeyConstraint("carrier", "period"),
)

period_total = Table(
    "period_total",
    metadata,
    Column("carrier", String(32), nullable=False),
    Column("period", Integer, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("record_type", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("service", String(32), nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("carrier", "period", "currency", "record_type", "state", "service"),
)

rerate_run = Table(
    "rerate_run",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("carrier", String(32), nullable=False),
    Column("first_day", Integer, nullable=False),
    Column("after_day", Integer, nullable=False),
    Column("service", String(32), nullable=False, server_default=text("''"), comment="empty: all"),
    Column("tariff", String(64), nullable=False, comment="the version that prices anew"),
    Column("state", SmallInteger, nullable=False, comment="0 requested, 1 approved, 2 done, 3 refused"),
    Column("requested_by", String(64), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", BigInteger),
    Column("upto_seq", BigInteger, nullable=False, comment="last journal_seq it looks at"),
    Column("after_seq", BigInteger, nullable=False, server_default=text("-1"), comment="how far it is"),
    Column("looked_at", BigInteger, nullable=False, server_default=text("0")),
    Column("corrected", BigInteger, nullable=False, server_default=text("0")),
    Column("done_at", BigInteger),
    Column("unpaid", BigInteger, nullable=False, server_default=text("0"), comment="charges whose wallet could not pay"),
    CheckConstraint("decided_by <> requested_by", name="rerate_run_four_eyes"),
)
