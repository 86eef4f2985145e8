"""Cases M: submit_sm and its relatives at an SMSC, up to what is stored."""

from __future__ import annotations

from typing import Any

from gateway.smpp import pdu as p
from gateway.smpp.consts import CommandId, Status, Tag
from simulators.conform.case import Cases, Failed, NotSupported
from simulators.conform.octets import message_body
from simulators.conform.probe import Probe
from simulators.conform.wire import Frame, Wire

CASES = Cases()
case = CASES.case

UDHI = 0x40
IN_AN_HOUR = "000000010000000R"
VENDOR = range(0x400, 0x500)


async def _refused(probe: Probe, what: str, allowed: tuple[int, ...], **fields: Any) -> Frame:
    """A submit_sm that must be refused, and the session that must go on."""
    wire = await probe.bound()
    answer = await wire.ask(probe.submit_sm(**fields))
    probe.expect_status(answer, allowed, what)
    await probe.expect_alive(wire, what)
    return answer


@case("M01", "a plain submit_sm", "ESME_ROK, a message_id of 1 to 64 characters, another for each")
async def m01(probe: Probe) -> None:
    wire = await probe.bound()
    ids = [await probe.submitted(wire, b"plain %d" % number) for number in range(10)]
    probe.expect(all(1 <= len(each) <= 64 for each in ids), f"message_id {ids[0]!r} is not 1 to 64 characters long")
    probe.expect(len(set(ids)) == len(ids), "a message_id was given twice")


@case("M02", "an error answer", "submit_sm_resp without a body")
async def m02(probe: Probe) -> None:
    wire = await probe.bound()
    answer = await wire.ask(probe.submit_sm(destination_addr=""))
    probe.expect(answer.command_status != 0, "an empty destination was taken")
    probe.expect(len(answer.body) <= 1, f"the error response has a body of {len(answer.body)} octets")
    if answer.body:
        probe.remark("an empty message_id stands in error responses")


@case("M03", "destination empty, of letters, too long", "ESME_RINVDSTADR")
async def m03(probe: Probe) -> None:
    for address in ("", "86139abc"):
        await _refused(probe, f"destination {address!r}", (Status.ESME_RINVDSTADR,), destination_addr=address)
    wire = await probe.bound()
    too_long = await wire.ask_octets(CommandId.SUBMIT_SM, message_body(probe.subject.source, "1" * 40))
    probe.expect_status(too_long, (Status.ESME_RINVDSTADR, Status.ESME_RINVPARLEN), "a destination of 40 digits")


@case("M04", "a sender that the account may not use", "ESME_RINVSRCADR")
async def m04(probe: Probe) -> None:
    source = probe.need(probe.subject.forbidden_source, "--forbidden-source")
    await _refused(probe, f"sender {source}", (Status.ESME_RINVSRCADR,), source_addr=source)


@case("M05", "TON and NPI that do not exist", "ESME_RINVSRCTON, RINVSRCNPI, RINVDSTTON, RINVDSTNPI")
async def m05(probe: Probe) -> None:
    for field, status in (
        ("source_addr_ton", Status.ESME_RINVSRCTON),
        ("source_addr_npi", Status.ESME_RINVSRCNPI),
        ("dest_addr_ton", Status.ESME_RINVDSTTON),
        ("dest_addr_npi", Status.ESME_RINVDSTNPI),
    ):
        await _refused(probe, f"{field} 200", (status,), **{field: 200})


@case("M06", "an alphanumeric sender", "TON 5, NPI 0, up to 11 characters: taken")
async def m06(probe: Probe) -> None:
    wire = await probe.bound()
    await probe.submitted(wire, source_addr_ton=5, source_addr_npi=0, source_addr="BellhopTest")


@case("M07", "esm_class with reserved bits", "ESME_RINVESMCLASS")
async def m07(probe: Probe) -> None:
    await _refused(probe, "esm_class 0x3C", (Status.ESME_RINVESMCLASS,), esm_class=0x3C)


@case("M08", "priority_flag over its range", "ESME_RINVPRTFLG")
async def m08(probe: Probe) -> None:
    await _refused(probe, "priority_flag 9", (Status.ESME_RINVPRTFLG,), priority_flag=9)


@case("M09", "registered_delivery with reserved bits", "ESME_RINVREGDLVFLG")
async def m09(probe: Probe) -> None:
    await _refused(probe, "registered_delivery 0xE0", (Status.ESME_RINVREGDLVFLG,), registered_delivery=0xE0)


