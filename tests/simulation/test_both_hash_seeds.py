"""The order of sets and dicts of strings has no say: under two hash seeds the event logs are equal. And the command says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from simulators.cli import sim

SEEDS = (2, 7, 10)


@pytest.mark.timeout(120)
def test_event_logs_are_equal_under_two_hash_seeds() -> None:
    logs = [_digests(hash_seed) for hash_seed in ("0", "1")]

    assert logs[0] == logs[1]
    assert len(set(logs[0])) == len(SEEDS)


@pytest.mark.timeout(120)
def test_the_command_plays_seeds_under_both_hash_seeds_and_reports_as_json() -> None:
    result = CliRunner().invoke(sim, ["world", "--first", "10", "--seeds", "1", "--json"])

    totals = json.loads(result.stdout)
    assert (result.exit_code, totals["seeds"], totals["runs"], totals["violations"]) == (0, 1, 2, [])


def test_the_command_refuses_a_word_it_does_not_know() -> None:
    result = CliRunner().invoke(sim, ["world", "--hash-seeds", "three"])

    assert result.exit_code == 2


def _digests(hash_seed: str) -> list[str]:
    command = [sys.executable, "-m", "simulators.sim_world", "0.5"]
    lines = "".join(f"{seed}\n" for seed in SEEDS)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": hash_seed})
    return [json.loads(line)["digest"] for line in done.stdout.splitlines()]
