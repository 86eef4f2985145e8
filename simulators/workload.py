"""What the people of a simulated house do, and when: drawn from the seed. people.py and esme_partner.py have them do it."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from gateway.smpp import pdu as p
from gateway.smpp.consts import Tag
from gateway.smpp.fields import SmeAddress
from gateway.sms import segments
from simulators import house
from simulators.evidence import Evidence, PhoneSaid, Sent
from simulators.second_thoughts import Thought, absolute, draw_thoughts, relative
from simulators.streams import Stream
from simulators.world import Sim

PLAY_S = 35.0
_DATAGRAM, _TRANSACTION = 0x01, 0x02


class Deed(NamedTuple):
    """Something to be done at a time, and what its doer thinks of it afterwards."""

    at_s: float
    sent: list[Sent]
    pdus: list[tuple[list[Sent], p.Pdu]]
    thoughts: tuple[Thought, ...] = ()


class Order(NamedTuple):
    """One thing an operator wants, of a link, an edition of the file, or a phone."""

    at_s: float
    kind: str  # start, stop, drain, rate, reload, stop list
    subject: str
    rate_per_s: float = 0.0


class Plan(NamedTuple):
    """Who does what; the partners who bind by name."""

    esme: dict[str, list[Deed]]
    http: list[Deed]
    chat: list[Deed]
    says: list[tuple[float, PhoneSaid]]
    orders: list[Order]


def draw(sim: Sim, evidence: Evidence) -> Plan:
    """The plan of a seed."""
    numbers = sim.stream("workload")
    acme: list[Deed] = []
    plan = Plan({"acme": acme, "quick": []}, [], [], [], _orders(sim))
    acme += [_smpp_deed(numbers, evidence) for _ in range(numbers.randint(8, 18))]
    acme += [_considered_deed(numbers, evidence) for _ in range(numbers.randint(4, 9))]
    acme += [_news_deed(numbers, evidence) for _ in range(numbers.randint(3, 7))]
    acme += [_odd_deed(numbers, evidence) for _ in range(numbers.randint(2, 5))]
    acme += [_deed_for_leaving(numbers, evidence) for _ in range(numbers.randint(2, 5))]
    plan.esme["quick"].extend(_burst(numbers, evidence) for _ in range(numbers.randint(2, 4)))
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
    for deeds in (*plan.esme.values(), plan.http, plan.chat):
        deeds.sort(key=lambda deed: deed.at_s)
    return plan


def _orders(sim: Sim) -> list[Order]:
    """The operator's day; on a calm one only the opt-out comes."""
    numbers = sim.stream("orders")
    orders = [Order(numbers.random() * PLAY_S, "stop list", house.LEAVING_PHONE)]
    if sim.plan.intensity and numbers.random() < 0.6:
        for _ in range(numbers.randint(1, 6)):
            at_s, link = numbers.random() * PLAY_S, numbers.choice(house.LINKS)
            kind = numbers.choice(["stop", "drain", "start", "start", "rate", "reload", "reload"])
            subject = numbers.choice(house.EDITIONS) if kind == "reload" else link
            orders.append(Order(at_s, kind, subject, numbers.choice([0.0, 3.0, 15.0])))
    return sorted(orders)


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


# -- partners who bind --------------------------------------------------------------------------------------------------------


def _smpp_deed(numbers: Stream, evidence: Evidence) -> Deed:
    at_s = numbers.random() * PLAY_S
    sent = _new(numbers, evidence, "smpp", "acme", numbers.choice(["10690001", "10690002"]), _service(numbers))
    sent.registered_delivery = numbers.choice([0, 1, 1, 1, 2])
    if numbers.random() < 0.15:
        return Deed(at_s, [sent], _with_header(numbers, evidence, sent))
    return Deed(at_s, [sent], [([sent], _submit(sent))])


def _considered_deed(numbers: Stream, evidence: Evidence) -> Deed:
    """A message about which its sender has second thoughts; more often than not it is to be sent later."""
    at_s = numbers.random() * PLAY_S
    sent = _new(numbers, evidence, "smpp", "acme", "10690001", _service(numbers))
    sent.registered_delivery = 1
    values = _schedule(numbers, sent, at_s) if numbers.random() < 0.6 else {}
    pdu = _submit(sent, **values)
    return Deed(at_s, [sent], [([sent], pdu)], draw_thoughts(numbers, evidence, sent))


