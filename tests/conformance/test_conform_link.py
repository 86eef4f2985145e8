"""`bellhop conform --role esme` against our own link: it passes every case of that role."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.domain.message import MESSAGE_MASK, STATE_NAMES, fold
from gateway.real_world import RealWorld
from gateway.settings import Settings
from gateway.settings_smpp import Link
from simulators.conform import report, run
from simulators.conform.case import Case, Grade
from simulators.conform.subject import Account, Subject, Triggers
from tests.support.certificates import Authority, Pair
from tests.support.gateway import PARTNER_CODE, House, opened_gateway
from tests.support.processes import COMMAND, Program, Ran, Site, empty_site, free_ports, ran
from tests.support.wire import BIND_TX, HOST, tlv

PAYLOAD = 0x0424
OURS = Account("bellhop", "secret8")
WINDOW = 10
LINK: dict[str, Any] = {
    "response_timeout_s": 2.0,
    "enquire_link_s": 0.3,
    "window": WINDOW,
    "backoff_s_min": 0.05,
    "backoff_s_max": 1.0,
    # Else each case would wait for minutes after the one before it.
    "bind_timeout_s": 2.0,
    "standoff_s_max": 1.0,
    "already_bound_wait_s": 0.5,
    "outbind_system_id": OURS.system_id,
    "outbind_password": SecretStr(OURS.password),
}
# These break connections off and wait for timers; other links play them meanwhile.
WAITING = ({"H01", "H02", "H08", "F02", "F03", "F10", "F11", "F12"}, {"F01", "F15"})
# Needs a process that can be killed.
ABOUT_PROCESSES = {"F16"}


class Sender:
    """Has the gateway send, as a partner does, and knows which message a text became."""

    def __init__(self) -> None:
        self.house: House | None = None
        self._ids: dict[str, int] = {}

    async def send(self, to: str, text: str) -> None:
        assert self.house is not None
        wire = await self.house.bound(BIND_TX)
        answer = await wire.submit(to=(1, 1, to), text=b"", tlvs=tlv(PAYLOAD, text.encode()))
        assert answer.status == 0
        self._ids[text] = int(answer.text)
        await wire.close()

    async def state_of(self, text: str) -> str:
        assert self.house is not None
        states = [row.state for row in await self.house.segments() if row.id & MESSAGE_MASK == self._ids[text]]
        return STATE_NAMES[fold(states)]


async def graded(folder: Path, cases: Sequence[Case], trusted: Authority, bad: Pair) -> list[run.Result]:
    """A gateway whose link is graded on these cases."""
    folder.mkdir()
    sender, (outbind_port, tls_port) = Sender(), free_ports(2)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    subject = Subject(
        HOST, 0, OURS, window=WINDOW, outbind_port=outbind_port, tls_port=tls_port, bad_certificate=(str(bad.certificate), str(bad.key)),
        timeout_s=5, patience_s=30, quiet_s=0.2, long_s=0.5, triggers=Triggers(send=sender.send, state_of=sender.state_of),
    )  # fmt: skip
    grading = asyncio.create_task(run.grade_esme(RealWorld(), subject, cases, lambda _result: None, port.set_result))

    def with_tls(settings: Settings) -> Settings:
        more = Link(name="safe", host=HOST, port=tls_port, tls=True, tls_ca_file=trusted.file, backoff_s_min=0.05, backoff_s_max=0.5)
        return settings.model_copy(update={"links": (*settings.links, more)})

    link = LINK | {"outbind_port": outbind_port}
    async with opened_gateway(folder, carrier_port=await port, link=link, change=with_tls) as house:
        sender.house = house
        return await grading


def shortcomings(results: Sequence[run.Result]) -> list[str]:
    return [report.row(result) for result in results if result.grade is not Grade.PASS]


@pytest.mark.timeout(240)
async def test_our_link_passes_every_case(tmp_path):
    bad = Authority(tmp_path / "unknown").sign("smsc", alt="IP:127.0.0.1")
    trusted = Authority(tmp_path / "known")
    cases = [case for case in run.ESME_CASES if case.id not in ABOUT_PROCESSES]
    others = {case.id for case in cases}.difference(*WAITING)
    groups = [run.chosen(cases, wanted) for wanted in (others, *WAITING)]

    runs = await asyncio.gather(*(graded(tmp_path / str(number), group, trusted, bad) for number, group in enumerate(groups)))

    results = [result for results in runs for result in results]
    assert shortcomings(results) == []
    assert len(results) == len(cases)


class KilledSite:
    """A gateway in a process of its own, which is killed and started again."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._gateway: Program | None = None
        self._ids: dict[str, str] = {}

    async def start(self) -> None:
        self._gateway = await self._site.ready_gateway()

    async def restart(self) -> None:
        assert self._gateway is not None
        assert await self._gateway.end(signal.SIGKILL) == -signal.SIGKILL
        await self.start()

    async def send(self, to: str, text: str) -> None:
        status, _, document = await self._site.post(**{"from": PARTNER_CODE, "to": to, "text": text, "service": "chat"})
        assert status == 202, document
        self._ids[text] = document["id"]

    async def state_of(self, text: str) -> str:
        return str((await self._site.message(self._ids[text]))["state"])


async def graded_by_command(site: Site, cases: str) -> Ran:
    """As an operator would type it, with `bellhop send` as what makes the gateway send."""
    send = shlex.join([*COMMAND, "send", "-c", str(site.config), "--key", site.api_key, "--from", PARTNER_CODE])
    return await ran(
        *(*COMMAND, "conform", f"{HOST}:{site.smsc_port}", "--role", "esme", "--system-id", OURS.system_id, "--only", cases, "--json"),
        *("--send-command", f"{send} --to {{to}} --text {{text}}", "--patience-s", "30"),
    )


async def test_a_gateway_of_its_own_process_is_graded_by_the_command_and_killed(tmp_path):
    """F16: a killed gateway still knows its messages."""
    async with empty_site(tmp_path) as site:
        await site.add_partner()
        gateway = KilledSite(site)
        _, done = await asyncio.gather(gateway.start(), graded_by_command(site, "S01,M16"))
        triggers = Triggers(send=gateway.send, restart=gateway.restart, state_of=gateway.state_of)
        subject = Subject(HOST, site.smsc_port, OURS, timeout_s=10, patience_s=30, quiet_s=0.5, triggers=triggers)

        cases = run.chosen(run.ESME_CASES, ABOUT_PROCESSES)
        results = await run.grade_esme(RealWorld(), subject, cases, lambda _result: None, lambda _port: None)

    assert shortcomings(results) == []
    assert [result.case.id for result in results] == ["F16"]
    assert done.out, done.err
    told = {case["id"]: (case["result"], case["why"]) for case in json.loads(done.out)["cases"]}
    assert told == {"S01": ("pass", "interface_version 0x34"), "M16": ("pass", "user data header of 8 bit")}
    assert done.code == 0
