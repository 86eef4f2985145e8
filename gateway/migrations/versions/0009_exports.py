"""Files made of the days of a carrier's books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Files are made of the days of a carrier's books, have profiles, parts and revisions, and are delivered."""
    _exports()


def _exports() -> None:
    op.drop_index("export_run_number", "export_run")
    op.drop_index("export_member_run", "export_member")
    op.rename_table("export_run", "export_run_before")
    op.rename_table("export_member", "export_member_before")
    if op.get_bind().dialect.name == "postgresql":
        # A key keeps its name when its table is renamed, and the new tables want the same.
        op.execute("ALTER INDEX export_run_pkey RENAME TO export_run_before_pkey")
        op.execute("ALTER INDEX export_member_pkey RENAME TO export_member_before_pkey")
    _runs()
    _files()
    _copy()
    op.drop_table("export_member_before")
    op.drop_table("export_run_before")


def _runs() -> None:
    op.create_table(
        "export_run",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column(
            "spec", sa.Text(), nullable=False, comment="the profile as it was then, as JSON: what makes a repeat give the same bytes"
        ),
        sa.Column("node", sa.String(32), nullable=False),
        sa.Column(
            "producer", sa.String(64), nullable=False, comment="program and version; empty for files by time, made before there were books"
        ),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("first_day", sa.Integer(), nullable=False, comment="YYYYMMDD"),
        sa.Column("after_day", sa.Integer(), nullable=False, comment="YYYYMMDD, the first day that is not in it"),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.String(32), comment="only charges of this service"),
        sa.Column("provider", sa.String(32), comment="only charges of this provider"),
        sa.Column("upto_seq", sa.BigInteger(), nullable=False, comment="last journal_seq the run could see"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="-1 gathering, 0 closed, 1 written"),
        sa.Column("is_period_closed", sa.Boolean(), nullable=False, comment="whether the books were closed when the run was opened"),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False, comment="a check figure over all currencies, no amount of money"),
        sa.Column(
            "lost_records", sa.Integer(), nullable=False, server_default=sa.text("0"), comment="charges up to upto_seq that are in no file"
        ),
        sa.Column("revision", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("supersedes", sa.BigInteger(), comment="the run whose files this revision replaces"),
        sa.Column("original", sa.BigInteger(), nullable=False, comment="the run that has the members: itself, or the one first written"),
        sa.Column("reason", sa.String(160), comment="of a revision"),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("approved_by", sa.String(64)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.BigInteger()),
        sa.CheckConstraint("approved_by <> created_by", name="export_run_four_eyes"),
        sa.CheckConstraint("first_day < after_day", name="export_run_has_days"),
    )
    op.create_index("export_run_books", "export_run", ["profile", "carrier", "first_day"])
    op.create_index("export_run_original", "export_run", ["original", "revision"], unique=True)


def _files() -> None:
    op.create_table(
        "export_file",
        sa.Column("run_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer(), primary_key=True, autoincrement=False, comment="1 to n"),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("file_seq", sa.Integer(), nullable=False),
        sa.Column("revision", sa.SmallInteger(), nullable=False),
        sa.Column("first_record", sa.Integer(), nullable=False, comment="the member's record_seq that the file begins with"),
        sa.Column("records", sa.Integer(), comment="none while the file is not written"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 open, 1 written, 2 delivered, 3 acked, 4 rejected"),
        sa.Column("closure", sa.String(8), comment="why it ends where it does: period, manual, count, size"),
        sa.Column("file_name", sa.String(160), nullable=False),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("sha256", sa.String(64)),
        sa.Column("previous_sha256", sa.String(64), comment="of the original with the number before"),
        sa.Column("supersedes_sha256", sa.String(64), comment="of the revision before"),
        sa.Column("written_at", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("fault", sa.String(160), comment="why the last attempt to deliver it failed"),
        sa.Column("target", sa.String(64)),
        sa.Column("delivered_at", sa.BigInteger()),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("answered_by", sa.String(64)),
        sa.Column("answer", sa.String(160), comment="what the receiver said with it"),
    )
    op.create_index("export_file_number", "export_file", ["profile", "carrier", "file_seq", "revision"], unique=True)
    op.create_index("export_file_name", "export_file", ["file_name"], unique=True)
    op.create_table(
        "export_member",
        sa.Column("run_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("record_seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("charge_id", sa.BigInteger(), nullable=False),
        sa.Column("profile", sa.String(32), nullable=False),
        sqlite_with_rowid=False,
    )


def _copy() -> None:
    """Runs of the time before keep their numbers, charges and hashes; their windows become the days in UTC around them."""
    if op.get_bind().dialect.name == "postgresql":
        first, after = (
            f"CAST(to_char(to_timestamp({seconds}) AT TIME ZONE 'UTC', 'YYYYMMDD') AS INTEGER)"
            for seconds in ("from_us / 1000000", "(to_us - 1) / 1000000 + 86400")
        )
    else:
        first, after = (
            f"CAST(strftime('%Y%m%d', {seconds}, 'unixepoch') AS INTEGER)"
            for seconds in ("from_us / 1000000", "(to_us - 1) / 1000000 + 86400")
        )
    op.execute(
        "INSERT INTO export_run (id, profile, spec, node, producer, carrier, zone, first_day, after_day, from_us, to_us, upto_seq, state,"  # noqa: S608 - literals of this file
        " is_period_closed, records, amount_minor, revision, original, created_by, created_at, written_at)"
        f" SELECT id, profile, '{{}}', '', '', carrier, 'UTC', {first}, {after}, from_us, to_us, upto_seq, state,"
        " true, records, amount_minor, revision, id, 'export', created_at, written_at FROM export_run_before"
    )
    op.execute(
        "INSERT INTO export_file (run_id, part, profile, carrier, file_seq, revision, first_record, records, state, closure, file_name,"
        " sha256, previous_sha256, written_at) SELECT id, 1, profile, carrier, file_seq, revision, 1,"
        " CASE WHEN state = 1 THEN records END, CASE WHEN state = 1 THEN 1 ELSE 0 END, CASE WHEN state = 1 THEN 'period' END, file_name,"
        " sha256, previous_sha256, written_at FROM export_run_before"
    )
    op.execute(
        "INSERT INTO export_member (run_id, record_seq, charge_id, profile)"
        " SELECT run_id, record_seq, charge_id, 'charge' FROM export_member_before"
    )
    op.create_index("export_member_once", "export_member", ["charge_id", "profile"], unique=True)
