"""The chat's WebSocket, over real HTTP and a real store: one rule a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import WSServerHandshakeError

from gateway.domain.message import State
from tests.integration.connector_contract import chat, status
from tests.support.chat import Builder, House, closing, frame
from tests.support.im import PHONE


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Builder]:
    async with AsyncExitStack() as stack:
        yield Builder(stack, tmp_path)


@pytest.fixture
async def house(build: Builder) -> House:
    return await build()


# -- the window -------------------------------------------------------------------------------------------------------


async def test_a_window_opens_with_who_and_whom(house: House):
    ann, ben = await house.friends()

    await ann.open()

    assert (ann.hello["account"], ann.hello["nick"]) == (ann.number, "Ann")
    assert [contact["peer"] for contact in ann.hello["contacts"]] == [ben.number]


async def test_a_window_sends_and_sees_every_tick(house: House):
    ann = await house.user()
    socket = await ann.open()

    await socket.send_json({"type": "send", "to": PHONE, "text": "hi", "client_id": "c1"})
    sent = await frame(socket, "sent")
    im_message_id = int(sent["message"]["id"])
    for state in (State.SUBMITTED, State.DELIVERED):
        await house.connector.deliver([status(int(ann.number), im_message_id, state)])
    ticks = [await frame(socket, "status"), await frame(socket, "status")]

    assert (sent["client_id"], sent["price_minor"]) == ("c1", 10)
    assert [(tick["id"], tick["state"]) for tick in ticks] == [(str(im_message_id), "submitted"), (str(im_message_id), "delivered")]


async def test_all_windows_of_an_account_see_what_one_of_them_says(house: House):
    ann = await house.user()
    first, second = await ann.open(), await ann.open()

    await first.send_json({"type": "send", "to": PHONE, "text": "hi", "client_id": "c1"})

    assert (await frame(second, "message"))["message"]["client_id"] == "c1"


async def test_a_window_that_returns_asks_for_what_it_missed(house: House):
    ann = await house.user()
    sent = await ann.post("messages", {"to": PHONE, "text": "before"})
    await house.connector.deliver([chat(int(ann.number), f"missed {number}", origin_id=number) for number in range(3)])
    socket = await ann.open()

    await socket.send_json({"type": "sync", "since": sent["id"]})
    missed = await frame(socket, "sync")

    assert [message["text"] for message in missed["messages"]] == ["missed 0", "missed 1", "missed 2"]
    assert missed["more"] is False


async def test_a_long_absence_is_made_up_in_pages(build: Builder):
    house = await build(history_page_max=2)
    ann = await house.user()
    await house.connector.deliver([chat(int(ann.number), f"m{number}", origin_id=number) for number in range(5)])
    socket = await ann.open()
    texts, since, has_more = [], "0", True

    while has_more:
        await socket.send_json({"type": "sync", "since": since})
        page = await frame(socket, "sync")
        texts += [message["text"] for message in page["messages"]]
        since, has_more = page["messages"][-1]["id"], page["more"]

    assert texts == ["m0", "m1", "m2", "m3", "m4"]


async def test_earlier_lines_of_a_thread_come_on_request(build: Builder):
    house = await build(history_page_max=2)
    ann = await house.user()
    await house.connector.deliver([chat(int(ann.number), f"m{number}", origin_id=number) for number in range(5)])
    socket = await ann.open()
    await socket.send_json({"type": "sync"})
    latest = await frame(socket, "sync")

    await socket.send_json({"type": "history", "peer": PHONE, "before": latest["messages"][0]["id"]})
    earlier = await frame(socket, "history")

    assert [message["text"] for message in latest["messages"]] == ["m3", "m4"]
    assert [message["text"] for message in earlier["messages"]] == ["m1", "m2"]
    assert (latest["more"], earlier["more"]) == (True, True)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "nonsense",
        "[]",
        "[" * 5_000,
        '{"type": 5}',
        '{"type": "shout"}',
        '{"type": "send"}',
        '{"type": "send", "to": ["+86"], "text": {}}',
        '{"type": "sync", "since": "x"}',
        '{"type": "sync", "since": true}',
        '{"type": "presence", "presence": "dancing"}',
        '{"type": "friend_block", "peer": "99999"}',
        '{"type": "friend_ask", "peer": "99999"}',
    ],
)
async def test_a_bad_frame_is_answered_and_the_window_stays_open(house: House, raw: str):
    ann = await house.user()
    socket = await ann.open()

    await socket.send_str(raw)
    assert (await frame(socket, "error"))["reason"]
    await socket.send_json({"type": "sync"})

    assert (await frame(socket, "sync"))["messages"] == []


async def test_a_refused_message_is_named_by_its_client_id(house: House):
    ann = await house.user()
    socket = await ann.open()

    await socket.send_json({"type": "send", "to": "10999", "text": "hi", "client_id": "c7"})
    error = await frame(socket, "error")

    assert (error["about"], error["client_id"], error["reason"], error["field"]) == ("send", "c7", "not_friends", "to")


async def test_a_frame_too_large_closes_the_window(house: House):
    ann = await house.user()
    socket = await ann.open()

    await socket.send_str("x" * 17_000)

    assert await closing(socket) == 1009


async def test_too_many_frames_close_the_window(build: Builder):
    house = await build(frames_burst=3)
    ann = await house.user()
    socket = await ann.open()

    for _ in range(10):
        await socket.send_json({"type": "sync"})

    assert (await frame(socket, "error"))["reason"] == "throttled"
    assert await closing(socket) == 1008


async def test_an_account_opens_only_so_many_windows(build: Builder):
    house = await build(sockets_per_account_max=2)
    ann = await house.user()
    first = await ann.open()
    await ann.open()

    with pytest.raises(WSServerHandshakeError) as refused:
        await ann.open()
    await first.close()
    async with asyncio.timeout(5):
        while house.messenger.windows_open == 2:  # the gateway has yet to see it close
            await asyncio.sleep(0)
    await ann.open()

    assert refused.value.status == 429
    assert house.messenger.windows_open == 2


@pytest.mark.parametrize("origin", [None, "https://elsewhere.example", "null", "http://127.0.0.1:1"])
async def test_a_window_by_cookie_must_come_from_our_own_page(house: House, origin: str | None):
    await house.user()  # leaves its cookie in the client
    headers = {} if origin is None else {"Origin": origin}

    with pytest.raises(WSServerHandshakeError) as refused:
        await house.client.ws_connect("/chat/ws", headers=headers)

    assert refused.value.status == 403


async def test_a_window_by_cookie_opens_from_our_own_page(house: House):
    await house.user()

    socket = await house.client.ws_connect("/chat/ws", headers={"Origin": str(house.client.make_url("/")).rstrip("/")})

    assert (await frame(socket, "hello"))["nick"] == "Ann"


async def test_a_window_that_does_not_keep_up_is_closed(build: Builder):
    house = await build(frames_queued_max=5)
    ann = await house.user()
    socket = await ann.open()

    await house.connector.deliver([chat(int(ann.number), f"m{number}", origin_id=number) for number in range(50)])

    assert await closing(socket) == 1013


async def test_a_gateway_that_stops_says_goodbye(house: House):
    ann = await house.user()
    socket = await ann.open()

    await house.connector.stop()

    assert (await frame(socket, "bye"))["reason"] == "stopping"
    assert await closing(socket) == 1001


async def test_friends_see_each_other_come_leave_and_return(house: House):
    ann, ben = await house.friends()
    socket = await ann.open()

    bens = await ben.open()
    came = await frame(socket, "presence")
    await bens.send_json({"type": "presence", "presence": "away"})
    left_desk = await frame(socket, "presence")
    await bens.close()
    went = await frame(socket, "presence")

    assert [seen["presence"] for seen in (came, left_desk, went)] == ["online", "away", "offline"]
    assert came["peer"] == ben.number


async def test_a_request_and_its_answer_are_told_at_once(house: House):
    ann, ben = await house.user("Ann"), await house.user("Ben")
    anns, bens = await ann.open(), await ben.open()

    await anns.send_json({"type": "friend_add", "peer": ben.number, "alias": "Benny"})
    asked = await frame(bens, "friend")
    waiting = await frame(anns, "friend")
    await bens.send_json({"type": "friend_accept", "peer": ann.number})
    accepted = await frame(anns, "friend")

    assert (asked["contact"]["relation"], asked["contact"]["nick"]) == ("asked", "Ann")
    assert (waiting["contact"]["relation"], waiting["contact"]["alias"]) == ("waiting", "Benny")
    assert (accepted["contact"]["relation"], accepted["contact"]["presence"]) == ("friend", "online")


async def test_a_removed_friend_is_gone_on_both_sides(house: House):
    ann, ben = await house.friends()
    socket = await ben.open()

    await ann.post("contacts", {"peer": ben.number, "action": "remove"})

    assert (await frame(socket, "friend_gone"))["peer"] == ann.number
    assert (await ben.get("contacts"))["contacts"] == []
