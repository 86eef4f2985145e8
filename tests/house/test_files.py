"""House rules about files: how long, how named, what they may mention."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "content", "billing", "simulators")
LINES_MAX = 400
TEST_LINES_MAX = 800  # a file of plays is read one play at a time
OWNERLESS_WORDS = ("manager", "helper", "utils", "common")
# Written in pieces so that this file does not break its own rule.
INDEX_ADDRESS = re.compile(
    "--" + r"(extra-index-url|index-url|find-links|trusted-host)[ =]\S|^\s*-i\s+http|files\.pyth" + "onhosted", re.MULTILINE
)
MACHINE_PATH = re.compile("|".join(("/wo" + "rk/", "/ho" + r"me/\w", "/ro" + r"ot/", "/Us" + r"ers/\w")))


def project_files() -> list[Path]:
    """What git tracks or would track; without git (an unpacked archive) every file outside .venv and caches."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        ).stdout.decode()
        paths = [ROOT / name for name in listed.split("\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(ROOT).parts)
        ]
    return [path for path in paths if path.is_file()]


def text_files() -> list[tuple[Path, str]]:
    found = []
    for path in project_files():
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((path, content.decode("utf-8", "replace")))
    return found


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_no_source_file_is_longer_than_the_limit():
    limits = dict.fromkeys(modules(), LINES_MAX) | dict.fromkeys((ROOT / "tests").rglob("*.py"), TEST_LINES_MAX)

    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in limits}

    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > limits[path]} == {}


def test_no_module_has_a_name_without_an_owner():
    ownerless = [str(path.relative_to(ROOT)) for path in modules() if any(word in path.stem.lower().split("_") for word in OWNERLESS_WORDS)]

    assert ownerless == []


def test_every_module_says_what_it_is_for():
    silent = []
    for path in modules():
        source = path.read_text("utf-8")
        if source.strip() and not ast.get_docstring(ast.parse(source)):
            silent.append(str(path.relative_to(ROOT)))

    assert silent == []


def test_a_suppression_names_its_rule_and_its_reason():
    bare = re.compile(r"#\s*noqa(?!:)|#\s*type:\s*ignore(?!\[)|#\s*noqa:[A-Z0-9, ]+$|#\s*type:\s*ignore\[[a-z0-9, -]+\]\s*$")

    unexplained = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if bare.search(line)
    ]

    assert unexplained == []


@pytest.mark.parametrize("pattern", [INDEX_ADDRESS, MACHINE_PATH], ids=["index address", "path of a machine"])
def test_no_file_names_where_it_was_made(pattern: re.Pattern[str]):
    naming = [f"{path.relative_to(ROOT)}: {match[0]}" for path, text in text_files() if (match := pattern.search(text))]

    assert naming == []


def test_no_file_is_left_unfinished():
    unfinished = re.compile("TO" + "DO|FIX" + "ME|XX" + r"X\b")

    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in modules() if (match := unfinished.search(path.read_text("utf-8")))]

    assert found == []
