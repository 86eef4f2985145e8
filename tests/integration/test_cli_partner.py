"""`bellhop partner`: policies from the command line, alone and beside a running gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.domain.policy import KEYS
from tests.support.commands import Shell
from tests.support.processes import Site, opened_site
from tests.support.wire import UNBIND, Wire, bind_body


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    shell("init", tmp_path)
    shell("partner", "add", "acme", "--smpp-password", "pass1", "--rate-per-s", "5", "-c", tmp_path / "bellhop.toml")
    return tmp_path / "bellhop.toml"


def policy_of(shell: Shell, config: Path) -> dict[str, object]:
    return dict(shell("partner", "show", "acme", "--json", "-c", config).json["policy"])


def test_what_is_not_named_stays(shell: Shell, config: Path):
    changed = shell("partner", "set", "acme", "--networks", "10.0.0.0/8, 2001:db8::/32", "--strict", "--json", "-c", config)

    assert changed.json["policy"] == {"rate_per_s": 5.0, "networks": ["10.0.0.0/8", "2001:db8::/32"], "strict": True}
    shell("partner", "set", "acme", "--unset", "rate-per-s", "--networks", "", "-c", config)
    assert policy_of(shell, config) == {"strict": True}


def test_every_key_has_its_option(shell: Shell):
    told = shell("partner", "set", "--help").out + shell("partner", "add", "--help").out

    assert [key.name for key in KEYS if told.count("--" + key.name.replace("_", "-")) < 2] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--networks", "300.0.0.1"), "--networks"),
        (("--rate-per-s", "-1"), "--rate-per-s: must be 0 to"),
        (("--receipt-pdu", "data"), "--receipt-pdu: must be one of deliver_sm, data_sm"),
        (("--unset", "rate"), "no key of a policy"),
    ],
)
def test_a_bad_value_names_its_option_and_changes_nothing(shell: Shell, config: Path, arguments, words):
    refused = shell("partner", "set", "acme", *arguments, "-c", config)

    assert refused.code == 2
    assert words in refused.err
    assert policy_of(shell, config) == {"rate_per_s": 5.0}


def test_an_unknown_partner_is_named(shell: Shell, config: Path):
    for command in ("set", "show", "password"):
        refused = shell("partner", command, "nobody", "-c", config)
        assert (refused.code, "nobody" in refused.err) == (3, True)


def test_a_password_is_made_and_shown_once_or_taken_away(shell: Shell, config: Path):
    made = shell("partner", "password", "acme", "--json", "-c", config).json["smpp_password"]
    again = shell("partner", "password", "acme", "--json", "-c", config).json["smpp_password"]
    shell("partner", "password", "acme", "--none", "-c", config)

    assert len(made) == len(again) == 8
    assert made != again
    assert not shell("partner", "show", "acme", "--json", "-c", config).json["may_bind"]


async def told(site: Site, *arguments: str) -> dict[str, object]:
    ran = await site.command("partner", *arguments, "--json")
    assert ran.code == 0, ran.err
    answer: dict[str, object] = json.loads(ran.out)
    return answer


async def test_beside_a_running_gateway_everything_is_known_at_once(tmp_path: Path):
    async with opened_site(tmp_path) as site:
        await site.ready_gateway()
        first, second = await Wire.connect(site.smpp_port), await Wire.connect(site.smpp_port)
        await first.bind()

        await told(site, "set", "acme", "--binds-max", "1")
        assert (await second.ask(9, bind_body())).status == 0x05
        shown = await told(site, "show", "acme")
        assert [(each["bind"], each["version"], each["state"]) for each in shown["sessions"]] == [("transceiver", "3.4", "bound_trx")]

        assert await told(site, "alert", "acme", "+8613900000001", "--esme", "10661800") == {"partner": "acme", "alerted": 1}
        assert b"8613900000001\0" in (await first.read_until(0x102)).body
        assert await told(site, "unbind", "acme") == {"partner": "acme", "unbound": 1}
        assert (await first.read_until(UNBIND)).command_id == UNBIND

        added = await told(site, "add", "newcomer", "--smpp-password", "pass2")
        assert added["partner"] == "newcomer"
        third = await Wire.connect(site.smpp_port)
        assert (await third.ask(9, bind_body("newcomer", "pass2"))).status == 0
        assert (await site.command("partner", "disable", "newcomer")).code == 0
        async with asyncio.timeout(5):
            assert (await third.read()).command_id == UNBIND
        for wire in (first, second, third):
            await wire.close()
