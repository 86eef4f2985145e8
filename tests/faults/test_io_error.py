"""The disk fails under the running gateway, by the kernel's own error codes: refused while it lasts, healed after, nothing re-trusted."""

from __future__ import annotations

import asyncio
import resource
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from gateway.smpp.consts import Status
from gateway.smpp.pdu import EnquireLink
from tests.support.processes import Program, injected, opened_site
from tests.support.witness import Witness, audit, until

RATE_PER_S = 50

# Which call fails and how: a flush that fails once the pages were written; no room; a file system gone read-only.
FAULTS = {"EIO": "fdatasync,fsync", "ENOSPC": "pwrite64,write", "EROFS": "pwrite64"}
TOO_LARGE = "EFBIG"


@asynccontextmanager
async def limited(victim: Program) -> AsyncIterator[None]:
    """Let the process write to no file until the block ends (the signal that would end others, SIGXFSZ, Python ignores).

    The limit is nothing, not the log's size of now: a log that is begun again from its start would fit under that.
    """
    resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def fault(error: str, victim: Program, store: Path) -> AbstractAsyncContextManager[None]:
    return limited(victim) if error == TOO_LARGE else injected(victim, FAULTS[error], f"error={error}", store)


@pytest.mark.parametrize("error", [*FAULTS, TOO_LARGE])
async def test_a_disk_that_fails_is_not_trusted_until_it_works(tmp_path: Path, error: str):
    if error in FAULTS and shutil.which("strace") is None:
        pytest.skip("needs strace")
    async with opened_site(tmp_path, "--response-delay-ms", "300", "--receipt-delay-ms", "600") as site:
        site.expected_error = "the store cannot be written"
        world = RealWorld()
        gateway = await site.ready_gateway()
        witness = Witness(site, RATE_PER_S, world)
        submitting = asyncio.create_task(witness.run())
        await witness.until_acknowledged(100)
        esme = witness.esme
        assert esme is not None

        async with fault(error, gateway, site.store):
            await site.until_ready(is_ready=False)
            first = len(witness.sent)
            await until(lambda: sum(sent.status is not None for sent in witness.sent[first:]) >= 20, 30, "answers while it lasts")
            statuses = {sent.status for sent in witness.sent[first:] if sent.status is not None}
            alive, _ = await site.status_of("/healthz")
            pulse = await esme.request(EnquireLink())
        await site.until_ready(timeout_s=10)
        await witness.until_acknowledged(100)
        await witness.finish()
        findings = await audit(witness, tmp_path)
        submitting.cancel()

        assert statuses == {int(Status.ESME_RSYSERR)}
        assert (alive, pulse.command_status) == (200, 0)
        assert gateway.is_running
        assert witness.esme is esme
        assert len(site.said(site.expected_error)) == 1
        assert max(findings.wire.values()) == 1
        assert {life["state"] for life in findings.lives.values()} == {"delivered"}
        esme.abort()
        await world.close()
