"""`bellhop bench` in small: every front carries its messages, and the report says so in figures that can be true."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from billing.check import check, message_invariants
from gateway.smpp.codec import decode
from gateway.smpp.consts import Tag
from gateway.smpp.pdu import SubmitSm
from simulators.bench_meter import Meter, Plan, index_of, number_of, percentiles
from simulators.bench_smpp import SubmitTemplate

MESSAGES = 200


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BELLHOP")}
    return subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", "bench", "--json", *options],
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def report_of(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stdout + run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return report


@pytest.mark.parametrize("front", ["smpp", "http", "http-batch"])
def test_a_front_delivers_and_charges_everything(front: str):
    report = report_of(bench("--front", front, "--messages", str(MESSAGES), "--batch", "50"))

    assert (report["front"], report["messages"], report["ok"]) == (front, MESSAGES, True)
    assert (report["lost"], report["refused"], report["surplus"], report["charges_missing"]) == (0, 0, 0, 0)
    assert report["messages_per_s"] > 10
    assert report["commits_per_s"] > 0
    assert report["rss_mib_max"] > 10
    assert 0 < report["submit_ms"]["p50"] <= report["submit_ms"]["p95"] <= report["submit_ms"]["p99"]
    assert report["submit_ms"]["p50"] < report["receipt_ms"]["p50"]


def test_without_receipts_nothing_is_captured_and_nothing_is_lost():
    report = report_of(bench("--no-receipts", "--messages", str(MESSAGES)))

    assert (report["ok"], report["lost"], report["charges_missing"]) == (True, 0, 0)
    assert report["receipt_ms"] == {"p50": None, "p95": None, "p99": None}


def test_a_rate_is_kept():
    report = report_of(bench("--front", "http", "--messages", str(MESSAGES), "--rate", "200", "--parts", "2"))

    assert report["ok"]
    assert 0.9 < report["seconds"] < 5


def test_a_filled_store_has_right_books_and_is_used_again(tmp_path: Path):
    first = report_of(bench("--folder", str(tmp_path), "--stored", "2000", "--messages", "100"))
    again = report_of(bench("--folder", str(tmp_path), "--stored", "2500", "--messages", "100"))

    assert (first["ok"], again["ok"]) == (True, True)
    engine = create_engine(f"sqlite:///{tmp_path}/bellhop.db")
    with engine.connect() as conn:
        assert check(conn, message_invariants()) == []
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "bellhop.db")) as conn:
        assert conn.execute("SELECT count(*) FROM message").fetchone() == (2600,)


def test_an_unknown_front_is_refused_in_one_line():
    run = bench("--front", "fax")

    assert (run.returncode, run.stdout, run.stderr) == (2, "", "error: --front: one of smpp, http, http-batch\n")


def test_a_patched_submit_sm_is_a_submit_sm():
    template = SubmitTemplate("chat", 1, with_receipt=True)

    pdu = decode(template.pdu(4711))

    assert isinstance(pdu, SubmitSm)
    assert (pdu.sequence_number, pdu.destination_addr, pdu.registered_delivery) == (4712, number_of(4711), 1)
    assert pdu.short_message.startswith(b"No 00004711: ")
    assert index_of(pdu.destination_addr) == 4711


def test_a_long_one_travels_as_message_payload():
    pdu = decode(SubmitTemplate("chat", 3, with_receipt=True).pdu(7))

    assert isinstance(pdu, SubmitSm)
    assert pdu.short_message == b""
    assert 306 < len(pdu.tlvs[Tag.MESSAGE_PAYLOAD]) <= 459


async def test_latency_counts_from_the_moment_a_message_was_due():
    now = 100.0
    meter = Meter(3, lambda: now)
    plan = Plan(meter, unit=1, rate_per_s=10)
    plan.start()

    now = 100.15
    taken = [plan.take(now), plan.take(now), plan.take(now)]

    assert taken == [range(1), range(1, 2), None]
    assert meter.sent[:2] == [100.0, 100.1]


def test_percentiles_are_of_the_ordered_times_in_milliseconds():
    assert percentiles([number / 1000 for number in range(100, 0, -1)]) == (51.0, 96.0, 100.0)
    assert percentiles([]) == (None, None, None)
