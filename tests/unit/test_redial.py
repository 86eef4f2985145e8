"""The pauses between binds."""

from __future__ import annotations

import pytest

from gateway.domain.redial import Ended, Redial, Times

TIMES = Times(backoff_s_min=1, backoff_s_max=30, standoff_s_max=900, already_bound_wait_s=60, unbound_wait_s=2)


def pauses(ended: Ended, count: int, chance: float = 0.999_999, *, stood_s: float = 0.0) -> list[float]:
    redial = Redial(TIMES)
    return [round(redial.pause_s(ended, stood_s, chance), 1) for _ in range(count)]


def test_a_lost_connection_is_tried_again_after_a_doubling_pause_up_to_its_cap():
    assert pauses(Ended.LOST, 7) == [1, 2, 4, 8, 16, 30, 30]


def test_the_jitter_is_full_and_still_never_hammers():
    assert pauses(Ended.LOST, 7, chance=0.0) == [0.5] * 7


def test_a_refusal_of_credentials_begins_with_the_longest_backoff_and_grows_to_the_standoff():
    assert pauses(Ended.CREDENTIALS, 7) == [30, 60, 120, 240, 480, 900, 900]
    assert pauses(Ended.CREDENTIALS, 2, chance=0.0) == [15, 30]


def test_already_bound_is_waited_out_and_never_for_less_than_asked():
    assert pauses(Ended.ALREADY_BOUND, 3, chance=0.0) == [60, 120, 240]


def test_a_carrier_that_unbinds_again_and_again_sees_us_less_often():
    assert pauses(Ended.UNBOUND, 4) == [3, 4, 6, 10]


def test_a_bind_that_stood_longer_than_its_pause_begins_anew():
    redial = Redial(TIMES)
    for _ in range(6):
        redial.pause_s(Ended.LOST, 0.0, 0.999_999)

    assert redial.pause_s(Ended.LOST, 29.0, 0.999_999) == pytest.approx(30, abs=0.1)
    assert redial.pause_s(Ended.LOST, 31.0, 0.999_999) == pytest.approx(1, abs=0.1)


def test_a_loss_between_two_refusals_does_not_make_the_standoff_short_again():
    redial = Redial(TIMES)

    told = [Ended.CREDENTIALS, Ended.LOST, Ended.CREDENTIALS]

    assert [round(redial.pause_s(ended, 0.0, 0.999_999)) for ended in told] == [30, 1, 60]
