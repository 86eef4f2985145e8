"""Several processes on one set of books, killed at random: whatever they raced for happened once, and the money agrees. On both engines."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from billing import check
from gateway.store.engine import open_reading
from tests.support.bookkeepers import WINDOW, Bookkeeper, Nursery, Order, furnish

SEED = 20_261_124
WORKERS = 4
ROUNDS = 13  # of as many kills as workers, on each engine: 104
STEP = 40  # events by which a round goes on: each event is met in several rounds
ACTS_MAX = 30  # that a bookkeeper does in its life, before the one in which it is killed
ACT_S = 0.01
FAULTY_ROUNDS_MAX = 200


@contextmanager
def nursery_on(url: str, engine: Engine) -> Iterator[Nursery]:
    with engine.begin() as conn:
        furnish(conn)
    nursery = Nursery(url)
    try:
        yield nursery
    finally:
        complaints = nursery.close()
    assert complaints == ""


def play_round(nursery: Nursery, chance: random.Random, first: int, variant: str = "") -> int:
    """Let bookkeepers work side by side and kill each after a while; how many were killed at work."""
    pids = [nursery.start(Order(chance.randrange(1 << 30), first, variant)) for _ in range(WORKERS)]
    killed = 0
    for pid in pids:
        nursery.wait_for(pid, chance.randint(1, ACTS_MAX))
        time.sleep(chance.uniform(0, ACT_S))  # somewhere in its next act, or the one after
        killed += nursery.kill(pid)
    return killed


def faults(reading: Engine) -> list[str]:
    """What the checks find, and what only this test knows: the sums of money, and no refund above its capture."""
    with reading.begin() as conn:
        found = [f"{each.invariant}: {each.detail}" for each in check.check(conn)]
        come = conn.execute(text("SELECT SUM(posted_minor) FROM transfer WHERE cause LIKE 'topup:%'")).scalar_one()
        taken = conn.execute(text("SELECT COALESCE(SUM(amount_minor), 0) FROM charge WHERE state = 10")).scalar_one()
        left = conn.execute(text("SELECT SUM(posted_minor) FROM account WHERE is_wallet")).scalar_one()
        over = conn.execute(text("SELECT COUNT(*) FROM (SELECT event_id FROM charge GROUP BY event_id HAVING SUM(amount_minor) < 0) AS o"))
        if come != taken + left:
            found.append(f"sums: {come} came, {taken} taken, {left} left")
        if over.scalar_one():
            found.append("refunds above their capture")
    return found


def everything_was_done(reading: Engine) -> bool:
    """Whether charges came to each of their ends and some were refunded."""
    with reading.begin() as conn:
        states = set(conn.execute(text("SELECT DISTINCT state FROM charge WHERE record_type = 0")).scalars())
        refunds = conn.execute(text("SELECT COUNT(*) FROM charge WHERE record_type = 1")).scalar_one()
    return {10, 11, 12} <= states and refunds > 0


@pytest.mark.timeout(240)
def test_whoever_is_killed_each_event_is_charged_once_and_the_sums_are_right(engine_url: str, engine: Engine):
    chance = random.Random(SEED)
    reading = open_reading(engine_url)
    killed = 0
    with nursery_on(engine_url, engine) as nursery:
        for number in range(ROUNDS):
            killed += play_round(nursery, chance, number * STEP)

            assert faults(reading) == []

    assert killed == ROUNDS * WORKERS
    assert everything_was_done(reading), "too little was done to be worth a kill"
    Bookkeeper(engine, Order(SEED, 0, "")).finish(range(ROUNDS * STEP + WINDOW))
    assert faults(reading) == []
    with reading.begin() as conn:
        assert conn.execute(text("SELECT SUM(held_minor) FROM account")).scalar_one() == 0
    reading.dispose()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@pytest.mark.parametrize("variant", ["lost update", "two ends", "two transactions"])
def test_the_checks_find_books_that_are_kept_wrongly(engine_url: str, engine: Engine, variant: str):
    chance = random.Random(SEED)
    reading = open_reading(engine_url)
    found: list[str] = []
    with engine.begin() as conn:
        furnish(conn)
    nursery = Nursery(engine_url)

    for number in range(FAULTY_ROUNDS_MAX):
        play_round(nursery, chance, number * STEP, variant)
        found = faults(reading)
        if found:
            break

    nursery.close()
    reading.dispose()
    assert found, f"{variant} was not noticed"
