"""Why somebody was charged, by command and over HTTP, beside a running gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.commands import Shell
from tests.support.desk import done, get, key_of, post, sent
from tests.support.running import Running, running_gateway


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_gateway(tmp_path_factory.mktemp("desk")) as found:
        yield found


def test_a_charge_is_explained_with_its_price_and_its_receipt_and_never_its_words(shell: Shell, running: Running):
    charge = sent(shell, running, "explained", "+8613900001111")

    told = shell("billing", "why", "partner:explained", "-c", running.config)
    (found,) = shell("billing", "why", "--charge", charge, "--json", "-c", running.config).json["charges"]

    assert (told.code, "secret" in told.out) == (0, False)
    assert "partner:explained: 1 charge; 0.10 CNY paid" in told.out
    assert "1 x 0.10 CNY, PER_PART" in told.out
    assert (found["id"], found["state"], found["amount"], found["paid_minor"]) == (charge, "captured", "0.10 CNY", 10)
    assert [(part["state"], part["link"], part["error"]) for part in found["evidence"]["parts"]] == [("delivered", "sim", "000")]
    assert found["smsc_message_ids"] == found["evidence"]["parts"][0]["smsc_id"]


def test_a_number_that_paid_nothing_is_told_so(shell: Shell, running: Running):
    told = shell("billing", "why", "+8613999999999", "-c", running.config)

    assert (told.code, told.out) == (0, "+8613999999999: nothing was charged\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "WHOM: give a number or a party"),
        (("nobody",), 2, "WHOM: "),
        (("--charge", "x"), 2, "--charge: 'x' is no id of a charge"),
        (("--charge", "256"), 3, "there is no charge 256"),
        (("im:1", "--from", "2026-13"), 2, "--from: there is no month 2026-13"),
    ],
)
def test_what_cannot_be_asked_is_one_line(shell: Shell, running: Running, arguments: tuple[str, ...], code: int, words: str):
    refused = shell("billing", "why", *arguments, "-c", running.config)

    assert (refused.code, refused.out, refused.err.count("\n")) == (code, "", 1)
    assert refused.err.startswith(f"error: {words}")


def test_the_staff_asks_over_http_what_the_command_tells(shell: Shell, running: Running):
    charge = sent(shell, running, "asked", "+8613900002222")
    key = key_of(shell, running, "ann", "read")

    status, found = get(running, f"/charges/{charge}", key)
    listed = get(running, "/charges", key, party="partner:asked")
    checked = get(running, "/check", key)

    assert status == 200
    assert [found] == shell("billing", "why", "--charge", charge, "--json", "-c", running.config).json["charges"]
    assert listed == (200, {"charges": [found]})
    assert checked == (200, {"clean": True, "violations": []})


def test_who_is_not_of_the_staff_or_not_any_more_learns_nothing(shell: Shell, running: Running):
    partner = shell("partner", "add", "stranger", "--json", "-c", running.config).json["api_key"]
    member = key_of(shell, running, "leaver", "act")
    before = get(running, "/check", member)
    shell("billing", "staff", "disable", "leaver", "-c", running.config)

    answers = [get(running, "/check", key) for key in ("", "wrong", partner, member)]

    assert before[0] == 200
    assert [(status, answer["reason"]) for status, answer in answers] == [(401, "unauthorized")] * 4


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "msisdn"),
        ({"msisdn": "+8613900001111", "party": "im:1"}, "msisdn"),
        ({"msisdn": "abc"}, "msisdn"),
        ({"party": "nobody"}, "party"),
        ({"party": "im:1", "since": "2026-02-30"}, "since"),
        ({"party": "im:1", "limit": "0"}, "limit"),
        ({"party": "im:1", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_question_names_its_field(shell: Shell, running: Running, query: dict[str, str], field: str):
    key = key_of(shell, running, f"asks-{len(query)}-{'-'.join(query.values()).replace('+', '')}"[:60], "read")

    status, answer = get(running, "/charges", key, **query)

    assert (status, answer["field"]) == (400, field)


def test_every_change_of_the_staff_is_in_the_audit_log(shell: Shell, running: Running):
    key = key_of(shell, running, "watcher", "read")
    shell("billing", "staff", "key", "watcher", "--as", "boss", "-c", running.config)

    _, refused = get(running, "/audit", key, subject="staff:watcher")
    fresh = key_of(shell, running, "reader", "read")
    _, found = get(running, "/audit", fresh, subject="staff:watcher")

    assert refused["reason"] == "unauthorized"
    assert [(act["actor"], act["act"]) for act in found["acts"]] == [("chief", "staff.add"), ("boss", "staff.key")]


def test_a_refund_is_given_once_and_never_above_what_was_captured(shell: Shell, running: Running):
    charge = sent(shell, running, "refunded", "+8613900003333")
    key = key_of(shell, running, "clerk", "act")
    wanted = {"amount": "0.04", "reason": "dispute", "reference": "case-1"}

    first, again = (post(running, f"/charges/{charge}/refunds", key, **wanted) for _ in range(2))
    other = post(running, f"/charges/{charge}/refunds", key, **{**wanted, "amount": "0.05"})
    above = post(running, f"/charges/{charge}/refunds", key, amount="0.07", reason="dispute", reference="case-2")
    rest = post(running, f"/charges/{charge}/refunds", key, reason="dispute", reference="case-3")

    assert (first[0], first[1]["refunded_minor"], first[1]["remaining_minor"], first[1]["is_new"]) == (200, 4, 6, True)
    assert (again[0], again[1]["correction_ids"], again[1]["is_new"]) == (200, first[1]["correction_ids"], False)
    assert (other[0], other[1]["reason"]) == (409, "key_reused")
    assert (above[0], above[1]["field"]) == (409, "amount")
    assert "0.06 CNY" in above[1]["detail"]
    assert (rest[0], rest[1]["refunded_minor"], rest[1]["remaining_minor"]) == (200, 6, 0)
    _, told = get(running, f"/charges/{charge}", key)
    assert (told["paid_minor"], [each["record_type"] for each in told["corrections"]]) == (0, ["REFUND", "REFUND"])
    assert get(running, "/check", key)[1]["clean"]


def test_who_may_only_read_changes_nothing(shell: Shell, running: Running):
    charge = sent(shell, running, "guarded", "+8613900003333")
    key = key_of(shell, running, "onlooker", "read")

    refused = post(running, f"/charges/{charge}/refunds", key, reason="dispute", reference="no-1")

    assert (refused[0], refused[1]["reason"]) == (403, "not_allowed")
    assert get(running, f"/charges/{charge}", key)[1]["corrections"] == []


def test_what_is_above_the_limit_waits_for_a_second_person(shell: Shell, running: Running):
    charge = sent(shell, running, "generous", "+8613900003333")
    asks, decides = key_of(shell, running, "asker", "act", "approve"), key_of(shell, running, "decider", "approve")

    asked = post(running, f"/charges/{charge}/goodwill", asks, amount="250", reason="courtesy", reference="big-1")
    approval = asked[1]["approval_id"]
    own = post(running, f"/approvals/{approval}/approve", asks)
    waiting = get(running, "/approvals", decides)[1]["approvals"]
    approved = post(running, f"/approvals/{approval}/approve", decides)
    again = post(running, f"/approvals/{approval}/approve", decides)

    assert (asked[0], asked[1]["correction_id"]) == (200, None)
    assert (own[0], "your own" in own[1]["detail"]) == (409, True)
    assert [(each["id"], each["requested_by"]) for each in waiting] == [(approval, "asker")]
    assert (approved[0], approved[1]["state"], approved[1]["decided_by"]) == (200, "approved", "decider")
    assert again[0] == 409
    (given,) = get(running, f"/charges/{charge}", decides)[1]["corrections"]
    assert (given["record_type"], given["amount_minor"]) == ("GOODWILL", -25_000)


def test_a_wallet_is_topped_up_once_per_reference(shell: Shell, running: Running):
    shell("partner", "add", "topped", "-c", running.config)
    key = key_of(shell, running, "cashier", "act")

    first, again = (post(running, "/accounts/partner:topped/top-ups", key, amount="12.50", reference="bank-1") for _ in range(2))
    nobody = post(running, "/accounts/partner:nobody/top-ups", key, amount="1", reference="bank-2")
    below = post(running, "/accounts/partner:topped/top-ups", key, amount="-1", reference="bank-3")

    assert (first[1]["available_minor"], first[1]["is_new"], again[1]["available_minor"], again[1]["is_new"]) == (1250, True, 1250, False)
    assert (nobody[0], below[0], below[1]["field"]) == (404, 400, "amount")
    assert get(running, "/accounts/partner:topped", key)[1]["wallets"][0]["free_minor"] == 1250


def test_a_month_is_closed_and_exported_as_jobs(shell: Shell, running: Running):
    sent(shell, running, "closed", "+8613900003333")
    key = key_of(shell, running, "closer", "act")

    closing = post(running, "/periods/close", key, period="2026-01")
    closed = done(running, closing[1], key)
    exported = done(running, post(running, "/exports", key, period="2026-01")[1], key)
    too_early = done(running, post(running, "/periods/close", key, period="2999-01")[1], key)

    assert (closing[0], closed["state"], closed["answer"]["state"], closed["by"]) == (202, "done", "closed", "closer")
    assert (exported["state"], exported["error"]) == ("done", "")
    assert list((running.config.parent / "charges").glob("*.manifest.json"))
    assert (too_early["state"], "is not over yet" in too_early["error"]) == ("failed", True)
    assert get(running, "/periods/default/2026-01", key)[1]["closed_by"] == "closer"
