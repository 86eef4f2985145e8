"""`bellhop billing tariff` and `price` as the billing staff meet them: what is wrong is told with line and field, and nothing is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import Shell

FIRST = """plan = "main"
from = "2099-01-01T00:00:00+08:00"
currency = "CNY"

[[rules]]
name = "chat"
model = "per_part"
price = "0.10"
service = "chat"

[[rules]]
name = "chat-guangdong"
model = "per_part"
price = "0.08"
service = "chat"
prefix = "86138"
free_per_day = 2
"""
AT = ("--at", "2099-02-01T00:00:00+08:00")


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    assert shell("init", tmp_path).code == 0
    assert shell("partner", "add", "acme", "-c", tmp_path / "bellhop.toml").code == 0
    return tmp_path / "bellhop.toml"


def written(folder: Path, text: str, name: str = "tariff.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def approved(shell: Shell, config: Path, text: str) -> str:
    version = str(shell("billing", "tariff", "import", written(config.parent, text), "--as", "ann", "--json", "-c", config).json["version"])
    assert shell("billing", "tariff", "approve", version, "--as", "bob", "-c", config).code == 0
    return version


@pytest.mark.parametrize(
    ("before", "after", "line", "told"),
    [
        ('prefix = "86138"\n', "", 11, 'rules[1].priority: rules "chat" and "chat-guangdong" fit the same things equally well'),
        ('currency = "CNY"', 'currency = "XYZ"', 3, "currency: unknown currency 'XYZ'"),
        ('price = "0.08"', 'price = "-0.08"', 14, "rules[1].price: must not be negative"),
        ('name = "chat-guangdong"', "name = \"=HYPERLINK('x')\"", 12, "rules[1].name: must be 1 to 32 letters, digits"),
        ('name = "chat-guangdong"', 'name = "@sum"', 12, "rules[1].name: must be 1 to 32 letters, digits"),
        ("free_per_day", "fre_per_day", 17, "rules[1].fre_per_day: is not known here; did you mean free_per_day?"),
    ],
)
@pytest.mark.parametrize("command", ["check", "import"])
def test_a_bad_tariff_is_told_by_line_and_field_and_nothing_is_kept(
    shell: Shell, config: Path, command: str, before: str, after: str, line: int, told: str
):
    file = written(config.parent, FIRST.replace(before, after))
    options = () if command == "check" else ("--as", "ann", "-c", config)

    refused = shell("billing", "tariff", command, file, *options)

    assert (refused.code, refused.out) == (2, "")
    assert f"{file}:{line}: {told}" in refused.err
    assert shell("billing", "tariff", "list", "--json", "-c", config).json == {"tariffs": []}


def test_overlapping_tariffs_are_refused_and_nothing_is_approved(shell: Shell, config: Path):
    approved(shell, config, FIRST.replace('currency = "CNY"', 'to = "2099-06-01T00:00:00+08:00"'))
    late = FIRST.replace("2099-01-01", "2099-05-31")
    shell("billing", "tariff", "import", written(config.parent, late), "--as", "ann", "-c", config)

    refused = shell("billing", "tariff", "approve", "main/2", "--as", "bob", "-c", config)

    assert (refused.code, refused.err) == (3, "error: main/2 and main/1 overlap: from or to of the draft must change\n")
    states = [each["state"] for each in shell("billing", "tariff", "list", "--json", "-c", config).json["tariffs"]]
    assert states == ["approved", "draft"]


def test_one_person_cannot_draft_and_approve(shell: Shell, config: Path):
    shell("billing", "tariff", "import", written(config.parent, FIRST), "--as", "ann", "-c", config)

    refused = shell("billing", "tariff", "approve", "main/1", "--as", "ann", "-c", config)

    assert (refused.code, refused.err) == (3, "error: main/1 was drafted by ann: another person must approve it\n")


def test_a_version_is_shown_in_the_order_in_which_its_rules_win(shell: Shell, config: Path):
    shell("billing", "tariff", "import", written(config.parent, FIRST), "--as", "ann", "-c", config)

    lines = shell("billing", "tariff", "show", "main/1", "-c", config).out.splitlines()

    assert [line.split()[0] for line in lines] == ["main/1", "chat-guangdong", "chat"]
    assert lines[1].endswith("0.08 CNY  service chat, prefix 86138")


def test_what_is_exported_is_imported_as_the_same(shell: Shell, config: Path):
    shell("billing", "tariff", "import", written(config.parent, FIRST), "--as", "ann", "-c", config)
    exported = shell("billing", "tariff", "export", "main/1", "-c", config).out

    again = shell("billing", "tariff", "import", written(config.parent, exported, "again.toml"), "--as", "ann", "--json", "-c", config)

    assert again.json["version"] == "main/1"
    assert shell("billing", "tariff", "diff", "main/1", config.parent / "again.toml", "-c", config).out == "no rule differs\n"


def test_a_difference_is_told_by_rule_and_by_what_messages_cost(shell: Shell, config: Path):
    first = written(config.parent, FIRST)
    second = written(config.parent, FIRST.replace('"0.08"', '"0.12"'), "second.toml")

    told = shell("billing", "tariff", "diff", first, second, "-c", config).out.splitlines()
    phone = shell("billing", "tariff", "diff", first, second, "--to", "+8613900001111", "--json", "-c", config).json

    assert told == [
        "changed  chat-guangdong: price_minor: 0.08 CNY -> 0.12 CNY",
        "one part, service chat number 86138 direction MT: 0.08 CNY -> 0.12 CNY",
    ]
    assert [(each["number"], each["before"], each["after"]) for each in phone["prices"]] == [("8613900001111", "0.10 CNY", "0.10 CNY")]


def test_a_price_is_told_with_its_reasons_before_and_after_a_tariff_holds(shell: Shell, config: Path):
    approved(shell, config, FIRST)
    asked = ("billing", "price", "--service", "chat", "--to", "+8613800001111", "--parts", 3, "-c", config)

    before, after, had = shell(*asked), shell(*asked, *AT), shell(*asked, *AT, "--had", 2)

    assert before.out.splitlines()[1:] == [
        "  no version of the plan holds at that time: the price of [[services]]",
        "  3 x 0.10 CNY = 0.30 CNY",
    ]
    assert after.out.splitlines() == [
        "0.08 CNY  by main/1, rule chat-guangdong, paid by sender",
        "  2 of 3 free by the allowance of chat-guangdong",
        "  1 x 0.08 CNY = 0.08 CNY",
    ]
    assert had.out.splitlines()[0].startswith("0.24 CNY")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--direction", "UP"), "--direction: must be one of MT, MO, DL"),
        (("--carrier", "moon"), "--carrier: there is no carrier 'moon'"),
        (("--at", "tomorrow"), "--at: 'tomorrow' is no time with its offset"),
        (("--service", "none"), "no price for service 'none'"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_one_line(shell: Shell, config: Path, wrong: tuple[str, str], told: str):
    refused = shell("billing", "price", "--service", "chat", "--to", "+8613800001111", "-c", config, *wrong)

    assert refused.code in (2, 3)
    assert told in refused.err
    assert refused.err.count("\n") == 1
