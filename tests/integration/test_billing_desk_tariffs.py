"""Tariffs, what they did not price, and subscriptions, at the desk beside a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.domain import credentials
from gateway.store import staff
from gateway.store.engine import open_writing
from tests.support.commands import Shell
from tests.support.desk import done, get, key_of, page, post, sent
from tests.support.running import Running, running_gateway

TARIFF = """
plan = "main"
from = "2020-01-01T00:00:00Z"

[[rules]]
name = "premium"
model = "per_message"
price = "{price}"
service = "premium"
"""
CHAT = '\n[[rules]]\nname = "chat"\nmodel = "per_message"\nprice = "0.30"\nservice = "chat"\n'
OFFERS = """
[[offers]]
name = "news"
service = "chat"
short_code = "10661700"
keyword = "NEWS"
price = 600

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


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_gateway(tmp_path_factory.mktemp("tariffs"), {"BELLHOP__BILLING__UNRATED": "suspend"}, more=OFFERS) as found:
        yield found


def keys(shell: Shell, running: Running, name: str) -> tuple[str, str]:
    """Who acts, and who approves."""
    return key_of(shell, running, f"{name}-acts", "act"), key_of(shell, running, f"{name}-decides", "approve")


def approved(running: Running, acts: str, decides: str, toml: str) -> str:
    """A tariff that holds now, alone."""
    for each in get(running, "/tariffs", acts)[1]["tariffs"]:
        post(running, f"/tariffs/{each['version']}/retire", decides)
    name = str(post(running, "/tariffs", acts, toml=toml)[1]["version"])
    status, found = post(running, f"/tariffs/{name}/approve", decides, now=True)
    assert (status, found["state"]) == (200, "approved")
    return name


def test_a_tariff_is_drafted_by_one_and_approved_by_another(shell: Shell, running: Running):
    acts, decides = keys(shell, running, "draft")
    both = key_of(shell, running, "draft-both", "act", "approve")
    text = TARIFF.format(price="1.25").replace("2020", "2099")

    looked_at = post(running, "/tariffs/check", acts, toml=text)
    first, again = (post(running, "/tariffs", both, toml=text) for _ in range(2))
    name = first[1]["version"]
    without_right = post(running, f"/tariffs/{name}/approve", acts)
    own = post(running, f"/tariffs/{name}/approve", both)
    by_other = post(running, f"/tariffs/{name}/approve", decides)
    twice = post(running, f"/tariffs/{name}/approve", decides)
    shown, as_toml = get(running, f"/tariffs/{name}", acts), page(running, f"/tariffs/{name}/toml", acts)
    gone = post(running, f"/tariffs/{name}/retire", decides)

    assert looked_at == (200, {"plan": "main", "rules": 1, "from": "2099-01-01T00:00:00+00:00", "to": None})
    assert (first[0], first[1]["state"], again) == (200, "draft", first)
    assert (without_right[0], own[0], "another person" in own[1]["detail"]) == (403, 409, True)
    assert (by_other[0], by_other[1]["state"], by_other[1]["approved_by"]) == (200, "approved", "draft-decides")
    assert (twice[0], "already" in twice[1]["detail"]) == (409, True)
    assert [(each["name"], each["price_minor"]) for each in shown[1]["rules"]] == [("premium", 125)]
    assert (as_toml[:2], 'price = "1.25"' in as_toml[2]) == ((200, "application/toml"), True)
    assert (gone[0], gone[1]["state"]) == (200, "retired")


