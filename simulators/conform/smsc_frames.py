"""Cases H: framing, headers, fields and optional parameters, as an SMSC must take them."""

from __future__ import annotations

from typing import Any

from gateway.smpp.consts import SEQUENCE_MAX, CommandId, Status, Tag
from simulators.conform.case import Cases, Failed
from simulators.conform.octets import bind_body, cstring, message_body, tlv
from simulators.conform.probe import RECEIPT, Probe
from simulators.conform.wire import Frame, Wire, frame

CASES = Cases()
case = CASES.case

UNKNOWN_REQUEST, UNKNOWN_RESPONSE = 0x00000BAD, 0x80000BAD
_PARLEN = (Status.ESME_RINVPARLEN, Status.ESME_RINVCMDLEN)


def _body(probe: Probe, **fields: Any) -> bytes:
    return message_body(probe.subject.source, probe.subject.destination, **fields)


async def _nacked_and_closed(probe: Probe, length: int) -> None:
    wire = await probe.bound()
    wire.send_octets(frame(CommandId.ENQUIRE_LINK, sequence=5, length=length))
    nack = await wire.request(CommandId.GENERIC_NACK)
    probe.expect(nack is not None, f"no generic_nack for command_length {length}")
    assert nack is not None
    probe.expect_status(nack, (Status.ESME_RINVCMDLEN,), f"command_length {length}")
    probe.expect(await wire.closes(), f"the connection stays open after command_length {length}, though the stream is lost")


@case("H01", "command_length under 16", "generic_nack ESME_RINVCMDLEN, then closed")
async def h01(probe: Probe) -> None:
    await _nacked_and_closed(probe, 8)


@case("H02", "command_length over any limit", "generic_nack ESME_RINVCMDLEN, closed, nothing of that size allocated")
async def h02(probe: Probe) -> None:
    await _nacked_and_closed(probe, 0xFFFFFFFF)


@case("H03", "unknown command_id", "generic_nack ESME_RINVCMDID, same number, the session goes on")
async def h03(probe: Probe) -> None:
    wire = await probe.bound()
    answer = await wire.ask_octets(UNKNOWN_REQUEST, b"\1\2\3")
    probe.expect_kind(answer, CommandId.GENERIC_NACK, "an unknown request")
    probe.expect_status(answer, (Status.ESME_RINVCMDID,), "an unknown request")
    await probe.expect_alive(wire, "an unknown request")


@case("H04", "unknown response", "ignored, no generic_nack")
async def h04(probe: Probe) -> None:
    wire = await probe.bound()
    wire.send_octets(frame(UNKNOWN_RESPONSE, b"", sequence=77))
    await probe.expect_alive(wire, "an unknown response")
    probe.expect(not wire.inbox, "an unknown response was answered")


async def _receipt_to_come(probe: Probe) -> tuple[Wire, Frame]:
    wire = await probe.bound()
    wire.delivery_status = None
    await probe.submitted(wire, registered_delivery=RECEIPT)
    delivery = await wire.delivery(probe.subject.patience_s)
    if delivery is None:
        raise Failed("no receipt came to try it on")
    return wire, delivery


@case("H05", "generic_nack for a request of theirs", "that request fails, the session goes on")
async def h05(probe: Probe) -> None:
    wire, delivery = await _receipt_to_come(probe)
    wire.send_octets(frame(CommandId.GENERIC_NACK, sequence=delivery.sequence_number, status=Status.ESME_RSYSERR))
    await probe.expect_alive(wire, "generic_nack")


@case("H06", "a PDU in writes of one octet", "taken")
async def h06(probe: Probe) -> None:
    wire = await probe.bound()
    octets = frame(CommandId.SUBMIT_SM, _body(probe), sequence=31)
    for place in range(len(octets)):
        wire.send_octets(octets[place : place + 1])
    probe.expect_status(await wire.answer_to(31), 0, "a submit_sm octet by octet")


@case("H07", "ten PDUs in one write", "all answered, each with its own number")
async def h07(probe: Probe) -> None:
    wire = await probe.bound()
    wire.send_octets(b"".join(frame(CommandId.SUBMIT_SM, _body(probe), sequence=number) for number in range(41, 51)))
    for number in range(41, 51):
        probe.expect_status(await wire.answer_to(number), 0, f"submit_sm {number} of ten")


