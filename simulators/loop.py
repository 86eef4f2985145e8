"""An asyncio event loop in virtual time, on which a whole program can die between two callbacks as by kill -9.

Time stands still while callbacks run and jumps to the next timer when none is ready. Every callback belongs to the *life* that its
context carries; when a life ends its callbacks, timers and tasks are dropped, and nothing it left behind is ever scheduled again.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import selectors
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")
H = TypeVar("H", bound=asyncio.Handle)

# Timers closer together than this are due together. It must stay far above the rounding of a float that counts seconds.
RESOLUTION_S = 1e-6
TURNS_MAX = 1_000_000
POOL_DELAY_S = 0.001


class SimulationError(Exception):
    """
    SimulationError
      DeadlockError  nothing is ready, nothing is scheduled, and somebody still waits
      OvertimeError  the run is longer than its limit, in virtual time or in loop turns without any
      ProgramError   a simulated program failed in a way that no crash explains
    """


class DeadlockError(SimulationError):
    """Nothing will ever happen again."""


class OvertimeError(SimulationError):
    """The run does not come to its end."""


class ProgramError(SimulationError):
    """A simulated program failed; the cause is chained."""


class Life:
    """One run of a node's program, from its start to its death."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        # Whatever is freed runs code: a coroutine its `finally`, an object its __del__. So a dead life's things are kept until `bury`.
        self.remains: list[object] = []

    def is_current(self) -> bool:
        """Whether the code that runs now belongs to this life."""
        return LIFE.get() is self

    def context(self) -> contextvars.Context:
        """A fresh context in which everything belongs to this life."""
        context = contextvars.Context()
        context.run(LIFE.set, self)
        return context

    def bury(self) -> None:
        """Close the coroutines this life left, after the run; whatever they do meanwhile reaches nobody."""
        assert self.is_dead
        tasks = [thing for thing in self.remains if isinstance(thing, asyncio.Task)]
        for task in tasks:
            coroutine = task.get_coro()
            if isinstance(coroutine, Coroutine):
                with contextlib.suppress(BaseException):
                    self.context().run(coroutine.close)
        self.remains.clear()


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


def is_dead(context: contextvars.Context | None = None) -> bool:
    """Whether a context, by default the current one, belongs to a life that is over."""
    life = LIFE.get() if context is None else context.get(LIFE)
    return life is not None and life.is_dead


class _Timeline(selectors.BaseSelector):
    """A selector without files: to wait is to jump to the next timer."""

    def __init__(self, pass_time: Callable[[float | None], None]) -> None:
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._pass_time(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> NoReturn:
        raise SimulationError("there are no files or sockets in virtual time; connect through World.network")

    def unregister(self, fileobj: Any) -> NoReturn:
        raise KeyError(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class SimLoop(asyncio.SelectorEventLoop):
    """The loop; `end_s` and `TURNS_MAX` bound a run that would never end."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float

    def __init__(self, end_s: float) -> None:
        self._now = 0.0
        self._end_s = end_s
        self._turns = 0
        self._tasks_made = 0
        self._abandoned: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.errors: list[dict[str, Any]] = []
        super().__init__(_Timeline(self._pass_time))
        self._clock_resolution = RESOLUTION_S
        self.set_exception_handler(lambda loop, context: self._note_error(context))

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._now

    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None) -> asyncio.Handle:
        """As in asyncio; a dead life's callback is dropped."""
        if is_dead(context):
            return self._drop(asyncio.Handle(callback, args, self, context))
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """The same as `call_soon`: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio; a dead life's timer is dropped."""
        if is_dead(context):
            return self._drop(asyncio.TimerHandle(when, callback, args, self, context))
        return super().call_at(when, callback, *args, context=context)

    def create_task(self, coro: Any, *, name: object = None, context: contextvars.Context | None = None) -> asyncio.Task[Any]:
        """As in asyncio, with names that are the same in every run, and known to the life it belongs to."""
        life = LIFE.get() if context is None else context.get(LIFE)
        self._tasks_made += 1
        number = f"{life.name if life else 'host'}-{self._tasks_made:06}"
        task: asyncio.Task[Any] = super().create_task(coro, name=f"{number} {name or ''}".rstrip(), context=context)
        if life is not None:
            life.tasks.add(task)
            if life.is_dead:
                self._abandon(life, task)
        return task

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # no thread is ever given
        """Run blocking work inline, a little later: some libraries call this by themselves."""
        future: asyncio.Future[Any] = self.create_future()
        self.call_later(POOL_DELAY_S, settle, future, func, args)
        return future

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> NoReturn:
        """Signals are the machine's: a simulated program is stopped by killing its node."""
        raise NotImplementedError

    def kill(self, life: Life) -> None:
        """End a life at once: none of its code runs again, not even to clean up."""
        life.is_dead = True
        for task in sorted(life.tasks, key=asyncio.Task.get_name):
            self._abandon(life, task)
        for handle in [*self._ready, *self._scheduled]:
            if not handle.cancelled() and _context_of(handle).get(LIFE) is life:
                self._drop(handle)

    def waiting_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks of the living that wait for something, in order of making."""
        waiting = [task for task in asyncio.all_tasks(self) if task not in self._abandoned]
        return sorted(waiting, key=asyncio.Task.get_name)

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        if not self.is_closed() and not is_dead():
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]  # asyncio's own hook, which typeshed leaves out

    def _make_self_pipe(self) -> None:
        """Nothing outside ever wakes this loop."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """There is nobody to wake."""

    def _abandon(self, life: Life, task: asyncio.Task[Any]) -> None:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that a killed task is pending is no news
        life.remains.append(task)
        self._abandoned.add(task)

    def _drop(self, handle: H) -> H:
        life = _context_of(handle).get(LIFE)
        assert life is not None
        life.remains.append([getattr(handle, name) for name in ("_callback", "_args")])
        handle.cancel()
        return handle

    def _pass_time(self, timeout: float | None) -> None:
        if timeout == 0:
            self._turns += 1
            if self._turns > TURNS_MAX:
                raise OvertimeError(f"{TURNS_MAX} turns of the loop without time passing, at {self._now:.6f} s")
            return
        if timeout is None:
            raise DeadlockError(f"at {self._now:.6f} s nothing is scheduled, and these wait: " + self._who_waits())
        self._turns = 0
        self._now = max(self._now, self._scheduled[0].when())
        if self._now > self._end_s:
            raise OvertimeError(f"not finished after {self._end_s} virtual seconds; these wait: " + self._who_waits())

    def _who_waits(self) -> str:
        return ", ".join(task.get_name() for task in self.waiting_tasks()) or "none"

    def _note_error(self, context: dict[str, Any]) -> None:
        handle = context.get("handle")
        if not is_dead(None if handle is None else _context_of(handle)):
            self.errors.append(context)


def settle(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Call a function and put what comes of it into a future."""
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
        if not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)


def _context_of(handle: asyncio.Handle) -> contextvars.Context:
    context = getattr(handle, "_context")  # noqa: B009 - typeshed leaves it out
    assert isinstance(context, contextvars.Context)
    return context
