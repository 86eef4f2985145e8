"""`bellhop send --csv`: every row once, whatever the file looks like, whatever the gateway says, and whenever the command is killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.cli_send_journal import Begun, Journal
from gateway.errors import Refused
from tests.support.commands import Door, Outcome, Shell, opened_door

ROOT = Path(__file__).resolve().parents[2]
KEY = "bh_test"


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def door() -> Iterator[Door]:
    with opened_door() as door:
        yield door


def written(path: Path, rows: int, encoding: str = "utf-8") -> Path:
    lines = ["to,text", *(f"+86139{number:08d},row {number}" for number in range(rows))]
    path.write_bytes("\r\n".join(lines).encode(encoding) + "\r\n".encode(encoding))
    return path


def send(shell: Shell, door: Door, path: Path, *more: object) -> Outcome:
    return shell("send", "--csv", path, "--url", door.url, "--key", KEY, "--json", *more)


def rejects_of(path: Path) -> list[dict[str, str]]:
    with Path(f"{path}.bellhop-rejects.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_sent_once_in_batches(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 1201)

    sent = send(shell, door, path)

    assert (sent.code, sent.json["accepted"], sent.json["refused"], sent.json["rejects_file"]) == (0, 1201, 0, None)
    assert door.texts == [f"row {number}" for number in range(1201)]
    assert len(door.keys) == len(set(door.keys)) == 3


def test_a_file_that_was_sent_is_not_sent_again(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 7)
    first = send(shell, door, path)

    second = send(shell, door, path)

    assert (first.json["was_sent_before"], second.json["was_sent_before"]) == (False, True)
    assert (second.code, second.json["accepted"], len(door.texts)) == (0, 7, 7)


def test_even_without_its_journal_a_file_goes_under_the_same_keys(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 7)
    send(shell, door, path)
    Path(f"{path}.bellhop-progress").unlink()

    again = send(shell, door, path)

    assert (again.json["accepted"], len(door.texts), len(set(door.keys))) == (7, 7, 1)


def test_a_label_sends_the_file_once_more(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 3)
    send(shell, door, path)

    again = send(shell, door, path, "--again", "december")

    assert (again.json["was_sent_before"], len(door.texts)) == (False, 6)


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_killed_command_goes_on_and_no_row_is_sent_twice_or_skipped(shell: Shell, door: Door, tmp_path: Path, killed_after: int):
    path = written(tmp_path / "people.csv", 35)
    arguments = ["send", "--csv", str(path), "--url", door.url, "--key", KEY, "--batch", "10"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from gateway.cli import main; main()", *arguments], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    # The batch is recorded and its answer never leaves: the worst moment there is.
    door.recorded = lambda batches: os.kill(process.pid, signal.SIGKILL) if batches == killed_after else None
    assert process.wait(30) == -signal.SIGKILL
    door.recorded = lambda _batches: None

    resumed = send(shell, door, path, "--batch", 10)

    assert (resumed.code, resumed.json["accepted"]) == (0, 35)
    assert door.texts == [f"row {number}" for number in range(35)]
    assert door.keys.count(list(door.answers)[killed_after - 1]) == 2


def test_a_torn_last_line_of_the_journal_is_sent_again(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 20)
    send(shell, door, path, "--batch", 10)
    journal = Path(f"{path}.bellhop-progress")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:17])

    resumed = send(shell, door, path, "--batch", 10)

    assert (resumed.json["accepted"], len(door.texts), len(door.keys)) == (20, 20, 3)
    assert [json.loads(line) for line in journal.read_bytes().splitlines()][-1] == {"done": True}


def test_bad_rows_are_told_by_line_and_do_not_stop_the_rest(shell: Shell, door: Door, tmp_path: Path):
    path = tmp_path / "people.csv"
    path.write_text(
        'to,text,reference\n+861,one,a\n,no number,b\nbad,two,c\n+862,"two\nlines",d\n+863,x,y,z\n\n+864,,e\n+865,"a"b,f\n+866,last,g\n'
    )

    sent = send(shell, door, path)

    assert (sent.code, sent.json["rows"], sent.json["accepted"], sent.json["refused"]) == (1, 8, 3, 5)
    assert door.texts == ["one", "two\nlines", "last"]
    rejects = rejects_of(path)
    assert [(reject["line"], reject["reason"].partition(":")[0].partition(";")[0]) for reject in rejects] == [
        ("3", "to"), ("4", "to"), ("7", "has 4 cells, the header names 3"), ("9", "text"), ("10", "is no CSV"),
    ]  # fmt: skip
    assert (rejects[1]["reason"], rejects[1]["reference"]) == ("to: is no phone number", "c")


def test_rejects_that_were_put_right_can_be_sent_as_they_are(shell: Shell, door: Door, tmp_path: Path):
    path = tmp_path / "people.csv"
    path.write_text("to;text\nbad;hello\n")
    send(shell, door, path)
    rejects = Path(f"{path}.bellhop-rejects.csv")
    rejects.write_text(rejects.read_text("utf-8-sig").replace("bad,", "+861,"), "utf-8-sig")

    sent = send(shell, door, rejects)

    assert (sent.code, door.texts) == (0, ["hello"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_spreadsheets_write_is_read(shell: Shell, door: Door, tmp_path: Path, encoding: str):
    path = tmp_path / "people.csv"
    path.write_bytes("To\ttext\r\n+861\t你好 😀\r\n".encode(encoding))

    sent = send(shell, door, path)

    assert (sent.code, door.texts) == (0, ["你好 😀"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no column to"),
        (b"phone,text\n1,2\n", "no column to"),
        (b"to,text,color\n1,2,3\n", 'unknown column "color"'),
        (b"to,text,to\n1,2,3\n", "twice"),
        (b"to,text\n+861,caf\xe9\n", "neither UTF-8 nor UTF-16"),
    ],
)
def test_a_file_that_is_no_list_of_messages_is_refused_in_one_line(
    shell: Shell, door: Door, tmp_path: Path, content: bytes, complaint: str
):
    path = tmp_path / "people.csv"
    path.write_bytes(content)

    refused = send(shell, door, path)

    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert complaint in refused.err
    assert door.keys == []


def test_a_gateway_that_says_later_is_asked_again(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 5)
    later = {1: 429, 2: 503, 3: 500}
    door.before = lambda count: web.Response(status=later[count], headers={"Retry-After": "0"}) if count in later else None

    sent = send(shell, door, path)

    assert (sent.code, len(door.texts), len(door.keys)) == (0, 5, 1)
    assert sent.err.count("again in 0.0 s") == 3


def test_patience_ends_in_one_line_and_the_next_command_goes_on(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 20)
    door.before = lambda count: web.Response(status=503, headers={"Retry-After": "1"}) if count == 2 else None

    stopped = send(shell, door, path, "--batch", 10, "--patience", 0)
    resumed = send(shell, door, path, "--batch", 10)

    assert (stopped.code, stopped.err.splitlines()[-1].startswith("error: the gateway says 503")) == (3, True)
    assert (resumed.code, len(door.texts), len(door.keys)) == (0, 20, 2)


def test_a_wrong_key_stops_with_what_the_gateway_said(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 5)
    problem = {"detail": "this API key is not known", "field": "Authorization"}
    door.before = lambda _count: web.json_response(problem, status=401)

    refused = send(shell, door, path)

    assert (refused.code, refused.err) == (3, "error: lines 2 to 6: Authorization: this API key is not known\n")


def test_going_on_with_something_else_is_refused(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 20)
    door.before = lambda count: web.Response(status=503) if count > 1 else None
    send(shell, door, path, "--batch", 10, "--patience", 0)

    other_sender = send(shell, door, path, "--batch", 10, "--from", "10661700")
    written(path, 21)
    other_content = send(shell, door, path, "--batch", 10)

    assert (other_sender.code, "another --from" in other_sender.err) == (3, True)
    assert (other_content.code, "another content" in other_content.err) == (3, True)
    assert len(door.texts) == 10


def test_two_commands_on_one_file_are_refused(shell: Shell, door: Door, tmp_path: Path):
    path = written(tmp_path / "people.csv", 5)

    with Journal(path, Begun("", "", "", "", 500)):
        refused = send(shell, door, path)

    assert (refused.code, "another `bellhop send` is at work" in refused.err) == (3, True)


def test_a_journal_says_what_differs(tmp_path: Path):
    begun = Begun("abc", "", "", "", 500)
    Journal(tmp_path / "x.csv", begun).__exit__(None, None, None)

    with pytest.raises(Refused, match="another --batch"):
        Journal(tmp_path / "x.csv", begun._replace(batch_rows=5))


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "--key", KEY),
        ("send", "--to", "+861", "--text", "x"),
        ("send", "--to", "+861", "--text", "x", "--key", "two words"),
        ("send", "--to", "+861", "--text", "x", "--key", KEY, "--url", "ftp://x"),
        ("send", "--to", "+861", "--text", "x", "--key", KEY, "--url", "http://user:word@host"),
        ("send", "--to", "+861", "--text", "x", "--key", KEY, "--url", "http://[oops"),
        ("send", "--csv", "missing.csv", "--key", KEY, "--url", "http://127.0.0.1:1"),
        ("send", "--csv", "x.csv", "--to", "+861", "--key", KEY),
        ("send", "--csv", "x.csv", "--batch", "0", "--key", KEY),
        ("send", "--csv", "x.csv", "--again", "no spaces", "--key", KEY),
        ("send", "--to", "+861", "--text", "x", "--wait", "-1", "--key", KEY),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
):
    monkeypatch.chdir(tmp_path)

    refused = shell(*arguments)

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.startswith("error: ")
    assert "word" not in refused.err.replace("password", "")


def test_no_gateway_at_the_address_is_said_at_once(shell: Shell):
    refused = shell("send", "--to", "+861", "--text", "x", "--key", KEY, "--url", "http://127.0.0.1:1")

    assert (refused.code, refused.err) == (3, "error: no gateway answers at http://127.0.0.1:1; is `bellhop run` running?\n")
