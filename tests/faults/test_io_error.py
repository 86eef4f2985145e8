"""The disk fails under the running gateway, by the kernel's own error codes: refused while it lasts, healed after, nothing re-trusted."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from gateway.smpp.consts import Status
from gateway.smpp.pdu import EnquireLink
from tests.support.processes import Program, opened_site
from tests.support.witness import Witness, audit, until

RATE_PER_S = 50

# Which call fails and how: a flush that fails once the pages were written; no room; a file system gone read-only.
FAULTS = [("fdatasync,fsync", "EIO"), ("pwrite64,write", "ENOSPC"), ("pwrite64", "EROFS")]


@asynccontextmanager
async def injected(victim: Program, calls: str, error: str, folder: Path) -> AsyncIterator[None]:
    """Let these calls of a process fail on the store's files until the block ends."""
    files = [option for name in ("", "-wal", "-shm", "-journal") for option in ("-P", str(folder / f"bellhop.db{name}"))]
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}")
    strace = await Program.start("strace", "-f", "-p", str(victim.pid), *files, *inject, "-o", "/dev/null")
    await strace.line("attached")
    try:
        yield
    finally:
        await strace.end(signal.SIGINT)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(("calls", "error"), FAULTS, ids=[error for _, error in FAULTS])
async def test_a_disk_that_fails_is_not_trusted_until_it_works(tmp_path: Path, calls: str, error: str):
    async with opened_site(tmp_path, "--response-delay-ms", "300", "--receipt-delay-ms", "600") as site:
        world = RealWorld()
        gateway = await site.ready_gateway()
        witness = Witness(site, RATE_PER_S, world)
        submitting = asyncio.create_task(witness.run())
        await witness.until_acknowledged(100)
        esme = witness.esme
        assert esme is not None

        async with injected(gateway, calls, error, tmp_path):
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
        assert max(findings.wire.values()) == 1
        assert {life["state"] for life in findings.lives.values()} == {"delivered"}
        esme.abort()
        await world.close()
