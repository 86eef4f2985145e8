"""The gateway and the SMSC simulator as processes of their own, on free ports: started, awaited, killed, and asked from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
COMMAND = (sys.executable, "-c", "from gateway.cli import main; main()")
# Generous: these tests are about what is true at the end, not about how fast a busy machine is.
PATIENCE_S = 60.0
PASSWORD = "pass1"
CREDIT_MINOR = 100_000_000
PRICES = {"chat": 10, "hold": 100, "drop": 30}
POLICIES = {"chat": "resend", "hold": "hold", "drop": "drop"}

_CONFIG = """
[store]
url = "{url}"
[web]
port = {http}
[smpp_server]
port = {smpp}
peer_window = 5000
[[links]]
name = "sim"
port = {smsc}
system_id = "bellhop"
window = 100
backoff_s_min = 0.05
backoff_s_max = 0.5
"""
_SERVICE = """
[[services]]
name = "{name}"
price = {price}
unknown_outcome = "{policy}"
"""


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are held until the last is found, so that no two are the same."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def clean_environ() -> dict[str, str]:
    """The environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BELLHOP")}


class Program:
    """A running command; its standard error is read line by line and kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self._is_new = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *command: str, cwd: Path = ROOT) -> Program:
        """Start it; what it needs to be ready is awaited with `line`."""
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env=clean_environ(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        return cls(process)

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            async with self._is_new:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._is_new.notify_all()
        async with self._is_new:
            self._is_new.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def line(self, word: str, timeout_s: float = PATIENCE_S) -> str:
        """The first line with a word in it; waits for it. Fails with all that was said when the program ends first."""
        async with asyncio.timeout(timeout_s), self._is_new:
            while True:
                found = next((line for line in self.lines if word in line), None)
                if found is not None:
                    return found
                assert not self._reading.done(), f"ended without {word!r}:\n" + "\n".join(self.lines)
                if self._process.stderr is not None and self._process.stderr.at_eof() and not self.is_running:
                    raise AssertionError(f"ended without {word!r}:\n" + "\n".join(self.lines))
                await self._is_new.wait()

    async def end(self, number: signal.Signals, timeout_s: float = PATIENCE_S) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.is_running:
            self._process.send_signal(number)
        return await self.wait(timeout_s)

    async def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end, and for the last line; the exit code."""
        async with asyncio.timeout(timeout_s):
            code = await self._process.wait()
            await self._reading
        return code


@asynccontextmanager
async def injected(victim: Program, calls: str, fault: str, store: Path) -> AsyncIterator[None]:
    """Let these system calls of a process meet a fault on the store's files until the block ends; needs strace."""
    files = [option for end in ("", "-wal", "-shm", "-journal") for option in ("-P", f"{store}{end}")]
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:{fault}")
    strace = await Program.start("strace", "-f", "-p", str(victim.pid), *files, *inject, "-o", "/dev/null")
    try:
        await strace.line("attached")
        yield
    finally:
        await strace.end(signal.SIGINT)


class Ran(NamedTuple):
    """What a command that came to its end left behind."""

    code: int
    out: str
    err: str


