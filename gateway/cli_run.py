"""`bellhop run`: the gateway until SIGTERM or SIGINT, one instance per data directory."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TextIO

import structlog
import typer
from sqlalchemy import exc

from gateway.app import Gateway
from gateway.cli_control import make_token
from gateway.cli_store import place, reason
from gateway.domain import failure
from gateway.domain.credentials import is_password
from gateway.errors import Refused
from gateway.real_world import RealCommands, RealWorld
from gateway.settings import Settings
from gateway.settings_file import load
from gateway.store.engine import greatest_id, migrate, open_writing
from gateway.store.errors import StoreError
from gateway.telemetry import ForgivingStream, Metrics, configure_logging

_log = structlog.get_logger(__name__)

# Links, HTTP, the store and its readers.
FILES_BESIDE_SESSIONS = 2_048


def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = Path("bellhop.toml"),
) -> None:
    """Run the gateway.

    \b
    Examples:
      bellhop run -c shop/bellhop.toml
      BELLHOP__WEB__PORT=9090 bellhop run -c shop/bellhop.toml
    """
    loaded = load(config, os.environ)
    settings = loaded.settings
    clock = RealWorld().clock
    log = configure_logging(settings.log.level, settings.log.format, clock.now_us)
    for warning in loaded.warnings:
        _log.warning("configuration", note=warning)
    lock = _lock_of(settings, loaded.path)
    try:
        _run_loop(_serve(settings, loaded.path, lambda: load(config, os.environ).settings, log))
    finally:
        lock.close()


def check_password(password_hash: str, password: str) -> bool:
    """Compare with an argon2id hash; slow on purpose."""
    return is_password(password_hash, password)


async def _serve(settings: Settings, config: Path, reread: Callable[[], Settings], log: ForgivingStream) -> None:
    world = RealWorld(settings.node.id)
    token = make_token(Path(settings.web.operator_token_file))
    _raise_file_limit(settings)
    gateway = Gateway(
        settings,
        world,
        check_password=check_password,
        metrics=Metrics(),
        operator_token=token,
        reread=reread,
        commands=RealCommands(config),
    )
    gateway.tally.lines_lost = lambda: log.lost
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    reloads: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: _spawn(reloads, _reload(gateway)))
    try:
        await start(gateway, world)
        _calm_collector()
        _log.info("ready", http=gateway.web_port, smpp=gateway.smpp_server.port)
        await stopping.wait()
        _log.info("stopping")
        for task in reloads:
            task.cancel()
        await gateway.stop()
    finally:
        await world.close()
    _log.info("stopped")


def _raise_file_limit(settings: Settings) -> None:
    """A session is an open file, and the usual soft limit is 1,024: take what the hard limit gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.smpp_server.sessions_max + FILES_BESIDE_SESSIONS
    given = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < given:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
    if given < wanted:
        _log.warning("fewer open files than sessions", limit=given, sessions_max=settings.smpp_server.sessions_max)


async def _reload(gateway: Gateway) -> None:
    """What SIGHUP asks for; a file that cannot be taken is in the log, and nothing has changed."""
    if gateway.is_ready:
        with contextlib.suppress(failure.Refused):
            await gateway.reload()


def _spawn(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _calm_collector() -> None:
    """Keep the cyclic collector from walking what lives as long as the process, at every few hundred messages.

    Messages in flight are freed by their counts; measured, full collections took a third of the loop's time at full load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def start(gateway: Gateway, world: RealWorld) -> None:
    """Start it, turning what the machine refuses into one line."""
    settings = gateway.settings
    try:
        # Before the doors are open: the clock may have been set back since the last run.
        world.ids.raise_floor(await world.executor.run(_last_id, settings.store.url))
        await gateway.start()
    except StoreError as error:
        raise Refused(str(error)) from None
    except failure.Refused as refused:
        raise Refused(refused.text) from None
    except exc.DBAPIError as error:
        raise Refused(f"cannot open the store {place(settings.store.url)}: {reason(error)}") from None
    except OSError as error:
        raise Refused(_port_trouble(settings, error)) from None


def _last_id(url: str) -> int:
    """The greatest id of earlier runs; makes the store where there is none."""
    engine = open_writing(url)
    try:
        migrate(engine)
        return greatest_id(engine)
    finally:
        engine.dispose()


def _port_trouble(settings: Settings, error: OSError) -> str:
    doors = {settings.web.port: ("web", settings.web.host), settings.smpp_server.port: ("smpp_server", settings.smpp_server.host)}
    for port, (section, host) in doors.items():
        if str(port) in str(error):
            why = os.strerror(error.errno) if error.errno else str(error)
            return f"cannot listen on {host}:{port} ({why}); is another gateway running? set [{section}] port to a free one"
    return f"cannot open a door: {error}"


def _lock_of(settings: Settings, path: Path) -> TextIO:
    """Hold the data directory; a second instance is refused."""
    prefix = "sqlite:///"
    beside = Path(settings.store.url.removeprefix(prefix)) if settings.store.url.startswith(prefix) else path
    lock_path = beside.with_name(beside.name + ".lock")
    try:
        lock = lock_path.open("a+")
    except OSError as error:
        raise Refused(f"cannot write in {lock_path.parent}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Refused(f"another bellhop runs on {beside}; stop it first, or give this one its own [store] url") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _run_loop(main: object) -> None:
    assert asyncio.iscoroutine(main)
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
