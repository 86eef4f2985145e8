"""Destinations whose queue is full: one segment asks, the others wait in order, and many at once mean the link."""

from __future__ import annotations

from gateway.domain.backoff import CROWD, CROWD_S, Backoffs
from gateway.domain.message import Flight, Message
from gateway.domain.verdict import RETRY_S

ALICE, BOB = "8613900001111", "8613900002222"
QUEUE = 0x100


def segment(number: int, phone: str = ALICE) -> Flight:
    ends = (phone, 1, 1, 0, 0, 0, 0, 0, 1, 1, None, 0, 0)
    return Flight(number, Message(number, 0, None, None, None, "chat", "1069", 0, 1, *ends), b"", "sim", queue=QUEUE)


def full(*numbers: int) -> Backoffs:
    """Alice's queue was found full by the first of the segments, at 0 s; all wait."""
    backoffs = Backoffs()
    backoffs.refused(segment(numbers[0]), 0.0)
    for number in numbers:
        backoffs.put(segment(number))
    return backoffs


def numbers(flights: list[Flight]) -> list[int]:
    return [flight.segment_id for flight in flights]


def test_only_the_destination_that_is_full_waits():
    backoffs = full(1)

    assert backoffs.is_aside(segment(2))
    assert not backoffs.is_aside(segment(2, BOB))


def test_the_first_asks_when_the_wait_is_over_and_the_others_stay():
    backoffs = full(3, 1, 2)

    assert backoffs.ask(RETRY_S[0] / 2) == []
    assert numbers(backoffs.ask(RETRY_S[0])) == [1]
    assert not backoffs.is_aside(segment(1))
    assert backoffs.is_aside(segment(2))
    assert backoffs.aside[QUEUE] == 2


def test_all_follow_the_one_that_was_answered():
    backoffs = full(1, 2, 3)
    asking = backoffs.ask(RETRY_S[0])[0]

    assert sorted(numbers(backoffs.answered(asking))) == [2, 3]
    assert not backoffs
    assert not backoffs.aside


def test_an_answer_to_what_was_in_the_window_already_lets_nobody_follow():
    backoffs = full(1, 2)

    assert backoffs.answered(segment(7)) == []
    assert backoffs.is_aside(segment(2))


def test_each_refusal_of_the_one_that_asks_makes_the_wait_longer_up_to_the_last_step():
    backoffs, now_s = full(1), 0.0

    for step in (*RETRY_S, RETRY_S[-1]):
        assert backoffs.ask(now_s + step * 0.99) == []
        now_s += step
        (asking,) = backoffs.ask(now_s)
        backoffs.refused(asking, now_s)
        backoffs.put(asking)


def test_nobody_goes_before_one_that_is_on_its_way_back():
    backoffs = full(2)
    first = segment(1)
    backoffs.returns(first)

    assert backoffs.ask(RETRY_S[0]) == []
    backoffs.put(first)
    backoffs.came_back(first)
    assert numbers(backoffs.ask(2 * RETRY_S[0])) == [1]


def test_a_handset_that_is_reachable_again_is_asked_at_once():
    backoffs = full(1)

    assert backoffs.hurry(ALICE, 0.1)
    assert numbers(backoffs.ask(0.1)) == [1]
    assert not backoffs.hurry(BOB, 0.1)


def test_many_destinations_at_once_mean_the_link_and_the_same_many_over_time_do_not():
    phones = [str(8613900000000 + number) for number in range(CROWD)]
    at_once, over_time = Backoffs(), Backoffs()

    assert [at_once.refused(segment(n, phone), 0.0) for n, phone in enumerate(phones)] == [False] * (CROWD - 1) + [True]
    assert not any(over_time.refused(segment(n, phone), n * CROWD_S) for n, phone in enumerate(phones))


def test_what_is_withheld_is_counted_no_more_and_never_asks():
    backoffs = full(1, 2, 3)

    backoffs.withhold(1, 2)

    assert numbers(backoffs.known(QUEUE)) == [3]
    assert backoffs.aside[QUEUE] == 1
    assert numbers(backoffs.ask(RETRY_S[0])) == [3]
