"""The one writer: what gathers while a commit is under way shares the next one.

Bulk operations get all the items that gathered for them in one call; single calls run in a savepoint each. Each transaction also
moves a mark on disk, so that after a commit that failed in the middle (disk full, I/O error) the writer reopens the store, reads
the mark, and knows whether it happened. Until it can write again it refuses new work at once and keeps what must not be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, exc, insert, select

from billing import bulk
from gateway.domain.failure import StoreUnavailable
from gateway.store.batch import (
    Batch,
    Bulk,
    Call,
    Group,
    Item,
    Outcome,
    Result,
    answer,
    is_of_the_store,
    perform,
    rank_of,
    refuse,
    resolver,
)
from gateway.store.schema import writer_mark
from gateway.world import Clock, Executor

PROBE_INTERVAL_S = 0.25
# PostgreSQL: its sessions with this lock are the one writer of a node. What a killed gateway left running there is waited for.
_LOCK = "SELECT pg_advisory_lock(1113943148, %s)"
_MARK = bulk.update_of(writer_mark, "node", "batch")


class StoreWriter:
    """Owns the writing connection, which lives on the executor's writer thread."""

    def __init__(
        self,
        engine: Engine,
        executor: Executor,
        clock: Clock,
        *,
        node: int,
        observe: Callable[[float, int], None],
        changed: Callable[[bool, str], None] | None = None,
        items_max: int = 20_000,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._clock = clock
        self._node = node
        self._observe = observe
        self._changed = changed
        self._items_max = items_max
        self._groups: dict[Bulk[Any, Any], Group] = {}
        self._calls: list[Call] = []
        self._pending = 0
        self._is_busy = False
        self._is_scheduled = False
        self._is_closed = False
        self._healthy = True
        self._failure = ""
        self._number = 0
        self._connection: Connection | None = None
        self._in_doubt: Outcome | None = None  # of the last batch whose statements all ran
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()

    @property
    def is_healthy(self) -> bool:
        """Whether the last transaction could be written."""
        return self._healthy

    @property
    def failure(self) -> str:
        """Why not, in the engine's words."""
        return self._failure

    @property
    def pending(self) -> int:
        """Items waiting for their commit to begin."""
        return self._pending

    async def open(self) -> None:
        """Open the connection and read the mark; raises what the engine raises."""
        self._number = await self._on_writer_thread(self._open)

    async def close(self) -> None:
        """Commit what is pending, then close; what a store that failed has not taken is left to the next start."""
        self._is_closed = True
        if self._healthy:
            await self._idle.wait()
        await self._on_writer_thread(self._disconnect)

    def put(self, bulk: Bulk[Item, Result], item: Item, done: Callable[[Result | None, BaseException | None], None]) -> None:
        """Queue one item; `done(result, error)` is called on the loop once its transaction is on disk, or has failed."""
        if (not self._healthy or self._pending >= self._items_max) and not bulk.is_kept:
            asyncio.get_running_loop().call_soon(done, None, StoreUnavailable())
            return
        group = self._groups.get(bulk)
        if group is None:
            group = self._groups[bulk] = Group(bulk, [], [])
        group.items.append(item)
        group.dones.append(done)
        self._pending += 1
        if not (self._is_scheduled or self._is_busy):
            self._schedule()

    async def run(self, fn: Callable[..., Result], *args: Any) -> Result:
        """Run `fn(conn, *args)` in a savepoint of the next transaction and return its result once that is on disk."""
        if not self._healthy or self._is_closed:
            raise StoreUnavailable
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._calls.append(Call(fn, args, resolver(future)))
        self._pending += 1
        self._schedule()
        return await future

    # -- on the loop ------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self._is_scheduled or self._is_busy:
            return
        self._idle.clear()
        if self._healthy:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._launch)

    def _launch(self) -> None:
        self._is_scheduled = False
        if self._is_busy or not self._healthy:
            return
        if not self._groups and not self._calls:
            self._idle.set()
            return
        self._number += 1
        batch = Batch(self._number, sorted(self._groups.values(), key=rank_of), self._calls)
        self._groups, self._calls, self._pending = {}, [], 0
        self._is_busy = True
        begun = self._clock.monotonic()

        def finished(outcome: Outcome | None, error: BaseException | None) -> None:
            self._observe(self._clock.monotonic() - begun, sum(len(group.items) for group in batch.groups) + len(batch.calls))
            self._finished(batch, outcome, error)

        self._executor.submit(self._transact, (batch,), finished)

    def _finished(self, batch: Batch, outcome: Outcome | None, error: BaseException | None) -> None:
        if outcome is not None:
            self._is_busy = False
            # What gathered meanwhile is under way before anyone is answered: the disk is never idle while there is work.
            self._launch()
            answer(batch, outcome)
            return
        assert error is not None
        if is_of_the_store(error):
            self._suspect(batch, error)
        else:
            self._isolate(batch, error)

    def _isolate(self, batch: Batch, error: BaseException) -> None:
        """One item broke the transaction, which was rolled back: do each alone, so that only the culprit fails."""
        singles = [
            Batch(0, [Group(group.bulk, [item], [done])], [])
            for group in batch.groups
            for item, done in zip(group.items, group.dones, strict=True)
        ] + [Batch(0, [], [call]) for call in batch.calls]
        if len(singles) == 1:
            self._is_busy = False
            refuse(batch, error)
            self._launch()
            return
        left = len(singles)
        refused_by_store: list[tuple[Batch, BaseException]] = []

        def finished_one(single: Batch) -> Callable[[Outcome | None, BaseException | None], None]:
            def finished(outcome: Outcome | None, single_error: BaseException | None) -> None:
                nonlocal left
                left -= 1
                if outcome is not None:
                    answer(single, outcome)
                else:
                    assert single_error is not None
                    if is_of_the_store(single_error):
                        refused_by_store.append((single, single_error))
                    else:
                        refuse(single, single_error)
                if left == 0 and refused_by_store:
                    self._suspect_all(refused_by_store)
                elif left == 0:
                    self._is_busy = False
                    self._launch()

            return finished

        for single in singles:
            self._number += 1
            numbered = single._replace(number=self._number)
            self._executor.submit(self._transact, (numbered,), finished_one(numbered))

    def _suspect_all(self, singles: list[tuple[Batch, BaseException]]) -> None:
        """The store failed while each was done alone: what is kept is done again, for a second time it changes nothing."""
        self._stop_acknowledging(singles[0][1])
        for single, _ in singles:
            self._give_back(single)
        self._probe()

    def _suspect(self, batch: Batch, error: BaseException) -> None:
        """The store failed under us: nothing is acknowledged until we know whether this batch happened."""
        self._stop_acknowledging(error)
        self._ask_whether(batch)

    def _stop_acknowledging(self, error: BaseException) -> None:
        self._healthy = False
        self._failure = bulk.first_line(str(getattr(error, "orig", error)))
        if self._changed is not None:
            self._changed(False, self._failure)
        if self._is_closed:
            self._idle.set()  # a stop does not wait for room on the disk
        for call in self._calls:
            call.done(None, StoreUnavailable())
        self._calls = []
        for kind in [kind for kind in self._groups if not kind.is_kept]:
            group = self._groups.pop(kind)
            refuse(Batch(0, [group], []), StoreUnavailable())

    def _ask_whether(self, batch: Batch) -> None:
        if self._is_closed:
            return

        def answered(mark: int | None, error: BaseException | None) -> None:
            if error is not None or mark is None:
                asyncio.get_running_loop().call_later(PROBE_INTERVAL_S, self._ask_whether, batch)
            elif mark >= batch.number:
                self._finish_in_doubt(batch)
            else:
                self._give_back(batch)
                self._probe()

        self._executor.submit(self._open, (), answered)

    def _finish_in_doubt(self, batch: Batch) -> None:
        # It did commit, and the results it had before the commit failed are true; they are told once a flush works again.
        outcome = self._in_doubt
        assert outcome is not None
        self._probe(lambda: answer(batch, outcome))

    def _give_back(self, batch: Batch) -> None:
        for group in batch.groups:
            if group.bulk.is_kept:
                later = self._groups.get(group.bulk)
                merged = Group(group.bulk, group.items + (later.items if later else []), group.dones + (later.dones if later else []))
                self._groups[group.bulk] = merged
            else:
                refuse(Batch(0, [group], []), StoreUnavailable())
        refuse(Batch(0, [], batch.calls), StoreUnavailable())

    def _probe(self, healed: Callable[[], None] | None = None) -> None:
        if self._is_closed:
            return

        def probed(_outcome: Outcome | None, error: BaseException | None) -> None:
            if error is not None:
                asyncio.get_running_loop().call_later(PROBE_INTERVAL_S, self._probe, healed)
                return
            self._healthy = True
            self._failure = ""
            if self._changed is not None:
                self._changed(True, "")
            self._is_busy = False
            self._pending = sum(len(group.items) for group in self._groups.values())
            self._launch()
            if healed is not None:
                healed()

        self._number += 1
        self._executor.submit(self._reopen_and_transact, (Batch(self._number, [], []),), probed)

    async def _on_writer_thread(self, fn: Callable[..., Result]) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._executor.submit(fn, (), resolver(future))
        return await future

    # -- on the writer thread -----------------------------------------------------------------------------------------

    def _open(self) -> int:
        """(Re)open the connection; the number of the last batch that is on disk."""
        self._disconnect()
        conn = self._connection = self._engine.connect()
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(_LOCK, (self._node,))
            conn.commit()
        with conn.begin():
            row = conn.execute(select(writer_mark.c.batch).where(writer_mark.c.node == self._node)).one_or_none()
            if row is None:
                conn.execute(insert(writer_mark).values(node=self._node, batch=0))
        return int(row[0]) if row else 0

    def _disconnect(self) -> None:
        conn, self._connection = self._connection, None
        if conn is not None:
            conn.invalidate()
            conn.close()

    def _reopen_and_transact(self, batch: Batch) -> Outcome:
        self._open()
        return self._transact(batch)

    def _transact(self, batch: Batch) -> Outcome:
        conn = self._connection
        if conn is None:
            raise exc.OperationalError("connect", {}, ConnectionError("the store is not open"))
        with conn.begin():
            groups = [group.bulk.fn(conn, group.items) for group in batch.groups]
            calls = [perform(conn, call) for call in batch.calls]
            bulk.execute(conn, _MARK, [(self._node, batch.number)])
            self._in_doubt = Outcome(groups, calls)
        return self._in_doubt
