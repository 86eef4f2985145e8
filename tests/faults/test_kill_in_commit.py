"""kill -9 not at random but inside a commit: at the n-th write or flush of the store's files, by the kernel's hand."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from tests.support.processes import injected, opened_site
from tests.support.witness import Witness, audit, until

RATE_PER_S = 200
# Writes of a commit come one after the other; these land on its first frame, between its frames, and in later commits.
PLACES = [("pwrite64", number) for number in (1, 2, 3, 5, 8)] + [("fdatasync", number) for number in (1, 2, 3)]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
async def test_a_kill_inside_a_commit_loses_nothing_and_charges_nothing_twice(tmp_path: Path):
    async with opened_site(tmp_path, "--receipt-delay-ms", "50") as site:
        world = RealWorld()
        witness = Witness(site, RATE_PER_S, world)
        submitting = asyncio.create_task(witness.run())

        for call, number in PLACES:
            binds = witness.binds
            gateway = await site.ready_gateway()
            await until(lambda binds=binds: witness.binds > binds, 30, "the ESME bound")
            await witness.until_acknowledged(20)
            async with injected(gateway, call, f"signal=SIGKILL:when={number}", site.store):
                assert await gateway.wait() == -signal.SIGKILL

        await site.ready_gateway()
        await witness.until_acknowledged(20)
        await witness.finish()
        findings = await audit(witness, tmp_path)
        submitting.cancel()

        assert len(findings.lives) >= 20 * len(PLACES)
        assert witness.esme is not None
        witness.esme.abort()
        await world.close()
