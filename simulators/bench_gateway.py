"""The gateway under the bench: `bellhop run` in a process of its own, as an operator would start it, and what that process costs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, NamedTuple

from simulators.bench_smpp import SOURCE

PARTNER = "bench"
PASSWORD = "bench"
CREDIT_MINOR = 10**15
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
STORE_NAME = "bellhop.db"
SERVICES = {"chat": (10, "resend"), "hold": (100, "hold"), "free": (0, "drop")}

_BELLHOP = "import sys; from gateway.cli import run; sys.exit(run(sys.argv[1:]))"
# The loop's thread only: the writer's statements show there as nothing, its share is in the figures of /proc.
_PROFILED = (
    "import cProfile, sys; from gateway.cli import run; profile = cProfile.Profile(); path = sys.argv.pop(1)\n"
    "try: profile.runcall(run, sys.argv[1:])\n"
    "finally: profile.dump_stats(path)"
)
_COMMITS = re.compile(r"^bellhop_commits_total (\S+)", re.MULTILINE)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchFailed(Exception):
    """The run could not be made."""


class Cost(NamedTuple):
    """Processor seconds of the gateway so far: its loop's thread, and all its others (the writer, above all)."""

    loop_s: float
    others_s: float


CONFIG = """\
[store]
url = "sqlite:///{store}"
[web]
port = 0
connections_per_address_max = 10000
[smpp_server]
port = 0
window = 1000
peer_window = 100000
[log]
level = "info"
[[links]]
name = "bench"
port = {port}
system_id = "bellhop"
password = "bench"
window = {window}
{services}
[[short_codes]]
number = "{source}"
service = "chat"
[messenger]
enabled = false
"""
_SERVICE = '[[services]]\nname = "{}"\nprice = {}\nunknown_outcome = "{}"\n'


class BenchFolder:
    """A data folder: configuration, store, and the key of its one partner; made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "bellhop.toml"
        self.store = folder / STORE_NAME

    def configure(self, carrier_port: int, window: int) -> None:
        """Write the configuration of this run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        services = "".join(_SERVICE.format(name, *facts) for name, facts in SERVICES.items())
        text = CONFIG.format(store=STORE_NAME, port=carrier_port, window=window, services=services, source=SOURCE)
        self.config.write_text(text, "utf-8")

    async def api_key(self) -> str:
        """The partner's key; the partner is added the first time."""
        kept = self.folder / "api_key"
        if kept.exists():
            return kept.read_text("ascii")
        options = ("--smpp-password", PASSWORD, "--credit", str(CREDIT_MINOR), "--json", "-c", str(self.config))
        command = (sys.executable, "-c", _BELLHOP, "partner", "add", PARTNER, *options)
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        if process.returncode:
            raise BenchFailed(f"cannot add a partner: {err.decode().strip()}")
        key = str(json.loads(out)["api_key"])
        kept.write_text(key, "ascii")
        return key


class BenchGateway:
    """One running `bellhop run`."""

    def __init__(self, process: Process, smpp_port: int, http_port: int, ready_s: float) -> None:
        self._process = process
        self.smpp_port = smpp_port
        self.http_port = http_port
        self.ready_s = ready_s
        self._drain = asyncio.get_running_loop().create_task(self._read_on())
        self.log: list[str] = []

    @classmethod
    async def start(cls, folder: BenchFolder, profile: Path | None) -> BenchGateway:
        """Start it and wait until both doors are open."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        head = ["-c", _PROFILED, str(profile)] if profile else ["-c", _BELLHOP]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BELLHOP__")}
        process = await asyncio.create_subprocess_exec(sys.executable, *head, "run", "-c", str(folder.config), stderr=PIPE, env=environ)
        ready = await asyncio.wait_for(_ready_line(process), READY_TIMEOUT_S)
        return cls(process, int(ready["smpp"]), int(ready["http"]), loop.time() - begun)

    @property
    def pid(self) -> int:
        return self._process.pid

    def cost(self) -> Cost:
        """Processor time so far, by thread."""
        loop_s = others_s = 0.0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
            if task.name == str(self.pid):
                loop_s = seconds
            else:
                others_s += seconds
        return Cost(loop_s, others_s)

    def peak_rss_mib(self) -> float:
        """The most memory it ever had."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii", "replace")
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return round(int(found[1]) / 1024, 1) if found else 0.0

    async def commits(self) -> int:
        """Transactions committed so far, as it tells Prometheus."""
        found = _COMMITS.search(await _get("127.0.0.1", self.http_port, "/metrics"))
        return int(float(found[1])) if found else 0

    async def is_link_up(self) -> bool:
        """Whether the far end is bound."""
        checks = json.loads((await _get("127.0.0.1", self.http_port, "/readyz")).partition("\r\n\r\n")[2])["checks"]
        return all(check["ok"] for check in checks.values())

    async def stop(self) -> None:
        """SIGTERM, and its end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._drain

    async def _read_on(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            if b'"warning"' in line or b'"error"' in line or not line.startswith(b"{"):
                self.log = [*self.log[-99:], line.decode("utf-8", "replace").rstrip()]


async def _ready_line(process: Process) -> dict[str, Any]:
    assert process.stderr is not None
    said = []
    while line := await process.stderr.readline():
        said.append(line.decode("utf-8", "replace").rstrip())
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "ready":
            return dict(event)
    raise BenchFailed("the gateway did not start: " + " | ".join(said[-3:]))


class _Once(asyncio.Protocol):
    """One HTTP request whose answer ends with the connection."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._parts: list[bytes] = []
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]  # uvloop's transports don't inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.answer.set_result(b"".join(self._parts))


async def _get(host: str, port: int, path: str) -> str:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: _Once(request), host, port)
    return (await protocol.answer).decode("utf-8", "replace")
