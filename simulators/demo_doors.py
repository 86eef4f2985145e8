"""The demo's doors as its flows use them: an account over HTTP and its WebSocket, a phone over the simulator's API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp

Json = dict[str, Any]
FINAL_STATES = frozenset({"delivered", "failed", "expired"})
WAIT_S = 30


class FlowFailed(Exception):
    """A flow did not do what it promises; the text says what was seen instead."""


def expect(is_true: bool, text: str) -> None:
    """Raise FlowFailed with `text` unless it is true."""
    if not is_true:
        raise FlowFailed(text)


class Account:
    """One messenger account, logged in."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, number: int, token: str) -> None:
        self.number = number
        self._session = session
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    async def log_in(cls, session: aiohttp.ClientSession, base_url: str, number: int, password: str) -> Account:
        body = {"account": str(number), "password": password}
        async with session.post(f"{base_url}/chat/api/login", json=body) as response:
            return cls(session, base_url, number, (await _read(response))["token"])

    async def send(self, to: str, text: str) -> Json:
        """Say something over the JSON API; its id, segments and price."""
        url, body = f"{self._base_url}/chat/api/messages", {"to": to, "text": text}
        async with self._session.post(url, json=body, headers=self._headers) as response:
            sent: Json = await _read(response)
        return sent

    async def final(self, im_message_id: str) -> Json:
        """A message once its state is final."""
        url = f"{self._base_url}/chat/api/messages/{im_message_id}"
        message: Json = {}
        while message.get("state") not in FINAL_STATES:
            async with self._session.get(url, params={"wait": WAIT_S}, headers=self._headers) as response:
                message = await _read(response)
        return message

    async def history(self, *, since: str, wait_s: int = 0) -> list[Json]:
        """What came after an id; with `wait_s`, not before there is something."""
        params = {"since": since, "wait": str(wait_s)}
        async with self._session.get(f"{self._base_url}/chat/api/messages", params=params, headers=self._headers) as response:
            messages: list[Json] = (await _read(response))["messages"]
        return messages

    async def incoming(self, text: str, *, since: str) -> Json:
        """A message that somebody says to the account, once it is there."""
        while True:
            for message in await self.history(since=since, wait_s=WAIT_S):
                if message["direction"] == "in":
                    expect(message["text"] == text, "another text than the phone wrote came into the chat")
                    return message
                since = message["id"]

    async def last_id(self) -> str:
        """The id of the newest message in the account's history."""
        async with self._session.get(f"{self._base_url}/chat/api/messages", params={"limit": "1"}, headers=self._headers) as response:
            messages = (await _read(response))["messages"]
        return str(messages[-1]["id"]) if messages else "0"

    async def open(self) -> Window:
        """A WebSocket that is told of everything from now on."""
        window = Window(await self._session.ws_connect(f"{self._base_url}/chat/ws", headers=self._headers))
        await window.until(lambda frame: frame["type"] == "hello")
        return window


class Window:
    """An open chat window."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._seen: list[Json] = []

    async def send(self, to: str, text: str, client_id: str) -> Json:
        """Say something; the `sent` frame that answers."""
        await self._socket.send_json({"type": "send", "to": to, "text": text, "client_id": client_id})
        return await self.until(lambda frame: frame["type"] == "sent" and frame["client_id"] == client_id)

    async def final(self, im_message_id: str) -> Json:
        """The status frame that ends a message."""
        return await self.until(lambda frame: frame["type"] == "status" and frame["id"] == im_message_id and frame["state"] in FINAL_STATES)

    async def until(self, matches: Callable[[Json], bool]) -> Json:
        """The first frame that matches, among those that came and those to come."""
        for place, known in enumerate(self._seen):
            if matches(known):
                return self._seen.pop(place)
        while True:
            raw = await self._socket.receive()
            expect(raw.type is aiohttp.WSMsgType.TEXT, "the gateway closed the chat window")
            frame: Json = raw.json()
            expect(frame["type"] != "error", f"the chat refused: {frame.get('text', '')}")
            if matches(frame):
                return frame
            self._seen.append(frame)

    async def close(self) -> None:
        await self._socket.close()


class Phone:
    """One virtual phone of the SMSC simulator."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, number: str) -> None:
        self.number = number
        self._session = session
        self._url = f"{base_url}/api/phones/{number.removeprefix('+')}/messages"

    async def received(self, text: str) -> Json:
        """The newest message that holds this text, once it is there and whole."""
        async with self._session.get(self._url, params={"contains": text, "wait": WAIT_S}) as response:
            messages = await _read(response)
        found: Json = messages[-1]
        return found

    async def all(self) -> list[Json]:
        """Every message it has, in both directions, growing ones too."""
        async with self._session.get(self._url, params={"direction": "all", "incomplete": "true"}) as response:
            messages: list[Json] = await _read(response)
        return messages

    async def write(self, to: str, text: str) -> Json:
        """Its owner writes."""
        async with self._session.post(self._url, json={"to": to, "text": text}) as response:
            message: Json = await _read(response)
        return message


async def _read(response: aiohttp.ClientResponse) -> Any:
    body = await response.json(content_type=None)
    if not response.ok:
        raise FlowFailed(f"{response.method} {response.url.path} answered {response.status}: {body.get('detail') or body.get('title')}")
    return body
