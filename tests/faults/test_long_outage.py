"""A carrier that is away for long: what was accepted meanwhile goes on its way when it is back, each once, in its sender's order."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from gateway.smpp.pdu import SubmitSm
from gateway.world import World
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_session import SmscSession
from tests.support.processes import HOST, Program, Site, empty_site
from tests.support.witness import until

QUEUED = 100_000
BATCH = 1_000
SENDERS = ("10691", "10692")
# The store holds the queue; memory has its beginning, and what a batch of requests needs.
GROWTH_MB_MAX = 120
READY_S = 10.0
RECOVERED_S = 60.0


class Carrier(Smsc):
    """Takes everything, and writes down in which order it came."""

    def __init__(self, world: World, port: int) -> None:
        super().__init__(world, SmscConfig.for_load(HOST, port))
        self.taken: dict[str, list[int]] = {sender: [] for sender in SENDERS}
        self.count = 0

    def submit(self, session: SmscSession, request: SubmitSm) -> None:
        self.taken[request.source_addr].append(int(request.short_message))
        self.count += 1
        super().submit(session, request._replace(registered_delivery=0))


async def submit_all(site: Site, sender: str, api_key: str) -> None:
    """Hand in a sender's share, batch by batch."""
    for first in range(0, QUEUED // len(SENDERS), BATCH):
        messages = [{"to": f"+86138{number:08d}", "from": sender, "text": str(number)} for number in range(first, first + BATCH)]
        async with site.http.post(
            f"{site.url}/v1/messages", headers={"Authorization": f"Bearer {api_key}"}, json={"messages": messages}
        ) as response:
            answered = await response.json()
            assert response.status == 202, answered
            assert all("id" in each for each in answered["messages"])


def memory_mb(program: Program, key: str = "VmRSS") -> float:
    lines = Path(f"/proc/{program.pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


@pytest.mark.timeout(240)
async def test_a_hundred_thousand_wait_for_a_carrier_that_is_away_and_leave_once_and_in_order(tmp_path: Path):
    async with empty_site(tmp_path) as site:
        keys = []
        for name in ("acme", "other"):
            added = await site.command("partner", "add", name, "--credit", "100000000", "--json")
            keys.append(json.loads(added.out)["api_key"])
        gateway = await site.ready_gateway()
        before_mb = memory_mb(gateway)
        await asyncio.gather(*(submit_all(site, sender, key) for sender, key in zip(SENDERS, keys, strict=True)))
        grown_mb = memory_mb(gateway, "VmHWM") - before_mb
        await gateway.end(signal.SIGKILL)

        began = time.monotonic()
        gateway = await site.ready_gateway()
        ready_s = time.monotonic() - began
        world = RealWorld()
        carrier = Carrier(world, site.smsc_port)
        began = time.monotonic()
        await carrier.start()
        await until(lambda: carrier.count > QUEUED // 3, RECOVERED_S, "a third of the queue at the carrier")
        drained_mb = memory_mb(gateway, "VmHWM") - before_mb
        assert await gateway.end(signal.SIGTERM) == 0
        await site.ready_gateway()
        await until(lambda: carrier.count >= QUEUED, RECOVERED_S, "all of the queue at the carrier")
        recovered_s = time.monotonic() - began
        await carrier.stop()
        await world.close()

    assert carrier.taken == {sender: list(range(QUEUED // len(SENDERS))) for sender in SENDERS}
    assert max(grown_mb, drained_mb) < GROWTH_MB_MAX
    assert ready_s < READY_S
    assert recovered_s < RECOVERED_S
