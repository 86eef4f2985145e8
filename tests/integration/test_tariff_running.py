"""A tariff beside a running gateway: approved, it prices what comes; what no rule prices is delivered, suspended, and charged later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.commands import Shell
from tests.support.running import Running, running_gateway

TARIFF = """
plan = "main"
from = "2020-01-01T00:00:00Z"

[[rules]]
name = "notices"
model = "per_message"
price = "0.25"
service = "notice"
tax_ppm = 250000

[[rules]]
name = "first-two-free"
model = "per_part"
price = "0.30"
service = "chat"
free_per_month = 2
"""
PREMIUM = """
[[rules]]
name = "premium"
model = "per_message"
price = "1.50"
service = "premium"
"""


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    # As `bellhop init` writes it, but for one word.
    with running_gateway(tmp_path_factory.mktemp("tariff"), environ={"BELLHOP__BILLING__UNRATED": "suspend"}) as found:
        yield found


def approved(shell: Shell, running: Running, folder: Path, words: str) -> str:
    file = folder / "tariff.toml"
    file.write_text(words)
    config = ("-c", running.config)
    for each in shell("billing", "tariff", "list", "--json", *config).json["tariffs"]:
        shell("billing", "tariff", "retire", each["version"], "--as", "bob", *config)
    name = str(shell("billing", "tariff", "import", file, "--as", "ann", "--json", *config).json["version"])
    assert shell("billing", "tariff", "approve", name, "--now", "--as", "bob", *config).code == 0
    return name


def sender(shell: Shell, running: Running, name: str) -> Callable[..., dict[str, object]]:
    key = shell("partner", "add", name, "--credit", 100_000, "--json", "-c", running.config).json["api_key"]

    def send(service: str, text: str = "hello", to: str = "+8613900001111") -> dict[str, object]:
        words = ("--to", to, "--text", text, "--service", service, "--key", key, "--url", running.url, "--wait", "20", "--json")
        sent = shell("send", *words).json
        (charge,) = shell("billing", "why", "--charge", sent["id"], "--json", "-c", running.config).json["charges"]
        return dict(charge)

    return send


def until_priced_by(send: Callable[..., dict[str, object]], version: str) -> dict[str, object]:
    """A running gateway looks for other versions every few seconds; each try takes as long as a delivery."""
    for _ in range(2_000):
        charge = send("notice")
        if charge["tariff_version"] == version:
            return charge
    raise AssertionError(f"{version} prices nothing")


def test_an_approved_tariff_prices_what_comes_and_says_why(shell: Shell, running: Running, tmp_path: Path):
    send = sender(shell, running, "priced")
    before = send("notice")
    version = approved(shell, running, tmp_path, TARIFF)

    after = until_priced_by(send, version)
    free, half, full = send("chat"), send("chat", "long " * 60), send("chat")

    assert (before["state"], before["amount_minor"]) == ("zero_rated", 0)
    assert (after["state"], after["amount"], after["tax_minor"], after["tariff_rule"]) == ("captured", "0.25 CNY", 5, "notices")
    assert (free["state"], free["amount_minor"], free["allowance"]) == ("zero_rated", 0, "first-two-free")
    assert (half["parts"], half["amount_minor"], half["fee_class"]) == (2, 30, "PER_PART")
    assert half["trace"] == ["1 of 2 free by the allowance of first-two-free", "1 x 0.30 CNY = 0.30 CNY"]
    assert full["amount_minor"] == 30
    assert shell("billing", "check", "-c", running.config).out == "the books are right: every invariant holds\n"


def test_what_no_rule_prices_is_suspended_and_charged_once_when_the_tariff_is_mended(shell: Shell, running: Running, tmp_path: Path):
    send, config = sender(shell, running, "suspended"), ("-c", running.config)
    until_priced_by(send, approved(shell, running, tmp_path, TARIFF))
    charge = send("premium")
    waiting = shell("billing", "suspense", "list", "--json", *config).json["suspended"]
    in_vain = shell("billing", "suspense", "recycle", "--as", "ann", "--json", *config).json

    approved(shell, running, tmp_path, TARIFF + PREMIUM)
    told = [shell("billing", "suspense", "recycle", "--as", "ann", "--json", *config).json for _ in range(2)]

    assert (charge["state"], charge["amount_minor"]) == ("suspended", 0)
    assert [each["event_id"] for each in waiting] == [charge["id"]]
    assert (in_vain["charged"], len(in_vain["waiting"])) == (0, 1)
    assert [each["charged"] for each in told] == [1, 0]
    (after,) = shell("billing", "why", "--charge", charge["id"], "--json", *config).json["charges"]
    assert (after["state"], after["amount"], after["tariff_rule"]) == ("captured", "1.50 CNY", "premium")
    assert shell("billing", "check", *config).code == 0


def test_what_would_it_cost_and_why(shell: Shell, running: Running, tmp_path: Path):
    if not shell("billing", "tariff", "list", "--json", "-c", running.config).json["tariffs"]:
        approved(shell, running, tmp_path, TARIFF)

    asked = ("--service", "chat", "--to", "+8613900001111", "--parts", 2, "--had", 1, "-c", running.config)

    assert shell("billing", "price", *asked, "--json").json["steps"] == [
        "1 of 2 free by the allowance of first-two-free",
        "1 x 0.30 CNY = 0.30 CNY",
    ]
