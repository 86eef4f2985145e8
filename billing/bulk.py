"""Many rows in one SQL statement.

`executemany` steps the engine once a row and, with pysqlite, hands the interpreter lock back and forth at each step: beside a busy
event loop one such row costs milliseconds. A multi-row statement is stepped once, and runs while the loop goes on.
The gateway's store uses these too: both write in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, exc

# Statement sizes: few distinct texts, so the engine's statement cache holds them all. 128 rows of 30 columns stay under
# SQLite's 32,766 and PostgreSQL's 65,535 parameters.
LARGE_SIZES = (128, 64)
# Small batches are what a quiet gateway has: each of up to so many rows is one statement, not a sum of powers of two.
EXACT_MAX = 32

Row = Sequence[Any]


class Insert(NamedTuple):
    """A prepared many-row insert of `columns` into `table`."""

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    suffix: str = ""


class Update(NamedTuple):
    """A prepared many-row update: rows are (key, values of `columns`..., `operands`...), `guard` is ANDed to the condition.

    `guard` and `sets` read the values of a row as v.column1 (the key), v.column2 and so on.
    """

    table: str
    key: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    guard: str = ""
    sets: str = ""


def insert_into(table: Table, *columns: str, on_conflict: str = "") -> Insert:
    """Prepare an insert; `on_conflict` is SQL such as `ON CONFLICT DO NOTHING`."""
    return Insert(table.name, columns, _types(table, columns), on_conflict)


def update_of(table: Table, key: str, *columns: str, operands: tuple[str, ...] = (), guard: str = "", sets: str = "") -> Update:
    """Prepare an update of `columns` by `key`; `sets` adds SQL assignments (`a = b`).

    `operands` are values of a row that only `guard` and `sets` use; each is named by the column whose type it has.
    """
    return Update(table.name, key, columns, _types(table, (key, *columns, *operands)), guard, sets)


def execute(conn: Connection, statement: Insert | Update, rows: Sequence[Row]) -> int:
    """Run the statement over all rows; the number of rows the engine changed."""
    total = 0
    postgresql = conn.dialect.name == "postgresql"
    for size, part in _chunks(rows):
        sql = _text(statement, size, postgresql)
        total += run(conn, sql, tuple(chain.from_iterable(part)))
    return total


def run(conn: Connection, sql: str, parameters: tuple[Any, ...] = ()) -> int:
    """One statement on the driver's own cursor, at a third of what the engine's result objects cost; the rows it changed."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)
    except conn.dialect.loaded_dbapi.Error as error:
        raise _failure(conn, sql, error) from error
    finally:
        cursor.close()


def read(conn: Connection, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
    """The rows of a query on the driver's own cursor, as tuples of what the driver makes; for what every batch asks."""
    cursor = conn.connection.cursor()
    try:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
    except conn.dialect.loaded_dbapi.Error as error:
        raise _failure(conn, sql, error) from error
    finally:
        cursor.close()


def _failure(conn: Connection, sql: str, error: Exception) -> BaseException:
    """The driver's error as the engine's, without the parameters."""
    # PostgreSQL adds the row at fault to its words, and with it the number of a subscriber.
    error.args = (first_line(str(error)), *error.args[1:])
    return exc.DBAPIError.instance(sql, None, error, conn.dialect.loaded_dbapi.Error, hide_parameters=True, dialect=conn.dialect)


def first_line(words: str) -> str:
    """What an engine says, without the details it adds in further lines."""
    return words.strip().partition("\n")[0]


def all_or_none(conn: Connection, statement: Update, rows: Sequence[Row]) -> bool:
    """Run an update if its guard holds for every row; False: for some it did not, and nothing was changed.

    The savepoint is written out, for the engine's own costs five times as much.
    """
    run(conn, "SAVEPOINT all_or_none")
    is_whole = execute(conn, statement, rows) == len(rows)
    if not is_whole:
        run(conn, "ROLLBACK TO SAVEPOINT all_or_none")
    run(conn, "RELEASE SAVEPOINT all_or_none")
    return is_whole


def _chunks(rows: Sequence[Row]) -> Iterable[tuple[int, Sequence[Row]]]:
    start, left = 0, len(rows)
    for size in LARGE_SIZES:
        while left >= size:
            yield size, rows[start : start + size]
            start += size
            left -= size
    while left:
        size = min(left, EXACT_MAX)
        yield size, rows[start : start + size]
        start += size
        left -= size


@lru_cache(maxsize=4096)
def _text(statement: Insert | Update, size: int, postgresql: bool) -> str:
    mark = "%s" if postgresql else "?"
    marks = ", ".join(f"CAST({mark} AS {kind})" if postgresql else mark for kind in statement.types)
    values = ", ".join([f"({marks})"] * size)
    if isinstance(statement, Insert):
        return f"INSERT INTO {statement.table} ({', '.join(statement.columns)}) VALUES {values} {statement.suffix}"  # noqa: S608 - names only
    assignments = [f"{column} = v.column{place}" for place, column in enumerate(statement.columns, 2)]
    if statement.sets:
        assignments.append(statement.sets)
    guard = f" AND {statement.guard}" if statement.guard else ""
    source = f"(VALUES {values}) AS v" + (_named_columns(len(statement.types)) if postgresql else "")
    where = f"{statement.table}.{statement.key} = v.column1{guard}"
    return f"UPDATE {statement.table} SET {', '.join(assignments)} FROM {source} WHERE {where}"  # noqa: S608 - names only


def _named_columns(count: int) -> str:
    return "(" + ", ".join(f"column{place}" for place in range(1, count + 1)) + ")"


def _types(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_TYPE_NAMES.get(type(table.c[column].type).__name__, "TEXT") for column in columns)


_TYPE_NAMES = {"BigInteger": "BIGINT", "Integer": "INTEGER", "SmallInteger": "SMALLINT", "Boolean": "BOOLEAN", "LargeBinary": "BYTEA"}
