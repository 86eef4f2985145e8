"""A month of charges put into a store by bulk statements: what closing, export and reconciliation are measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, bindparam, func, select, update

from billing import book, booking, calendar
from billing.carriers import Carriers
from billing.errors import PeriodError
from billing.schema import account, charge, transfer
from gateway.domain.ids import SEGMENT_MAX, id_floor
from gateway.domain.message import Message
from gateway.store.mo import Mo
from gateway.store.schema import message, mo, segment
from simulators.month_rows import CHARGE_COLUMNS, SEGMENT_COLUMNS, TRANSFER_COLUMNS, Chunk, Month, Payers, Plan, Row

CHARGES_MAX = 10_000_000
CHUNK = 10_000
PARTNERS, CHATTERS = 8, 200
CREDIT_MINOR = 10**12
_TABLES: tuple[tuple[Table, Sequence[str], Callable[[Chunk], list[Row]]], ...] = (
    (charge, CHARGE_COLUMNS, lambda chunk: chunk.charges),
    (transfer, TRANSFER_COLUMNS, lambda chunk: chunk.transfers),
    (message, Message._fields, lambda chunk: chunk.messages),
    (segment, SEGMENT_COLUMNS, lambda chunk: chunk.segments),
    (mo, Mo._fields[:-2], lambda chunk: chunk.mos),
)
_POST = update(account).where(account.c.id == bindparam("wallet")).values(posted_minor=account.c.posted_minor + bindparam("minor"))


class Wanted(NamedTuple):
    """What month is asked for."""

    charges: int
    month: int
    carrier: str
    seed: int
    currency: str
    with_messages: bool


class Made(NamedTuple):
    """What was put into the store."""

    charges: int
    amount_minor: int  # refunds taken off
    refunds: int


def fill(engine: Engine, carriers: Carriers, wanted: Wanted, now_us: int, told: Callable[[int], None]) -> Made:
    """Put the month into the store; `told` hears after each transaction how many charges are there.

    Raises PeriodError for a month that is not over, is closed, or has charges already.
    """
    carrier = carriers.named(wanted.carrier)
    if carrier is None:
        known = ", ".join(each.name for each in carriers)
        raise PeriodError(f"there is no carrier {wanted.carrier[:32]!r}; the configuration has {known}")
    span = calendar.span_of(wanted.month, carrier.zone)
    name = calendar.write(wanted.month)
    if span.to_us > now_us:
        raise PeriodError(f"{name} is not over yet: charges of days to come would make ids that the gateway has still to make")
    with engine.begin() as conn:
        booking.Booking(carriers).open_books(conn)
        if booking.closed_until(conn).get(carrier.name, 0) > span.first:
            raise PeriodError(f"{name} is closed, or begun to be, in the books of {carrier.name}; take another month")
        ids = charge.c.id.between(id_floor(span.from_us), id_floor(span.to_us) - 1)
        if conn.execute(select(charge.c.id).where(ids).limit(1)).first() is not None:
            raise PeriodError(f"the store has charges of {name} already; take another month, or an empty store")
        payers = _open_accounts(conn, wanted, span.from_us)
    links = tuple(carriers.links_of(carrier.name)) or (f"{carrier.name}-1", f"{carrier.name}-2")
    limits = (span.from_us, span.to_us, now_us, carrier.name, links, wanted.currency, wanted.month, wanted.with_messages)
    made = Made(0, 0, 0)
    for chunk in Month(Plan(wanted.charges, wanted.seed, *limits), payers, carriers).chunks(CHUNK):
        with engine.begin() as conn:
            _load(conn, chunk)
        made = _counted(made, chunk)
        told(made.charges)
    with engine.begin() as conn:
        # The engine's statistics are of an empty store until it looks again.
        conn.exec_driver_sql("ANALYZE")
    return made


def _open_accounts(conn: Connection, wanted: Wanted, at_us: int) -> Payers:
    """The house, and payers with more credit than any month takes; ids are those of the month's first moment."""
    newest = conn.execute(select(func.max(account.c.id))).scalar() or 0
    first = max(id_floor(at_us - 1_000_000) | SEGMENT_MAX, newest + 256 | SEGMENT_MAX)
    ids = iter(range(first, first + 256 * 2 * (PARTNERS + CHATTERS + 10), 256))
    house = book.ensure_house(conn, wanted.currency, new_id=lambda: next(ids), now_us=at_us)

    def wallet(party: str) -> int:
        found = book.open_account(conn, next(ids), party, wanted.currency, True, at_us)
        reference = f"load:{wanted.month}:{wanted.carrier}:{party}"
        book.top_up(conn, found, CREDIT_MINOR, reference, next(ids), at_us)
        return found

    partners = tuple((next(ids), wallet(f"partner:load-{number}")) for number in range(1, PARTNERS + 1))
    chatters = tuple((90_000 + number, wallet(f"im:{90_000 + number}")) for number in range(1, CHATTERS + 1))
    return Payers(partners, chatters, house.revenue, house.receivable)


def _load(conn: Connection, chunk: Chunk) -> None:
    for table, columns, rows_of in _TABLES:
        rows = rows_of(chunk)
        if rows:
            (_copy if conn.dialect.name == "postgresql" else _insert)(conn, table.name, columns, rows)
    if chunk.posted:
        conn.execute(_POST, [{"wallet": wallet, "minor": minor} for wallet, minor in sorted(chunk.posted.items())])


def _insert(conn: Connection, table: str, columns: Sequence[str], rows: list[Row]) -> None:
    marks = ", ".join("?" * len(columns))
    conn.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608 - names of tables


def _copy(conn: Connection, table: str, columns: Sequence[str], rows: list[Row]) -> None:
    driver: Any = conn.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _counted(made: Made, chunk: Chunk) -> Made:
    amount, kind = CHARGE_COLUMNS.index("amount_minor"), CHARGE_COLUMNS.index("record_type")
    return Made(
        made.charges + len(chunk.charges),
        made.amount_minor + sum(row[amount] for row in chunk.charges),
        made.refunds + sum(row[kind] != 0 for row in chunk.charges),
    )
