"""Opening the store: engines with the durability we promise, and the schema's version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL, ExceptionContext

from billing import bulk
from billing.schema import carrier_books, charge, transfer
from gateway.store import schema
from gateway.store.errors import NewerStore

if TYPE_CHECKING:
    from alembic.config import Config

# The newest of the migrations: a store that has it is not looked at any further.
SCHEMA_VERSION = "0010"
BUSY_TIMEOUT_S = 5.0
# Each many-row statement has a text per size; with fewer cached ones pysqlite would prepare them again and again.
STATEMENTS_CACHED = 1024
# A server that does not answer is given up in seconds, not in the quarter of an hour that TCP takes; libpq's names and units.
_PATIENCE = {"application_name": "bellhop", "connect_timeout": "10", "tcp_user_timeout": "15000", "keepalives_idle": "10"}
_MIGRATIONS = Path(__file__).parent.parent / "migrations"


def open_writing(url: str, *, synchronous: str = "FULL", busy_timeout_s: float = BUSY_TIMEOUT_S, page_cache_kib: int = 65_536) -> Engine:
    """An engine whose transactions begin at once as writers, and whose commits are on disk when they return."""
    engine = _create(url, pool_size=2)
    if engine.dialect.name == "sqlite":
        pragmas = _pragmas(busy_timeout_s, synchronous, page_cache_kib)
        _configure_sqlite(engine, begin="BEGIN IMMEDIATE", pragmas=(pragmas[0], "journal_mode = WAL", *pragmas[1:]))
    else:
        _configure_postgresql(engine, busy_timeout_s, is_reading=False)
    return engine


def open_reading(url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """An engine for reads: a transaction sees what was committed when it began, and can change nothing."""
    # A connection that lay in the pool while the server was restarted is made anew, instead of failing a read.
    engine = _create(url, pool_size=4, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        _configure_sqlite(engine, begin="BEGIN", pragmas=(*_pragmas(busy_timeout_s, "FULL", 16_384), "query_only = ON"))
    else:
        _configure_postgresql(engine, busy_timeout_s, is_reading=True)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to this program's version; raises NewerStore when it is already beyond it."""
    with engine.begin() as conn:
        version = _version_of(conn)
        if version != SCHEMA_VERSION:
            _upgrade(conn, version)


def _version_of(conn: Connection) -> str | None:
    if not conn.dialect.has_table(conn, "alembic_version"):
        return None
    version: str | None = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return version


def _upgrade(conn: Connection, version: str | None) -> None:
    # Imported here: it is a fifth of what a start imports, and only a new or an old store needs it.
    from alembic import command
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_alembic(conn))
    assert script.get_current_head() == SCHEMA_VERSION, "SCHEMA_VERSION must name the newest of the migrations"
    if version is not None and version not in {revision.revision for revision in script.walk_revisions()}:
        raise NewerStore(version)
    command.upgrade(_alembic(conn), "head")


def _alembic(conn: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = conn
    return config


def _create(url: str, *, pool_size: int, pool_pre_ping: bool = False) -> Engine:
    parsed = _url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    arguments: dict[str, Any] = {"cached_statements": STATEMENTS_CACHED} if is_sqlite else _patience(parsed)
    # Parameters hold numbers of subscribers: they must not stand in an exception's text.
    return create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=4,
        hide_parameters=True,
        pool_pre_ping=pool_pre_ping and not is_sqlite,
        connect_args=arguments,
    )


def _configure_postgresql(engine: Engine, busy_timeout_s: float, *, is_reading: bool) -> None:
    """A lock is waited for as long as on SQLite; a reader's transaction sees one snapshot, as SQLite's do by themselves."""
    from psycopg import IsolationLevel

    def connected(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.execute(f"SET lock_timeout = {int(busy_timeout_s * 1000)}")
        dbapi_connection.commit()
        if is_reading:
            dbapi_connection.isolation_level = IsolationLevel.REPEATABLE_READ
            dbapi_connection.read_only = True

    event.listen(engine, "connect", connected)
    event.listen(engine, "handle_error", _without_values)


def _without_values(context: ExceptionContext) -> None:
    """PostgreSQL adds the row at fault to its words, and with it the number of a subscriber."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args:
            error.args = (bulk.first_line(str(error.args[0])), *error.args[1:])


def _patience(url: URL) -> dict[str, Any]:
    """What the address itself does not say."""
    return {name: value for name, value in _PATIENCE.items() if name not in url.query}


def _url(url: str) -> URL:
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in {"postgresql", "postgres"} else parsed


def _pragmas(busy_timeout_s: float, synchronous: str, cache_kib: int) -> tuple[str, ...]:
    return (
        f"busy_timeout = {int(busy_timeout_s * 1000)}",
        f"synchronous = {synchronous}",
        f"cache_size = -{cache_kib}",
        "wal_autocheckpoint = 4000",
    )


def _configure_sqlite(engine: Engine, *, begin: str, pragmas: tuple[str, ...]) -> None:
    def connected(dbapi_connection: Any, _record: Any) -> None:
        # Without this pysqlite begins and commits by itself, and RELEASE SAVEPOINT would commit the whole transaction.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def began(conn: Connection) -> None:
        bulk.run(conn, begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", began)


def greatest_id(engine: Engine) -> int:
    """The greatest id in the store, so that none is made twice when the clock was set back."""
    columns = (schema.message.c.id, schema.mo.c.id, schema.outbox.c.id, schema.im_message.c.id, schema.parked_receipt.c.id, transfer.c.id)
    queries = [select(func.max(column)) for column in columns]
    with engine.connect() as conn:
        for carrier in conn.execute(select(carrier_books.c.carrier)).scalars().all():
            # Its index is partial: only with both conditions can the engine use it.
            in_books = (charge.c.carrier == carrier) & charge.c.journal_seq.is_not(None)
            queries.append(select(func.max(charge.c.journal_seq)).where(in_books))
        greatest = [conn.execute(query).scalar() for query in queries]
    return max((int(found) for found in greatest if found is not None), default=0)
