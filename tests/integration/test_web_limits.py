"""What the HTTP door bears from slow, greedy and confused peers; in virtual time, so that a minute's wait costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gateway.domain.failure import Refused
from gateway.web import problem
from gateway.web.body import read_body
from gateway.web.limits import Limits
from gateway.web.server import serve
from gateway.world import World
from simulators.world import Sim, run

LIMITS = Limits(body_bytes_max=1_000_000, header_timeout_s=10, body_timeout_s=30, keep_alive_s=75, connections_per_address_max=3)
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

Play = Callable[["Browser", Sim], Awaitable[None]]


class Peer(asyncio.Protocol):
    """A client that says what it is told to, and keeps what it hears."""

    def __init__(self, sim: Sim) -> None:
        self.heard = b""
        self.closed_at_s: float | None = None
        self.gone = asyncio.Event()
        self._sim = sim

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed_at_s = self._sim.loop.time()
        self.gone.set()

    def say(self, data: bytes) -> None:
        with contextlib.suppress(RuntimeError):
            self.transport.write(data)

    async def say_slowly(self, data: bytes, gap_s: float) -> None:
        for byte in data:
            if self.gone.is_set():
                return
            self.say(bytes([byte]))
            await asyncio.sleep(gap_s)


class Browser:
    """Opens connections from one machine."""

    def __init__(self, world: World, sim: Sim) -> None:
        self._world = world
        self._sim = sim

    async def open(self) -> Peer:
        _, peer = await self._world.network.connect(lambda: Peer(self._sim), "server", 8080)
        assert isinstance(peer, Peer)
        return peer

    async def ask(self, data: bytes) -> bytes:
        """What is answered until the door closes the connection."""
        peer = await self.open()
        peer.say(data)
        await peer.gone.wait()
        return peer.heard


async def server(world: World) -> None:
    async def echo(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await read_body(request, LIMITS) if request.method == "POST" else b"here")
        except Refused as refused:
            return problem.response(refused)

    app = web.Application()
    app.add_routes([web.get("/", echo), web.post("/", echo)])
    await serve(world, app, "0.0.0.0", 8080, LIMITS)
    await asyncio.sleep(1e6)


def play(scene: Play) -> None:
    async def main(sim: Sim) -> None:
        sim.node("server").start(server)
        await asyncio.sleep(1)
        browser = sim.node("browser")
        await browser.start(lambda world: _as_coroutine(scene, Browser(world, sim), sim))

    run(main, 1)


async def _as_coroutine(scene: Play, browser: Browser, sim: Sim) -> None:
    await scene(browser, sim)


@pytest.mark.parametrize("begin", [b"", b"G", HEAD])
def test_a_connection_whose_header_does_not_come_is_closed_at_the_deadline(begin: bytes):
    async def scene(browser: Browser, sim: Sim) -> None:
        opened_s = sim.loop.time()
        peer = await browser.open()
        peer.say(begin)
        await peer.gone.wait()

        assert peer.closed_at_s == pytest.approx(opened_s + 10, abs=0.5)

    play(scene)


def test_a_header_that_trickles_in_is_cut_off_at_the_deadline_all_the_same():
    async def scene(browser: Browser, sim: Sim) -> None:
        opened_s = sim.loop.time()
        peer = await browser.open()
        await peer.say_slowly(b"GET / HTTP/1.1\r\nX: " + b"a" * 1000, 0.3)

        assert peer.closed_at_s == pytest.approx(opened_s + 10, abs=0.5)

    play(scene)


def test_the_deadline_holds_for_every_header_of_a_connection():
    async def scene(browser: Browser, sim: Sim) -> None:
        peer = await browser.open()
        peer.say(GET)
        await asyncio.sleep(60)
        peer.say(GET)
        await asyncio.sleep(60)
        begun_s = sim.loop.time()
        await peer.say_slowly(HEAD, 1)
        await peer.gone.wait()

        assert peer.heard.count(b"200 OK") == 2
        assert peer.closed_at_s == pytest.approx(begun_s + 10, abs=0.5)

    play(scene)


def test_an_idle_connection_is_kept_for_as_long_as_the_settings_say():
    async def scene(browser: Browser, sim: Sim) -> None:
        peer = await browser.open()
        peer.say(GET)
        await asyncio.sleep(1)
        answered_s = sim.loop.time() - 1
        await peer.gone.wait()

        assert peer.closed_at_s == pytest.approx(answered_s + 75, abs=0.5)

    play(scene)


def test_a_body_may_take_its_time_but_not_longer_than_its_deadline():
    async def scene(browser: Browser, sim: Sim) -> None:
        steady, slow = await browser.open(), await browser.open()
        begun_s = sim.loop.time()
        for peer in (steady, slow):
            peer.say(HEAD + b"Content-Length: 100\r\n\r\n")
        await asyncio.gather(steady.say_slowly(b"1" * 100, 0.25), slow.say_slowly(b"1" * 100, 0.5))
        await slow.gone.wait()

        assert b"200 OK" in steady.heard
        assert b"408 Request Timeout" in slow.heard
        assert b'"reason":"too_slow"' in slow.heard
        assert slow.closed_at_s == pytest.approx(begun_s + 30, abs=3)

    play(scene)


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 1073741824\r\n\r\n" + b"x" * 5000,
        b"Content-Length: 1000001\r\n\r\n" + b"x" * 1_000_001,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"80000\r\n" + b"x" * 0x80000 + b"\r\n" + b"80000\r\n" + b"x" * 0x80000 + b"\r\n",
    ],
)
def test_a_body_over_the_limit_is_refused_without_being_read_to_its_end(rest: bytes):
    async def scene(browser: Browser, _sim: Sim) -> None:
        heard = await browser.ask(HEAD + rest)

        assert heard.startswith(b"HTTP/1.1 413 ")
        assert b'"reason":"too_large"' in heard

    play(scene)


def test_a_body_of_exactly_the_limit_is_taken():
    async def scene(browser: Browser, _sim: Sim) -> None:
        heard = await browser.ask(HEAD + b"Connection: close\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)

        assert heard.startswith(b"HTTP/1.1 200 ")
        assert heard.count(b"x") == 1_000_000

    play(scene)


def test_a_client_that_goes_away_in_the_middle_of_its_body_troubles_nobody(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    async def scene(browser: Browser, _sim: Sim) -> None:
        peer = await browser.open()
        peer.say(HEAD + b"Content-Length: 100\r\n\r\nx")
        await asyncio.sleep(1)
        peer.transport.abort()
        await asyncio.sleep(60)

        assert (await browser.ask(GET)).startswith(b"HTTP/1.1 200 ")

    play(scene)

    assert (caplog.text, capsys.readouterr().out) == ("", "")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % number for number in range(10_000)) + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nH: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"\0" * 100 + b"\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: -1\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", b"400"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", b"415"),
    ],
)
def test_what_is_no_decent_request_is_answered_with_a_problem_and_closed(
    sent: bytes, status: bytes, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    async def scene(browser: Browser, _sim: Sim) -> None:
        heard = await browser.ask(sent)

        assert heard.split()[1] == status
        assert b"application/problem+json" in heard

    play(scene)

    assert (caplog.text, capsys.readouterr().out) == ("", "")


def test_one_address_has_only_so_many_connections_and_gets_them_back():
    async def scene(browser: Browser, _sim: Sim) -> None:
        first, _second, third = [await browser.open() for _ in range(3)]
        refused = await browser.ask(GET)
        first.transport.close()
        await first.gone.wait()
        await asyncio.sleep(1)
        again = await browser.open()
        for peer in (third, again):
            peer.say(GET)
        await asyncio.sleep(1)

        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b'"reason":"too_many_connections"' in refused
        assert third.heard.startswith(b"HTTP/1.1 200 ")
        assert again.heard.startswith(b"HTTP/1.1 200 ")

    play(scene)


def test_pipelined_requests_are_answered_in_order():
    async def scene(browser: Browser, _sim: Sim) -> None:
        requests = [HEAD + b"Content-Length: 2\r\n\r\n%02d" % number for number in range(90)]
        peer = await browser.open()
        peer.say(b"".join(requests))
        await asyncio.sleep(5)

        assert [part[:2] for part in peer.heard.split(b"\r\n\r\n")[1:]] == [b"%02d" % number for number in range(90)]

    play(scene)
