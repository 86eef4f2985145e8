"""A carrier's month at the desk: its file comes in over HTTP, is compared and settled, and the statements are agreed to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.store.engine import open_writing
from tests.support.commands import Shell
from tests.support.desk import done, get, key_of, page, post, upload
from tests.support.reconciliation import PROFILE, close, fill, open_house
from tests.support.running import Running, running_gateway

CARRIER = '[[carriers]]\nname = "cmcc-gd"\ntime_zone = "Asia/Shanghai"\n'
OCTOBER = {"period": "2026-10", "carrier": "cmcc-gd"}
RULES = "\n".join(
    f'[[rules]]\ncarrier = "cmcc-gd"\n{party}currency = "CNY"\nfrom = "2026-10"\nshare = "{share}"\n'
    for party, share in (("", "15/100"), ('provider = "news-co"\n', "50/100"), ('provider = "fun-co"\n', "60/100"))
)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with a second carrier, whose October is over and closed."""
    folder = tmp_path_factory.mktemp("month")
    with running_gateway(folder, {"BELLHOP__BILLING__UPLOAD_BYTES_MAX": "200000"}, more=CARRIER) as found:
        engine = open_writing(f"sqlite:///{folder / 'bellhop.db'}", synchronous="OFF")
        with engine.begin() as conn:
            open_house(conn)
            fill(conn, 240)
            close(conn)
        engine.dispose()
        (folder / "cmcc.toml").write_text(PROFILE, "utf-8")
        (folder / "rules.toml").write_text(RULES, "utf-8")
        yield found


def carrier_file(shell: Shell, running: Running, name: str, per_mille: int = 20) -> bytes:
    file = running.config.parent / name
    words = ("--carrier", "cmcc-gd", "--period", "2026-10", "--per-mille", per_mille, "--copy-ours")
    made = shell("sim", "carrier-file", file, "--profile", running.config.parent / "cmcc.toml", *words, "-c", running.config)
    assert made.code == 0, made.err
    return file.read_bytes()


def left_over(running: Running) -> list[Path]:
    folder = running.config.parent / "charges"
    return list(folder.glob("upload*")) if folder.exists() else []


def test_a_carriers_file_is_imported_compared_and_settled_over_http(shell: Shell, running: Running):
    maker, approver = key_of(shell, running, "li", "act"), key_of(shell, running, "wang", "approve")
    assert shell("billing", "settle", "rules", "import", running.config.parent / "rules.toml", "--as", "li", "-c", running.config).code == 0
    content = carrier_file(shell, running, "cmcc.csv")

    status, job = upload(running, "/carrier-files", maker, content, "cmcc_202610.csv", profile=PROFILE, **OCTOBER)
    imported = done(running, job, maker)
    again = done(running, upload(running, "/carrier-files", maker, content, "again.csv", profile=PROFILE, **OCTOBER)[1], maker)
    compared = done(running, post(running, "/reconciliations", maker, **OCTOBER)[1], maker)
    settled = done(running, post(running, "/settlements", maker, **OCTOBER)[1], maker)

    assert (status, imported["state"], imported["error"]) == (202, "done", "")
    (known,) = get(running, "/carrier-files", maker)[1]["files"]
    assert (known["name"], known["records"], known["imported_by"]) == ("cmcc_202610.csv", imported["answer"]["records"], "li")
    assert (again["state"], "the same file was imported before" in again["error"]) == ("failed", True)
    assert left_over(running) == []
    assert (compared["state"], settled["state"]) == ("done", "done")

    number = compared["answer"]["number"]
    _, listed = get(running, f"/reconciliations/{number}/items", maker, open="true", limit="2")
    wanted = {"items": [int(each["item"].partition("/")[2]) for each in listed["items"]], "by": "claim", "reason": "receipts say so"}
    resolved = done(running, post(running, f"/reconciliations/{number}/resolve", maker, **wanted)[1], maker)
    after = get(running, f"/reconciliations/{number}/items", maker, open="true", limit="1000")[1]["items"]
    used = done(running, post(running, f"/carrier-files/{known['file_id']}/drop", maker)[1], maker)

    assert len(listed["items"]) == 2
    assert [each["item"] for each in resolved["answer"]["resolved"]] == [each["item"] for each in listed["items"]]
    assert not {each["item"] for each in listed["items"]} & {each["item"] for each in after}
    assert (used["state"], "is part of comparison" in used["error"]) == ("failed", True)

    statement = settled["answer"]["statements"][0]
    place = f"/settlements/{statement['id']}"
    own = post(running, f"{place}/approve", maker)
    approved = post(running, f"{place}/approve", approver)
    locked = post(running, f"{place}/lock", maker)

    assert (own[0], own[1]["reason"]) == (403, "not_allowed")
    assert (approved[0], approved[1]["state"], approved[1]["approved_by"]) == (200, "approved", "wang")
    assert (locked[0], locked[1]["state"], locked[1]["locked_by"]) == (200, "locked", "li")
    assert get(running, place, approver) == (200, locked[1])
    html, table = page(running, f"{place}/statement.html", maker), page(running, f"{place}/statement.csv", maker)
    assert (html[:2], statement["statement"] in html[2], html[2].startswith("<!doctype html>")) == ((200, "text/html"), True, True)
    assert (table[:2], statement["statement"] in table[2]) == ((200, "text/csv"), True)


