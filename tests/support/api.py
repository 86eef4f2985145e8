"""The gateway behind its HTTP door: real store, real services, a real socket, and a link that only takes what it is given."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Connection, func, select

from billing import book
from gateway.domain.conversation import Plan
from gateway.domain.message import Flight, UnknownOutcome
from gateway.domain.pacing import Pace
from gateway.real_world import RealWorld
from gateway.services.catalogue import Catalogue, Service, ShortCode
from gateway.services.dispatch import Dispatch
from gateway.services.dispatch import Limits as LaneLimits
from gateway.services.outcome import Outcome
from gateway.services.recall import Recall
from gateway.services.reception import Reception
from gateway.services.redeeming import Redeeming
from gateway.store import partners
from gateway.store.engine import open_reading, open_writing
from gateway.store.partners import Partner
from gateway.store.reader import StoreReader
from gateway.store.schema import message, metadata
from gateway.store.writer import StoreWriter
from gateway.web import openapi, problem
from gateway.web.limits import Limits
from gateway.web.ops import Check, checks_of
from gateway.web.server import make_app, serve

TO = "+8613900000001"
MESSAGE = {"to": TO, "text": "hello"}
DAY_US = 86_400_000_000


class TakingLink:
    """A carrier's link as dispatch sees it."""

    name = "sim"
    window_free = 1000
    window_max = 1000
    is_up = True

    def __init__(self) -> None:
        self.flights: list[Flight] = []

    def send(self, flight: Flight) -> bool:
        self.flights.append(flight)
        return True


@dataclass
class House:
    """The gateway behind its HTTP door."""

    writer: StoreWriter
    reader: StoreReader
    dispatch: Dispatch
    reception: Reception
    link: TakingLink
    http: aiohttp.ClientSession
    links_up: dict[str, bool]
    observed: list[tuple[str, int]]

    async def post(self, body: Any, key: str = "acme-key", **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
        async with self.http.post("/v1/messages", data=data, headers=sent) as response:
            return response.status, checked(response, await response.read())

    async def ask(self, method: str, path: str, body: Any = None, key: str = "acme-key") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        async with self.http.request(method, path, json=body, headers=headers) as response:
            return response.status, checked(response, await response.read())

    async def until_sent(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.link.flights) < count:
                await asyncio.sleep(0.005)

    async def get(self, path: str, key: str = "acme-key") -> tuple[int, Any]:
        async with self.http.get(path, headers={"Authorization": f"Bearer {key}"}) as response:
            return response.status, checked(response, await response.read())

    async def count(self) -> int:
        return await self.reader.read(lambda conn: int(conn.execute(select(func.count()).select_from(message)).scalar_one()))


def checked(response: aiohttp.ClientResponse, body: bytes) -> Any:
    """The JSON of an answer, held against the model that the OpenAPI document gives for it."""
    found = json.loads(body)
    if response.status >= 400:
        assert response.content_type == problem.MEDIA_TYPE
        openapi.Problem.model_validate(found)
        assert found["status"] == response.status
        assert response.status < 500 or response.status == 503
    elif response.url.path == "/v1/vouchers":
        openapi.Brought.model_validate(found)
    elif response.method == "POST":
        (openapi.AcceptedBatch if "messages" in found else openapi.Accepted).model_validate(found)
    else:
        models = {"/v1/messages": openapi.Message, "/v1/balance": openapi.Balance, "/readyz": openapi.Readiness}
        next(model for path, model in models.items() if response.url.path.startswith(path)).model_validate(found)
    return found


def catalogue_of(revenue: int) -> Catalogue:
    chat = Service("chat", 10, "CNY", True, UnknownOutcome.RESEND, DAY_US, 3, "1", "flat", 2)
    own = ShortCode("10661700", "chat", False, Plan("10661700"), "")
    foreign = ShortCode("10669999", "chat", False, Plan("10669999"), "umbrella")
    codes = {code.number: code for code in (own, foreign)}
    return Catalogue({"chat": chat, "notice": chat._replace(name="notice", unit_price_minor=0)}, codes, "chat", "10661700", revenue, ())


def furnish(conn: Connection, world: RealWorld) -> int:
    revenue = book.ensure_house(conn, "CNY", new_id=world.next_id, now_us=1).revenue
    for name, credit in (("acme", 1000), ("poor", 5)):
        wallet = book.open_account(conn, world.next_id(), f"partner:{name}", "CNY", True, 1)
        book.top_up(conn, wallet, credit, name, world.next_id(), 1)
        key_hash = hashlib.sha256(f"{name}-key".encode()).hexdigest()
        partners.add(conn, Partner(world.next_id(), name, None, key_hash, wallet, True), 1)
    return revenue


LIMITS = Limits(body_bytes_max=100_000)


@asynccontextmanager
async def opened_house(folder: Path, limits: Limits = LIMITS) -> AsyncIterator[House]:
    """A gateway on the store in a folder, new or found there, until the block ends."""
    world = RealWorld()
    url = f"sqlite:///{folder / 'bellhop.db'}"
    writing, reading = open_writing(url, synchronous="OFF"), open_reading(url)
    metadata.create_all(writing)
    writer = StoreWriter(writing, world.executor, world.clock, node=0, observe=lambda _seconds, _items: None)
    await writer.open()
    reader = StoreReader(reading, world.executor)
    revenue = await reader.read(book.find_account, "house:revenue:CNY") or await writer.run(furnish, world)
    catalogue = catalogue_of(revenue)
    dispatch = Dispatch(world, writer, reader, catalogue, limits=LaneLimits(), noticed=lambda _: None, sent=lambda *_: None)
    link = TakingLink()
    dispatch.add_link(link, Pace(0, 0)).is_unread = False
    reception = Reception(world, writer, dispatch, catalogue, backlog_max=100, accepted=lambda *_: None)
    recall = Recall(world, writer, reader, dispatch, reception, outcome=Outcome(), noticed=lambda _: None, counted=lambda *_: None)
    links_up = {"sim": True}

    def checks() -> list[Check]:
        return checks_of(writer, is_started=True, links=links_up)

    observed: list[tuple[str, int]] = []
    app = make_app(
        world, reception, reader, recall, Redeeming(world, writer), checks=checks, metrics=lambda: b"bellhop_up 1\n", limits=limits,
        observe=lambda route, status, _seconds: observed.append((route, status)),
    )  # fmt: skip
    listener = await serve(world, app, "127.0.0.1", 0, limits)
    http = aiohttp.ClientSession(f"http://127.0.0.1:{listener.port}")
    try:
        yield House(writer, reader, dispatch, reception, link, http, links_up, observed)
    finally:
        await http.close()
        listener.close()
        await listener.wait_closed()
        await writer.close()
        await world.close()
        writing.dispose()
        reading.dispose()
