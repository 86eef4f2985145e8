"""House rules about the frame: floors, locks, the generated documentation and the speed of the command."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from gateway.settings_text import reference_markdown

ROOT = Path(__file__).resolve().parents[2]


def wanted_in(path: str) -> set[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / path).read_text("utf-8").splitlines())
    return {line.replace('"', "'") for line in lines if line and not line.startswith("-")}


def locked_in(path: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / path).read_text("utf-8"), re.MULTILINE))


def name_of(requirement: str) -> str:
    matched = re.match(r"[a-zA-Z0-9-]+", requirement)
    assert matched is not None, requirement
    return matched[0]


def test_imports_go_down_only():
    linted = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_configuration_reference_is_current():
    written = (ROOT / "docs" / "configuration.md").read_text("utf-8")

    assert written == reference_markdown(), "run: bellhop config docs -o docs/configuration.md"


def test_pyproject_and_requirements_name_the_same_libraries():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert set(project["dependencies"]) == wanted_in("requirements.in")


def test_the_locks_hold_every_wanted_library_at_one_version():
    run_time, development = locked_in("requirements.txt"), locked_in("requirements-dev.txt")

    assert {name_of(line) for line in wanted_in("requirements.in")} <= run_time.keys()
    assert {name_of(line) for line in wanted_in("requirements-dev.in")} <= development.keys()
    assert {name: development[name] for name in run_time.keys() & development.keys()} == {
        name: run_time[name] for name in run_time.keys() & development.keys()
    }


def test_every_locked_library_has_its_hashes():
    for path in ("requirements.txt", "requirements-dev.txt"):
        entries = re.split(r"^(?=[a-z0-9])", (ROOT / path).read_text("utf-8"), flags=re.MULTILINE)[1:]

        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_overview_loads_no_command():
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from gateway.cli import run; raise SystemExit(run(['--help']))"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip

    heavy = ("pydantic", "sqlalchemy", "aiohttp", "asyncio", "rich", "simulators", "gateway.settings")
    assert [name for name in heavy if f" {name}\n" in loaded] == []
