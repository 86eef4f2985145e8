"""query_sm, cancel_sm, replace_sm and data_sm as our services understand them, and their answers: pure."""

from __future__ import annotations

from typing import Final

from gateway.domain.address import AddressError, from_smpp
from gateway.links import smpp_answers as answers
from gateway.services.recall import ENROUTE, SCHEDULED, Found
from gateway.services.rewriting import Change
from gateway.smpp import pdu as p
from gateway.smpp import tlv, validity
from gateway.smpp.consts import Status, Tag
from gateway.smpp.errors import TimeError

# What a refusal is in each operation's words; others have their usual status.
QUERY_STATUS: Final = {"not_found": Status.ESME_RINVMSGID, "wrong_source": Status.ESME_RQUERYFAIL}
CANCEL_STATUS: Final = {
    "not_found": Status.ESME_RINVMSGID,
    "wrong_source": Status.ESME_RCANCELFAIL,
    "too_late": Status.ESME_RCANCELFAIL,
}
REPLACE_STATUS: Final = {
    "not_found": Status.ESME_RINVMSGID,
    "wrong_source": Status.ESME_RREPLACEFAIL,
    "too_late": Status.ESME_RREPLACEFAIL,
}
_ERROR_CODE_MAX = 255


def source_of(request: p.QuerySm | p.CancelSm | p.ReplaceSm) -> str:
    """The source a request names, as messages keep it; "" where it names none."""
    return _kept(request.source_addr_ton, request.source_addr_npi, request.source_addr, is_destination=False)


def destination_of(request: p.CancelSm) -> str:
    """The destination a cancel_sm names, as messages keep it; "" where it names none."""
    return _kept(request.dest_addr_ton, request.dest_addr_npi, request.destination_addr, is_destination=True)


def _kept(ton: int, npi: int, address: str, *, is_destination: bool) -> str:
    if not address:
        return ""
    try:
        return from_smpp(ton, npi, address, unknown_is_international=is_destination).digits_or_name
    except AddressError:
        return address  # which is no message's


def query_answer(request: p.QuerySm, found: Found, version: int) -> p.QuerySmResp:
    """query_sm_resp, section 4.8.2; only 5.0 has a word for a message that waits for its schedule."""
    state = ENROUTE if found.message_state == SCHEDULED and version < answers.VERSION_5_0 else found.message_state
    error = int(found.error) if found.error is not None and found.error.isascii() and found.error.isdigit() else 0
    final_date = "" if found.final_at is None else validity.format_absolute(found.final_at)
    return p.QuerySmResp(0, 0, request.message_id, final_date, state, error if error <= _ERROR_CODE_MAX else 0)


def change_of(request: p.ReplaceSm, version: int, now_us: int) -> Change:
    """What a replace_sm changes, section 4.10.1: always the text and registered_delivery, the times where they are given."""
    if request.sm_default_msg_id:
        raise answers.StatusRefused(Status.ESME_RINVDFTMSGID, "there are no predefined messages")
    answers.check_registered(request.registered_delivery, version)
    schedule_at = answers.schedule_at(request.schedule_delivery_time, now_us)
    valid_until = validity_us = None
    if request.validity_period.endswith("R"):
        validity_us = answers.validity_us(request.validity_period, now_us, schedule_at)
    else:
        valid_until = _until(request.validity_period, now_us)
    return Change(
        body=_body(request),
        schedule_at=schedule_at,
        validity_us=validity_us,
        valid_until=valid_until,
        registered_delivery=request.registered_delivery,
    )


def _until(validity_period: str, now_us: int) -> int | None:
    try:
        return validity.parse(validity_period, now_us)
    except TimeError:
        raise answers.StatusRefused(Status.ESME_RINVEXPIRY, "validity_period is no SMPP time") from None


def _body(request: p.ReplaceSm) -> bytes:
    if request.short_message or not request.tlvs:
        return request.short_message
    return request.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")


def submit_of(request: p.DataSm) -> p.SubmitSm:
    """A data_sm as the submit_sm that says the same; raises Refused where it has no content (section 4.7.1)."""
    if Tag.MESSAGE_PAYLOAD not in request.tlvs:
        raise answers.StatusRefused(Status.ESME_RMISSINGOPTPARAM, "a data_sm has its content in message_payload")
    return p.SubmitSm(
        request.sequence_number,
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


def lifetime_us(request: p.DataSm) -> int | None:
    """How long a data_sm is valid, by its qos_time_to_live in seconds (section 5.3.2.9); None: as its service says."""
    seconds = tlv.get_int(request, Tag.QOS_TIME_TO_LIVE)
    if seconds is None:
        return None
    if not seconds:
        raise answers.StatusRefused(Status.ESME_RINVOPTPARAMVAL, "qos_time_to_live is at least one second")
    return seconds * 1_000_000
