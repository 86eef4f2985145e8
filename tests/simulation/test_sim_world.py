"""The simulated world: one seed one history, death without last words, and a network that keeps its bytes in order."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientWebSocketResponse, WSMsgType, web

from gateway.world import World
from simulators.faults import CrashKind, CrashPoint, ExecutorFaults, FaultPlan, NetworkFaults, SmscFaults, Stall
from simulators.http_client import http_session
from simulators.streams import stream
from simulators.world import DeadlockError, OvertimeError, ProgramError, Sim, SimulationError, SimWorld, run

# Time


def test_a_thousand_seconds_of_sleep_take_no_time() -> None:
    async def main(sim: Sim) -> float:
        for _ in range(1000):
            await asyncio.sleep(1)
        return sim.loop.time()

    assert run(main, 1) == pytest.approx(1000)  # many times what a test may take: waited for, it would end by its timeout


def test_wall_clock_and_timers_tell_the_same_time_unless_a_node_is_wrong() -> None:
    async def main(sim: Sim) -> tuple[int, int]:
        node = sim.node("gateway")
        began_us, began_s = node.world.clock.now_us(), node.world.clock.monotonic()
        await asyncio.sleep(2.5)
        assert node.world.clock.monotonic() - began_s == pytest.approx(2.5)
        right = node.world.clock.now_us() - began_us
        node.clock_offset_us = -3_600_000_000
        return right, node.world.clock.now_us() - began_us

    assert run(main, 1) == (2_500_000, 2_500_000 - 3_600_000_000)


def test_ids_rise_through_crashes_and_clock_changes() -> None:
    async def main(sim: Sim) -> list[int]:
        node = sim.node("gateway")
        made = [node.world.next_id(), node.world.next_id()]
        node.kill()
        node.clock_offset_us = -1_000_000
        node.start(lambda world: asyncio.sleep(0))
        return [*made, node.world.next_id()]

    made = run(main, 1)

    assert made == sorted(set(made))
    assert all(one & 0xFF == 0 for one in made)


def test_waiting_for_what_never_happens_is_an_error_that_names_who_waits() -> None:
    async def main(sim: Sim) -> None:
        await sim.loop.create_future()

    with pytest.raises(DeadlockError, match=r"host-.* main"):
        run(main, 1)


def test_a_run_that_does_not_end_is_stopped() -> None:
    async def main(sim: Sim) -> None:
        while True:
            await asyncio.sleep(10)

    with pytest.raises(OvertimeError, match="100"):
        run(main, 1, virtual_s_max=100)


def test_a_program_that_fails_fails_the_run() -> None:
    async def program(world: SimWorld) -> None:
        await asyncio.sleep(1)
        raise KeyError("oops")

    async def main(sim: Sim) -> None:
        sim.node("gateway").start(program)
        await asyncio.sleep(100)

    with pytest.raises(ProgramError, match=r"seed 7, at 1\.0.*gateway"):
        run(main, 7)


def test_an_exception_in_a_callback_fails_the_run() -> None:
    async def main(sim: Sim) -> None:
        sim.loop.call_soon(int, "x")
        await asyncio.sleep(1)

    with pytest.raises(ProgramError, match="Exception in callback"):
        run(main, 1)


# One seed, one history


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Caller(Echo):
    """Gathers everything it is told."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.pieces = 0
        self.told: list[str] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.pieces += 1

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.lost.set_result(exc)


async def echo_server(world: World) -> None:
    await world.network.listen(Echo, "0.0.0.0", 7)
    await asyncio.sleep(1e6)


async def busy_caller(world: SimWorld) -> None:
    while True:
        await asyncio.sleep(world.entropy.random())
        try:
            transport, caller = await world.network.connect(Caller, "server", 7)
        except OSError:
            continue
        caller.transport.write(world.entropy.token_bytes(1000))
        await asyncio.sleep(world.entropy.random())
        transport.close()
        world.log("heard", size=len(caller.heard), names=sorted({"a", "b", "c"}))


async def storm(sim: Sim) -> str:
    sim.node("server").start(echo_server)
    for name in ("c", "a", "b"):
        sim.node(name).start(busy_caller)
    await asyncio.sleep(30)
    return sim.digest()


def storm_digest(seed: int) -> str:
    return run(storm, seed, plan=FaultPlan.draw(seed, 1.0, duration_s=30, crash_node="server"))


