"""Whole-house seeds: every promise holds, with faults and without."""

from __future__ import annotations

import pytest

from simulators.play import play

FIRST, SEEDS = 1, 30


@pytest.mark.timeout(120)
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, 10))
def test_ten_seeds_of_the_whole_house_keep_every_promise(first: int) -> None:
    verdicts = [play(seed) for seed in range(first, first + 10)]

    assert [(verdict.seed, str(violation)) for verdict in verdicts for violation in verdict.violations] == []
    assert all(verdict.delivered > 0 for verdict in verdicts)
    assert sum(verdict.corrections for verdict in verdicts) > 10
    assert sum(verdict.late for verdict in verdicts) > 10


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(392, id="a link unbinds before what it was handed is answered, and is handed it again"),
        pytest.param(616, id="a phone's full queue is refused while the disk is slow"),
        pytest.param(706, id="a delivery crosses the unbind of a link"),
    ],
)
def test_a_seed_that_found_something_once_finds_nothing_now(seed: int) -> None:
    assert [str(violation) for violation in play(seed).violations] == []


def test_the_same_seed_plays_the_same_run() -> None:
    once, again = play(2), play(2)

    assert once.digest == again.digest
    assert once == again


def test_another_seed_plays_another_run() -> None:
    assert play(2).digest != play(3).digest