def _schedule(numbers: Stream, sent: Sent, at_s: float) -> dict[str, Any]:
    delay_s = numbers.randint(2, 18)
    if numbers.random() < 0.5:
        sent.delay_s = delay_s
        return {"schedule_delivery_time": relative(delay_s)}
    sent.not_before_s = float(int(at_s + delay_s))
    return {"schedule_delivery_time": absolute(sent.not_before_s)}


def _news_deed(numbers: Stream, evidence: Evidence) -> Deed:
    """Messages of which the newest counts: each may take the place of the one before."""
    at_s = numbers.random() * PLAY_S
    service, phone = numbers.choice(["chat", "prem"]), numbers.choice(house.PHONES[:2])
    sent = _new(numbers, evidence, "smpp", "acme", house.NEWS_SENDER, service, phone)
    sent.registered_delivery, sent.replaces = 1, numbers.random() < 0.6
    values = _schedule(numbers, sent, at_s) if numbers.random() < 0.6 else {}
    pdu = _submit(sent, replace_if_present_flag=int(sent.replaces), **values)
    thoughts = draw_thoughts(numbers, evidence, sent) if numbers.random() < 0.3 else ()
    return Deed(at_s, [sent], [([sent], pdu)], thoughts)


def _odd_deed(numbers: Stream, evidence: Evidence) -> Deed:
    """The other ways to submit: submit_multi, data_sm in both modes, a datagram."""
    at_s, kind = numbers.random() * PLAY_S, numbers.choice(["multi", "multi", "data", "transaction", "datagram"])
    if kind == "multi":
        return _multi_deed(numbers, evidence, at_s)
    sent = _new(numbers, evidence, "smpp", "acme", "10690001", _service(numbers))
    sent.registered_delivery = numbers.choice([0, 1])
    if kind == "datagram":
        sent.is_once = True
        return Deed(at_s, [sent], [([sent], _submit(sent, esm_class=_DATAGRAM))])
    octets = _octets(sent)
    pdu = p.DataSm(
        service_type=sent.service, source_addr=sent.source, source_addr_npi=1, dest_addr_ton=1, dest_addr_npi=1,
        destination_addr=sent.destination, esm_class=_TRANSACTION if kind == "transaction" else 0, data_coding=sent.data_coding,
        registered_delivery=sent.registered_delivery, tlvs={int(Tag.MESSAGE_PAYLOAD): octets},
    )  # fmt: skip
    return Deed(at_s, [sent], [([sent], pdu)], draw_thoughts(numbers, evidence, sent) if kind == "data" else ())


def _multi_deed(numbers: Stream, evidence: Evidence, at_s: float) -> Deed:
    """One text to several: each destination is a message, all have one id."""
    token, service = evidence.token(), _service(numbers)
    evidence.groups.add(token)
    text, registered_delivery = _text(numbers, token), numbers.choice([0, 1, 1])
    sents = []
    for phone in numbers.sample((*house.PHONES, *house.MAGIC_PHONES), numbers.randint(2, 4)):
        sent = Sent(f"{token}/{phone}", "smpp", "acme", service, "10690001", phone, text, registered_delivery, group=token)
        evidence.sent[sent.token] = sent
        sents.append(sent)
    first = sents[0]
    values = _schedule(numbers, first, at_s) if numbers.random() < 0.4 else {}
    one = _submit(first, **values)
    for sent in sents:
        sent.delay_s, sent.not_before_s, sent.data_coding = first.delay_s, first.not_before_s, first.data_coding
    pdu = p.SubmitMulti(
        service_type=one.service_type, source_addr=one.source_addr, source_addr_npi=1,
        dest_address=tuple(SmeAddress(1, 1, sent.destination) for sent in sents), registered_delivery=registered_delivery,
        schedule_delivery_time=one.schedule_delivery_time, data_coding=one.data_coding, short_message=one.short_message, tlvs=one.tlvs,
    )  # fmt: skip
    thoughts = draw_thoughts(numbers, evidence, first, is_ours_to_change=False) if numbers.random() < 0.4 else ()
    return Deed(at_s, sents, [(sents, pdu)], thoughts)


def _deed_for_leaving(numbers: Stream, evidence: Evidence) -> Deed:
    """To the phone whose owner has the sender stopped, perhaps while the message waits."""
    at_s = numbers.random() * PLAY_S
    sent = _new(numbers, evidence, "smpp", "acme", house.LEFT_SENDER, _service(numbers), house.LEAVING_PHONE)
    sent.registered_delivery = numbers.choice([0, 1])
    values = _schedule(numbers, sent, at_s) if numbers.random() < 0.5 else {}
    return Deed(at_s, [sent], [([sent], _submit(sent, **values))])


