"""A bounded run of the fuzz target: mutated PDUs raise nothing but our own errors, and memory stays flat. `make fuzz` runs the million."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("fuzz_smpp.py")
RUNS = 150_000
RSS_GROWTH_MB_MAX = 40

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python"),
    pytest.mark.timeout(240),
]


def test_mutated_pdus_raise_nothing_but_our_errors_and_leave_memory_flat(tmp_path):
    command = [sys.executable, str(TARGET), f"-runs={RUNS}", "-max_len=1024", "-seed=1", f"-artifact_prefix={tmp_path}/"]

    ended = subprocess.run(command, cwd=TARGET.parents[2], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"Done {RUNS} runs" in ended.stderr
    rss = [int(found) for found in re.findall(r"rss: (\d+)Mb", ended.stderr)]
    assert rss[-1] - rss[0] <= RSS_GROWTH_MB_MAX, f"resident memory went from {rss[0]} to {rss[-1]} MB"
