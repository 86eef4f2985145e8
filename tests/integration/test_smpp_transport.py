"""One connection's bytes on a real loop, with and without TLS: who says much, or reads nothing, leaves the loop to the others."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from gateway.links.smpp_transport import PAUSE_S, SLICE_BYTES, SmppTransport
from gateway.real_world import RealWorld
from gateway.smpp import events as e
from gateway.smpp.pdu import RESPONSES
from gateway.smpp.session import Limits, Role, Session
from gateway.world import Clock
from tests.support.certificates import Authority, serving
from tests.support.wire import BIND_TRX, ENQUIRE_LINK, HOST, RESPONSE, SUBMIT_SM, bind_body, frame, message_body

MANY = 20_000
DEAF = 400_000  # its answers fill the kernel's buffers, of megabytes
PATIENCE_S = 60
_SHORT = frame(SUBMIT_SM, message_body(text=b""))
_LOOPS = pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])

Handle = Callable[[SmppTransport, list[e.Event]], None]
Play = Callable[["Door", int, ssl.SSLContext | None], Awaitable[None]]


class Watched(SmppTransport):
    """A connection that tells when its peer reads too little."""

    __slots__ = ("_stalled",)

    def __init__(self, session: Session, clock: Clock, handle: Handle, stalled: asyncio.Event) -> None:
        super().__init__(session, clock, handle)
        self._stalled = stalled

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled.set()


class Door:
    """A server's side that answers what it is asked at once, and keeps in which turn of the loop each request came."""

    def __init__(self) -> None:
        self.turn = 0
        self.came: list[tuple[int, int]] = []  # turn, sequence number
        self.stalled = asyncio.Event()
        self.gone = asyncio.Event()

    def make(self) -> SmppTransport:
        world = RealWorld()
        session = Session(Role.SMSC, Limits(peer_window_max=DEAF), now=world.clock.monotonic())
        return Watched(session, world.clock, self._handle, self.stalled)

    def count_turns(self) -> None:
        self.turn += 1
        asyncio.get_running_loop().call_soon(self.count_turns)

    def _handle(self, wire: SmppTransport, events: list[e.Event]) -> None:
        now = asyncio.get_running_loop().time()
        for event in events:
            match event:
                case e.BindRequested(bind):
                    wire.session.accept_bind(bind, "door", now)
                case e.RequestReceived(request):
                    self.came.append((self.turn, request.sequence_number))
                    wire.respond(request, RESPONSES[request.command_id](message_id="1"))
                case e.Closed():
                    self.gone.set()


def play(scene: Play, run: Callable[[Awaitable[None]], None], authority: Authority | None) -> None:
    """Run a scene beside an open door."""

    async def main() -> None:
        door = Door()
        serve = call = None
        if authority is not None:
            serve = serving(authority.sign("door", alt=f"IP:{HOST}"))
            call = ssl.create_default_context(cafile=authority.file)
        listener = await RealWorld().network.listen(door.make, HOST, 0, ssl=serve)
        async with asyncio.timeout(PATIENCE_S):
            await scene(door, listener.port, call)
        listener.close()
        await listener.wait_closed()

    run(main())


async def bound(port: int, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, port, ssl=tls)
    writer.write(frame(BIND_TRX, bind_body()))
    assert await answer(reader) == (BIND_TRX | RESPONSE, 0, 1)
    return reader, writer


async def answer(reader: asyncio.StreamReader) -> tuple[int, int, int]:
    length, command_id, status, sequence = struct.unpack(">LLLL", await reader.readexactly(16))
    await reader.readexactly(length - 16)
    return command_id, status, sequence


async def say(writer: asyncio.StreamWriter, octets: bytes) -> None:
    writer.write(octets)
    await writer.drain()


def enquiries(count: int) -> bytes:
    return b"".join(frame(ENQUIRE_LINK, sequence=number) for number in range(2, count + 2))


def submits(count: int) -> bytes:
    return b"".join(frame(SUBMIT_SM, message_body(text=b""), sequence=number) for number in range(2, count + 2))


@pytest.fixture(params=["plain", "tls"])
def authority(request: pytest.FixtureRequest, tmp_path: Path) -> Authority | None:
    return Authority(tmp_path, "root") if request.param == "tls" else None


@_LOOPS
def test_of_what_a_peer_says_no_more_than_one_read_is_taken_in_a_turn(run, authority):
    async def scene(door: Door, port: int, tls: ssl.SSLContext | None) -> None:
        reader, writer = await bound(port, tls)
        door.count_turns()
        writer.write(submits(MANY))
        for number in range(2, MANY + 2):
            assert await answer(reader) == (SUBMIT_SM | RESPONSE, 0, number)
        writer.close()

        turns = [turn for turn, _ in door.came]
        busiest = max(turns.count(turn) for turn in set(turns))
        assert [number for _, number in door.came] == list(range(2, MANY + 2))
        assert busiest <= 2 * SLICE_BYTES // len(_SHORT) + 1  # the end of one read, and the beginning of the next

    play(scene, run, authority)


@_LOOPS
def test_a_peer_that_asks_nothing_of_us_at_great_length_is_heard_now_and_then(run, authority):
    async def scene(door: Door, port: int, tls: ssl.SSLContext | None) -> None:
        reader, writer = await bound(port, tls)
        other_reader, other = await bound(port, tls)
        begun = asyncio.get_running_loop().time()
        writer.write(enquiries(MANY))
        other.write(submits(1))
        assert await answer(other_reader) == (SUBMIT_SM | RESPONSE, 0, 2)
        for number in range(2, MANY + 2):
            assert await answer(reader) == (ENQUIRE_LINK | RESPONSE, 0, number)
        pauses = MANY * 16 // (2 * SLICE_BYTES)
        assert asyncio.get_running_loop().time() - begun >= pauses * PAUSE_S

    play(scene, run, authority)


@_LOOPS
def test_a_peer_that_reads_late_is_answered_in_full(run, authority):
    async def scene(door: Door, port: int, tls: ssl.SSLContext | None) -> None:
        reader, writer = await bound(port, tls)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        talking = asyncio.create_task(say(writer, submits(DEAF)))
        await door.stalled.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        for number in range(2, DEAF + 2):
            assert await answer(reader) == (SUBMIT_SM | RESPONSE, 0, number)
        await talking

    play(scene, run, authority)


@_LOOPS
def test_what_came_before_the_end_of_the_stream_is_all_taken(run):
    async def scene(door: Door, port: int, tls: ssl.SSLContext | None) -> None:
        reader, writer = await bound(port, tls)
        writer.write(submits(MANY))
        writer.write_eof()
        await reader.read()
        await door.gone.wait()
        assert [number for _, number in door.came] == list(range(2, MANY + 2))

    play(scene, run, None)
