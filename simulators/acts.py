"""Crash points of money: before or after the commit of the transaction that refunds, tops up, or charges what came late.

What a transaction does is known by the causes it wrote, looked up at the moment of its commit; so no act has to say its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event

from simulators.faults import CrashKind, CrashPoint

_WRITTEN = "SELECT COUNT(*) FROM transfer WHERE cause >= ? AND cause < ?"


class Killed(Exception):
    """The process ended here."""


class ActWatch:
    """Waits in one life for the transaction that a crash point names; `is_due` once it was met."""

    def __init__(self, point: CrashPoint) -> None:
        self.point = point
        self.is_due = False
        self._left = point.count
        self._written: int | None = None

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at every commit meanwhile: only one program works at a time."""
        event.listen(Engine, "commit", self._seen)
        try:
            yield
        finally:
            event.remove(Engine, "commit", self._seen)

    def _seen(self, conn: Connection) -> None:
        # A semicolon follows the colon: all causes that begin with the act.
        written = conn.exec_driver_sql(_WRITTEN, (f"{self.point.act}:", f"{self.point.act};")).scalar_one()
        is_one = self._written is not None and written > self._written
        self._written = written
        if not is_one or self.is_due:
            return
        self._left -= 1
        self.is_due = self._left == 0
        if self.is_due and self.point.kind is CrashKind.BEFORE_COMMIT:
            conn.exec_driver_sql("ROLLBACK")  # what recovery would do: the dead hold no lock
            raise Killed
