"""Cases R: receipts and messages from phones as an SMSC hands them to its ESME."""

from __future__ import annotations

import asyncio

from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import CommandId, Status, Tag
from simulators.conform.case import Cases, Failed
from simulators.conform.probe import RECEIPT, Probe
from simulators.conform.wire import Frame, Wire

CASES = Cases()
case = CASES.case

ON_FAILURE = 2
RECEIPT_TYPE, TYPE_MASK = 0x04, 0x3C
UDHI, UCS2 = 0x40, 8
LONG_TEXT = "A phone writes more than one short message can carry; who reads it wants all of it, and in order. " * 3
STATES = {"DELIVRD": 2, "EXPIRED": 3, "DELETED": 4, "UNDELIV": 5, "ACCEPTD": 6, "UNKNOWN": 7, "REJECTD": 8, "ENROUTE": 1}


async def _receipt(probe: Probe, wire: Wire, wanted: str) -> p.DeliverSm | p.DataSm:
    """The receipt of a message; what an earlier run or case left behind is passed over, unless nothing else comes."""
    deadline = probe.world.clock.monotonic() + probe.subject.patience_s
    other: p.DeliverSm | p.DataSm | None = None
    while other is None or probe.world.clock.monotonic() < deadline:
        quiet = probe.subject.patience_s if other is None else probe.subject.quiet_s
        got = await wire.delivery(quiet)
        if got is None:
            break
        if not isinstance(got.pdu, p.DeliverSm | p.DataSm):
            raise Failed(f"the receipt cannot be read: {got.fault}")
        other = got.pdu
        told = receipt.read(other)
        if told is not None and told.smsc_id == wanted:
            return other
    if other is None:
        raise Failed("no receipt came")
    return other


def _told(probe: Probe, pdu: p.DeliverSm | p.DataSm) -> receipt.Report:
    told = receipt.read(pdu)
    if told is None:
        raise Failed("the deliver_sm is no receipt: neither text of appendix B nor receipted_message_id")
    probe.expect(pdu.esm_class & TYPE_MASK == RECEIPT_TYPE, f"esm_class is 0x{pdu.esm_class:02X}, a receipt's type bits are 0x04")
    return told


@case("R01", "a final receipt", "esm_class 0x04, addresses swapped, text of appendix B, TLVs 0x001E and 0x0427")
async def r01(probe: Probe) -> None:
    wire = await probe.bound()
    pdu = await _receipt(probe, wire, await probe.submitted(wire, registered_delivery=RECEIPT))
    told = _told(probe, pdu)
    probe.expect(pdu.destination_addr == probe.subject.source, f"destination_addr is {pdu.destination_addr!r}, expected the sender")
    probe.expect(pdu.source_addr.lstrip("+") == probe.subject.destination, "source_addr is not the handset")
    text = told.text_receipt
    probe.expect(text is not None and bool(text.stat), "no text of appendix B with a stat")
    for tag in (Tag.RECEIPTED_MESSAGE_ID, Tag.MESSAGE_STATE):
        if not pdu.tlvs or tag not in pdu.tlvs:
            probe.remark(f"no {tag.name.lower()}")


@case("R02", "states", "stat and message_state agree")
async def r02(probe: Probe) -> None:
    destinations = [probe.subject.destination]
    if probe.subject.failing_destination:
        destinations.append(probe.subject.failing_destination)
    wire = await probe.bound()
    for destination in destinations:
        pdu = await _receipt(probe, wire, await probe.submitted(wire, registered_delivery=RECEIPT, destination_addr=destination))
        text = _told(probe, pdu).text_receipt
        state = pdu.tlvs.get(Tag.MESSAGE_STATE) if pdu.tlvs else None
        if text is not None and state is not None:
            expected = STATES.get(text.stat[:7].upper())
            probe.expect(expected is None or state[0] == expected, f"stat {text.stat} stands beside message_state {state[0]}")
            probe.remark(f"{text.stat} is {state[0]}")
    if len(destinations) == 1:
        probe.remark("only delivery was tried; --failing-destination gives the other")


@case("R03", "registered_delivery 0, 1, 2", "no receipt, a receipt, a receipt on failure only")
async def r03(probe: Probe) -> None:
    wire = await probe.bound()
    silent = {
        await probe.submitted(wire, b"no receipt", registered_delivery=0),
        await probe.submitted(wire, b"only on failure", registered_delivery=ON_FAILURE),
    }
    wanted = await probe.submitted(wire, b"receipt", registered_delivery=RECEIPT)
    probe.expect(_told(probe, await _receipt(probe, wire, wanted)).smsc_id == wanted, "the receipt that was asked for did not come")
    while (got := await wire.delivery(probe.subject.quiet_s)) is not None:
        told = receipt.read(got.pdu) if isinstance(got.pdu, p.DeliverSm | p.DataSm) else None
        probe.expect(told is None or told.smsc_id not in silent, "a receipt came for a message that asked for none")
    if probe.subject.failing_destination:
        failing = probe.subject.failing_destination
        wanted = await probe.submitted(wire, b"fails", registered_delivery=ON_FAILURE, destination_addr=failing)
        probe.expect(_told(probe, await _receipt(probe, wire, wanted)).smsc_id == wanted, "the failure was not reported")


