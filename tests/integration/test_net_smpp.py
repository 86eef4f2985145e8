"""Perl's Net::SMPP as the other side: long Unicode texts both ways and their receipts, at our door and at our simulator."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from simulators.smsc_rules import Rule
from tests.support.gateway import PARTNER, PARTNER_CODE, PASSWORD, opened_gateway
from tests.support.smsc import house as simulator
from tests.support.wire import HOST, PHONE

SCRIPT = Path(__file__).parents[1] / "support" / "net_smpp.pl"
LONG = "门铃：一个很长的中文短信，要分成几段才能送到手机上，表情也要完整🎂。" * 4
BACK = "手机回信，也很长，也有表情🎉，也要一字不差地回到合作伙伴那里。" * 5
PARTS = -(-len(LONG.encode("utf-16-be")) // 134)


def _is_installed() -> bool:
    perl = shutil.which("perl")
    return (
        perl is not None
        and subprocess.run([perl, "-MNet::SMPP", "-MJSON::PP", "-e", "1"], capture_output=True, check=False).returncode == 0
    )


pytestmark = pytest.mark.skipif(not _is_installed(), reason="no Net::SMPP for perl (apt-get install libnet-smpp-perl)")


async def played(port: int, system_id: str, password: str, deliveries: int) -> AsyncIterator[dict[str, Any]]:
    """The lines that the Perl client prints, as it prints them."""
    arguments = [HOST, str(port), system_id, password, PARTNER_CODE, PHONE, LONG.encode("utf-16-be").hex(), str(deliveries)]
    process = await asyncio.create_subprocess_exec("perl", str(SCRIPT), *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async for line in process.stdout:
        yield json.loads(line)
    assert await process.wait() == 0


def receipts_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["what"] == "deliver_sm" and line["esm_class"] & 0x04]


def check_receipts(lines: list[dict[str, Any]]) -> None:
    ids = [line["message_id"] for line in lines if line["what"] == "submit_sm_resp" and line["status"] == 0]
    receipts = receipts_of(lines)
    assert len(ids) == PARTS
    assert sorted(line["receipted"].rstrip("\0") for line in receipts) == sorted(ids)
    assert {line["state"] for line in receipts} == {2}
    assert all(b"stat:DELIVRD" in bytes.fromhex(line["text"]) for line in receipts)
    assert [line["status"] for line in lines if line["what"] in ("enquire_link_resp", "unbind_resp")] == [0, 0]


async def test_net_smpp_sends_and_receives_long_unicode_texts_through_our_door(tmp_path):
    lines = []
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(),)}) as house:
        async for line in played(house.port, PARTNER, PASSWORD, PARTS + 1):
            lines.append(line)
            if line["what"] == "bound":
                house.smsc.send_mo(PHONE, PARTNER_CODE, BACK)
        bodies = [taken.pdu.short_message for taken in house.smsc.log]

    check_receipts(lines)
    assert b"".join(body[6:] for body in sorted(bodies, key=lambda body: body[5])).decode("utf-16-be") == LONG
    (back,) = [line for line in lines if line["what"] == "deliver_sm" and not line["esm_class"] & 0x04]
    assert (back["from"], back["to"], back["data_coding"]) == (PHONE, PARTNER_CODE, 8)
    assert bytes.fromhex(back["text"]).decode("utf-16-be") == BACK


async def test_net_smpp_sends_and_receives_long_unicode_texts_at_our_simulator():
    lines = []
    async with simulator(rules=(Rule(),)) as house:
        expected = PARTS + -(-len(BACK.encode("utf-16-be")) // 134)
        async for line in played(house.smsc.port, "anybody", "secret", expected):
            lines.append(line)
            if line["what"] == "bound":
                house.smsc.send_mo(PHONE, PARTNER_CODE, BACK)

    check_receipts(lines)
    back = [bytes.fromhex(line["text"]) for line in lines if line["what"] == "deliver_sm" and not line["esm_class"] & 0x04]
    assert b"".join(part[6:] for part in sorted(back, key=lambda part: part[5])).decode("utf-16-be") == BACK
