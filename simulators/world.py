"""The simulated world: virtual time, seeded randomness, memory networks, and nodes that can be killed as by kill -9.

`run(main, seed)` plays one run: `main(sim)` starts programs on nodes, breaks things, and checks what it wants to know. The same seed
gives the same event log in every process. A program gets its node's world and can't tell it from the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gateway.domain.ids import IdMaker
from gateway.world import Clock, Disk, Entropy, Executor, Network
from simulators.acts import ActWatch
from simulators.executor import SimExecutor
from simulators.faults import CrashKind, CrashPoint, FaultPlan
from simulators.journal import Journal
from simulators.loop import DeadlockError, Life, OvertimeError, ProgramError, SimLoop, SimulationError
from simulators.network import Fabric, SimNetwork, address_of
from simulators.streams import Stream, stream
from simulators.transport import Party

T = TypeVar("T")

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, where a run begins that names no other time
VIRTUAL_S_MAX = 7 * 86_400.0
MEMORY_FOLDER = Path("/dev/shm")  # where fsync costs nothing

Program = Callable[["SimWorld"], Coroutine[Any, Any, Any]]

__all__ = ["DeadlockError", "Node", "OvertimeError", "Program", "ProgramError", "Sim", "SimWorld", "SimulationError", "run"]


class SimClock:
    """Virtual time; a node's wall clock may be wrong by an offset, and be set while it runs."""

    def __init__(self, now_us: Callable[[], int], loop: SimLoop, offset_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._loop = loop
        self._offset_us = offset_us

    def now_us(self) -> int:
        """UTC in microseconds since 1970."""
        return self._now_us() + self._offset_us()

    def monotonic(self) -> float:
        """Virtual seconds since the start of the run."""
        return self._loop.time()


class SimEntropy:
    """Seeded random numbers."""

    def __init__(self, numbers: Stream) -> None:
        self.random = numbers.random
        self.token_bytes = numbers.randbytes


class SimDisk:
    """Real files, without fsync: a killed program loses nothing that it handed to the kernel."""

    def read_bytes(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write_durably(self, path: str, data: bytes) -> None:
        """Write beside and rename over: the file is there whole or not at all."""
        draft = Path(f"{path}.tmp")
        draft.write_bytes(data)
        draft.replace(path)

    def append_privately(self, path: str, data: bytes) -> None:
        """Write behind what the file has; one that is not there yet is made, for its owner's eyes alone."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(data)

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def make_folder(self, path: str) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)

    def remove(self, path: str) -> None:
        Path(path).unlink()


class SimWorld:
    """The world of one life of a node."""

    def __init__(self, node: Node, life: Life, number: int) -> None:
        sim = node.sim
        party = Party(life, node.name, node.ip, node.on_write, node.crash)
        self._node = node
        self._life = life
        self.folder = node.folder
        self.clock: Clock = SimClock(sim.now_us, sim.loop, lambda: node.clock_offset_us)
        self.entropy: Entropy = SimEntropy(sim.stream("entropy", node.name, number))
        self.network: Network = SimNetwork(sim.fabric, party)
        numbers = sim.stream("executor", node.name, number)
        self.executor: Executor = SimExecutor(sim.loop, life, numbers, sim.plan.executor, node.on_submit, node.crash, node.watch_for_act())
        self.disk: Disk = SimDisk()

    def next_id(self) -> int:
        """A 63-bit id, later than every earlier one of this node, its low 8 bits zero."""
        return self._node.ids.next_id(self.clock.now_us())

    def log(self, kind: str, **facts: Any) -> None:
        """Add to the run's event log; the dead add nothing."""
        if not self._life.is_dead:
            self._node.sim.log(kind, node=self._node.name, **facts)


class Node:
    """A machine with a disk on which one program at a time lives and dies."""

    def __init__(self, sim: Sim, name: str, number: int, crashes: tuple[CrashPoint, ...]) -> None:
        self.sim = sim
        self.name = name
        self.ip = address_of(number)
        self.folder = str(sim.folder / name)
        self.clock_offset_us = 0
        # Shared by all lives: a real program reads its floor from the store.
        self.ids = IdMaker(number % 32)
        self.lives = 0
        self._crashes = crashes
        self._program: Program | None = None
        self._begin_life()

    @property
    def is_alive(self) -> bool:
        return not self._life.is_dead

    @property
    def world(self) -> SimWorld:
        """The world of the life that goes on; a dead node has none until it is started again."""
        if self._life.is_dead:
            raise SimulationError(f"{self.name} is dead: start it with a function of its new world")
        return self._world

    def start(self, program: Program | Coroutine[Any, Any, T]) -> asyncio.Task[Any]:
        """Run a program, a function of its world, in a new life if the last one is over; such a program can be restarted.

        Several programs may share a life. A coroutine made with `node.world` will do where no restart is wanted.
        """
        if self._life.is_dead:
            if not callable(program):
                raise SimulationError(f"{self.name} is dead, and so is the world this coroutine was made with")
            self._begin_life()
        if callable(program):
            self._program = program
            program = program(self._world)
        self.sim.log("start", node=self.name, life=self.lives)
        task: asyncio.Task[Any] = self.sim.loop.create_task(program, name="main", context=self._life.context())
        task.add_done_callback(self._ended, context=self.sim.fabric.context)
        return task

    def kill(self, restart_after_s: float | None = None) -> None:
        """End the program as by kill -9: none of its code runs again; restart the last program later if a wait is given.

        Called by the program itself, what is left of the running callback still runs, but reaches nobody.
        """
        if self._life.is_dead:
            return
        self.sim.log("kill", node=self.name, life=self.lives)
        self.sim.loop.kill(self._life)
        self.sim.fabric.orphan(self._life)
        if restart_after_s is not None:
            assert self._program is not None, "a coroutine can't be restarted"
            at_s = self.sim.loop.time() + restart_after_s
            self.sim.loop.call_at(at_s, self._restart, self._program, context=self.sim.fabric.context)

    def crash(self, point: CrashPoint) -> None:
        """Die at a crash point."""
        self.sim.log("crash", node=self.name, kind_of_crash=point.kind.value, act=point.act, count=point.count)
        self.kill(point.restart_after_s)

    def on_submit(self) -> CrashPoint | None:
        """Count a writer submission; whether the program dies of it."""
        self._submissions += 1
        is_due = self._is_due(self._submissions, CrashKind.BEFORE_COMMIT, CrashKind.AFTER_COMMIT)
        return self._doom if is_due else None

    def watch_for_act(self) -> ActWatch | None:
        """Who sees it when this life does what it dies of, if that is an act of money."""
        return ActWatch(self._doom) if self._doom is not None and self._doom.act else None

    def on_write(self) -> CrashPoint | None:
        """Count a transport write; whether the program dies of it."""
        self._writes += 1
        return self._doom if self._is_due(self._writes, CrashKind.AFTER_WRITE) else None

    def _is_due(self, count: int, *kinds: CrashKind) -> bool:
        return self._doom is not None and self._doom.kind in kinds and not self._doom.act and self._doom.count == count

    def _begin_life(self) -> None:
        self.lives += 1
        self._move_in()
        self._life = Life(f"{self.name}.{self.lives}")
        self._submissions = self._writes = 0
        self._doom = self._crashes[self.lives - 1] if self.lives <= len(self._crashes) else None
        self._world = SimWorld(self, self._life, self.lives)
        self.sim.lives.append(self._life)
        if self._doom is not None and self._doom.kind is CrashKind.AT_TIME:
            self.sim.loop.call_at(self.sim.loop.time() + self._doom.at_s, self.crash, self._doom, context=self._life.context())

    def _move_in(self) -> None:
        """Give a life its own copy of the files its predecessor left, behind a path that stays the same.

        The dead one's open files, with their locks and shared memory, stay with the dead: SQLite finds what a kill -9 leaves.
        """
        link, rooms = Path(self.folder), Path(f"{self.folder}.lives")
        room = rooms / str(self.lives)
        rooms.mkdir(exist_ok=True)
        if self.lives == 1:
            room.mkdir()
        else:
            shutil.copytree(link, room, symlinks=True)
            link.unlink()
        link.symlink_to(room, target_is_directory=True)

    def _restart(self, program: Program) -> None:
        if self._life.is_dead:
            self.start(program)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.sim.fail(f"the program of {self.name} failed: {error!r}", error)


class Sim:
    """One run: its loop, cables, nodes and log."""

    def __init__(self, loop: SimLoop, seed: int, plan: FaultPlan, folder: Path, start_us: int = START_US) -> None:
        self.loop = loop
        self.start_us = start_us
        self.seed = seed
        self.plan = plan
        self.folder = folder
        self.journal = Journal()
        self.lives: list[Life] = []
        self.failed: asyncio.Future[None] = loop.create_future()
        self.fabric = Fabric(loop, seed, plan.network, self.log)
        self.nodes: dict[str, Node] = {}

    def node(self, name: str) -> Node:
        """The node of that name, made when first asked for."""
        if name not in self.nodes:
            crashes = self.plan.crashes if name == self.plan.crash_node else ()
            self.nodes[name] = Node(self, name, len(self.nodes) + 1, crashes)
        return self.nodes[name]

    def stream(self, *purpose: object) -> Stream:
        """The random numbers of a purpose, such as "workload": always a new stream, from its beginning."""
        return stream(self.seed, *purpose)

    def now_us(self) -> int:
        """True UTC, whatever the nodes' clocks say."""
        return self.start_us + round(self.loop.time() * 1e6)

    def log(self, kind: str, **facts: Any) -> None:
        """Add to the event log, with the virtual time."""
        self.journal.add(round(self.loop.time() * 1e6), kind, facts)

    def digest(self) -> str:
        """The hash of the log so far: equal for equal runs."""
        return self.journal.digest()

    def fail(self, text: str, error: BaseException | None) -> None:
        """End the run with an error."""
        if not self.failed.done():
            failure = ProgramError(f"seed {self.seed}, at {self.loop.time():.6f} s: {text}")
            failure.__cause__ = error
            self.failed.set_exception(failure)


def run(
    main: Callable[[Sim], Coroutine[Any, Any, T]],
    seed: int,
    *,
    plan: FaultPlan | None = None,
    folder: Path | None = None,
    virtual_s_max: float = VIRTUAL_S_MAX,
    start_us: int = START_US,
) -> T:
    """Play `main(sim)` to its end in virtual time and return its result.

    The run fails when a program does, when an exception goes unseen, and when nothing can happen any more. The nodes' files are kept
    if a folder is given. When main returns, the log is sealed and every node is killed.
    """
    loop = SimLoop(virtual_s_max)
    with _home(folder) as home, _global_numbers(seed):
        sim = Sim(loop, seed, plan or FaultPlan(seed), home, start_us)
        try:
            return loop.run_until_complete(_watch(sim, main))
        finally:
            _tear_down(sim)


async def _watch(sim: Sim, main: Callable[[Sim], Coroutine[Any, Any, T]]) -> T:
    task: asyncio.Task[T] = asyncio.create_task(main(sim), name="main")
    try:
        either: list[asyncio.Future[Any]] = [task, sim.failed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        sim.journal.seal()
        for error in sim.loop.errors:
            sim.fail(str(error.get("message")), error.get("exception"))
        # What main found out itself says more than what failed beside it.
        if sim.failed.done() and not (task.done() and task.exception()):
            sim.failed.result()
        return task.result()
    finally:
        sim.failed.cancel()


def _tear_down(sim: Sim) -> None:
    """Kill all nodes, cancel what is left of the host's own tasks, and clear the dead away without a sound."""
    sim.journal.seal()
    for node in sim.nodes.values():
        node.kill()
    with _silence():
        _cancel_host_tasks(sim.loop)
        sim.loop.close()
        for life in sim.lives:
            life.bury()
        gc.collect()


def _cancel_host_tasks(loop: SimLoop) -> None:
    tasks = loop.waiting_tasks()
    for task in tasks:
        task.cancel()
    if tasks:
        with contextlib.suppress(SimulationError):
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    with contextlib.suppress(SimulationError):
        loop.run_until_complete(loop.shutdown_asyncgens())


@contextlib.contextmanager
def _home(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="bellhop-sim-", dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None) as made:
        yield Path(made)


@contextlib.contextmanager
def _global_numbers(seed: int) -> Iterator[None]:
    """Seed the module-wide generator, from which libraries draw masks and shuffles, for the length of a run."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No warnings: the dead leave connections open and coroutines unfinished, which is the point of killing them."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = before
