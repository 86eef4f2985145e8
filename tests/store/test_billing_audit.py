"""The log of people's acts: a row changed, taken out or put in breaks the chain, and the check finds where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from billing import audit
from billing.audit import Act
from billing.check import check
from billing.errors import AuditError
from gateway.store.engine import open_writing
from gateway.store.schema import metadata


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    engine = open_writing(f"sqlite:///{tmp_path / 'ledger.db'}", synchronous="OFF")
    metadata.create_all(engine)
    with engine.begin() as connection:
        for number in range(1, 6):
            by = "li" if number % 2 else "王"
            assert audit.record(connection, Act(by, "refund", f"charge:{number}", {"amount_minor": number}), now_us=number) == number
        yield connection
    engine.dispose()


def test_a_chain_nobody_touched_is_whole(conn: Connection):
    assert (audit.broken_at(conn), audit.length(conn), check(conn)) == (None, 5, [])


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE audit_log SET detail = '{}' WHERE seq = 3", 3),
        ("UPDATE audit_log SET actor = 'zhao' WHERE seq = 1", 1),
        ("UPDATE audit_log SET at = 9 WHERE seq = 5", 5),
        ("DELETE FROM audit_log WHERE seq = 2", 3),
        ("DELETE FROM audit_log WHERE seq = 1", 2),
        ("UPDATE audit_log SET seq = 8 WHERE seq = 5", 8),
        ("UPDATE audit_log SET hash = previous WHERE seq = 4", 4),
        ("INSERT INTO audit_log SELECT 6, at, actor, act, subject, detail, previous, hash FROM audit_log WHERE seq = 5", 6),
    ],
)
def test_damage_is_found_at_its_row(conn: Connection, damage: str, found: int):
    conn.execute(text(damage))

    assert audit.broken_at(conn) == found
    assert "audit_chain" in {violation.invariant for violation in check(conn)}


def test_the_log_is_read_by_page_by_subject_and_by_person(conn: Connection):
    assert [entry.seq for entry in audit.entries(conn, after=2, rows_max=2)] == [3, 4]
    assert [entry.seq for entry in audit.entries(conn, subject="charge:4")] == [4]
    assert [entry.seq for entry in audit.entries(conn, actor="王")] == [2, 4]


@pytest.mark.parametrize("actor", ["", "a" * 65, "li\nwang", "=cmd()", " li"])
def test_an_act_needs_a_name_that_is_safe_anywhere(conn: Connection, actor: str):
    with pytest.raises(AuditError):
        audit.record(conn, Act(actor, "refund", "charge:1"), now_us=9)
