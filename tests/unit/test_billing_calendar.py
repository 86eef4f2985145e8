"""Days and months on a carrier's clock tile time, whatever its clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import calendar
from billing.calendar import DayFinder
from billing.errors import PeriodError

ZONES = [ZoneInfo(name) for name in ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")]
HOUR_US = 3_600_000_000
INSTANTS = st.integers(0, 4_000_000_000_000_000)


def us(text: str) -> int:
    return (datetime.fromisoformat(text).astimezone(UTC) - calendar.EPOCH) // timedelta(microseconds=1)


@given(INSTANTS, st.sampled_from(ZONES))
def test_every_instant_is_on_one_day_and_the_days_touch(at_us: int, zone: ZoneInfo):
    day = calendar.day_of(at_us, zone)
    span = calendar.span_of(day, zone)

    assert span.from_us <= at_us < span.to_us
    assert calendar.day_of(span.from_us - 1, zone) == calendar.previous_day(day)
    assert calendar.span_of(calendar.next_day(day), zone).from_us == span.to_us


@given(INSTANTS, st.sampled_from(ZONES))
def test_a_month_is_its_days(at_us: int, zone: ZoneInfo):
    month = calendar.month_of(calendar.day_of(at_us, zone))
    first, after = calendar.days(month)

    found, day = 0, first
    while day != after:
        assert calendar.month_of(day) == month
        day, found = calendar.next_day(day), found + 1
    assert 28 <= found <= 31
    assert calendar.span_of(month, zone)[2:] == (calendar.span_of(first, zone).from_us, calendar.span_of(after, zone).from_us)


@given(INSTANTS, st.sampled_from(ZONES), st.booleans())
def test_what_is_written_is_read_again(at_us: int, zone: ZoneInfo, is_month: bool):
    day = calendar.day_of(at_us, zone)
    period = calendar.month_of(day) if is_month else day

    assert calendar.parse(calendar.write(period)) == period
    assert calendar.is_month(period) == is_month


@given(st.lists(INSTANTS, max_size=20), st.sampled_from(ZONES))
def test_a_finder_tells_the_same_in_any_order(instants: list[int], zone: ZoneInfo):
    finder = DayFinder(zone)

    assert [finder.day(at_us) for at_us in instants] == [calendar.day_of(at_us, zone) for at_us in instants]


def test_may_begins_in_shanghai_on_the_last_of_april_at_four_in_the_afternoon_utc():
    assert calendar.span_of(20060500, ZoneInfo("Asia/Shanghai")).from_us == us("2006-04-30T16:00:00Z")


@pytest.mark.parametrize(("day", "hours"), [(20260329, 23), (20261025, 25), (20260330, 24)])
def test_a_day_on_which_the_clock_changes_is_one_day(day: int, hours: int):
    span = calendar.span_of(day, ZoneInfo("Europe/Berlin"))

    assert span.to_us - span.from_us == hours * HOUR_US


@pytest.mark.parametrize("typed", ["2026-13", "2026-02-30", "2026-00", "2026-1", "26-01-01", "2026-01-01T00:00", "", "２０２６-01"])
def test_what_is_no_period_is_refused(typed: str):
    with pytest.raises(PeriodError):
        calendar.parse(typed)
