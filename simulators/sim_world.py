"""`bellhop sim world`: seeds played in worker processes, each perhaps under two hash seeds, and every violation with its replay line.

A worker is a process of its own that reads seeds and writes verdicts, one JSON document a line: only so can each have its own
PYTHONHASHSEED.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Annotated, Any

import typer

INTENSITY = 0.5
LINES_EVERY = 100
SHOWN_PER_SEED_MAX = 5
LINE_BYTES_MAX = 16 * 1024 * 1024
COUNTS = ("messages", "delivered", "duplicates", "corrections", "late", "crashes", "virtual_s")

Verdicts = dict[str, dict[str, Any]]  # by hash seed


@dataclass
class Totals:
    """What all seeds came to."""

    seeds: int = 0
    runs: int = 0
    messages: int = 0
    delivered: int = 0
    duplicates: int = 0
    corrections: int = 0
    late: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    violations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, verdict: dict[str, Any]) -> None:
        """Count one run; violations are taken once per seed, by the caller."""
        self.runs += 1
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + verdict[name])


def world(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to play.")] = 100,
    first: Annotated[int, typer.Option(min=0, help="The first of them.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Worker processes; 0 takes one per CPU.")] = 0,
    intensity: Annotated[float, typer.Option(min=0.0, max=1.0, help="How much goes wrong: 0 nothing, 1 nearly everything.")] = INTENSITY,
    hash_seeds: Annotated[str, typer.Option(help="both: each seed under PYTHONHASHSEED 0 and 1; one: only 0.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals and violations as one JSON document.")] = False,
    verbose: Annotated[bool, typer.Option(help="Print a line for every run.")] = False,
) -> None:
    """Play whole-house simulations: gateway, SMSC, partners, chat users and phones in virtual time, with faults and crashes, audited.

    Exits with 0 only if no seed has a violation. Every tenth seed is a calm day, without faults.

    \b
    Examples:
      bellhop sim world --seeds 1000
      bellhop sim world --first 128 --seeds 1 --verbose
    """
    if hash_seeds not in ("both", "one"):
        typer.echo("bellhop sim world: --hash-seeds: both or one", err=True)
        raise typer.Exit(2)
    hashes = ("0", "1") if hash_seeds == "both" else ("0",)
    totals = Totals()
    with _progress(seeds, is_shown=not as_json) as advance:

        def played(seed: int, verdicts: Verdicts) -> None:
            _judge(totals, seed, verdicts, intensity)
            if verbose and not as_json:
                for hash_seed, verdict in sorted(verdicts.items()):
                    _print_run(seed, hash_seed, verdict)
            advance(len(totals.violations))

        asyncio.run(_play_all(range(first, first + seeds), jobs or os.cpu_count() or 1, intensity, hashes, played))
    _report(totals, as_json=as_json)
    raise typer.Exit(1 if totals.violations else 0)


def replay_line(seed: int, intensity: float) -> str:
    """The command that plays a seed again."""
    amount = "" if intensity == INTENSITY else f" --intensity {intensity}"
    return f"bellhop sim world --first {seed} --seeds 1{amount} --verbose"


def _judge(totals: Totals, seed: int, verdicts: Verdicts, intensity: float) -> None:
    totals.seeds += 1
    texts: dict[str, None] = {}
    for verdict in verdicts.values():
        totals.add(verdict)
        texts.update(dict.fromkeys(verdict["violations"]))
    if len({verdict["digest"] for verdict in verdicts.values()}) > 1:
        texts["determinism: the event logs differ under two hash seeds"] = None
    totals.violations.extend({"seed": seed, "text": text, "replay": replay_line(seed, intensity)} for text in texts)


def _print_run(seed: int, hash_seed: str, verdict: dict[str, Any]) -> None:
    typer.echo(
        f"seed {seed} hash {hash_seed}: {verdict['messages']} messages, {verdict['delivered']} delivered, "
        f"{verdict['duplicates']} marked duplicates, {verdict['corrections']} corrections, {verdict['late']} booked late, "
        f"{verdict['crashes']} crashes, {verdict['virtual_s']:.0f} s, "
        f"log {verdict['digest'][:12]}, {len(verdict['violations'])} violations"
    )


def _report(totals: Totals, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(totals.__dict__, ensure_ascii=False))
        return
    shown: Counter[int] = Counter()
    for violation in totals.violations:
        shown[violation["seed"]] += 1
        if shown[violation["seed"]] <= SHOWN_PER_SEED_MAX:
            typer.echo(f"seed {violation['seed']}: {violation['text']}")
    for seed, count in shown.items():
        line = next(violation["replay"] for violation in totals.violations if violation["seed"] == seed)
        typer.echo(f"seed {seed}: {count} violations; to play it again:  {line}")
    typer.echo(
        f"{totals.seeds} seeds, {totals.runs} runs, {totals.virtual_s / 3600:.1f} virtual hours: {totals.messages} messages, "
        f"{totals.delivered} delivered, {totals.duplicates} marked as possible duplicates, {totals.corrections} corrections, "
        f"{totals.late} booked after their day was closed, {totals.crashes} crashes; "
        f"{len(totals.violations)} violations"
    )


# -- workers ----------------------------------------------------------------------------------------------------------------


async def _play_all(seeds: range, jobs: int, intensity: float, hashes: tuple[str, ...], played: Callable[[int, Verdicts], None]) -> None:
    """Tell `played` each seed with its verdicts by hash seed, as they become complete."""
    todo = {each: iter(seeds) for each in hashes}
    partial: dict[int, Verdicts] = {}

    def found(hash_seed: str, verdict: dict[str, Any]) -> None:
        verdicts = partial.setdefault(verdict["seed"], {})
        verdicts[hash_seed] = verdict
        if len(verdicts) == len(hashes):
            played(verdict["seed"], partial.pop(verdict["seed"]))

    workers = [hashes[number % len(hashes)] for number in range(max(jobs, len(hashes)))]
    await asyncio.gather(*(_serve(hash_seed, todo[hash_seed], intensity, found) for hash_seed in workers))


async def _serve(hash_seed: str, todo: Iterator[int], intensity: float, found: Callable[[str, dict[str, Any]], None]) -> None:
    """Feed one worker process; one that dies is a violation of the seed it was at, and is replaced."""
    worker: Process | None = None
    for seed in todo:
        if worker is None:
            worker = await _start(hash_seed, intensity)
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(f"{seed}\n".encode())
        line = await worker.stdout.readline()
        if line:
            found(hash_seed, json.loads(line))
        else:
            found(hash_seed, _dead(seed, await worker.wait()))
            worker = None
    if worker is not None and worker.stdin is not None:
        worker.stdin.close()
        await worker.wait()


async def _start(hash_seed: str, intensity: float) -> Process:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    command = (sys.executable, "-m", "simulators.sim_world", str(intensity))
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=environment, limit=LINE_BYTES_MAX)


def _dead(seed: int, status: int) -> dict[str, Any]:
    violations = [f"run: the worker process ended with status {status}"]
    return {"seed": seed, "digest": "", "violations": violations, **dict.fromkeys(COUNTS, 0)}


def work(intensity: float, source: IO[str], sink: IO[str]) -> None:
    """A worker: a seed a line in, a verdict a line out."""
    from simulators.play import play, warm_up

    warm_up()
    # What is imported by now stays: no collection after a run need look at it.
    gc.collect()
    gc.freeze()
    for line in source:
        verdict = play(int(line), intensity)
        document = verdict._asdict() | {"violations": [str(violation) for violation in verdict.violations]}
        sink.write(json.dumps(document, ensure_ascii=True) + "\n")
        sink.flush()


# -- progress -----------------------------------------------------------------------------------------------------------------


class _progress:  # noqa: N801 - used as a function
    """A bar on a terminal, a line now and then elsewhere; gives a function to call after each seed."""

    def __init__(self, seeds: int, *, is_shown: bool) -> None:
        self._seeds = seeds
        self._is_shown = is_shown
        self._bar: Any = None
        self._done = 0

    def __enter__(self) -> Callable[[int], None]:
        if self._is_shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("seeds"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[found]} violations"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("seeds", total=self._seeds, found=0)
        return self._advance

    def __exit__(self, *_exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _advance(self, found: int) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1, found=found)
        elif self._is_shown and self._done % LINES_EVERY == 0 and self._done < self._seeds:
            typer.echo(f"{self._done} of {self._seeds} seeds, {found} violations", err=True)


if __name__ == "__main__":
    work(float(sys.argv[1]), sys.stdin, sys.stdout)
