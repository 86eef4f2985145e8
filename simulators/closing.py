"""The desk where days are closed: what `bellhop billing close` does, beside the gateway and on its store, dying half-way now and then.

The command is a process of its own and has no place in virtual time. So the desk opens the store, calls the function that the command
calls, and is gone again, at one instant; a death ends it before or after one of its commits, and the next order finds what it left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from billing import calendar, periods
from billing.errors import PeriodError
from billing.periods import Closing
from billing.runs import Books
from gateway.domain.ids import id_floor
from gateway.store import leaks
from gateway.store.engine import open_reading, open_writing
from gateway.wiring_billing import carriers_of, grace_s_of
from simulators import house
from simulators.evidence import Closed, Evidence
from simulators.faults import CrashKind, CrashPoint
from simulators.world import Node, Sim

LAST_DAY, LAST_MONTH, FIRST_DAY = 20_251_231, 20_251_200, 20_260_101
_COMMITS = 2  # of a close: the seal, and what was counted


class Order(NamedTuple):
    """A period to close at a time of the run, perhaps although receipts may still come, perhaps not to the end."""

    at_s: float
    period: int
    is_now: bool
    death: CrashPoint | None = None


class Died(Exception):
    """The desk's process ended here."""


def draw_orders(sim: Sim) -> list[Order]:
    """When the old year is closed: mostly soon after midnight, while its last receipts are still on their way; now and then too soon."""
    numbers = sim.stream("closing")
    orders = []
    for _ in range(numbers.choice([0, 1, 1, 2, 3])):
        at_s = house.OLD_YEAR_S - 1.0 + numbers.random() * 20.0
        death = None
        if sim.plan.intensity and numbers.random() < 0.4:
            kind = numbers.choice([CrashKind.BEFORE_COMMIT, CrashKind.AFTER_COMMIT])
            death = CrashPoint(kind, numbers.randint(1, _COMMITS))
        orders.append(Order(at_s, numbers.choice([LAST_DAY, LAST_DAY, LAST_MONTH]), numbers.random() < 0.7, death))
    return sorted(orders, key=lambda order: order.at_s)


class ClosingDesk:
    """Closes periods of the default carrier, and keeps what each close answered."""

    def __init__(self, sim: Sim, evidence: Evidence, file: house.File, gateway: Node) -> None:
        self._sim = sim
        self._evidence = evidence
        self._file = file
        self._gateway = gateway
        self._begun: dict[int, None] = {}
        url = file.read(gateway.folder).store.url
        self._writing, self._reading = open_writing(url, synchronous="OFF"), open_reading(url)

    def close_all(self) -> None:
        """Close what is over, in its order, to the end."""
        for period in dict.fromkeys((*self._begun, LAST_DAY, FIRST_DAY)):
            self.close(Order(0.0, period, is_now=False))

    def close(self, order: Order) -> None:
        """Carry out one order."""
        answer = self._answered(order)
        self._sim.log("close", period=order.period, answer=answer)

    def _answered(self, order: Order) -> str:
        settings = self._file.read(self._gateway.folder)
        whose, now_us = carriers_of(settings).default, self._sim.now_us() + self._gateway.clock_offset_us
        span = calendar.span_of(order.period, whose.zone)
        reading = self._reading
        try:
            with reading.begin() as conn:
                held = leaks.count_held(conn, id_floor(span.from_us), id_floor(span.to_us), (), is_rest=True)
            grace_us = grace_s_of(settings, whose.name) * 1_000_000
            wanted = Closing(whose, order.period, house.CLERK, now_us, grace_us, order.is_now, held)
            closed = periods.close(Books(reading.begin, _Mortal(self._writing, order.death).begin), wanted)
            with reading.begin() as conn:
                totals = periods.kept_totals(conn, whose.name, order.period)
        except Died:
            self._begun[order.period] = None
            return "died"
        except PeriodError:
            return "refused"
        finally:
            # No connection outlives its order: the next one may find the files of another life of the gateway.
            self._writing.dispose()
            self._reading.dispose()
        self._begun[order.period] = None
        lines = {
            (each.currency, each.record_type, each.state, each.service): (each.records, each.amount_minor, each.tax_minor)
            for each in totals
        }
        self._evidence.closings.append(Closed(order.period, closed.state >= periods.PeriodState.CLOSED, closed.records, lines))
        return closed.state.name.lower()


class _Mortal:
    """Begins transactions, and dies before or after the commit of one of them."""

    def __init__(self, engine: Engine, death: CrashPoint | None) -> None:
        self._engine = engine
        self._death = death
        self._begun = 0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._begun += 1
        is_last = self._death is not None and self._death.count == self._begun
        with self._engine.begin() as conn:
            yield conn
            if is_last and self._death is not None and self._death.kind is CrashKind.BEFORE_COMMIT:
                raise Died
        if is_last:
            raise Died
