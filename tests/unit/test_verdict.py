"""What a command_status means: the defaults, and a link's own table."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.verdict import ATTEMPTS_MAX, RETRY_S, ErrorTable, Treatment, Verdict, of_status


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0, Verdict.ACCEPTED),
        (0x58, Verdict.THROTTLED),
        (0x14, Verdict.BUSY),
        *((status, Verdict.RETRY) for status in (0x08, 0x45, 0x64, 0xFF, 0x4FF, 0x12345)),
        *((status, Verdict.FINAL) for status in (0x0A, 0x0B, 0x0C, 0x15, 0x66)),
    ],
)
def test_a_link_without_a_table_means_what_everybody_means(status, verdict):
    """F06"""
    assert ErrorTable().of(status).verdict is verdict
    assert of_status(status) is verdict


def test_exact_codes_win_over_ranges_and_narrow_ranges_over_wide_ones():
    table = ErrorTable.parse({"0x400-0x4FF": "final", "0x410-0x41F": "retry", "0x415": "next_route", "69": "throttle"})

    assert [table.of(status).verdict.value for status in (0x400, 0x410, 0x415, 0x420, 0x45, 0x500)] == [
        *("final", "retry", "next_route", "final", "throttle", "retry")
    ]
    assert len(table) == 4


def test_attempts_and_delay_may_follow_a_verdict():
    table = ErrorTable.parse({"0x08": "retry 10x 30s", "0x64": "retry 2x", "0x45": "next_route 1.5s"})

    assert table.of(0x08) == Treatment(Verdict.RETRY, 10, 30.0)
    assert table.of(0x64) == Treatment(Verdict.RETRY, 2, None)
    assert table.of(0x45) == Treatment(Verdict.NEXT_ROUTE, ATTEMPTS_MAX, 1.5)
    assert [table.of(0x64).wait_s(refusals) for refusals in (1, 2, 4, 9)] == [RETRY_S[0], RETRY_S[1], RETRY_S[3], RETRY_S[3]]
    assert table.of(0x08).wait_s(7) == 30.0


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        ({"x45": "final"}, '"x45": must be a command_status'),
        ({"0x45-": "final"}, '"0x45-": must be a command_status'),
        ({"0": "final"}, '"0": must lie between 0x1 and 0xFFFFFFFF'),
        ({"0x20-0x10": "final"}, "the lower code first"),
        ({"0x1FFFFFFFF": "final"}, "must be a command_status"),
        ({"0x45": "explode"}, '"explode" is no verdict; known are throttle, busy, retry, next_route, final'),
        ({"0x45": "accepted"}, "is no verdict"),
        ({"0x45": "final 3x"}, "only retry and next_route take"),
        ({"0x45": "retry 0x"}, "at least 1x"),
        ({"0x45": "retry 5x 99999s"}, "at most 86400s"),
        ({"0x45": "final", "69": "retry"}, '"69": this code is there twice'),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_by_name(errors, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        ErrorTable.parse(errors)

    assert text in str(caught.value)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4))
@settings(max_examples=100)
def test_nonsense_never_raises_anything_but_value_error(errors):
    with suppress(ValueError):
        ErrorTable.parse(errors)


@given(st.integers(0, 0xFFFFFFFF), st.integers(1, 0xFFFFFFFF), st.integers(0, 1000))
@settings(max_examples=100)
def test_a_range_decides_within_and_nowhere_else(status, first, width):
    last = min(first + width, 0xFFFFFFFF)
    table = ErrorTable.parse({f"0x{first:X}-0x{last:X}": "next_route"})

    expected = Verdict.NEXT_ROUTE if first <= status <= last else of_status(status)
    assert table.of(status).verdict is (expected if status else Verdict.ACCEPTED)