@case("M10", "replace_if_present_flag 2", "ESME_RINVREPFLAG")
async def m10(probe: Probe) -> None:
    await _refused(probe, "replace_if_present_flag 2", (Status.ESME_RINVREPFLAG,), replace_if_present_flag=2)


async def _scheduled(probe: Probe, wire: Wire, text: bytes = b"later", **fields: Any) -> str:
    """A message that stays queued for an hour."""
    answer = await wire.ask(probe.submit_sm(text, schedule_delivery_time=IN_AN_HOUR, **fields))
    if answer.command_status == Status.ESME_RINVSCHED:
        raise NotSupported("the peer schedules nothing, so no message stays queued to try it on")
    probe.expect_status(answer, 0, "a scheduled submit_sm")
    assert isinstance(answer.pdu, p.SubmitSmResp)
    return answer.pdu.message_id


async def _state(probe: Probe, wire: Wire, message_id: str) -> int | None:
    """What query_sm says; None when the id means nothing."""
    answer = await wire.ask(p.QuerySm(message_id=message_id, source_addr_npi=1, source_addr=probe.subject.source))
    if answer.command_status == Status.ESME_RINVCMDID:
        raise NotSupported("query_sm is not supported")
    return answer.pdu.message_state if isinstance(answer.pdu, p.QuerySmResp) and answer.command_status == 0 else None


async def _cancel(probe: Probe, wire: Wire, message_id: str, **fields: Any) -> Frame:
    given: dict[str, Any] = {
        "message_id": message_id,
        "source_addr_npi": 1,
        "source_addr": probe.subject.source,
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": probe.subject.destination,
        **fields,
    }
    answer = await wire.ask(p.CancelSm(**given))
    if answer.command_status == Status.ESME_RINVCMDID:
        raise NotSupported("cancel_sm is not supported")
    return answer


@case("M11", "replace_if_present_flag 1 with the same addresses, still queued", "the old one is replaced")
async def m11(probe: Probe) -> None:
    wire = await probe.bound()
    old = await _scheduled(probe, wire, b"the old words")
    new = await _scheduled(probe, wire, b"the new words", replace_if_present_flag=1)
    if new == old:
        probe.remark("the replaced message keeps its id")
    else:
        state = await _state(probe, wire, old)
        probe.expect(state not in (0, 1, 6), "the old message still waits beside the new one")
        probe.remark("the replacement has a new id")
    await _cancel(probe, wire, new)


@case("M12", "schedule_delivery_time malformed, past, relative", "ESME_RINVSCHED; sent now; honoured")
async def m12(probe: Probe) -> None:
    await _refused(probe, "a schedule of letters", (Status.ESME_RINVSCHED,), schedule_delivery_time="tomorrow morning")
    wire = await probe.bound()
    past = await wire.ask(probe.submit_sm(schedule_delivery_time="200101000000000+"))
    probe.expect_status(past, (0, Status.ESME_RINVSCHED), "a schedule in the past")
    probe.remark("a past schedule is sent now" if past.command_status == 0 else "a past schedule is refused")
    await _cancel(probe, wire, await _scheduled(probe, wire))


@case("M13", "validity_period malformed, before the schedule", "ESME_RINVEXPIRY")
async def m13(probe: Probe) -> None:
    await _refused(probe, "a validity of letters", (Status.ESME_RINVEXPIRY,), validity_period="until Wednesday!")
    wire = await probe.bound()
    answer = await wire.ask(probe.submit_sm(schedule_delivery_time=IN_AN_HOUR, validity_period="200101000000000+"))
    probe.expect_status(answer, (Status.ESME_RINVEXPIRY, Status.ESME_RINVSCHED), "a validity that ends before it begins")


@case("M14", "sm_length says more than is there", "ESME_RINVMSGLEN or ESME_RINVCMDLEN")
async def m14(probe: Probe) -> None:
    wire = await probe.bound()
    body = message_body(probe.subject.source, probe.subject.destination, b"short", sm_length=100)
    allowed = (Status.ESME_RINVMSGLEN, Status.ESME_RINVCMDLEN, Status.ESME_RINVPARLEN)
    probe.expect_status(await wire.ask_octets(CommandId.SUBMIT_SM, body), allowed, "sm_length 100 with 5 octets")
    await probe.expect_alive(wire, "a lying sm_length")


@case("M15", "sm_length 254 and 255", "taken; 255 is ESME_RINVMSGLEN on 3.4")
async def m15(probe: Probe) -> None:
    wire = await probe.bound()
    longest = message_body(probe.subject.source, probe.subject.destination, b"x" * 254)
    probe.expect_status(await wire.ask_octets(CommandId.SUBMIT_SM, longest), 0, "254 octets")
    over = message_body(probe.subject.source, probe.subject.destination, b"x" * 255)
    probe.expect_status(await wire.ask_octets(CommandId.SUBMIT_SM, over), (Status.ESME_RINVMSGLEN,), "255 octets on 3.4")


