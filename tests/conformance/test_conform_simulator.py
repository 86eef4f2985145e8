"""`bellhop conform` against `bellhop sim smsc --scenario conform`, both as commands: every case of an SMSC passes."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from pathlib import Path

import pytest

from simulators.conform import run
from tests.support.processes import COMMAND, Program, ran
from tests.support.wire import HOST

TELL = """
import sys, urllib.request
method, address, body = sys.argv[1:]
urllib.request.urlopen(urllib.request.Request(address, body.encode(), {"Content-Type": "application/json"}, method=method)).close()
"""


class Remote:
    """Commands that tell the simulator over its API what to do, as docs/conformance.md has them with curl."""

    def __init__(self, folder: Path, pages: str) -> None:
        self._script = folder / "tell.py"
        self._script.write_text(TELL, "utf-8")
        self._pages = pages.rstrip("/")

    def tell(self, method: str, path: str, body: str) -> str:
        return f"{shlex.quote(sys.executable)} {shlex.quote(str(self._script))} {method} {self._pages}{path} {shlex.quote(body)}"

    @property
    def unbind(self) -> str:
        return self.tell("POST", "/api/events", '{"do": "unbind"}')

    @property
    def phone(self) -> str:
        # {text} comes quoted, so it stands between two quoted halves of one word.
        return self.tell("POST", "/api/phones/8613900001234/messages", '{"to": "10661800", "text": "') + "{text}'\"}'"

    @property
    def alert(self) -> str:
        return self.tell("POST", "/api/events", '{"do": "alert"}')

    @property
    def outbind(self) -> str:
        return self.tell("POST", "/api/events", '{"do": "outbind", "port": {port}}')

    @property
    def break_store(self) -> str:
        on, off = self.tell("POST", "/api/rules", '{"status": "ESME_RSYSERR"}'), self.tell("DELETE", "/api/rules", "")
        return f"case {{state}} in on) {on};; off) {off};; esac"


@pytest.mark.timeout(240)
async def test_our_simulator_passes_every_case(tmp_path):
    smsc = await Program.start(*COMMAND, "sim", "smsc", "--scenario", "conform", "--port", "0", "--http-port", "0")
    try:
        ready = dict(word.partition("=")[::2] for word in (await smsc.line("ready ")).split()[1:])
        remote = Remote(tmp_path, ready["phones"])
        done = await ran(
            *(*COMMAND, "conform", ready["smpp"], "--system-id", "conform", "--password", "secret8", "--json"),
            *("--failing-destination", "8613900000001", "--forbidden-source", "20000000"),
            *("--disabled-account", "closed:secret8", "--foreign-account", "foreign:secret8", "--poor-account", "poor:secret8"),
            *("--limited-account", "limited:secret8", "--bind-limit", "8", "--rate", "5"),
            *("--unbind-command", remote.unbind, "--outbind-command", remote.outbind, "--break-command", remote.break_store),
            *("--phone-command", remote.phone, "--alert-command", remote.alert, "--quiet-s", "0.3", "--patience-s", "6"),
            timeout_s=200,
        )
    finally:
        await smsc.end(signal.SIGTERM)

    assert ready["smpp"].startswith(f"{HOST}:")
    assert done.out, done.err
    cases = json.loads(done.out)["cases"]
    assert [(case["id"], case["result"], case["why"]) for case in cases if case["result"] != "pass"] == []
    assert done.code == 0
    assert [case["id"] for case in cases] == [case.id for case in run.SMSC_CASES]
