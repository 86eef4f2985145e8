"""The services that send, in virtual time: the real store, writer and dispatcher, and links that do as a script says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from billing import book
from billing.schema import metadata
from gateway.domain.address import Address
from gateway.domain.message import Flight, Front, Message, UnknownOutcome
from gateway.domain.pacing import Pace
from gateway.domain.verdict import ErrorTable
from gateway.services.catalogue import Catalogue, Service
from gateway.services.dispatch import Dispatch, Limits
from gateway.services.reception import Reception
from gateway.services.returns import Reroute
from gateway.services.submit import Sender, Submission
from gateway.store.engine import open_reading, open_writing
from gateway.store.reader import StoreReader
from gateway.store.schema import attempt, segment
from gateway.store.writer import StoreWriter
from simulators.faults import ExecutorFaults, FaultPlan
from simulators.world import Sim, run
from tests.support.engines import store_url

DAY_US = 86_400_000_000
NEVER = -1  # a script's answer: none
PHONE = "8613900001111"
BULK, ACME = 1 << 8, 2 << 8

Script = Callable[[Flight], int]
Stopped = Callable[[Message], bool]


class Sent(NamedTuple):
    """One submit_sm as the carrier saw it."""

    at_s: float
    flight: Flight
    status: int

    @property
    def text(self) -> str:
        return self.flight.body.decode()


class ScriptedLink:
    """A link whose carrier answers after `rtt_s` what the script says."""

    def __init__(self, house: House, name: str, window: int, rtt_s: float, script: Script) -> None:
        self.name = name
        self.window_max = window
        self.is_up = True
        self.rtt_s = rtt_s
        self.script = script
        self.sent: list[Sent] = []
        self.unanswered: list[Flight] = []
        self.heard: Callable[[Flight, int], None] = lambda _flight, _status: None
        self._house = house
        self._in_flight = 0
        self._answers_at = 0.0

    @property
    def window_free(self) -> int:
        return self.window_max - self._in_flight if self.is_up else 0

    @property
    def accepted(self) -> list[str]:
        """The texts it took, in its order."""
        return [sent.text for sent in self.sent if sent.status == 0]

    def send(self, flight: Flight) -> bool:
        if not self.is_up:
            return False
        assert self._in_flight < self.window_max, "more than the window"
        status = self.script(flight)
        self.sent.append(Sent(self._house.now_s, flight, status))
        self._in_flight += 1
        if status == NEVER:
            self.unanswered.append(flight)
        else:
            # In its own order, even where many leave at one time.
            self._answers_at = max(self._answers_at + 1e-6, self._house.now_s + self.rtt_s)
            asyncio.get_running_loop().call_at(self._answers_at, self._answer, flight, status)
        return True

    def go_down(self) -> None:
        self.is_up = False

    def come_up(self) -> None:
        self.is_up = True
        self._house.dispatch.window_opened(self.name)

    def give_up(self) -> None:
        """The response timer ran out for all that was never answered."""
        for flight in self.unanswered:
            self._in_flight -= 1
            self._house.dispatch.unanswered(flight)
        self.unanswered.clear()
        self._house.dispatch.window_opened(self.name)

    def _answer(self, flight: Flight, status: int) -> None:
        self._in_flight -= 1
        dispatch = self._house.dispatch
        dispatch.responded(flight, status, f"{self.name}-{len(self.sent)}-{flight.segment_id}" if status == 0 else "")
        self.heard(flight, status)
        dispatch.window_opened(self.name)


def _service(name: str, policy: UnknownOutcome) -> Service:
    return Service(name, 0, "CNY", True, policy, DAY_US, 10, "1", "flat", 2)


def take_all(_flight: Flight) -> int:
    return 0


class House:
    """What a play needs at hand."""

    def __init__(self, sim: Sim, in_memory_max: int, database: str) -> None:
        self.sim = sim
        self.world = sim.node("gateway").world
        self._url = database or f"sqlite:///{self.world.folder}/store.db"
        self._in_memory_max = in_memory_max
        self.links: dict[str, ScriptedLink] = {}

    @property
    def now_s(self) -> float:
        return self.sim.loop.time()

    async def open(self, reroute: Reroute | None = None, is_stopped: Stopped | None = None) -> None:
        """Start, or start again on the same store; links are added by the play."""
        world = self.world
        engine = open_writing(self._url, synchronous="OFF")
        metadata.create_all(engine)
        self.writer = StoreWriter(engine, world.executor, world.clock, node=0, observe=lambda _seconds, _items: None)
        await self.writer.open()
        self.reader = StoreReader(open_reading(self._url), world.executor)
        revenue = await self.writer.run(_furnish, world)
        policies = {"chat": UnknownOutcome.RESEND, "premium": UnknownOutcome.HOLD, "notice": UnknownOutcome.DROP}
        self.catalogue = Catalogue({name: _service(name, policy) for name, policy in policies.items()}, {}, "chat", "", revenue, ())
        self.dispatch = Dispatch(
            world,
            self.writer,
            self.reader,
            self.catalogue,
            limits=Limits(in_memory_max=self._in_memory_max),
            noticed=lambda _: None,
            sent=lambda *_: None,
            reroute=reroute,
            is_stopped=is_stopped,
        )
        self.reception = Reception(world, self.writer, self.dispatch, self.catalogue, backlog_max=1_000_000, accepted=lambda *_: None)
        await self.dispatch.recover()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def close(self) -> None:
        """Stop without a word, as by kill -9 between two commits."""
        self._ticking.cancel()
        for link in self.links.values():
            link.is_up = False
        self.dispatch.release()
        await self.writer.close()

    async def _tick(self) -> None:
        while True:
            await self.dispatch.tick()
            await asyncio.sleep(1.0)

    def link(
        self,
        name: str = "a",
        *,
        window: int = 10,
        rtt_s: float = 0.01,
        rate_per_s: float = 0.0,
        script: Script = take_all,
        errors: dict[str, str] | None = None,
        reroute_after_s: float = 0.0,
        is_up: bool = True,
    ) -> ScriptedLink:
        link = self.links[name] = ScriptedLink(self, name, window, rtt_s, script)
        link.is_up = is_up
        pace = Pace(rate_per_s, self.world.clock.monotonic())
        self.dispatch.add_link(link, pace, errors=ErrorTable.parse(errors or {}), reroute_after_s=reroute_after_s)
        self.dispatch.window_opened(name)
        return link

    async def submit(self, texts: list[str], partner: int = ACME, **how: Any) -> list[int]:
        """Accept messages in one commit, with what `submit_any` takes; their ids."""
        return [answer.message_id for answer in await self.submit_any(texts, partner, **how)]

    async def submit_any(
        self,
        texts: list[str],
        partner: int = ACME,
        *,
        service: str = "chat",
        to: str = PHONE,
        priority: int = 0,
        esm_class: int = 0,
        schedule_at: int | None = None,
    ) -> list[Any]:
        """Accept messages in one commit; how each was answered."""
        sender = Sender(Front.HTTP, None, partner)
        source, destination = Address("10690001", 0, 1), Address(to, 1, 1)
        submissions = [
            Submission(
                sender, source, destination, service, None, text.encode(), esm_class=esm_class, priority=priority, schedule_at=schedule_at
            )
            for text in texts
        ]
        return list(await self.reception.submit_all(submissions))

    async def until(self, is_true: Callable[[], bool], timeout_s: float = 600.0) -> None:
        deadline = self.now_s + timeout_s
        while not is_true():
            assert self.now_s < deadline, "it never came to that"
            await asyncio.sleep(0.01)

    async def rows(self) -> list[Any]:
        return await self.reader.read(lambda conn: list(conn.execute(select(segment).order_by(segment.c.id)).all()))

    async def attempts(self) -> list[Any]:
        return await self.reader.read(lambda conn: list(conn.execute(select(attempt)).all()))


def _furnish(conn: Connection, world: Any) -> int:
    return book.ensure_house(conn, "CNY", new_id=world.next_id, now_us=1).revenue


def play(
    main: Callable[[House], Coroutine[Any, Any, None]],
    *,
    in_memory_max: int = 1_000,
    reroute: Reroute | None = None,
    is_stopped: Stopped | None = None,
    seed: int = 1,
    commit_s: float = 0.0,
    engine_name: str = "sqlite",
) -> None:
    """Play in virtual time; each commit takes `commit_s`, 0 for what a good disk needs, however long the engine takes."""

    def begin_on(database: str) -> Callable[[Sim], Coroutine[Any, Any, None]]:
        async def begin(sim: Sim) -> None:
            house = House(sim, in_memory_max, database)
            await house.open(reroute, is_stopped)
            await main(house)

        return begin

    plan = FaultPlan(seed, executor=ExecutorFaults(commit_s, commit_s)) if commit_s else FaultPlan(seed)
    if engine_name == "sqlite":
        # In the folder of the simulated node, which goes with it.
        run(begin_on(""), seed, plan=plan)
    else:
        with store_url(engine_name, Path()) as database:
            run(begin_on(database), seed, plan=plan)
