"""Quiet hours: when a service's messages wait for the morning."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NamedTuple


class Quiet(NamedTuple):
    """From one minute of the day until before another, in a time zone; over midnight when the first is later."""

    start: int
    end: int
    zone: tzinfo

    def over_at(self, at_us: int) -> int | None:
        """When the quiet hours that a moment falls into are over, both in UTC µs; None when it falls into none."""
        local = datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        is_over_midnight = self.start > self.end
        if not (minute >= self.start or minute < self.end if is_over_midnight else self.start <= minute < self.end):
            return None
        days = self.end // 1440 + (1 if is_over_midnight and minute >= self.start else 0)
        end = datetime.combine(local.date() + timedelta(days=days), time(self.end % 1440 // 60, self.end % 60), self.zone)
        over_us = int(end.timestamp()) * 1_000_000
        # When the clocks go back, the hour may come twice: the first time is over already.
        return over_us if over_us > at_us else int(end.replace(fold=1).timestamp()) * 1_000_000
