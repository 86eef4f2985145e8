"""Into which carrier's books, and which of its days, a charge is written: the day of its event, or a later one when that is closed.

Closing moves one number, `carrier_books.closed_until`: days before it take no row any more. Whoever books reads it in his own
transaction, so no row can slip into a day that is closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from billing import bulk
from billing.carriers import Carrier, Carriers
from billing.schema import carrier_books

_OPEN = bulk.insert_into(carrier_books, "carrier", "closed_until", on_conflict="ON CONFLICT DO NOTHING")
_CLOSED = "SELECT carrier, closed_until FROM carrier_books"
# One statement for all that a settling transaction has to know: at each, the interpreter lock may be waited for.
_STANDING = (
    "SELECT carrier, closed_until, EXISTS (SELECT 1 FROM tariff_use), EXISTS (SELECT 1 FROM suspense WHERE state = 0) FROM carrier_books"
)


class Place(NamedTuple):
    """Where a charge stands in the books; late when the day of its event was closed before."""

    carrier: str
    period: int
    late: bool


class Standing(NamedTuple):
    """How the books stand in one transaction: the first open day by carrier, whether charges are counted, whether events are parked."""

    closed_until: Mapping[str, int]
    is_counting: bool
    is_parking: bool


class Booking:
    """Finds the place of charges; it has no state but the carriers'."""

    def __init__(self, carriers: Carriers | None = None) -> None:
        self.carriers = carriers if carriers is not None else Carriers()

    def open_books(self, conn: Connection) -> None:
        """Have books for every carrier, so that closing and booking meet on a row."""
        bulk.execute(conn, _OPEN, [(carrier.name, 0) for carrier in self.carriers])

    def place_many(
        self, conn: Connection, facts: Sequence[tuple[str | None, int]], now_us: int, standing: Standing | None = None
    ) -> list[Place]:
        """The places of events, (link, event_at), in books that stand as they were read in the same transaction."""
        closed = closed_until(conn, is_booking=True) if standing is None else standing.closed_until
        days: dict[str | None, tuple[int, int, Place]] = {}  # by link, the day last met: mostly it is the same for all
        places = []
        for link, event_at in facts:
            day = days.get(link)
            if day is None or not day[0] <= event_at < day[1]:
                carrier = self.carriers.of_link(link)
                span = self.carriers.span(carrier.name, event_at)
                day = days[link] = (span.from_us, span.to_us, self._place(carrier, event_at, now_us, closed))
            places.append(day[2])
        return places

    def place_in(self, conn: Connection, carrier: str, event_at: int, now_us: int) -> Place:
        """The place of one event in the books of a carrier by name; one no longer configured keeps the default's clock."""
        known = self.carriers.named(carrier) or self.carriers.default._replace(name=carrier)
        return self._place(known, event_at, now_us, closed_until(conn, is_booking=True))

    def _place(self, carrier: Carrier, event_at: int, now_us: int, closed: Mapping[str, int]) -> Place:
        name = carrier.name
        clock = name if self.carriers.named(name) is not None else self.carriers.default.name
        day, first_open = self.carriers.day(clock, event_at), closed.get(name, 0)
        if day >= first_open:
            return Place(name, day, False)
        return Place(name, max(self.carriers.day(clock, now_us), first_open), True)


def closed_until(conn: Connection, *, is_booking: bool = False) -> dict[str, int]:
    """The first open day of each carrier; for who books, it cannot move before his transaction is over."""
    return dict(bulk.read(conn, _CLOSED + (_lock(conn) if is_booking else "")))


def standing(conn: Connection) -> Standing:
    """How the books stand for who books, until his transaction is over."""
    rows = bulk.read(conn, _STANDING + _lock(conn))
    if not rows:
        return Standing({}, True, True)  # no books were opened to read it from: let it be looked for
    return Standing({row[0]: row[1] for row in rows}, bool(rows[0][2]), bool(rows[0][3]))


def _lock(conn: Connection) -> str:
    return " FOR SHARE OF carrier_books" if conn.dialect.name == "postgresql" else ""


DEFAULT = Booking()
