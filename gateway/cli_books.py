"""What the commands of the billing staff share: whose books and which period is meant, and the frame of an act."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import typer
from sqlalchemy import Connection

from billing import calendar
from billing.carriers import Carrier
from billing.errors import PeriodError
from billing.runs import Books
from gateway.cli_staff import actor
from gateway.cli_store import Opened, writing
from gateway.errors import ConfigError
from gateway.store.engine import open_reading
from gateway.wiring_billing import carriers_of

_NICENESS = 10
CARRIER_OPTION = typer.Option("", "--carrier", metavar="NAME", help="Whose books; without it, those of billing.carrier.")
PERIOD_OPTION = typer.Option(..., "--period", metavar="PERIOD", help="A day like 2026-11-24, or a month like 2026-11.")


class Desk(NamedTuple):
    """An act in one transaction, and who does it."""

    opened: Opened
    conn: Connection
    by: str
    now_us: int

    @property
    def world(self) -> dict[str, Any]:
        """What every act of the books asks for: ids, and the time."""
        return {"new_id": self.opened.new_id, "now_us": self.now_us}


@contextmanager
def at_desk(config: Path, who: str) -> Iterator[Desk]:
    """The store for one act, which is committed at the end; raises ConfigError for a name that acts cannot be logged under."""
    by = actor(who)
    with writing(config) as opened, opened.engine.begin() as conn:
        yield Desk(opened, conn, by, opened.clock.now_us())


@contextmanager
def both_doors(opened: Opened) -> Iterator[Books]:
    """The store for work that reads much and writes in short transactions: what only reads holds no writer up.

    Such work takes long, so from here on traffic goes first.
    """
    give_way()
    engine = open_reading(opened.settings.store.url)
    try:
        yield Books(engine.begin, opened.engine.begin)
    finally:
        engine.dispose()


def give_way() -> None:
    """Let traffic go first: the scheduler, and with it the disk, prefers the gateway to this process from now on."""
    if os.getpriority(os.PRIO_PROCESS, 0) < _NICENESS:
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def carrier_named(opened: Opened, name: str) -> Carrier:
    """The carrier of this name, the default one for none; raises ConfigError."""
    carriers = carriers_of(opened.settings)
    found = carriers.named(name) if name else carriers.default
    if found is None:
        known = ", ".join(each.name for each in carriers)
        raise ConfigError([f"--carrier: there is no carrier {name[:32]!r}; known are: {known}"])
    return found


def period_of(name: str, typed: str) -> int:
    """A day or a month as typed; raises ConfigError naming the argument."""
    try:
        return calendar.parse(typed)
    except PeriodError as error:
        raise ConfigError([f"{name}: {error}"]) from None
