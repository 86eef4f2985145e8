"""One bench run: store, gateway, far end and load brought together, measured, and counted afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway.real_world import RealWorld
from simulators import bench_store
from simulators.bench_far_end import FarEnd
from simulators.bench_gateway import PARTNER, PASSWORD, SERVICES, BenchFailed, BenchFolder, BenchGateway, Cost
from simulators.bench_http import HttpLoad, PostTemplate
from simulators.bench_meter import Meter, Plan
from simulators.bench_smpp import SOURCE, SmppLoad, SubmitTemplate

STALLED_S = 30.0
LINK_TIMEOUT_S = 10.0
_TICK_S = 0.001
Progress = Callable[[str, int, int], None]


class Order(NamedTuple):
    """What is to be measured."""

    front: str
    messages: int
    rate_per_s: float
    with_receipts: bool
    stored: int
    window: int
    binds: int
    upstream_window: int
    connections: int
    batch: int
    response_delay_ms: int
    service: str
    parts: int
    profile: Path | None


class Report(NamedTuple):
    """What came of it; the fields are those of the JSON. Latency counts from the moment a message was, or should have been, written."""

    front: str
    messages: int
    receipts: bool
    stored: int
    ok: bool
    lost: int
    refused: int
    refusal: str
    surplus: int
    charges_missing: int
    seconds: float
    messages_per_s: float
    mid80_per_s: float
    cpu_us_per_message: float
    cpu_us_loop: float
    cpu_us_writer: float
    submit_ms: dict[str, float | None]
    receipt_ms: dict[str, float | None]
    commits_per_s: float
    messages_per_commit: float
    rss_mib_max: float
    ready_s: float
    bench_cpu_us_per_message: float


async def run(order: Order, folder: Path, progress: Progress) -> Report:
    """Measure. Raises BenchFailed when there is nothing to measure."""
    world = RealWorld()
    is_final_at_far_end = order.front != "smpp" or not order.with_receipts
    meter = Meter(order.messages, world.clock.monotonic, finals=order.parts if is_final_at_far_end else 1)
    far_end = FarEnd(
        world,
        meter,
        response_delay_ms=order.response_delay_ms,
        with_receipts=order.with_receipts,
        counts_receipts=order.with_receipts and is_final_at_far_end,
    )
    await far_end.start()
    try:
        place = BenchFolder(folder)
        place.configure(far_end.port, order.upstream_window)
        api_key = await place.api_key()
        if order.stored:
            bench_store.fill(place.store, order.stored, world.clock.now_us(), lambda done, of: progress("filling the store", done, of))
        before_id = bench_store.last_message_id(place.store)
        gateway = await BenchGateway.start(place, order.profile)
        try:
            measured = await _measure(order, meter, gateway, api_key, progress)
        finally:
            await gateway.stop()
    finally:
        await far_end.stop()
        await world.close()
    return _report(order, meter, measured, bench_store.tally(place.store, before_id), gateway.ready_s)


class _Measured(NamedTuple):
    gateway_loop_s: float
    gateway_others_s: float
    bench_s: float
    commits: int
    rss_mib_max: float


async def _measure(order: Order, meter: Meter, gateway: BenchGateway, api_key: str, progress: Progress) -> _Measured:
    await _wait_for_link(gateway)
    plan = Plan(meter, unit=order.batch if order.front == "http-batch" else 1, rate_per_s=order.rate_per_s)
    loads = await _connect(order, meter, plan, gateway, api_key)
    commits, before, own = await gateway.commits(), gateway.cost(), _own_cpu_s()
    plan.start()
    for load in loads:
        load.pump()
    pacing = asyncio.get_running_loop().create_task(_pace(plan, loads))
    try:
        between_s = order.batch / order.rate_per_s if order.rate_per_s else 0.0
        await meter.wait(STALLED_S + between_s, lambda done: progress("messages", done, meter.messages))
        after, own = gateway.cost(), _own_cpu_s() - own
        commits = await gateway.commits() - commits
        return _Measured(*_difference(before, after), own, commits, gateway.peak_rss_mib())
    finally:
        pacing.cancel()
        for load in loads:
            load.close()


async def _wait_for_link(gateway: BenchGateway) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LINK_TIMEOUT_S
    while not await gateway.is_link_up():
        if loop.time() > deadline:
            raise BenchFailed("the gateway does not bind to the far end: " + " | ".join(gateway.log[-3:]))
        await asyncio.sleep(0.05)


async def _connect(order: Order, meter: Meter, plan: Plan, gateway: BenchGateway, api_key: str) -> list[SmppLoad] | list[HttpLoad]:
    loop = asyncio.get_running_loop()
    if order.front == "smpp":
        template = SubmitTemplate(order.service, order.parts, with_receipt=order.with_receipts)
        binds = []
        for _ in range(order.binds):
            _, bind = await loop.create_connection(lambda: SmppLoad(plan, meter, template, order.window), "127.0.0.1", gateway.smpp_port)
            bind.bind(PARTNER, PASSWORD)
            if status := await bind.bound:
                raise BenchFailed(f"the gateway refuses the bind with command_status 0x{status:08X}")
            binds.append(bind)
        return binds
    post = PostTemplate(api_key, SOURCE, order.service, order.parts, is_batch=order.front == "http-batch")
    connections = []
    for _ in range(order.connections):
        _, connection = await loop.create_connection(lambda: HttpLoad(plan, meter, post), "127.0.0.1", gateway.http_port)
        connections.append(connection)
    return connections


async def _pace(plan: Plan, loads: list[SmppLoad] | list[HttpLoad]) -> None:
    """With a rate, look every millisecond what is due; without one, answers alone keep the load going."""
    turn = 0
    while plan.is_paced and not plan.is_empty:
        turn += 1
        for offset in range(len(loads)):
            loads[(turn + offset) % len(loads)].pump()
        await asyncio.sleep(_TICK_S)


def _difference(before: Cost, after: Cost) -> tuple[float, float]:
    return after.loop_s - before.loop_s, after.others_s - before.others_s


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _report(order: Order, meter: Meter, measured: _Measured, tally: bench_store.Tally, ready_s: float) -> Report:
    messages, seconds = order.messages, meter.seconds
    is_free = SERVICES[order.service][0] == 0
    if order.with_receipts:
        lost, missing = messages - min(tally.delivered, meter.finished), tally.delivered - tally.captured
    else:
        # Nothing ends without a receipt: what was taken stays submitted, and its price held.
        lost = messages - min(tally.submitted // order.parts, meter.finished)
        missing = tally.messages - (tally.charges if is_free else tally.held)

    def micro(cpu_s: float) -> float:
        return round(cpu_s / messages * 1e6, 1)

    return Report(
        front=order.front,
        messages=messages,
        receipts=order.with_receipts,
        stored=order.stored,
        ok=not lost and not missing and not meter.refused,
        lost=lost,
        refused=meter.refused,
        refusal=meter.first_refusal,
        surplus=meter.surplus,
        charges_missing=missing,
        seconds=round(seconds, 3),
        messages_per_s=round(meter.finished / seconds, 1) if seconds else 0.0,
        mid80_per_s=round(meter.mid80_per_s(), 1),
        cpu_us_per_message=micro(measured.gateway_loop_s + measured.gateway_others_s),
        cpu_us_loop=micro(measured.gateway_loop_s),
        cpu_us_writer=micro(measured.gateway_others_s),
        submit_ms=meter.latencies(meter.arrived)._asdict(),
        receipt_ms=meter.latencies(meter.final if order.with_receipts else [])._asdict(),
        commits_per_s=round(measured.commits / seconds, 1) if seconds else 0.0,
        messages_per_commit=round(messages / measured.commits, 1) if measured.commits else 0.0,
        rss_mib_max=measured.rss_mib_max,
        ready_s=round(ready_s, 2),
        bench_cpu_us_per_message=micro(measured.bench_s),
    )
