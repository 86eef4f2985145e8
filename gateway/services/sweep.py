"""What time alone brings about: segments become due, validity periods end, missing parts are given up, queues are counted.

Each round reads a bounded page on a reading connection and hands what is due to the writer's operations.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection

from gateway.domain.failure import StoreUnavailable
from gateway.domain.message import State
from gateway.services.dispatch import Dispatch
from gateway.services.ports import Reader
from gateway.services.receive import Received, Receiving
from gateway.sms.reassembly import PartKey
from gateway.store import messages, mo, queues, receipts
from gateway.store.writer import StoreWriter
from gateway.world import World

PAGE = 500
TICK_S = 1.0


class Limits(NamedTuple):
    """How often, and how long things wait."""

    interval_s: float = 5.0
    receipt_grace_s: float = 3_600.0
    mo_parts_timeout_s: float = 3_600.0
    mo_parts_kept_s: float = 86_400.0


class Sweep:
    """The one periodic task of the services."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        reader: Reader,
        dispatch: Dispatch,
        receiving: Receiving,
        *,
        limits: Limits,
        received: Callable[[Received], None],
        counted: Callable[[int, int], None],
    ) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._dispatch = dispatch
        self._receiving = receiving
        self._limits = limits
        self._received = received
        self._counted = counted

    async def run(self) -> None:
        """Sweep, for ever."""
        next_s = self._world.clock.monotonic()
        while True:
            # The store may fail under a round; what was due is still due in the next.
            with contextlib.suppress(StoreUnavailable):
                await self._dispatch.tick()
                if self._writer.is_healthy and self._world.clock.monotonic() >= next_s:
                    next_s = self._world.clock.monotonic() + self._limits.interval_s
                    await self.sweep()
            await asyncio.sleep(TICK_S)

    async def sweep(self) -> None:
        """One round."""
        now_us = self._world.clock.now_us()
        grace_us = int(self._limits.receipt_grace_s * 1e6)
        for flight in await self._reader.read(messages.overdue, now_us, grace_us, PAGE):
            self._dispatch.end(flight, State.EXPIRED, "validity period over")
        await self._release_partials(now_us)
        queued, parked = await self._reader.read(_counts, now_us)
        self._counted(queued, parked)

    async def _release_partials(self, now_us: int) -> None:
        before = now_us - int(self._limits.mo_parts_timeout_s * 1e6)
        for key in await self._reader.read(mo.keys_waiting_since, before, PAGE):
            await self._release(key)
        await self._writer.run(mo.forget_joined_parts, now_us - int(self._limits.mo_parts_kept_s * 1e6))

    async def _release(self, key: PartKey) -> None:
        clock = self._world.clock
        ids = self._world.next_id(), self._world.next_id()
        received = await self._writer.run(self._receiving.release_partial, key, *ids, clock.now_us(), clock.monotonic())
        if received is not None:
            self._received(received)


def _counts(conn: Connection, now_us: int) -> tuple[int, int]:
    return queues.count_queued(conn, now_us), receipts.count_parked(conn)