@case("H08", "a header, then silence", "closed after the PDU timer", is_patient=True)
async def h08(probe: Probe) -> None:
    wire = await probe.bound()
    wire.send_octets(frame(CommandId.SUBMIT_SM, sequence=5, length=100))
    wire.is_polite = True
    probe.expect(await wire.closes(probe.subject.patience_s), f"still open {probe.subject.patience_s:g} s after half a PDU")


@case("H09", "sequence_number 0, over 0x7FFFFFFF, repeated in flight", "answered with the same number; no crash (choice)")
async def h09(probe: Probe) -> None:
    wire = await probe.bound()
    for number in (0, 0x80000005, 7, 7):
        answer = await wire.ask_octets(CommandId.SUBMIT_SM, _body(probe), sequence=number)
        probe.expect(answer.sequence_number == number, f"number {number} was answered as {answer.sequence_number}")
    await probe.expect_alive(wire, "odd sequence numbers")


@case("H10", "the number wraps at 0x7FFFFFFF", "0x00000001 is taken behind it")
async def h10(probe: Probe) -> None:
    wire = await probe.bound()
    for number in (SEQUENCE_MAX, 1):
        probe.expect_status(await wire.ask_octets(CommandId.SUBMIT_SM, _body(probe), sequence=number), 0, f"number {number}")


@case("H11", "a response to nothing, and a second one", "ignored")
async def h11(probe: Probe) -> None:
    wire = await probe.bound()
    for _ in range(2):
        wire.send_octets(frame(CommandId.DELIVER_SM_RESP, b"\0", sequence=4242))
    await probe.expect_alive(wire, "a response to nothing")
    probe.expect(not wire.inbox, "a response to nothing was answered")


@case("H12", "responses out of order", "matched by number: nothing comes twice")
async def h12(probe: Probe) -> None:
    wire = await probe.bound()
    wire.delivery_status = None
    for number in range(4):
        await probe.submitted(wire, b"order %d" % number, registered_delivery=RECEIPT)
    held = [got for got in [await wire.delivery(probe.subject.patience_s) for _ in range(4)] if got is not None]
    if len(held) < 2:
        raise Failed("fewer than two receipts came at one time, so no order could be turned")
    for got in reversed(held):
        wire.answer(got)
    await probe.expect_alive(wire, "responses in reverse order")
    again = await wire.delivery(probe.subject.quiet_s)
    ids = {got.octets[16:] for got in held}
    probe.expect(again is None or again.octets[16:] not in ids, "a receipt that was taken came again")


@case("H13", "command_status set in a request", "ignored")
async def h13(probe: Probe) -> None:
    wire = await probe.bound()
    answer = await wire.ask_octets(CommandId.SUBMIT_SM, _body(probe), status=Status.ESME_RSYSERR)
    probe.expect_status(answer, 0, "submit_sm with a command_status")


@case("H14", "a string without its NUL, and fields over their maximum", "ESME_RINVPARLEN or the field's own code; never read beyond")
async def h14(probe: Probe) -> None:
    fields = (Status.ESME_RINVSYSID, Status.ESME_RINVPASWD, Status.ESME_RBINDFAIL, *_PARLEN)
    answer = await (await probe.connect()).ask_octets(CommandId.BIND_TRANSCEIVER, bind_body("x" * 40, "pass"))
    probe.expect_status(answer, fields, "a system_id of 40 octets")
    wire = await probe.bound()
    long_address = message_body("1" * 40, probe.subject.destination)
    addresses = (Status.ESME_RINVSRCADR, *_PARLEN)
    probe.expect_status(await wire.ask_octets(CommandId.SUBMIT_SM, long_address), addresses, "a source_addr of 40 digits")
    no_nul = _body(probe).split(probe.subject.source.encode())[0] + b"1" * 5
    probe.expect_status(await wire.ask_octets(CommandId.SUBMIT_SM, no_nul), addresses, "a source_addr without its NUL")
    odd_service = await wire.ask_octets(CommandId.SUBMIT_SM, _body(probe, service_type="TOOLONGTYPE"))
    probe.expect_status(odd_service, (Status.ESME_RINVSERTYP, *_PARLEN), "a service_type of eleven letters")
    await probe.expect_alive(wire, "fields over their maximum")


