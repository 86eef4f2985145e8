"""Subscriptions by command: what there is, who has what and why, and what staff do to one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from billing import subscription, subscriptions
from billing.booking import Booking
from billing.subscriptions import Subscriptions
from gateway.settings_file import load
from gateway.store.engine import open_writing
from gateway.wiring_billing import carriers_of, offers_of
from tests.support.commands import Shell

DAY_US = subscription.DAY_US
CONFIG = """
[store]
url = "sqlite:///{folder}/store.db"

[[services]]
name = "chat"
price = 10

[[services]]
name = "notice"
price = 0

[[short_codes]]
number = "10661700"
service = "chat"

[billing]
time_zone = "Asia/Shanghai"

[[offers]]
name = "news"
title = "Daily news"
service = "chat"
short_code = "10661700"
keyword = "NEWS"
price = 600
trial_days = 11

[[offers]]
name = "game"
service = "chat"
short_code = "10661700"
price = 500
pays = "wallet"
"""


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bellhop.toml"
    path.write_text(CONFIG.format(folder=tmp_path), "utf-8")
    return path


def started(shell: Shell, config: Path, *more: object) -> dict[str, object]:
    words = more or ("news", "--number", "+8613900001234")
    outcome = shell("billing", "subscription", "start", *words, "--evidence", "form 4711", "--as", "ann", "--json", "-c", config)
    assert outcome.code == 0, outcome.err
    return outcome.json


def pass_days(config: Path, days: int) -> None:
    """What the gateway's sweep does when so many days have passed."""
    settings = load(config, {}).settings
    engine = open_writing(settings.store.url)
    steps = Subscriptions(offers_of(settings), into=Booking(carriers_of(settings)))
    with engine.begin() as conn:
        for row in subscriptions.page(conn):
            at = row.life.ordered_at + days * DAY_US
            steps.take(conn, row.id, subscription.Tick(at), charge_id=row.id + 256)
    engine.dispose()


def test_the_offers_of_the_file_are_listed_with_their_rules(shell: Shell, config: Path) -> None:
    shell("partner", "add", "acme", "-c", config)
    told = shell("billing", "subscription", "offers", "-c", config)
    assert "news             6.00 CNY a month     carrier  NEWS to 10661700; 2 confirmations, 11 days free" in told.out
    (news, game) = shell("billing", "subscription", "offers", "--json", "-c", config).json["offers"]
    assert (news["amount_minor"], news["currency"], news["first_charge_after_hours"]) == (600, "CNY", 72)
    assert (game["keyword"], game["pays"]) == (None, "wallet")


def test_staff_start_one_once_and_its_evidence_is_shown(shell: Shell, config: Path) -> None:
    first, again = started(shell, config), started(shell, config)
    assert (first["status"], first["is_new"], again["is_new"], again["id"]) == ("trial", True, False, first["id"])
    shown = shell("billing", "subscription", "show", first["id"], "--json", "-c", config).json
    assert [(each["step"], each["reference"], each["said"]) for each in shown["evidence"]] == [
        ("order", "ann", "form 4711"),
        ("confirm", "ann", "form 4711"),
        ("confirm", "ann", "form 4711"),
    ]
    listed = shell("billing", "subscription", "list", "--number", "+8613900001234", "-c", config)
    assert "news  +8613900001234  trial  6.00 CNY a cycle, next charge" in listed.out


