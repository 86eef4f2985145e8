"""`bellhop bench`: how many messages a second this machine carries, at which cost and latency, every one durable and charged."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from simulators.bench_run import Order, Progress, Report

EXIT_LOST = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
_FRONTS = ("smpp", "http", "http-batch")
_CONNECTIONS = {"smpp": 0, "http": 32, "http-batch": 4}
_SERVICES = ("chat", "hold", "free")
_BATCH_MAX = 1_000


def bench(
    front: Annotated[str, typer.Option(metavar="DOOR", help="smpp, http (one message a request) or http-batch.")] = "smpp",
    messages: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many are sent.")] = 30_000,
    rate: Annotated[
        float, typer.Option(min=0, help="Messages per second, sent whether or not the gateway keeps up; 0: as fast as it answers.")
    ] = 0,
    receipts: Annotated[
        bool, typer.Option("--receipts/--no-receipts", help="Whether the far end sends receipts, which is what charges.")
    ] = True,
    stored: Annotated[int, typer.Option(min=0, help="Fill the store with so many finished messages first.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    window: Annotated[int, typer.Option(min=1, max=100_000, help="smpp: unanswered submit_sm of each of our binds.")] = 100,
    binds: Annotated[int, typer.Option(min=1, max=100, help="smpp: binds to the gateway.")] = 1,
    upstream_window: Annotated[int, typer.Option(min=1, max=10_000, help="Unanswered submit_sm of the gateway at the far end.")] = 200,
    connections: Annotated[int | None, typer.Option(min=1, max=10_000, help="http: connections; 32, and 4 for http-batch.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=_BATCH_MAX, help="http-batch: messages in a request.")] = 500,
    response_delay_ms: Annotated[int, typer.Option(min=0, max=60_000, help="A far end that answers late.")] = 0,
    service: Annotated[str, typer.Option(help="chat, hold or free: a price, and what becomes of an unknown outcome.")] = "chat",
    parts: Annotated[int, typer.Option(min=1, max=10, help="SMS parts of each message.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the store here, and use what is there; else a temporary one.")
    ] = None,
    profile: Annotated[Path | None, typer.Option(metavar="FILE", help="Write cProfile's figures of the gateway's event loop.")] = None,
) -> None:
    """Measure throughput, cost and latency on this machine.

    The gateway runs as `bellhop run` does, in a process of its own, on SQLite with every commit flushed; the customer and the carrier are
    simulators in this process. Afterwards messages and charges in the store are counted: exit code 1 when one is missing.

    \b
    Examples:
      bellhop bench                                        as fast as it goes, SMPP to SMPP, with receipts
      bellhop bench --front http --rate 2500 --json        latency at a given load
      bellhop bench --stored 10000000 --folder /tmp/large  does a full store cost anything?
    """
    from simulators.bench_run import Order

    _refuse(front in _FRONTS, f"--front: one of {', '.join(_FRONTS)}")
    _refuse(service in _SERVICES, f"--service: one of {', '.join(_SERVICES)}")
    order = Order(
        front=front,
        messages=messages,
        rate_per_s=rate,
        with_receipts=receipts,
        stored=stored,
        window=window,
        binds=binds,
        upstream_window=upstream_window,
        connections=connections or _CONNECTIONS[front],
        batch=batch,
        response_delay_ms=response_delay_ms,
        service=service,
        parts=parts,
        profile=profile,
    )
    report = _measure(order, folder)
    typer.echo(json.dumps(report._asdict()) if as_json else _table(report))
    if not report.ok:
        raise typer.Exit(EXIT_LOST)


def _measure(order: Order, folder: Path | None) -> Report:
    from simulators.bench_gateway import BenchFailed
    from simulators.bench_run import run

    place = tempfile.TemporaryDirectory(prefix="bellhop-bench-") if folder is None else nullcontext(str(folder))
    try:
        with place as path:
            return _run_loop(run(order, Path(path), _progress()))
    except BenchFailed as failed:
        typer.echo(f"error: {failed}", err=True)
        raise typer.Exit(EXIT_REFUSED) from None


def _run_loop(main: Coroutine[Any, Any, Report]) -> Report:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def _progress() -> Progress:
    """A bar on a terminal; elsewhere a line for each tenth of the work."""
    is_terminal = sys.stderr.isatty()
    told = ("", -1)

    def show(what: str, done: int, total: int) -> None:
        nonlocal told
        share = done * (100 if is_terminal else 10) // max(total, 1)
        if told == (what, share):
            return
        told = (what, share)
        if is_terminal:
            bar = "#" * (share * 30 // 100)
            typer.echo(f"\r{what:<18} [{bar:<30}] {done:,} of {total:,}", err=True, nl=done >= total)
        elif total >= 1_000_000:
            typer.echo(f"{what}: {done:,} of {total:,}", err=True)

    return show


def _table(report: Report) -> str:
    receipts = "with" if report.receipts else "without"
    lines = [
        ("messages", f"{report.messages:,} by {report.front}, {receipts} receipts, {report.stored:,} stored before"),
        ("per second", f"{report.messages_per_s:,.0f}   (middle 80 %: {report.mid80_per_s:,.0f})"),
        ("CPU a message", f"{report.cpu_us_per_message:.0f} µs   (loop {report.cpu_us_loop:.0f}, writer {report.cpu_us_writer:.0f})"),
        ("to submit_sm", _latency(report.submit_ms)),
        ("to receipt", _latency(report.receipt_ms)),
        ("commits a second", f"{report.commits_per_s:,.0f}   ({report.messages_per_commit:.0f} messages each)"),
        ("peak memory", f"{report.rss_mib_max:.0f} MiB"),
        ("ready after", f"{report.ready_s:.1f} s"),
        ("bench's own CPU", f"{report.bench_cpu_us_per_message:.0f} µs a message"),
    ]
    if not report.ok:
        lines.append(("FAILED", f"lost {report.lost}, refused {report.refused} {report.refusal}, charges missing {report.charges_missing}"))
    return "\n".join(f"{name:<18}{value}" for name, value in lines)


def _latency(shape: dict[str, float | None]) -> str:
    return "   ".join(f"{name} {'-' if value is None else f'{value:.1f} ms'}" for name, value in shape.items())


def _refuse(is_good: bool, line: str) -> None:
    if not is_good:
        typer.echo(f"error: {line}", err=True)
        raise typer.Exit(EXIT_USAGE)
