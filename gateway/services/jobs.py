"""Work that the staff orders and that takes minutes: it runs as a command of our own beside the gateway, so that traffic does not feel it.

A job is remembered in memory only. What it does is durable and can be ordered again: an export gives the same files, an import refuses
the same file twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.domain.failure import Kind, Refused
from gateway.services.ports import Commands
from gateway.world import World

RUNNING_MAX = 2
REMEMBERED_MAX = 200


class Job(NamedTuple):
    """One ordered piece of work; `answer` is what its command printed as JSON."""

    id: int
    kind: str
    by: str
    state: str  # running, done or failed
    started_at: int
    ended_at: int | None = None
    answer: Any = None
    error: str = ""


class Jobs:
    """The jobs of this life of the gateway."""

    def __init__(self, world: World, commands: Commands | None) -> None:
        self._world = world
        self._commands = commands
        self._jobs: dict[int, Job] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.taken: set[str] = set()  # files that wait for their job, or that one reads

    @property
    def running(self) -> int:
        """How many run."""
        return len(self._tasks)

    def check(self) -> None:
        """Raise Refused (`busy`) while as many run as may, and (`unavailable`) where there are no processes."""
        if self._commands is None:
            raise Refused("unavailable", "this gateway runs no commands; run `bellhop billing` beside it", kind=Kind.TEMPORARY)
        if len(self._tasks) >= RUNNING_MAX:
            raise Refused("busy", f"{RUNNING_MAX} jobs run already; ask again when one has ended", kind=Kind.TEMPORARY)

    def start(self, kind: str, by: str, arguments: Sequence[str], files: Sequence[str] = ()) -> Job:
        """Begin a job; raises what `check` does. At its end, whatever that is, `files` are removed."""
        self.check()
        assert self._commands is not None
        job = Job(int(self._world.next_id()), kind, by, "running", self._world.clock.now_us())
        self._keep(job)
        task = asyncio.get_running_loop().create_task(self._run(self._commands, job, list(arguments), files), name=f"job {kind}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return job

    async def settled(self, job_id: int, seconds: float) -> Job | None:
        """A job once it has ended, or as it stands after so many seconds; None for one that is not remembered."""
        task = self._tasks.get(job_id)
        if task is not None and seconds > 0:
            await asyncio.wait([task], timeout=seconds)
        return self._jobs.get(job_id)

    def newest(self) -> list[Job]:
        """All that are remembered, the newest first."""
        return sorted(self._jobs.values(), reverse=True)

    async def stop(self) -> None:
        """Stop what runs; it can be ordered again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, commands: Commands, job: Job, arguments: list[str], files: Sequence[str]) -> None:
        failed = job._replace(state="failed")
        ended = failed._replace(error="stopped with the gateway")
        try:
            ran = await commands.run(arguments)
            answer = _json(ran.out)
            # 1 says "not all is well" with an answer, such as a reconciliation with differences; more is a refusal.
            if ran.code in (0, 1) and answer is not None:
                ended = job._replace(state="done", answer=answer, error="")
            else:
                ended = failed._replace(error=ran.err.strip().removeprefix("error: ")[:1000] or f"exit code {ran.code}")
        except OSError as error:
            ended = failed._replace(error=error.strerror or "no process could be started")
        finally:
            self._keep(ended._replace(ended_at=self._world.clock.now_us()))
            for each in files:
                with contextlib.suppress(OSError):
                    await self._world.executor.run(self._world.disk.remove, each)
            self.taken.difference_update(files)

    def _keep(self, job: Job) -> None:
        self._jobs[job.id] = job
        for old in [each for each in self._jobs if each not in self._tasks][: max(0, len(self._jobs) - REMEMBERED_MAX)]:
            del self._jobs[old]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
