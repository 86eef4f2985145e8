"""`bellhop demo --once` as a person runs it: every flow proves itself, and the exit code says so."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from gateway.cli import main; main()", "demo"]
TIMEOUT_S = 90

Json = dict[str, Any]


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], list[Json], Path]:
    folder = tmp_path_factory.mktemp("demo")
    done = run_demo("--once", "--folder", str(folder))
    return done, [json.loads(line) for line in done.stdout.splitlines()], folder


def test_every_flow_is_played_in_order_and_the_exit_code_is_0(played):
    done, lines, _ = played

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    names = ["chat_to_phone", "phone_to_chat", "long_message", "failed_delivery", "export"]
    assert [(line["flow"], line["ok"]) for line in lines] == [(name, True) for name in names]
    assert all(0 < line["seconds"] < 30 for line in lines)


def test_chat_arrives_on_the_phone_from_its_reply_address_and_is_charged(played):
    line = played[1][0]

    assert line["text_arrived"] is True
    assert (line["from"], line["state"], line["charge"], line["charge_state"]) == ("1066170010001", "delivered", 10, "captured")


def test_phone_answers_two_accounts_each_in_its_own_thread(played):
    line = played[1][1]

    assert (line["text_arrived"], line["is_separate"]) == (True, True)
    assert (line["account"], line["second_account"]) == ("10001", "10002")
    assert line["to"] == "1066170010001"
    assert line["second_to"].startswith("10661701")
    assert line["thread"] == line["second_thread"] == "+8613900001111"


def test_long_message_is_joined_receipted_and_charged_by_the_part(played):
    line = played[1][2]

    assert (line["text_arrived"], line["state"]) == (True, "delivered")
    assert (line["parts"], line["parts_joined"], line["receipts"]) == (3, 3, 3)
    assert line["charge"] == 3 * line["price"]


def test_failed_delivery_says_why_and_costs_nothing(played):
    line = played[1][3]

    assert line["state"] == "failed"
    assert line["reason"]
    assert (line["charge"], line["charge_state"], line["held"], line["balance_changed"]) == (0, "released", 0, 0)


def test_export_holds_every_charge_and_stands_in_the_folder(played):
    _, lines, folder = played
    line = lines[4]

    assert line["total"] == line["captured"] == 50
    assert line["records"] == 5  # three messages delivered, two answers at no price
    assert (line["is_repeatable"], line["manifest_agrees"], line["violations"]) == (True, True, 0)
    assert (folder / "export" / line["file"]).is_file()
    assert (folder / "export" / line["manifest"]).is_file()


def test_folder_is_found_again_with_its_accounts(played):
    folder = played[2]

    again = run_demo("--once", "--folder", str(folder))

    assert (again.returncode, again.stderr) == (0, ""), again.stdout
    assert json.loads(again.stdout.splitlines()[0])["from"] == "1066170010001"


@pytest.mark.parametrize("option", ["--port", "--smpp-port", "--smsc-port", "--phones-port"])
def test_port_in_use_is_one_clear_line_and_exit_code_3(option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        refused = run_demo("--once", option, str(port))

    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr == f"error: port {port} is in use by another program; choose another one with {option}\n"


def test_folder_of_another_gateway_is_left_alone(tmp_path):
    (tmp_path / "bellhop.toml").write_text("# somebody's gateway\n", encoding="utf-8")

    refused = run_demo("--once", "--folder", str(tmp_path))

    assert (refused.returncode, refused.stdout) == (3, "")
    assert "is not the demo's" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bellhop.toml"]
