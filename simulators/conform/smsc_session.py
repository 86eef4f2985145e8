"""Cases S: binding, states and timers of an SMSC."""

from __future__ import annotations

import asyncio

from gateway.smpp import pdu as p
from gateway.smpp.consts import RESPONSE_BIT, CommandId, Status, Tag
from simulators.conform.case import Cases, Failed, NotSupported
from simulators.conform.octets import message_body
from simulators.conform.probe import RECEIPT, Probe
from simulators.conform.subject import Account
from simulators.conform.wire import Frame, Wire, frame

CASES = Cases()
case = CASES.case

_NO_BIND = (Status.ESME_RINVBNDSTS,)
_REFUSED_NAME = (Status.ESME_RINVSYSID, Status.ESME_RBINDFAIL, Status.ESME_RINVPASWD)


async def _bind_works(probe: Probe, kind: str, command_id: int) -> None:
    wire = await probe.connect()
    answer = await probe.try_bind(wire, kind)
    probe.expect_kind(answer, command_id | RESPONSE_BIT, f"bind_{kind}")
    probe.expect_status(answer, 0, f"bind_{kind}")
    assert isinstance(answer.pdu, p.BindTransmitterResp | p.BindReceiverResp | p.BindTransceiverResp)
    probe.expect(bool(answer.pdu.system_id), "the bind response names no system_id")
    if not answer.pdu.tlvs or Tag.SC_INTERFACE_VERSION not in answer.pdu.tlvs:
        probe.remark("no sc_interface_version: the peer speaks 3.3, or does not say")
    await probe.expect_alive(wire, "the bind")


@case("S01", "bind_transmitter, good credentials", "its response, ESME_ROK, same number, system_id, sc_interface_version")
async def s01(probe: Probe) -> None:
    await _bind_works(probe, "tx", CommandId.BIND_TRANSMITTER)


@case("S02", "bind_receiver and bind_transceiver", "their responses, ESME_ROK")
async def s02(probe: Probe) -> None:
    await _bind_works(probe, "rx", CommandId.BIND_RECEIVER)
    await _bind_works(probe, "trx", CommandId.BIND_TRANSCEIVER)


@case("S03", "wrong password", "ESME_RINVPASWD, or ESME_RBINDFAIL to hide which half was wrong; no body")
async def s03(probe: Probe) -> None:
    wire = await probe.connect()
    answer = await probe.try_bind(wire, account=Account(probe.subject.account.system_id, "wrong1"))
    probe.expect_status(answer, (Status.ESME_RINVPASWD, Status.ESME_RBINDFAIL), "a bind with a wrong password")
    probe.expect(len(answer.body) <= 1, "an error response has a body")
    if not await wire.closes(probe.subject.quiet_s):
        probe.remark("the connection stays open")


@case("S04", "unknown system_id", "ESME_RINVSYSID (or another refusal that hides which half was wrong)")
async def s04(probe: Probe) -> None:
    wire = await probe.connect()
    answer = await probe.try_bind(wire, account=Account("nobody-of-us", "wrong1"))
    probe.expect_status(answer, _REFUSED_NAME, "a bind of an unknown system_id")


@case("S05", "account disabled, or address not allowed", "ESME_RBINDFAIL")
async def s05(probe: Probe) -> None:
    kept_out = {"a disabled account": probe.subject.disabled, "an account of other addresses": probe.subject.foreign}
    probe.need(any(kept_out.values()), "--disabled-account or --foreign-account")
    for which, account in kept_out.items():
        if account is not None:
            answer = await probe.try_bind(await probe.connect(), account=account)
            probe.expect_status(answer, (Status.ESME_RBINDFAIL,), f"a bind of {which}")


@case("S06", "system_type that is not known", "ESME_RINVSYSTYP, or any system_type is taken (choice)")
async def s06(probe: Probe) -> None:
    answer = await probe.try_bind(await probe.connect(), system_type="NOSUCHTYPE")
    probe.expect_status(answer, (0, Status.ESME_RINVSYSTYP), "a bind with an odd system_type")
    probe.remark("any system_type is taken" if answer.command_status == 0 else "an unknown system_type is refused")


@case("S07", "second bind on a bound session", "ESME_RALYBND, the session stays")
async def s07(probe: Probe) -> None:
    wire = await probe.bound()
    probe.expect_status(await probe.try_bind(wire), (Status.ESME_RALYBND,), "a second bind")
    await probe.expect_alive(wire, "a second bind")


