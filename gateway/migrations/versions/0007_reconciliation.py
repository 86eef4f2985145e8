"""Tables of reconciliation and settlement: carriers' files, comparisons and their items, rules, statements."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """New tables only."""
    _files()
    _runs()
    _settlements()


def _where(condition: str) -> dict[str, Any]:
    """A partial index in the words of both engines."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _files() -> None:
    op.create_table(
        "carrier_file",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False, comment="the day or month it is for"),
        sa.Column("name", sa.String(160), nullable=False),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column("profile_toml", sa.Text(), nullable=False, comment="as it was read with"),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 being read, 1 usable"),
        sa.Column("line_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("imported_by", sa.String(64), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("carrier_file_once", "carrier_file", ["carrier", "sha256"], unique=True)
    op.create_index("carrier_file_period", "carrier_file", ["carrier", "period"])
    op.create_table(
        "carrier_line",
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False, comment="in the file, from 1"),
        sa.Column("raw", sa.Text(), nullable=False, comment="the line as it came"),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.String(32), nullable=False),
        sa.Column("smsc_id", sa.String(65), nullable=False),
        sa.Column("msisdn", sa.String(21), nullable=False),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False, comment="the month of a monthly fee, else 0"),
        sa.Column("is_billable", sa.Boolean(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("record_count", sa.Integer(), nullable=False, comment="1; of a sum: how many records it adds up"),
        sa.Column("price_minor", sa.BigInteger(), nullable=False, comment="of a sum"),
        sa.PrimaryKeyConstraint("file_id", "line_no"),
        sa.CheckConstraint("amount_minor >= 0", name="carrier_line_amount_not_negative"),
    )


def _runs() -> None:
    op.create_table(
        "recon_run",
        sa.Column("number", _ID, primary_key=True, autoincrement=False),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, comment="of its files, their profile and the period"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 comparing, 1 in review, 2 accepted, 3 resolved, 9 superseded"),
        sa.Column("ours_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("theirs_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("item_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("difference_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("totals", sa.Text(), nullable=False, server_default=sa.text("'[]'"), comment="per currency, as JSON"),
        sa.Column(
            "is_within", sa.Boolean(), nullable=False, server_default=sa.text("false"), comment="inside the tolerance of its profile"
        ),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("recon_run_once", "recon_run", ["carrier", "period", "digest"], unique=True)
    op.create_table(
        "recon_item",
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="in the run, from 1"),
        sa.Column("kind", sa.SmallInteger(), nullable=False, comment="billing.matching.Class"),
        sa.Column("tier", sa.SmallInteger(), nullable=False, comment="billing.matching.Tier"),
        sa.Column("charge_id", sa.BigInteger()),
        sa.Column("file_id", sa.BigInteger()),
        sa.Column("line_no", sa.Integer()),
        sa.Column("more_lines", sa.Text(), comment="further lines of the same charge, joined by ,"),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("msisdn", sa.String(21), nullable=False),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), comment="of a sum"),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("ours_count", sa.Integer(), nullable=False),
        sa.Column("theirs_count", sa.Integer(), nullable=False),
        sa.Column("ours_minor", sa.BigInteger(), nullable=False),
        sa.Column("theirs_minor", sa.BigInteger(), nullable=False),
        sa.Column("delta_minor", sa.BigInteger(), nullable=False, comment="theirs less ours, as far as ours is in the period"),
        sa.Column("resolution", sa.SmallInteger(), comment="1 accept_carrier, 2 claim, 3 write_off, 4 fix_ours"),
        sa.Column("reason", sa.String(64)),
        sa.Column("resolved_by", sa.String(64)),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.Column("booked_minor", sa.BigInteger(), comment="what the resolution moved"),
        sa.Column("booked_id", sa.BigInteger(), comment="the correction, or the transfer where there is no charge to correct"),
        sa.Column("booked_period", sa.Integer(), comment="the day it stands in where no correction bears it"),
        sa.Column("booked_provider", sa.String(32), comment="whose charge it was, in that case"),
        sa.PrimaryKeyConstraint("run", "number"),
    )
    op.create_index("recon_item_kind", "recon_item", ["run", "kind", "number"])
    op.create_index("recon_item_charge", "recon_item", ["charge_id"], **_where("charge_id IS NOT NULL"))
    op.create_index("recon_item_booked", "recon_item", ["booked_period"], **_where("booked_period IS NOT NULL"))


def _settlements() -> None:
    op.create_table(
        "settlement_rule",
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("party", sa.String(64), nullable=False, comment="carrier, or provider/NAME"),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("effective_from", sa.Integer(), nullable=False, comment="a month"),
        sa.Column("effective_to", sa.Integer(), comment="the last month; none: until another rule begins"),
        sa.Column("share_num", sa.Integer(), nullable=False),
        sa.Column("share_den", sa.Integer(), nullable=False),
        sa.Column("imbalance_minor", sa.BigInteger(), nullable=False),
        sa.Column("bad_debt_ppm", sa.Integer(), nullable=False),
        sa.Column("floor_minor", sa.BigInteger()),
        sa.Column("cap_minor", sa.BigInteger()),
        sa.Column("absolute_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_ppm", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("carrier", "party", "currency", "effective_from"),
        sa.CheckConstraint("share_num >= 0 AND share_den > 0 AND share_num <= share_den", name="settlement_rule_share_within_one"),
    )
    op.create_table(
        "settlement",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("party", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="1 to n for each carrier and party"),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 draft, 1 approved, 2 locked"),
        sa.Column("settled_minor", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, comment="SHA-256 of its lines"),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(64)),
        sa.Column("approved_at", sa.BigInteger()),
        sa.Column("locked_by", sa.String(64)),
        sa.Column("locked_at", sa.BigInteger()),
        sa.CheckConstraint("approved_by <> created_by", name="settlement_approved_by_another"),
        sa.CheckConstraint("state = 0 OR approved_by IS NOT NULL", name="settlement_approved_by_someone"),
    )
    op.create_index("settlement_number", "settlement", ["carrier", "party", "number"], unique=True)
    op.create_index("settlement_once", "settlement", ["carrier", "party", "period", "currency"], unique=True)
    op.create_table(
        "settlement_line",
        sa.Column("settlement_id", sa.BigInteger(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False, comment="billing.waterfall.Reason"),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("record_count", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(96), nullable=False),
        sa.PrimaryKeyConstraint("settlement_id", "line_no"),
    )
