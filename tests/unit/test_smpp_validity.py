"""SMPP times: SMPP 3.4 section 7.1.1."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.errors import LocalProtocolError, TimeError
from gateway.smpp.validity import ahead, format_absolute, format_relative, parse, until


def us(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]  # year, month, day...


NOW = us(2026, 1, 31, 12)
DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", None),
        ("260102030405000+", us(2026, 1, 2, 3, 4, 5)),
        ("260102030405700+", us(2026, 1, 2, 3, 4, 5) + 700_000),
        ("260102030405004+", us(2026, 1, 2, 2, 4, 5)),
        ("260102030405004-", us(2026, 1, 2, 4, 4, 5)),
        ("240229000000048+", us(2024, 2, 28, 12)),
        ("000000010000000R", us(2026, 1, 31, 13)),
        ("000002000000000R", us(2026, 2, 2, 12)),
        ("000100000000000R", us(2026, 2, 28, 12)),
        ("020000000000000R", us(2028, 1, 31, 12)),
        ("000000000000000R", NOW),
    ],
)
def test_a_time_is_read(text: str, moment: int | None) -> None:
    assert parse(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["x", "260102030405000", "260102030405000*", "261302030405000+", "260230000000000+", "260102240000000+", "260102030405049+",
     "26010203040500 +", "\u0662" * 15 + "+", "26010203040500000"],
)  # fmt: skip
def test_what_is_no_time_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(TimeError):
        parse(text, NOW)


@given(st.text(max_size=18))
def test_any_text_is_a_time_or_an_error_of_ours(text: str) -> None:
    try:
        parse(text, NOW)
    except TimeError:
        return


@given(st.integers(us(2000, 1, 1) // 100_000, us(2099, 12, 31) // 100_000))
def test_an_absolute_time_comes_back(tenths: int) -> None:
    assert parse(format_absolute(tenths * 100_000), 0) == tenths * 100_000


@given(st.integers(0, 31 * 86_400))
def test_a_relative_time_comes_back(seconds: int) -> None:
    assert parse(format_relative(seconds * 1_000_000), NOW) == NOW + seconds * 1_000_000


def test_durations_out_of_bounds_are_not_written() -> None:
    for duration_us in (-1, 32 * 86_400_000_000):
        with pytest.raises(LocalProtocolError):
            format_relative(duration_us)
    with pytest.raises(LocalProtocolError):
        format_absolute(us(1999, 12, 31))


@given(st.integers(-DAY, 60 * DAY), st.integers(0, 999_999))
def test_what_is_left_is_told_to_the_second_and_never_less(left_us: int, fraction_us: int) -> None:
    now = NOW + fraction_us

    for told in (ahead(now + left_us, now), until(now + left_us, now)):
        moment = parse(told, now)
        assert moment is not None
        assert 0 <= moment - max(now + left_us, now) <= 2_000_000


def test_more_than_a_relative_time_can_say_is_told_as_a_date() -> None:
    assert ahead(NOW + 31 * DAY, NOW) == "000031000000000R"
    assert ahead(NOW + 31 * DAY + 1, NOW) == "260303120001000+"