def test_the_same_seed_gives_the_same_history_and_another_seed_another() -> None:
    digests = [storm_digest(seed) for seed in (5, 5, 6)]

    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("hash_seed", ["1", "999"])
def test_the_history_does_not_depend_on_the_process(hash_seed: str) -> None:
    load = (
        f"spec = util.spec_from_file_location('storm', {__file__!r}); module = util.module_from_spec(spec); spec.loader.exec_module(module)"
    )
    code = f"from importlib import util; {load}; print(module.storm_digest(5))"
    root = str(Path(__file__).parents[2])

    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout.strip() == storm_digest(5)
    assert shown.stderr == ""


def test_a_fact_whose_text_may_differ_is_refused_by_the_log() -> None:
    async def main(sim: Sim) -> None:
        sim.log("bad", things={"a", "b"})

    with pytest.raises(TypeError, match="set can't be logged"):
        run(main, 1)


def test_a_fault_plan_is_the_same_for_ever_and_calm_at_intensity_0() -> None:
    plan = FaultPlan.draw(3, 0.7)

    assert plan == FaultPlan.draw(3, 0.7) != FaultPlan.draw(4, 0.7)
    calm = FaultPlan.draw(3, 0.0)
    assert (calm.crashes, calm.network.resets_at_s, calm.network.stalls, calm.network.fragment_probability) == ((), (), (), 0.0)
    assert calm.smsc == SmscFaults()


def test_raising_one_smsc_fault_leaves_the_others_as_they_were() -> None:
    def draws(faults: SmscFaults) -> list[Any]:
        numbers = stream(1, "smsc")
        return [faults.draw(numbers) for _ in range(300)]

    some = draws(SmscFaults(resp_lost=0.2, receipt_late=0.2))
    more = draws(SmscFaults(resp_lost=0.2, receipt_late=0.2, throttle=0.5))

    assert [fault._replace(is_throttled=False) for fault in more] == some
    assert 30 < sum(fault.is_response_lost for fault in some) < 90
    assert sum(fault.is_throttled for fault in more) > 100


# Death


def test_a_kill_drops_tasks_timers_and_callbacks_without_running_their_code() -> None:
    seen: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            seen.append("finally")

    async def program(world: SimWorld) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(3, seen.append, "timer")
        task = asyncio.create_task(child())
        try:
            await task
        except asyncio.CancelledError:
            seen.append("cancelled")

    async def main(sim: Sim) -> None:
        node = sim.node("gateway")
        node.start(program)
        await asyncio.sleep(2)
        node.kill()
        await asyncio.sleep(100)
        assert seen == []
        assert not node.is_alive

    run(main, 1)


def test_a_future_completed_by_the_living_does_not_wake_the_dead() -> None:
    seen: list[str] = []

    async def main(sim: Sim) -> None:
        future = sim.loop.create_future()

        async def program(world: SimWorld) -> None:
            await future
            seen.append("woken")

        node = sim.node("gateway")
        node.start(program)
        await asyncio.sleep(1)
        node.kill()
        future.set_result(None)
        await asyncio.sleep(1)
        assert seen == []

    run(main, 1)


def test_a_program_that_kills_its_own_node_reaches_nobody_afterwards() -> None:
    async def main(sim: Sim) -> list[str]:
        seen: list[str] = []
        node = sim.node("gateway")

        async def program(world: SimWorld) -> None:
            node.kill()
            world.log("after death")
            world.executor.submit(seen.append, ("work",), lambda result, error: None)
            asyncio.create_task(asyncio.sleep(0)).add_done_callback(lambda task: seen.append("task"))
            await asyncio.sleep(0)
            seen.append("awake")

        node.start(program)
        await asyncio.sleep(10)
        assert sim.journal.of_kind("after death") == []
        return seen

    assert run(main, 1) == []


def test_a_dead_node_gets_no_world_until_it_is_started_again() -> None:
    async def main(sim: Sim) -> int:
        node = sim.node("gateway")
        node.kill()
        with pytest.raises(SimulationError, match="gateway is dead"):
            _ = node.world
        await node.start(lambda world: asyncio.sleep(1))
        return node.lives

    assert run(main, 1) == 2