@case("H15", "a body shorter than its mandatory fields", "ESME_RINVCMDLEN or ESME_RINVPARLEN, the session goes on")
async def h15(probe: Probe) -> None:
    wire = await probe.bound()
    allowed = (Status.ESME_RINVCMDLEN, Status.ESME_RINVPARLEN, Status.ESME_RINVMSGLEN)
    for body in (b"", _body(probe)[:12], cstring("")):
        probe.expect_status(await wire.ask_octets(CommandId.SUBMIT_SM, body), allowed, f"a submit_sm body of {len(body)} octets")
    await probe.expect_alive(wire, "short bodies")


async def _submit_with(probe: Probe, octets: bytes, **fields: Any) -> Frame:
    wire = await probe.bound()
    answer = await wire.ask_octets(CommandId.SUBMIT_SM, _body(probe, tlvs=octets, **fields))
    await probe.expect_alive(wire, "odd optional parameters")
    return answer


@case("H16", "one to three octets left that are no TLV", "ESME_RINVOPTPARSTREAM")
async def h16(probe: Probe) -> None:
    for left in (b"\1", b"\1\2", b"\1\2\3"):
        probe.expect_status(await _submit_with(probe, left), (Status.ESME_RINVOPTPARSTREAM,), f"{len(left)} octets behind the body")


@case("H17", "a TLV that runs past the end", "ESME_RINVOPTPARSTREAM")
async def h17(probe: Probe) -> None:
    lying = tlv(Tag.USER_MESSAGE_REFERENCE, b"\0\1", length=200)
    probe.expect_status(await _submit_with(probe, lying), (Status.ESME_RINVOPTPARSTREAM,), "a TLV past the end")


@case("H18", "an unknown TLV, and a vendor's", "ignored or passed on, ESME_ROK")
async def h18(probe: Probe) -> None:
    for tag in (0x0BAD, 0x1400, 0x3FFF):
        probe.expect_status(await _submit_with(probe, tlv(tag, b"what is this")), 0, f"TLV 0x{tag:04X}")


@case("H19", "a known TLV that this PDU may not have", "ignored, or ESME_ROPTPARNOTALLWD in strict mode")
async def h19(probe: Probe) -> None:
    answer = await _submit_with(probe, tlv(Tag.SC_INTERFACE_VERSION, b"\x34"))
    probe.expect_status(answer, (0, Status.ESME_ROPTPARNOTALLWD), "sc_interface_version in submit_sm")
    probe.remark("lenient" if answer.command_status == 0 else "strict")


@case("H20", "a known TLV of wrong length, and of a bad value", "ESME_RINVPARLEN, ESME_RINVOPTPARAMVAL")
async def h20(probe: Probe) -> None:
    values = (Status.ESME_RINVPARLEN, Status.ESME_RINVOPTPARAMVAL)
    answer = await _submit_with(probe, tlv(Tag.USER_MESSAGE_REFERENCE, b"\1"))
    probe.expect_status(answer, values, "user_message_reference of one octet")
    sar = tlv(Tag.SAR_MSG_REF_NUM, b"\0\1") + tlv(Tag.SAR_TOTAL_SEGMENTS, b"\2") + tlv(Tag.SAR_SEGMENT_SEQNUM, b"\7")
    probe.expect_status(await _submit_with(probe, sar), values, "segment 7 of 2")


@case("H21", "a TLV that is needed and missing", "ESME_RMISSINGOPTPARAM")
async def h21(probe: Probe) -> None:
    lonely = tlv(Tag.SAR_MSG_REF_NUM, b"\0\1")
    probe.expect_status(await _submit_with(probe, lonely), (Status.ESME_RMISSINGOPTPARAM,), "sar_msg_ref_num alone")


@case("H22", "the same TLV twice", "no crash; choice: the first counts")
async def h22(probe: Probe) -> None:
    twice = tlv(Tag.USER_MESSAGE_REFERENCE, b"\0\1") + tlv(Tag.USER_MESSAGE_REFERENCE, b"\0\2")
    answer = await _submit_with(probe, twice)
    probe.remark("taken" if answer.command_status == 0 else "refused")
