"""The only door to clock, entropy, network, threads and disk: Protocols that real_world implements and the simulation replaces.

Everything below the wiring takes a `World` (or one of its parts) as an argument; nothing else may ask the machine for the time,
a random number, a socket, a thread or a file. That is what lets the whole gateway run in simulated time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    import ssl as ssl_module

T = TypeVar("T")


class Clock(Protocol):
    """Wall time for records, monotonic time for timers."""

    def now_us(self) -> int:
        """UTC in microseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class Entropy(Protocol):
    """Random numbers: unpredictable in the real world, seeded in the simulated one."""

    def random(self) -> float:
        """Uniform in [0, 1)."""
        ...

    def token_bytes(self, size: int) -> bytes:
        """Bytes fit for keys and tokens."""
        ...


class Listener(Protocol):
    """An open listening socket."""

    @property
    def port(self) -> int: ...

    def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


class Network(Protocol):
    """TCP with asyncio's protocols; TCP_NODELAY is set on every connection."""

    async def listen(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: ssl_module.SSLContext | None = None,
    ) -> Listener:
        """Open a listening socket; port 0 picks a free one. Raises OSError."""
        ...

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
        ...


class Executor(Protocol):
    """Blocking work off the event loop."""

    def submit(self, fn: Callable[..., T], args: tuple[Any, ...], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Run `fn(*args)` on the one writer thread, in order of submission; then call `done(result, error)` on the loop."""
        ...

    async def run(self, fn: Callable[..., T], *args: Any) -> T:
        """Run `fn(*args)` on a pool thread and return its result: for reads, password hashing and files."""
        ...


class Disk(Protocol):
    """Files by path; every method blocks, so callers on the loop go through `Executor.run`."""

    def read_bytes(self, path: str) -> bytes: ...

    def write_durably(self, path: str, data: bytes) -> None:
        """Write beside, fsync, rename over and fsync the folder: the file is there whole or not at all."""
        ...

    def append_privately(self, path: str, data: bytes) -> None:
        """Write behind what the file has; one that is not there yet is made, for its owner's eyes alone."""
        ...

    def exists(self, path: str) -> bool: ...

    def make_folder(self, path: str) -> None: ...

    def remove(self, path: str) -> None: ...


class World(Protocol):
    """Everything outside the program."""

    clock: Clock
    entropy: Entropy
    network: Network
    executor: Executor
    disk: Disk

    def next_id(self) -> int:
        """A 63-bit id, later than every earlier one of this node, its low 8 bits zero (they number a message's segments)."""
        ...