@case("S08", "bind over the account's limit", "ESME_RALYBND or ESME_RBINDFAIL, older binds unharmed")
async def s08(probe: Probe) -> None:
    limited = probe.need(probe.subject.limited, "--limited-account")
    limit = probe.need(probe.subject.bind_limit, "--bind-limit")
    older = [await probe.bound("trx", limited) for _ in range(limit)]
    answer = await probe.try_bind(await probe.connect(), "trx", limited)
    probe.expect_status(answer, (Status.ESME_RALYBND, Status.ESME_RBINDFAIL), f"bind number {limit + 1}")
    for wire in older:
        await probe.expect_alive(wire, "a bind over the limit")


@case("S09", "submit_sm before any bind", "submit_sm_resp ESME_RINVBNDSTS")
async def s09(probe: Probe) -> None:
    answer = await (await probe.connect()).ask(probe.submit_sm())
    probe.expect_status(answer, _NO_BIND, "submit_sm before a bind")


@case("S10", "submit_sm on a receiver bind", "ESME_RINVBNDSTS")
async def s10(probe: Probe) -> None:
    wire = await probe.bound("rx")
    probe.expect_status(await wire.ask(probe.submit_sm()), _NO_BIND, "submit_sm on a receiver")
    await probe.expect_alive(wire, "submit_sm on a receiver")


@case("S11", "deliver_sm sent by an ESME", "ESME_RINVBNDSTS or generic_nack ESME_RINVCMDID, the session stays")
async def s11(probe: Probe) -> None:
    wire = await probe.bound()
    body = message_body(probe.subject.source, probe.subject.destination)
    answer = await wire.ask_octets(CommandId.DELIVER_SM, body)
    probe.expect_status(answer, (Status.ESME_RINVBNDSTS, Status.ESME_RINVCMDID), "deliver_sm from an ESME")
    await probe.expect_alive(wire, "deliver_sm from an ESME")


@case("S12", "no bind within the session_init_timer", "the SMSC closes", is_patient=True)
async def s12(probe: Probe) -> None:
    wire = await probe.connect()
    probe.expect(await wire.closes(probe.subject.patience_s), f"still open after {probe.subject.patience_s:g} s without a bind")


@case("S13", "unbind when bound", "pending responses first, then unbind_resp ESME_ROK, then closed")
async def s13(probe: Probe) -> None:
    wire = await probe.bound()
    pending = [wire.send(probe.submit_sm(b"before unbind %d" % number)) for number in range(5)]
    unbind = wire.send(p.Unbind())
    probe.expect_status(await wire.answer_to(unbind), 0, "unbind")
    answered = {got.sequence_number for got in wire.inbox}
    missing = [number for number in pending if number not in answered]
    probe.expect(not missing, f"{len(missing)} of 5 submit_sm were not answered before unbind_resp")
    if not await wire.closes():
        probe.remark("the connection is left for us to close")


@case("S14", "submit_sm after unbind", "ESME_RINVBNDSTS or closed; not taken")
async def s14(probe: Probe) -> None:
    wire = await probe.bound()
    wire.send(p.Unbind())
    late = wire.send(probe.submit_sm(b"after unbind"))
    try:
        answer = await wire.answer_to(late)
    except Failed:
        return
    probe.expect(answer.command_status != 0, "a submit_sm behind unbind was taken")


@case("S15", "the SMSC unbinds", "unbind; after our answer it closes")
async def s15(probe: Probe) -> None:
    unbind = probe.need(probe.subject.triggers.unbind, "--unbind-command")
    wire = await probe.bound()
    await unbind()
    request = await wire.request(CommandId.UNBIND, probe.subject.patience_s)
    if request is None:
        raise Failed("no unbind came")
    wire.answer(request)
    probe.expect(await wire.closes(), "the connection stays open after unbind_resp")


@case("S16", "enquire_link in each bound state, and behind a full window", "ESME_ROK at once")
async def s16(probe: Probe) -> None:
    for kind in ("tx", "rx", "trx"):
        await probe.expect_alive(await probe.bound(kind), f"bind_{kind}")
    wire = await probe.bound()
    for number in range(50):
        wire.send(probe.submit_sm(b"window %d" % number))
    await probe.expect_alive(wire, "fifty submit_sm at once")