def test_two_tariffs_are_compared_before_one_is_approved(shell: Shell, running: Running):
    acts, decides = keys(shell, running, "diff")
    name = approved(running, acts, decides, TARIFF.format(price="1.50"))

    status, found = post(running, "/tariffs/diff", acts, before=name, toml=TARIFF.format(price="2.00"), to=["+8613900001111"])

    assert status == 200
    assert [(each["rule"], each["kind"]) for each in found["changes"]] == [("premium", "changed")]
    assert [(each["number"], each["before"], each["after"]) for each in found["prices"]] == [("8613900001111", "1.50 CNY", "2.00 CNY")]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/tariffs", {"toml": 'plan = "main"'}, 400, "toml"),
        ("/tariffs", {"toml": TARIFF.format(price="-1")}, 400, "toml"),
        ("/tariffs", {}, 400, "toml"),
        ("/tariffs/check", {"toml": "plan ="}, 400, "toml"),
        ("/tariffs/diff", {"before": "main"}, 400, "after"),
        ("/tariffs/diff", {"before": "main", "after": "main/1"}, 400, "before"),
        ("/tariffs/diff", {"before": "main/777", "after": "main/1"}, 404, "before"),
        ("/suspense/recycle", {"events": ["x"]}, 400, "events"),
        ("/suspense/777/discard", {}, 400, "reason"),
        ("/rerates", {"period": "2026-10", "tariff": "main"}, 400, "tariff"),
        ("/rerates/dry-run", {"tariff": "main/1"}, 400, "period"),
        ("/subscriptions", {"offer": "news", "evidence": "x"}, 400, "msisdn"),
        ("/subscriptions", {"offer": "news", "msisdn": "13", "evidence": "x"}, 400, "msisdn"),
        ("/subscriptions/777/cancel", {"reason": ""}, 400, "reason"),
        ("/subscriptions/777/cancel", {"reason": "x"}, 404, "id"),
        ("/subscriptions/x/resume", {"reason": "x"}, 404, "id"),
        ("/subscriptions/777/refused", {"cycle": "2026-13", "code": "x"}, 400, "cycle"),
    ],
)
def test_what_is_asked_wrongly_names_its_field(running: Running, clerk: str, path: str, body: dict[str, Any], status: int, field: str):
    answer = post(running, path, clerk, **body)

    assert (answer[0], answer[1]["field"]) == (status, field)


