"""Into which carrier's books, and which of its days, a charge is written: the day of its event, or a later one when that is closed.

Closing moves one number, `carrier_books.closed_until`: days before it take no row any more. Whoever books reads it in his own
transaction, so no row can slip into a day that is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from billing import bulk
from billing.carriers import Carrier, Carriers
from billing.schema import carrier_books

_OPEN = bulk.insert_into(carrier_books, "carrier", "closed_until", on_conflict="ON CONFLICT DO NOTHING")
_CLOSED = "SELECT carrier, closed_until FROM carrier_books"


class Place(NamedTuple):
    """Where a charge stands in the books; late when the day of its event was closed before."""

    carrier: str
    period: int
    late: bool


class Booking:
    """Finds the place of charges; it has no state but the carriers'."""

    def __init__(self, carriers: Carriers | None = None) -> None:
        self.carriers = carriers if carriers is not None else Carriers()

    def open_books(self, conn: Connection) -> None:
        """Have books for every carrier, so that closing and booking meet on a row."""
        bulk.execute(conn, _OPEN, [(carrier.name, 0) for carrier in self.carriers])

    def place_many(self, conn: Connection, facts: Sequence[tuple[str | None, int]], now_us: int) -> list[Place]:
        """The places of events, (link, event_at)."""
        closed = closed_until(conn, is_booking=True)
        of_link = self.carriers.of_link
        return [self._place(of_link(link), event_at, now_us, closed) for link, event_at in facts]

    def place_in(self, conn: Connection, carrier: str, event_at: int, now_us: int) -> Place:
        """The place of one event in the books of a carrier by name; one no longer configured keeps the default's clock."""
        known = self.carriers.named(carrier) or self.carriers.default._replace(name=carrier)
        return self._place(known, event_at, now_us, closed_until(conn, is_booking=True))

    def _place(self, carrier: Carrier, event_at: int, now_us: int, closed: dict[str, int]) -> Place:
        name = carrier.name
        clock = name if self.carriers.named(name) is not None else self.carriers.default.name
        day, first_open = self.carriers.day(clock, event_at), closed.get(name, 0)
        if day >= first_open:
            return Place(name, day, False)
        return Place(name, max(self.carriers.day(clock, now_us), first_open), True)


def closed_until(conn: Connection, *, is_booking: bool = False) -> dict[str, int]:
    """The first open day of each carrier; for who books, it cannot move before his transaction is over."""
    lock = " FOR SHARE" if is_booking and conn.dialect.name == "postgresql" else ""
    return dict(conn.exec_driver_sql(_CLOSED + lock).all())


DEFAULT = Booking()
