"""How a command opens the store: before the gateway ever ran, beside a running one, and with one clear line when it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from billing import bulk
from billing.errors import BillingError
from gateway.domain import failure
from gateway.domain.ids import SEGMENT_MAX, IdMaker
from gateway.errors import ConfigError, Refused
from gateway.real_world import RealClock, RealEntropy
from gateway.settings_file import load
from gateway.store.engine import migrate, open_reading, open_writing
from gateway.store.errors import StoreError

if TYPE_CHECKING:
    from gateway.settings import Settings

FILE_NAME = "bellhop.toml"
DEFAULT_CURRENCY = "CNY"

CONFIG_OPTION = typer.Option(Path(FILE_NAME), "-c", "--config", help="The configuration file.")
JSON_OPTION = typer.Option(False, "--json", help="Print JSON.")


class Opened(NamedTuple):
    """The settings, an engine of the asked kind, and what a command needs of the world."""

    settings: Settings
    engine: Engine
    clock: RealClock
    entropy: RealEntropy
    ids: IdMaker

    @property
    def currency(self) -> str:
        """The currency that wallets are kept in: that of the first service."""
        services = self.settings.services
        return services[0].currency if services else DEFAULT_CURRENCY

    def new_id(self) -> int:
        """An id that the running gateway of this node cannot make: its own end in eight zero bits."""
        return self.ids.next_id(self.clock.now_us()) | SEGMENT_MAX


@contextmanager
def writing(path: Path) -> Iterator[Opened]:
    """The store for changes; made where it is missing, brought up to date where it is older."""
    settings = load(path, os.environ).settings
    url = settings.store.url
    with told_in_one_line(url):
        _refuse_memory(url)
        engine = open_writing(url)
        try:
            migrate(engine)
            yield Opened(settings, engine, RealClock(), RealEntropy(), IdMaker(settings.node.id))
        finally:
            engine.dispose()


@contextmanager
def reading(path: Path) -> Iterator[Opened]:
    """The store for looking only: nothing is made and nothing is migrated."""
    settings = load(path, os.environ).settings
    url = settings.store.url
    with told_in_one_line(url):
        _refuse_memory(url)
        _refuse_missing(url)
        engine = open_reading(url)
        try:
            yield Opened(settings, engine, RealClock(), RealEntropy(), IdMaker(settings.node.id))
        finally:
            engine.dispose()


@contextmanager
def told_in_one_line(url: str) -> Iterator[None]:
    """Turn what stores, books and services refuse into one line; an engine's own words are told without the values in the statement."""
    try:
        yield
    except (StoreError, BillingError) as error:
        raise Refused(str(error)) from error
    except failure.Refused as refused:
        raise Refused(f"{refused.field}: {refused.text}" if refused.field else refused.text) from refused
    except ArgumentError as error:
        raise ConfigError(["store.url: is no address of a database"]) from error
    except DBAPIError as error:
        raise Refused(f"{place(url)}: {reason(error)}") from error
    except SQLAlchemyError as error:
        raise Refused(f"{place(url)}: cannot be used ({type(error).__name__})") from error


def place(url: str) -> str:
    """The store's address as it may be shown: a file's path, or the address without its password."""
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite"):
        return str(parsed.database)
    # Also a password among the parameters, where libpq takes one.
    shown = parsed.set(drivername="postgresql").difference_update_query(("password", "sslpassword"))
    return shown.render_as_string(hide_password=True)


def secret_from(given: str | None, file: Path | None, option: str) -> str | None:
    """A password from the command line or, better, from the first line of a file."""
    if given is not None and file is not None:
        raise ConfigError([f"{option} and {option}-file: give one of them"])
    if file is None:
        return given
    try:
        return file.read_text(encoding="utf-8-sig").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError([f"{option}-file: {file}: {reason}"]) from None


def _refuse_memory(url: str) -> None:
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise ConfigError(["store.url: a store in memory cannot be shared with another process"])


def _refuse_missing(url: str) -> None:
    # sqlite3 would make an empty file of it.
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite") and not Path(parsed.database or "").exists():
        raise Refused(f"{parsed.database}: there is no store yet; `bellhop run` or `bellhop partner add` makes it")


def reason(error: DBAPIError) -> str:
    """Why the engine could not do it, in one line without a value."""
    text = bulk.first_line(str(error.orig))
    if "locked" in text or type(error.orig).__name__ == "LockNotAvailable":
        return "is locked by another process; try again in a moment"
    if text.startswith(("no such table", "no such column")) or type(error.orig).__name__ in ("UndefinedTable", "UndefinedColumn"):
        return "holds no store of this version; `bellhop run` brings it up to date"
    return text or type(error.orig).__name__