@pytest.fixture(scope="module")
def clerk(running: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    key = "k" * 40
    engine = open_writing(f"sqlite:///{running.config.parent / 'bellhop.db'}", synchronous="OFF")
    with engine.begin() as conn:
        staff.add(conn, staff.Member("clerk", credentials.hash_of_api_key(key), frozenset({staff.Scope.ACT})), 1)
    engine.dispose()
    return key


def test_a_wrong_line_of_a_tariff_is_told_with_its_place(running: Running, clerk: str):
    _, refused = post(running, "/tariffs/check", clerk, toml=TARIFF.format(price="free"))

    assert refused["detail"].startswith("toml:7: rules[0].price: ")


def test_what_no_rule_prices_is_listed_and_charged_once_the_tariff_is_mended(shell: Shell, running: Running):
    acts, decides = keys(shell, running, "mended")
    approved(running, acts, decides, TARIFF.format(price="1.50"))
    charge = sent(shell, running, "unpriced", "+8613900004444")

    waiting = [each for each in get(running, "/suspense", acts)[1]["suspended"] if each["event_id"] == charge]
    unpriced = done(running, post(running, "/suspense/recycle", acts, events=[charge])[1], acts)
    approved(running, acts, decides, TARIFF.format(price="1.50") + CHAT)
    priced = done(running, post(running, "/suspense/recycle", acts, events=[charge])[1], acts)
    too_late = post(running, f"/suspense/{charge}/discard", acts, reason="never mind")

    assert [(each["service"], each["state"]) for each in waiting] == [("chat", "open")]
    assert (unpriced["answer"]["charged"], [each["event_id"] for each in unpriced["answer"]["waiting"]]) == (0, [charge])
    assert priced["answer"] == {"charged": 1, "waiting": []}
    assert get(running, f"/charges/{charge}", acts)[1]["amount"] == "0.30 CNY"
    assert (too_late[0], "is not suspended" in too_late[1]["detail"]) == (409, True)


def test_what_is_never_charged_is_discarded_with_a_reason(shell: Shell, running: Running):
    acts, decides = keys(shell, running, "discard")
    approved(running, acts, decides, TARIFF.format(price="1.50"))
    charge = sent(shell, running, "discarded", "+8613900004444")

    given_up = post(running, f"/suspense/{charge}/discard", acts, reason="test traffic")

    assert given_up == (200, {"event_id": charge, "state": "discarded"})
    assert charge not in [each["event_id"] for each in get(running, "/suspense", acts)[1]["suspended"]]


def test_a_month_is_priced_anew_after_a_second_person_agrees(shell: Shell, running: Running):
    acts, decides = keys(shell, running, "anew")
    both = key_of(shell, running, "anew-both", "act", "approve")
    approved(running, acts, decides, TARIFF.format(price="1.50") + CHAT)
    charge = sent(shell, running, "repriced", "+8613900005555")
    period = get(running, f"/charges/{charge}", acts)[1]["period"]
    better = post(running, "/tariffs", acts, toml=TARIFF.format(price="1.50") + CHAT.replace("0.30", "0.20"))[1]["version"]
    wanted = {"period": period, "tariff": better}

    looked_at = done(running, post(running, "/rerates/dry-run", acts, **wanted)[1], acts)["answer"]
    run = done(running, post(running, "/rerates", both, **wanted)[1], acts)["answer"]
    refused = done(running, post(running, f"/rerates/{run['id']}/approve", both)[1], acts)
    without_right = post(running, f"/rerates/{run['id']}/approve", acts)
    agreed = done(running, post(running, f"/rerates/{run['id']}/approve", decides)[1], acts)["answer"]

    assert [each["after_minor"] for each in looked_at["differences"] if each["charge_id"] == charge] == [20]
    assert looked_at["count"] >= 1
    assert (refused["state"], "another person" in refused["error"]) == ("failed", True)
    assert (without_right[0], agreed["state"]) == (403, "done")
    assert agreed["corrected"] >= 1
    assert [each["state"] for each in get(running, "/rerates", acts)[1]["runs"] if each["id"] == run["id"]] == ["done"]
    told = get(running, f"/charges/{charge}", acts)[1]
    assert sorted(each["record_type"] for each in told["corrections"]) == ["RERATE", "REVERSAL"]
    assert post(running, "/rerates/777/refuse", decides)[0] == 404


def test_the_staff_starts_shows_and_ends_a_subscription(shell: Shell, running: Running):
    acts, _ = keys(shell, running, "subs")
    wanted = {"offer": "news", "msisdn": "+8613900006666", "evidence": "form 4711"}

    first, again = (post(running, "/subscriptions", acts, **wanted) for _ in range(2))
    place = f"/subscriptions/{first[1]['id']}"
    listed = get(running, "/subscriptions", acts, msisdn="+8613900006666", status="active")[1]["subscriptions"]
    not_suspended = post(running, f"{place}/resume", acts, reason="why not")
    ended, once_more = (post(running, f"{place}/cancel", acts, reason="asked by phone") for _ in range(2))
    _, shown = get(running, place, acts)

    assert (first[0], first[1]["is_new"], again[1]["is_new"], again[1]["id"]) == (200, True, False, first[1]["id"])
    assert [each["id"] for each in listed] == [first[1]["id"]]
    assert (not_suspended[0], "only a suspended one" in not_suspended[1]["detail"]) == (409, True)
    assert (ended[1]["status"], ended[1]["cancelled_via"], ended[1]["is_new"], once_more[1]["is_new"]) == (
        "cancelled",
        "staff",
        True,
        False,
    )
    assert [(each["step"], each["reference"], each["said"]) for each in shown["evidence"]][-1] == ("cancel", "subs-acts", "asked by phone")
    assert shown == {**shell("billing", "subscription", "show", first[1]["id"], "--json", "-c", running.config).json}
    _, log = get(running, "/audit", acts, subject=f"subscription:{first[1]['id']}")
    assert [(act["act"], act["actor"]) for act in log["acts"]] == [
        ("subscription.start", "subs-acts"),
        ("subscription.cancel", "subs-acts"),
    ]
    assert "13900006666" not in str(log)


def test_a_subscription_that_the_staff_suspends_is_charged_again_only_when_it_is_resumed(shell: Shell, running: Running):
    acts, _ = keys(shell, running, "pause")
    begun = post(running, "/subscriptions", acts, offer="news", msisdn="+8613900007777", evidence="form 1")[1]
    place = f"/subscriptions/{begun['id']}"

    stopped, again = (post(running, f"{place}/suspend", acts, reason="phone is stolen") for _ in range(2))
    resumed = shell(
        "billing", "subscription", "resume", begun["id"], "--reason", "found", "--as", "ann", "--json", "-c", running.config
    ).json
    post(running, f"{place}/cancel", acts, reason="enough")
    over = post(running, f"{place}/suspend", acts, reason="too late")

    assert (stopped[1]["status"], stopped[1]["next_charge_at"], stopped[1]["is_new"]) == ("suspended", None, True)
    assert (again[0], again[1]["is_new"]) == (200, False)
    assert (resumed["status"], resumed["next_charge_at"]) == ("active", begun["next_charge_at"])
    assert (over[0], "is cancelled" in over[1]["detail"]) == (409, True)


def test_an_offer_is_paid_by_whom_it_says(shell: Shell, running: Running):
    acts, _ = keys(shell, running, "payer")

    by_phone = post(running, "/subscriptions", acts, offer="game", msisdn="+8613900006666", evidence="x")
    no_wallet = post(running, "/subscriptions", acts, offer="game", account="10001", evidence="x")

    assert (by_phone[0], by_phone[1]["detail"]) == (409, "an account pays for game")
    assert (no_wallet[0], "has no wallet" in no_wallet[1]["detail"]) == (409, True)


def test_who_may_only_read_changes_no_tariff_and_no_subscription(shell: Shell, running: Running):
    key = key_of(shell, running, "reads-only", "read")
    bodies: dict[str, dict[str, Any]] = {
        "/tariffs": {"toml": TARIFF.format(price="1")},
        "/tariffs/main/1/approve": {},
        "/tariffs/main/1/retire": {},
        "/suspense/recycle": {},
        "/suspense/777/discard": {"reason": "x"},
        "/rerates": {"period": "2026-10", "tariff": "main/1"},
        "/rerates/777/approve": {},
        "/rerates/777/refuse": {},
        "/rerates/777/resume": {},
        "/subscriptions": {"offer": "news", "msisdn": "+8613900006666", "evidence": "x"},
        "/subscriptions/777/cancel": {"reason": "x"},
        "/subscriptions/777/suspend": {"reason": "x"},
        "/subscriptions/777/resume": {"reason": "x"},
        "/subscriptions/777/refused": {"cycle": "2026-10", "code": "x"},
    }

    answers = {path: post(running, path, key, **body) for path, body in bodies.items()}

    assert {path: (status, answer["reason"]) for path, (status, answer) in answers.items()} == dict.fromkeys(bodies, (403, "not_allowed"))
    assert get(running, "/tariffs", key)[0] == 200


def test_the_api_description_names_every_form_and_page(running: Running):
    async def ask() -> Any:
        async with ClientSession() as http, http.get(f"{running.url}/v1/openapi.json") as response:
            return await response.json()

    paths = asyncio.run(ask())["paths"]

    form = paths["/v1/billing/carrier-files"]["post"]["requestBody"]["content"]
    assert list(form) == ["multipart/form-data"]
    assert list(paths["/v1/billing/settlements/{id}/statement.html"]["get"]["responses"]["200"]["content"]) == ["text/html"]
