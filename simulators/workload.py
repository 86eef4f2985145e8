"""The people of a simulated house: two partners over SMPP and HTTP, chat users, and phones that write first.

What they do, and when, is drawn from the seed; what they were told goes into the evidence.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp

from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import Status, Tag
from gateway.smpp.session import Limits
from gateway.sms import segments
from simulators import house
from simulators.esme import BindRefusedError, Esme
from simulators.evidence import Answer, Evidence, Handed, Line, PhoneSaid, Polled, Sent, token_in
from simulators.http_client import http_session
from simulators.streams import Stream
from simulators.world import Sim, SimWorld

PLAY_S = 45.0
REQUEST_TIMEOUT_S = 10.0
# Answers after which nobody knows whether the message is there.
_UNSURE = frozenset({Status.ESME_RSYSERR})


class Deed(NamedTuple):
    """Something to be done at a time."""

    at_s: float
    sent: list[Sent]
    pdus: list[tuple[Sent, p.SubmitSm]]
    kind: str


class Plan(NamedTuple):
    """Who does what."""

    esme: list[Deed]
    http: list[Deed]
    chat: list[Deed]
    says: list[tuple[float, PhoneSaid]]


def draw(sim: Sim, evidence: Evidence) -> Plan:
    """The plan of a seed."""
    numbers = sim.stream("workload")
    plan = Plan([], [], [], [])
    for _ in range(numbers.randint(10, 22)):
        plan.esme.append(_smpp_deed(numbers, evidence))
    for _ in range(numbers.randint(6, 12)):
        plan.http.append(_http_deed(numbers, evidence, "acme"))
    for _ in range(6):
        plan.http.append(_http_deed(numbers, evidence, "poor"))
    if numbers.random() < 0.06:
        plan.http.append(_flood(numbers, evidence))
    for _ in range(numbers.randint(8, 16)):
        plan.chat.append(_chat_deed(numbers, evidence))
    for _ in range(numbers.randint(1, 4)):
        token = evidence.token()
        text = " ".join([token] * numbers.choice([1, 1, 50])) + numbers.choice(["", " 你好"])
        said = PhoneSaid(token, numbers.choice(house.PHONES), house.PARTNER_CODE, text, partner="acme")
        plan.says.append((numbers.random() * PLAY_S, said))
    for deeds in (plan.esme, plan.http, plan.chat):
        deeds.sort(key=lambda deed: deed.at_s)
    return plan


def _text(numbers: Stream, token: str) -> str:
    kind = numbers.random()
    if kind < 0.55:
        return f"{token} hello"
    if kind < 0.7:
        return f"{token} 你好，世界 🙂"
    if kind < 0.85:
        return " ".join([token] * numbers.choice([30, 60, 75]))
    return "好".join([token] * numbers.choice([12, 24]))


def _new(numbers: Stream, evidence: Evidence, front: str, owner: str, source: str, service: str, destination: str = "") -> Sent:
    chance = numbers.random()
    phones = (house.SILENT_PHONE,) if chance < 0.015 else house.MAGIC_PHONES if chance < 0.35 else house.PHONES
    token = evidence.token()
    sent = Sent(token, front, owner, service, source, destination or numbers.choice(phones), _text(numbers, token))
    evidence.sent[token] = sent
    return sent


def _service(numbers: Stream) -> str:
    return numbers.choice(["chat", "chat", "prem", "prem", "alert", "flat", "note"])


def _smpp_deed(numbers: Stream, evidence: Evidence) -> Deed:
    at_s = numbers.random() * PLAY_S
    sent = _new(numbers, evidence, "smpp", "acme", numbers.choice(["10690001", "10690002"]), _service(numbers))
    sent.registered_delivery = numbers.choice([0, 1, 1, 1, 2])
    if numbers.random() < 0.15:
        return Deed(at_s, [sent], _with_header(numbers, evidence, sent), "smpp")
    segmented = segments.split(sent.text, reference=0, parts_max=20, encoding=None)
    octets = sent.text.encode("utf-16-be") if segmented.encoding is segments.Encoding.UCS2 else sent.text.encode("ascii")
    short, tlvs = (octets, {}) if len(octets) <= 140 else (b"", {int(Tag.MESSAGE_PAYLOAD): octets})
    return Deed(at_s, [sent], [(sent, _submit(sent, segmented.data_coding, 0, short, tlvs))], "smpp")


def _with_header(numbers: Stream, evidence: Evidence, first: Sent) -> list[tuple[Sent, p.SubmitSm]]:
    """A message that the partner has split himself: to the gateway each part is a message of its own."""
    pdus = []
    for number in (1, 2):
        token = first.token if number == 1 else evidence.token()
        sent = first if number == 1 else Sent(token, "smpp", "acme", first.service, first.source, first.destination, "")
        sent.text, sent.registered_delivery = f"{token} part", first.registered_delivery
        evidence.sent[token] = sent
        header = bytes((5, 0, 3, 7 + numbers.randrange(200), 2, number))
        pdus.append((sent, _submit(sent, 0, 0x40, header + sent.text.encode("ascii"), {})))
    return pdus


def _submit(sent: Sent, data_coding: int, esm_class: int, short: bytes, tlvs: dict[int, bytes]) -> p.SubmitSm:
    return p.SubmitSm(
        service_type=sent.service,
        source_addr=sent.source,
        source_addr_npi=1,
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=sent.destination,
        esm_class=esm_class,
        registered_delivery=sent.registered_delivery,
        data_coding=data_coding,
        short_message=short,
        tlvs=tlvs,
    )


def _http_deed(numbers: Stream, evidence: Evidence, owner: str) -> Deed:
    at_s = numbers.random() * PLAY_S
    count = numbers.choice([1, 1, 1, 4]) if owner == "acme" else 1
    service = _service(numbers) if owner == "acme" else "chat"
    sents = [_new(numbers, evidence, "http", owner, "10690001", service) for _ in range(count)]
    if numbers.random() < 0.5:
        for sent in sents:
            sent.key = f"key-{sents[0].token}"
    return Deed(at_s, sents, [], "http")


def _flood(numbers: Stream, evidence: Evidence) -> Deed:
    """More in one batch than a lane keeps in memory."""
    service = numbers.choice(["chat", "prem"])
    sents = [_new(numbers, evidence, "http", "acme", "10690009", service, numbers.choice(house.PHONES)) for _ in range(120)]
    for sent in sents:
        sent.text = f"{sent.token} flood"
    return Deed(numbers.random() * PLAY_S, sents, [], "http")


def _chat_deed(numbers: Stream, evidence: Evidence) -> Deed:
    phones = (*house.PHONES, house.STOPPING_PHONE)
    sent = _new(numbers, evidence, "im", numbers.choice(house.ACCOUNTS), "", "chat", numbers.choice(phones))
    sent.key = f"client-{sent.token}"
    return Deed(numbers.random() * PLAY_S, [sent], [], "chat")


async def pause_until(sim: Sim, at_s: float) -> None:
    """Wait for a time of the run."""
    wait_s = at_s - sim.loop.time()
    if wait_s > 0:
        await asyncio.sleep(wait_s)


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
        bodies = [{"to": f"+{each.destination}", "from": each.source, "text": each.text, "service": each.service} for each in deed.sent]
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
            await asyncio.sleep(2.0 + numbers.random() * 3)
            known = [sent for sent in self._evidence.sent.values() if sent.message_id and sent.front != "im"]
            for sent in numbers.sample(known, min(2, len(known))):
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
