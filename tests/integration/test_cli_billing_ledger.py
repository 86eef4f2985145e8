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

    assert asked.out == f"512: waits for a second person: `bellhop billing approval approve {request['id']}`\n"
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


# -- accounts -----------------------------------------------------------------------------------------------------------------


def test_a_party_has_a_wallet_in_each_of_its_currencies(shell: Shell, config: Path):
    opened = shell("billing", "account", "open", "partner:acme", "--currency", "QQB", "-c", config)
    again = shell("billing", "account", "open", "partner:acme", "--currency", "QQB", "-c", config)
    shell("billing", "account", "open", "sponsor:radio", "--currency", "JPY", "-c", config)

    listed = shell("billing", "account", "list", "-c", config).out.splitlines()

    assert (opened.out, again.out) == ("partner:acme: wallet in QQB opened\n", "partner:acme: wallet in QQB was open before\n")
    assert [" ".join(line.split()) for line in listed] == [
        "partner:acme 498.80 CNY free, 0.00 held",
        "partner:acme 0.0 QQB free, 0.0 held",
        "sponsor:radio 0 JPY free, 0 held",
    ]
    assert [
        each["party"] for each in shell("billing", "account", "list", "--kind", "sponsor", "--json", "-c", config).json["accounts"]
    ] == ["sponsor:radio"]


@pytest.mark.parametrize(
    ("party", "currency", "line"),
    [
        ("partner:acme", "XYZ", "error: unknown currency 'XYZ'; it is neither in ISO 4217 nor a coin of [[coins]]\n"),
        ("partner:nobody", "CNY", "error: partner:nobody is not known; add it first, and give it a wallet in another currency then\n"),
        ("sponsor:=cmd", "CNY", "error: party: 'sponsor:=cmd' is none; write partner:NAME, im:NUMBER or sponsor:NAME\n"),
        ("house:revenue:CNY", "CNY", "error: party: 'house:revenue:CNY' is none; write partner:NAME, im:NUMBER or sponsor:NAME\n"),
    ],
)
def test_a_wallet_nobody_can_have_is_refused_in_one_line(shell: Shell, config: Path, party: str, currency: str, line: str):
    refused = shell("billing", "account", "open", party, "--currency", currency, "-c", config)

    assert (refused.code, refused.out, refused.err) == (3, "", line)


def test_credit_is_granted_and_above_the_limit_by_two(shell: Shell, config: Path):
    small = shell("billing", "account", "credit", "partner:acme", "100.00", "--as", "li", "-c", config)
    large = shell("billing", "account", "credit", "partner:acme", "900.00", "--as", "li", "--json", "-c", config).json
    second = shell("billing", "account", "credit", "partner:acme", "950.00", "--as", "li", "-c", config)
    shell("billing", "approval", "approve", large["approval_id"], "--as", "wang", "-c", config)

    (wallet,) = shell("billing", "account", "list", "--json", "-c", config).json["accounts"]
    assert small.out == "partner:acme: credit of 100.00 CNY\n"
    assert (large["limit_minor"], wallet["limit_minor"], wallet["free_minor"]) == (10_000, 90_000, 139_880)
    assert (second.code, "waits for a second person" in second.err) == (3, True)
    assert shell("billing", "account", "credit", "partner:acme", "-1", "-c", config).code in (2, 3)


def test_movements_tell_what_came_and_went_page_by_page(shell: Shell, config: Path):
    shell("billing", "refund", CHARGE, "--amount", "0.20", "--reason", "dispute", "--reference", "case-1", "-c", config)

    found = shell("billing", "account", "movements", "partner:acme", "--json", "-c", config).json["movements"]
    first = shell("billing", "account", "movements", "partner:acme", "--rows", "1", "--json", "-c", config).json["movements"]
    rest = shell("billing", "account", "movements", "partner:acme", "--before", first[0]["id"], "--json", "-c", config).json["movements"]

    assert [(each["cause"], each["amount_minor"]) for each in found] == [
        ("refund:case-1", 20),
        ("topup:partner:acme:first", 100_000),
        ("", -50_000),
        ("", -120),
    ]
    assert first + rest == found


def test_the_trial_balance_adds_up_to_zero_in_each_currency(shell: Shell, config: Path):
    shell("billing", "account", "open", "sponsor:radio", "--currency", "QQB", "-c", config)
    shell("billing", "refund", CHARGE, "--double", "--reason", "no-order", "-c", config)

    told = shell("billing", "balance", "-c", config)
    as_json = shell("billing", "balance", "--json", "-c", config).json

    assert told.code == 0
    assert [" ".join(line.split()) for line in told.out.splitlines()] == [
        "CNY house bad_debt 1 0.00",
        "CNY house funding 1 -1000.00",
        "CNY house goodwill 1 -1.20",
        "CNY house receivable 1 0.00",
        "CNY house revenue 1 500.00",
        "CNY wallets partner 1 501.20",
        "CNY sum 0.00",
        "QQB house bad_debt 1 0.0",
        "QQB house funding 1 0.0",
        "QQB house goodwill 1 0.0",
        "QQB house receivable 1 0.0",
        "QQB house revenue 1 0.0",
        "QQB wallets sponsor 1 0.0",
        "QQB sum 0.0",
    ]
    assert (as_json["balanced"], as_json["sums"], as_json["holds"]) == (True, {"CNY": 0, "QQB": 0}, [])
    before = shell("billing", "balance", "--as-of", "2006-01-01T00:00:00Z", "--json", "-c", config).json
    assert {each["balance_minor"] for each in before["classes"]} == {0}
    assert shell("billing", "balance", "--as-of", "yesterday", "-c", config).code == 2


