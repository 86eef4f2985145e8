"""A client that never heard the answer asks again under its key: one message, whatever died in between."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.support.processes import CREDIT_MINOR, PRICES, opened_site

MESSAGE = {"from": "10661700", "to": "+8613900000001", "text": "once", "service": "hold"}
AT_ONCE = 50


async def test_a_key_is_one_message_before_and_after_a_kill(tmp_path: Path):
    async with opened_site(tmp_path, "--receipt-delay-ms", "0") as site:
        gateway = await site.ready_gateway()
        first = await asyncio.gather(*(site.post("key 1", **MESSAGE) for _ in range(AT_ONCE)))
        await gateway.end(signal.SIGKILL)

        await site.ready_gateway()
        again = await asyncio.gather(*(site.post("key 1", **MESSAGE) for _ in range(AT_ONCE)))
        other = await site.post("key 1", **MESSAGE | {"text": "twice"})
        balance, wallet = await site.status_of("/v1/balance", **site.auth)

        answers = [*first, *again]
        assert {status for status, _, _ in answers} == {202}
        assert len({document["id"] for _, _, document in answers}) == 1
        assert (other[0], other[2]["reason"]) == (409, "key_reused")
        assert len(await site.on_the_wire()) <= 1
        assert balance == 200
        assert CREDIT_MINOR - wallet["available_minor"] <= PRICES["hold"]
        assert site.noise() == []
