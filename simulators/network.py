"""TCP in memory: ordered byte streams between nodes, with latency, fragments, stalls, resets and back-pressure.

A node is reached by its name or its address (10.0.0.n), or, as on one machine, through the loopback that all nodes share.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulators.faults import NetworkFaults, Stall
from simulators.loop import Life, SimLoop, SimulationError
from simulators.streams import between, stream
from simulators.transport import Party, SimTransport

if TYPE_CHECKING:
    import ssl as ssl_module

EPHEMERAL_PORT_MIN = 32768
ANY_HOST = "*"
LOOPBACK = "127.0.0.1"

Log = Callable[..., None]


class SimListener:
    """A listening socket in memory."""

    def __init__(self, fabric: Fabric, party: Party, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> None:
        self.party = party
        self.host = host
        self.factory = factory
        self.context = party.context()
        self._fabric = fabric
        self._port = port

    @property
    def port(self) -> int:
        return self._port

    def close(self) -> None:
        self._fabric.unlisten(self)

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)

    def clashes(self, party: Party, host: str) -> bool:
        """Whether another socket can't have this one's port: same address of one machine, or the loopback that all share."""
        if self.party.name != party.name:
            return self.host == host == LOOPBACK
        return self.host == host or ANY_HOST in (self.host, host)

    def answers(self, host: str) -> bool:
        """Whether this is where a dialled host leads to: a node's name or address, or the loopback that all nodes share."""
        if host == LOOPBACK:
            return self.host in (ANY_HOST, LOOPBACK)
        return host in (self.party.name, self.party.ip) and self.host in (ANY_HOST, host, self.party.name, self.party.ip)


