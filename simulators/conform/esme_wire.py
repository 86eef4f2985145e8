"""Cases S, H and M about an ESME: how it binds, what it makes of odd frames, and whether its submit_sm are well formed."""

from __future__ import annotations

from gateway.smpp import pdu as p
from gateway.smpp.consts import SEQUENCE_MAX, CommandId, Npi, Status, Tag, Ton
from simulators.conform.case import Cases, Failed
from simulators.conform.esme_host import RECEIVING, SENDING, of_esme, text_of
from simulators.conform.octets import tlv
from simulators.conform.probe import Probe
from simulators.conform.wire import Frame, frame

CASES = Cases()
case = CASES.case

UDHI = 0x40
UNKNOWN_REQUEST, UNKNOWN_RESPONSE = 0x00000BAD, 0x80000BAD
LONG_TEXT = "A text that no single short message can carry, and that has to arrive whole and in order. " * 3


@case("S01", "it binds", "a bind that can be read, its fields within their limits")
async def s01(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer()
    assert wire.bind is not None
    bind = wire.bind.pdu
    if bind is None:
        raise Failed(f"its bind cannot be read: {wire.bind.fault}")
    assert isinstance(bind, p.BindTransmitter | p.BindReceiver | p.BindTransceiver)
    probe.expect(bind.system_id == probe.subject.account.system_id, f"it binds as {bind.system_id!r}")
    probe.remark(f"interface_version 0x{bind.interface_version:02X}")


@case("S16", "enquire_link of ours", "ESME_ROK at once")
async def s16(probe: Probe) -> None:
    await probe.expect_alive(await of_esme(probe).peer(), "enquire_link")


@case("S24", "outbind of ours", "it binds as receiver on that connection; outbind gets no answer")
async def s24(probe: Probe) -> None:
    esme = of_esme(probe)
    port = probe.need(probe.subject.outbind_port, "--outbind-port")
    wire = esme.make_peer_wire()
    try:
        await probe.world.network.connect(lambda: wire, probe.subject.host, port)
    except OSError as error:
        raise Failed(f"cannot connect to {probe.subject.host}:{port}: {error}") from None
    account = probe.subject.account
    wire.send(p.Outbind(system_id=account.system_id, password=account.password))
    probe.expect(await esme.until(lambda: wire.bind is not None, probe.subject.timeout_s), "no bind came after outbind")
    assert wire.bind is not None
    probe.expect_kind(wire.bind, CommandId.BIND_RECEIVER, "outbind")
    await probe.expect_alive(wire, "outbind and bind")


async def _stream_lost(probe: Probe, length: int) -> None:
    esme = of_esme(probe)
    wire = await esme.peer()
    wire.send_octets(frame(CommandId.ENQUIRE_LINK, sequence=5, length=length))
    probe.expect(await wire.closes(probe.subject.patience_s), f"it keeps a connection whose command_length was {length}")
    await esme.peer()


@case("H01", "command_length under 16", "generic_nack, closed, bound again")
async def h01(probe: Probe) -> None:
    await _stream_lost(probe, 8)


@case("H02", "command_length over any limit", "generic_nack, closed, bound again")
async def h02(probe: Probe) -> None:
    await _stream_lost(probe, 0xFFFFFFFF)


@case("H03", "unknown command_id", "generic_nack ESME_RINVCMDID, the session goes on")
async def h03(probe: Probe) -> None:
    wire = await of_esme(probe).peer()
    answer = await wire.ask_octets(UNKNOWN_REQUEST, b"\1\2")
    probe.expect_kind(answer, CommandId.GENERIC_NACK, "an unknown request")
    probe.expect_status(answer, (Status.ESME_RINVCMDID,), "an unknown request")
    await probe.expect_alive(wire, "an unknown request")


@case("H04", "unknown response", "ignored")
async def h04(probe: Probe) -> None:
    wire = await of_esme(probe).peer()
    wire.send_octets(frame(UNKNOWN_RESPONSE, sequence=77))
    await probe.expect_alive(wire, "an unknown response")
    probe.expect(not wire.inbox, "an unknown response was answered")


@case("H05", "generic_nack for its submit_sm", "that message fails or goes again, the session goes on")
async def h05(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    wire.verdict = lambda _submit: None
    await esme.have_it_send("nack me")
    submit = (await esme.submits(wire, 1))[0]
    wire.verdict = esme.host.accept
    wire.nack(submit, Status.ESME_RSYSERR)
    await probe.expect_alive(wire, "generic_nack")


@case("H06", "a PDU in writes of one octet", "taken")
async def h06(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    octets = frame(CommandId.DELIVER_SM, esme.deliver(), sequence=31)
    for place in range(len(octets)):
        wire.send_octets(octets[place : place + 1])
    probe.expect_status(await wire.answer_to(31), 0, "a deliver_sm octet by octet")


@case("H07", "ten PDUs in one write", "all answered, each with its own number")
async def h07(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    wire.send_octets(b"".join(frame(CommandId.DELIVER_SM, esme.deliver(b"ten %d" % n), sequence=n) for n in range(41, 51)))
    for number in range(41, 51):
        probe.expect_status(await wire.answer_to(number), 0, f"deliver_sm {number} of ten")


@case("H08", "a header, then silence", "closed after its PDU timer, bound again", is_patient=True)
async def h08(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    wire.send_octets(frame(CommandId.DELIVER_SM, sequence=5, length=100))
    probe.expect(await wire.closes(probe.subject.patience_s), f"half a PDU is waited for more than {probe.subject.patience_s:g} s")


@case("H09", "sequence_number 0, over 0x7FFFFFFF, repeated", "answered with the same number")
async def h09(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    for place, number in enumerate((0, 0x80000005, 7, 7)):
        answer = await wire.ask_octets(CommandId.DELIVER_SM, esme.deliver(b"odd %d" % place), sequence=number)
        probe.expect(answer.command_id == CommandId.DELIVER_SM_RESP, f"number {number} was not answered with deliver_sm_resp")
    await probe.expect_alive(wire, "odd sequence numbers")


@case("H10", "its own numbers", "from 1 to 0x7FFFFFFF, none twice in flight")
async def h10(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    await esme.have_it_send("number one", "number two", "number three")
    numbers = [submit.sequence_number for submit in await esme.submits(wire, 3)]
    probe.expect(all(1 <= number <= SEQUENCE_MAX for number in numbers), f"numbers {numbers} are not all within 1 to 0x7FFFFFFF")
    probe.expect(len(set(numbers)) == len(numbers), f"a number was used twice: {numbers}")


@case("H11", "a response to nothing", "ignored")
async def h11(probe: Probe) -> None:
    wire = await of_esme(probe).peer()
    for _ in range(2):
        wire.send_octets(frame(CommandId.SUBMIT_SM_RESP, b"stray\0", sequence=0x70000000))
    await probe.expect_alive(wire, "a response to nothing")


@case("H12", "our responses out of order", "matched by number: none is sent again")
async def h12(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    wire.verdict = lambda _submit: None
    await esme.have_it_send("first", "second", "third")
    await esme.submits(wire, 2)
    wire.verdict = esme.host.accept
    submits = list(wire.submits)
    for submit in reversed(submits):
        wire.respond(submit, esme.host.accept(submit))
    before = len(submits)
    await esme.until(lambda: wire.is_closed, probe.subject.quiet_s)
    texts = [text_of(submit) for submit in submits]
    again = [submit for submit in wire.submits[before:] if text_of(submit) in texts]
    probe.expect(not again, "a message was sent again though it was answered")
    await probe.expect_alive(wire, "responses in reverse order")


@case("H13", "command_status set in a deliver_sm", "ignored")
async def h13(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    probe.expect_status(await wire.ask_octets(CommandId.DELIVER_SM, esme.deliver(b"status"), status=8), 0, "deliver_sm with a status")


@case("H15", "a deliver_sm shorter than its fields", "an error, the session goes on")
async def h15(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    answer = await wire.ask_octets(CommandId.DELIVER_SM, esme.deliver()[:9])
    probe.expect(answer.command_status != 0, "half a deliver_sm was taken")
    await probe.expect_alive(wire, "half a deliver_sm")


@case("H17", "a TLV that runs past the end", "ESME_RINVOPTPARSTREAM, the session goes on")
async def h17(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    answer = await wire.ask_octets(CommandId.DELIVER_SM, esme.deliver(tlvs=tlv(Tag.USER_MESSAGE_REFERENCE, b"\0\1", length=200)))
    probe.expect(answer.command_status != 0, "a TLV past the end was taken")
    await probe.expect_alive(wire, "a TLV past the end")


@case("H18", "unknown and vendor's TLVs", "ignored, ESME_ROK")
async def h18(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(RECEIVING)
    for tag in (0x0BAD, 0x1400, 0x3FFF):
        await esme.delivered(wire, esme.deliver(b"tlv %d" % tag, tlvs=tlv(tag, b"what is this")), f"TLV 0x{tag:04X}")


@case("M01", "its submit_sm", "every field within its limits")
async def m01(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    await esme.have_it_send("look at me")
    submit = (await esme.submits(wire, 1))[0].pdu
    if not isinstance(submit, p.SubmitSm):
        raise Failed("its submit_sm cannot be read")
    probe.expect(bool(submit.destination_addr), "destination_addr is empty")
    probe.expect(submit.source_addr_ton <= Ton.ABBREVIATED and submit.dest_addr_ton <= Ton.ABBREVIATED, "a TON does not exist")
    probe.expect({submit.source_addr_npi, submit.dest_addr_npi} <= {int(npi) for npi in Npi}, "an NPI does not exist")
    probe.expect(submit.priority_flag <= 3 and submit.replace_if_present_flag <= 1, "a flag is out of its range")
    probe.remark(f"registered_delivery 0x{submit.registered_delivery:02X}")


@case("M02", "an error answer without a body, and one with", "both understood, the session goes on")
async def m02(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    for body in (b"", b"\0"):
        wire.submits.clear()
        wire.verdict = lambda _submit: None
        await esme.have_it_send(f"refuse me {len(body)}")
        submit = (await esme.submits(wire, 1))[0]
        wire.answer(submit, Status.ESME_RINVDSTADR, body)
        await probe.expect_alive(wire, "an error answer")


@case("M16", "a long text", "parts that fit and say how they belong together, or message_payload")
async def m16(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    await esme.have_it_send(LONG_TEXT)
    await esme.submits(wire, 1)
    await esme.until(lambda: _is_whole(wire.submits), probe.subject.patience_s)
    probe.expect(_is_whole(wire.submits), f"{len(wire.submits)} parts do not make a whole message")
    probe.remark(_method(wire.submits[0].pdu))


def _method(pdu: object) -> str:
    assert isinstance(pdu, p.SubmitSm)
    if pdu.esm_class & UDHI:
        return "user data header of 16 bit" if pdu.short_message[1] == 8 else "user data header of 8 bit"
    return "SAR" if pdu.tlvs and Tag.SAR_MSG_REF_NUM in pdu.tlvs else "message_payload"


def _is_whole(submits: list[Frame]) -> bool:
    numbers, total = set(), 0
    for submit in submits:
        pdu = submit.pdu
        assert isinstance(pdu, p.SubmitSm)
        tlvs = pdu.tlvs or {}
        if pdu.esm_class & UDHI and len(pdu.short_message) > 6:
            at = 5 if pdu.short_message[1] == 8 else 4
            total, number = pdu.short_message[at], pdu.short_message[at + 1]
        elif Tag.SAR_TOTAL_SEGMENTS in tlvs:
            total, number = tlvs[Tag.SAR_TOTAL_SEGMENTS][0], tlvs[Tag.SAR_SEGMENT_SEQNUM][0]
        else:
            total, number = 1, 1
        numbers.add(number)
    return bool(total) and numbers == set(range(1, total + 1))
