"""Days and months on a carrier's clock, as the whole numbers that charges carry: 20261124 is a day, 20261100 a month.

A day after a change of clocks has 23 or 25 hours and is one day all the same. Days in this form sort as they follow each other.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from billing.errors import PeriodError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TYPED = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?", re.ASCII)


class Span(NamedTuple):
    """A stretch of days [first, after), and the instants [from_us, to_us) it covers on one clock."""

    first: int
    after: int
    from_us: int
    to_us: int


def day_of(at_us: int, zone: tzinfo) -> int:
    """The day an instant falls on."""
    at = (EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    return at.year * 10_000 + at.month * 100 + at.day


def month_of(day: int) -> int:
    """The month a day is in."""
    return day - day % 100


def is_month(period: int) -> bool:
    """Whether a period is a month."""
    return period % 100 == 0


def parse(text: str) -> int:
    """Read `2026-11-24` or `2026-11`; raises PeriodError."""
    match = _TYPED.fullmatch(text)
    if match is None:
        raise PeriodError(f"{text[:20]!r} is neither a day like 2026-11-24 nor a month like 2026-11")
    period = int(match[1]) * 10_000 + int(match[2]) * 100 + int(match[3] or 0)
    try:
        _date(days(period)[0])
    except ValueError:
        raise PeriodError(f"there is no {'day' if match[3] else 'month'} {text}") from None
    return period


def write(period: int) -> str:
    """Write a period as `parse` reads it."""
    year, month, day = period // 10_000, period // 100 % 100, period % 100
    return f"{year:04d}-{month:02d}-{day:02d}" if day else f"{year:04d}-{month:02d}"


def days(period: int) -> tuple[int, int]:
    """The days [first, after) of a day or month."""
    if not is_month(period):
        return period, next_day(period)
    year, month = period // 10_000, period // 100 % 100
    return period + 1, (year + month // 12) * 10_000 + (month % 12 + 1) * 100 + 1


def next_day(day: int) -> int:
    """The day after a day."""
    return _number(_date(day) + timedelta(days=1))


def previous_day(day: int) -> int:
    """The day before a day."""
    return _number(_date(day) - timedelta(days=1))


def span(first: int, after: int, zone: tzinfo) -> Span:
    """Days [first, after) with their instants."""
    return Span(first, after, _midnight(first, zone), _midnight(after, zone))


def span_of(period: int, zone: tzinfo) -> Span:
    """A day or month with its instants."""
    return span(*days(period), zone)


class DayFinder:
    """`day_of` for instants that mostly fall on one day."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._last = Span(0, 0, 0, 0)

    def day(self, at_us: int) -> int:
        """The day an instant falls on."""
        return self.span(at_us).first

    def span(self, at_us: int) -> Span:
        """That day with its instants."""
        last = self._last
        if not last.from_us <= at_us < last.to_us:
            day = day_of(at_us, self.zone)
            self._last = last = span(day, next_day(day), self.zone)
        return last


def _date(day: int) -> date:
    return date(day // 10_000, day // 100 % 100, day % 100)


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def _midnight(day: int, zone: tzinfo) -> int:
    start = _date(day)
    return (datetime(start.year, start.month, start.day, tzinfo=zone) - EPOCH) // _MICROSECOND