class Fabric:
    """All cables, listeners and connections of a run."""

    def __init__(self, loop: SimLoop, seed: int, faults: NetworkFaults, log: Log) -> None:
        self.loop = loop
        self.faults = faults
        self.log = log
        self.context = contextvars.Context()
        self._seed = seed
        self._numbers = stream(seed, "network")
        self._listeners: dict[int, list[SimListener]] = {}
        self._ends: dict[SimTransport, None] = {}  # in order of making, unlike a set
        self._made = 0
        self._port = EPHEMERAL_PORT_MIN
        for stall in faults.stalls:
            loop.call_at(loop.time() + stall.at_s, self._stall, stall, context=self.context)
        for at_s in faults.resets_at_s:
            loop.call_at(loop.time() + at_s, self.reset_one, context=self.context)

    def latency_s(self) -> float:
        """How long one way takes, this time."""
        return between(self._numbers, self.faults.latency_s_min, self.faults.latency_s_max)

    def free_port(self) -> int:
        """A port that nobody uses."""
        self._port += 1
        return self._port

    def listen(self, party: Party, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> SimListener:
        """Open a listening socket."""
        host, port = canonical(host), port or self.free_port()
        listeners = self._listeners.setdefault(port, [])
        if any(listener.clashes(party, host) for listener in listeners):
            raise OSError(errno.EADDRINUSE, f"error while attempting to bind on address ('{host}', {port}): address already in use")
        listener = SimListener(self, party, factory, host, port)
        listeners.append(listener)
        self.log("listening", node=party.name, port=port)
        return listener

    def unlisten(self, listener: SimListener) -> None:
        """Close a listening socket."""
        listeners = self._listeners.get(listener.port, [])
        if listener in listeners:
            listeners.remove(listener)

    async def connect(
        self, party: Party, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> tuple[SimTransport, asyncio.BaseProtocol]:
        """Dial, wait for the answer, and start the protocol."""
        dialled = canonical(host)
        await asyncio.sleep(self.latency_s())
        listener = next((found for found in self._listeners.get(port, []) if found.answers(dialled)), None)
        back_s = self.latency_s()
        if listener is None:
            await asyncio.sleep(back_s)
            self.log("refused", node=party.name, port=port)
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed ('{host}', {port})")
        near, far = self._join(party, listener, dialled, port)
        far.pipe.not_before(self.loop.time() + back_s)
        far.open_with(listener.factory)
        try:
            await asyncio.sleep(back_s)
        except asyncio.CancelledError:
            near.abort()
            raise
        protocol = factory()
        near.open(protocol)
        return near, protocol

    def connections(self) -> list[int]:
        """The numbers of the open connections, oldest first."""
        return list(dict.fromkeys(end.number for end in self._ends))

    def reset(self, number: int) -> None:
        """Break a connection: both ends lose it, and what was under way."""
        self.log("reset", connection=number)
        for end in [end for end in self._ends if end.number == number]:
            end.sever()

    def reset_one(self) -> None:
        """Break one of the open connections, if there is any."""
        if numbers := self.connections():
            self.reset(self._numbers.choice(numbers))

    def stall_node(self, name: str, for_s: float) -> None:
        """Let nothing reach or leave a node for a while, on the connections it has; nothing is lost."""
        for end in self._ends:
            if name in (end.party.name, end.peer.party.name):
                end.pipe.hold(for_s)

    def orphan(self, life: Life) -> None:
        """Close what a dead life left open."""
        for listeners in self._listeners.values():
            listeners[:] = [listener for listener in listeners if listener.party.life is not life]
        for end in [end for end in self._ends if end.party.life is life]:
            life.remains.append(end)
            end.orphan()
            self.forget(end)

    def forget(self, end: SimTransport) -> None:
        """One end is closed."""
        self._ends.pop(end, None)

    def _join(self, party: Party, listener: SimListener, dialled: str, port: int) -> tuple[SimTransport, SimTransport]:
        self._made += 1
        numbers = stream(self._seed, "connection", self._made)
        near_name = (LOOPBACK if dialled == LOOPBACK else party.ip, self.free_port())
        far_name = (LOOPBACK if dialled == LOOPBACK else listener.party.ip, port)
        near = SimTransport(self, self._made, party, party.context(), numbers, {"sockname": near_name, "peername": far_name})
        far = SimTransport(
            self, self._made, listener.party, listener.context.copy(), numbers, {"sockname": far_name, "peername": near_name}
        )
        near.peer, far.peer = far, near
        self._ends[near] = self._ends[far] = None
        self.log("connected", connection=self._made, client=party.name, server=listener.party.name, port=port)
        return near, far

    def _stall(self, stall: Stall) -> None:
        if self._ends:
            end = self._numbers.choice(list(self._ends))
            self.log("stalled", connection=end.number, sender=end.party.name, for_us=round(stall.for_s * 1e6))
            end.pipe.hold(stall.for_s)


class SimNetwork:
    """The network as one life of a node sees it."""

    def __init__(self, fabric: Fabric, party: Party) -> None:
        self._fabric = fabric
        self._party = party

    async def listen(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: ssl_module.SSLContext | None = None,
    ) -> SimListener:
        """Open a listening socket; port 0 picks a free one. Raises OSError."""
        _refuse_tls(ssl)
        await asyncio.sleep(0)
        return self._fabric.listen(self._party, protocol_factory, host, port)

    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: ssl_module.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> tuple[asyncio.BaseTransport, Any]:
        """Connect to a node by name or address, or to whichever listens on the shared loopback. Raises OSError."""
        _refuse_tls(ssl)
        return await self._fabric.connect(self._party, protocol_factory, host, port)


def canonical(host: str | None) -> str:
    """A host in one spelling."""
    if host in (None, "", "0.0.0.0", "::"):
        return ANY_HOST
    return LOOPBACK if host in ("localhost", "::1") else str(host)


def _refuse_tls(ssl: object) -> None:
    if ssl is not None:
        raise SimulationError("TLS is not simulated: its random numbers are nobody's seed")


def address_of(number: int) -> str:
    """The address of the n-th node."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
