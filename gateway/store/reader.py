"""Reading connections: functions run on pool threads and see what is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, exc

from gateway.domain.failure import StoreUnavailable
from gateway.world import Executor

Result = TypeVar("Result")


class StoreReader:
    """Runs reads off the loop."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self._engine = engine
        self._executor = executor

    async def read(self, fn: Callable[..., Result], *args: object) -> Result:
        """Run `fn(conn, *args)` on a read-only connection; raises StoreUnavailable when the store cannot be read."""
        try:
            return await self._executor.run(self._read, fn, args)
        except exc.DBAPIError as error:
            raise StoreUnavailable("the store cannot be read at the moment; try again later") from error

    def _read(self, fn: Callable[..., Result], args: tuple[object, ...]) -> Result:
        with self._engine.connect() as conn:
            return fn(conn, *args)