@case("S17", "enquire_link before a bind", "ESME_RINVBNDSTS on 3.4, ESME_ROK on 5.0")
async def s17(probe: Probe) -> None:
    answer = await (await probe.connect()).ask(p.EnquireLink())
    probe.expect_status(answer, (0, Status.ESME_RINVBNDSTS), "enquire_link before a bind")


@case("S18", "client silent beyond the enquire timer", "enquire_link from the SMSC; unanswered, it closes", is_patient=True)
async def s18(probe: Probe) -> None:
    wire = await probe.bound()
    wire.is_polite = False
    patience = probe.subject.patience_s
    probe.expect(await wire.request(CommandId.ENQUIRE_LINK, patience) is not None, f"no enquire_link within {patience:g} s of silence")
    probe.expect(await wire.closes(patience), f"still open {patience:g} s after an unanswered enquire_link")


@case("S19", "only enquire_link for a long time", "choice: kept, or unbound in an orderly way", is_patient=True)
async def s19(probe: Probe) -> None:
    wire = await probe.bound()
    if await wire.closes(probe.subject.patience_s):
        said = [got for got in wire.inbox if got.command_id == CommandId.UNBIND]
        probe.remark("unbinds an idle session" if said else "closes an idle session")
    else:
        probe.remark(f"keeps an idle session for {probe.subject.patience_s:g} s at least")


@case("S20", "a peer of interface_version 0x33", "no TLVs to it; message_id of at most 8 characters")
async def s20(probe: Probe) -> None:
    wire = await probe.connect()
    answer = await probe.try_bind(wire, interface_version=0x33)
    probe.expect_status(answer, 0, "a bind with interface_version 0x33")
    probe.expect(len(answer.body) <= 16 and answer.body.count(b"\0") == 1, "the bind response to a 3.3 peer has TLVs")
    message_id = await probe.submitted(wire, registered_delivery=RECEIPT)
    probe.expect(len(message_id) <= 8, f"message_id {message_id!r} does not fit the nine octets of 3.3")
    receipt = await wire.delivery(probe.subject.patience_s)
    if receipt is None:
        probe.remark("no receipt came to look at")
    elif receipt.pdu is not None:
        probe.expect(not receipt.pdu.tlvs, "a receipt to a 3.3 peer has TLVs")


@case("S21", "a peer of interface_version 0x50", "ESME_ROK; sc_interface_version 0x50 or 0x34")
async def s21(probe: Probe) -> None:
    answer = await probe.try_bind(await probe.connect(), interface_version=0x50)
    probe.expect_status(answer, 0, "a bind with interface_version 0x50")
    version = answer.pdu.tlvs.get(Tag.SC_INTERFACE_VERSION) if answer.pdu is not None and answer.pdu.tlvs else None
    probe.expect(version in (None, b"\x34", b"\x50"), f"sc_interface_version is {version!r}")


@case("S22", "interface_version 0x00 and 0x51", "taken as 3.3 and as the highest that is supported; not refused")
async def s22(probe: Probe) -> None:
    for version in (0x00, 0x51):
        answer = await probe.try_bind(await probe.connect(), interface_version=version)
        probe.expect_status(answer, 0, f"a bind with interface_version 0x{version:02X}")


@case("S23", "TCP reset in the middle of a PDU", "the session is freed, no part of a message is taken")
async def s23(probe: Probe) -> None:
    wire = await probe.bound()
    octets = frame(CommandId.SUBMIT_SM, message_body(probe.subject.source, probe.subject.destination), sequence=9)
    wire.send_octets(octets[: len(octets) // 2])
    await asyncio.sleep(0)
    wire.reset()
    await probe.expect_alive(await probe.bound(), "a reset of another connection")


@case("S24", "outbind", "outbind without an answer; our bind_receiver on that connection is taken")
async def s24(probe: Probe) -> None:
    trigger = probe.need(probe.subject.triggers.outbind, "--outbind-command")
    wire = probe.make_wire()
    listener = await probe.world.network.listen(lambda: wire, "127.0.0.1", 0)
    try:
        await trigger(listener.port)
        came: Frame | None = await _outbind(wire, probe)
        if came is None:
            raise NotSupported("no outbind came")
        probe.expect_status(await probe.try_bind(wire, "rx"), 0, "bind_receiver after outbind")
        await probe.expect_alive(wire, "outbind and bind")
    finally:
        listener.close()


async def _outbind(wire: Wire, probe: Probe) -> Frame | None:
    return await wire.request(CommandId.OUTBIND, probe.subject.patience_s)
