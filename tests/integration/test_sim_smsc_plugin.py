"""The SMSC for pytest: its fixtures, and the example of the documentation run as it stands."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from simulators.esme import BindRefusedError, Esme
from simulators.form import FormError
from simulators.pytest_plugin import async_smsc, smsc  # noqa: F401 - fixtures are used by their names
from simulators.smsc_thread import SmscThread
from tests.support.smsc import PHONE, message

ROOT = Path(__file__).parents[2]


async def connect(running, **options: object) -> tuple[RealWorld, Esme]:
    world = RealWorld()
    options = {"system_id": running.system_id, "password": running.password} | options
    return world, await Esme.connect(world, running.host, running.port, **options)  # type: ignore[arg-type]


async def leave(world: RealWorld, esme: Esme) -> None:
    esme.abort()
    await world.close()


def test_fixture_without_a_loop_tells_what_came_and_what_was_answered(smsc):  # noqa: F811 - the fixture
    async def play() -> str:
        world, esme = await connect(smsc)
        response = await esme.submit(message(text=b"hello"))
        await esme.next_delivery()
        await asyncio.to_thread(smsc.receipts)
        await leave(world, esme)
        return response.message_id

    message_id = asyncio.run(play())

    (taken,) = smsc.submitted(to=PHONE)
    (receipt,) = smsc.receipts()
    (answer,) = smsc.pdus("submit_sm_resp", direction="out")
    assert (taken.id, taken.text, taken.destination, taken.state) == (message_id, "hello", PHONE, "delivered")
    assert (receipt.id, receipt.state, receipt.destination, receipt.status) == (message_id, "DELIVERED", "1069", 0)
    assert answer.fields["message_id"] == message_id


async def test_fixture_with_a_loop_scripts_rules_messages_and_events(async_smsc):  # noqa: F811 - the fixture
    world, esme = await connect(async_smsc)

    (bound,) = await async_smsc.bound()
    await async_smsc.script(rule={"suffix": "77", "status": "ESME_RMSGQFUL"})
    refused = await esme.submit(message("86139000077"))
    count = await async_smsc.deliver_mo(PHONE, "1069", "你好")
    delivered = await esme.next_delivery()
    await async_smsc.do("unbind")
    reason = await esme.wait_over()
    await leave(world, esme)

    assert (bound.system_id, refused.command_status, count) == ("bellhop", 0x14, 1)
    assert delivered.short_message.decode("utf-16-be") == "你好"
    assert reason.value == "peer unbound"
    assert await async_smsc.submitted(0, wait=0) == []


async def test_credentials_are_asked_for(async_smsc):  # noqa: F811 - the fixture
    with pytest.raises(BindRefusedError):
        await connect(async_smsc, password="wrong")


def test_what_does_not_come_is_a_timeout_that_says_so(smsc):  # noqa: F811 - the fixture
    with pytest.raises(TimeoutError, match=r"0 of 2 submit_sm came in 0\.05 s"):
        smsc.submitted(2, wait=0.05)


def test_wrong_key_is_refused_where_it_stands(smsc):  # noqa: F811 - the fixture
    with pytest.raises(FormError, match=r"rule\[0\].sufix: no such key"):
        smsc.script(rule={"sufix": "1"})
    with pytest.raises(FormError, match="id_fom: no such key; did you mean id_form"):
        SmscThread(id_fom="hex")
    with pytest.raises(FormError, match="there is no nonsense; shipped are"):
        SmscThread("nonsense")


def test_scenario_by_name_has_free_ports():
    with SmscThread("carriers", tls={"enabled": False}) as running:
        assert set(running.ports) == {"good", "strict"}
        assert 2776 not in running.ports.values()


def test_stopped_smsc_says_that_it_does_not_run():
    running = SmscThread()
    with running:
        pass

    with pytest.raises(RuntimeError, match="not running"):
        running.clear()


def test_example_of_the_documentation_passes_as_it_stands(tmp_path):
    page = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    files = re.findall(r"^```python\n# ((?:test_|conftest)\w*\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for name, source in files:
        (tmp_path / name).write_text(source, "utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert len(files) >= 3
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
