"""The chat's JSON API and page, over real HTTP and a real store: one rule a test."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.domain.failure import Kind, Refused
from gateway.domain.message import State
from tests.integration.connector_contract import chat, status
from tests.support.chat import Builder, House, Json, closing, frame
from tests.support.im import PASSWORD, PHONE


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Builder]:
    async with AsyncExitStack() as stack:
        yield Builder(stack, tmp_path)


@pytest.fixture
async def house(build: Builder) -> House:
    return await build()


# -- registering and logging in ---------------------------------------------------------------------------------------


async def test_an_account_is_opened_and_logged_in(house: House):
    ann = await house.user()

    assert ann.number == "10001"
    assert await ann.get("me") == {"http": 200, "account": "10001", "nick": "Ann"}


async def test_logging_in_opens_another_session(house: House):
    ann = await house.user()

    again = await ann.post("login", {"account": ann.number, "password": PASSWORD})

    assert again["http"] == 200
    assert again["token"] != ann.token


async def test_a_page_gets_a_cookie_no_script_can_read_and_no_token(house: House):
    ann = await house.user()

    body = {"account": int(ann.number), "password": PASSWORD, "cookie_only": True}
    async with house.client.post("/chat/api/login", json=body) as response:
        cookie = response.cookies["bellhop_chat"]
        assert await response.json() == {"account": "10001", "nick": "Ann"}

    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/chat")


@pytest.mark.parametrize("body", [{"account": "10001", "password": "wrong wrong"}, {"account": 99_999, "password": PASSWORD}])
async def test_a_wrong_number_and_a_wrong_password_are_told_alike(house: House, body: Json):
    ann = await house.user()

    refused = await ann.post("login", body)

    assert (refused["http"], refused["reason"], refused["detail"]) == (401, "unauthorized", "the account number or the password is wrong")


async def test_guessing_passwords_is_slowed_down(build: Builder):
    house = await build(logins_burst=2)
    ann = await house.user()
    guess = {"account": ann.number, "password": "wrong wrong"}

    answers = [(await ann.post("login", guess))["http"] for _ in range(3)]

    assert answers == [401, 401, 429]


async def test_logging_in_rightly_costs_no_attempt(build: Builder):
    house = await build(logins_burst=1)
    ann = await house.user()

    answers = [(await ann.post("login", {"account": ann.number, "password": PASSWORD}))["http"] for _ in range(3)]

    assert answers == [200, 200, 200]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"nick": "", "password": PASSWORD}, "nick"),
        ({"nick": "x" * 33, "password": PASSWORD}, "nick"),
        ({"nick": "a\u0000b", "password": PASSWORD}, "nick"),
        ({"nick": 7, "password": PASSWORD}, "nick"),
        ({"nick": "Ann", "password": "short"}, "password"),
        ({"nick": "Ann", "password": "x" * 129}, "password"),
        ({"nick": "Ann"}, "password"),
    ],
)
async def test_a_bad_registration_names_its_field(house: House, body: Json, field: str):
    async with house.client.post("/chat/api/register", json=body) as response:
        assert response.status in {400, 422}
        assert response.content_type == "application/problem+json"
        assert (await response.json())["field"] == field


async def test_registration_can_be_closed(build: Builder):
    house = await build(is_registration_open=False)

    async with house.client.post("/chat/api/register", json={"nick": "Ann", "password": PASSWORD}) as response:
        assert response.status == 403


async def test_logging_out_ends_the_session_and_its_windows(house: House):
    ann = await house.user()
    socket = await ann.open()

    await ann.post("logout", {})

    assert (await frame(socket, "bye"))["reason"] == "logged_out"
    assert await closing(socket) == 1008
    assert (await ann.get("me"))["http"] == 401


@pytest.mark.parametrize("path", ["me", "contacts", "messages", "messages/1"])
async def test_nothing_is_shown_to_strangers(house: House, path: str):
    async with house.client.get(f"/chat/api/{path}", headers={"Authorization": "Bearer nonsense"}) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 5_000, b'{"to": "\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_answered_400(house: House, raw: bytes):
    ann = await house.user()
    headers = ann.headers | {"Content-Type": "application/json"}

    async with house.client.post("/chat/api/messages", headers=headers, data=raw) as response:
        assert (response.status, (await response.json())["reason"]) == (400, "bad_json")


async def test_a_form_of_another_page_is_refused(house: House):
    ann = await house.user()

    async with house.client.post("/chat/api/messages", headers=ann.headers, data={"to": PHONE, "text": "hi"}) as form:
        assert form.status == 415
    headers = ann.headers | {"Origin": "https://elsewhere.example"}
    async with house.client.post("/chat/api/messages", headers=headers, json={"to": PHONE, "text": "hi"}) as foreign:
        assert foreign.status == 403


async def test_a_body_too_large_is_answered_413(house: House):
    ann = await house.user()

    assert (await ann.post("messages", {"to": PHONE, "text": "x" * 20_000}))["http"] == 413


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": "nobody"}, "to"),
        ({"to": "+12"}, "to"),
        ({"to": "13912345678901234567890"}, "to"),
        ({"to": None}, "to"),
        ({"text": ""}, "text"),
        ({"text": "x" * 2_001}, "text"),
        ({"text": "a\u0000b"}, "text"),
        ({"text": 5}, "text"),
        ({"client_id": "x" * 65}, "client_id"),
        ({"client_id": "with space"}, "client_id"),
    ],
)
async def test_a_bad_message_names_its_field(house: House, changes: Json, field: str):
    ann = await house.user()

    refused = await ann.post("messages", {"to": PHONE, "text": "hi"} | changes)

    assert refused["http"] in {400, 422}
    assert refused["field"] == field


@pytest.mark.parametrize("query", [{"since": "-1"}, {"since": "9" * 19}, {"since": "x"}, {"wait": "nan"}, {"wait": "1e9"}, {"peer": "?"}])
async def test_a_bad_query_is_refused(house: House, query: dict[str, str]):
    ann = await house.user()

    assert (await ann.get("messages", **query))["http"] in {400, 422}


# -- contacts ---------------------------------------------------------------------------------------------------------


async def test_a_phone_is_added_in_canonical_form(house: House):
    ann = await house.user()

    added = await ann.post("contacts", {"peer": "+86 139-1234-5678", "alias": "Mum", "short_code": "1066"})

    expected = {
        "peer": PHONE,
        "kind": "phone",
        "alias": "Mum",
        "nick": "",
        "relation": "friend",
        "short_code": "1066",
        "presence": "offline",
    }
    assert (added["http"], added["contact"]) == (201, expected)
    assert (await ann.get("contacts"))["contacts"] == [expected]


async def test_who_is_no_friend_sees_no_presence(house: House):
    ann, ben = await house.user("Ann"), await house.user("Ben")
    await ann.post("contacts", {"peer": ben.number})
    await ben.open()

    listed = (await ann.get("contacts"))["contacts"]

    assert [(contact["relation"], contact["presence"]) for contact in listed] == [("waiting", "offline")]


async def test_an_unknown_action_is_refused(house: House):
    ann = await house.user()

    assert (await ann.post("contacts", {"peer": PHONE, "action": "befriend"}))["field"] == "action"


# -- messages ---------------------------------------------------------------------------------------------------------


async def test_a_message_to_a_phone_is_accepted_with_its_price(house: House):
    ann = await house.user()

    sent = await ann.post("messages", {"to": PHONE, "text": "你好", "client_id": "c1"})

    assert (sent["http"], sent["price_minor"], sent["currency"], sent["segments"]) == (202, 10, "CNY", 1)
    assert (sent["message"]["state"], sent["message"]["text"], sent["id"]) == ("accepted", "你好", sent["message"]["id"])


async def test_what_the_gateway_refuses_is_told_with_its_reason(house: House):
    ann = await house.user()
    house.inbox.refusal = Refused("no_credit", "your credit is used up")

    refused = await ann.post("messages", {"to": PHONE, "text": "hi"})

    assert (refused["http"], refused["reason"], refused["detail"], refused["retry"]) == (402, "no_credit", "your credit is used up", False)


async def test_what_may_be_tried_again_says_so(house: House):
    ann = await house.user()
    house.inbox.refusal = Refused("unavailable", "later", kind=Kind.TEMPORARY)

    async with house.client.post("/chat/api/messages", headers=ann.headers, json={"to": PHONE, "text": "hi"}) as response:
        assert (response.status, response.headers["Retry-After"], (await response.json())["retry"]) == (503, "2", True)


async def test_friends_talk_without_sms(house: House):
    ann, ben = await house.friends()
    socket = await ben.open()

    sent = await ann.post("messages", {"to": ben.number, "text": "hi", "client_id": "c1"})
    heard = await frame(socket, "message")

    assert (sent["message"]["state"], sent["price_minor"]) == ("delivered", 0)
    assert (heard["message"]["peer"], heard["message"]["direction"], heard["message"]["text"]) == (ann.number, "in", "hi")
    assert house.inbox.taken == []


async def test_strangers_and_the_blocked_cannot_write(house: House):
    ann, ben = await house.friends()
    cat = await house.user("Cat")
    await ben.post("contacts", {"peer": ann.number, "action": "block"})

    of_stranger = await cat.post("messages", {"to": ben.number, "text": "hi"})
    of_blocked = await ann.post("messages", {"to": ben.number, "text": "hi"})
    to_blocked = await ben.post("messages", {"to": ann.number, "text": "hi"})

    assert [(said["http"], said["reason"]) for said in (of_stranger, of_blocked, to_blocked)] == [
        (403, "not_friends"),
        (403, "not_friends"),
        (403, "blocked"),
    ]


async def test_one_account_cannot_read_anothers_history(house: House):
    ann, ben = await house.user("Ann"), await house.user("Ben")
    sent = await ann.post("messages", {"to": PHONE, "text": "secret"})

    assert (await ben.get(f"messages/{sent['id']}"))["http"] == 404
    assert (await ben.get("messages"))["messages"] == []


async def test_a_poll_waits_for_what_a_phone_says(house: House):
    ann = await house.user()
    poll = asyncio.create_task(ann.get("messages", peer=PHONE, since="0", wait="5"))

    while not await house.connector.deliver([chat(int(ann.number), "hello from a phone", origin_id=1)]):
        pass
    found = await poll

    assert [(message["text"], message["direction"]) for message in found["messages"]] == [("hello from a phone", "in")]


async def test_a_poll_ends_empty_when_nothing_comes(house: House):
    ann = await house.user()

    assert await ann.get("messages", wait="0.05") == {"http": 200, "messages": [], "more": False}


async def test_a_poll_for_one_message_waits_for_its_final_state(house: House):
    ann = await house.user()
    sent = await ann.post("messages", {"to": PHONE, "text": "hi"})
    poll = asyncio.create_task(ann.get(f"messages/{sent['id']}", wait="5"))

    await house.connector.deliver([status(int(ann.number), int(sent["id"]), State.SUBMITTED)])
    await house.connector.deliver([status(int(ann.number), int(sent["id"]), State.FAILED, "UNDELIV")])
    found = await poll

    assert (found["state"], found["reason"]) == ("failed", "UNDELIV")


async def test_too_many_messages_at_once_are_slowed_down(build: Builder):
    house = await build(messages_burst=2)
    ann = await house.user()

    answers = [(await ann.post("messages", {"to": PHONE, "text": "hi"}))["http"] for _ in range(3)]

    assert answers == [202, 202, 429]


# -- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/chat", "text/html"),
        ("/chat/chat.js", "text/javascript"),
        ("/chat/view.js", "text/javascript"),
        ("/chat/text.js", "text/javascript"),
        ("/chat/chat.css", "text/css"),
    ],
)
async def test_the_page_comes_with_a_policy_that_forbids_inline_script(house: House, path: str, content_type: str):
    async with house.client.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
        etag = response.headers["ETag"]
        assert (response.status, response.content_type) == (200, content_type)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with house.client.get(path, headers={"If-None-Match": etag}) as again:
        assert again.status == 304

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_has_no_inline_script_or_style_and_sets_no_markup():
    pages = Path(__file__).parents[2] / "gateway" / "web" / "pages"
    html = (pages / "chat.html").read_text()
    scripts = "".join((pages / name).read_text() for name in ("chat.js", "view.js", "text.js"))

    assert re.findall(r"\son\w+=|\sstyle=|<style|<script(?![^>]* src=)", html) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", scripts) == []
