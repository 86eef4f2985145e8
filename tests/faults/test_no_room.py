"""No room on the store's device: nothing is acknowledged that is not on disk, everything else lives on, and it heals by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from gateway.smpp.consts import Status
from gateway.smpp.pdu import EnquireLink
from tests.support.processes import opened_site
from tests.support.witness import Sent, Witness, audit, until

DEVICE_MIB = 24
RATE_PER_S = 100


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root and mount")
    folder = tmp_path / "device"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DEVICE_MIB}m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            while _takes(file, bytes(size)):
                pass
    assert os.statvfs(path).f_bavail == 0


def _takes(file: FileIO, block: bytes) -> bool:
    try:
        return file.write(block) == len(block)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def since(witness: Witness, first: int) -> list[Sent]:
    """What was sent from then on and answered."""
    return [sent for sent in witness.sent[first:] if sent.status is not None]


async def test_a_full_device_stops_acknowledging_and_heals_by_itself(tmp_path: Path, device: Path):
    # Responses take their time, so that there are some in flight when the room is gone.
    async with opened_site(tmp_path, "--response-delay-ms", "300", "--receipt-delay-ms", "600", store=device / "bellhop.db") as site:
        site.expected_error = "the store cannot be written"
        world = RealWorld()
        gateway = await site.ready_gateway()
        witness = Witness(site, RATE_PER_S, world)
        submitting = asyncio.create_task(witness.run())
        await witness.until_acknowledged(200)
        esme = witness.esme
        assert esme is not None

        fill(device / "filler")
        filled_at = world.clock.monotonic()
        readiness = await site.until_ready(is_ready=False)
        red_after_s = world.clock.monotonic() - filled_at
        first_refused = len(witness.sent)
        await until(lambda: len(since(witness, first_refused)) >= 50, 30, "submissions answered while there is no room")
        asked_at = world.clock.monotonic()
        status, headers, problem = await site.post(**{"from": "10661700", "to": "+8613900000001", "text": "hi", "service": "chat"})
        answered_in_s = world.clock.monotonic() - asked_at
        alive, _ = await site.status_of("/healthz")
        pulse = await esme.request(EnquireLink())

        assert red_after_s < 5
        assert "full" in readiness["checks"]["store"]["detail"]
        assert {sent.status for sent in since(witness, first_refused)} == {int(Status.ESME_RSYSERR)}
        assert (status, problem["reason"], alive, pulse.command_status) == (503, "unavailable", 200, 0)
        assert "application/problem+json" in headers["Content-Type"]
        assert int(headers["Retry-After"]) > 0
        assert answered_in_s < 1

        (device / "filler").unlink()
        await site.until_ready(timeout_s=10)
        await witness.until_acknowledged(200)
        await witness.finish()
        findings = await audit(witness, tmp_path)
        submitting.cancel()

        # The same process, the same bind, and nothing left twice: no outcome was forgotten.
        assert gateway.is_running
        assert witness.esme is esme
        assert not esme.is_over
        # Said when it begins, and again where the last blocks took a batch in between; not with each try.
        assert 1 <= len(site.said(site.expected_error)) <= 3
        assert max(findings.wire.values()) == 1
        assert {life["state"] for life in findings.lives.values()} == {"delivered"}
        esme.abort()
        await world.close()
