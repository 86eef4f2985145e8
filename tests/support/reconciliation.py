"""A month of charges in a store, as traffic would have left them, and a carrier's profile to compare them by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from billing import book, bulk, calendar
from billing.booking import Booking
from billing.carrier_files import Source
from billing.carriers import Carrier, Carriers
from billing.event import ChargeState
from billing.schema import carrier_books, charge
from simulators.streams import stream

ZONE = ZoneInfo("Asia/Shanghai")
CARRIER = Carrier("cmcc-gd", ZONE)
BOOKING = Booking(Carriers((CARRIER,)))
PROFILE = """\
name = "cmcc-gd"
delimiter = "|"
zone = "Asia/Shanghai"
currency = "CNY"
test_numbers = ["86139999*"]

[columns.time]
at = 1
format = "%Y%m%d%H%M%S"
[columns.smsc_id]
at = 2
[columns.msisdn]
at = 3
[columns.service]
at = 4
[columns.status]
at = 5
billable = ["DELIVRD"]
not_billable = ["UNDELIV"]
[columns.amount]
at = 6
number = "decimal"

[trailer]
prefix = "T|"
count = 2
amount = 3
"""

_COLUMNS = (
    *("id", "event_id", "record_type", "state", "direction", "event_at", "booked_at", "journal_seq", "service", "fee_class", "payer"),
    *("wallet", "link", "charged_msisdn", "parts", "parts_charged", "quantity", "unit_price_minor", "amount_minor", "currency"),
    *("tariff_version", "tariff_rule", "smsc_message_ids", "carrier", "period", "provider"),
)
_INSERT = bulk.insert_into(charge, *_COLUMNS)


def ids(start: int = 1 << 40) -> Iterator[int]:
    """Ids above those of the charges."""
    while True:
        start += 256
        yield start


def fill(conn: Connection, count: int, *, period: int = 20261000, seed: int = 1, first_id: int = 1) -> None:
    """So many carrier-billed charges, evenly over the days of a period and the day before it; every twelfth has two parts."""
    numbers = stream(seed, "month")
    first, after = calendar.days(period)
    span = calendar.span(calendar.previous_day(first), after, ZONE)
    step = (span.to_us - span.from_us) // count
    rows = []
    for place in range(count):
        id_, at = (first_id + place) * 256, span.from_us + place * step
        parts = 2 if place % 12 == 0 else 1
        smsc = ";".join(f"{id_ * 16 + part}" for part in range(parts))
        price = numbers.choice((10, 20, 50, 100))
        facts = (id_, id_, 0, int(ChargeState.CAPTURED), 0, at, at + 5_000_000, id_, numbers.choice(("news", "joke", "club")), 2, 0)
        money = (None, "cmcc-1", f"86138{numbers.randrange(10**8):08d}", parts, parts, parts, price, price * parts, "CNY")
        provider = numbers.choice((None, "news-co", "fun-co"))
        rows.append((*facts, *money, "main/1", "rule", smsc, CARRIER.name, calendar.day_of(at, ZONE), provider))
        if len(rows) == 5_000:
            bulk.execute(conn, _INSERT, rows)
            rows.clear()
    bulk.execute(conn, _INSERT, rows)


def close(conn: Connection, until: int = 20261101) -> None:
    """Let the carrier's books take no row before a day, as closing does."""
    conn.execute(carrier_books.delete().where(carrier_books.c.carrier == CARRIER.name))
    conn.execute(carrier_books.insert(), {"carrier": CARRIER.name, "closed_until": until})


def open_house(conn: Connection) -> book.House:
    """The house's accounts in CNY."""
    made = ids(1 << 50)
    return book.ensure_house(conn, "CNY", new_id=lambda: next(made), now_us=0)


def source(content: str | bytes, name: str = "cmcc_202610.csv") -> Source:
    """A file in memory."""
    data = content.encode() if isinstance(content, str) else content

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        yield BytesIO(data)

    return Source(name, opened)
