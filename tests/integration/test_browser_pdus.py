"""The PDU inspector in a real browser, beside an SMSC simulator that runs as a person starts it.

With BELLHOP_SCREENSHOT_DIR set, pdus.png and pdus-phone.png are left there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.real_world import RealWorld
from simulators.esme import Esme
from tests.support.smsc import HOST, PHONE, message

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
COMMAND = [sys.executable, "-m", "simulators.cli", "smsc", "--port", "0", "--http-port", "0", "--receipt-delay-ms", "1"]

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM} (apt-get install chromium)"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def simulator() -> Iterator[dict[str, str]]:
    process = subprocess.Popen(COMMAND, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        ready = dict(word.partition("=")[::2] for word in (process.stderr.readline() + process.stderr.readline()).split()[1:])
        asyncio.run(_talk(int(ready["smpp"].rpartition(":")[2])))
        yield ready
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


async def _talk(port: int) -> None:
    world = RealWorld()
    esme = await Esme.connect(world, HOST, port, system_id="acme", password="secret")
    await esme.submit(message(text=b"<b>hello</b> there"))
    await esme.next_delivery()
    await esme.submit(message("nobody", b"refused"))
    await esme.unbind()
    await world.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, complaints: list[str]) -> Iterator[Any]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-GB")
    context.set_default_timeout(15_000)
    context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    opened = context.new_page()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()


def shot(page: Any) -> None:
    folder = os.environ.get("BELLHOP_SCREENSHOT_DIR")
    if folder:
        page.screenshot(path=str(Path(folder) / ("pdus.png" if page.viewport_size["width"] > 600 else "pdus-phone.png")))


def test_pdu_is_found_taken_apart_and_its_field_lights_up_its_octets(simulator, page, complaints):
    expect = sync_api.expect
    page.goto(simulator["pdus"])
    expect(page.locator("#rows tr.error")).to_contain_text("ESME_RINVDSTADR")

    page.get_by_role("searchbox", name="Find").fill("hello")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows tr")).to_contain_text(f"1069 → {PHONE} · <b>hello</b> there")
    page.get_by_role("button", name="submit_sm", exact=True).click()
    expect(page.locator("#detail-name")).to_contain_text("submit_sm")
    expect(page.locator("#content dd.text")).to_have_text("<b>hello</b> there")
    page.locator("#parts tr", has_text="destination_addr").click()

    lit = page.locator("#hex .lit")
    expect(lit).to_have_count(len(PHONE) + 1)
    assert bytes.fromhex("".join(lit.all_inner_texts())) == PHONE.encode() + b"\0"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page)
    assert complaints == []


def test_filters_choose_and_a_closed_pdu_gives_the_list_back(simulator, page, complaints):
    expect = sync_api.expect
    page.goto(simulator["pdus"])
    page.get_by_label("errors only").check()
    expect(page.locator("#rows tr")).to_have_count(1)
    page.get_by_role("button", name="submit_sm_resp").click()
    expect(page.locator("#problem")).to_have_text("ESME_RINVDSTADR")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    page.get_by_label("errors only").uncheck()
    page.get_by_label("Command").select_option("bind_transceiver")
    expect(page.locator("#rows tr")).to_have_count(2)
    page.get_by_role("button", name="bind_transceiver", exact=True).click()

    expect(page.locator("#parts tr.secret")).to_contain_text("••••••")
    assert "secret" not in page.locator("#detail").inner_text()
    assert complaints == []
