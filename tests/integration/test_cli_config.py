"""The command line as a person meets it: init, config check, config docs, and that every failure is one clear line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest


def bellhop(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BELLHOP")}
    return subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", *arguments],
        cwd=cwd,
        env={**clean, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_init_writes_a_file_that_check_finds_good(tmp_path: Path):
    made = bellhop("init", "shop", cwd=tmp_path)
    checked = bellhop("config", "check", "-c", "shop/bellhop.toml", cwd=tmp_path)

    assert (made.returncode, made.stderr) == (0, "")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "shop/bellhop.toml: good (1 links, 3 services, 2 short codes)\n"


def test_init_lets_nobody_else_read_the_file(tmp_path: Path):
    bellhop("init", ".", cwd=tmp_path)

    assert stat.S_IMODE((tmp_path / "bellhop.toml").stat().st_mode) == 0o600


def test_init_never_writes_over_a_file(tmp_path: Path):
    (tmp_path / "bellhop.toml").write_text("# mine\n")

    refused = bellhop("init", ".", cwd=tmp_path)

    assert refused.returncode == 2
    assert refused.stderr == "error: bellhop.toml: is there already and is left as it is\n"
    assert (tmp_path / "bellhop.toml").read_text() == "# mine\n"


def test_init_into_a_file_is_refused(tmp_path: Path):
    (tmp_path / "shop").write_text("")

    refused = bellhop("init", "shop", cwd=tmp_path)

    assert refused.returncode == 2
    assert refused.stderr.startswith("error: shop")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[web]\nprt = 1\n", 'error: bellhop.toml:2: unknown key web.prt; did you mean "port"?'),
        ("[web]\nport = 99999\n", "error: bellhop.toml:2: web.port: should be less than or equal to 65535"),
        ("[[[\n", "error: bellhop.toml:1: is not TOML: "),
    ],
)
def test_check_tells_a_fault_in_one_line_and_exits_with_two(tmp_path: Path, text: str, line: str):
    (tmp_path / "bellhop.toml").write_text(text)

    checked = bellhop("config", "check", cwd=tmp_path)

    assert checked.returncode == 2
    assert checked.stderr.startswith(line)
    assert checked.stderr.count("\n") == 1


def test_check_warns_of_a_weak_secret_and_still_passes(tmp_path: Path):
    (tmp_path / "bellhop.toml").write_text("[[links]]\nname = 'a'\nhost = 'smsc.example'\npassword = 'abc'\n")

    checked = bellhop("config", "check", cwd=tmp_path)

    assert checked.returncode == 0
    assert checked.stderr == 'warning: bellhop.toml:4: links.password: the password of link "a" is easily guessed\n'


def test_check_sees_the_environment(tmp_path: Path):
    bellhop("init", ".", cwd=tmp_path)

    checked = bellhop("config", "check", cwd=tmp_path, BELLHOP__WEB__PORT="eighty")

    assert checked.returncode == 2
    assert checked.stderr.startswith("error: BELLHOP__WEB__PORT: web.port: ")


def test_docs_go_to_standard_output_or_a_file(tmp_path: Path):
    printed = bellhop("config", "docs", cwd=tmp_path)
    bellhop("config", "docs", "-o", "reference.md", cwd=tmp_path)

    assert "## [[links]]" in printed.stdout
    assert (tmp_path / "reference.md").read_text() == printed.stdout


@pytest.mark.parametrize("arguments", [("--help",), ("init", "--help"), ("config", "--help"), ("config", "check", "-h")])
def test_help_is_there_for_everything(tmp_path: Path, arguments: tuple[str, ...]):
    helped = bellhop(*arguments, cwd=tmp_path)

    assert helped.returncode == 0
    assert helped.stdout.startswith("Usage: bellhop")


@pytest.mark.parametrize("arguments", [("frobnicate",), ("init",), ("config", "check", "--frob"), ("--frob",)])
def test_a_wrong_call_exits_with_two_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...]):
    refused = bellhop(*arguments, cwd=tmp_path)

    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_an_operating_system_fault_is_one_line_and_exits_with_three(tmp_path: Path):
    refused = bellhop("config", "docs", "-o", "missing/reference.md", cwd=tmp_path)

    assert refused.returncode == 3
    assert refused.stderr == "error: missing/reference.md: No such file or directory\n"


def test_the_version_is_printed(tmp_path: Path):
    assert bellhop("--version", cwd=tmp_path).stdout == "bellhop 0.1.0\n"


@pytest.mark.parametrize(("line", "offered"), [("bellhop ini", "init"), ("bellhop config ch", "check")])
def test_the_shell_can_complete_commands_and_verbs(tmp_path: Path, line: str, offered: str):
    completed = bellhop(cwd=tmp_path, _BELLHOP_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(line.split()) - 1))

    assert completed.stdout.split() == [offered]
