"""Why somebody was charged, by command and over HTTP, beside a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import ClientSession

from tests.support.commands import Shell
from tests.support.running import Running, running_gateway


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_gateway(tmp_path_factory.mktemp("desk")) as found:
        yield found


def sent(shell: Shell, running: Running, partner: str, to: str) -> str:
    key = shell("partner", "add", partner, "--credit", 1000, "--json", "-c", running.config).json["api_key"]
    words = ("--text", "a secret word", "--key", key, "--url", running.url, "--wait", "20", "--json")
    return str(shell("send", "--to", to, *words).json["id"])


def key_of(shell: Shell, running: Running, name: str, *may: str) -> str:
    scopes = [word for each in may for word in ("--may", each)]
    return str(shell("billing", "staff", "add", name, *scopes, "--as", "chief", "--json", "-c", running.config).json["api_key"])


def get(running: Running, path: str, key: str = "", **query: str) -> tuple[int, dict[str, object]]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def ask() -> tuple[int, dict[str, object]]:
        async with ClientSession() as http, http.get(f"{running.url}/v1/billing{path}", headers=headers, params=query) as response:
            return response.status, await response.json(content_type=None)

    return asyncio.run(ask())


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
        (("im:1", "--from", "2026-13"), 2, "--from, --to: there is no month 2026-13"),
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
    assert [(act["actor"], act["act"]) for act in found["acts"]] == [("chief", "staff.add"), ("boss", "staff.key")]  # type: ignore[attr-defined]