@pytest.mark.parametrize("seed", range(6))
def test_peers_of_a_killed_node_lose_their_connections_and_find_no_listener(seed: int) -> None:
    async def main(sim: Sim) -> None:
        server, client = sim.node("server"), sim.node("client")
        server.start(echo_server)
        await asyncio.sleep(1)
        _, caller = await client.world.network.connect(Caller, "server", 7)
        began = sim.loop.time()

        server.kill()

        error = await caller.lost
        assert error is None or isinstance(error, ConnectionResetError)
        assert 0 < sim.loop.time() - began < 0.1
        with pytest.raises(ConnectionRefusedError):
            await client.world.network.connect(Caller, "server", 7)

    run(main, seed)


def test_files_survive_a_kill_and_uncommitted_work_does_not() -> None:
    async def main(sim: Sim) -> list[int]:
        node = sim.node("gateway")
        path = f"{node.folder}/book.db"
        old = sqlite3.connect(path, isolation_level=None)
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("PRAGMA locking_mode=EXCLUSIVE")
        old.execute("CREATE TABLE entry (n INTEGER)")
        old.execute("INSERT INTO entry VALUES (1)")
        old.execute("BEGIN IMMEDIATE")
        old.execute("INSERT INTO entry VALUES (2)")
        node.world.disk.write_durably(f"{node.folder}/run.csv", b"1")

        node.kill()
        node.start(lambda world: asyncio.sleep(0))

        new = sqlite3.connect(path, isolation_level=None)
        new.execute("INSERT INTO entry VALUES (3)")
        old.close()  # late, as when garbage is collected: it must not touch the new life's files
        found = [row[0] for row in new.execute("SELECT n FROM entry ORDER BY n")]
        new.close()
        assert node.world.disk.read_bytes(f"{node.folder}/run.csv") == b"1"
        return found

    assert run(main, 1) == [1, 3]


# Executor and crash points


Work = Callable[[SimWorld], Coroutine[Any, Any, None]]


def played(crashes: tuple[CrashPoint, ...], program: Work, *, for_s: float = 60.0, seed: int = 1) -> list[tuple[str, Any]]:
    """Run a program on a node that crashes as given, and tell what it and its node logged."""

    async def main(sim: Sim) -> list[tuple[str, Any]]:
        sim.node("gateway").start(program)
        await asyncio.sleep(for_s)
        return [(event.kind, event.facts.get("n")) for event in sim.journal.events]

    return run(main, seed, plan=FaultPlan(seed, executor=ExecutorFaults(slow_probability=0.2), crashes=crashes))


async def five_jobs(world: SimWorld) -> None:
    def work(number: int) -> int:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        world.log("ran", n=number)
        return number

    for number in range(1, 6):
        world.executor.submit(work, (number,), lambda result, error: world.log("done", n=result))


def test_the_writer_works_in_order_one_at_a_time() -> None:
    events = played((), five_jobs)

    assert [n for kind, n in events if kind == "ran"] == [1, 2, 3, 4, 5]
    assert [n for kind, n in events if kind == "done"] == [1, 2, 3, 4, 5]


def test_a_crash_before_commit_loses_that_work_and_all_behind_it() -> None:
    events = played((CrashPoint(CrashKind.BEFORE_COMMIT, count=3, restart_after_s=None),), five_jobs)

    assert [n for kind, n in events if kind == "ran"] == [1, 2]
    assert [kind for kind, _ in events][-2:] == ["crash", "kill"]


def test_a_crash_after_commit_keeps_the_work_and_tells_nobody() -> None:
    events = played((CrashPoint(CrashKind.AFTER_COMMIT, count=3, restart_after_s=None),), five_jobs)

    assert [n for kind, n in events if kind == "ran"] == [1, 2, 3]
    assert 3 not in [n for kind, n in events if kind == "done"]


def test_a_crashed_node_restarts_and_dies_again_as_planned() -> None:
    crashes = (
        CrashPoint(CrashKind.AFTER_COMMIT, count=1, restart_after_s=2.0),
        CrashPoint(CrashKind.AT_TIME, at_s=0.00001, restart_after_s=2.0),
        CrashPoint(CrashKind.BEFORE_COMMIT, count=5, restart_after_s=None),
    )

    events = played(crashes, five_jobs)

    assert [n for kind, n in events if kind == "ran"] == [1, 1, 2, 3, 4]
    assert [kind for kind, _ in events].count("start") == 3


