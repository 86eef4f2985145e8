"""The process around the demo: its folder, its loop, the signals that end it, and what it prints."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

from gateway.real_world import RealWorld
from gateway.telemetry import configure_logging
from simulators.demo import Demo, Ports, lock_folder, secrets_of
from simulators.demo_once import play

EXIT_FLOW_FAILED = 1
EXIT_INTERRUPTED = 130
ONCE_RECEIPT_DELAY_MS = 20

Write = Callable[[str], None]


def run_demo(folder: Path | None, ports: Ports, *, is_once: bool, is_json: bool, write: Write) -> int:
    """Run the demo until it is interrupted, or its flows once; the exit code."""
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellhop-demo-", ignore_cleanup_errors=True)))
            is_kept = False
        else:
            folder = folder.absolute()
            is_kept = True
        stack.enter_context(lock_folder(folder))
        work = partial(_once, write) if is_once else partial(_stay, write, is_json, is_kept)
        try:
            return _run_loop(_with_demo(folder, ports, is_once, work))
        except asyncio.CancelledError:
            return EXIT_INTERRUPTED


async def _with_demo(folder: Path, ports: Ports, is_once: bool, work: Callable[[Demo], Coroutine[Any, Any, int]]) -> int:
    me = asyncio.current_task()
    assert me is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, me.cancel)
    world = RealWorld()
    # What goes wrong is shown by the flows and the pages; a link that goes down as the demo stops is no news.
    configure_logging("error", "console", world.clock.now_us)
    delay = {"receipt_delay_ms": ONCE_RECEIPT_DELAY_MS} if is_once else {}
    demo = Demo(world, folder, secrets_of(world, folder), ports, **delay)
    try:
        await demo.start()
        return await work(demo)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second Ctrl-C ends it at once
        await demo.stop()
        await world.close()


async def _once(write: Write, demo: Demo) -> int:
    return 0 if await play(demo, write) else EXIT_FLOW_FAILED


async def _stay(write: Write, is_json: bool, is_kept: bool, demo: Demo) -> int:
    await demo.welcome()
    write(dumps(demo.addresses()) if is_json else _leaflet(demo, is_kept))
    try:
        await asyncio.get_running_loop().create_future()  # until a signal cancels it
    except asyncio.CancelledError:
        if not is_json:
            write("\nstopping")
    return 0


def _leaflet(demo: Demo, is_kept: bool) -> str:
    """What a person sees on the terminal."""
    shown = demo.addresses()
    config = demo.folder / "bellhop.toml"
    accounts = [f"                 {one['account']}  {one['nick']:<12}  password {one['password']}" for one in shown["accounts"]]
    fate = "is kept" if is_kept else "goes when the demo stops; --folder DIR keeps it"
    return "\n".join(
        [
            "Bellhop is up. Ctrl-C stops it.",
            "",
            f"  Chat           {shown['chat']}",
            *accounts,
            f"  Phones         {shown['phones']}",
            f"                 {'   '.join(shown['phone_numbers'])}",
            f"  API            {shown['api']}",
            f"                 key {shown['api_key']}",
            f"  SMPP door      {shown['smpp']}   system_id {shown['smpp_system_id']}   password {shown['smpp_password']}",
            f"  SMSC simulator {shown['smsc']}",
            f"  Metrics        {shown['metrics']}",
            f"  Folder         {shown['folder']}   ({fate})",
            "",
            "Try this: log in to the chat as 10001 and write to Phone 1; see it on the page of phones, and answer there.",
            f"Look inside: bellhop status -c {config}",
        ]
    )


def _run_loop(main: Coroutine[Any, Any, int]) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
