"""The books of a running gateway: opened before anything is sold, and what goes on in them beside the traffic."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sqlalchemy import Connection

from billing import book
from billing.booking import Booking
from billing.subscriptions import Subscriptions
from gateway import wiring
from gateway.services.catalogue import Catalogue
from gateway.services.counting import Counting
from gateway.services.day_end import DayEnd
from gateway.services.ports import Reader, Writer
from gateway.services.rating import Rating
from gateway.services.tariffs import Tariffs
from gateway.settings import Settings
from gateway.sms.profile import TextProfile
from gateway.wiring_billing import carriers_of, closing_waits_of, offers_of
from gateway.world import World


class Bookkeeping:
    """Where things are booked, what they cost, how the books stand, and the end of each day."""

    def __init__(self, settings: Settings, world: World, writer: Writer, reader: Reader) -> None:
        self._settings = settings
        self._world = world
        self._writer = writer
        self.booking = Booking(carriers_of(settings))
        self.subscriptions = Subscriptions(offers_of(settings), into=self.booking)
        rating = Rating(self.booking, plan=settings.billing.plan, suspends=settings.billing.unrated == "suspend")
        self.tariffs = Tariffs(world, writer, reader, rating)
        self.counting = Counting(world.clock, reader, self.booking)
        self._day_end = DayEnd(world.clock, writer, reader, self.booking, closing_waits_of(settings))

    async def open(self, profiles: dict[str, TextProfile]) -> Catalogue:
        """Have accounts and books for all that is configured, and prices for what is sold."""
        settings = self._settings
        currency = settings.services[0].currency if settings.services else "CNY"
        house = await self._open_house(currency)
        sold_in = {each.currency for each in settings.services} | {each.currency for each in settings.offers}
        revenues = {other: (await self._open_house(other)).revenue for other in sorted(sold_in - {currency})}
        await self._writer.run(self.booking.open_books)
        catalogue = wiring.catalogue_of(settings, house.revenue, profiles, self.tariffs.rating)
        catalogue.revenues.update(revenues)
        self.tariffs.revenues = catalogue.revenues
        await self.tariffs.refresh()
        return catalogue

    async def take(self, settings: Settings) -> None:
        """Take the carriers of a configuration that was read again, and when their days end."""
        self._day_end.wait_s = closing_waits_of(settings)
        self.booking.carriers = carriers_of(settings)
        await self._writer.run(self.booking.open_books)

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs as long as the gateway does, by name."""
        found = {"billing figures": self.counting.run()} if self._settings.metrics.enabled else {}
        return {**found, "ends of days": self._day_end.run()}

    async def _open_house(self, currency: str) -> book.House:
        ids = [self._world.next_id() for _ in book.House._fields]
        return await self._writer.run(_ensure_house, currency, ids, self._world.clock.now_us())


def _ensure_house(conn: Connection, currency: str, ids: list[int], now_us: int) -> book.House:
    return book.ensure_house(conn, currency, new_id=ids.pop, now_us=now_us)