@case("M16", "a long text in message_payload", "taken whole")
async def m16(probe: Probe) -> None:
    wire = await probe.bound()
    await probe.submitted(wire, b"", tlvs={int(Tag.MESSAGE_PAYLOAD): b"a long message. " * 40})


@case("M17", "short_message and message_payload both", "refused (choice: ESME_ROPTPARNOTALLWD)")
async def m17(probe: Probe) -> None:
    wire = await probe.bound()
    answer = await wire.ask(probe.submit_sm(b"here", tlvs={int(Tag.MESSAGE_PAYLOAD): b"and there"}))
    probe.expect(answer.command_status != 0, "a message with two texts was taken")


@case("M18", "neither text nor payload", "an empty message is taken, or refused with a length error (choice)")
async def m18(probe: Probe) -> None:
    answer = await (await probe.bound()).ask(probe.submit_sm(b""))
    probe.expect_status(answer, (0, Status.ESME_RINVMSGLEN, Status.ESME_RMISSINGOPTPARAM), "an empty message")
    probe.remark("taken" if answer.command_status == 0 else "refused")


@case("M19", "sm_default_msg_id that is not known", "ESME_RINVDFTMSGID")
async def m19(probe: Probe) -> None:
    wire = await probe.bound()
    answer = await wire.ask(probe.submit_sm(b"", sm_default_msg_id=200))
    probe.expect_status(answer, (Status.ESME_RINVDFTMSGID,), "sm_default_msg_id 200")


@case("M20", "service_type that is not known", "ESME_RINVSERTYP (5.0: 0x100 to 0x103), or any is taken")
async def m20(probe: Probe) -> None:
    answer = await (await probe.bound()).ask(probe.submit_sm(service_type="NOSVC"))
    allowed = (0, Status.ESME_RINVSERTYP, 0x100, 0x101, 0x102, 0x103)
    probe.expect_status(answer, allowed, "service_type NOSVC")
    probe.remark("any service_type is taken" if answer.command_status == 0 else "an unknown one is refused")


@case("M21", "data_coding that is reserved", "taken as octets, or ESME_RSUBMITFAIL, 5.0 ESME_RINVDCS (choice)")
async def m21(probe: Probe) -> None:
    answer = await (await probe.bound()).ask(probe.submit_sm(data_coding=0x0F))
    probe.expect_status(answer, (0, Status.ESME_RSUBMITFAIL, Status.ESME_RINVDCS), "data_coding 0x0F")
    probe.remark("taken as it came" if answer.command_status == 0 else "refused")


@case("M22", "UDHI with a header longer than the text", "refused (choice: ESME_RINVESMCLASS)")
async def m22(probe: Probe) -> None:
    wire = await probe.bound()
    answer = await wire.ask(probe.submit_sm(b"\x64\x00\x03", esm_class=UDHI))
    probe.expect(answer.command_status != 0, "a header that runs past the text was taken")
    await probe.expect_alive(wire, "a lying user data header")


@case("M23", "UDHI and SAR together", "refused (choice: ESME_RINVOPTPARAMVAL)")
async def m23(probe: Probe) -> None:
    wire = await probe.bound()
    sar = {int(Tag.SAR_MSG_REF_NUM): b"\0\1", int(Tag.SAR_TOTAL_SEGMENTS): b"\2", int(Tag.SAR_SEGMENT_SEQNUM): b"\1"}
    answer = await wire.ask(probe.submit_sm(b"\x05\x00\x03\x01\x02\x01part one", esm_class=UDHI, tlvs=sar))
    probe.expect(answer.command_status != 0, "two ways of splitting at one time were taken")


@case("M24", "over the account's rate", "ESME_RTHROTTLED, nothing taken; the session stays")
async def m24(probe: Probe) -> None:
    limited, rate = probe.need(probe.subject.limited, "--limited-account"), probe.need(probe.subject.rate_per_s, "--rate")
    wire = await probe.bound("trx", limited)
    sent = [wire.send(probe.submit_sm(b"rate %d" % number)) for number in range(rate * 3)]
    statuses = [(await wire.answer_to(sequence)).command_status for sequence in sent]
    odd = sorted({status for status in statuses if status not in (0, Status.ESME_RTHROTTLED)})
    probe.expect(not odd, f"statuses {[hex(status) for status in odd]} came instead of ESME_RTHROTTLED")
    probe.expect(Status.ESME_RTHROTTLED in statuses, f"{len(sent)} messages at once against {rate} per second, and all were taken")
    await probe.expect_alive(wire, "ESME_RTHROTTLED")


