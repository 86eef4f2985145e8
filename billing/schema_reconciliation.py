"""Tables of reconciliation and settlement: the carriers' files as they came, what comparing them gave, and the statements.

A carrier's file counts only in the state USABLE, which it reaches when it was read whole and its trailer agreed. An item's resolution is
written once; what it booked is named beside it. Statements of a carrier and party are numbered without a gap.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from billing.schema import Id, metadata

carrier_file = Table(
    "carrier_file",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("carrier", String(32), nullable=False),
    Column("period", Integer, nullable=False, comment="the day or month it is for"),
    Column("name", String(160), nullable=False),
    Column("profile", String(32), nullable=False),
    Column("profile_toml", Text, nullable=False, comment="as it was read with"),
    Column("sha256", String(64), nullable=False),
    Column("state", SmallInteger, nullable=False, comment="0 being read, 1 usable"),
    Column("line_count", Integer, nullable=False, server_default=text("0")),
    Column("imported_by", String(64), nullable=False),
    Column("imported_at", BigInteger, nullable=False),
)
Index("carrier_file_once", carrier_file.c.carrier, carrier_file.c.sha256, unique=True)
Index("carrier_file_period", carrier_file.c.carrier, carrier_file.c.period)

carrier_line = Table(
    "carrier_line",
    metadata,
    Column("file_id", BigInteger, nullable=False),
    Column("line_no", Integer, nullable=False, comment="in the file, from 1"),
    Column("raw", Text, nullable=False, comment="the line as it came"),
    Column("day", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("link", String(32), nullable=False),
    Column("smsc_id", String(65), nullable=False),
    Column("msisdn", String(21), nullable=False),
    Column("service", String(32), nullable=False),
    Column("cycle", Integer, nullable=False, comment="the month of a monthly fee, else 0"),
    Column("is_billable", Boolean, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("record_count", Integer, nullable=False, comment="1; of a sum: how many records it adds up"),
    Column("price_minor", BigInteger, nullable=False, comment="of a sum"),
    PrimaryKeyConstraint("file_id", "line_no"),
    CheckConstraint("amount_minor >= 0", name="carrier_line_amount_not_negative"),
)

recon_run = Table(
    "recon_run",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=False),
    Column("carrier", String(32), nullable=False),
    Column("period", Integer, nullable=False),
    Column("digest", String(64), nullable=False, comment="of its files, their profile and the period"),
    Column("state", SmallInteger, nullable=False, comment="0 comparing, 1 in review, 2 accepted, 3 resolved, 9 superseded"),
    Column("ours_count", Integer, nullable=False, server_default=text("0")),
    Column("theirs_count", Integer, nullable=False, server_default=text("0")),
    Column("item_count", Integer, nullable=False, server_default=text("0")),
    Column("difference_count", Integer, nullable=False, server_default=text("0")),
    Column("totals", Text, nullable=False, server_default=text("'[]'"), comment="per currency, as JSON"),
    Column("is_within", Boolean, nullable=False, server_default=text("false"), comment="inside the tolerance of its profile"),
    Column("created_by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
Index("recon_run_once", recon_run.c.carrier, recon_run.c.period, recon_run.c.digest, unique=True)

recon_item = Table(
    "recon_item",
    metadata,
    Column("run", BigInteger, nullable=False),
    Column("number", Integer, nullable=False, comment="in the run, from 1"),
    Column("kind", SmallInteger, nullable=False, comment="billing.matching.Class"),
    Column("tier", SmallInteger, nullable=False, comment="billing.matching.Tier"),
    Column("charge_id", BigInteger),
    Column("file_id", BigInteger),
    Column("line_no", Integer),
    Column("more_lines", Text, comment="further lines of the same charge, joined by ,"),
    Column("day", Integer, nullable=False),
    Column("msisdn", String(21), nullable=False),
    Column("service", String(32), nullable=False),
    Column("price_minor", BigInteger, comment="of a sum"),
    Column("currency", String(8), nullable=False),
    Column("ours_count", Integer, nullable=False),
    Column("theirs_count", Integer, nullable=False),
    Column("ours_minor", BigInteger, nullable=False),
    Column("theirs_minor", BigInteger, nullable=False),
    Column("delta_minor", BigInteger, nullable=False, comment="theirs less ours, as far as ours is in the period"),
    Column("resolution", SmallInteger, comment="1 accept_carrier, 2 claim, 3 write_off, 4 fix_ours"),
    Column("reason", String(64)),
    Column("resolved_by", String(64)),
    Column("resolved_at", BigInteger),
    Column("booked_minor", BigInteger, comment="what the resolution moved"),
    Column("booked_id", BigInteger, comment="the correction, or the transfer where there is no charge to correct"),
    Column("booked_period", Integer, comment="the day it stands in where no correction bears it"),
    Column("booked_provider", String(32), comment="whose charge it was, in that case"),
    PrimaryKeyConstraint("run", "number"),
)
Index("recon_item_kind", recon_item.c.run, recon_item.c.kind, recon_item.c.number)
Index(
    "recon_item_charge",
    recon_item.c.charge_id,
    sqlite_where=recon_item.c.charge_id.is_not(None),
    postgresql_where=recon_item.c.charge_id.is_not(None),
)
Index(
    "recon_item_booked",
    recon_item.c.booked_period,
    sqlite_where=recon_item.c.booked_period.is_not(None),
    postgresql_where=recon_item.c.booked_period.is_not(None),
)

settlement_rule = Table(
    "settlement_rule",
    metadata,
    Column("carrier", String(32), nullable=False),
    Column("party", String(64), nullable=False, comment="carrier, or provider/NAME"),
    Column("currency", String(8), nullable=False),
    Column("effective_from", Integer, nullable=False, comment="a month"),
    Column("effective_to", Integer, comment="the last month; none: until another rule begins"),
    Column("share_num", Integer, nullable=False),
    Column("share_den", Integer, nullable=False),
    Column("imbalance_minor", BigInteger, nullable=False),
    Column("bad_debt_ppm", Integer, nullable=False),
    Column("floor_minor", BigInteger),
    Column("cap_minor", BigInteger),
    Column("absolute_minor", BigInteger, nullable=False),
    Column("tax_ppm", Integer, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("carrier", "party", "currency", "effective_from"),
    CheckConstraint("share_num >= 0 AND share_den > 0 AND share_num <= share_den", name="settlement_rule_share_within_one"),
)

settlement = Table(
    "settlement",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("carrier", String(32), nullable=False),
    Column("party", String(64), nullable=False),
    Column("number", Integer, nullable=False, comment="1 to n for each carrier and party"),
    Column("period", Integer, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("state", SmallInteger, nullable=False, comment="0 draft, 1 approved, 2 locked"),
    Column("settled_minor", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False, comment="SHA-256 of its lines"),
    Column("created_by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("approved_by", String(64)),
    Column("approved_at", BigInteger),
    Column("locked_by", String(64)),
    Column("locked_at", BigInteger),
    CheckConstraint("approved_by <> created_by", name="settlement_approved_by_another"),
    CheckConstraint("state = 0 OR approved_by IS NOT NULL", name="settlement_approved_by_someone"),
)
Index("settlement_number", settlement.c.carrier, settlement.c.party, settlement.c.number, unique=True)
Index("settlement_once", settlement.c.carrier, settlement.c.party, settlement.c.period, settlement.c.currency, unique=True)

settlement_line = Table(
    "settlement_line",
    metadata,
    Column("settlement_id", BigInteger, nullable=False),
    Column("line_no", Integer, nullable=False),
    Column("reason", String(32), nullable=False, comment="billing.waterfall.Reason"),
    Column("amount_minor", BigInteger, nullable=False),
    Column("record_count", Integer, nullable=False),
    Column("note", String(96), nullable=False),
    PrimaryKeyConstraint("settlement_id", "line_no"),
)
