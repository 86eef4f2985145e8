"""The chat page and the page of phones in a real browser, against a demo that runs as a person starts it.

With BELLHOP_SCREENSHOT_DIR set, chat.png and phones.png are left there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
COMMAND = [sys.executable, "-c", "from gateway.cli import main; main()", "demo", "--json"]
FREE_PORTS = [word for option in ("--port", "--smpp-port", "--smsc-port", "--phones-port") for word in (option, "0")]
TIMEOUT_MS = 15_000
WORDS = "我到楼下了，下来拿蛋糕吧 🎂"
ANSWER = "马上下来！"

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM} (apt-get install chromium)"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def demo() -> Iterator[dict[str, Any]]:
    process = subprocess.Popen([*COMMAND, *FREE_PORTS], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@contextmanager
def page_of(browser: Any, complaints: list[str], *, width: int = 800, height: int = 900) -> Iterator[Any]:
    """A page of its own context, whose errors and CSP violations are collected."""
    context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=1, locale="en-GB")
    context.set_default_timeout(TIMEOUT_MS)
    # Errors of scripts, failed loads and CSP violations all come as console errors.
    context.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url} {request.failure}"))
    yield page
    context.close()


def log_in(page: Any, demo: dict[str, Any]) -> None:
    account = demo["accounts"][0]
    page.goto(demo["chat"])
    form = page.locator("#login")
    form.get_by_label("Account number").fill(account["account"])
    form.get_by_label("Password").fill(account["password"])
    form.get_by_role("button", name="Log in").click()
    sync_api.expect(page.locator("#connection")).to_have_text("connected")


def shot(page: Any, name: str) -> None:
    folder = os.environ.get("BELLHOP_SCREENSHOT_DIR")
    if folder:
        page.screenshot(path=str(Path(folder) / name))


def test_message_goes_to_the_phone_and_its_answer_comes_back_with_receipt_and_charge(demo, browser):
    expect = sync_api.expect
    complaints: list[str] = []
    phone = demo["phone_numbers"][0]
    with page_of(browser, complaints) as chat, page_of(browser, complaints) as phones:
        log_in(chat, demo)
        chat.get_by_role("button", name="Phone 1").click()
        chat.get_by_label("Message", exact=True).fill(WORDS)
        expect(chat.locator("#counter")).to_contain_text("1 SMS")
        chat.get_by_role("button", name="Send").click()

        phones.goto(f"{demo['phones']}#{phone.removeprefix('+')}")
        received = phones.locator("#messages li.received", has_text=WORDS)
        expect(received).to_be_visible()
        expect(phones.locator("#threads button").first).to_have_text("1066170010001")

        mine = chat.locator("#messages .message.out", has_text=WORDS)
        expect(mine).to_have_attribute("data-state", "delivered")
        expect(mine.locator(".tick")).to_have_text("✓✓")
        expect(mine.locator(".price")).to_contain_text("0.10")

        phones.get_by_label("Message", exact=True).fill(ANSWER)
        phones.get_by_role("button", name="Send").click()
        expect(phones.locator("#messages li.sent", has_text=ANSWER)).to_contain_text("accepted by the gateway")
        expect(chat.locator("#messages .message.in", has_text=ANSWER)).to_be_visible()
        shot(chat, "chat.png")
        shot(phones, "phones.png")

    assert complaints == []


def test_failed_delivery_is_said_in_words_in_the_chat_and_shows_no_charge(demo, browser):
    expect = sync_api.expect
    complaints: list[str] = []
    with page_of(browser, complaints) as chat:
        log_in(chat, demo)
        chat.get_by_label("Account number or +phone").fill("+8613900000001")
        chat.get_by_label("Name for it").fill("Old number")
        chat.get_by_role("button", name="Add").click()
        chat.get_by_role("button", name="Old number").first.click()
        chat.get_by_label("Message", exact=True).fill("Are you there?")
        chat.get_by_role("button", name="Send").click()

        mine = chat.locator("#messages .message.out", has_text="Are you there?")
        expect(mine).to_have_attribute("data-state", "failed")
        expect(mine.locator(".tick")).to_contain_text("not delivered")
        expect(mine.locator(".price")).to_have_count(0)

    assert complaints == []


def test_a_voucher_is_redeemed_on_the_page_and_what_brings_nothing_is_said(demo, browser, tmp_path):
    config, codes = tmp_path / "bellhop.toml", tmp_path / "codes.csv"
    config.write_text(f'[store]\nurl = "sqlite:///{demo["folder"]}/bellhop.db"\n')
    make = ("billing", "voucher", "make", "page", "--count", "1", "--value", "12.50", "-o", str(codes), "-c", str(config))
    subprocess.run([*COMMAND[:3], *make], cwd=ROOT, check=True, capture_output=True)
    code = codes.read_text().splitlines()[1].partition(",")[0]
    expect = sync_api.expect
    with page_of(browser, []) as chat:
        log_in(chat, demo)
        told = chat.locator("#voucher-told")
        for typed, answer in ((code, "12.50 came in."), (code, "12.50 came in before"), ("nonsense", "this code brings nothing")):
            chat.get_by_label("Voucher code").fill(typed)
            chat.get_by_role("button", name="Redeem").click()
            expect(told).to_contain_text(answer)
