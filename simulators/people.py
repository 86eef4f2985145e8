"""The people of a simulated house at work: a partner over SMPP, partners over HTTP, chat users. What they are told is evidence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import Status, Tag
from gateway.smpp.session import Limits
from gateway.sms import segments
from simulators import house
from simulators.esme import BindRefusedError, Esme
from simulators.evidence import Answer, Evidence, Handed, Line, Polled, Sent, token_in
from simulators.http_client import http_session
from simulators.workload import Deed, pause_until
from simulators.world import Sim, SimWorld

REQUEST_TIMEOUT_S = 10.0
# Answers after which nobody knows whether the message is there.
_UNSURE = frozenset({Status.ESME_RSYSERR})


# -- the partner who binds --------------------------------------------------------------------------------------------------


class EsmePartner:
    """Binds, sends, takes receipts and MO; comes back when the connection is gone, and now and then leaves on purpose."""

    def __init__(self, sim: Sim, evidence: Evidence, deeds: list[Deed]) -> None:
        self._sim = sim
        self._evidence = evidence
        self._deeds = deeds
        self._numbers = sim.stream("partner")
        self._session = 0
        self._waiting = 0
        self.is_calm = evidence.is_calm
        self.is_done = False

    async def run(self, world: SimWorld) -> None:
        """For ever."""
        while True:
            # A delivery may come with the answer to the bind, so the session has its number before.
            self._session += 1
            try:
                esme = await Esme.connect(
                    world, house.GATEWAY, house.SMPP_PORT, system_id="acme", password=house.PASSWORD, limits=Limits(enquire_link_s=10.0),
                    on_deliver=self._take,
                )  # fmt: skip
            except (OSError, BindRefusedError, TimeoutError):
                await asyncio.sleep(0.5 + self._numbers.random())
                continue
            world.log("partner bound", session=self._session)
            leaves_at = self._sim.loop.time() + self._numbers.random() * 60.0
            await self._work(esme, leaves_at)

    async def _work(self, esme: Esme, leaves_at: float) -> None:
        while not esme.is_over:
            now = self._sim.loop.time()
            while self._deeds and self._deeds[0].at_s <= now:
                for sent, pdu in self._deeds.pop(0).pdus:
                    self._waiting += 1
                    sent.asked_at_s = now
                    esme.send(pdu, self._answered(sent))
            self.is_done = not self._deeds and not self._waiting
            if now >= leaves_at and not self.is_calm:
                leaves_at = float("inf")
                if self._numbers.random() < 0.5:
                    esme.abort()
                else:
                    try:
                        await esme.unbind()
                    except TimeoutError:
                        esme.abort()
            await asyncio.sleep(0.25)
        await asyncio.sleep(0.2)

    def _answered(self, sent: Sent) -> Callable[[p.Pdu | None], None]:
        def answered(response: p.Pdu | None) -> None:
            self._waiting -= 1
            if not isinstance(response, p.SubmitSmResp):
                sent.answer = Answer.NONE
            elif response.command_status == 0:
                sent.answer, sent.message_id = Answer.ACCEPTED, int(response.message_id)
            else:
                sent.answer = Answer.NONE if response.command_status in _UNSURE else Answer.REFUSED
                sent.reason = f"0x{response.command_status:02X}"

        return answered

    def _take(self, pdu: p.DeliverSm | p.DataSm) -> int | None:
        chance = 1.0 if self.is_calm else self._numbers.random()
        status = None if chance < 0.01 else int(Status.ESME_RX_T_APPN) if chance < 0.05 else 0
        assert isinstance(pdu, p.DeliverSm)
        told = receipt.read(pdu)
        message_id, stat, text = 0, "", None
        if told is not None:
            message_id, stat = int(told.smsc_id), told.text_receipt.stat if told.text_receipt is not None else ""
        else:
            octets = pdu.short_message or pdu.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
            text = segments.decode(pdu.data_coding, bool(pdu.esm_class & 0x40), octets).text
        now = self._sim.loop.time()
        self._evidence.handed.append(Handed("acme", self._session, now, message_id, stat, token_in(text), text, status))
        return status


# -- partners over HTTP, and chat users -----------------------------------------------------------------------------------------


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

    def __init__(self, sim: Sim, evidence: Evidence, world: SimWorld) -> None:
        self._sim = sim
        self._evidence = evidence
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
        body: Any = bodies[0] if len(bodies) == 1 else {"messages": bodies}
        headers = {"Authorization": f"Bearer {house.api_key(first.owner)}"}
        for sent in deed.sent:
            sent.asked_at_s = self._sim.loop.time()
        if first.key:
            headers["Idempotency-Key"] = first.key

            async def same() -> dict[str, str]:
                return headers

            answer: tuple[int, Any] | None = await self._browser.insist("POST", "/v1/messages", same, body)
        else:
            answer = await self._browser.ask("POST", "/v1/messages", headers, body)
        self._note(deed, answer)

    def _note(self, deed: Deed, answer: tuple[int, Any] | None) -> None:
        if answer is None or answer[0] >= 500:
            return
        status, document = answer
        answers = document["messages"] if status == 202 and len(deed.sent) > 1 else [document] * len(deed.sent)
        for sent, each in zip(deed.sent, answers, strict=True):
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
            known = [sent for sent in self._evidence.sent.values() if sent.message_id and sent.front != "im"]
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
