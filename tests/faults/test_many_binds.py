"""Crowds at the partners' door: ten thousand idle binds, a flood of wrong ones, peers that do not read or drip. All others are served."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import PASSWORD, Program, Site, opened_site
from tests.support.wire import BIND_TRX, ENQUIRE_LINK, RESPONSE, SUBMIT_SM, Wire, bind_body, frame, message_body

IDLE_BINDS = 10_000
RSS_MB_MAX = 300
AT_ONCE = 200
FLOOD = 400
SPARE_FILES = 500
# An answer that takes longer means that somebody else is being served instead.
PROMPT_S = 10.0  # against the minutes of a flood; a busy machine takes seconds
DEAF_MB_MAX = 30
STUCK_S = 5.0
ENQUIRIES = 2_000


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as the hard limit allows; a skip where that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE_BINDS + SPARE_FILES:
        pytest.skip(f"this user may open {hard} files only (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def crowded_config(site: Site) -> None:
    text = site.config.read_text("utf-8").replace("[smpp_server]", f"[smpp_server]\nsessions_max = {IDLE_BINDS + SPARE_FILES}")
    site.config.write_text(text, "utf-8")


async def bound(site: Site, password: str = PASSWORD) -> tuple[Wire, int]:
    wire = await Wire.connect(site.smpp_port)
    return wire, (await wire.ask(BIND_TRX, bind_body("acme", password))).status


async def is_served(wire: Wire) -> bool:
    """Whether a submit_sm is answered promptly."""
    async with asyncio.timeout(PROMPT_S):
        return (await wire.submit()).status == 0


def rss_mb(gateway: Program) -> float:
    return float(psutil.Process(gateway.pid).memory_info().rss) / 1e6


@pytest.mark.timeout(180)
async def test_ten_thousand_idle_binds_fit_in_300_megabytes_and_disturb_nobody(tmp_path: Path, many_files: None):
    async with opened_site(tmp_path, "--receipt-delay-ms", "0") as site:
        crowded_config(site)
        gateway = await site.ready_gateway()
        idle: list[Wire] = []

        while len(idle) < IDLE_BINDS:
            opened = await asyncio.gather(*(bound(site) for _ in range(AT_ONCE)))
            assert {status for _, status in opened} == {0}
            idle += [wire for wire, _ in opened]
        served = await is_served(idle[0])
        size = rss_mb(gateway)

        assert served
        assert size < RSS_MB_MAX, f"{size:.0f} MB for {IDLE_BINDS} idle binds"
        assert await idle[-1].is_alive()
        for wire in idle:
            wire.reset()
        assert site.noise() == []


async def test_a_flood_of_wrong_binds_does_not_keep_others_from_being_served(tmp_path: Path):
    async with opened_site(tmp_path, "--receipt-delay-ms", "0") as site:
        await site.ready_gateway()
        partner, status = await bound(site)
        assert status == 0

        async def hammer(number: int) -> int:
            try:
                wire, refused = await bound(site, f"wrong{number % 1000}")
            except (OSError, EOFError, TimeoutError):
                return -1
            wire.reset()
            return refused

        flood = asyncio.gather(*(hammer(number) for number in range(FLOOD)))
        served = [await is_served(partner) for _ in range(20)]
        statuses = await flood

        assert all(served)
        assert 0 not in statuses
        assert await is_served(partner)


@pytest.mark.timeout(300)  # it fills the kernel's buffers, of megabytes, with PDUs of 16 octets
async def test_a_peer_that_does_not_read_costs_only_its_own_session(tmp_path: Path):
    async with opened_site(tmp_path, "--receipt-delay-ms", "0") as site:
        gateway = await site.ready_gateway()
        partner, deaf = (await bound(site))[0], (await bound(site))[0]
        before = rss_mb(gateway)
        deaf.stop_reading()
        enquiries = b"".join(frame(ENQUIRE_LINK, sequence=number) for number in range(1, ENQUIRIES + 1))
        taken = 0

        async def talk() -> None:
            nonlocal taken
            with contextlib.suppress(ConnectionError):  # or it is reset, when too much waits for it
                while True:
                    await deaf.send(enquiries)
                    taken += len(enquiries)

        talking = asyncio.create_task(talk())
        # In the end it is not read from any more: what it says stays in the buffers of the sockets, however long it goes on.
        stuck_at, since = -1, 0.0
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(240):
            while not talking.done() and (stuck_at != taken or loop.time() - since < STUCK_S):
                if stuck_at != taken:
                    stuck_at, since = taken, loop.time()
                assert await is_served(partner)
                await asyncio.wait([talking], timeout=0.05)
        grown = rss_mb(gateway) - before

        assert grown < DEAF_MB_MAX, f"{grown:.0f} MB more for a peer that does not read"
        assert await partner.is_alive()
        talking.cancel()
        deaf.reset()


async def test_a_peer_that_drips_a_pdu_costs_only_its_own_session(tmp_path: Path):
    async with opened_site(tmp_path, "--receipt-delay-ms", "0") as site:
        await site.ready_gateway()
        partner, slow = (await bound(site))[0], (await bound(site))[0]
        octets = frame(SUBMIT_SM, message_body(), sequence=9)

        for place in range(len(octets)):
            await slow.send(octets[place : place + 1])
            if place % 10 == 0:
                assert await is_served(partner)

        answer = await slow.read()
        assert (answer.command_id, answer.status, answer.sequence) == (SUBMIT_SM | RESPONSE, 0, 9)
