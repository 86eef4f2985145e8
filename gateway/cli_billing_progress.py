"""How far a long command is: a bar on a terminal, now and then a line elsewhere; always beside the output, never in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

_LINE_EACH = 100_000


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Gives the function to tell (stage, done, of how many; 0 when nobody knows)."""
    if not sys.stderr.isatty():
        yield _Lines().told
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield told


class _Lines:
    """A line when a stage begins, and one for every so many records."""

    def __init__(self) -> None:
        self._stage = ""
        self._next = 0

    def told(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage, self._next = stage, 0
        if done >= self._next:
            self._next = done - done % _LINE_EACH + _LINE_EACH
            typer.echo(f"{stage}: {done}{f' of {total}' if total else ''} records", err=True)
