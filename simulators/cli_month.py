"""`bellhop sim month`: a month of charges in a store, for whoever wants to close, export and reconcile one without waiting for it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from billing import calendar
from billing.errors import PeriodError
from billing.money import format_minor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, writing
from gateway.errors import ConfigError
from gateway.wiring_billing import carriers_of
from simulators.month import CHARGES_MAX, Wanted, fill


def month(
    charges: int = typer.Option(1_000_000, min=1, max=CHARGES_MAX, help="How many charges, refunds among them."),
    which: str = typer.Option("", "--month", metavar="YYYY-MM", help="The month, on the carrier's clock.  [default: the last whole one]"),
    carrier: str = typer.Option("", help="In whose books.  [default: billing.carrier]"),
    seed: int = typer.Option(1, min=0, help="The same seed makes the same month again, in another store."),
    with_messages: bool = typer.Option(
        True,
        "--with-messages/--without-messages",
        help="Also the messages and MOs they are for; without, `billing check` misses them.",
    ),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Put a month of charges into the store: partners' messages, chats, MOs, what the carrier collects, refunds.

    They pass `bellhop billing check`. Meant for a store of its own: what is made stays in it.

    \b
    Examples:
      bellhop sim month -c load/bellhop.toml
      bellhop sim month --charges 100000 --month 2026-10 --seed 7 -c load/bellhop.toml
    """
    with writing(config) as opened:
        carriers = carriers_of(opened.settings)
        name = carrier or carriers.default.name
        now_us = opened.clock.now_us()
        zone = known.zone if (known := carriers.named(name)) is not None else carriers.default.zone
        period = _period(which) if which else calendar.month_of(calendar.previous_day(calendar.month_of(calendar.day_of(now_us, zone)) + 1))
        wanted = Wanted(charges, period, name, seed, opened.currency, with_messages)
        began_s = time.monotonic()
        with _progress(charges, is_shown=not as_json) as told:
            made = fill(opened.engine, carriers, wanted, now_us, told)
        took_s = time.monotonic() - began_s
    if as_json:
        facts = {"month": calendar.write(period), "carrier": name, "seed": seed, "currency": wanted.currency, **made._asdict()}
        typer.echo(json.dumps(facts))
    else:
        amount = f"{format_minor(made.amount_minor, wanted.currency)} {wanted.currency}"
        of = f"{calendar.write(period)} in the books of {name}"
        typer.echo(f"{made.charges} charges of {of}: {amount}, with {made.refunds} refunds; made in {took_s:.1f} s")


def _period(typed: str) -> int:
    try:
        period = calendar.parse(typed)
    except PeriodError as error:
        raise ConfigError([f"--month: {error}"]) from error
    if not calendar.is_month(period):
        raise ConfigError([f"--month: {typed[:20]} is a day; give a month like 2026-10"])
    return period


@contextmanager
def _progress(charges: int, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not is_shown or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("charges"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("charges", total=charges)
        yield lambda done: bar.update(task, completed=done)