@case("M25", "queue or quota full, or no credit", "ESME_RMSGQFUL, ESME_RSUBMITFAIL or a vendor's code 0x400 to 0x4FF")
async def m25(probe: Probe) -> None:
    poor = probe.need(probe.subject.poor, "--poor-account")
    wire = await probe.bound("trx", poor)
    answer = await wire.ask(probe.submit_sm())
    allowed = (Status.ESME_RMSGQFUL, Status.ESME_RSUBMITFAIL, Status.ESME_RTHROTTLED, *VENDOR)
    probe.expect_status(answer, allowed, "a submit_sm without quota")
    await probe.expect_alive(wire, "a submit_sm without quota")


@case("M26", "an internal fault", "ESME_RSYSERR, not charged; the session stays")
async def m26(probe: Probe) -> None:
    break_store = probe.need(probe.subject.triggers.break_store, "--break-command")
    wire = await probe.bound()
    await break_store(True)
    try:
        answer = await wire.ask(probe.submit_sm())
        probe.expect_status(answer, (Status.ESME_RSYSERR, Status.ESME_RMSGQFUL), "a submit_sm that cannot be stored")
    finally:
        await break_store(False)
    await probe.expect_alive(wire, "a fault")


@case("M27", "more requests at once than any window", "none lost: each answered ESME_ROK, ESME_RTHROTTLED or ESME_RMSGQFUL")
async def m27(probe: Probe) -> None:
    wire = await probe.bound()
    sent = [wire.send(probe.submit_sm(b"flood %d" % number)) for number in range(300)]
    enquiry = wire.send(p.EnquireLink())
    probe.expect_status(await wire.answer_to(enquiry), 0, "enquire_link behind 300 submit_sm")
    for sequence in sent:
        answer = await wire.answer_to(sequence, probe.subject.patience_s)
        probe.expect_status(answer, (0, Status.ESME_RTHROTTLED, Status.ESME_RMSGQFUL), "a submit_sm of 300 at once")


@case("M28", "the same submit_sm again", "a new id, or the same (choice)")
async def m28(probe: Probe) -> None:
    wire = await probe.bound()
    reference = {int(Tag.USER_MESSAGE_REFERENCE): b"\x12\x34"}
    first = await probe.submitted(wire, b"once or twice", tlvs=reference)
    second = await probe.submitted(wire, b"once or twice", tlvs=reference)
    probe.remark("the same id" if first == second else "a new id")


def _multi(probe: Probe, *destinations: p.SmeAddress | p.DistributionList) -> p.SubmitMulti:
    return p.SubmitMulti(source_addr_npi=1, source_addr=probe.subject.source, dest_address=tuple(destinations), short_message=b"to many")


@case(
    "M29",
    "submit_multi: addresses, a bad one among them, none, a list",
    "one message_id and the failed ones; ESME_RINVNUMDESTS; ESME_RINVDLNAME",
)
async def m29(probe: Probe) -> None:
    wire = await probe.bound()
    good = p.SmeAddress(1, 1, probe.subject.destination)
    answer = await wire.ask(_multi(probe, good, p.SmeAddress(1, 1, probe.subject.destination[:-1] + "5")))
    if answer.command_status == Status.ESME_RINVCMDID:
        raise NotSupported("submit_multi is not supported")
    probe.expect_status(answer, 0, "submit_multi to two")
    assert isinstance(answer.pdu, p.SubmitMultiResp)
    probe.expect(bool(answer.pdu.message_id) and not answer.pdu.unsuccess_sme, "no message_id, or a good address failed")
    mixed = await wire.ask(_multi(probe, good, p.SmeAddress(1, 1, "nobody")))
    probe.expect_status(mixed, 0, "submit_multi with one bad address")
    failed = mixed.pdu.unsuccess_sme if isinstance(mixed.pdu, p.SubmitMultiResp) else ()
    probe.expect(len(failed) == 1, f"{len(failed)} addresses are named as failed, expected the bad one")
    probe.expect_status(await wire.ask(_multi(probe)), (Status.ESME_RINVNUMDESTS,), "submit_multi to nobody")
    unknown = await wire.ask(_multi(probe, p.DistributionList("no-such-list")))
    probe.expect_status(unknown, (Status.ESME_RINVDLNAME, Status.ESME_RCNTSUBDL, 0), "an unknown distribution list")
    if probe.subject.list_name:
        probe.expect_status(await wire.ask(_multi(probe, p.DistributionList(probe.subject.list_name))), 0, "a known list")


