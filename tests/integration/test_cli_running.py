"""partner, send, trace, status and billing beside a running gateway and a carrier, each a process of its own."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Shell
from tests.support.running import Running, running_gateway

ROOT = Path(__file__).resolve().parents[2]
YEAR = ("--from", "2020-01-01", "--to", "2050-01-01")


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_gateway(tmp_path_factory.mktemp("running")) as found:
        yield found


def key_of(shell: Shell, running: Running, name: str, credit: int = 100_000) -> str:
    return str(shell("partner", "add", name, "--credit", credit, "--json", "-c", running.config).json["api_key"])


def test_a_partner_added_beside_a_running_gateway_can_send_at_once(shell: Shell, running: Running):
    key = key_of(shell, running, "beside")

    sent = shell("send", "--to", "+8613900001111", "--text", "你好", "--key", key, "--url", running.url, "--wait", "20", "--json")

    assert (sent.code, sent.json["state"], sent.json["encoding"], sent.json["charge"]["state"]) == (0, "delivered", "ucs2", "captured")


def test_a_failed_delivery_is_exit_code_1(shell: Shell, running: Running):
    key = key_of(shell, running, "failing")

    sent = shell("send", "--to", "+8613900000001", "--text", "x", "--key", key, "--url", running.url, "--wait", "20")

    assert (sent.code, sent.out.splitlines()[-1]) == (1, "failed")


def test_a_refused_message_names_its_field(shell: Shell, running: Running):
    key = key_of(shell, running, "refused")

    refused = shell("send", "--to", "nonsense", "--text", "x", "--key", key, "--url", running.url)

    assert (refused.code, refused.out, refused.err.startswith("refused: to: ")) == (1, "", True)


def test_a_wallet_that_runs_dry_refuses_rows_and_the_books_stay_right(shell: Shell, running: Running, tmp_path: Path):
    key = key_of(shell, running, "dry", credit=30)
    path = tmp_path / "people.csv"
    path.write_text("to,text\n" + "".join(f"+86139000022{number:02d},row {number}\n" for number in range(5)))

    sent = shell("send", "--csv", path, "--key", key, "--url", running.url, "--json")

    assert (sent.code, sent.json["accepted"], sent.json["refused"]) == (1, 3, 2)
    with Path(sent.json["rejects_file"]).open(encoding="utf-8-sig", newline="") as file:
        assert ["credit" in reject["reason"] for reject in csv.DictReader(file)] == [True, True]
    assert shell("billing", "check", "-c", running.config).code == 0


def test_trace_shows_the_whole_life_and_never_the_text(shell: Shell, running: Running):
    key = key_of(shell, running, "traced")
    words = "a long secret " * 20
    sent = shell("send", "--to", "+8613900003333", "--text", words, "--key", key, "--url", running.url, "--wait", "20", "--json").json

    shown = shell("trace", sent["id"], "-c", running.config)
    of_part = shell("trace", int(sent["id"]) + 2, "--json", "-c", running.config).json

    assert (shown.code, "secret" in shown.out, "+8613900003333" in shown.out, "delivered" in shown.out) == (0, False, True, True)
    assert (of_part["id"], of_part["state"], len(of_part["parts"])) == (sent["id"], "delivered", 2)
    assert (of_part["charge"]["state"], of_part["charge"]["amount_minor"], of_part["charge"]["parts_charged"]) == ("captured", 20, 2)
    assert [(each["state"], each["posted_minor"]) for each in of_part["transfers"]] == [("posted", 20)]
    assert [each["event"] for each in of_part["history"]].count("delivered") == 2


def test_a_message_nobody_knows_is_one_line_and_exit_code_1(shell: Shell, running: Running):
    refused = shell("trace", "256", "-c", running.config)

    assert (refused.code, refused.out, refused.err) == (1, "", "error: there is no message 256\n")
    assert shell("trace", "12x", "-c", running.config).code == 2


def test_status_of_a_running_gateway_is_exit_code_0(shell: Shell, running: Running):
    as_json = shell("status", "--url", running.url, "--json", "-c", running.config)
    plain = shell("status", "--url", running.url, "-c", running.config)

    assert (as_json.code, as_json.json["ready"], as_json.json["answers"]) == (0, True, True)
    assert [(link["name"], link["up"]) for link in as_json.json["links"]] == [("sim", True)]
    assert plain.out.splitlines()[0].endswith(f"ready at {running.url}")


def test_the_export_beside_a_running_gateway_holds_what_was_delivered(shell: Shell, running: Running, tmp_path: Path):
    key = key_of(shell, running, "exported")
    sent = shell("send", "--to", "+8613900004444", "--text", "x", "--key", key, "--url", running.url, "--wait", "20", "--json").json

    files = shell("billing", "export", *YEAR, "-o", tmp_path / "out", "--json", "-c", running.config).json["files"]

    assert sent["id"] in "".join(Path(each["path"]).read_text() for each in files)
    assert shell("billing", "check", "-c", running.config).out == "the books are right: every invariant holds\n"
