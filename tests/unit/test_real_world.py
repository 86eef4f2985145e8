"""The real world keeps the promises written in gateway.world."""

from __future__ import annotations

import asyncio
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.ids import EPOCH_US, ID_MAX, IdMaker, made_at_us, message_of, segment_number, segment_of
from gateway.real_world import RealWorld
from gateway.world import World

NOW_US = EPOCH_US + 200_000_000_000_000  # May 2026


def test_ids_carry_their_time_and_node_and_leave_the_low_bits_free() -> None:
    ids = IdMaker(node=5)

    made = ids.next_id(NOW_US)

    assert made == (NOW_US - EPOCH_US) << 13 | 5 << 8
    assert made_at_us(made) == NOW_US
    assert made & 0xFF == 0
    assert 0 < made <= ID_MAX


def test_ids_rise_strictly_when_the_clock_stands_still_or_goes_back() -> None:
    ids = IdMaker()

    made = [ids.next_id(now) for now in (NOW_US, NOW_US, NOW_US - 5_000_000, NOW_US + 1, NOW_US + 50)]

    assert made == sorted(set(made))
    assert made_at_us(made[-1]) == NOW_US + 50


def test_ids_start_above_their_floor() -> None:
    before = IdMaker().next_id(NOW_US)

    after = IdMaker(floor=before).next_id(NOW_US - 3_600_000_000)

    assert after > before
    assert made_at_us(after) == NOW_US + 1


@pytest.mark.parametrize(("node", "floor"), [(-1, 0), (32, 0), (0, -1), (0, 2**63)])
def test_ids_refuse_a_node_or_floor_that_does_not_fit(node: int, floor: int) -> None:
    with pytest.raises(ValueError, match=r"node|63-bit"):
        IdMaker(node, floor)


def test_a_segment_id_leads_back_to_its_message() -> None:
    message_id = IdMaker(node=31).next_id(NOW_US)

    segment_id = segment_of(message_id, 255)

    assert message_of(segment_id) == message_id
    assert segment_number(segment_id) == 255
    assert segment_number(message_id) == 0


@pytest.mark.parametrize("number", [0, 256])
def test_a_message_has_no_segment_outside_1_to_255(number: int) -> None:
    with pytest.raises(ValueError, match="segments 1 to 255"):
        segment_of(0, number)


async def test_the_real_world_is_a_world() -> None:
    world: World = RealWorld(node=3)

    first, second = world.next_id(), world.next_id()

    assert first < second
    assert first >> 8 & 31 == 3
    assert abs(made_at_us(first) - world.clock.now_us()) < 1_000_000
    assert world.clock.monotonic() <= world.clock.monotonic()
    assert 0 <= world.entropy.random() < 1
    assert len(world.entropy.token_bytes(16)) == 16


async def test_written_work_runs_in_order_on_one_thread_and_completes_on_the_loop() -> None:
    world = RealWorld()
    threads: set[int] = set()
    results: list[tuple[Any, Any]] = []

    def work(number: int) -> int:
        threads.add(threading.get_ident())
        return number

    def done(result: int | None, error: BaseException | None) -> None:
        assert asyncio.get_running_loop() is not None
        results.append((result, error))

    for number in range(200):
        world.executor.submit(work, (number,), done)
    await world.close()

    assert results == [(number, None) for number in range(200)]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_an_error_of_written_work_reaches_its_submitter_and_leaves_the_thread_alive() -> None:
    world = RealWorld()
    results: list[tuple[Any, Any]] = []

    world.executor.submit(int, ("x",), lambda *result: results.append(result))
    world.executor.submit(int, ("7",), lambda *result: results.append(result))
    await world.close()

    assert isinstance(results[0][1], ValueError)
    assert results[1] == (7, None)


async def test_pool_work_returns_its_result_or_raises_its_error() -> None:
    world = RealWorld()

    assert await world.executor.run(int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await world.executor.run(int, "x")
    await world.close()


async def test_a_closed_executor_takes_no_work() -> None:
    world = RealWorld()
    await world.close()

    with pytest.raises(RuntimeError, match="closed"):
        world.executor.submit(int, (), lambda result, error: None)
    with pytest.raises(RuntimeError, match="closed"):
        await world.executor.run(int)
    await world.close()


class Echo(asyncio.Protocol):
    """Sends back what it gets, until the peer has nothing more to say."""

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
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)


async def test_a_connection_carries_bytes_both_ways_without_delay() -> None:
    world = RealWorld()
    listener = await world.network.listen(Echo, "127.0.0.1", 0)

    transport, caller = await world.network.connect(Caller, "127.0.0.1", listener.port)
    no_delay = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    caller.transport.write(b"hello")
    caller.transport.write_eof()
    await caller.closed
    listener.close()
    await listener.wait_closed()

    assert caller.heard == b"hello"
    assert no_delay


async def test_a_closed_listener_refuses_connections() -> None:
    world = RealWorld()
    listener = await world.network.listen(Echo, "127.0.0.1", 0)
    listener.close()
    await listener.wait_closed()

    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await world.network.connect(Caller, "127.0.0.1", listener.port)


def test_a_durable_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    disk = RealWorld().disk
    folder = str(tmp_path / "a" / "b")
    path = f"{folder}/run.csv"

    disk.make_folder(folder)
    disk.write_durably(path, b"a longer first version")
    disk.write_durably(path, b"second")

    assert disk.read_bytes(path) == b"second"
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["run.csv"]
    disk.remove(path)
    assert not disk.exists(path)


def test_what_is_appended_privately_is_for_its_owners_eyes_alone(tmp_path: Path) -> None:
    disk = RealWorld().disk

    for each in (b"one ", b"two"):
        disk.append_privately(str(tmp_path / "file"), each)

    assert (tmp_path / "file").read_bytes() == b"one two"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_durable_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    disk = RealWorld().disk
    (tmp_path / "taken").mkdir()

    with pytest.raises(OSError, match="taken"):
        disk.write_durably(str(tmp_path / "taken"), b"data")

    assert [file.name for file in tmp_path.iterdir()] == ["taken"]
