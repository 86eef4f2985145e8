"""Bookkeepers: processes that hold, settle, refund and top up the same wallets from one plan, each in its own order, until they are killed.

The plan says for every event what it costs, so any two bookkeepers that meet at one event try the same hold and, on purpose, different
ends. Three of them are wrong in a way that a review might miss; they are for the tests that show that the checks find it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from select import poll
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError, OperationalError

from billing import book, booking, bulk, corrections
from billing.corrections import Correction
from billing.errors import LedgerError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, RecordType, Settlement
from billing.schema import account
from gateway.store.engine import open_writing

ROOT = Path(__file__).resolve().parents[2]
WALLETS = (11, 12, 13)
REVENUE = 1
FIRST_CREDIT, TOP_UP = 3_000, 400
WINDOW = 150
ENDS = (ChargeState.CAPTURED, ChargeState.CAPTURED, ChargeState.RELEASED, ChargeState.EXPIRED)
BATCH_MAX = 6
NOW = 1_800_000_000_000_000
WORK_S_MAX = 60
_TOLD = struct.Struct("=q")  # a bookkeeper's process, once for each act; far below what a pipe takes in one piece


class Order(NamedTuple):
    """What one bookkeeper is to do."""

    seed: int
    first: int  # of the events it works on
    variant: str


def furnish(conn: Connection) -> None:
    """The house's accounts, and the wallets with their first credit."""
    ids = iter((REVENUE, *range(2, 10)))
    book.ensure_house(conn, "CNY", new_id=lambda: next(ids), now_us=NOW)
    for wallet in WALLETS:
        book.open_account(conn, wallet, f"im:{wallet}", "CNY", True, NOW)
        book.top_up(conn, wallet, FIRST_CREDIT, f"first:{wallet}", wallet + 100, NOW)


def event_of(number: int) -> BillableEvent:
    """The event of a place in the plan."""
    parts, unit = 1 + number % 3, 5 + number % 7
    names = ("cmcc-1", "10086", f"86138{number:08d}", "8613900000000", None)
    rated = (parts, parts, unit, unit * parts, "CNY", "flat/1", "service:chat")
    wallet = WALLETS[number % len(WALLETS)]
    return BillableEvent((number + 1) << 8, Direction.MT, NOW, "chat", FeeClass.PER_PART, Payer.SOURCE, wallet, *names, *rated)


