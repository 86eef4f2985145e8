"""What the SMSC simulator answers besides submit_sm: data_sm, submit_multi, query_sm, cancel_sm, replace_sm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.smpp.consts import MessageState, Status, Tag
from gateway.smpp.pdu import (
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    UnsuccessSme,
    refusal,
)
from simulators.smsc_messages import Taken, settle

if TYPE_CHECKING:
    from simulators.smsc import Smsc
    from simulators.smsc_session import SmscSession


def serve_other(smsc: Smsc, session: SmscSession, request: Pdu) -> None:
    """Answer a request that is no submit_sm."""
    if isinstance(request, DataSm):
        _data(smsc, session, request)
    elif isinstance(request, SubmitMulti):
        session.answer(request, _multi(smsc, session, request))
    elif isinstance(request, QuerySm):
        session.answer(request, _query(smsc, request))
    elif isinstance(request, CancelSm):
        session.answer(request, _cancel(smsc, session, request))
    elif isinstance(request, ReplaceSm):
        session.answer(request, _replace(smsc, request))
    else:
        session.answer(request, refusal(request.command_id, request.sequence_number, Status.ESME_RINVCMDID))


def _data(smsc: Smsc, session: SmscSession, request: DataSm) -> None:
    """Treated like a submit_sm; rules that lose or delay the response hold for it too."""
    submit = SubmitSm(
        service_type=request.service_type,
        source_addr_ton=request.source_addr_ton,
        source_addr_npi=request.source_addr_npi,
        source_addr=request.source_addr,
        dest_addr_ton=request.dest_addr_ton,
        dest_addr_npi=request.dest_addr_npi,
        destination_addr=request.destination_addr,
        esm_class=request.esm_class,
        registered_delivery=request.registered_delivery,
        data_coding=request.data_coding,
        tlvs=request.tlvs,
    )
    treatment = smsc.treatment_of(session, submit)
    status = smsc.check(submit, treatment, session.session.peer_interface_version)
    if not status and smsc.config.checks and Tag.MESSAGE_PAYLOAD not in request.tlvs:
        status = Status.ESME_RMISSINGOPTPARAM
    if status:
        response = DataSmResp(command_status=status)
    else:
        response = DataSmResp(message_id=smsc.take(session, submit, treatment, smsc.ids_for(session, treatment)).id)
    smsc.respond(session, request, response, treatment)


def _multi(smsc: Smsc, session: SmscSession, request: SubmitMulti) -> SubmitMultiResp:
    """One id for all destinations; each is a message of its own with a receipt of its own. Distribution lists are unknown here."""
    ids = smsc.ids.take()
    unsuccess: list[UnsuccessSme] = []
    for destination in request.dest_address:
        if not isinstance(destination, SmeAddress):
            unsuccess.append(UnsuccessSme(0, 0, destination.dl_name, Status.ESME_RINVDLNAME))
            continue
        submit = _submit_of(request, destination)
        treatment = smsc.treatment_of(session, submit)
        status = smsc.check(submit, treatment, session.session.peer_interface_version)
        if status:
            unsuccess.append(UnsuccessSme(destination.dest_addr_ton, destination.dest_addr_npi, destination.destination_addr, status))
        else:
            smsc.take(session, submit, treatment, ids)
    return SubmitMultiResp(message_id=ids[0], unsuccess_sme=tuple(unsuccess))


def _submit_of(request: SubmitMulti, destination: SmeAddress) -> SubmitSm:
    fields = {name: getattr(request, name) for name in SubmitSm._fields if name in SubmitMulti._fields}
    return SubmitSm(**fields)._replace(
        dest_addr_ton=destination.dest_addr_ton,
        dest_addr_npi=destination.dest_addr_npi,
        destination_addr=destination.destination_addr,
    )


def _query(smsc: Smsc, request: QuerySm) -> QuerySmResp:
    taken = smsc.log.get(request.message_id)
    if taken is None or taken.pdu.source_addr != request.source_addr:
        return QuerySmResp(command_status=Status.ESME_RQUERYFAIL)
    final_date = ""
    if taken.state is not MessageState.ENROUTE:
        final_date = datetime.fromtimestamp(taken.done_us // 1_000_000, UTC).strftime("%y%m%d%H%M%S000+")
    error = int(taken.rule.err) & 0xFF if taken.rule.err.isdigit() and taken.state is not MessageState.ENROUTE else 0
    return QuerySmResp(message_id=request.message_id, final_date=final_date, message_state=taken.state, error_code=error)


def _cancel(smsc: Smsc, session: SmscSession, request: CancelSm) -> CancelSmResp:
    """By id, or without one every waiting message of that source to that destination (SMPP 3.4 section 4.9)."""
    if request.message_id:
        found = smsc.log.get(request.message_id)
        candidates = [found] if found is not None and found.pdu.source_addr == request.source_addr else []
    else:
        candidates = [taken for taken in smsc.log if _is_between(taken, request, session.system_id)]
    waiting = [taken for taken in candidates if taken.state is MessageState.ENROUTE]
    for taken in waiting:
        # Its receipt, if asked for, still goes out at its time, and says so.
        taken.rule = replace(taken.rule, stat="DELETED")
        settle(taken, smsc.world.clock.now_us())
    return CancelSmResp(command_status=Status.ESME_ROK if waiting else Status.ESME_RCANCELFAIL)


def _is_between(taken: Taken, request: CancelSm, system_id: str) -> bool:
    return (
        taken.system_id == system_id
        and taken.pdu.source_addr == request.source_addr
        and taken.pdu.destination_addr == request.destination_addr
    )


def _replace(smsc: Smsc, request: ReplaceSm) -> ReplaceSmResp:
    taken = smsc.log.get(request.message_id)
    if taken is None or taken.pdu.source_addr != request.source_addr or taken.state is not MessageState.ENROUTE:
        return ReplaceSmResp(command_status=Status.ESME_RREPLACEFAIL)
    taken.pdu = taken.pdu._replace(short_message=request.short_message, registered_delivery=request.registered_delivery)
    return ReplaceSmResp()
