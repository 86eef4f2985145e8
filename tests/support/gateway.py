"""The real gateway on free ports, its store in a folder, and a carrier beside it: the SMSC simulator, or any port given."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, select

from billing import book
from billing.schema import charge
from gateway.app import Gateway
from gateway.domain.ids import EPOCH_US, IdMaker
from gateway.domain.message import State
from gateway.real_world import RealWorld
from gateway.settings import Backlog, Service, Settings, ShortCode, Store, Web
from gateway.settings_smpp import Link, SmppServer
from gateway.store.engine import migrate, open_writing
from gateway.store.partners import Partner, add
from gateway.store.schema import message, mo, outbox, parked_receipt, segment
from gateway.telemetry import Metrics
from simulators.esme import Esme
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from tests.support.wire import HOST, Wire

PARTNER, PASSWORD = "acme", "pass1"
PARTNER_CODE, CHAT_CODE = "10661800", "10661700"
CREDIT = 100_000
CREDITS = {"poor": 5, "some": 25}
LOOK_S = 0.005
# Partners that are there from the start, with what is special about them.
PARTNERS: dict[str, dict[str, Any]] = {
    PARTNER: {},
    "other": {},
    "closed": {"is_enabled": False},
    "webonly": {"smpp_password_hash": None},
    "poor": {},
    "some": {},
}


class House:
    """What a test of the running gateway needs at hand."""

    def __init__(self, world: RealWorld, gateway: Gateway, smsc: Smsc | None) -> None:
        self.world = world
        self.gateway = gateway
        self._smsc = smsc
        self._wires: list[Wire] = []
        self._esmes: list[Esme] = []

    @property
    def smsc(self) -> Smsc:
        assert self._smsc is not None, "this house has a carrier of its own"
        return self._smsc

    @property
    def port(self) -> int:
        return self.gateway.smpp_server.port

    async def wire(self) -> Wire:
        """A raw connection to the partners' door."""
        wire = await Wire.connect(self.port)
        self._wires.append(wire)
        return wire

    async def bound(self, *args: int, **fields: object) -> Wire:
        wire = await self.wire()
        await wire.bind(*args, **fields)
        return wire

    async def esme(self, **options: Any) -> Esme:
        """A partner over our own session."""
        esme = await Esme.connect(self.world, HOST, self.port, **{"system_id": PARTNER, "password": PASSWORD, **options})
        self._esmes.append(esme)
        return esme

    async def until(self, is_true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait for something that only traffic can make true."""
        async with asyncio.timeout(timeout_s):
            while not is_true():
                await asyncio.sleep(LOOK_S)

    async def until_link(self) -> None:
        await self.until(lambda: self.gateway.links[0].is_up)

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await self.gateway.reader.read(fn, *args)

    async def rows(self, query: Any) -> list[Any]:
        return list(await self.read(lambda conn: conn.execute(query).all()))

    async def until_rows(self, query: Any, is_true: Callable[[list[Any]], bool], timeout_s: float = 30.0) -> list[Any]:
        """Wait until what a query finds is as it should be."""
        async with asyncio.timeout(timeout_s):
            while not is_true(found := await self.rows(query)):
                await asyncio.sleep(LOOK_S)
        return found

    async def messages(self) -> list[Any]:
        return await self.rows(select(message).order_by(message.c.id))

    async def until_messages(self, count: int) -> list[Any]:
        return await self.until_rows(select(message).order_by(message.c.id), lambda rows: len(rows) == count)

    async def segments(self) -> list[Any]:
        return await self.rows(select(segment).order_by(segment.c.id))

    async def until_states(self, *states: State, timeout_s: float = 30.0) -> list[Any]:
        """Wait until the segments, in order, are in these states."""
        wanted = [int(state) for state in states]
        query = select(segment).order_by(segment.c.id)
        return await self.until_rows(query, lambda rows: [row.state for row in rows] == wanted, timeout_s)

    async def charges(self) -> list[Any]:
        return await self.rows(select(charge).order_by(charge.c.id))

    async def until_outbox_done(self, count: int) -> list[Any]:
        """Wait until so many outbox rows are done with."""
        query = select(outbox).order_by(outbox.c.id)
        return await self.until_rows(query, lambda rows: len(rows) == count and all(row.done_at is not None for row in rows))

    async def until_outbox_rows(self, count: int) -> list[Any]:
        return await self.until_rows(select(outbox).order_by(outbox.c.id), lambda rows: len(rows) == count)

    async def until_rows_done(self, count: int) -> None:
        """Wait until so many outbox rows are done with, of however many there are."""
        await self.until_rows(select(outbox).where(outbox.c.done_at.is_not(None)), lambda rows: len(rows) == count)

    async def outbox(self) -> list[Any]:
        return await self.rows(select(outbox).order_by(outbox.c.id))

    async def mos(self) -> list[Any]:
        return await self.rows(select(mo).order_by(mo.c.id))

    async def until_mos(self, count: int) -> list[Any]:
        return await self.until_rows(select(mo).order_by(mo.c.id), lambda rows: len(rows) == count)

    async def parked(self) -> list[Any]:
        return await self.rows(select(parked_receipt).order_by(parked_receipt.c.id))


def furnish(conn: Connection, ids: IdMaker) -> None:
    """The house, and the partners with their credit."""

    def next_id() -> int:
        return ids.next_id(EPOCH_US)

    book.ensure_house(conn, "CNY", new_id=next_id, now_us=1)
    for name, special in PARTNERS.items():
        wallet = book.open_account(conn, next_id(), f"partner:{name}", "CNY", True, 1)
        book.top_up(conn, wallet, CREDITS.get(name, CREDIT), name, next_id(), 1)
        # A cheap check of passwords goes with this: the "hash" is the password itself.
        partner = {"smpp_password_hash": PASSWORD, "api_key_hash": None, "is_enabled": True, **special}
        add(conn, Partner(id=next_id(), name=name, wallet=wallet, **partner), 1)


@cache
def _furnished() -> bytes:
    """A store with house and partners in it; made once, for it takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bellhop.db"
        engine = open_writing(f"sqlite:///{file}", synchronous="OFF")
        migrate(engine)
        with engine.begin() as conn:
            furnish(conn, IdMaker(node=31))
        with engine.connect() as conn:
            conn.exec_driver_sql("COMMIT")
            conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
        return file.read_bytes()


def is_password(password_hash: str, password: str) -> bool:
    return password_hash == password


def settings_of(folder: Path, carrier_port: int, door: dict[str, Any], link: dict[str, Any], backlog_max: int) -> Settings:
    return Settings(
        store=Store(url=f"sqlite:///{folder / 'bellhop.db'}", durability="normal"),
        web=Web(host=HOST, port=0),
        smpp_server=SmppServer(host=HOST, port=0, **door),
        links=(
            Link(
                **{
                    "name": "sim",
                    "host": HOST,
                    "port": carrier_port,
                    "system_id": "bellhop",
                    "password": SecretStr("secret8"),
                    "window": 100,
                    "backoff_s_min": 0.02,
                    "backoff_s_max": 0.2,
                    "unbound_wait_s": 0.02,
                    **link,
                }
            ),
        ),
        services=(
            Service(name="chat", price=10, unknown_outcome="resend"),
            Service(name="premium", price=100, unknown_outcome="hold"),
            Service(name="notice", price=0, unknown_outcome="drop"),
        ),
        short_codes=(
            ShortCode(number=PARTNER_CODE, service="chat", partner=PARTNER),
            ShortCode(number=CHAT_CODE, service="chat"),
        ),
        backlog=Backlog(messages_max=backlog_max),
    )


@asynccontextmanager
async def opened_gateway(
    folder: Path,
    *,
    carrier_port: int | None = None,
    smsc: dict[str, Any] | None = None,
    door: dict[str, Any] | None = None,
    link: dict[str, Any] | None = None,
    backlog_max: int = 1_000_000,
    more: dict[str, Any] | None = None,
    change: Callable[[Settings], Settings] = lambda settings: settings,
    operator_token: str | None = None,
    reread: Callable[[], Settings] | None = None,
) -> AsyncIterator[House]:
    """A running gateway; the same folder again is a restart. `door`, `link`, `more` and `change` change settings, `smsc` the simulator."""
    world = RealWorld()
    simulator: Smsc | None = None
    if carrier_port is None:
        simulator = Smsc(world, SmscConfig(**{"host": HOST, "port": 0, "receipt_delay_ms": 1, "retry_delay_ms": 10, **(smsc or {})}))
        await simulator.start()
        carrier_port = simulator.port
    settings = change(settings_of(folder, carrier_port, door or {}, link or {}, backlog_max).model_copy(update=more or {}))
    if not (folder / "bellhop.db").exists():
        (folder / "bellhop.db").write_bytes(_furnished())
    gateway = Gateway(settings, world, check_password=is_password, metrics=Metrics(), operator_token=operator_token, reread=reread)
    await gateway.start()
    house = House(world, gateway, simulator)
    try:
        if simulator is not None:
            await house.until_link()
        yield house
    finally:
        for wire in house._wires:
            wire.reset()
        for esme in house._esmes:
            esme.abort()
        await gateway.stop()
        if simulator is not None:
            await simulator.stop(grace_s=0.2)
        await world.close()
