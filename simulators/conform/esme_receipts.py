"""Cases R about an ESME: what it makes of receipts and of messages from phones."""

from __future__ import annotations

import asyncio

from gateway.smpp.consts import CommandId, Tag
from simulators.conform.case import Cases
from simulators.conform.esme_host import RECEIVING, SENDING, EsmeProbe, PeerWire, of_esme
from simulators.conform.octets import cstring, tlv
from simulators.conform.probe import Probe
from simulators.conform.wire import Frame, frame

CASES = Cases()
case = CASES.case


async def sent(esme: EsmeProbe, *texts: str) -> tuple[PeerWire, list[Frame], list[str]]:
    """Messages that the ESME submitted, and the ids they were given."""
    wire = await esme.peer(SENDING)
    ids: list[str] = []

    def take(submit: Frame) -> tuple[int, str]:
        verdict = esme.host.accept(submit)
        ids.append(verdict[1])
        return verdict

    wire.verdict = take
    await esme.have_it_send(*texts)
    return wire, await esme.submits(wire, len(texts)), ids


async def settles(esme: EsmeProbe, text: str, expected: str) -> None:
    """Ask the ESME what it thinks of a message, if it can be asked."""
    state_of = esme.subject.triggers.state_of
    if state_of is None:
        esme.remark("acknowledged; whether it matched cannot be seen from here")
        return
    deadline = esme.world.clock.monotonic() + esme.subject.timeout_s
    while (state := await state_of(text)) != expected and esme.world.clock.monotonic() < deadline:  # noqa: ASYNC110 - only the ESME knows
        await asyncio.sleep(0.02)
    esme.expect(state == expected, f"the ESME says {state}, expected {expected}")


@case("R05", "a receipt before submit_sm_resp", "acknowledged, kept, matched")
async def r05(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    wire.verdict = lambda _submit: None
    await esme.have_it_send("early receipt")
    submit = (await esme.submits(wire, 1))[0]
    receiver = await esme.peer(RECEIVING)
    await esme.delivered(receiver, esme.receipt("EARLY0001"), "a receipt before its response")
    wire.verdict = esme.host.accept
    wire.respond(submit, (0, "EARLY0001"))
    await settles(esme, "early receipt", "delivered")


@case("R06", "a receipt twice, and another after the final one", "acknowledged; the first final one counts")
async def r06(probe: Probe) -> None:
    esme = of_esme(probe)
    _, _, ids = await sent(esme, "receipt twice")
    receiver = await esme.peer(RECEIVING)
    for stat in ("DELIVRD", "DELIVRD", "EXPIRED"):
        await esme.delivered(receiver, esme.receipt(ids[0], stat), f"receipt {stat}")
    await settles(esme, "receipt twice", "delivered")


@case("R07", "receipts as SMSCs really write them", "each read and acknowledged")
async def r07(probe: Probe) -> None:
    esme = of_esme(probe)
    forms = (
        "id:{id} sub:1 dlvrd:1 submit date:261123090000 done date:261123090100 stat:DELIVERED err:0 Text:hello",
        "id:{id} submit date:2611230900 done date:2611230901 stat:DELIVRD err:000",
        "id: {id} sub: 001 dlvrd: 001 submit date: 2611230900 done date: 2611230901 stat: DELIVRD err: 00A text: hello",
        "stat:DELIVRD id:{id} err:000 done date:2611230901",
    )
    texts = [f"receipt form {number}" for number in range(len(forms))]
    _, _, ids = await sent(esme, *texts)
    receiver = await esme.peer(RECEIVING)
    for form, message_id in zip(forms, ids, strict=True):
        await esme.delivered(receiver, esme.receipt(message_id, text=form.replace("{id}", message_id)), form)
    for text in texts:
        await settles(esme, text, "delivered")


@case("R08", "a receipt only in message_payload", "read")
async def r08(probe: Probe) -> None:
    esme = of_esme(probe)
    _, _, ids = await sent(esme, "payload receipt")
    told = f"id:{ids[0]} sub:001 dlvrd:001 submit date:2611230900 done date:2611230901 stat:DELIVRD err:000 text:"
    body = esme.deliver(b"", esm_class=0x04, tlvs=tlv(Tag.MESSAGE_PAYLOAD, told.encode()))
    await esme.delivered(await esme.peer(RECEIVING), body, "a receipt in message_payload")
    await settles(esme, "payload receipt", "delivered")


@case("R09", "a receipt for an id nobody knows", "deliver_sm_resp ESME_ROK")
async def r09(probe: Probe) -> None:
    esme = of_esme(probe)
    await esme.delivered(await esme.peer(RECEIVING), esme.receipt("NOBODYKNOWS"), "a receipt for an unknown id")


@case("R15", "long messages from a phone: UDH of 8 and 16 bit, SAR, payload; shuffled, one part twice", "each part acknowledged")
async def r15(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    for number in (3, 1, 2, 2):
        await esme.delivered(wire, esme.deliver(b"\x05\x00\x03\x21\x03" + bytes((number,)) + b"eight", esm_class=0x40), "UDH of 8 bit")
    for number in (2, 1):
        await esme.delivered(wire, esme.deliver(b"\x06\x08\x04\x12\x34\x02" + bytes((number,)) + b"wide", esm_class=0x40), "UDH of 16 bit")
    for number in (2, 1):
        sar = tlv(Tag.SAR_MSG_REF_NUM, b"\0\x51") + tlv(Tag.SAR_TOTAL_SEGMENTS, b"\2") + tlv(Tag.SAR_SEGMENT_SEQNUM, bytes((number,)))
        await esme.delivered(wire, esme.deliver(b"sar part", tlvs=sar), "SAR")
    await esme.delivered(wire, esme.deliver(b"", tlvs=tlv(Tag.MESSAGE_PAYLOAD, b"a long one. " * 40)), "message_payload")


@case("R16", "messages from a phone in every data_coding", "ESME_ROK, known or not")
async def r16(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    for coding in (0, 1, 3, 4, 6, 8, 0x0E, 0xF0, 0xF4, 0xF7, 0x0F):
        text = "текст".encode("utf-16-be") if coding == 8 else b"coded %02X" % coding
        await esme.delivered(wire, esme.deliver(text, coding=coding), f"data_coding 0x{coding:02X}")


@case("R17", "the message_id of its deliver_sm_resp", "empty: one NUL")
async def r17(probe: Probe) -> None:
    esme = of_esme(probe)
    answer = await esme.delivered(await esme.peer(RECEIVING), esme.deliver(b"look at the answer"), "deliver_sm")
    probe.expect(answer.body in (b"\0", b""), f"its body is {answer.body.hex()}, expected one NUL")
    if not answer.body:
        probe.remark("the NUL is left out")


@case("R18", "alert_notification", "no response, the session goes on")
async def r18(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    addresses = b"\1\1" + cstring(probe.subject.destination) + b"\0\1" + cstring(probe.subject.source)
    wire.send_octets(frame(CommandId.ALERT_NOTIFICATION, addresses, sequence=71))
    await probe.expect_alive(wire, "alert_notification")
    probe.expect(not wire.inbox, "alert_notification was answered")
