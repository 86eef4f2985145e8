"""partner, account, trace, status and billing as an operator meets them before the gateway ever ran."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.domain.credentials import API_KEY_PREFIX, is_password
from gateway.store import partners
from gateway.store.engine import open_reading, open_writing
from tests.support.commands import Shell


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(shell: Shell, tmp_path: Path) -> Path:
    assert shell("init", tmp_path).code == 0
    return tmp_path / "bellhop.toml"


def store_of(config: Path) -> str:
    return f"sqlite:///{config.parent / 'bellhop.db'}"


# -- partners ---------------------------------------------------------------------------------------------------------------


def test_adding_a_partner_prints_its_name_and_key_and_nothing_else(shell: Shell, config: Path):
    added = shell("partner", "add", "acme", "--smpp-password", "pass1", "--credit", "100000", "--json", "-c", config)

    assert (added.code, added.err, list(added.json), added.json["partner"]) == (0, "", ["partner", "api_key"], "acme")
    assert added.json["api_key"].startswith(API_KEY_PREFIX)
    assert len(added.json["api_key"]) == len(API_KEY_PREFIX) + 43


def test_secrets_are_stored_as_hashes_only(shell: Shell, config: Path):
    api_key = shell("partner", "add", "acme", "--smpp-password", "pass1", "--json", "-c", config).json["api_key"]

    with open_reading(store_of(config)).begin() as conn:
        stored = partners.by_name(conn, "acme")
    assert stored is not None
    assert stored.api_key_hash == hashlib.sha256(api_key.encode()).hexdigest()
    assert stored.smpp_password_hash is not None
    assert stored.smpp_password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (is_password(stored.smpp_password_hash, "pass1"), is_password(stored.smpp_password_hash, "pass2")) == (True, False)
    assert api_key.encode() not in b"".join(path.read_bytes() for path in config.parent.glob("bellhop.db*"))


def test_a_partner_without_a_password_may_not_bind(shell: Shell, config: Path):
    shell("partner", "add", "acme", "--credit", "5", "-c", config)

    listed = shell("partner", "list", "--json", "-c", config).json["partners"]

    purse = {"available_minor": 5, "held_minor": 0, "currency": "CNY"}
    assert listed == [{"name": "acme", "is_enabled": True, "may_bind": False, **purse, "others": []}]


def test_a_password_may_come_from_a_file(shell: Shell, config: Path):
    (config.parent / "secret").write_text("pass1\n")

    added = shell("partner", "add", "acme", "--smpp-password-file", config.parent / "secret", "-c", config)

    with open_reading(store_of(config)).begin() as conn:
        stored = partners.by_name(conn, "acme")
    assert added.code == 0
    assert stored is not None
    assert is_password(stored.smpp_password_hash or "", "pass1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "a-name-of-16-chars"),
        ("add", "with space"),
        ("add", "名字"),
        ("add", "acme", "--smpp-password", "123456789"),
        ("add", "acme", "--smpp-password", "pässword"),
        ("add", "acme", "--smpp-password", ""),
        ("add", "acme", "--smpp-password", "x", "--smpp-password-file", "y"),
        ("add", "acme", "--smpp-password-file", "/nowhere/at/all"),
        ("add", "acme", "--credit", "-1"),
        ("add", "acme", "--credit", str(10**18)),
        ("add", "acme", "--credit", "12.50"),
        ("add", "acme", "--credit", "12.50 USD"),
        ("top-up", "acme", "0"),
        ("top-up", "acme", "12.50"),
        ("top-up", "acme", "12.505 CNY"),
        ("top-up", "acme", "12.50 XXX"),
        ("top-up", "acme", "12.50 CNY", "--currency", "USD"),
        ("top-up", "acme", "5", "--as", "=cmd"),
    ],
)
def test_what_no_partner_can_have_is_one_line_and_exit_code_2(shell: Shell, config: Path, arguments: tuple[str, ...]):
    refused = shell("partner", *arguments, "-c", config)

    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.startswith("error: ")


def test_a_name_that_is_taken_is_refused_and_changes_nothing(shell: Shell, config: Path):
    shell("partner", "add", "acme", "--credit", "7", "-c", config)
    before = shell("partner", "list", "--json", "-c", config).out

    refused = shell("partner", "add", "acme", "--credit", "9", "-c", config)

    assert (refused.code, refused.out, refused.err) == (3, "", 'error: there is a partner "acme" already\n')
    assert shell("partner", "list", "--json", "-c", config).out == before


def test_a_reference_tops_up_once(shell: Shell, config: Path):
    shell("partner", "add", "acme", "-c", config)
    call = ("partner", "top-up", "acme", "500", "--reference", "invoice-1", "--json", "-c", config)

    first, second = shell(*call).json, shell(*call).json
    other = shell("partner", "top-up", "acme", "501", "--reference", "invoice-1", "-c", config)

    assert (first["is_new"], second["is_new"], second["available_minor"]) == (True, False, 500)
    assert (other.code, other.err.count("\n")) == (3, 1)


def test_a_top_up_in_another_currency_opens_a_wallet_and_says_who_made_it(shell: Shell, config: Path):
    shell("partner", "add", "acme", "--credit", "10.00 CNY", "-c", config)
    call = ("partner", "top-up", "acme", "12.50 USD", "--reference", "invoice-1", "--as", "ann", "-c", config)

    first, again = shell(*call), shell(*call)
    by_code = shell("partner", "top-up", "acme", "50", "--currency", "USD", "--json", "-c", config).json

    assert first.out == "acme: topped up; 12.50 USD free\n"
    assert again.out == "acme: this reference was topped up before; 12.50 USD free\n"
    assert (by_code["available_minor"], by_code["currency"]) == (1300, "USD")
    wallets = shell("billing", "account", "list", "--json", "-c", config).json["accounts"]
    assert [(each["currency"], each["posted_minor"]) for each in wallets] == [("CNY", 1000), ("USD", 1300)]
    assert shell("partner", "list", "-c", config).out.endswith("10.00 CNY free, 0.00 held; 13.00 USD free, 0.00 held\n")
    (listed,) = shell("partner", "list", "--json", "-c", config).json["partners"]
    assert (listed["available_minor"], listed["others"]) == (1000, [{"available_minor": 1300, "held_minor": 0, "currency": "USD"}])
    acts = shell("billing", "audit", "list", "--by", "ann", "--json", "-c", config).json["acts"]
    assert [each["act"] for each in acts] == ["open wallet", "top up"]


def test_a_new_key_ends_the_old_one_and_a_partner_can_be_kept_out(shell: Shell, config: Path):
    old = shell("partner", "add", "acme", "--json", "-c", config).json["api_key"]

    new = shell("partner", "key", "acme", "--json", "-c", config).json["api_key"]
    shell("partner", "disable", "acme", "-c", config)

    with open_reading(store_of(config)).begin() as conn:
        by_old, by_new = (partners.by_api_key_hash(conn, hashlib.sha256(key.encode()).hexdigest()) for key in (old, new))
    assert by_old is None
    assert by_new is not None
    assert by_new.is_enabled is False
    shell("partner", "enable", "acme", "-c", config)
    assert shell("partner", "list", "--json", "-c", config).json["partners"][0]["is_enabled"] is True


@pytest.mark.parametrize("arguments", [("key", "nobody"), ("enable", "nobody"), ("disable", "nobody"), ("top-up", "nobody", "5")])
def test_a_partner_that_is_not_there_is_one_line_and_exit_code_3(shell: Shell, config: Path, arguments: tuple[str, ...]):
    refused = shell("partner", *arguments, "-c", config)

    assert (refused.code, refused.err) == (3, 'error: there is no partner "nobody"; `bellhop partner list` shows them\n')


# -- messenger accounts -------------------------------------------------------------------------------------------------------


def test_accounts_get_the_next_number_and_their_first_credit(shell: Shell, config: Path):
    (config.parent / "secret").write_text("correct horse\n")

    first = shell("account", "add", "李雷", "--password-file", config.parent / "secret", "--json", "-c", config).json
    second = shell("account", "add", "Han", "--password", "correct horse", "--credit", "5", "--json", "-c", config).json
    shell("account", "top-up", second["account"], "37", "-c", config)

    assert (first["nick"], second["account"]) == ("李雷", first["account"] + 1)
    listed = shell("account", "list", "--json", "-c", config).json["accounts"]
    assert [(each["nick"], each["available_minor"]) for each in listed] == [("李雷", 1000), ("Han", 42)]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "Li"), 2),
        (("add", "Li", "--password", "short"), 2),
        (("add", " ", "--password", "correct horse"), 2),
        (("add", "Li", "--password", "correct horse", "--credit", "-1"), 2),
        (("top-up", "10001", "5"), 3),
    ],
)
def test_what_no_account_can_have_is_one_line(shell: Shell, config: Path, arguments: tuple[str, ...], code: int):
    refused = shell("account", *arguments, "-c", config)

    assert (refused.code, refused.err.count("\n"), refused.err[:7]) == (code, 1, "error: ")


# -- stores that cannot be used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("partner", "list"), ("trace", "256"), ("billing", "check"), ("account", "list")])
def test_looking_makes_no_store(shell: Shell, config: Path, command: tuple[str, ...]):
    refused = shell(*command, "-c", config)

    assert (refused.code, refused.err.count("\n"), "no store yet" in refused.err) == (3, 1, True)
    assert not (config.parent / "bellhop.db").exists()


def test_a_newer_store_is_refused_in_one_line(shell: Shell, config: Path):
    shell("partner", "add", "acme", "-c", config)
    with open_writing(store_of(config)).begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    refused = shell("partner", "add", "other", "-c", config)

    assert (refused.code, refused.err.count("\n"), "9999" in refused.err) == (3, 1, True)


def test_a_file_that_is_no_store_is_refused_in_one_line(shell: Shell, config: Path):
    (config.parent / "bellhop.db").write_text("this is no database at all, it is a shopping list of forty characters")

    for command in (("partner", "add", "acme"), ("billing", "check"), ("partner", "list")):
        refused = shell(*command, "-c", config)
        assert (refused.code, refused.err.count("\n"), "not a database" in refused.err) == (3, 1, True)


def test_a_store_of_no_version_is_refused_in_one_line(shell: Shell, config: Path):
    sqlite3.connect(config.parent / "bellhop.db").execute("CREATE TABLE other (x)")

    refused = shell("partner", "list", "-c", config)

    assert (refused.code, "holds no store of this version" in refused.err) == (3, True)


# -- billing and status without a gateway ---------------------------------------------------------------------------------


def test_a_broken_book_is_a_line_per_violation_and_exit_code_1(shell: Shell, config: Path):
    shell("partner", "add", "acme", "--credit", "100", "-c", config)
    assert shell("billing", "check", "-c", config).code == 0
    with open_writing(store_of(config)).begin() as conn:
        conn.execute(text("UPDATE account SET posted_minor = 99 WHERE is_wallet"))

    broken = shell("billing", "check", "-c", config)
    as_json = shell("billing", "check", "--json", "-c", config)

    assert (broken.code, broken.out.startswith("wallet_posted: 1 broken")) == (1, True)
    assert (as_json.code, as_json.json["clean"], as_json.json["violations"][0]["count"]) == (1, False, 1)


def test_status_without_a_gateway_reads_the_store(shell: Shell, config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BELLHOP__WEB__PORT", "1")
    before = shell("status", "--json", "-c", config)
    shell("partner", "add", "acme", "-c", config)

    after = shell("status", "--json", "-c", config)

    assert (before.code, before.json["answers"], before.json["store"]["readable"]) == (3, False, False)
    assert (after.code, after.json["ready"], after.json["store"]["readable"], after.json["queued"]) == (3, False, True, 0)
    assert "does not answer" in shell("status", "-c", config).out
