"""Tables of the charge files: runs, the files of a run, and which charge stands in which run."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, SmallInteger, String, Table, Text, text

from billing.schema import Id, metadata

export_run = Table(
    "export_run",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("profile", String(32), nullable=False),
    Column("spec", Text, nullable=False, comment="the profile as it was then, as JSON: what makes a repeat give the same bytes"),
    Column("node", String(32), nullable=False),
    Column("producer", String(64), nullable=False, comment="program and version; empty for files by time, made before there were books"),
    Column("carrier", String(32), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("first_day", Integer, nullable=False, comment="YYYYMMDD"),
    Column("after_day", Integer, nullable=False, comment="YYYYMMDD, the first day that is not in it"),
    Column("from_us", BigInteger, nullable=False),
    Column("to_us", BigInteger, nullable=False),
    Column("service", String(32), comment="only charges of this service"),
    Column("provider", String(32), comment="only charges of this provider"),
    Column("upto_seq", BigInteger, nullable=False, comment="last journal_seq the run could see"),
    Column("state", SmallInteger, nullable=False, comment="-1 gathering, 0 closed, 1 written"),
    Column("is_period_closed", Boolean, nullable=False, comment="whether the books were closed when the run was opened"),
    Column("records", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False, comment="a check figure over all currencies, no amount of money"),
    Column("lost_records", Integer, nullable=False, server_default=text("0"), comment="charges up to upto_seq that are in no file"),
    Column("revision", SmallInteger, nullable=False, server_default=text("0")),
    Column("supersedes", BigInteger, comment="the run whose files this revision replaces"),
    Column("original", BigInteger, nullable=False, comment="the run that has the members: itself, or the one first written"),
    Column("reason", String(160), comment="of a revision"),
    Column("created_by", String(64), nullable=False),
    Column("approved_by", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("written_at", BigInteger),
    CheckConstraint("approved_by <> created_by", name="export_run_four_eyes"),
    CheckConstraint("first_day < after_day", name="export_run_has_days"),
)
Index("export_run_books", export_run.c.profile, export_run.c.carrier, export_run.c.first_day)
Index("export_run_original", export_run.c.original, export_run.c.revision, unique=True)

export_file = Table(
    "export_file",
    metadata,
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False, comment="1 to n"),
    Column("profile", String(32), nullable=False),
    Column("carrier", String(32), nullable=False),
    Column("file_seq", Integer, nullable=False),
    Column("revision", SmallInteger, nullable=False),
    Column("first_record", Integer, nullable=False, comment="the member's record_seq that the file begins with"),
    Column("records", Integer, comment="none while the file is not written"),
    Column("state", SmallInteger, nullable=False, comment="0 open, 1 written, 2 delivered, 3 acked, 4 rejected"),
    Column("closure", String(8), comment="why it ends where it does: period, manual, count, size"),
    Column("file_name", String(160), nullable=False),
    Column("bytes", BigInteger),
    Column("sha256", String(64)),
    Column("previous_sha256", String(64), comment="of the original with the number before"),
    Column("supersedes_sha256", String(64), comment="of the revision before"),
    Column("written_at", BigInteger),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("fault", String(160), comment="why the last attempt to deliver it failed"),
    Column("target", String(64)),
    Column("delivered_at", BigInteger),
    Column("answered_at", BigInteger),
    Column("answered_by", String(64)),
    Column("answer", String(160), comment="what the receiver said with it"),
)
Index("export_file_number", export_file.c.profile, export_file.c.carrier, export_file.c.file_seq, export_file.c.revision, unique=True)
Index("export_file_name", export_file.c.file_name, unique=True)

# Kept in the order in which a file is read; the second index is what keeps a charge out of a second original.
export_member = Table(
    "export_member",
    metadata,
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("record_seq", Integer, primary_key=True, autoincrement=False),
    Column("charge_id", BigInteger, nullable=False),
    Column("profile", String(32), nullable=False),
    sqlite_with_rowid=False,
)
Index("export_member_once", export_member.c.charge_id, export_member.c.profile, unique=True)
