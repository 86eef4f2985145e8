"""Running commands as a person does, in this process; and a door that takes batches as the gateway does and fails when told to."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from gateway.cli import run


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs commands and takes what they printed; whatever else happens, no traceback may reach a person."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        for name in [name for name in os.environ if name.startswith("BELLHOP")]:
            monkeypatch.delenv(name)

    def __call__(self, *arguments: object) -> Outcome:
        self._capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        outcome = Outcome(code, *self._capsys.readouterr())
        assert "Traceback" not in outcome.err
        assert "internal fault" not in outcome.err, outcome.err
        return outcome


class Door:
    """POST /v1/messages with its Idempotency-Key kept; `before` may answer in its stead, `recorded` runs before the answer leaves."""

    def __init__(self) -> None:
        self.url = ""
        self.texts: list[str] = []
        self.keys: list[str] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.before: Callable[[int], web.Response | None] = lambda _count: None
        self.recorded: Callable[[int], None] = lambda _batches: None
        self._requests = 0

    async def post(self, request: web.Request) -> web.Response:
        self._requests += 1
        refusal = self.before(self._requests)
        if refusal is not None:
            return refusal
        key = request.headers["Idempotency-Key"]
        self.keys.append(key)
        if key not in self.answers:
            messages = (await request.json())["messages"]
            self.answers[key] = {"messages": [self._take(place, message) for place, message in enumerate(messages)]}
            self.recorded(len(self.answers))
        return web.json_response(self.answers[key], status=202)

    def _take(self, place: int, message: dict[str, str]) -> dict[str, Any]:
        if message["to"] == "bad":
            return {"error": {"detail": "is no phone number", "field": f"messages[{place}].to", "status": 422}}
        self.texts.append(message["text"])
        return {"id": str(1000 + len(self.texts)), "segments": 1, "encoding": "gsm7"}


@contextmanager
def opened_door() -> Iterator[Door]:
    """A door on a socket of its own, served by a thread of its own."""
    door = Door()
    loop = asyncio.new_event_loop()
    is_open, is_over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/messages", door.post)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        door.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        is_open.set()
        await is_over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert is_open.wait(10)
    try:
        yield door
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join(10)
        loop.close()
