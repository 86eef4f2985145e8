"""A month's reconciliation and settlement as the billing staff does it, command by command."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from gateway.store.engine import migrate, open_writing
from tests.support.commands import Shell
from tests.support.reconciliation import PROFILE, close, fill, open_house

OCTOBER = ("--carrier", "cmcc-gd", "--period", "2026-10")
RULES = """\
[[rules]]
carrier = "cmcc-gd"
currency = "CNY"
from = "2026-10"
share = "15/100"

[[rules]]
carrier = "cmcc-gd"
provider = "news-co"
currency = "CNY"
from = "2026-10"
share = "50/100"

[[rules]]
carrier = "cmcc-gd"
provider = "fun-co"
currency = "CNY"
from = "2026-10"
share = "60/100"
"""


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    """A store with a closed October, its profile and its rules."""
    assert shell("init", tmp_path).code == 0
    config = tmp_path / "bellhop.toml"
    config.write_text(config.read_text("utf-8") + '\n[[carriers]]\nname = "cmcc-gd"\ntime_zone = "Asia/Shanghai"\n', "utf-8")
    engine = open_writing(f"sqlite:///{tmp_path / 'bellhop.db'}", synchronous="OFF")
    migrate(engine)
    with engine.begin() as conn:
        open_house(conn)
        fill(conn, 960)
        close(conn)
    engine.dispose()
    (tmp_path / "cmcc.toml").write_text(PROFILE, "utf-8")
    (tmp_path / "rules.toml").write_text(RULES, "utf-8")
    return config


def with_file(shell: Shell, config: Path, per_mille: int = 20) -> Path:
    file = config.parent / "cmcc.csv"
    profile = config.parent / "cmcc.toml"
    made = shell("sim", "carrier-file", file, "--profile", profile, *OCTOBER, "--per-mille", per_mille, "--copy-ours", "-c", config)
    assert made.code == 0, made.err
    return file


def imported(shell: Shell, config: Path, file: Path) -> None:
    done = shell("billing", "reconcile", "import", file, "--profile", config.parent / "cmcc.toml", *OCTOBER, "--as", "li", "-c", config)
    assert (done.code, done.err) == (0, "")


def broken(shell: Shell, config: Path) -> set[str]:
    """Which invariants are; the month was filled with charges alone, so their messages are missing."""
    violations = shell("billing", "check", "--json", "-c", config).json["violations"]
    return {each["invariant"] for each in violations} - {"mt_charge_has_message"}


def test_a_month_is_reconciled_and_settled(shell: Shell, config: Path):
    file = with_file(shell, config)
    planted = json.loads(file.with_name("cmcc.csv.planted.json").read_text("utf-8"))["planted"]
    imported(shell, config, file)

    run = shell("billing", "reconcile", "run", *OCTOBER, "--as", "li", "--json", "-c", config)
    items = shell("billing", "reconcile", "items", 1, "--limit", 1000, "--json", "-c", config).json["items"]

    assert (run.code, run.json["state"], run.json["is_new"], run.json["difference_count"]) == (0, "review", True, len(planted))
    assert Counter(item["class"] for item in items) == Counter(each["kind"] for each in planted)
    again = shell("billing", "reconcile", "run", *OCTOBER, "--as", "li", "--json", "-c", config).json
    assert again == {**run.json, "is_new": False}

    named = [item["item"] for item in items]
    accepting = ("--by", "accept_carrier", "--reason", "agreed by mail", "--as", "li", "--json", "-c", config)
    resolved = shell("billing", "reconcile", "resolve", *named, *accepting)
    assert resolved.code == 0, resolved.err
    assert [each["is_new"] for each in resolved.json["resolved"]] == [True] * len(items)
    assert shell("billing", "reconcile", "show", 1, "--json", "-c", config).json["state"] == "resolved"
    assert broken(shell, config) == set()

    assert shell("billing", "settle", "rules", "import", config.parent / "rules.toml", "--as", "li", "-c", config).code == 0
    drafts = shell("billing", "settle", "draft", *OCTOBER, "--as", "li", "--json", "-c", config)
    assert (drafts.code, drafts.err) == (0, "")
    references = [each["statement"] for each in drafts.json["statements"]]
    assert references == ["cmcc-gd/carrier/1", "cmcc-gd/provider/fun-co/1", "cmcc-gd/provider/news-co/1"]
    assert shell("billing", "settle", "approve", references[0], "--as", "li", "-c", config).code == 3
    assert shell("billing", "settle", "approve", references[0], "--as", "wang", "-c", config).code == 0
    assert shell("billing", "settle", "lock", references[0], "--as", "wang", "-c", config).code == 0
    page = config.parent / "statement.html"
    assert shell("billing", "statement", references[0], "-o", page, "-c", config).code == 0
    assert "Settlement statement" in page.read_text("utf-8")
    told = shell("billing", "statement", references[0], "-c", config).out
    assert "locked by wang" in told
    assert "amount settled" in told


def test_a_claim_is_listed_until_it_is_given_up(shell: Shell, config: Path):
    imported(shell, config, with_file(shell, config))
    shell("billing", "reconcile", "run", *OCTOBER, "--as", "li", "-c", config)
    item = shell("billing", "reconcile", "items", 1, "--class", "OURS_ONLY", "--json", "-c", config).json["items"][0]
    answer = ("--as", "li", "-c", config)

    shell("billing", "reconcile", "resolve", item["item"], "--by", "claim", "--reason", "receipt is there", *answer)

    assert shell("billing", "reconcile", "claims", "--json", "-c", config).json["claims"] == [
        {"carrier": "cmcc-gd", "currency": "CNY", "items": 1, "claimed_minor": item["ours_minor"]}
    ]
    shell("billing", "reconcile", "resolve", item["item"], "--by", "write_off", "--reason", "refused", *answer)
    assert shell("billing", "reconcile", "claims", "-c", config).out == "nothing is claimed\n"


def test_a_whole_class_can_be_resolved_at_once(shell: Shell, config: Path):
    imported(shell, config, with_file(shell, config))
    shell("billing", "reconcile", "run", *OCTOBER, "--as", "li", "-c", config)
    whole = ("--run", 1, "--class", "OURS_ONLY", "--by", "claim", "--reason", "receipts are there", "--as", "li", "-c", config)

    resolved = shell("billing", "reconcile", "resolve", *whole, "--json").json["resolved"]

    items = shell("billing", "reconcile", "items", 1, "--class", "OURS_ONLY", "--json", "-c", config).json["items"]
    assert [each["item"] for each in resolved] == [item["item"] for item in items]
    assert {item["resolution"] for item in items} == {"claim"}
    assert shell("billing", "reconcile", "resolve", *whole).out == "nothing of that class is open\n"


def test_differences_within_the_tolerance_are_accepted_by_who_ran_it(shell: Shell, config: Path):
    (config.parent / "cmcc.toml").write_text(PROFILE + "[tolerance]\ncount_ppm = 500000\namount_ppm = 500000\n", "utf-8")
    imported(shell, config, with_file(shell, config, 5))

    run = shell("billing", "reconcile", "run", *OCTOBER, "--as", "li", "--json", "-c", config).json
    items = shell("billing", "reconcile", "items", 1, "--json", "-c", config).json["items"]

    assert (run["state"], run["is_within"]) == ("resolved", True)
    assert {(item["resolution"], item["resolved_by"], item["reason"]) for item in items} == {("accept_carrier", "li", "within tolerance")}
    assert broken(shell, config) == set()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("T|", "T|9", "field trailer count: says 9"),
        ("|DELIVRD|0.20", "|DELIVRD|-0.20", "field amount: -0.20 is negative"),
        ("|news|", "|=news|", "field service: begins like a spreadsheet formula"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_there(shell: Shell, config: Path, old: str, new: str, said: str):
    file = with_file(shell, config, 0)
    file.write_text(file.read_text("utf-8").replace(old, new, 1), "utf-8")
    arguments = ("--profile", config.parent / "cmcc.toml", *OCTOBER, "--as", "li", "-c", config)

    refused = shell("billing", "reconcile", "import", file, *arguments)

    assert refused.code == 3
    assert refused.err.startswith("error: cmcc.csv: line ")
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert shell("billing", "reconcile", "list", "--json", "-c", config).json == {"runs": [], "files": []}


def test_the_same_file_twice_is_refused(shell: Shell, config: Path):
    file = with_file(shell, config, 0)
    imported(shell, config, file)

    refused = shell(
        "billing", "reconcile", "import", file, "--profile", config.parent / "cmcc.toml", *OCTOBER, "--as", "wang", "-c", config
    )

    assert (refused.code, refused.err) == (3, "error: cmcc.csv: the same file was imported before, as cmcc.csv for 2026-10 by li\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("reconcile", "run", "--carrier", "nobody", "--period", "2026-10"),
            2,
            "there is no carrier 'nobody'; known are: default, cmcc-gd",
        ),
        (("reconcile", "run", "--carrier", "cmcc-gd", "--period", "2026-13"), 2, "--period: there is no month 2026-13"),
        (("reconcile", "run", "--carrier", "cmcc-gd", "--period", "2026-11"), 3, "2026-11 of cmcc-gd is not closed yet"),
        (("reconcile", "run", "--carrier", "cmcc-gd", "--period", "2026-10"), 3, "no file of cmcc-gd was imported for 2026-10"),
        (("reconcile", "show", "7"), 3, "there is no comparison 7"),
        (("reconcile", "items", "1", "--class", "WRONG"), 2, "--class: 'WRONG' is none of MATCH"),
        (("reconcile", "resolve", "17", "--by", "claim", "--reason", "x"), 2, "'17' is no item"),
        (("reconcile", "resolve", "--run", "1", "--by", "claim", "--reason", "x"), 2, "name the items, or give --run and --class"),
        (("reconcile", "resolve", "1/17", "--by", "claim", "--reason", "x"), 3, "there is no comparison 1"),
        (("reconcile", "resolve", "1/17", "--by", "shout", "--reason", "x"), 2, "--by: 'shout' is none of accept_carrier"),
        (("settle", "draft", "--carrier", "cmcc-gd", "--period", "2026-11"), 3, "2026-11 of cmcc-gd is not closed yet"),
        (("settle", "draft", "--carrier", "cmcc-gd", "--period", "2026-10"), 3, "and no rule for 2026-10; import one"),
        (("settle", "approve", "cmcc-gd/carrier/9"), 3, "there is no statement 'cmcc-gd/carrier/9'"),
        (("statement", "cmcc-gd/carrier/9", "-o", "x.pdf"), 2, "-o: x.pdf: ends in .html or .csv"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(shell: Shell, config: Path, arguments: tuple[str, ...], code: int, said: str):
    who = ("--as", "li") if arguments[1] in ("run", "resolve", "draft", "approve") else ()

    refused = shell("billing", *arguments, *who, "-c", config)

    assert refused.code == code
    assert said in refused.err
    assert refused.err.count("\n") == 1