def test_an_error_of_the_work_reaches_its_submitter() -> None:
    async def program(world: SimWorld) -> None:
        world.executor.submit(int, ("x",), lambda result, error: world.log("done", n=type(error).__name__))
        with pytest.raises(ValueError, match="invalid literal"):
            await world.executor.run(int, "y")
        world.log("pool", n=await world.executor.run(int, "7"))

    events = played((), program)

    assert ("done", "ValueError") in events
    assert ("pool", 7) in events


@pytest.mark.parametrize(("share", "arriving"), [(1.0, b"onetwo"), (0.0, b"one"), (0.34, b"onet")])
def test_a_crash_after_a_write_lets_the_bytes_arrive_whole_or_cut(share: float, arriving: bytes) -> None:
    async def program(world: SimWorld) -> None:
        transport, _ = await world.network.connect(Caller, "phone", 7)
        for word in (b"one", b"two", b"three"):
            transport.write(word)  # type: ignore[attr-defined]  # a stream

    async def main(sim: Sim) -> bytes:
        callers: list[Caller] = []

        def accept() -> Caller:
            callers.append(Caller())
            return callers[-1]

        await sim.node("phone").world.network.listen(accept, "", 7)
        sim.node("gateway").start(program)
        await asyncio.sleep(1)
        assert not sim.node("gateway").is_alive
        await callers[0].lost
        return bytes(callers[0].heard)

    crash = CrashPoint(CrashKind.AFTER_WRITE, count=2, arriving_share=share, restart_after_s=None)
    assert run(main, 1, plan=FaultPlan(1, crashes=(crash,))) == arriving


# Network


def echoed(data: bytes, network: NetworkFaults, seed: int = 1) -> tuple[bytes, int]:
    """What comes back of data sent to an echo server, and in how many pieces."""

    async def main(sim: Sim) -> tuple[bytes, int]:
        sim.node("server").start(echo_server)
        await asyncio.sleep(1)
        _, caller = await sim.node("client").world.network.connect(Caller, "server", 7)
        for at in range(0, len(data), 5000):
            caller.transport.write(data[at : at + 5000])
        while len(caller.heard) < len(data):
            await asyncio.sleep(0.01)
        return bytes(caller.heard), caller.pieces

    return run(main, seed, plan=FaultPlan(seed, network=network))


@pytest.mark.parametrize("seed", range(5))
def test_fragments_and_stalls_keep_the_byte_stream(seed: int) -> None:
    data = stream(seed, "data").randbytes(200_000)

    heard, pieces = echoed(data, NetworkFaults(fragment_probability=0.9, stalls=(Stall(1.01, 3.0), Stall(1.02, 5.0))), seed)

    assert heard == data
    assert pieces > 40


def test_a_sender_is_paused_while_its_peer_does_not_read() -> None:
    async def main(sim: Sim) -> None:
        callers: list[Caller] = []

        def accept() -> Caller:
            callers.append(Caller())
            return callers[-1]

        await sim.node("server").world.network.listen(accept, "127.0.0.1", 7)
        _, caller = await sim.node("client").world.network.connect(Caller, "localhost", 7)
        await asyncio.sleep(1)
        reader = callers[0]
        reader.transport.pause_reading()
        caller.transport.write(b"x" * 1_000_000)
        await asyncio.sleep(10)
        assert (caller.told, len(reader.heard)) == (["pause"], 0)
        assert caller.transport.get_write_buffer_size() > 900_000

        reader.transport.resume_reading()
        await asyncio.sleep(10)
        assert (caller.told, len(reader.heard)) == (["pause", "resume"], 1_000_000)

    run(main, 1)


def test_a_close_sends_what_was_written_first_and_ends_both_sides() -> None:
    async def main(sim: Sim) -> None:
        callers: list[Caller] = []

        def accept() -> Caller:
            callers.append(Caller())
            return callers[-1]

        await sim.node("server").world.network.listen(accept, "127.0.0.1", 7)
        transport, caller = await sim.node("client").world.network.connect(Caller, "127.0.0.1", 7)
        caller.transport.write(b"x" * 300_000)

        transport.close()
        caller.transport.write(b"too late")

        assert await caller.lost is None
        assert await callers[0].lost is None
        assert len(callers[0].heard) == 300_000
        assert callers[0].told == ["eof", "lost"]
        assert sim.fabric.connections() == []

    run(main, 1)


