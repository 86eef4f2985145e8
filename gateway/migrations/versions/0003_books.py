"""Books: a charge belongs to a carrier and a day, a correction to its charge, a wallet may have credit, and people's acts are logged."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns that need no rewriting of rows; the account table is small, and made anew where the engine cannot drop a constraint."""
    _accounts()
    _charges()
    _books()
    if op.get_bind().dialect.name == "postgresql":
        _widen()


def _where(condition: str) -> dict[str, Any]:
    """A partial index in the words of both engines."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _accounts() -> None:
    """A party has an account in each of its currencies, and a wallet may go below zero within a limit."""
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("account", _limit())
        op.drop_constraint("account_party_key", "account", type_="unique")
        op.drop_constraint("account_wallet_not_negative", "account", type_="check")
        op.create_check_constraint("account_limit_not_negative", "account", "limit_minor >= 0")
        op.create_check_constraint("account_wallet_within_limit", "account", _WITHIN_LIMIT)
    else:
        op.rename_table("account", "account_before")
        op.create_table(
            "account",
            sa.Column("id", _ID, primary_key=True, autoincrement=False),
            sa.Column("party", sa.String(64), nullable=False, comment="partner:NAME, im:NUMBER, sponsor:NAME or house:NAME"),
            sa.Column("currency", sa.String(8), nullable=False),
            sa.Column("is_wallet", sa.Boolean(), nullable=False, comment="only wallets keep a running balance"),
            sa.Column("posted_minor", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
            sa.Column("held_minor", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
            sa.Column("created_at", sa.BigInteger(), nullable=False),
            _limit(),
            sa.CheckConstraint("held_minor >= 0", name="account_held_not_negative"),
            sa.CheckConstraint("limit_minor >= 0", name="account_limit_not_negative"),
            sa.CheckConstraint(_WITHIN_LIMIT, name="account_wallet_within_limit"),
        )
        columns = "id, party, currency, is_wallet, posted_minor, held_minor, created_at"
        op.execute(f"INSERT INTO account ({columns}) SELECT {columns} FROM account_before")  # noqa: S608 - names of this file
        op.drop_table("account_before")
    op.create_index("account_party", "account", ["party", "currency"], unique=True)


def _widen() -> None:
    """Columns that hold what comes: SQLite never kept them to their size, PostgreSQL refuses what is larger."""
    op.alter_column("charge", "network_error", type_=sa.String(32), existing_type=sa.String(16))
    op.alter_column("segment", "status", type_=sa.BigInteger(), existing_type=sa.Integer(), existing_comment="last SMPP command_status")
    op.alter_column("attempt", "status", type_=sa.BigInteger(), existing_type=sa.Integer())
    op.alter_column("outbox", "outcome", type_=sa.BigInteger(), existing_type=sa.SmallInteger())


_WITHIN_LIMIT = "NOT is_wallet OR posted_minor - held_minor + limit_minor >= 0"


def _limit() -> sa.Column[int]:
    return sa.Column(
        "limit_minor", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment="credit: how far below zero a wallet may go"
    )


def _charges() -> None:
    for column in (
        sa.Column("carrier", sa.String(32), comment="whose books it is in, once settled"),
        sa.Column("period", sa.Integer(), comment="the day of those books as YYYYMMDD, once settled"),
        sa.Column("item", sa.String(64)),
        sa.Column("provider", sa.String(32)),
        sa.Column("mo_link_id", sa.String(32), comment="the MO that asked for it"),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment="contained in amount_minor"),
        sa.Column("allowance", sa.String(64)),
        sa.Column("promotion", sa.String(64)),
        sa.Column("subscription", sa.BigInteger()),
        sa.Column("cycle", sa.Integer(), comment="of the subscription: the month or day it pays for"),
        sa.Column("corrects", sa.BigInteger(), comment="the charge this record corrects"),
        sa.Column("reason", sa.String(64), comment="why a person, or a policy, made this record"),
        sa.Column("trace", sa.Text(), comment="how its price came about, as JSON, where counters had a part in it; else the tariff tells"),
    ):
        op.add_column("charge", column)
    # What was settled before there were books goes into those of the default carrier, by its day in UTC.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    day = (
        "CAST(to_char(to_timestamp(booked_at / 1000000) AT TIME ZONE 'UTC', 'YYYYMMDD') AS INTEGER)"
        if is_postgresql
        else "CAST(strftime('%Y%m%d', booked_at / 1000000, 'unixepoch') AS INTEGER)"
    )
    op.execute(f"UPDATE charge SET carrier = 'default', period = {day} WHERE journal_seq IS NOT NULL")  # noqa: S608 - a literal of this file
    op.drop_index("charge_journal", "charge")
    op.create_index("charge_books", "charge", ["carrier", "journal_seq", "period"], **_where("journal_seq IS NOT NULL"))
    op.create_index("charge_msisdn", "charge", ["charged_msisdn", "id"], **_where("charged_msisdn IS NOT NULL"))
    op.create_index("charge_corrects", "charge", ["corrects"], **_where("corrects IS NOT NULL"))


def _books() -> None:
    op.create_table(
        "carrier_books",
        sa.Column("carrier", sa.String(32), primary_key=True),
        sa.Column("closed_until", sa.Integer(), nullable=False, comment="the first day that still takes rows; 0: all do"),
    )
    op.execute("INSERT INTO carrier_books (carrier, closed_until) VALUES ('default', 0)")
    op.create_table(
        "audit_log",
        sa.Column("seq", _ID, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("act", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(96), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("previous", sa.String(64), nullable=False, comment="hash of the row before"),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("audit_log_subject", "audit_log", ["subject", "seq"])
    op.create_table(
        "staff",
        sa.Column("name", sa.String(64), primary_key=True, comment="acts are logged under it"),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True, comment="SHA-256 of a 256-bit random key"),
        sa.Column("scopes", sa.String(64), nullable=False, comment="read, act, approve; joined by commas"),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