@case("M30", "data_sm", "data_sm_resp with a message_id; without a payload ESME_RMISSINGOPTPARAM")
async def m30(probe: Probe) -> None:
    wire = await probe.bound()
    request = p.DataSm(
        source_addr_npi=1, source_addr=probe.subject.source, dest_addr_ton=1, dest_addr_npi=1,
        destination_addr=probe.subject.destination, tlvs={int(Tag.MESSAGE_PAYLOAD): b"by data_sm"},
    )  # fmt: skip
    answer = await wire.ask(request)
    if answer.command_status == Status.ESME_RINVCMDID:
        raise NotSupported("data_sm is not supported")
    probe.expect_status(answer, 0, "data_sm")
    probe.expect(isinstance(answer.pdu, p.DataSmResp) and bool(answer.pdu.message_id), "data_sm_resp has no message_id")
    bare = await wire.ask(request._replace(tlvs={}))
    probe.expect_status(bare, (Status.ESME_RMISSINGOPTPARAM, 0), "data_sm without message_payload")


@case("M31", "query_sm: own id, unknown id, another's sender", "state and date; ESME_RINVMSGID or RQUERYFAIL; nothing leaked")
async def m31(probe: Probe) -> None:
    wire = await probe.bound()
    message_id = await probe.submitted(wire, b"query me")
    state = await _state(probe, wire, message_id)
    probe.expect(state is not None and 0 <= state <= 9, f"query_sm says state {state}")
    unknown = (Status.ESME_RINVMSGID, Status.ESME_RQUERYFAIL)
    nobody = await wire.ask(p.QuerySm(message_id="1", source_addr_npi=1, source_addr=probe.subject.source))
    probe.expect_status(nobody, unknown, "query_sm of an unknown id")
    stranger = await wire.ask(p.QuerySm(message_id=message_id, source_addr_npi=1, source_addr="999999"))
    probe.expect_status(stranger, unknown, "query_sm with another sender")


@case("M32", "cancel_sm: queued, all to a destination, already final", "ESME_ROK, ESME_ROK, ESME_RCANCELFAIL")
async def m32(probe: Probe) -> None:
    wire = await probe.bound()
    queued = await _scheduled(probe, wire)
    probe.expect_status(await _cancel(probe, wire, queued), 0, "cancel_sm of a queued message")
    again = await _cancel(probe, wire, queued)
    probe.expect_status(again, (Status.ESME_RCANCELFAIL, Status.ESME_RINVMSGID), "cancel_sm of a cancelled message")
    await _scheduled(probe, wire, b"one of two")
    await _scheduled(probe, wire, b"two of two")
    probe.expect_status(await _cancel(probe, wire, ""), 0, "cancel_sm of all to a destination")


@case("M33", "replace_sm: queued, final, another's sender", "ESME_ROK, ESME_RREPLACEFAIL, ESME_RREPLACEFAIL or RINVMSGID")
async def m33(probe: Probe) -> None:
    wire = await probe.bound()
    queued = await _scheduled(probe, wire, b"the old words")
    replace = p.ReplaceSm(message_id=queued, source_addr_npi=1, source_addr=probe.subject.source, short_message=b"the new words")
    answer = await wire.ask(replace)
    if answer.command_status == Status.ESME_RINVCMDID:
        raise NotSupported("replace_sm is not supported")
    probe.expect_status(answer, 0, "replace_sm of a queued message")
    failed = (Status.ESME_RREPLACEFAIL, Status.ESME_RINVMSGID)
    probe.expect_status(await wire.ask(replace._replace(source_addr="999999")), failed, "replace_sm with another sender")
    await _cancel(probe, wire, queued)
    probe.expect_status(await wire.ask(replace), failed, "replace_sm of a cancelled message")


@case("M34", "broadcast_sm and its kin", "ESME_RINVCMDID in generic_nack or in its own response")
async def m34(probe: Probe) -> None:
    wire = await probe.bound()
    for command_id in (CommandId.BROADCAST_SM, CommandId.QUERY_BROADCAST_SM, CommandId.CANCEL_BROADCAST_SM):
        answer = await wire.ask_octets(command_id, b"\0" * 8)
        if answer.command_status == 0:
            raise Failed(f"0x{command_id:08X} with an empty body was taken")
        if answer.command_status != Status.ESME_RINVCMDID:
            probe.remark("the peer knows broadcasts")
    await probe.expect_alive(wire, "broadcast_sm")