# -- vouchers -----------------------------------------------------------------------------------------------------------------


def make(shell: Shell, config: Path, *more: object) -> list[str]:
    file = config.parent / "codes.csv"
    made = shell("billing", "voucher", "make", "spring", "--count", 3, "--value", "10.00", "-o", file, *more, "-c", config)
    assert made.code == 0, made.err
    assert file.stat().st_mode & 0o777 == 0o600
    return [line.partition(",")[0] for line in file.read_text("ascii").splitlines()[1:]]


def test_a_voucher_brings_its_value_once(shell: Shell, config: Path):
    code, other, _ = make(shell, config)
    shell("billing", "account", "open", "sponsor:radio", "--currency", "CNY", "-c", config)
    before = free(shell, config)

    first = shell("billing", "voucher", "redeem", "partner:acme", "--code", code.lower().replace("-", ""), "-c", config)
    again = shell("billing", "voucher", "redeem", "partner:acme", "--code", code, "-c", config)
    stolen = shell("billing", "voucher", "redeem", "sponsor:radio", "--code", code, "-c", config)

    assert first.out == f"partner:acme: 10.00 CNY brought in; {(before + 1000) / 100:.2f} CNY free\n"
    assert "before, by this code" in again.out
    assert (stolen.code, stolen.err) == (3, "error: this code brings nothing\n")
    assert free(shell, config) == before + 1000
    (batch,) = shell("billing", "voucher", "list", "--json", "-c", config).json["batches"]
    assert (batch["live"], batch["redeemed"], batch["void"], batch["value_minor"]) == (2, 1, 0, 1000)
    assert books(shell, config) == set()
    stored = b"".join(path.read_bytes() for path in config.parent.glob("bellhop.db*"))
    assert code.encode() not in stored
    assert other.encode() not in stored


def test_vouchers_worth_more_than_one_may_give_wait_for_a_second_person(shell: Shell, config: Path):
    file = config.parent / "codes.csv"
    made = shell("billing", "voucher", "make", "big", "--count", 11, "--value", "10.00", "-o", file, "--as", "li", "-c", config)
    code = file.read_text("ascii").splitlines()[1].partition(",")[0]
    redeem = ("billing", "voucher", "redeem", "partner:acme", "--code", code, "-c", config)
    (request,) = shell("billing", "approval", "list", "--json", "-c", config).json["requests"]

    early = shell(*redeem)
    approved = shell("billing", "approval", "approve", request["id"], "--as", "wang", "-c", config)

    assert made.out.splitlines()[1] == f"big: they wait for a second person: `bellhop billing approval approve {request['id']}`"
    assert (early.code, early.err) == (3, "error: this code brings nothing\n")
    assert approved.out.startswith(f"{request['id']}: vouchers of 110.00 CNY on vouchers:big approved by wang")
    assert shell(*redeem).code == 0
    assert books(shell, config) == set()


def test_void_vouchers_bring_nothing_and_are_never_made_twice(shell: Shell, config: Path):
    code, other, _ = make(shell, config)

    one = shell("billing", "voucher", "void", "spring", "--code", other, "-c", config)
    rest = shell("billing", "voucher", "void", "spring", "-c", config)
    again = shell("billing", "voucher", "make", "spring", "--count", 1, "--value", "1", "-o", config.parent / "x.csv", "-c", config)

    assert (one.out, rest.out) == ("spring: 1 vouchers are void now\n", "spring: 2 vouchers are void now\n")
    assert shell("billing", "voucher", "redeem", "partner:acme", "--code", code, "-c", config).code == 3
    assert (again.code, again.err, (config.parent / "x.csv").exists()) == (3, 'error: there is a batch "spring" already\n', False)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--value", "-1"), "error: value: must be above zero\n"),
        (("--value", "0"), "error: value: must be above zero\n"),
        (("--currency", "XYZ"), "error: --value: unknown currency 'XYZ'; it is neither in ISO 4217 nor a coin of [[coins]]\n"),
        (("--count", "0"), "error: count: must be 1 to 100000\n"),
    ],
)
def test_vouchers_that_are_none_are_refused_and_no_file_is_written(shell: Shell, config: Path, more: tuple[str, ...], line: str):
    file = config.parent / "codes.csv"
    refused = shell("billing", "voucher", "make", "b", "--count", 3, "--value", "10.00", *more, "-o", file, "-c", config)

    assert (refused.code in (2, 3), refused.err, file.exists()) == (True, line, False)


def test_codes_are_not_written_over_a_file_and_then_there_are_none(shell: Shell, config: Path):
    file = config.parent / "codes.csv"
    file.write_text("mine")

    refused = shell("billing", "voucher", "make", "b", "--count", 3, "--value", "10.00", "-o", file, "-c", config)

    assert (refused.code, file.read_text()) == (3, "mine")
    assert shell("billing", "voucher", "list", "-c", config).out == "no vouchers yet; `bellhop billing voucher make` makes some\n"


def test_a_voucher_of_another_currency_is_refused_and_stays_live(shell: Shell, config: Path):
    code, *_ = make(shell, config, "--currency", "QQB", "--value", "10")

    refused = shell("billing", "voucher", "redeem", "partner:acme", "--code", code, "-c", config)

    assert (refused.code, refused.err) == (3, "error: this voucher is in QQB, and the wallet in CNY\n")
    shell("billing", "account", "open", "partner:acme", "--currency", "QQB", "-c", config)
    assert shell("billing", "voucher", "redeem", "partner:acme", "--code", code, "--currency", "QQB", "-c", config).code == 0
