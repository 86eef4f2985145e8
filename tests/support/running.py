"""A gateway and a carrier as a person starts them: each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Running(NamedTuple):
    """A gateway and a carrier, each a process of its own."""

    config: Path
    url: str


def started(*command: str, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BELLHOP")}
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=clean | (environ or {})
    )


def line_with(stream: IO[str], word: str) -> str:
    line = next(line for line in stream if word in line)
    threading.Thread(target=stream.read, daemon=True).start()  # so that the process never waits for us to read
    return line


@contextmanager
def running_gateway(folder: Path, environ: dict[str, str] | None = None, *, more: str = "") -> Iterator[Running]:
    """Both, until the block ends, with the configuration that `bellhop init` writes and `more`; `environ` overrides it."""
    smsc = started("-m", "simulators.cli", "smsc", "--port", "0", "--http-port", "0", "--receipt-delay-ms", "0")
    assert smsc.stderr is not None
    carrier = line_with(smsc.stderr, "ready").split("smpp=127.0.0.1:")[1].split()[0]
    main = "from gateway.cli import main; main()"
    assert started("-c", main, "init", str(folder)).wait(30) == 0
    config = folder / "bellhop.toml"
    if more:
        config.write_text(f"{config.read_text('utf-8')}\n{more}", "utf-8")
    places = {"BELLHOP__LINKS__0__PORT": carrier, "BELLHOP__WEB__PORT": "0", "BELLHOP__SMPP_SERVER__PORT": "0"}
    gateway = started("-c", main, "run", "-c", str(config), environ=places | (environ or {}))
    assert gateway.stderr is not None
    port = json.loads(line_with(gateway.stderr, '"ready"'))["http"]
    try:
        yield Running(config, f"http://127.0.0.1:{port}")
    finally:
        for process in (gateway, smsc):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