def test_a_reset_breaks_both_ends_of_a_connection() -> None:
    async def main(sim: Sim) -> None:
        sim.node("server").start(echo_server)
        await asyncio.sleep(1)
        _, caller = await sim.node("client").world.network.connect(Caller, "server", 7)

        sim.fabric.reset_one()

        assert isinstance(await caller.lost, ConnectionResetError)
        assert sim.fabric.connections() == []

    run(main, 1)


def test_bytes_for_a_socket_that_is_gone_are_answered_with_a_reset() -> None:
    async def main(sim: Sim) -> None:
        class Deaf(Caller):
            def eof_received(self) -> bool:  # type: ignore[override]  # keeps its half open
                return True

        sim.node("server").start(echo_server)
        await asyncio.sleep(1)
        server = await sim.node("closer").world.network.listen(Closer, "", 9)
        _, deaf = await sim.node("client").world.network.connect(Deaf, "closer", server.port)
        await asyncio.sleep(1)

        deaf.transport.write(b"anybody there?")

        assert isinstance(await deaf.lost, ConnectionResetError)

    class Closer(Echo):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    run(main, 1)


def test_a_port_is_taken_once_and_names_tell_who_is_at_the_other_end() -> None:
    async def main(sim: Sim) -> None:
        one, two = sim.node("one"), sim.node("two")
        listener = await one.world.network.listen(Echo, "127.0.0.1", 0)
        with pytest.raises(OSError, match="already in use"):
            await two.world.network.listen(Echo, "localhost", listener.port)
        transport, _ = await two.world.network.connect(Caller, "127.0.0.1", listener.port)
        assert transport.get_extra_info("peername") == ("127.0.0.1", listener.port)
        assert transport.get_extra_info("socket") is None

        listener.close()
        await listener.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await two.world.network.connect(Caller, "127.0.0.1", listener.port)

    run(main, 1)


# aiohttp


async def web_server(world: World) -> None:
    async def greet(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.json_response({"from": request.remote, "body": await request.text()})

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20)
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"you said {message.data}")
        return socket

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(__file__)

    app = web.Application()
    app.add_routes([web.get("/", greet), web.post("/", greet), web.get("/talk", talk), web.get("/file", file)])
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    await world.network.listen(runner.server, "0.0.0.0", 8080)
    await asyncio.sleep(1e6)


@pytest.mark.parametrize("fragment_probability", [0.0, 0.9])
def test_aiohttp_serves_and_asks_in_virtual_time(fragment_probability: float) -> None:
    async def send_later(socket: ClientWebSocketResponse, text: str) -> None:
        await asyncio.sleep(100)
        await socket.send_str(text)

    async def browser(world: World) -> None:
        async with http_session(world.network) as session:
            async with session.get("http://server:8080/") as response:
                assert await response.json() == {"from": "10.0.0.1", "body": ""}
            async with session.post("http://127.0.0.1:8080/", data="x" * 100_000) as response:
                assert await response.json() == {"from": "127.0.0.1", "body": "x" * 100_000}
            async with session.ws_connect("http://server:8080/talk") as socket:
                await socket.send_str("hi")
                assert (await socket.receive()).data == "you said hi"
                later = asyncio.create_task(send_later(socket, "still there?"))
                message = await socket.receive()  # answers the server's pings meanwhile
                await later
                assert (message.type, message.data) == (WSMsgType.TEXT, "you said still there?")
            async with session.get("http://server:8080/file") as response:
                assert await response.text() == Path(__file__).read_text()

    async def main(sim: Sim) -> float:
        client = sim.node("browser")
        sim.node("server").start(web_server)
        await asyncio.sleep(1)
        await client.start(browser)
        return sim.loop.time()

    ended = run(main, 1, plan=FaultPlan(1, network=NetworkFaults(fragment_probability=fragment_probability)))

    assert ended > 160


@pytest.mark.parametrize("seed", range(4))
def test_an_http_client_notices_that_its_server_was_killed(seed: int) -> None:
    async def main(sim: Sim) -> None:
        server = sim.node("server")
        server.start(web_server)
        await asyncio.sleep(1)
        sim.loop.call_later(10, server.kill)
        async with http_session(sim.node("browser").world.network) as session:
            with pytest.raises(ClientConnectionError):
                await session.get("http://server:8080/")
            with pytest.raises(ClientConnectionError):
                await session.get("http://server:8080/")

    run(main, seed)