@case("R04", "the id in a receipt", "byte for byte that of submit_sm_resp")
async def r04(probe: Probe) -> None:
    wire = await probe.bound()
    message_id = await probe.submitted(wire, registered_delivery=RECEIPT)
    pdu = await _receipt(probe, wire, message_id)
    told = _told(probe, pdu)
    probe.expect(told.smsc_id == message_id, f"the receipt says {told.smsc_id!r}, submit_sm_resp said {message_id!r}")
    text = told.text_receipt
    if text is not None and text.id != message_id:
        probe.remark(f"its text says {text.id!r}")


async def _refuse_once(probe: Probe, status: int) -> tuple[Wire, str]:
    """Ask for a receipt and refuse it the first time it comes."""
    wire = await probe.bound()
    wire.delivery_status = None
    wanted = await probe.submitted(wire, registered_delivery=RECEIPT)
    while (got := await wire.delivery(probe.subject.patience_s)) is not None:
        if _id_in(got) == wanted:
            wire.answer(got, status)
            wire.delivery_status = 0
            return wire, wanted
        wire.answer(got)
    raise Failed("no receipt came")


async def _comes(wire: Wire, wanted: str, timeout_s: float) -> bool:
    """Whether the receipt of a message comes."""
    while (got := await wire.delivery(timeout_s)) is not None:
        if _id_in(got) == wanted:
            return True
    return False


def _id_in(got: Frame) -> str:
    told = receipt.read(got.pdu) if isinstance(got.pdu, p.DeliverSm | p.DataSm) else None
    return told.smsc_id if told is not None else ""


@case("R10", "ESME_RX_T_APPN, RMSGQFUL, RTHROTTLED in answer to a receipt", "it comes again later")
async def r10(probe: Probe) -> None:
    for status in (Status.ESME_RX_T_APPN, Status.ESME_RMSGQFUL, Status.ESME_RTHROTTLED):
        wire, wanted = await _refuse_once(probe, status)
        probe.expect(await _comes(wire, wanted, probe.subject.patience_s), f"the receipt did not come again after 0x{status:02X}")
        wire.reset()


@case("R11", "ESME_RX_P_APPN, RX_R_APPN in answer to a receipt", "no retry")
async def r11(probe: Probe) -> None:
    for status in (Status.ESME_RX_P_APPN, Status.ESME_RX_R_APPN):
        wire, wanted = await _refuse_once(probe, status)
        probe.expect(not await _comes(wire, wanted, probe.subject.quiet_s), f"the receipt came again after 0x{status:02X}")
        wire.reset()


@case("R12", "a receipt is not answered, and the connection breaks", "it comes again on the next bind")
async def r12(probe: Probe) -> None:
    wire = await probe.bound()
    wire.delivery_status = None
    wanted = await probe.submitted(wire, registered_delivery=RECEIPT)
    probe.expect(await wire.delivery(probe.subject.patience_s) is not None, "no receipt came")
    wire.reset()
    again = _told(probe, await _receipt(probe, await probe.bound("rx"), wanted))
    probe.expect(again.smsc_id == wanted, "another receipt came instead")


@case("R13", "nobody is bound to receive", "held, and sent on the next bind")
async def r13(probe: Probe) -> None:
    sender = await probe.bound("tx")
    wanted = await probe.submitted(sender, registered_delivery=RECEIPT)
    await asyncio.sleep(probe.subject.quiet_s)
    probe.expect(not sender.deliveries, "a transmitter got a deliver_sm")
    told = _told(probe, await _receipt(probe, await probe.bound("rx"), wanted))
    probe.expect(told.smsc_id == wanted, "another receipt came instead")


@case("R14", "two receivers", "receipts are shared out, none comes twice")
async def r14(probe: Probe) -> None:
    sender, one, two = await probe.bound("tx"), await probe.bound("rx"), await probe.bound("rx")
    ids = {await probe.submitted(sender, b"share %d" % number, registered_delivery=RECEIPT) for number in range(10)}
    got: list[Frame] = []
    deadline = probe.world.clock.monotonic() + probe.subject.patience_s
    while len(got) < len(ids) and probe.world.clock.monotonic() < deadline:
        for wire in (one, two):
            got += wire.deliveries
            wire.deliveries.clear()
        await asyncio.sleep(0.01)
    told = [report.smsc_id for each in got if isinstance(each.pdu, p.DeliverSm) and (report := receipt.read(each.pdu)) is not None]
    probe.expect(sorted(told) == sorted(ids), f"{len(ids)} receipts were due, {len(told)} came, {len(set(told))} of them different")


