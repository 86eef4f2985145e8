"""A restart is boring: with much in the store and much in the queue the doors are open soon, and the queue goes on its way."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from billing import book
from billing.event import BillableEvent, Direction, FeeClass, Payer
from gateway.domain.ids import IdMaker
from gateway.domain.message import Front, Message, State
from gateway.store import messages
from gateway.store.engine import migrate, open_writing
from tests.support.processes import PRICES, opened_site
from tests.support.witness import until

FINISHED = 100_000
QUEUED = 20_000
CHUNK = 10_000
READY_S = 5.0
# The promise is for a quiet machine: the same start on an empty store, a moment before, says how busy this one is.
SLOWNESS_MAX = 3.0


def furnish(path: Path) -> None:
    """Messages of the partner `acme`: finished ones, then queued ones, with their charges."""
    engine = open_writing(f"sqlite:///{path}", synchronous="OFF")
    migrate(engine)
    now_us = time.time_ns() // 1000 - 3_600_000_000
    ids = IdMaker()
    with engine.begin() as conn:
        revenue = book.ensure_house(conn, "CNY", new_id=lambda: ids.next_id(now_us), now_us=now_us).revenue
        partner, wallet = conn.exec_driver_sql("SELECT id, wallet FROM partner").one()
        for first in range(0, FINISHED + QUEUED, CHUNK):
            made = [_message(ids.next_id(now_us), partner, first + place, now_us) for place in range(CHUNK)]
            is_finished = first < FINISHED
            state = State.DELIVERED if is_finished else State.ACCEPTED
            rows = [(each.id + 1, int(state), "sim", b"hello", int(is_finished), each.expires_at, None, 0, None, None) for each in made]
            assert all(book.hold_many(conn, [_event(each, wallet) for each in made], revenue=revenue, now_us=now_us))
            messages.insert(conn, made, rows)
    engine.dispose()


def _message(message_id: int, partner: int, number: int, now_us: int) -> Message:
    digits = f"86138{number:08d}"
    return Message(
        message_id, int(Front.HTTP), partner, None, None, "chat", "10661700", 0, 1, digits, 1, 1, 0, 0, 0, 0, 0, 1, 1, None, now_us,
        now_us + 86_400_000_000,
    )  # fmt: skip


def _event(message: Message, wallet: int) -> BillableEvent:
    price = PRICES["chat"]
    return BillableEvent(
        message.id, Direction.MT, message.accepted_at, "chat", FeeClass.PER_PART, Payer.SP, wallet, "sim", message.source, None,
        message.destination, None, 1, 1, price, price, "CNY", "flat/1:0", "service:chat",
    )  # fmt: skip


async def test_a_restart_with_much_stored_and_queued_is_ready_soon_and_sends_it(tmp_path: Path):
    async with opened_site(tmp_path, "--log-max", "0") as site:
        began = time.monotonic()
        empty = await site.ready_gateway()
        usual_s = time.monotonic() - began
        await empty.end(signal.SIGKILL)
        await asyncio.to_thread(furnish, site.store)

        began = time.monotonic()
        await site.ready_gateway()
        ready_s = time.monotonic() - began
        queued = _count(site.store, "segment WHERE state = 0")
        await until(lambda: _count(site.store, "segment WHERE state < 10") == 0, 100, "all of the queue delivered")

        assert ready_s < max(READY_S, SLOWNESS_MAX * usual_s)
        assert queued > 0
        assert _count(site.store, "segment WHERE state = 10") == FINISHED + QUEUED
        assert site.noise() == []


def _count(store: Path, rows: str) -> int:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as conn:
        return int(conn.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])
