"""Times of SMPP 3.4 section 7.1.1, "YYMMDDhhmmsstnnp", to and from UTC microseconds.

p is + or - for an absolute time nn quarter hours ahead of or behind UTC, R for a time relative to now. Years are of this
century. A relative year or month is one of the calendar, clipped to the month's last day.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gateway.smpp.errors import LocalProtocolError, TimeError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH = 16
_QUARTERS_MAX = 48
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_RELATIVE_DAYS_MAX = 31
_RELATIVE_S_MAX = _RELATIVE_DAYS_MAX * 86_400


def parse(text: str, now_us: int) -> int | None:
    """The moment in UTC microseconds, None for the empty string; raises TimeError."""
    if not text:
        return None
    span_us = _span_us(text)
    if span_us is not None:
        return now_us + span_us
    if len(text) != _LENGTH or not text.isascii() or not text[:15].isdigit():
        raise TimeError("not 15 digits and a sign")
    try:
        moment = _relative(text, now_us) if text[15] == "R" else _absolute(text)
    except (ValueError, OverflowError):
        raise TimeError("no such date or time of day") from None
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4_096)
def _span_us(text: str) -> int | None:
    """How long a relative time without years and months is, which is nearly every one; None for the others."""
    if len(text) != _LENGTH or text[15] != "R" or not text.startswith("0000") or not text.isascii() or not text[:15].isdigit():
        return None
    _, _, days, hours, minutes, seconds = _numbers(text)
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * _SECOND_US


def _numbers(text: str) -> tuple[int, int, int, int, int, int]:
    year, month, day, hour, minute, second = (int(text[start : start + 2]) for start in range(0, 12, 2))
    return year, month, day, hour, minute, second


def _absolute(text: str) -> datetime:
    year, month, day, hour, minute, second = _numbers(text)
    quarters = int(text[13:15])
    if text[15] not in "+-":
        raise TimeError("the last character is none of +, - and R")
    if quarters > _QUARTERS_MAX:
        raise TimeError("more than 48 quarter hours from UTC")
    local = datetime(2000 + year, month, day, hour, minute, second, int(text[12]) * 100_000, tzinfo=UTC)
    offset = timedelta(minutes=15 * quarters)
    return local - offset if text[15] == "+" else local + offset


def _relative(text: str, now_us: int) -> datetime:
    years, months, days, hours, minutes, seconds = _numbers(text)
    now = _EPOCH + timedelta(microseconds=now_us)
    month_index = now.year * 12 + now.month - 1 + 12 * years + months
    year, month = month_index // 12, month_index % 12 + 1
    day = min(now.day, calendar.monthrange(year, month)[1])
    return now.replace(year=year, month=month, day=day) + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_absolute(moment_us: int) -> str:
    """A moment of this century in UTC, cut to a tenth of a second."""
    moment = _EPOCH + timedelta(microseconds=moment_us)
    if not 2000 <= moment.year <= 2099:
        raise LocalProtocolError("SMPP has two digits for the year")
    return f"{moment:%y%m%d%H%M%S}{moment.microsecond // 100_000}00+"


def ahead(moment_us: int, now_us: int) -> str:
    """How long it is until a moment, in whole seconds and one at least; beyond what a relative time can say, the moment itself."""
    seconds = max(1, -(-(moment_us - now_us) // _SECOND_US))
    return _ahead(seconds) if seconds <= _RELATIVE_S_MAX else until(moment_us, now_us)


def until(moment_us: int, now_us: int) -> str:
    """A moment in UTC, to the second; one that is over is a second from now."""
    return _until(max(now_us // _SECOND_US + 1, -(-moment_us // _SECOND_US)))


# Nearly all messages of a second have the same validity.
@lru_cache(maxsize=1_024)
def _ahead(seconds: int) -> str:
    return format_relative(seconds * _SECOND_US)


@lru_cache(maxsize=1_024)
def _until(seconds: int) -> str:
    return format_absolute(seconds * _SECOND_US)


def format_relative(duration_us: int) -> str:
    """A duration of at most 31 days, cut to seconds."""
    if not 0 <= duration_us <= _RELATIVE_DAYS_MAX * _DAY_US:
        raise LocalProtocolError("a relative time is from 0 to 31 days; write an absolute one")
    days, rest = divmod(duration_us // 1_000_000, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    return f"0000{days:02d}{hours:02d}{minutes:02d}{seconds:02d}000R"