def _part(pdu: p.DeliverSm | p.DataSm) -> tuple[int, int, bytes]:
    """Which part of how many it is, and its text without a header."""
    tlvs = pdu.tlvs or {}
    octets = (pdu.short_message if isinstance(pdu, p.DeliverSm) else b"") or tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
    if pdu.esm_class & UDHI and octets:
        header, text = octets[1 : octets[0] + 1], octets[octets[0] + 1 :]
        if header[:1] in (b"\x00", b"\x08"):
            return header[-1], header[-2], text
    if Tag.SAR_TOTAL_SEGMENTS in tlvs:
        return tlvs[Tag.SAR_SEGMENT_SEQNUM][0], tlvs[Tag.SAR_TOTAL_SEGMENTS][0], octets
    return 1, 1, octets


async def _heard(probe: Probe, wires: list[Wire]) -> tuple[Wire, int, str]:
    """A message from a phone, joined: where it came, in how many parts, and its text."""
    parts: dict[int, bytes] = {}
    total, coding, at = 0, 0, wires[0]
    deadline = probe.world.clock.monotonic() + probe.subject.patience_s
    while (not total or len(parts) < total) and probe.world.clock.monotonic() < deadline:
        for wire in wires:
            for got in wire.deliveries:
                if not isinstance(got.pdu, p.DeliverSm | p.DataSm):
                    raise Failed(f"a message from a phone cannot be read: {got.fault}")
                if got.pdu.esm_class & TYPE_MASK:
                    continue  # a receipt
                number, total, text = _part(got.pdu)
                probe.expect(number not in parts, f"part {number} of {total} came twice")
                probe.expect(not parts or wire is at, "the parts of one message came on two binds")
                parts[number], coding, at = text, got.pdu.data_coding, wire
            wire.deliveries.clear()
        await asyncio.sleep(0.01)
    probe.expect(bool(total) and len(parts) == total, f"{len(parts)} of {total} parts came" if total else "no message came")
    octets = b"".join(parts[number] for number in sorted(parts))
    return at, total, octets.decode("utf-16-be" if coding == UCS2 else "latin-1", "replace")


@case("R15", "a long message from a phone, two receivers", "whole, once, all of it on one bind")
async def r15(probe: Probe) -> None:
    writes = probe.need(probe.subject.triggers.phone_writes, "--phone-command")
    wires = [await probe.bound("rx"), await probe.bound("rx")]
    await writes(LONG_TEXT)
    _, total, text = await _heard(probe, wires)
    probe.expect(text == LONG_TEXT, f"its text is {text!r}")
    probe.remark("in one piece" if total == 1 else f"in {total} parts")


@case("R16", "messages from a phone in two alphabets", "the text can be read by its data_coding")
async def r16(probe: Probe) -> None:
    writes = probe.need(probe.subject.triggers.phone_writes, "--phone-command")
    wire = await probe.bound()
    for written in ("plain words", "слова и 文字"):
        await writes(written)
        _, _, text = await _heard(probe, [wire])
        probe.expect(text == written, f"{written!r} came as {text!r}")


@case("R17", "message_id in our deliver_sm_resp", "an id, an empty string or nothing: all taken")
async def r17(probe: Probe) -> None:
    wire = await probe.bound()
    wire.delivery_status = None
    for body in (b"\0", b"abc\0", b""):
        await probe.submitted(wire, registered_delivery=RECEIPT)
        got = await wire.delivery(probe.subject.patience_s)
        if got is None:
            raise Failed("no receipt came")
        wire.answer(got, 0, body)
    await probe.expect_alive(wire, "three forms of deliver_sm_resp")
    probe.expect(await wire.delivery(probe.subject.quiet_s) is None, "an answered receipt came again")


@case("R18", "alert_notification", "it comes, and no answer is waited for")
async def r18(probe: Probe) -> None:
    alert = probe.need(probe.subject.triggers.alert, "--alert-command")
    wire = await probe.bound("rx")
    await alert()
    told = await wire.request(CommandId.ALERT_NOTIFICATION, probe.subject.patience_s)
    if told is None:
        raise Failed("no alert_notification came")
    probe.expect(told.pdu is not None, f"it cannot be read: {told.fault}")
    await probe.expect_alive(wire, "alert_notification without an answer")
