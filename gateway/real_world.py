"""The real world: the one file that asks the machine for the time, random numbers, sockets, threads and files."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.domain.ids import IdMaker
from gateway.services.ports import Ran

if TYPE_CHECKING:
    import ssl as ssl_module

    from gateway.world import Clock, Disk, Entropy, Executor, Network

T = TypeVar("T")

# Accept queue of a listening socket: a whole fleet of ESMEs may rebind in the same second.
LISTEN_BACKLOG = 1024
POOL_THREADS_MAX = 4


class RealClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        """UTC in microseconds since 1970."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return time.monotonic()


class RealEntropy:
    """The kernel's random numbers."""

    def __init__(self) -> None:
        self.random = random.SystemRandom().random

    def token_bytes(self, size: int) -> bytes:
        """Bytes fit for keys and tokens."""
        return secrets.token_bytes(size)


class RealListener:
    """A listening socket; closing it leaves accepted connections alone."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self._port = int(server.sockets[0].getsockname()[1])

    @property
    def port(self) -> int:
        return self._port

    def close(self) -> None:
        self._server.close()

    async def wait_closed(self) -> None:
        # Server.wait_closed waits for every accepted connection on newer Pythons; what is meant here is the listening socket alone.
        await asyncio.sleep(0)


class RealNetwork:
    """TCP on the running loop; asyncio and uvloop both set TCP_NODELAY on every stream they make."""

    async def listen(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: ssl_module.SSLContext | None = None,
    ) -> RealListener:
        """Open a listening socket; port 0 picks a free one. Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol_factory, host, port, ssl=ssl, backlog=LISTEN_BACKLOG, reuse_address=True)
        return RealListener(server)

    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: ssl_module.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> tuple[asyncio.BaseTransport, Any]:
        """Connect, returning transport and protocol; under TLS the name checked is `server_hostname`, else the host. Raises OSError."""
        loop = asyncio.get_running_loop()
        return await loop.create_connection(protocol_factory, host, port, ssl=ssl, server_hostname=server_hostname)


class _Job:
    """One piece of work on its way through the writer thread, and back to the loop that submitted it."""

    __slots__ = ("args", "done", "fn", "loop")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], done: Callable[[Any, BaseException | None], None]) -> None:
        self.fn = fn
        self.args = args
        self.done = done
        self.loop = asyncio.get_running_loop()

    def work(self) -> None:
        try:
            result, error = self.fn(*self.args), None
        except BaseException as raised:  # noqa: BLE001 - the submitter decides what it means; the thread must live on
            result, error = None, raised
        try:
            self.loop.call_soon_threadsafe(self.done, result, error)
        except RuntimeError:
            assert self.loop.is_closed()  # nobody is left to be told


class RealExecutor:
    """One writer thread that works in order of submission, and a small pool for everything else."""

    def __init__(self, pool_threads_max: int = POOL_THREADS_MAX) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self._pool = ThreadPoolExecutor(pool_threads_max, thread_name_prefix="bellhop-pool")
        self._is_closed = False

    def submit(self, fn: Callable[..., T], args: tuple[Any, ...], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Run `fn(*args)` on the one writer thread, in order of submission; then call `done(result, error)` on the loop."""
        if self._is_closed:
            raise RuntimeError("the executor is closed")
        if self._writer is None:
            # A daemon: if the program dies without close(), a hanging disk must not keep the process alive.
            self._writer = threading.Thread(target=self._write, name="bellhop-writer", daemon=True)
            self._writer.start()
        self._jobs.put(_Job(fn, args, done))

    async def run(self, fn: Callable[..., T], *args: Any) -> T:
        """Run `fn(*args)` on a pool thread and return its result: for reads, password hashing and files."""
        if self._is_closed:
            raise RuntimeError("the executor is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, fn, *args)

    async def close(self) -> None:
        """Finish the work already submitted, deliver its results, and end the threads."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._writer is not None:
            self._jobs.put(None)
            # Joined off the loop, so that the last results are delivered before this returns.
            await asyncio.get_running_loop().run_in_executor(self._pool, self._writer.join)
        self._pool.shutdown(wait=True)

    def _write(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.work()
            del job  # an idle thread must not keep the last batch in memory


class RealDisk:
    """The machine's files."""

    def __init__(self) -> None:
        self._drafts = itertools.count()

    def read_bytes(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write_durably(self, path: str, data: bytes) -> None:
        """Write beside, fsync, rename over and fsync the folder: the file is there whole or not at all."""
        # Two threads may write the same path at once: each has its own draft, and the later rename wins.
        draft = Path(f"{path}.{os.getpid()}-{next(self._drafts)}.tmp")
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _fsync_folder(draft.parent)

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


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RealWorld:
    """Everything outside the program, for real; close() it when the program ends."""

    def __init__(self, node: int = 0, id_floor: int = 0, *, pool_threads_max: int = POOL_THREADS_MAX) -> None:
        self._executor = RealExecutor(pool_threads_max)
        self.clock: Clock = RealClock()
        self.entropy: Entropy = RealEntropy()
        self.network: Network = RealNetwork()
        self.executor: Executor = self._executor
        self.disk: Disk = RealDisk()
        self.ids = IdMaker(node, id_floor)

    def next_id(self) -> int:
        """A 63-bit id, later than every earlier one of this node, its low 8 bits zero."""
        return self.ids.next_id(self.clock.now_us())

    async def close(self) -> None:
        """Finish the executor's work and end its threads."""
        await self._executor.close()


class RealCommands:
    """`bellhop …` as a process of its own, with the configuration this gateway was started with and the lowest priority."""

    def __init__(self, config: Path) -> None:
        self._config = str(config.absolute())

    async def run(self, arguments: Sequence[str]) -> Ran:
        """Run one command to its end; cancelled, it is stopped. Raises OSError when no process can be had."""
        command = (sys.executable, "-c", "import os; os.nice(19); from gateway.cli import main; main()", *arguments, "-c", self._config)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        return Ran(process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
