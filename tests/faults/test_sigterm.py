"""SIGTERM under load: no new work, what flies lands, everyone is told goodbye, exit code 0, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from gateway.smpp.events import CloseReason
from tests.support.processes import empty_site, opened_site
from tests.support.witness import Witness, audit, until

RATE_PER_S = 200
# Draining may take 5 s for the carrier and 3 s for partners; the rest is for a busy machine.
DEADLINE_S = 20


async def test_sigterm_under_load_drains_unbinds_and_loses_nothing(tmp_path: Path):
    async with opened_site(tmp_path, "--response-delay-ms", "200", "--receipt-delay-ms", "400") as site:
        world = RealWorld()
        first = await site.ready_gateway()
        witness = Witness(site, RATE_PER_S, world)
        submitting = asyncio.create_task(witness.run())
        await witness.until_acknowledged(300)

        code = await first.end(signal.SIGTERM, DEADLINE_S)
        await until(lambda: sum(witness.endings.values()) == 1, DEADLINE_S, "the end of the bind")
        goodbye = set(witness.endings)
        await site.ready_gateway()
        await witness.until_acknowledged(50)
        await witness.finish()
        findings = await audit(witness, tmp_path)
        submitting.cancel()

        # A stop is no crash: no outcome is unknown, so nothing was sent twice, held or dropped.
        assert code == 0
        assert goodbye == {str(CloseReason.PEER_UNBOUND)}
        assert max(findings.wire.values()) == 1
        assert {life["state"] for life in findings.lives.values()} == {"delivered"}
        assert not any(life["possible_duplicate"] for life in findings.lives.values())
        assert witness.esme is not None
        witness.esme.abort()
        await world.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_the_carrier_is_away_ends_it_too(tmp_path: Path, number: signal.Signals):
    async with empty_site(tmp_path) as site:
        gateway = await site.ready_gateway()

        assert await gateway.end(number, DEADLINE_S) == 0
        assert site.noise() == []
