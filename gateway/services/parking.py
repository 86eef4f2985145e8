"""Receipts that mean no live segment: the memory of those that wait, by the ids of responses that would explain them.

The rows are the record; this only spares a look at them for every response. It belongs to the writer thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from gateway.services.correlation import Correlation, Report
from gateway.store import receipts
from gateway.store.receipts import Parked

KEYS_MAX = 50_000
STAT_CHARACTERS, ERROR_CHARACTERS, EXCERPT_CHARACTERS, ADDRESS_CHARACTERS, ID_CHARACTERS = 16, 16, 40, 21, 65


class Parking:
    """What waits, by (link, id of a response)."""

    def __init__(self, correlation: Correlation) -> None:
        self._correlation = correlation
        self._waiting: dict[tuple[str, str], tuple[int, ...]] = {}
        self._changes = -1
        self.is_new = False  # something was parked, or a segment became unknown, since the last replay

    def load(self, conn: Connection) -> None:
        """Read what waits: at the start, and when another form of ids was learnt."""
        self._correlation.load(conn)
        if self._changes == self._correlation.changes:
            return
        self.is_new = self.is_new or self._changes >= 0
        self._changes = self._correlation.changes
        self._waiting.clear()
        for row in receipts.newest_waiting(conn):
            self._remember(report_of(row, row.received_at, row.id), row.id)

    def park(self, conn: Connection, report: Report) -> None:
        """Keep a receipt until its message turns up; the same one again is kept once."""
        if receipts.park(conn, row_of(report)):
            self._remember(report, report.seq)

    def record(self, conn: Connection, report: Report, segment_id: int, outcome: str) -> None:
        """Keep what a receipt says against the end that its segment had already; once for each state."""
        if not receipts.is_known_of(conn, segment_id, report.message_state):
            receipts.park(conn, row_of(report)._replace(done_at=report.at, outcome=outcome, segment_id=segment_id))

    @property
    def is_waiting(self) -> bool:
        """Whether any receipt waits, as far as memory knows."""
        return bool(self._waiting)

    def waits_for(self, keys: Sequence[tuple[str, str]]) -> list[int]:
        """The places, of these (link, id of a response), for which a receipt may wait."""
        return [place for place, key in enumerate(keys) if key in self._waiting]

    def take(self, conn: Connection, link: str, smsc_id: str) -> list[Parked]:
        """The receipts that may mean an id, oldest first; they are not remembered any longer, and still wait in the store."""
        ids = self._waiting.pop((link, smsc_id), ())
        return receipts.by_ids(conn, ids) if ids else []

    def _remember(self, report: Report, id_: int) -> None:
        waiting = self._waiting
        for link in self._correlation.links_of(report.link):
            for smsc_id in self._correlation.meanings(report):
                waiting[link, smsc_id] = (*waiting.get((link, smsc_id), ()), id_)
        while len(waiting) > KEYS_MAX:
            del waiting[next(iter(waiting))]


def row_of(report: Report) -> Parked:
    """A receipt as its row; what a carrier writes longer than the row has room for is cut."""
    return Parked(
        report.seq,
        report.link,
        report.smsc_id[:ID_CHARACTERS],
        report.message_state,
        report.error[:ERROR_CHARACTERS] if report.error else None,
        report.at,
        report.source[:ADDRESS_CHARACTERS],
        report.destination[:ADDRESS_CHARACTERS],
        report.stat[:STAT_CHARACTERS],
        report.excerpt[:EXCERPT_CHARACTERS],
    )


def report_of(row: Parked, at: int, seq: int) -> Report:
    """The receipt of a row, to be matched again."""
    addresses = (row.source or "", row.destination or "")
    return Report(row.link, row.smsc_id, row.state, row.stat or "", row.error, *addresses, at, seq, None, row.excerpt or "")