def _burst(numbers: Stream, evidence: Evidence) -> Deed:
    """More at once than the partner may send in a second."""
    at_s = numbers.random() * PLAY_S
    sents = []
    for _ in range(numbers.randint(3, 16)):
        sent = _new(numbers, evidence, "smpp", "quick", "10690005", "chat", numbers.choice(house.PHONES))
        sent.text, sent.registered_delivery = f"{sent.token} quick", 1
        sents.append(sent)
    return Deed(at_s, sents, [([sent], _submit(sent)) for sent in sents])


def _with_header(numbers: Stream, evidence: Evidence, first: Sent) -> list[tuple[list[Sent], p.Pdu]]:
    """A message that the partner has split himself: to the gateway each part is a message of its own."""
    pdus: list[tuple[list[Sent], p.Pdu]] = []
    for number in (1, 2):
        token = first.token if number == 1 else evidence.token()
        sent = first if number == 1 else Sent(token, "smpp", "acme", first.service, first.source, first.destination, "")
        sent.text, sent.registered_delivery = f"{token} part", first.registered_delivery
        evidence.sent[token] = sent
        header = bytes((5, 0, 3, 7 + numbers.randrange(200), 2, number))
        octets = header + sent.text.encode("ascii")
        pdus.append(([sent], _submit(sent)._replace(esm_class=0x40, data_coding=0, short_message=octets, tlvs={})))
    return pdus


def _octets(sent: Sent) -> bytes:
    """The text as a partner writes it, who knows ASCII and UCS-2."""
    segmented = segments.split(sent.text, reference=0, parts_max=20, encoding=None)
    sent.data_coding = segmented.data_coding
    return sent.text.encode("utf-16-be" if segmented.encoding is segments.Encoding.UCS2 else "ascii")


def _submit(sent: Sent, **values: Any) -> p.SubmitSm:
    octets = _octets(sent)
    is_short = len(octets) <= 140
    return p.SubmitSm(
        service_type=sent.service,
        source_addr=sent.source,
        source_addr_npi=1,
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=sent.destination,
        registered_delivery=sent.registered_delivery,
        data_coding=sent.data_coding,
        short_message=octets if is_short else b"",
        tlvs={} if is_short else {int(Tag.MESSAGE_PAYLOAD): octets},
        **values,
    )


# -- the others ---------------------------------------------------------------------------------------------------------------


def _http_deed(numbers: Stream, evidence: Evidence, owner: str) -> Deed:
    at_s = numbers.random() * PLAY_S
    count = numbers.choice([1, 1, 1, 4]) if owner == "acme" else 1
    service = _service(numbers) if owner == "acme" else "chat"
    sents = [_new(numbers, evidence, "http", owner, "10690001", service) for _ in range(count)]
    chance = numbers.random()
    for sent in sents:
        if chance < 0.2:
            sent.validity_s = numbers.randint(2, 20)
        elif chance < 0.45:
            sent.delay_s = numbers.randint(2, 18)
    if numbers.random() < 0.5:
        for sent in sents:
            sent.key = f"key-{sents[0].token}"
    has_thoughts = count == 1 and numbers.random() < 0.5
    return Deed(at_s, sents, [], draw_thoughts(numbers, evidence, sents[0]) if has_thoughts else ())


def _flood(numbers: Stream, evidence: Evidence) -> Deed:
    """More in one batch than a lane keeps in memory."""
    service = numbers.choice(["chat", "prem"])
    sents = [_new(numbers, evidence, "http", "acme", "10690009", service, numbers.choice(house.PHONES)) for _ in range(120)]
    for sent in sents:
        sent.text = f"{sent.token} flood"
    return Deed(numbers.random() * PLAY_S, sents, [])


def _chat_deed(numbers: Stream, evidence: Evidence) -> Deed:
    phones = (*house.PHONES, house.STOPPING_PHONE)
    sent = _new(numbers, evidence, "im", numbers.choice(house.ACCOUNTS), "", "chat", numbers.choice(phones))
    sent.key = f"client-{sent.token}"
    return Deed(numbers.random() * PLAY_S, [sent], [])


async def pause_until(sim: Sim, at_s: float) -> None:
    """Wait for a time of the run."""
    wait_s = at_s - sim.loop.time()
    if wait_s > 0:
        await asyncio.sleep(wait_s)
