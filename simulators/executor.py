"""Blocking work in virtual time: one writer in order of submission, a pool, and the crash points of a commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeVar

from simulators.acts import ActWatch
from simulators.faults import CrashKind, CrashPoint, ExecutorFaults
from simulators.loop import POOL_DELAY_S, Life, SimLoop, settle
from simulators.streams import Stream, between

T = TypeVar("T")

# From the end of the work to its `done`: a kill may fall between them. It must stay below the shortest commit.
WAKE_UP_S = 0.00005
COMMIT_S_MIN = 0.0001


class _Job(NamedTuple):
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    done: Callable[[Any, BaseException | None], None]
    crash: CrashPoint | None


class SimExecutor:
    """The executor of one life; work runs inline, as if no loop were running, when its time has come."""

    def __init__(
        self,
        loop: SimLoop,
        life: Life,
        numbers: Stream,
        faults: ExecutorFaults,
        on_submit: Callable[[], CrashPoint | None],
        die: Callable[[CrashPoint], None],
        watch: ActWatch | None = None,
    ) -> None:
        self._loop = loop
        self._life = life
        self._numbers = numbers
        self._faults = faults
        self._on_submit = on_submit
        self._die = die
        self._watch = watch
        self._jobs: deque[_Job] = deque()

    def submit(self, fn: Callable[..., T], args: tuple[Any, ...], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Run `fn(*args)` after all earlier work; then call `done(result, error)` on the loop."""
        if self._life.is_dead:
            return
        self._jobs.append(_Job(fn, args, done, self._on_submit()))
        if len(self._jobs) == 1:
            self._begin()

    async def run(self, fn: Callable[..., T], *args: Any) -> T:
        """Run `fn(*args)` beside the writer and return its result."""
        future: asyncio.Future[T] = self._loop.create_future()
        wait_s = between(self._numbers, COMMIT_S_MIN, POOL_DELAY_S)
        self._loop.call_later(wait_s, settle, future, _as_on_a_thread, (fn, args), context=self._life.context())
        return await future

    def _begin(self) -> None:
        wait_s = between(self._numbers, self._faults.commit_s_min, self._faults.commit_s_max)
        if self._numbers.random() < self._faults.slow_probability:
            wait_s += self._numbers.random() * self._faults.slow_s_max
        self._loop.call_later(max(wait_s, COMMIT_S_MIN), self._work, context=self._life.context())

    def _work(self) -> None:
        job = self._jobs[0]
        if job.crash is not None and job.crash.kind is CrashKind.BEFORE_COMMIT:
            self._die(job.crash)
            return
        with self._watch.looking() if self._watch is not None else nullcontext():
            result, error = _attempt(job.fn, job.args)
        crash = self._watch.point if self._watch is not None and self._watch.is_due else job.crash
        if crash is not None:
            self._die(crash)
            return
        self._jobs.popleft()
        self._loop.call_later(WAKE_UP_S, job.done, result, error, context=self._life.context())
        if self._jobs:
            self._begin()


def _attempt(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    try:
        return _as_on_a_thread(fn, args), None
    except Exception as error:  # noqa: BLE001 - the submitter decides what it means
        return None, error


def _as_on_a_thread(fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function where no loop is running, so that one which reaches for the loop fails here as it would for real."""
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return fn(*args)
    finally:
        asyncio._set_running_loop(loop)
