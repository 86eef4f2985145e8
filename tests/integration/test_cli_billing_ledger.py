"""Refunds, approvals, the audit log, accounts and vouchers as billing staff meet them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from sqlalchemy import text

from billing import book
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from gateway.store.engine import open_writing
from tests.support.commands import Outcome, Shell

NOW = 1_795_392_000_000_000
CHARGE, LARGE = 256, 512


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    """A shop with a partner of 1,000.00 CNY; it paid 1.20 CNY for one message and 500.00 CNY for another."""
    assert shell("init", tmp_path).code == 0
    config = tmp_path / "bellhop.toml"
    assert shell("partner", "add", "acme", "--credit", "100000", "-c", config).code == 0
    engine = open_writing(f"sqlite:///{tmp_path / 'bellhop.db'}")
    ids = itertools.count(1)
    with engine.begin() as conn:
        wallet = book.find_account(conn, "partner:acme")
        assert wallet is not None
        revenue = book.ensure_house(conn, "CNY", new_id=lambda: next(ids), now_us=NOW).revenue
        for id_, price in ((CHARGE, 120), (LARGE, 50_000)):
            facts = ("sim", "10086", "8613800000000", "8613900000000", None, 1, 1, price, price, "CNY", "flat/1", "service:chat")
            event = BillableEvent(id_, Direction.MT, NOW, "chat", FeeClass.PER_MSG, Payer.SP, wallet, *facts)
            assert book.hold_many(conn, [event], revenue=revenue, now_us=NOW) == [True]
            settled = Settlement(id_, ChargeState.CAPTURED, wallet, price, price, 1, id_, "DELIVRD", NOW, None, None, None)
            book.settle_many(conn, [settled], now_us=NOW)
    engine.dispose()
    return config


def free(shell: Shell, config: Path) -> int:
    return int(shell("partner", "list", "--json", "-c", config).json["partners"][0]["available_minor"])


def books(shell: Shell, config: Path) -> set[str]:
    """The broken invariants of the ledger, without those that miss the messages this test never sent."""
    found = shell("billing", "check", "--json", "-c", config).json["violations"]
    return {each["invariant"] for each in found} - {"mt_charge_has_message"}


# -- refunds ------------------------------------------------------------------------------------------------------------------


def test_a_refund_is_one_line_and_the_money_is_back(shell: Shell, config: Path):
    before = free(shell, config)

    done = shell("billing", "refund", CHARGE, "--amount", "0.50", "--reason", "dispute", "-c", config)

    assert (done.code, done.out, done.err) == (0, "256: 0.50 CNY given back; 0.70 CNY remain\n", "")
    assert free(shell, config) == before + 50
    assert books(shell, config) == set()


def test_a_double_refund_says_what_of_it_is_goodwill(shell: Shell, config: Path):
    done = shell("billing", "refund", CHARGE, "--double", "--reason", "no-order", "--as", "li", "-c", config)

    assert done.out == "256: 1.20 CNY and 1.20 CNY of goodwill given back; 0.00 CNY remain\n"


def test_a_reference_twice_refunds_once(shell: Shell, config: Path):
    call = ("billing", "refund", CHARGE, "--reason", "duplicate", "--reference", "case-7", "--json", "-c", config)

    first, second = shell(*call).json, shell(*call).json

    assert (first["is_new"], first["refunded_minor"], first["currency"], first["remaining_minor"]) == (True, 120, "CNY", 0)
    assert second == {**first, "is_new": False}
    assert free(shell, config) == 100_000 - 50_000


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("refund", CHARGE, "--amount", "1.21"), 3, "error: amount: 1.21 CNY is more than the 1.20 CNY that remain of charge 256\n"),
        (("refund", CHARGE, "--amount", "-1"), 3, "error: amount: must be above zero\n"),
        (("refund", CHARGE, "--amount", "0.001"), 2, "error: --amount: CNY has 2 digits after the point, not 3\n"),
        (("refund", CHARGE, "--amount", "1,00"), 2, "error: --amount: not an amount: '1,00'\n"),
        (("refund", 999), 3, "error: there is no charge 999\n"),
        (("adjust", CHARGE, "--amount", "0"), 3, "error: amount: must not be zero\n"),
        (("adjust", CHARGE, "--amount", "-1.21"), 3, "error: amount: 1.21 CNY is more than the 1.20 CNY that remain of charge 256\n"),
        (("adjust", CHARGE, "--amount", "99"), 0, ""),
        (
            ("refund", CHARGE, "--reference", "=1+1"),
            3,
            "error: reference: begins with '=', a formula to spreadsheets; begin with a letter or digit\n",
        ),
        (("refund", CHARGE, "--as", "@li"), 2, "error: --as: begins with '@', a formula to spreadsheets; begin with a letter or digit\n"),
    ],
)
def test_what_is_refused_is_one_line_and_books_nothing(shell: Shell, config: Path, arguments: tuple[object, ...], code: int, line: str):
    before = free(shell, config)

    refused = shell("billing", *arguments, "--reason", "dispute", "-c", config)

    assert (refused.code, refused.err) == (code, line)
    if code:
        assert (refused.out, free(shell, config)) == ("", before)
        assert shell("billing", "audit", "list", "--json", "-c", config).json == {"acts": []}


def test_a_reason_that_is_none_is_refused_with_those_there_are(shell: Shell, config: Path):
    refused = shell("billing", "refund", CHARGE, "--reason", "because", "-c", config)

    assert refused.code == 3
    assert refused.err.startswith("error: reason: 'because' is no reason; the reasons are dispute, ")


def test_goodwill_and_writeoff_say_what_they_booked(shell: Shell, config: Path):
    kind = shell("billing", "goodwill", CHARGE, "--amount", "2.00", "--reason", "courtesy", "-c", config)
    lost = shell("billing", "writeoff", CHARGE, "-c", config)

    assert kind.out == "256: goodwill, -2.00 CNY; 1.20 CNY remain\n"
    assert lost.out == "256: written off, -1.20 CNY; 0.00 CNY remain\n"


# -- four eyes ----------------------------------------------------------------------------------------------------------------


def ask(shell: Shell, config: Path, *more: object) -> Outcome:
    return shell("billing", "refund", LARGE, "--reason", "outage", "--as", "li", *more, "-c", config)


def test_a_large_refund_waits_for_a_second_person_and_is_done_by_him(shell: Shell, config: Path):
    asked = ask(shell, config)
    (request,) = shell("billing", "approval", "list", "--json", "-c", config).json["requests"]
    before = free(shell, config)

    own = shell("billing", "approval", "approve", request["id"], "--as", "Li", "-c", config)
    approved = shell("billing", "approval", "approve", request["id"], "--as", "wang", "-c", config)
    again = shell("billing", "approval", "approve", request["id"], "--as", "zhao", "-c", config)

    assert asked.out == f"512: waits for a second person; he says `bellhop billing approval approve {request['id']}`\n"
    assert (own.code, own.err) == (3, f"error: request {request['id']} is your own; another person has to decide it\n")
    assert (approved.code, approved.out.partition(":")[2][:58]) == (0, ' refund of -500.00 CNY on charge:512 approved by wang: {"c')
    assert (again.code, again.err) == (3, f"error: request {request['id']} was approved by wang before\n")
    assert free(shell, config) == before + 50_000
    assert books(shell, config) == set()
    acts = shell("billing", "audit", "list", "--json", "-c", config).json["acts"]
    assert [(each["actor"], each["act"]) for each in acts] == [("li", "ask"), ("wang", "approve"), ("li", "refund")]
    assert "approved by wang" not in shell("billing", "approval", "list", "-c", config).out
    assert "approved, by wang" in shell("billing", "approval", "list", "--all", "-c", config).out


def test_a_refused_request_does_nothing(shell: Shell, config: Path):
    ask(shell, config)
    (request,) = shell("billing", "approval", "list", "--json", "-c", config).json["requests"]
    before = free(shell, config)

    refused = shell("billing", "approval", "refuse", request["id"], "--as", "wang", "--json", "-c", config).json

    assert (refused["state"], refused["outcome"], free(shell, config)) == ("refused", {}, before)


def test_the_limit_is_a_setting(shell: Shell, config: Path):
    config.write_text(config.read_text("utf-8").replace("approval_above = {}", 'approval_above = { CNY = "500.00" }', 1))

    assert ask(shell, config).out == "512: 500.00 CNY given back; 0.00 CNY remain\n"


@pytest.mark.parametrize(
    ("limit", "told"),
    [('{ CNY = "1.001" }', "billing.approval_above.CNY"), ('{ XYZ = "1" }', "unknown currency 'XYZ'")],
)
def test_a_limit_that_is_none_is_refused_with_its_key(shell: Shell, config: Path, limit: str, told: str):
    config.write_text(config.read_text("utf-8").replace("approval_above = {}", f"approval_above = {limit}", 1))

    refused = ask(shell, config)

    assert (refused.code, told in refused.err) == (2, True)


def test_a_log_that_was_touched_is_exit_code_1(shell: Shell, config: Path):
    shell("billing", "refund", CHARGE, "--reason", "dispute", "--as", "li", "-c", config)
    whole = shell("billing", "audit", "verify", "-c", config)
    engine = open_writing(f"sqlite:///{config.parent / 'bellhop.db'}")
    with engine.begin() as conn:
        conn.execute(text("UPDATE audit_log SET actor = 'wang'"))
    engine.dispose()

    broken = shell("billing", "audit", "verify", "-c", config)

    assert (whole.code, whole.out) == (0, "the log is whole: 1 acts\n")
    assert (broken.code, broken.out.startswith("the log is broken at act 1")) == (1, True)
