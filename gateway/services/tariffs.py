"""Keeps the prices current: approved versions are read when the gateway starts, and again when somebody approved or retired one."""

from __future__ import annotations

import structlog
from sqlalchemy import Connection

from billing import book
from billing import tariffs as versions
from gateway.services import rating
from gateway.services.ports import Reader, Writer
from gateway.services.rating import Rating
from gateway.world import World

_log = structlog.get_logger(__name__)


class Tariffs:
    """The rating of a running gateway; `revenues` gets the account that each further currency is paid into."""

    def __init__(self, world: World, writer: Writer, reader: Reader, rating_: Rating) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self.rating = rating_
        self.revenues: dict[str, int] = {}

    async def refresh(self) -> None:
        """Take other versions, if there are; a version is approved a minute before it holds, so this is soon enough."""
        is_known = await self._reader.read(versions.stamp, self.rating.plan) == self.rating.stamp
        if is_known and not self.rating.lacks_sponsors:
            return
        prices = await self._reader.read(rating.load, self.rating.plan)
        for currency in sorted(rating.currencies_of([matcher.version for matcher in prices.matchers]) - self.revenues.keys()):
            ids = [self._world.next_id() for _ in book.House._fields]
            house = await self._writer.run(_open_house, currency, ids, self._world.clock.now_us())
            self.revenues[currency] = house.revenue
        self.rating.reload(prices)
        if is_known:
            return
        _log.info("tariff", plan=self.rating.plan, versions=[matcher.version.name for matcher in prices.matchers])


def _open_house(conn: Connection, currency: str, ids: list[int], now_us: int) -> book.House:
    return book.ensure_house(conn, currency, new_id=ids.pop, now_us=now_us)
