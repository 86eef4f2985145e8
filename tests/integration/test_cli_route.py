"""bellhop route and bellhop optout: by the configuration alone, and asking a running gateway; and what the configuration may not say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.settings_file import load
from gateway.settings_routes import Route
from tests.support.commands import Shell
from tests.support.gateway import CHAT_CODE, House, opened_gateway

PHONE = "+8613900001234"
TOKEN = "t" * 64
HEAD = """
[[links]]
name = "mobile"
[[links]]
name = "unicom"
[[links]]
name = "inbox"
bind = "receiver"
[[services]]
name = "chat"
[[services]]
name = "premium"
"""
RULES = """
[[routes]]
name = "night"
prefixes = ["+86"]
hours = "22:00-06:00"
time_zone = "Asia/Shanghai"
links = ["unicom"]
[[routes]]
name = "bulk"
prefixes = ["86"]
services = ["premium"]
links = ["mobile:70", "unicom:30"]
[[routes]]
name = "rest"
links = ["mobile", "unicom"]
"""


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


def config_of(folder: Path, text: str) -> Path:
    path = folder / "bellhop.toml"
    path.write_text("[web]\nport = 1\n" + HEAD + text)
    return path


def faults(shell: Shell, folder: Path, text: str) -> list[str]:
    checked = shell("config", "check", "-c", config_of(folder, text))
    assert checked.code == 2
    return [line.removeprefix("error: ").replace(f"{folder}/", "") for line in checked.err.splitlines()]


def doubts(folder: Path, text: str) -> list[str]:
    return [warning.replace(f"{folder}/", "") for warning in load(config_of(folder, text), {}).warnings]


# -- by the configuration alone ---------------------------------------------------------------------------------------------


def test_without_a_gateway_the_configuration_explains(shell: Shell, tmp_path: Path):
    config = config_of(tmp_path, RULES)

    told = shell("route", "explain", PHONE, "--from", "10661800", "--at", "2026-11-23T09:30+08:00", "-c", config)

    assert told.code == 0
    assert told.out.splitlines() == [
        "no gateway answers; this is what the configuration says, with every link up",
        "  1  night  passed over  hours: 09:30 is not in 22:00-06:00 (Asia/Shanghai)",
        "  2  bulk   passed over  services: chat is not premium",
        "  3  rest   takes        link mobile: number 1 of 2 in order",
        "link mobile, by rule rest: the first rule that fits and has a healthy link",
    ]


def test_the_same_at_another_time_as_json(shell: Shell, tmp_path: Path):
    told = shell("route", "explain", PHONE, "--at", "2026-11-23T23:30+08:00", "--json", "-c", config_of(tmp_path, RULES)).json

    assert (told["asked"], told["link"], told["rule"], told["refused"]) == ("configuration", "unicom", "night", "")
    assert [rule["verdict"] for rule in told["rules"]] == ["takes", "not reached", "not reached"]


def test_a_list_and_the_network_are_told(shell: Shell, tmp_path: Path):
    (tmp_path / "plan.csv").write_text("86139;460;00;China Mobile;CN\n")
    (tmp_path / "stop.txt").write_text("8613900001234\n")
    files = '[numbering]\nplan_file = "plan.csv"\n[[number_lists]]\nname = "never"\nfile = "stop.txt"\n'

    told = shell("route", "explain", PHONE, "-c", config_of(tmp_path, files))

    assert told.out.splitlines()[1:] == [
        "8613*****34 is of 46000 China Mobile, by the numbering plan",
        'refused (blocked): the destination is on the list "never"',
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("1234",), "to: 4 digits, an international number has 7 to 15"),
        ((PHONE, "--at", "today"), "at: must be a time with its zone, such as 2026-11-23T22:30+08:00"),
        ((PHONE, "--from", "12"), "from: 2 digits, allowed are 3 to 20"),
        ((PHONE, "--front", "door"), "front: must be one of smpp, http, im, gateway"),
    ],
)
def test_a_bad_question_is_answered_in_one_line(shell: Shell, tmp_path: Path, arguments: tuple[str, ...], said: str):
    told = shell("route", "explain", *arguments, "-c", config_of(tmp_path, RULES))

    assert (told.code, told.err) == (2, f"error: {said}\n")


def test_a_check_reads_every_file_and_looks_partners_up(shell: Shell, tmp_path: Path):
    (tmp_path / "rates.csv").write_text("mobile;86;10\nunicom;86;9\n")
    cheap = '[[routes]]\nname = "cheap"\npartners = ["acme", "nobody"]\nleast_cost = true\nlinks = ["mobile", "unicom"]\n'
    config = config_of(tmp_path, cheap + '[numbering]\nrates_file = "rates.csv"\n')
    assert shell("partner", "add", "acme", "-c", config).code == 0

    checked = shell("route", "check", "-c", config)

    assert checked.out == f"{config}: good (1 rules, 0 number lists, 0 entries of numbering, 2 rates)\n"
    assert checked.err == ('warning: routes: rule "cheap" names partner "nobody", which is not there; `bellhop partner list` shows them\n')


def test_a_check_names_a_bad_line_and_a_missing_file(shell: Shell, tmp_path: Path):
    (tmp_path / "rates.csv").write_text("mobile;86;10\nunicom;86;nine\n")
    rates = '[numbering]\nrates_file = "rates.csv"\n'

    assert shell("route", "check", "-c", config_of(tmp_path, rates)).err == (
        f"error: {tmp_path}/rates.csv:2: the cost is not a whole number from 0 to 1000000000000\n"
    )
    missing = shell("route", "check", "-c", config_of(tmp_path, rates.replace("rates.csv", "no.csv")))
    assert missing.err == f"error: {tmp_path}/no.csv: cannot be read: No such file or directory\n"


# -- what the configuration may not say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('links = ["mobil"]', 'routes.links: no link "mobil"; did you mean "mobile"?'),
        ('links = ["inbox"]', 'routes.links: link "inbox" only receives; set its bind to "transceiver" or "transmitter"'),
        ('links = ["mobile"]\nservices = ["chta"]', 'routes.services: no service "chta"; did you mean "chat"?'),
        ('links = ["mobile"]\nreject = "no"', "routes.reject: a rule has links or rejects, not both"),
        ('prefixes = ["86"]', "routes.links: name at least one link, or set reject"),
        ('links = ["mobile"]\nnetworks = ["46000"]', "routes.networks: needs numbering.plan_file or numbering.portability_file"),
        ('links = ["mobile"]\nleast_cost = true', "routes.least_cost: needs numbering.rates_file"),
        ('links = ["mobile"]\nsince = "2026-11-23"\nuntil = "2026-11-22"', "routes.until: is before since"),
        ('links = ["mobile:1", "unicom"]', "routes.links: give every link a share or none, and not all of them 0"),
        ('links = ["mobile", "mobile"]', "routes.links: names a link twice"),
        ('links = ["mobile"]\nhours = "8-20"', "routes.hours: must be two times of day such as 08:00-20:00"),
        ('links = ["mobile"]\nnext_on = ["011"]', "routes.next_on: must be command_status values such as 0x0000000B or 11"),
        ('links = ["mobile"]\ntime_zone = "Mars"', "routes.time_zone: is no time zone known to this machine"),
        ('links = ["mobile"]\nset_sender = "12"', "routes.set_sender: 2 digits, allowed are 3 to 20"),
    ],
)
def test_a_rule_that_cannot_work_is_named_with_file_line_and_key(shell: Shell, tmp_path: Path, rule: str, said: str):
    found = faults(shell, tmp_path, f'[[routes]]\nname = "one"\n{rule}\n')

    assert [line.split(": ", 1)[1] for line in found] == [said]
    assert found[0].startswith("bellhop.toml:")


def test_two_rules_of_one_name_are_a_fault(shell: Shell, tmp_path: Path):
    rule = '[[routes]]\nname = "one"\nlinks = ["mobile"]\n'

    assert faults(shell, tmp_path, rule + rule) == ['bellhop.toml:19: routes.name: "one" is there twice']


def test_a_rule_that_nothing_reaches_is_doubted_and_a_fallback_is_not(tmp_path: Path):
    wide = '[[routes]]\nname = "china"\nprefixes = ["86"]\nlinks = ["mobile"]\n'
    narrow = '[[routes]]\nname = "beijing"\nprefixes = ["8610"]\nlinks = ["unicom"]\n'

    assert doubts(tmp_path, narrow + wide) == []
    assert doubts(tmp_path, wide + wide.replace("china", "again").replace("mobile", "unicom")) == []
    assert doubts(tmp_path, wide + narrow) == [
        'bellhop.toml:19: routes: rule "beijing" is only reached when the links of "china" before it, which takes more, are in trouble'
    ]
    assert doubts(tmp_path, wide + 'when_down = "wait"\n' + narrow) == [
        'bellhop.toml:20: routes: rule "beijing" is never reached: "china" before it takes the same messages'
    ]


# -- asking a running gateway ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[House, Path]]:
    """A gateway, and a configuration that leads commands to it."""

    def with_routes(settings):
        return settings.model_copy(update={"routes": (Route(name="all", links=("sim",)),)})

    # What the gateway logs must not stand among what commands print.
    with capture_logs():
        async with opened_gateway(folder, change=with_routes, operator_token=TOKEN) as house:
            yield house, _led_to(house, folder)


def _led_to(house: House, folder: Path) -> Path:
    config = folder / "bellhop.toml"
    config.write_text(f'[web]\nport = {house.gateway.web_port}\n[[services]]\nname = "chat"\n')
    (folder / "bellhop.token").write_text(TOKEN)
    return config


async def test_the_running_gateway_explains_with_the_state_of_its_links(shell: Shell, tmp_path: Path):
    async with running(tmp_path) as (house, config):
        told = await asyncio.to_thread(shell, "route", "explain", PHONE, "--partner", "acme", "-c", config)
        house.smsc.kill()
        await house.until(lambda: not house.gateway.links[0].is_up)
        waits = await asyncio.to_thread(shell, "route", "explain", PHONE, "-c", config)
        listed = await asyncio.to_thread(shell, "route", "list", "-c", config)

    assert told.out.splitlines() == [
        "  1  all  takes        link sim: the only one",
        "link sim, by rule all: the first rule that fits and has a healthy link",
    ]
    assert waits.out.splitlines() == [
        "  1  all  waits        links: sim is down",
        "link sim, by rule all: no rule that fits has a healthy link; it waits",
    ]
    assert listed.out == "  1  all  sim (down)\n"


async def test_a_reload_is_told_what_was_read(shell: Shell, tmp_path: Path):
    async with running(tmp_path) as (_house, config):
        told = await asyncio.to_thread(shell, "route", "reload", "-c", config)

    assert told.out == "read again: 0 number lists, 0 entries of numbering, 0 rates\n"


async def test_an_opt_out_told_to_the_gateway_is_heeded_at_once(shell: Shell, tmp_path: Path):
    async with running(tmp_path) as (house, config):
        added = await asyncio.to_thread(shell, "optout", "add", PHONE, "--code", CHAT_CODE, "-c", config)
        known = dict(house.gateway.opt_outs._codes)
        listed = await asyncio.to_thread(shell, "optout", "list", "-c", config.with_name("store.toml"))
        removed = await asyncio.to_thread(shell, "optout", "remove", PHONE, "--json", "-c", config)

        assert added.out == f"{PHONE}: messages from {CHAT_CODE} are stopped\n"
        assert known == {PHONE[1:]: (CHAT_CODE,)}
        assert listed.code == 2
        assert removed.json == {"msisdn": PHONE[1:], "code": "", "is_stopped": False}
        assert house.gateway.opt_outs._codes == {}


def test_without_a_gateway_opt_outs_go_to_the_store(shell: Shell, tmp_path: Path):
    config = config_of(tmp_path, "")

    assert shell("optout", "add", PHONE, "-c", config).out == f"{PHONE}: messages from every sender are stopped\n"
    assert shell("optout", "add", "+85291234567", "--code", "1066", "-c", config).code == 0
    lines = shell("optout", "list", "-c", config).out.splitlines()
    one = shell("optout", "list", "+85291234567", "--json", "-c", config).json["opt_outs"]
    assert shell("optout", "remove", PHONE, "-c", config).out == f"{PHONE}: messages from every sender pass again\n"

    assert [line.split("  since")[0].split() for line in lines] == [["+85291234567", "1066"], [PHONE, "every", "sender"]]
    assert [(each["number"], each["code"]) for each in one] == [("+85291234567", "1066")]
    assert len(shell("optout", "list", "-c", config).out.splitlines()) == 1


def test_a_number_that_is_none_is_refused(shell: Shell, tmp_path: Path):
    told = shell("optout", "add", "12", "-c", config_of(tmp_path, ""))

    assert (told.code, told.err) == (2, "error: NUMBER: 2 digits, an international number has 7 to 15\n")
