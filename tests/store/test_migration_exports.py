"""Files written before there were books by day: their runs keep numbers, charges and hashes when the store is brought up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

import gateway.migrations
from billing.check import check
from billing.run_files import FileState, files_of
from billing.runs import Books, RunState
from gateway.store.engine import migrate, open_writing

FROM_US, DAY_US = 1_146_412_800_000_000, 86_400_000_000


def upgraded_to(conn: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(gateway.migrations.__file__ or "").parent))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


def put(conn: Connection, table: str, **values: object) -> None:
    conn.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(':' + name for name in values)})"), values)


def test_runs_of_the_time_before_keep_numbers_charges_and_hashes(tmp_path: Path):
    engine = open_writing(f"sqlite:///{tmp_path / 'store.db'}", synchronous="OFF")
    charge = {
        **dict.fromkeys(("record_type", "direction", "payer", "fee_class", "amount_minor", "unit_price_minor", "late"), 0),
        "state": 13,
        "event_at": FROM_US,
        "booked_at": FROM_US,
        "service": "chat",
        "parts": 1,
        "quantity": 1,
        "currency": "CNY",
        "tariff_version": "flat/1:0",
        "tariff_rule": "r",
        "carrier": "default",
        "period": 20060430,
    }
    run = {"profile": "charge", "carrier": "default", "from_us": FROM_US, "to_us": FROM_US + DAY_US, "upto_seq": 9, "amount_minor": 0}
    with engine.begin() as conn:
        upgraded_to(conn, "0005")
        put(conn, "charge", id=256, event_id=256, journal_seq=1, **charge)
        put(
            conn,
            "export_run",
            id=1,
            file_seq=1,
            state=1,
            records=1,
            file_name="a_r00.csv",
            sha256="a" * 64,
            created_at=1,
            written_at=2,
            **run,
        )
        put(conn, "export_run", id=2, file_seq=2, state=0, records=0, file_name="b_r00.csv", previous_sha256="a" * 64, created_at=3, **run)
        put(conn, "export_member", charge_id=256, run_id=1, record_seq=1)

    migrate(engine)

    books = Books(engine.begin, engine.begin)
    (written,), (left,) = files_of(books, 1), files_of(books, 2)
    assert (written.file_seq, written.state, written.records, written.sha256, written.file_name) == (
        1,
        FileState.WRITTEN,
        1,
        "a" * 64,
        "a_r00.csv",
    )
    assert (left.file_seq, left.state, left.records, left.previous_sha256) == (2, FileState.OPEN, None, "a" * 64)
    with engine.begin() as conn:
        days = conn.execute(text("SELECT first_day, after_day, state, original FROM export_run ORDER BY id")).all()
        assert days == [(20060430, 20060502, RunState.WRITTEN, 1), (20060430, 20060502, RunState.CLOSED, 2)]
        assert conn.execute(text("SELECT run_id, record_seq, charge_id, profile FROM export_member")).all() == [(1, 1, 256, "charge")]
        assert check(conn) == []
    engine.dispose()
