"""A real store in a folder of the test, with the gateway's own writer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Engine

from gateway.store.engine import open_reading, open_writing
from gateway.store.writer import StoreWriter
from gateway.world import World
from tests.support.engines import store_url

Result = TypeVar("Result")


class ReaderInPool:
    """Reads on the executor's pool, each in a transaction of its own."""

    def __init__(self, engine: Engine, world: World) -> None:
        self._engine = engine
        self._world = world

    async def read(self, fn: Callable[..., Result], *args: Any) -> Result:
        def work() -> Result:
            with self._engine.begin() as conn:
                return fn(conn, *args)

        return await self._world.executor.run(work)


class Store(NamedTuple):
    """Both doors to one database."""

    writer: StoreWriter
    reader: ReaderInPool


@asynccontextmanager
async def opened_store(world: World, folder: Path, engine_name: str = "sqlite") -> AsyncIterator[Store]:
    """An empty store, open until the block ends."""
    with store_url(engine_name, folder) as url:
        # Durability is not what these tests are about, and a disk shared by many of them is slow to flush.
        writing, reading = open_writing(url, synchronous="OFF"), open_reading(url)
        writer = StoreWriter(writing, world.executor, world.clock, node=0, observe=lambda _seconds, _items: None)
        await writer.open()
        try:
            yield Store(writer, ReaderInPool(reading, world))
        finally:
            await writer.close()
            writing.dispose()
            reading.dispose()
