"""The people of a simulated house at HTTP: partners, chat users, and the operator. What they are told is evidence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from simulators import books, house
from simulators.evidence import Answer, Asked, Evidence, Line, Polled, Sent, Stop
from simulators.http_client import http_session
from simulators.second_thoughts import CANCELS, Thought
from simulators.workload import Deed, Order, pause_until
from simulators.world import Sim, SimWorld

REQUEST_TIMEOUT_S = 10.0


class Browser:
    """A client's HTTP: an answer, or None when it was lost."""

    def __init__(self, world: SimWorld, evidence: Evidence) -> None:
        self._session = http_session(world.network, total_s=REQUEST_TIMEOUT_S)
        self._evidence = evidence

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, Any] | None:
        data = None if body is None else json.dumps(body).encode()
        url = f"http://{house.GATEWAY}:{house.HTTP_PORT}{path}"
        kind = {"Content-Type": "application/json"} if data is not None else {}
        try:
            async with self._session.request(method, url, data=data, headers=headers | kind) as response:
                text = await response.read()
                if response.status == 500:
                    self._evidence.trouble.append(f"500 for {method} {path}")
                return response.status, json.loads(text) if text else None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def insist(
        self, method: str, path: str, make_headers: Callable[[], Awaitable[dict[str, str]]], body: Any = None
    ) -> tuple[int, Any]:
        """Ask until there is an answer that says something."""
        while True:
            answer = await self.ask(method, path, await make_headers(), body)
            if answer is not None and answer[0] not in (401, 429) and answer[0] < 500:
                return answer
            await asyncio.sleep(1.0)


class HttpPartner:
    """Sends single messages and batches; retries those with a key until they are answered, and looks at what became of them."""

    def __init__(self, sim: Sim, evidence: Evidence, world: SimWorld, store: str) -> None:
        self._sim = sim
        self._evidence = evidence
        self._store = store
        self._browser = Browser(world, evidence)

    async def close(self) -> None:
        """Hang up."""
        await self._browser.close()

    async def do(self, deed: Deed) -> None:
        """One request at its time."""
        await pause_until(self._sim, deed.at_s)
        first = deed.sent[0]
        bodies: list[dict[str, Any]] = [
            {"to": f"+{each.destination}", "from": each.source, "text": each.text, "service": each.service} for each in deed.sent
        ]
        for each, document in zip(deed.sent, bodies, strict=True):
            if each.validity_s:
                document["validity_s"] = each.validity_s
            if each.delay_s:
                document["delay_s"] = each.delay_s
        body: Any = bodies[0] if len(bodies) == 1 else {"messages": bodies}
        headers = {"Authorization": f"Bearer {house.api_key(first.owner)}"}
        self._evidence.ask(deed.sent, self._sim.loop.time())
        if first.key:
            headers["Idempotency-Key"] = first.key

            async def same() -> dict[str, str]:
                return headers

            answer: tuple[int, Any] | None = await self._browser.insist("POST", "/v1/messages", same, body)
        else:
            answer = await self._browser.ask("POST", "/v1/messages", headers, body)
        self._note(deed, answer)
        if first.message_id:
            for thought in deed.thoughts:
                if await self._think(first, thought) is Answer.NONE:
                    break  # nobody knows, and nothing more is asked

    async def _think(self, sent: Sent, thought: Thought) -> Answer:
        """Take a message back, or change it."""
        await asyncio.sleep(thought.after_s)
        now = self._sim.loop.time()
        asked = Asked(thought.kind, now, thought.text_token, now + thought.delay_s if thought.delay_s else None)
        sent.asked.append(asked)
        headers = {"Authorization": f"Bearer {house.api_key(sent.owner)}"}
        body = None if thought.kind in CANCELS else {"text": thought.text} | ({"delay_s": thought.delay_s} if thought.delay_s else {})
        answer = await self._browser.ask("DELETE" if body is None else "PATCH", f"/v1/messages/{sent.message_id}", headers, body)
        asked.answered_at_s = self._sim.loop.time()
        if answer is not None and answer[0] < 500 and answer[0] != 429:
            asked.answer = Answer.ACCEPTED if answer[0] == 200 else Answer.REFUSED
            asked.reason = str(answer[1].get("reason", answer[0]))
            if asked.answer is Answer.ACCEPTED and body is None and not books.is_released(self._store, sent.message_id):
                self._evidence.seen_at_once.append(f"{sent.token} was cancelled, and still waits or holds credit")
        return asked.answer

    def _note(self, deed: Deed, answer: tuple[int, Any] | None) -> None:
        if answer is None or answer[0] >= 500:
            return
        status, document = answer
        answers = document["messages"] if status == 202 and len(deed.sent) > 1 else [document] * len(deed.sent)
        for sent, each in zip(deed.sent, answers, strict=True):
            sent.answered_at_s = self._sim.loop.time()
            if status == 202 and "error" not in each:
                sent.answer, sent.message_id = Answer.ACCEPTED, int(each["id"])
            elif status == 202 and each["error"].get("status", 0) >= 500:
                sent.reason = str(each["error"].get("reason"))
            else:
                sent.answer = Answer.REFUSED
                sent.reason = str((each.get("error") or each).get("reason", status))

    async def look(self, sent: Sent) -> bool:
        """GET one message; False when there was no answer."""
        headers = {"Authorization": f"Bearer {house.api_key(sent.owner)}"}
        answer = await self._browser.ask("GET", f"/v1/messages/{sent.message_id}", headers)
        if answer is None or answer[0] >= 500:
            return False
        if answer[0] != 200:
            self._evidence.trouble.append(f"{answer[0]} for an accepted message, {sent.token}")
            return True
        parts = tuple(part["state"] for part in answer[1]["parts"])
        self._evidence.polled.append(Polled(sent.message_id, self._sim.loop.time(), parts, answer[1]["state"]))
        return True

    async def watch(self, until_s: float) -> None:
        """Look at some message every few seconds."""
        numbers = self._sim.stream("watch")
        while self._sim.loop.time() < until_s:
            await asyncio.sleep(3.0 + numbers.random() * 5)
            known = [sent for sent in self._evidence.sent.values() if sent.message_id and sent.front != "im" and not sent.group]
            for sent in numbers.sample(known, min(1, len(known))):
                await self.look(sent)