async def ran(*command: str, timeout_s: float = PATIENCE_S, cwd: Path = ROOT) -> Ran:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=clean_environ(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


class Site:
    """One gateway's folder, its carrier, and everything that was ever started there."""

    def __init__(self, folder: Path, store: Path, http: aiohttp.ClientSession, url: str = "") -> None:
        self.folder = folder
        self.store = store
        self.store_url = url or f"sqlite:///{store}"
        self.config = folder / "bellhop.toml"
        self.http = http
        self.http_port, self.smpp_port, self.smsc_port = free_ports(3)
        self.smsc_api = ""
        self.api_key = ""
        self.programs: list[Program] = []
        self.expected_error = ""

    # -- starting -----------------------------------------------------------------------------------------------------

    def write_config(self) -> None:
        """The configuration: three services, one per policy, and one link to the carrier."""
        text = _CONFIG.format(url=self.store_url, http=self.http_port, smpp=self.smpp_port, smsc=self.smsc_port)
        services = [_SERVICE.format(name=name, price=PRICES[name], policy=POLICIES[name]) for name in PRICES]
        self.config.write_text(text + "".join(services), "utf-8")

    async def add_partner(self) -> None:
        """Add the partner `acme`, with more credit than any test spends."""
        added = await self.command("partner", "add", "acme", "--smpp-password", PASSWORD, "--credit", str(CREDIT_MINOR), "--json")
        assert added.code == 0, added.err
        self.api_key = json.loads(added.out)["api_key"]

    async def start_smsc(self, *options: str) -> Program:
        """The carrier: no magic numbers, no phones, every submit_sm remembered."""
        ports = ("--port", str(self.smsc_port), "--http-port", "0", "--seed", "1", "--no-magic-numbers", "--no-phones")
        smsc = await self._start("sim", "smsc", *ports, *options)
        ready = await smsc.line("ready ")
        self.smsc_api = ready.partition("phones=")[2].rstrip("/")
        return smsc

    async def start_gateway(self) -> Program:
        """Start `bellhop run`; it is ready when `line('"ready"')` returns."""
        return await self._start("run", "-c", str(self.config))

    async def ready_gateway(self) -> Program:
        """Start `bellhop run` and wait until both its doors are open."""
        gateway = await self.start_gateway()
        await gateway.line('"ready"')
        return gateway

    async def _start(self, *arguments: str) -> Program:
        program = await Program.start(*COMMAND, *arguments)
        self.programs.append(program)
        return program

    async def command(self, *arguments: str) -> Ran:
        """Run another command on this configuration to its end."""
        return await ran(*COMMAND, *arguments, "-c", str(self.config))

    async def stop(self) -> None:
        """End whatever still runs."""
        for program in self.programs:
            if program.is_running:
                await program.end(signal.SIGKILL)

    def noise(self) -> list[str]:
        """What no program may say: tracebacks, and errors, but for those the test brings about."""
        return [line for line in self.said("Traceback", "never retrieved", '"level": "error"', "Error:") if not self._is_expected(line)]

    def said(self, *words: str) -> list[str]:
        """The lines of all programs with any of these words."""
        return [line for program in self.programs for line in program.lines if any(word in line for word in words)]

    def _is_expected(self, line: str) -> bool:
        return self.expected_error != "" and self.expected_error in line

    # -- asking -------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    async def message(self, message_id: str) -> Any:
        """GET /v1/messages/{id}; None when the gateway does not know it."""
        async with self.http.get(f"{self.url}/v1/messages/{message_id}", headers=self.auth) as response:
            assert response.status in (200, 404), await response.text()
            return await response.json() if response.status == 200 else None

    async def post(self, key: str = "", **message: str) -> tuple[int, dict[str, str], Any]:
        """POST /v1/messages, under an Idempotency-Key if one is given: status, headers, document."""
        headers = self.auth | ({"Idempotency-Key": key} if key else {})
        async with self.http.post(f"{self.url}/v1/messages", headers=headers, json=message) as response:
            return response.status, dict(response.headers), await response.json(content_type=None)

    async def status_of(self, path: str, **headers: str) -> tuple[int, Any]:
        """The status and the document of an address."""
        async with self.http.get(f"{self.url}{path}", headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def until_ready(self, *, is_ready: bool = True, timeout_s: float = PATIENCE_S) -> Any:
        """Ask /readyz until it says so; its last answer."""
        async with asyncio.timeout(timeout_s):
            while True:
                status, document = await self.status_of("/readyz")
                if (status == 200) is is_ready:
                    return document
                await asyncio.sleep(0.02)

    async def on_the_wire(self) -> list[dict[str, Any]]:
        """Every submit_sm that the carrier took, as it says itself."""
        async with self.http.get(f"{self.smsc_api}/api/messages", params={"limit": "10000"}) as response:
            assert response.status == 200, await response.text()
            found: list[dict[str, Any]] = await response.json()
        assert len(found) < 10_000, "more than the API lists: the test sends too much"
        return found


@asynccontextmanager
async def empty_site(folder: Path, *, store: Path | None = None, url: str = "") -> AsyncIterator[Site]:
    """A folder with a configuration and nothing running; whatever is started there is ended. The store is a file, or at `url`."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        site = Site(folder, store or folder / "bellhop.db", http, url)
        site.write_config()
        try:
            yield site
        finally:
            await site.stop()


@asynccontextmanager
async def opened_site(folder: Path, *smsc_options: str, store: Path | None = None, url: str = "") -> AsyncIterator[Site]:
    """A site with its carrier running and a partner in the store; the gateway is the test's to start."""
    async with empty_site(folder, store=store, url=url) as site:
        await asyncio.gather(site.start_smsc(*smsc_options), site.add_partner())
        yield site
