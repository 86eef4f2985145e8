"""Fair queues: order within a queue, turns between them, and that nobody waits for another's backlog."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.fairness import FairQueues, is_urgent, queue_of

BULK, ACME, OTHER = 0x100, 0x200, 0x300


def queues(*items: tuple[int, int]) -> FairQueues[tuple[int, int]]:
    made: FairQueues[tuple[int, int]] = FairQueues(lambda item: item[1])
    for item in items:
        made.put(item[0], item)
    return made


def drained(waiting: FairQueues[tuple[int, int]]) -> list[tuple[int, int]]:
    return [waiting.take() for _ in range(waiting.count)]


def test_an_urgent_message_has_a_queue_of_its_own_that_goes_first() -> None:
    assert not is_urgent(queue_of(BULK, 1))
    assert is_urgent(queue_of(BULK, 2))

    waiting = queues((BULK, 1), (BULK, 2), (ACME | 1, 3))

    assert drained(waiting) == [(ACME | 1, 3), (BULK, 1), (BULK, 2)]


def test_queues_take_turns() -> None:
    waiting = queues((BULK, 1), (BULK, 2), (BULK, 3), (ACME, 4), (ACME, 5), (OTHER, 6))

    assert [key for key, _ in drained(waiting)] == [OTHER, ACME, BULK, ACME, BULK, BULK]


def test_what_comes_back_goes_to_its_old_place() -> None:
    waiting = queues((BULK, 5), (BULK, 2), (BULK, 9), (BULK, 7), (BULK, 1))

    assert [number for _, number in drained(waiting)] == [1, 2, 5, 7, 9]


def test_a_newcomer_goes_before_the_second_item_of_a_backlog() -> None:
    waiting = queues(*((BULK, number) for number in range(100)))
    waiting.take()

    waiting.put(ACME, (ACME, 1000))

    assert waiting.take() == (ACME, 1000)


def test_a_queue_that_empties_and_comes_again_gets_no_second_turn_in_a_round() -> None:
    waiting = queues(*((BULK, number) for number in range(100)))
    taken = []
    for number in range(20):
        if ACME not in waiting:
            waiting.put(ACME, (ACME, 1000 + number))
        taken.append(waiting.take()[0])

    assert taken.count(ACME) == taken.count(BULK) == 10


def test_empty_queues_are_forgotten() -> None:
    waiting = queues(*((key << 8, key) for key in range(5_000)))
    drained(waiting)

    assert waiting.keys == []
    assert waiting.count == 0
    with pytest.raises(IndexError):
        waiting.head()


def test_a_queue_is_alone_when_nobody_waits_for_its_turns() -> None:
    waiting = queues((BULK, 1), (BULK, 2), (ACME, 3))

    assert not waiting.is_alone
    assert waiting.remove(ACME, 3, 3) == [(ACME, 3)]
    assert waiting.is_alone
    drained(waiting)
    assert not waiting.is_alone


def test_items_can_be_taken_out_of_turn() -> None:
    waiting = queues((BULK, 1), (BULK, 2), (BULK, 3), (ACME, 4))

    assert waiting.remove(BULK, 2, 9) == [(BULK, 2), (BULK, 3)]
    assert waiting.remove(ACME, 4, 4) == [(ACME, 4)]
    assert waiting.remove(OTHER, 0, 9) == []
    assert drained(waiting) == [(BULK, 1)]


def test_whether_something_waits_before_a_number() -> None:
    waiting = queues((BULK, 5))

    assert waiting.has_before(BULK, 6)
    assert not waiting.has_before(BULK, 5)
    assert not waiting.has_before(ACME, 6)


KEYS = st.sampled_from([BULK, ACME, OTHER, 0, BULK | 1, ACME | 1])
STEPS = st.lists(st.one_of(st.tuples(st.just("put"), KEYS), st.tuples(st.just("take"), st.just(0))), max_size=120)


@given(STEPS)
@settings(max_examples=150)
def test_nothing_is_lost_or_reordered_and_no_head_waits_longer_than_a_round(steps: list[tuple[str, int]]) -> None:
    waiting = queues()
    expected: dict[int, list[int]] = {}
    passed: dict[int, dict[int, int]] = {}  # per queue that waits: how many of each other went since its head became the head
    for number, (what, key) in enumerate(steps):
        if what == "put":
            waiting.put(key, (key, number))
            expected.setdefault(key, []).append(number)
            passed.setdefault(key, {})
        elif waiting.count:
            head = waiting.head()
            taken = waiting.take()
            assert head == taken
            assert expected[taken[0]].pop(0) == taken[1]
            assert is_urgent(taken[0]) or not any(is_urgent(each) and expected[each] for each in expected)
            for each, others in passed.items():
                if each != taken[0] and is_urgent(each) == is_urgent(taken[0]):
                    others[taken[0]] = others.get(taken[0], 0) + 1
                    assert others[taken[0]] <= 2
            passed.pop(taken[0])
            if expected[taken[0]]:
                passed[taken[0]] = {}

    assert waiting.count == sum(len(left) for left in expected.values())
    assert sorted(waiting.keys) == sorted(key for key, left in expected.items() if left)
