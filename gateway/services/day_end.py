"""Closing each day by itself, some time after its end on its carrier's clock, in the steps in which the command closes it.

Several nodes may try: the guards of the steps let one of them close a day, and an interrupted close is finished by whoever looks next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import structlog
from sqlalchemy import Connection

from billing import calendar, periods
from billing.booking import Booking
from billing.calendar import Span
from billing.carriers import Carrier, Carriers
from billing.errors import BillingError
from billing.periods import Closing, PeriodState
from gateway.domain.failure import StoreUnavailable
from gateway.domain.ids import ID_MAX, id_floor
from gateway.services.ports import Reader, Writer
from gateway.store import leaks
from gateway.world import Clock

INTERVAL_S = 20.0
ACTOR = "gateway"
# After a long stop the rest is closed in the next rounds.
DAYS_A_ROUND = 40
# Who closes takes seconds between sealing and finishing; who takes longer than this was interrupted.
ABANDONED_US = 600_000_000

_log = structlog.get_logger(__name__)


class DayEnd:
    """The periodic task; `wait_s` says how long after its end a day of each carrier is closed."""

    def __init__(self, clock: Clock, writer: Writer, reader: Reader, books: Booking, wait_s: Mapping[str, int]) -> None:
        self._clock = clock
        self._writer = writer
        self._reader = reader
        self._books = books
        self.wait_s = wait_s

    async def run(self) -> None:
        """Close what is due, for ever."""
        while True:
            # The store may fail under a round; what was due is still due in the next.
            with contextlib.suppress(StoreUnavailable):
                if self._writer.is_healthy:
                    await self.sweep()
            await asyncio.sleep(INTERVAL_S)

    async def sweep(self) -> None:
        """One round over every carrier."""
        for carrier in list(self._books.carriers):
            if carrier.name in self.wait_s:
                try:
                    await self._close_due(carrier)
                except BillingError as error:
                    _log.warning("a day was not closed", carrier=carrier.name, error=str(error))

    async def _close_due(self, carrier: Carrier) -> None:
        now_us = self._clock.now_us()
        for period in await self._reader.read(periods.unfinished, carrier.name, now_us - ABANDONED_US):
            await self._finish(Closing(carrier, period, ACTOR, now_us))
        wait_us = self.wait_s[carrier.name] * 1_000_000
        today = calendar.day_of(now_us - wait_us, carrier.zone)
        day = await self._reader.read(periods.first_open, carrier.name) or calendar.previous_day(today)
        for _ in range(DAYS_A_ROUND):
            if day >= today:
                return
            held = await self._reader.read(held_in, self._books.carriers, carrier, calendar.span_of(day, carrier.zone))
            closing = Closing(carrier, day, ACTOR, now_us, held=held)
            if await self._writer.run(periods.seal, closing) is None:
                await self._finish(closing)
            day = calendar.next_day(day)

    async def _finish(self, closing: Closing) -> None:
        name = closing.carrier.name
        totals = await self._reader.read(periods.totals_of, name, *calendar.days(closing.period))
        closed = await self._writer.run(periods.finish, closing, totals)
        if closed.state is PeriodState.CLOSED and closed.closed_by == ACTOR:
            _log.info("closed", period=calendar.write(closing.period), carrier=name, records=closed.records, held=closed.held)


def held_in(conn: Connection, carriers: Carriers, whose: Carrier, span: Span) -> int:
    """How many charges of a span's events are held still; the default carrier has every link that no other one has."""
    is_default = whose.name == carriers.default.name
    others = (each.name for each in carriers if each.name != whose.name)
    links = [link for name in others for link in carriers.links_of(name)] if is_default else carriers.links_of(whose.name)
    return leaks.count_held(conn, min(id_floor(span.from_us), ID_MAX), min(id_floor(span.to_us), ID_MAX), tuple(links), is_rest=is_default)