def test_who_made_a_statement_cannot_approve_it_whatever_else_he_may(shell: Shell, running: Running):
    key = key_of(shell, running, "both", "act", "approve")
    assert shell("billing", "settle", "rules", "import", running.config.parent / "rules.toml", "--as", "li", "-c", running.config).code == 0
    day = {"period": "2026-10-05", "carrier": "cmcc-gd"}

    made = done(running, post(running, "/settlements", key, **day)[1], key)["answer"]["statements"][0]
    refused = post(running, f"/settlements/{made['id']}/approve", key)
    early = post(running, f"/settlements/{made['id']}/lock", key)

    assert (refused[0], refused[1]["reason"]) == (409, "refused")
    assert (early[0], "is a draft" in early[1]["detail"]) == (409, True)


def test_a_bad_line_of_a_carriers_file_is_named_and_nothing_of_the_file_stays(shell: Shell, running: Running):
    key = key_of(shell, running, "bad-line", "act")
    lines = carrier_file(shell, running, "bad.csv", per_mille=30).split(b"\n")
    lines[4] = lines[4].rpartition(b"|")[0] + b"|much"

    job = upload(running, "/carrier-files", key, b"\n".join(lines), "bad.csv", profile=PROFILE, **OCTOBER)[1]
    failed = done(running, job, key)

    assert failed["state"] == "failed"
    assert "bad.csv: line 5" in failed["error"]
    assert "amount" in failed["error"]
    assert "bad.csv" not in [each["name"] for each in get(running, "/carrier-files", key)[1]["files"]]
    assert left_over(running) == []


@pytest.mark.parametrize(
    ("file", "fields", "status", "field"),
    [
        (None, {"period": "2026-10", "profile": PROFILE}, 400, "file"),
        (b"x", {"period": "2026-10"}, 400, "profile"),
        (b"x", {"period": "2026-10", "profile": "name = 1"}, 400, "profile"),
        (b"x", {"period": "2026-10", "profile": "x" * 70_000}, 413, "profile"),
        (b"x", {"period": "2026-13", "profile": PROFILE}, 400, "period"),
        (b"x", {"period": "2026-10", "profile": PROFILE, "carrier": "nobody"}, 400, "carrier"),
        (b"x", {"period": "2026-10", "profile": PROFILE, "colour": "red"}, 400, "colour"),
        (b"x" * 200_001, {"period": "2026-10", "profile": PROFILE}, 413, "file"),
    ],
)
def test_a_form_that_cannot_be_used_names_its_field_and_leaves_nothing(
    shell: Shell, running: Running, file: bytes | None, fields: dict[str, str], status: int, field: str
):
    key = key_of(shell, running, f"forms-{field}-{len(file or b'')}-{len(fields.get('profile', ''))}", "act")

    answer = upload(running, "/carrier-files", key, file, **fields)

    assert (answer[0], answer[1]["field"]) == (status, field)
    assert left_over(running) == []


def test_who_may_only_read_brings_no_file_and_locks_nothing(shell: Shell, running: Running):
    key = key_of(shell, running, "watches", "read")

    answers = [
        upload(running, "/carrier-files", key, b"x", profile=PROFILE, **OCTOBER),
        post(running, "/periods/cmcc-gd/2026-10/lock", key),
        post(running, "/settlements/256/lock", key),
        post(running, "/settlements/256/approve", key),
        post(running, "/carrier-files/256/drop", key),
        post(running, "/reconciliations/1/resolve", key, items=[1], by="claim", reason="x"),
    ]

    assert [(status, answer["reason"]) for status, answer in answers] == [(403, "not_allowed")] * 6
    assert left_over(running) == []


def test_a_closed_month_is_locked_and_an_open_one_is_not(shell: Shell, running: Running):
    key = key_of(shell, running, "locks", "act")
    assert done(running, post(running, "/periods/close", key, period="2026-01")[1], key)["state"] == "done"

    locked = post(running, "/periods/default/2026-01/lock", key)
    again = post(running, "/periods/default/2026-01/lock", key)
    still_open = post(running, "/periods/default/2999-01/lock", key)
    no_month = post(running, "/periods/default/2026-13/lock", key)

    assert (locked[0], locked[1]["state"], locked[1]["locked_by"]) == (200, "locked", "locks")
    assert again == locked
    assert (still_open[0], "only a closed period" in still_open[1]["detail"]) == (409, True)
    assert (no_month[0], no_month[1]["field"]) == (400, "period")


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/reconciliations/777/resolve", {"items": [1], "by": "claim", "reason": "x"}, 404, "number"),
        ("/reconciliations/1/resolve", {"by": "claim", "reason": "x"}, 400, "items"),
        ("/reconciliations/1/resolve", {"items": [0], "by": "claim", "reason": "x"}, 400, "items"),
        ("/reconciliations/1/resolve", {"items": [1], "by": "magic", "reason": "x"}, 400, "by"),
        ("/reconciliations/1/resolve", {"items": [1], "by": "claim", "reason": ""}, 400, "reason"),
    ],
)
def test_a_resolution_that_cannot_be_names_its_field(
    shell: Shell, running: Running, path: str, body: dict[str, Any], status: int, field: str
):
    key = key_of(shell, running, f"resolves-{status}-{field}-{len(body)}-{body.get('items')}".strip("[]").replace("[", ""), "act")

    answer = post(running, path, key, **body)

    assert (answer[0], answer[1]["field"]) == (status, field)
