"""kill -9 at any moment, again and again: nothing acknowledged is lost, nothing is charged twice, no duplicate is silent."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from tests.support.processes import opened_site
from tests.support.witness import Witness, audit, until

KILLS = 50
RATE_PER_S = 200
SEED = 20_261_123
# Two kills in five fall into the start itself, which takes about a second.
KILLED_STARTING = 0.4
START_S = 1.0
BOUND_S = 0.3


@pytest.mark.timeout(400)
async def test_fifty_kills_under_load_lose_nothing_and_charge_nothing_twice(tmp_path: Path):
    chance = random.Random(SEED)
    async with opened_site(tmp_path, "--receipt-delay-ms", "100", "--response-delay-ms", "10") as site:
        world = RealWorld()
        witness = Witness(site, RATE_PER_S, world)
        submitting = asyncio.create_task(witness.run())

        for _ in range(KILLS):
            gateway = await site.start_gateway()
            if chance.random() < KILLED_STARTING:
                await asyncio.sleep(chance.uniform(0.1, START_S))
            else:
                binds = witness.binds
                await gateway.line('"ready"')
                await until(lambda binds=binds: witness.binds > binds, 30, "the ESME bound")
                await asyncio.sleep(chance.uniform(0, BOUND_S))
            assert await gateway.end(signal.SIGKILL) == -signal.SIGKILL

        await site.ready_gateway()
        await witness.until_acknowledged(50)
        await witness.finish()
        findings = await audit(witness, tmp_path)
        submitting.cancel()
        await world.close()

    # The loop is only worth something if the kills hit work in flight.
    assert witness.binds > KILLS // 3
    assert len(findings.lives) > KILLS * 10
    assert max(findings.wire.values()) > 1
    assert any(life["state"] == "failed" for life in findings.lives.values())
