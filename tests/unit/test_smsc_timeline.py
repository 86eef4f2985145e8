"""What the simulated SMSC does later happens in its time, whatever else is planned meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from simulators.smsc_timeline import Timeline
from simulators.world import Sim, run


def test_a_deed_that_plans_a_later_one_does_not_hold_up_those_between() -> None:
    async def main(sim: Sim) -> list[tuple[str, float]]:
        timeline = Timeline(sim.node("smsc").world.clock)
        done: list[tuple[str, float]] = []

        def do(name: str) -> None:
            done.append((name, sim.loop.time()))
            if name == "first":
                timeline.after(3.0, do, "planned")

        timeline.after(0.1, do, "first")
        timeline.after(0.2, do, "between")
        await asyncio.sleep(5.0)
        return done

    assert run(main, 1) == [("first", pytest.approx(0.1)), ("between", pytest.approx(0.2)), ("planned", pytest.approx(3.1))]


def test_a_closed_timeline_does_nothing_more() -> None:
    async def main(sim: Sim) -> list[str]:
        timeline = Timeline(sim.node("smsc").world.clock)
        done: list[str] = []
        timeline.after(0.1, lambda: (done.append("first"), timeline.close()))
        timeline.after(0.1, done.append, "second")
        await asyncio.sleep(1.0)
        return done

    assert run(main, 1) == ["first"]
