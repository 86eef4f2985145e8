"""A wrong price as the billing staff meets it: looked at, asked for, agreed to by another, and held by the check."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support.commands import Shell

MONTH = "2026-10"
TARIFF = """
plan = "main"
from = "2020-01-01T00:00:00Z"

[[rules]]
name = "all"
model = "per_message"
price = "0.25"
"""


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    """A closed month of a thousand charges, and a draft that prices all of them alike."""
    config = tmp_path / "bellhop.toml"
    (tmp_path / "tariff.toml").write_text(TARIFF)
    assert shell("init", tmp_path).code == 0
    assert shell("sim", "month", "--charges", 1000, "--month", MONTH, "--json", "-c", config).code == 0
    assert shell("billing", "close", MONTH, "--as", "ann", "-c", config).code == 0
    assert shell("billing", "tariff", "import", tmp_path / "tariff.toml", "--as", "ann", "-c", config).code == 0
    return config


def look(shell: Shell, config: Path, *more: object) -> list[dict[str, object]]:
    found = shell("billing", "rerate", "dry-run", "--period", MONTH, "--tariff", "main/1", "--json", *more, "-c", config)
    assert found.code == 0
    return list(found.json["differences"])


def test_a_look_tells_every_difference_as_a_file_too(shell: Shell, config: Path):
    file = config.parent / "differences.csv"

    found = look(shell, config, "-o", file)

    rows = list(csv.DictReader(file.open(newline="")))
    assert [row["charge_id"] for row in rows] == [each["charge_id"] for each in found]
    assert all(int(row["after_minor"]) - int(row["before_minor"]) == int(row["difference_minor"]) for row in rows)
    told = shell("billing", "rerate", "dry-run", "--period", MONTH, "--tariff", "main/1", "-c", config)
    left_alone = sum(bool(each["why"]) for each in found)
    assert told.out.splitlines()[0] == f"{len(found) - left_alone} charges would be priced anew, {left_alone} left alone"


def test_two_people_have_a_month_priced_anew_and_the_books_stay_right(shell: Shell, config: Path):
    before = shell("billing", "period", "show", MONTH, "--json", "-c", config).json
    due = [each for each in look(shell, config) if not each["why"]]
    asked = shell("billing", "rerate", "request", "--period", MONTH, "--tariff", "main/1", "--as", "ann", "--json", "-c", config).json

    own = shell("billing", "rerate", "approve", asked["id"], "--as", "Ann", "-c", config)
    done = shell("billing", "rerate", "approve", asked["id"], "--as", "bob", "--json", "-c", config)
    again = shell("billing", "rerate", "resume", asked["id"], "--json", "-c", config)

    assert (own.code, "another person" in own.err) == (3, True)
    assert (done.code, done.json["state"], done.json["corrected"]) == (0, "done", len(due))
    assert again.json == done.json
    assert [each for each in look(shell, config) if not each["why"]] == []
    assert shell("billing", "period", "show", MONTH, "--json", "-c", config).json == before
    assert shell("billing", "check", "-c", config).out == "the books are right: every invariant holds\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("dry-run", "--period", "2026-13", "--tariff", "main/1"), 2, "--period"),
        (("dry-run", "--period", MONTH, "--tariff", "main"), 2, "--tariff"),
        (("dry-run", "--period", MONTH, "--tariff", "main/9"), 3, "main/9"),
        (("dry-run", "--period", MONTH, "--tariff", "main/1", "--carrier", "nobody"), 2, "--carrier"),
        (("dry-run", "--period", MONTH, "--tariff", "main/1", "-o", "/nowhere/at/all.csv"), 3, "/nowhere/at/all.csv"),
        (("approve", "12", "--as", "bob"), 3, "no run 12"),
        (("approve", "twelve", "--as", "bob"), 2, "RUN"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(shell: Shell, config: Path, arguments: tuple[str, ...], code: int, words: str):
    refused = shell("billing", "rerate", *arguments, "-c", config)

    assert (refused.code, refused.out) == (code, "")
    assert refused.err.startswith("error: ")
    assert words in refused.err
    assert refused.err.count("\n") == 1
