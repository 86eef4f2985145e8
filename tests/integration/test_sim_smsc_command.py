"""The command that runs the SMSC simulator, as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from simulators.esme import Esme
from simulators.smsc_config import SmscConfig
from simulators.smsc_rules import Rule
from tests.support.smsc import HOST, message

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def start_command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.cli", "smsc", *arguments, cwd=ROOT, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_is_ready_serves_and_ends_with_0(number):
    port = free_port()
    process = await start_command("--port", str(port), "--http-port", "0", "--receipt-delay-ms", "0")
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    world = RealWorld()
    esme = await Esme.connect(world, HOST, port)

    await esme.submit(message())
    await esme.next_delivery()
    process.send_signal(number)
    reason = await esme.wait_over()
    rest = await process.stderr.read()
    await world.close()

    assert line.startswith(f"ready smpp=127.0.0.1:{port} phones=http://127.0.0.1:")
    assert reason.value == "peer unbound"
    assert (await process.wait(), rest) == (0, b"")


@pytest.mark.parametrize("which", ["--port", "--http-port"])
async def test_command_says_in_one_line_that_a_port_is_taken(which):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "--http-port" if which == "--port" else "--port"

        process = await start_command(which, str(port), other, "0")
        _, errors = await process.communicate()

    assert process.returncode == 3
    assert errors.decode().splitlines() == [
        f"bellhop sim smsc: 127.0.0.1:{port} is in use by another program; choose another --port or --http-port"
    ]


async def test_default_rules_can_be_extended_by_a_file(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps([{"suffix": "77", "stat": "NONSENSE"}]))

    process = await start_command("--port", "0", "--http-port", "0", "--rules", str(path))
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert "stat: one of DELIVRD" in errors.decode()


def test_load_configuration_has_no_rules():
    assert SmscConfig.for_load().rules == ()
    assert Rule().stat == "DELIVRD"
