"""`bellhop billing export`, `export list`, `deliver`, `ack` and `reject` as billing staff meet them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import text

from billing import audit
from gateway.store.engine import open_reading, open_writing
from tests.support.commands import Shell

PROFILES = """
[[export_profiles]]
name = "cmcc"
flavour = "jsonl"
columns = ["charge_id", "charged_msisdn", "amount_minor"]
mask = "last4"
deliver_to = "drop"

[[export_targets]]
name = "drop"
path = "drop"
"""


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    # The command gives way to the gateway; the process of these tests would keep that for ever.
    monkeypatch.setattr(os, "setpriority", lambda *_arguments: None)
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    assert shell("init", tmp_path).code == 0
    path = tmp_path / "bellhop.toml"
    path.write_text(path.read_text() + PROFILES)
    assert shell("partner", "add", "acme", "-c", path).code == 0
    return path


def put_charges(config: Path, count: int, *, day: int = 20261101, first: int = 1) -> None:
    at_us = 1_793_491_200_000_000 + (day - 20261101) * 86_400_000_000
    row = {
        **dict.fromkeys(("record_type", "direction", "payer"), 0),
        "state": 10,
        "event_at": at_us,
        "booked_at": at_us,
        "service": "chat",
        "fee_class": 1,
        "parts": 1,
        "parts_charged": 1,
        "quantity": 1,
        "unit_price_minor": 1250,
        "amount_minor": 1250,
        "currency": "CNY",
        "tariff_version": "flat/1:0",
        "tariff_rule": "r",
        "charged_msisdn": "8613800001234",
        "carrier": "default",
        "period": day,
    }
    names = ["id", "event_id", "journal_seq", *row]
    with open_writing(f"sqlite:///{config.parent / 'bellhop.db'}").begin() as conn:
        for number in range(first, first + count):
            values = {**row, "id": number * 256, "event_id": number * 256, "journal_seq": number}
            conn.execute(text(f"INSERT INTO charge ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"), values)


def acts(config: Path) -> list[tuple[str, str]]:
    with open_reading(f"sqlite:///{config.parent / 'bellhop.db'}").begin() as conn:
        return [(entry.actor, entry.act) for entry in audit.entries(conn)]


def test_a_month_is_previewed_exported_and_told_with_its_amounts(shell: Shell, config: Path):
    put_charges(config, 3)
    folder = config.parent / "charges"

    preview = shell("billing", "export", "--period", "2026-11", "--preview", "-c", config)
    exported = shell("billing", "export", "--period", "2026-11", "-o", folder, "--as", "li", "-c", config)
    again = shell("billing", "export", "--period", "2026-11", "-o", folder, "-c", config)
    after = shell("billing", "export", "--period", "2026-11", "--preview", "--json", "-c", config).json["totals"]

    assert preview.out == "default: 3 records, 0 of them in files\n  CHARGE    chat                     3  37.50 CNY\n"
    name = "bellhop01_charge_default_202611_00000001_r00.csv"
    assert exported.out == f"{folder / name}  3 records  37.50 CNY\n"
    assert again.out == f"{folder / name}  3 records  37.50 CNY  (written before, the same bytes again)\n"
    assert [(each["records"], each["exported"], each["amount_minor"], each["currency"]) for each in after] == [(3, 3, 3750, "CNY")]
    assert acts(config) == [("li", "export")]


def test_days_of_one_carrier_by_a_profile(shell: Shell, config: Path):
    put_charges(config, 2)
    put_charges(config, 2, day=20261102, first=10)
    folder = config.parent / "charges"

    window = ("--from", "2026-11-01", "--to", "2026-11-02", "--carrier", "default", "--profile", "cmcc")
    (written,) = shell("billing", "export", *window, "-o", folder, "--json", "-c", config).json["files"]

    assert written["file_name"] == "bellhop01_cmcc_default_20261101_00000001_r00.jsonl"
    lines = [json.loads(line) for line in (folder / written["file_name"]).read_bytes().splitlines()]
    assert lines == [{"charge_id": str(number * 256), "charged_msisdn": "*********1234", "amount_minor": 1250} for number in (1, 2)]
    assert json.loads((folder / written["manifest_name"]).read_bytes())["is_masked"] is True


def test_each_carrier_has_files_of_its_own(shell: Shell, config: Path):
    config.write_text(config.read_text() + '\n[[carriers]]\nname = "unicom"\ntime_zone = "Asia/Shanghai"\n')

    written = shell("billing", "export", "--period", "2026-11-01", "-o", config.parent / "out", "--json", "-c", config).json["files"]

    assert [each["file_name"] for each in written] == [
        "bellhop01_charge_default_20261101_00000001_r00.csv",
        "bellhop01_charge_unicom_20261101_00000001_r00.csv",
    ]
    manifest = json.loads((config.parent / "out" / written[1]["manifest_name"]).read_bytes())
    assert (manifest["tz"], manifest["from_utc"]) == ("Asia/Shanghai", "2026-10-31T16:00:00.000000Z")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--from", "2026-11-23T00:00:00+08:00", "--to", "2026-11-24"), 2, "whole days on the carrier's clock"),
        (("--from", "2026-11", "--to", "2026-12"), 2, "--period 2026-11"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), 2, "begin before they end"),
        (("--period", "2026-02-30"), 2, "there is no day 2026-02-30"),
        (("--period", "2026-11", "--from", "2026-11-01"), 2, "or --from and --to"),
        (("--period", "yesterday"), 2, "neither a day"),
        ((), 2, "give a month"),
        (("--period", "2026-11", "--carrier", "nobody"), 2, "there is no carrier 'nobody'"),
        (("--period", "2026-11", "--profile", "nothing"), 2, "there is no profile 'nothing'"),
        (("--revise", "77", "--reason", "x"), 3, "there is no run 77"),
        (("--revise", "77"), 3, "needs a reason"),
        (("--revise", "77", "--period", "2026-11"), 2, "leave them out"),
        (("--revise", "77", "--approval", "78"), 2, "leave --revise out"),
        (("--approval", "78"), 3, "there is no request 78"),
        (("--approval", "78", "--reason", "x"), 2, "leave --reason out"),
    ],
)
def test_what_cannot_be_exported_is_one_line(shell: Shell, config: Path, arguments: tuple[str, ...], code: int, said: str):
    refused = shell("billing", "export", *arguments, "-o", config.parent / "out", "-c", config)

    assert (refused.code, refused.err.count("\n"), refused.err[:7]) == (code, 1, "error: ")
    assert said in refused.err
    assert not (config.parent / "out").exists()


def test_a_folder_that_is_none_is_one_line_and_the_next_call_goes_on(shell: Shell, config: Path):
    put_charges(config, 2)
    folder = config.parent / "charges"
    folder.write_text("a file")

    refused = shell("billing", "export", "--period", "2026-11", "-o", folder, "-c", config)
    folder.unlink()
    written = shell("billing", "export", "--period", "2026-11", "-o", folder, "--json", "-c", config).json["files"]

    assert (refused.code, "charges: File exists" in refused.err, "error: " in refused.err) == (3, True, True)
    assert [(each["file_seq"], each["records"]) for each in written] == [(1, 2)]


def test_a_revision_is_written_beside_what_it_supersedes(shell: Shell, config: Path):
    put_charges(config, 2)
    folder = config.parent / "charges"
    (first,) = shell("billing", "export", "--period", "2026-11", "-o", folder, "--json", "-c", config).json["files"]

    ask = ("billing", "export", "--revise", first["run_id"], "--reason", "tax was missing", "--as", "li", "--json", "-c", config)
    request = shell(*ask).json["approval_id"]
    write = ("billing", "export", "--approval", request, "-o", folder, "-c", config)
    early = shell(*write, "--as", "li")
    own = shell("billing", "approval", "approve", request, "--as", "LI", "-c", config)
    listed = shell("billing", "approval", "list", "-c", config).out
    assert shell("billing", "approval", "approve", request, "--as", "zhao", "-c", config).code == 0
    by_who_approved = shell(*write, "--as", "zhao")
    revised = shell(*write, "--as", "li")
    twice = shell(*write, "--as", "li")

    assert (early.code, f"request {request} is waiting" in early.err) == (3, True)
    assert (own.code, by_who_approved.code) == (3, 3)
    assert twice.out.endswith("(written before, the same bytes again)\n")
    assert listed.startswith(f"{request}  revision   no money  export:{first['run_id']}  asked by li")
    assert revised.out == f"{folder / 'bellhop01_charge_default_202611_00000001_r01.csv'}  2 records  25.00 CNY\n"
    listed = shell("billing", "export", "list", "--json", "-c", config).json["files"]
    assert [(each["file_seq"], each["revision"], each["state"]) for each in listed] == [(1, 0, "WRITTEN"), (1, 1, "WRITTEN")]


def test_files_are_delivered_answered_and_listed(shell: Shell, config: Path):
    put_charges(config, 2)
    folder, drop = config.parent / "charges", config.parent / "drop"
    shell("billing", "export", "--period", "2026-11-01", "--profile", "cmcc", "-o", folder, "-c", config)
    shell("billing", "export", "--period", "2026-11-02", "--profile", "cmcc", "-o", folder, "-c", config)
    first, second = sorted(path.name for path in folder.glob("*.jsonl"))

    too_early = shell("billing", "ack", first, "-c", config)
    delivered = shell("billing", "deliver", "-o", folder, "--profile", "cmcc", "--as", "li", "-c", config)
    again = shell("billing", "deliver", "-o", folder, "--profile", "cmcc", "-c", config)
    acked = shell("billing", "ack", first, "--text", "receipt 7781", "-c", config)
    twice = shell("billing", "ack", first, "--json", "-c", config)
    rejected = shell("billing", "reject", second, "--reason", "line 17: unknown service", "-c", config)
    contrary = shell("billing", "reject", first, "--reason", "changed our mind", "-c", config)

    assert (too_early.code, "is written: only a delivered file" in too_early.err) == (3, True)
    assert delivered.out == f"{first}  delivered to drop\n{second}  delivered to drop\n"
    assert {path.name: path.read_bytes() for path in drop.iterdir()} == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert (again.out, again.code) == ("nothing awaits delivery\n", 0)
    assert (acked.out, twice.json["is_new"], rejected.out) == (f"{first}  acked\n", False, f"{second}  rejected\n")
    assert (contrary.code, "is acked" in contrary.err) == (3, True)
    listed = shell("billing", "export", "list", "--state", "rejected", "-c", config)
    assert listed.out.startswith(f"{second}  rejected")
    assert listed.out.endswith("line 17: unknown service\n")
    assert [act for _actor, act in acts(config)] == ["export", "export", "deliver", "deliver", "acked", "rejected"]
    assert shell("billing", "check", "-c", config).code in (0, 1)


def test_a_file_that_cannot_be_brought_stays_written_with_the_reason_and_holds_up_those_behind_it(shell: Shell, config: Path):
    folder = config.parent / "charges"
    for day in ("2026-11-01", "2026-11-02"):
        shell("billing", "export", "--period", day, "--profile", "cmcc", "-o", folder, "-c", config)
    first, _second = sorted(path.name for path in folder.glob("*.jsonl"))
    (folder / first).write_bytes(b"something else\n")

    failed = shell("billing", "deliver", "-o", folder, "--profile", "cmcc", "--json", "-c", config)
    listed = shell("billing", "export", "list", "--json", "-c", config).json["files"]

    assert failed.code == 3
    assert [(each["file"], each["delivered"]) for each in failed.json["files"]] == [(first, False)]
    assert [(each["state"], each["attempts"]) for each in listed] == [("WRITTEN", 1), ("WRITTEN", 0)]
    assert "is not the file that was written" in listed[0]["fault"]

    # The same days exported again put the same bytes back, and the next call brings both.
    shell("billing", "export", "--period", "2026-11-01", "--profile", "cmcc", "-o", folder, "-c", config)
    mended = shell("billing", "deliver", "-o", folder, "--profile", "cmcc", "-c", config)
    assert (mended.code, mended.out.count("delivered to drop")) == (0, 2)


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ('[[export_profiles]]\nname = "x"\ncolumns = ["price"]\n', "is no column of charge/1"),
        ('[[export_profiles]]\nname = "x"\nflavour = "fixed"\n', "needs widths"),
        ('[[export_profiles]]\nname = "cmcc"\n', "each needs a name of its own"),
        ('[[export_profiles]]\nname = "x"\ndeliver_to = "moon"\n', "there is no target 'moon'"),
        ('[[export_profiles]]\nname = "x"\nmask = "hmac"\n', "needs billing.mask_key"),
        ('[[export_targets]]\nname = "x"\nkind = "sftp"\npath = "in"\nhost = "h"\nusername = "u"\n', "known_hosts_file"),
    ],
)
def test_a_profile_or_target_that_cannot_work_is_found_by_config_check(shell: Shell, config: Path, added: str, said: str):
    config.write_text(config.read_text() + "\n" + added)

    checked = shell("config", "check", "-c", config)

    assert checked.code == 2
    assert said in checked.err + checked.out


def test_delivery_without_a_target_says_which_there_are(shell: Shell, config: Path):
    refused = shell("billing", "deliver", "-o", config.parent, "-c", config)

    assert (refused.code, "known are: drop" in refused.err) == (2, True)
