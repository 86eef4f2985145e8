"""What the people of a simulated house do, and when: drawn from the seed. people.py has them do it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from gateway.smpp import pdu as p
from gateway.smpp.consts import Tag
from gateway.sms import segments
from simulators import house
from simulators.evidence import Evidence, PhoneSaid, Sent
from simulators.streams import Stream
from simulators.world import Sim

PLAY_S = 35.0


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
    if numbers.random() < 0.2:
        for sent in sents:
            sent.validity_s = numbers.randint(2, 20)
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