class ChatUser:
    """An account: says things to phones under its own ids, as often as it takes to be answered."""

    def __init__(self, sim: Sim, evidence: Evidence, world: SimWorld, number: str) -> None:
        self._sim = sim
        self._evidence = evidence
        self._browser = Browser(world, evidence)
        self._number = number
        self._token = ""

    async def close(self) -> None:
        """Hang up."""
        await self._browser.close()

    async def do(self, deed: Deed) -> None:
        """Say one thing at its time."""
        await pause_until(self._sim, deed.at_s)
        sent = deed.sent[0]
        sent.asked_at_s = self._sim.loop.time()
        body = {"to": f"+{sent.destination}", "text": sent.text, "client_id": sent.key}
        while True:
            status, document = await self._ask("POST", "/chat/api/messages", body)
            if status == 202:
                sent.answer, sent.message_id, sent.chat_id = Answer.ACCEPTED, int(document["message_id"]), document["id"]
            else:
                sent.answer, sent.reason = Answer.REFUSED, str(document.get("reason"))
            sent.answered_at_s = self._sim.loop.time()
            return

    async def read(self) -> None:
        """The whole history."""
        status, document = await self._ask("GET", "/chat/api/messages?since=0&limit=200", None)
        assert status == 200, document
        for line in document["messages"]:
            self._evidence.lines.append(
                Line(self._number, line["peer"], line["direction"], line["text"], line["state"], line["client_id"], line["id"])
            )

    async def _ask(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        while True:
            if not self._token:
                await self._log_in()
            headers = {"Authorization": f"Bearer {self._token}"}
            answer = await self._browser.ask(method, path, headers, body)
            if answer is not None and answer[0] == 401:
                self._token = ""  # sessions end with the process that kept them
                continue
            if answer is not None and answer[0] != 429 and answer[0] < 500:
                return answer
            await asyncio.sleep(1.0)

    async def _log_in(self) -> None:
        async def nothing() -> dict[str, str]:
            return {}

        body = {"account": self._number, "password": house.CHAT_PASSWORD}
        status, document = await self._browser.insist("POST", "/chat/api/login", nothing, body)
        assert status == 200, document
        self._token = document["token"]


# -- whoever runs the gateway ---------------------------------------------------------------------------------------------------


class Operator:
    """Stops, drains, paces and starts links, has the file read again, and records opt-outs."""

    def __init__(self, sim: Sim, evidence: Evidence, world: SimWorld, file: house.File) -> None:
        self._sim = sim
        self._evidence = evidence
        self._browser = Browser(world, evidence)
        self._file = file

    async def close(self) -> None:
        """Hang up."""
        await self._browser.close()

    async def do(self, order: Order) -> None:
        """Give one order, as often as it takes to be answered."""
        if order.kind == "reload":
            self._file.edition = order.subject
            await self._tell("/reload", {})
        elif order.kind == "stop list":
            await self._tell("/optouts", {"number": f"+{order.subject}", "code": house.LEFT_SENDER})
            self._evidence.stops.append(Stop(order.subject, house.LEFT_SENDER, self._sim.loop.time()))
        elif order.kind == "rate":
            await self._tell(f"/links/{order.subject}/rate", {"rate_per_s": order.rate_per_s})
        else:
            await self._tell(f"/links/{order.subject}/{order.kind}", {})
        self._sim.log("order", what=order.kind, subject=order.subject)

    async def calm_down(self) -> None:
        """Everything as it was at first, and everything running."""
        await self.do(Order(0.0, "reload", house.EDITIONS[0]))
        for link in self._file.links:
            await self.do(Order(0.0, "start", link))

    async def _tell(self, path: str, body: dict[str, Any]) -> None:
        async def headers() -> dict[str, str]:
            return {"Authorization": f"Bearer {house.OPERATOR_TOKEN}"}

        status, document = await self._browser.insist("POST", f"/v1/ops{path}", headers, body)
        # A link may be missing from the file as it is now.
        assert status in (200, 404), document
