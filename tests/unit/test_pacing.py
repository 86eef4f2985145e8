"""The pace of a link: the bucket, how it falls and recovers, and what congestion_state does to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.pacing import HOLD_S, LEVEL_S, PAUSE_S, PAUSE_S_MAX, RATE_MIN, RISE_S, UNLIMITED, Pace, Reason, Throughput


def sent(pace: Pace, from_s: float, to_s: float) -> int:
    """How many leave when as many as may always do."""
    count, now_s = 0, from_s
    while now_s < to_s:
        can = min(pace.available(now_s), 1000)
        pace.take(can)
        count += can
        now_s += 0.01
    return count


def test_a_rate_holds_over_time_and_bursts_are_a_tenth_of_a_second() -> None:
    pace = Pace(100, 0)

    assert pace.available(0) == 10
    assert sent(pace, 0, 10) == pytest.approx(1010, abs=2)


def test_no_rate_is_no_limit() -> None:
    pace = Pace(0, 0)

    assert pace.available(5) == UNLIMITED
    assert pace.delay(5) == 0
    assert pace.limit_per_s == 0


def test_a_refusal_cuts_the_configured_rate_and_it_comes_back_by_itself() -> None:
    pace = Pace(100, 0)

    assert pace.throttled(10, 100) == PAUSE_S
    assert (pace.ceiling_per_s, pace.reason) == (70, Reason.THROTTLED)

    pace.available(10 + RISE_S * 0.2)
    assert pace.ceiling_per_s == pytest.approx(90)
    pace.available(10 + RISE_S * 0.3 + HOLD_S - 0.1)
    assert pace.ceiling_per_s == 100
    pace.available(10 + RISE_S * 0.3 + HOLD_S + 0.1)
    assert (pace.ceiling_per_s, pace.limit_per_s, pace.reason) == (0, 100, Reason.NONE)


def test_without_a_configured_rate_the_measured_one_is_cut_and_the_ceiling_lifted_in_the_end() -> None:
    pace = Pace(0, 0)

    pace.throttled(10, 400)
    assert pace.ceiling_per_s == 280

    pace.available(17)
    assert 400 < pace.ceiling_per_s < 800
    now_s = 17.0
    while now_s < 10 + RISE_S + HOLD_S + 2:
        pace.available(now_s)
        now_s += 0.5
    assert pace.available(now_s) == UNLIMITED


def test_pauses_grow_with_refusals_in_a_row_and_one_success_forgets_them() -> None:
    pace = Pace(100, 0)

    pauses = [pace.throttled(float(second), 100) for second in range(8)]
    pace.accepted()

    assert pauses == [PAUSE_S, 1, 2, 4, PAUSE_S_MAX, PAUSE_S_MAX, PAUSE_S_MAX, PAUSE_S_MAX]
    assert pace.throttled(20, 100) == PAUSE_S
    assert pace.limit_per_s >= RATE_MIN


def test_congestion_below_80_lets_it_rise_80_holds_90_cuts_100_pauses() -> None:
    pace = Pace(100, 0)
    assert [pace.congestion(level, 1, 100) for level in (0, 50, 79)] == [0, 0, 0]
    assert pace.ceiling_per_s == 0

    assert pace.congestion(95, 2, 100) == 0
    assert pace.ceiling_per_s == 70
    pace.congestion(85, 4, 100)
    pace.available(4 + LEVEL_S - 0.1)
    assert pace.ceiling_per_s == 70

    pace.congestion(20, 9, 100)
    pace.available(9 + 2)
    assert 70 < pace.ceiling_per_s < 85

    assert pace.congestion(100, 20, 100) == PAUSE_S
    assert pace.reason is Reason.CONGESTED


def test_congestion_of_85_keeps_an_unlimited_link_at_what_it_does() -> None:
    pace = Pace(0, 0)

    pace.congestion(85, 1, 250)

    assert pace.ceiling_per_s == 250


def test_a_window_full_of_the_same_level_is_one_step() -> None:
    pace = Pace(100, 0)

    for _ in range(50):
        pace.congestion(95, 2, 100)

    assert pace.ceiling_per_s == 70


def test_another_rate_takes_the_ceiling_away() -> None:
    pace = Pace(100, 0)
    pace.throttled(1, 100)

    pace.set_rate(500, 2)

    assert (pace.rate_per_s, pace.limit_per_s, pace.ceiling_per_s) == (500, 500, 0)


def test_throughput_is_what_went_through_since_the_last_mark_but_one() -> None:
    throughput = Throughput(0)
    throughput.mark(100, 1)
    throughput.mark(300, 2)

    assert throughput.per_s(450, 2.5) == pytest.approx(350 / 1.5)


EVENTS = st.lists(
    st.tuples(st.floats(0.001, 5), st.sampled_from(["throttled", "accepted", "available", "rate"]), st.integers(0, 100)), max_size=60
)


@given(st.sampled_from([0.0, 1.0, 10.0, 1000.0]), EVENTS)
@settings(max_examples=150)
def test_whatever_comes_it_stays_within_its_bounds_and_recovers(rate: float, events: list[tuple[float, str, int]]) -> None:
    pace, now_s = Pace(rate, 0), 0.0
    for wait_s, what, level in events:
        now_s += wait_s
        if what == "throttled":
            assert PAUSE_S <= pace.throttled(now_s, float(level)) <= PAUSE_S_MAX
        elif what == "accepted":
            pace.accepted()
        elif what == "rate":
            assert 0 <= pace.congestion(level, now_s, float(level)) <= PAUSE_S_MAX
        pace.take(min(pace.available(now_s), 3))
        assert not rate or pace.limit_per_s <= rate
        assert pace.limit_per_s >= RATE_MIN or not pace.limit_per_s

    for _ in range(200):
        now_s += 1
        pace.available(now_s)
    assert (pace.limit_per_s, pace.reason) == (rate, Reason.NONE)


@given(st.sampled_from([1.0, 5.0, 50.0, 333.0]), st.lists(st.floats(0.0, 0.7), min_size=5, max_size=80))
@settings(max_examples=100)
def test_never_more_than_the_rate_and_one_burst(rate: float, waits: list[float]) -> None:
    pace, now_s, count = Pace(rate, 0), 0.0, 0
    for wait_s in waits:
        now_s += wait_s
        can = pace.available(now_s)
        pace.take(can)
        count += can

    assert count <= now_s * rate + max(1.0, rate / 10) + 1e-6