class Bookkeeper:
    """One process's work: a random act after the other, each in a transaction of its own."""

    def __init__(self, engine: Engine, order: Order) -> None:
        self.engine = engine
        self.chance = random.Random(order.seed)
        self.first = order.first
        self.hold: Callable[[Sequence[BillableEvent]], None] = self._hold_reading if order.variant == "lost update" else self._hold
        self.settle: Callable[[Sequence[Settlement]], None] = self._settle
        if order.variant == "two transactions":
            self.settle = self._settle_in_two
        if order.variant == "two ends":
            book._SETTLE_CHARGE = book._SETTLE_CHARGE._replace(guard="")
            book._SETTLE_TRANSFER = book._SETTLE_TRANSFER._replace(guard="")

    def act(self) -> None:
        """Do something; what others did before, or do now, is no error."""
        chance = self.chance
        at = self.first + chance.randrange(WINDOW)
        events = [event_of(number) for number in range(at, at + chance.randint(1, BATCH_MAX))]
        chance.shuffle(events)
        try:
            match chance.randrange(8):
                case 0 | 1 | 2:
                    self.hold(events)
                case 3 | 4 | 5:
                    self.settle([self._end_of(event) for event in events])
                case 6:
                    self._refund(events[0])
                case 7:
                    self._top_up(at)
        except IntegrityError:
            pass  # its id, or its cause, was there before
        except OperationalError as error:
            if not any(word in str(error) for word in ("locked", "lock timeout", "deadlock")):
                raise

    def finish(self, numbers: Sequence[int]) -> None:
        """Bring all of these events to an end, alone."""
        for number in numbers:
            event = event_of(number)
            with contextlib.suppress(IntegrityError):
                self._hold([event])
            self._settle([self._end_of(event)])

    def _end_of(self, event: BillableEvent) -> Settlement:
        state = self.chance.choice(ENDS)
        parts = self.chance.randint(1, event.parts) if state is ChargeState.CAPTURED else 0
        facts = ("DELIVRD", NOW, None, None, None)
        return Settlement(event.id, state, event.wallet, event.amount_minor, event.unit_price_minor * parts, parts, event.id, *facts)

    def _hold(self, events: Sequence[BillableEvent]) -> None:
        with self.engine.begin() as conn:
            book.hold_many(conn, events, revenue=REVENUE, now_us=NOW)

    def _settle(self, settlements: Sequence[Settlement]) -> None:
        with self.engine.begin() as conn:
            book.settle_many(conn, settlements, now_us=NOW)

    def _refund(self, event: BillableEvent) -> None:
        """A third of the price, up to four times: so the last one is refused for its bound."""
        with self.engine.begin() as conn:
            try:
                original = corrections.locked(conn, event.id)
            except LedgerError:
                return
            if original["state"] != ChargeState.CAPTURED:
                return
            given = sum(-row["amount_minor"] for row in corrections.of_charge(conn, event.id))
            amount, place = max(event.amount_minor // 3, 1), self.chance.randrange(4)
            if given + amount <= original["amount_minor"]:
                what = Correction(
                    event.id + 1 + place, event.id, RecordType.REFUND, -amount, f"refund:{event.id}:{place}", "complaint", REVENUE
                )
                corrections.post(conn, what, into=booking.DEFAULT, now_us=NOW)

    def _top_up(self, number: int) -> None:
        reference = number // 10
        with self.engine.begin() as conn:
            book.top_up(conn, WALLETS[reference % len(WALLETS)], TOP_UP, f"T{reference}", (reference << 8) + 200, NOW)

    # -- wrong on purpose -----------------------------------------------------------------------------------------------

    def _hold_reading(self, events: Sequence[BillableEvent]) -> None:
        """Reads what a wallet holds, adds in Python, writes the sum back."""
        event = events[0]
        columns = (account.c.posted_minor, account.c.held_minor)
        with self.engine.begin() as conn:
            posted, held = conn.execute(select(*columns).where(account.c.id == event.wallet)).one()
            if posted - held < event.amount_minor:
                return
            bulk.execute(conn, book._INSERT_CHARGE, [book._charge_row(event, int(ChargeState.HELD))])
            row = (event.id, event.wallet, REVENUE, event.amount_minor, event.currency, 0, NOW)
            bulk.execute(conn, book._INSERT_TRANSFER, [row])
            conn.execute(account.update().where(account.c.id == event.wallet).values(held_minor=held + event.amount_minor))

    def _settle_in_two(self, settlements: Sequence[Settlement]) -> None:
        """The charges in one transaction, their money in the next."""
        places = [booking.Place("default", 20270115, False)] * len(settlements)
        rows = [book._settled_row(each, NOW, place) for each, place in zip(settlements, places, strict=True)]
        with self.engine.begin() as conn:
            took = [bulk.execute(conn, book._SETTLE_CHARGE, [row]) == 1 for row in rows]
        with self.engine.begin() as conn:
            book._move(conn, [each for each, effective in zip(settlements, took, strict=True) if effective], NOW)


class Nursery:
    """A process that has everything imported and forks a bookkeeper when asked: so a kill costs a fork, not a start."""

    def __init__(self, url: str) -> None:
        self._acts, told = os.pipe()
        self._poll = poll()
        self._poll.register(self._acts)
        self._counts: Counter[int] = Counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.bookkeepers", url, str(told)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=(told,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(told)

    def start(self, order: Order) -> int:
        """Start a bookkeeper; its process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait_for(self, pid: int, acts: int) -> None:
        """Return when a bookkeeper has done so many acts: however busy the machine is, it is then at work."""
        while self._counts[pid] < acts:
            assert self._poll.poll(WORK_S_MAX * 1_000), "no bookkeeper did anything for a minute"
            told = os.read(self._acts, _TOLD.size * 1_000)
            self._counts.update(each for (each,) in _TOLD.iter_unpack(told))

    def kill(self, pid: int) -> bool:
        """Kill a bookkeeper and wait until it is gone; False when it had ended, which none does by itself unless it failed."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.001)
        return True

    def close(self) -> str:
        """End it; what it and its bookkeepers complained of."""
        _, complaints = self._process.communicate(timeout=30)
        os.close(self._acts)
        return complaints


def _serve(url: str, told: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody needs to wait for those who were killed
    for line in sys.stdin:
        order = Order(*json.loads(line))
        pid = os.fork()
        if pid == 0:
            os.close(0)
            os.close(1)
            bookkeeper = Bookkeeper(open_writing(url, synchronous="OFF", busy_timeout_s=10.0), order)
            while True:
                bookkeeper.act()
                os.write(told, _TOLD.pack(os.getpid()))
        print(pid, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