def test_a_fee_can_be_refused_by_the_carrier_afterwards_once(shell: Shell, config: Path) -> None:
    id_ = started(shell, config)["id"]
    pass_days(config, 12)
    (cycle,) = shell("billing", "subscription", "show", id_, "--json", "-c", config).json["cycles"]
    assert cycle["state"] == "paid"
    words = ("billing", "subscription", "refused", id_, cycle["cycle"], "CB:0007", "--as", "ann", "--json", "-c", config)
    first, again = shell(*words), shell(*words)
    assert (first.code, first.json["status"], first.json["is_new"], again.json["is_new"]) == (0, "suspended", True, False)
    assert shell("billing", "check", "-c", config).out == "the books are right: every invariant holds\n"
    told = shell("billing", "why", "+8613900001234", "-c", config)
    assert "reversal" in told.out
    assert f"for        subscription {id_}, cycle {cycle['cycle']}" in told.out
    resumed = shell("billing", "subscription", "resume", id_, "--reason", "paid at the desk", "--as", "ann", "--json", "-c", config)
    assert resumed.json["status"] == "active"
    last = shell("billing", "subscription", "show", id_, "--json", "-c", config).json["evidence"][-1]
    assert (last["step"], last["said"]) == ("resume", "paid at the desk")


def test_staff_cancel_with_a_reason_and_the_log_has_no_number(shell: Shell, config: Path) -> None:
    id_ = started(shell, config)["id"]
    words = ("billing", "subscription", "cancel", id_, "--reason", "asked by phone", "--as", "bob", "-c", config)
    assert shell(*words).out.rstrip().endswith(" by staff")
    assert shell(*words).out.startswith("was over already: ")
    engine = create_engine(f"sqlite:///{config.parent / 'store.db'}")
    with engine.begin() as conn:
        acts = conn.exec_driver_sql("SELECT actor, act, detail FROM audit_log ORDER BY seq").all()
    engine.dispose()
    assert [(act.actor, act.act) for act in acts] == [("ann", "subscription.start"), ("bob", "subscription.cancel")]
    assert "13900001234" not in str(acts)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("start", "nothing", "--number", "+8613900001234", "--evidence", "x"), 3, "there is no offer 'nothing'; known are: news, game"),
        (("start", "news", "--account", "10001", "--evidence", "x"), 2, "--number: this is who pays for news"),
        (("start", "game", "--account", "10001", "--evidence", "x"), 3, "account 10001 has no wallet in CNY"),
        (("start", "news", "--number", "13", "--evidence", "x"), 2, "--number"),
        (("start", "news", "--number", "+8613900001234", "--evidence", "x", "--link", "no"), 2, "--link: there is no link 'no'"),
        (("start", "news", "--evidence", "x"), 2, "--number, --account: give one of them"),
        (("cancel", "77", "--reason", "x"), 3, "there is no subscription 77"),
        (("cancel", "x", "--reason", "x"), 2, "ID: 'x' is no id of a subscription"),
        (("refused", "77", "2026-13", "CB:0007"), 3, "there is no"),
        (("list", "--status", "gone"), 2, "--status: 'gone' is none"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(shell: Shell, config: Path, words: tuple[str, ...], code: int, told: str) -> None:
    shell("partner", "add", "acme", "-c", config)
    outcome = shell("billing", "subscription", *words, "-c", config)
    assert (outcome.code, outcome.err.count("\n")) == (code, 1)
    assert told in outcome.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('service = "nothing"\nshort_code = "10661700"', "there is no service 'nothing'"),
        ('service = "chat"\nshort_code = "1"', "there is no short code '1'"),
        ('service = "chat"\nshort_code = "10661700"\nkeyword = "STOP"', "means something else already"),
        ('service = "chat"\nshort_code = "10661700"\nkeyword = "news"', "is said for another offer"),
        ('service = "chat"\nshort_code = "10661700"\npays = "wallet"\nkeyword = "PLAY"', "a wallet pays when it is due"),
        ('service = "chat"\nshort_code = "10661700"\ntexts = { hello = "x" }', "there is no text 'hello'"),
        ('service = "chat"\nshort_code = "10661700"\ntexts = { welcome = "{name}" }', "may name"),
    ],
)
def test_offers_that_cannot_be_are_refused_with_their_place(shell: Shell, config: Path, line: str, told: str) -> None:
    config.write_text(f'{config.read_text("utf-8")}\n[[offers]]\nname = "more"\nprice = 1\n{line}\n', "utf-8")
    outcome = shell("config", "check", "-c", config)
    assert outcome.code == 2
    assert told in outcome.err
