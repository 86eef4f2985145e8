"""A daily limit is exact on disk: whatever is killed when, no partner gets more than its day, and no message is uncounted."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp

from tests.support.processes import Site, opened_site

LIMIT = 60
WORKERS = 8


def figures(store: Path) -> tuple[int, int]:
    """Messages on disk, and messages counted."""
    with closing(sqlite3.connect(store)) as conn:
        stored = conn.execute("SELECT count(*) FROM message").fetchone()[0]
        counted = conn.execute("SELECT coalesce(sum(messages), 0) FROM partner_usage").fetchone()[0]
    return stored, counted


async def send(site: Site, place: int, answers: list[int]) -> None:
    """Send until the day is used up or the gateway is gone."""
    for number in range(LIMIT):
        try:
            status, _, _ = await site.post(to=f"+86139{place:04d}{number:04d}", text="hello", **{"from": "10661700"})
        except (aiohttp.ClientError, TimeoutError):
            return
        answers.append(status)
        if status == 429:
            return


async def test_a_kill_neither_loses_nor_gives_back_what_was_counted(tmp_path: Path):
    async with opened_site(tmp_path, "--receipt-delay-ms", "20") as site:
        assert (await site.command("partner", "set", "acme", "--messages-per-day", str(LIMIT))).code == 0
        gateway = await site.ready_gateway()
        answers: list[int] = []
        senders = [asyncio.create_task(send(site, place, answers)) for place in range(WORKERS)]
        while len(answers) < LIMIT // 3:
            await asyncio.sleep(0.005)
        await gateway.end(signal.SIGKILL)
        await asyncio.gather(*senders)

        stored, counted = figures(site.store)
        assert stored == counted >= answers.count(202)

        await site.ready_gateway()
        await asyncio.gather(*(send(site, WORKERS + place, answers) for place in range(WORKERS)))

        assert figures(site.store) == (LIMIT, LIMIT)
        assert answers.count(429) == WORKERS
        status, headers, problem = await site.post(to="+8613900000001", text="one more", **{"from": "10661700"})
        assert (status, problem["reason"]) == (429, "day_quota")
        assert int(headers["Retry-After"]) > 0
        shown = await site.command("partner", "show", "acme", "--json")
        assert f'"today": {LIMIT}' in shown.out
