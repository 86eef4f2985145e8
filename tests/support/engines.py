"""Stores on both engines: the same test on SQLite and on PostgreSQL, each beginning with a migrated store that nobody has used."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from gateway.store.engine import migrate, open_writing
from tests.support.postgres import MEMORY, Unavailable, databases

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    name: str = request.param
    require(name)
    return name


@pytest.fixture
def engine_url(engine_name: str, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated and empty store of this test's own."""
    with store_url(engine_name, tmp_path) as url:
        yield url


@pytest.fixture
def engine(engine_url: str) -> Iterator[Engine]:
    """A writing engine on a store of this test's own."""
    engine = open_writing(engine_url, synchronous="OFF")
    yield engine
    engine.dispose()


@pytest.fixture
def empty_store(engine_name: str) -> Iterator[Connection]:
    """A transaction on an empty store, undone at the end: for tests that need no commit, and cost next to nothing."""
    with undone(engine_name) as conn:
        yield conn


def require(name: str) -> None:
    """Skip the test where there is no such engine."""
    if name == "postgresql":
        try:
            databases()
        except Unavailable as error:
            pytest.skip(str(error))


@contextmanager
def store_url(name: str, folder: Path) -> Iterator[str]:
    """A migrated and empty store; its file is in the folder, its database is dropped at the end."""
    require(name)
    if name == "sqlite":
        path = folder / "store.db"
        shutil.copyfile(_sqlite_template(), path)
        yield f"sqlite:///{path}"
        return
    database = databases().create(_postgresql_template())
    try:
        yield databases().url(database)
    finally:
        databases().drop(database)


@contextmanager
def blank_url(name: str, folder: Path) -> Iterator[str]:
    """A store in which there is nothing at all, not even a table."""
    require(name)
    if name == "sqlite":
        yield f"sqlite:///{folder / 'blank.db'}"
        return
    database = databases().create()
    try:
        yield databases().url(database)
    finally:
        databases().drop(database)


@contextmanager
def undone(name: str) -> Iterator[Connection]:
    """A transaction on a store that stays empty for ever."""
    require(name)
    with kept_engine(name, "empty").connect() as conn, conn.begin() as transaction:
        try:
            yield conn
        finally:
            transaction.rollback()


@cache
def kept_engine(name: str, purpose: str) -> Engine:
    """A store that all who name the same purpose share, as long as this process lives: for machines, which empty it themselves."""
    require(name)
    if name == "postgresql":
        return open_writing(databases().url(databases().create(_postgresql_template())))
    return open_writing(f"sqlite:///{shutil.copyfile(_sqlite_template(), _kept_folder() / f'{purpose}.db')}", synchronous="OFF")


@cache
def _kept_folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="bellhop-stores-", dir=MEMORY if MEMORY.is_dir() else None)
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when this process ends


@cache
def _sqlite_template() -> Path:
    path = _kept_folder() / "template.db"
    engine = open_writing(f"sqlite:///{path}", synchronous="OFF")
    migrate(engine)
    with engine.connect() as conn:
        conn.exec_driver_sql("COMMIT")
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@cache
def _postgresql_template() -> str:
    name = databases().create()
    engine = open_writing(databases().url(name))
    migrate(engine)
    engine.dispose()
    return name
