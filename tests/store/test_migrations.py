"""The schema's versions: an empty database becomes what the tables say, wholly or not at all, and a newer one is left alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, inspect, text

from gateway.store.engine import migrate, open_writing
from gateway.store.errors import NewerStore
from gateway.store.schema import metadata
from tests.support.engines import blank_url

ROOT = Path(__file__).resolve().parents[2]

KILLED_WHILE_MIGRATING = """
import os, sys
from sqlalchemy import event
from gateway.store.engine import migrate, open_writing

engine = open_writing(sys.argv[1])
seen = []

def before(conn, cursor, statement, *rest):
    seen.append(statement)
    if sum("CREATE TABLE" in one for one in seen) == 9:
        os._exit(9)

event.listen(engine, "before_cursor_execute", before)
migrate(engine)
"""


INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
}


@pytest.fixture
def url(engine_name: str, tmp_path: Path) -> Iterator[str]:
    with blank_url(engine_name, tmp_path) as url:
        yield url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_writing(url, synchronous="OFF")
    yield engine
    engine.dispose()


def schema_of(engine: Engine) -> dict[str, object]:
    """Tables by their columns (an added column's place in the text says nothing), keys and checks; indexes by their text."""
    with engine.begin() as conn:
        indexes = conn.execute(text(INDEXES[engine.dialect.name])).all()
        looked_at = inspect(conn)
        tables = {name: columns_of(conn, name) for name in looked_at.get_table_names() if name != "alembic_version"}
        checks = {f"{name} checks": sorted(str(each) for each in looked_at.get_check_constraints(name)) for name in tables}
    return {**tables, **checks, **{name: " ".join(sql.split()) for name, sql in indexes}}


def columns_of(conn: Connection, table: str) -> list[tuple[object, ...]]:
    """Name, type, NOT NULL, default and, on SQLite, place in the primary key; PostgreSQL has an index for that."""
    if conn.dialect.name == "sqlite":
        return [tuple(row)[1:] for row in conn.execute(text(f"PRAGMA table_info({table})"))]
    return [(each["name"], str(each["type"]), each["nullable"], each["default"]) for each in inspect(conn).get_columns(table)]


def is_comment(change: object) -> bool:
    return isinstance(change, tuple) and change[0] == "modify_comment"


def version_of(engine: Engine) -> str | None:
    with engine.begin() as conn:
        return MigrationContext.configure(conn).get_current_revision()


def test_an_empty_database_becomes_exactly_what_the_tables_say(engine_name: str, engine: Engine, tmp_path_factory):
    with blank_url(engine_name, tmp_path_factory.mktemp("wanted")) as wanted_url:
        wanted = open_writing(wanted_url, synchronous="OFF")
        metadata.create_all(wanted)

        migrate(engine)

        assert schema_of(engine) == schema_of(wanted)
        wanted.dispose()


def test_alembic_finds_nothing_left_to_change(engine: Engine):
    migrate(engine)

    with engine.begin() as conn:
        changes = compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True}), metadata)

    # A comment is for whoever reads the tables; a better wording is no reason for a migration.
    assert [change for change in changes if not all(is_comment(part) for part in change)] == []


def test_migrating_twice_changes_nothing(engine: Engine):
    migrate(engine)
    before, version = schema_of(engine), version_of(engine)

    migrate(engine)

    assert version is not None
    assert (schema_of(engine), version_of(engine)) == (before, version)


def test_a_newer_store_is_refused_and_left_as_it_is(engine: Engine):
    migrate(engine)
    before = schema_of(engine)
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(NewerStore, match="9999"):
        migrate(engine)

    assert (schema_of(engine), version_of(engine)) == (before, "9999")


def test_a_migration_that_fails_half_way_leaves_nothing(engine: Engine):
    def fail(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "CREATE TABLE segment" in statement:
            raise OSError("no room on the device")

    event.listen(engine, "before_cursor_execute", fail)

    with pytest.raises(OSError, match="no room"):
        migrate(engine)

    event.remove(engine, "before_cursor_execute", fail)
    assert inspect(engine).get_table_names() == []


def test_a_migration_killed_half_way_leaves_nothing_and_can_be_done_again(engine: Engine, url: str):
    command = [sys.executable, "-c", KILLED_WHILE_MIGRATING, url]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert (killed.returncode, killed.stderr) == (9, "")
    assert inspect(engine).get_table_names() == []
    migrate(engine)
    assert version_of(engine) is not None
