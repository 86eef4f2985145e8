"""A house with nothing but the chat in it, over real HTTP and a real store, and users who drive it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.connectors.embedded import EmbeddedConnector, Messenger
from gateway.real_world import RealWorld
from gateway.services.redeeming import Redeeming
from gateway.web.chat import add_routes
from tests.support.im import PASSWORD, RecordingInbox, limits
from tests.support.store import opened_store

Json = dict[str, Any]
Client = TestClient[web.Request, web.Application]


class User:
    """One account, by the JSON API and one WebSocket at a time."""

    def __init__(self, client: Client, number: str, token: str) -> None:
        self.client = client
        self.number = number
        self.token = token
        self.headers = {"Authorization": f"Bearer {token}"}
        self.hello: Json = {}

    async def get(self, path: str, **query: str) -> Json:
        async with self.client.get(f"/chat/api/{path}", headers=self.headers, params=query) as response:
            return {"http": response.status} | await response.json()

    async def post(self, path: str, body: object) -> Json:
        async with self.client.post(f"/chat/api/{path}", headers=self.headers, json=body) as response:
            return {"http": response.status} | await response.json()

    async def open(self) -> ClientWebSocketResponse:
        """A window that is told of everything from now on."""
        socket = await self.client.ws_connect("/chat/ws", headers=self.headers)
        self.hello = await frame(socket, "hello")
        return socket


class House:
    """The chat on an app of its own, with its connector started."""

    def __init__(self, client: Client, messenger: Messenger, connector: EmbeddedConnector, inbox: RecordingInbox) -> None:
        self.client = client
        self.messenger = messenger
        self.connector = connector
        self.inbox = inbox

    async def user(self, nick: str = "Ann") -> User:
        async with self.client.post("/chat/api/register", json={"nick": nick, "password": PASSWORD}) as response:
            assert response.status == 201, await response.text()
            body = await response.json()
        return User(self.client, body["account"], body["token"])

    async def friends(self) -> tuple[User, User]:
        ann, ben = await self.user("Ann"), await self.user("Ben")
        await ann.post("contacts", {"peer": ben.number})
        await ben.post("contacts", {"peer": ann.number, "action": "accept"})
        return ann, ben


class Builder:
    """Builds houses with the limits a test asks for."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder

    async def __call__(self, **changes: object) -> House:
        world = RealWorld()
        self._stack.push_async_callback(world.close)
        store = await self._stack.enter_async_context(opened_store(world, self._folder))
        messenger = Messenger(world, store.writer, store.reader, limits(**changes))
        connector, inbox = EmbeddedConnector(world, messenger), RecordingInbox(world, store.writer)
        await connector.start(inbox)
        app = web.Application()
        add_routes(app, messenger, Redeeming(world, store.writer))
        client = await self._stack.enter_async_context(TestClient(TestServer(app)))
        return House(client, messenger, connector, inbox)


async def frame(socket: ClientWebSocketResponse, kind: str) -> Json:
    """The next frame of a kind; others on the way are passed over."""
    while True:
        body: Json = await asyncio.wait_for(socket.receive_json(), 5)
        if body["type"] == kind:
            return body


async def closing(socket: ClientWebSocketResponse) -> int | None:
    """The code the gateway closes the window with."""
    async with asyncio.timeout(30):
        while (message := await socket.receive()).type is WSMsgType.TEXT:
            pass
    return int(message.data) if message.type is WSMsgType.CLOSE else None
