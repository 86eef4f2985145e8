"""The rules of the partners' door, pure: what a submit_sm must be, which status a refusal is, how an outbox row reads as deliver_sm.

SMPP 3.4 sections 4.4 and 5.2; the choices the specification leaves are in docs/protocols/smpp.md.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.domain.address import NAME_SEPTETS_MAX, Address
from gateway.domain.failure import Kind, Refused
from gateway.links.smpp_receipts import ReceiptForm, receipt_pdu
from gateway.links.smpp_receipts import written_id as written_id  # noqa: PLC0414 - re-exported: ids in answers and in receipts are one
from gateway.smpp import pdu as p
from gateway.smpp import tlv, validity
from gateway.smpp.consts import Npi, Status, Tag, Ton
from gateway.smpp.errors import TimeError
from gateway.sms import udh
from gateway.sms.content import CODINGS
from gateway.sms.errors import UdhError
from gateway.sms.segments import OCTETS_MAX, SEPTETS_MAX
from gateway.store.outbox import KIND_MO, Handover

UDHI = 0x40
SERVICE_TYPE_MAX = 5
SHORT_MESSAGE_MAX = 254
VERSION_3_4 = 0x34
VERSION_5_0 = 0x50
PRIORITY_MAX, PRIORITY_MAX_5_0 = 3, 4
_NPIS = frozenset(int(npi) for npi in Npi)
_SAR_TAGS = frozenset({int(Tag.SAR_MSG_REF_NUM), int(Tag.SAR_TOTAL_SEGMENTS), int(Tag.SAR_SEGMENT_SEQNUM)})
# GSM service types of section 5.2.11: they say which bearer is meant, not which service of ours.
_BEARERS = frozenset({"", "CMT", "CPT", "VMN", "VMA", "WAP", "USSD"})

# ms_availability_status, section 5.3.2.30
_AVAILABLE, _UNAVAILABLE = 0, 2

_STATUS_OF_REASON = {
    "unknown_service": Status.ESME_RINVSERTYP,
    "too_long": Status.ESME_RINVMSGLEN,
    "bad_text": Status.ESME_RSUBMITFAIL,
    "bad_source": Status.ESME_RINVSRCADR,
    "bad_destination": Status.ESME_RINVDSTADR,
    "no_credit": Status.ESME_RSUBMITFAIL,
    "no_wallet": Status.ESME_RSUBMITFAIL,
    "opted_out": Status.ESME_RSUBMITFAIL,
    "backlog_full": Status.ESME_RMSGQFUL,
    "unavailable": Status.ESME_RSYSERR,
    "no_link": Status.ESME_RSYSERR,
    "no_price": Status.ESME_RINVSERTYP,
    "blocked": Status.ESME_RINVDSTADR,
    "blocked_sender": Status.ESME_RINVSRCADR,
    "no_route": Status.ESME_RINVDSTADR,
    "bad_schedule": Status.ESME_RINVSCHED,
    "bad_validity": Status.ESME_RINVEXPIRY,
    "barred": Status.ESME_RSYSERR,
    "throttled": Status.ESME_RTHROTTLED,
    "day_quota": Status.ESME_RMSGQFUL,
    "sender_not_allowed": Status.ESME_RINVSRCADR,
    "destination_not_allowed": Status.ESME_RINVDSTADR,
    "service_not_allowed": Status.ESME_RINVSERTYP,
    "priority_not_allowed": Status.ESME_RINVPRTFLG,
}
# What SMPP 5.0 can say more exactly, section 4.7.6.
_STATUS_5_0 = {
    "service_not_allowed": Status.ESME_RSERTYPUNAUTH,
    "destination_not_allowed": Status.ESME_RPROHIBITED,
}


class StatusRefused(Refused):
    """A refusal that has its own command_status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__("smpp", text)
        self.status = status


def status_of(refused: Refused, peer_version: int = VERSION_3_4) -> int:
    """The command_status that says this refusal."""
    if isinstance(refused, StatusRefused):
        return refused.status
    if peer_version >= VERSION_5_0 and refused.reason in _STATUS_5_0:
        return int(_STATUS_5_0[refused.reason])
    fallback = Status.ESME_RSYSERR if refused.kind is Kind.TEMPORARY else Status.ESME_RSUBMITFAIL
    return int(_STATUS_OF_REASON.get(refused.reason, fallback))


def check(request: p.SubmitSm, version: int = VERSION_3_4) -> None:
    """Refuse what SMPP forbids in a submit_sm's fields; 5.0 knows a fifth priority and receipts of success only."""
    is_5 = version >= VERSION_5_0
    if not request.destination_addr:
        raise StatusRefused(Status.ESME_RINVDSTADR, "destination_addr is empty")
    if request.priority_flag > (PRIORITY_MAX_5_0 if is_5 else PRIORITY_MAX):
        raise StatusRefused(Status.ESME_RINVPRTFLG, "priority_flag is 0 to 3, in SMPP 5.0 to 4")
    check_registered(request.registered_delivery, version)
    if request.replace_if_present_flag > 1:
        raise StatusRefused(Status.ESME_RINVREPFLAG, "replace_if_present_flag is 0 or 1")
    if request.esm_class & 0x3C not in (0x00, 0x08, 0x10):
        raise StatusRefused(Status.ESME_RINVESMCLASS, "esm_class names no message type that may be submitted")
    if request.sm_default_msg_id:
        raise StatusRefused(Status.ESME_RINVDFTMSGID, "there are no predefined messages")
    _check_source(request)
    _check_destination(request)
    _check_body(request)


def check_registered(registered_delivery: int, version: int) -> None:
    """Refuse reserved bits, and in SMPP 3.4 the reserved value of the receipt's two."""
    if registered_delivery & 0xE0 or (registered_delivery & 0x03 == 3 and version < VERSION_5_0):
        raise StatusRefused(Status.ESME_RINVREGDLVFLG, "registered_delivery uses reserved bits")


def _check_source(request: p.SubmitSm) -> None:
    if request.source_addr_ton > Ton.ABBREVIATED:
        raise StatusRefused(Status.ESME_RINVSRCTON, "source_addr_ton is 0 to 6")
    if request.source_addr_npi not in _NPIS:
        raise StatusRefused(Status.ESME_RINVSRCNPI, "source_addr_npi is none of section 5.2.6")
    if request.source_addr_ton == Ton.ALPHANUMERIC and len(request.source_addr) > NAME_SEPTETS_MAX:
        raise StatusRefused(Status.ESME_RINVSRCADR, "a sender name has at most 11 characters")


def _check_destination(request: p.SubmitSm) -> None:
    if request.dest_addr_ton > Ton.ABBREVIATED or request.dest_addr_ton == Ton.ALPHANUMERIC:
        raise StatusRefused(Status.ESME_RINVDSTTON, "dest_addr_ton is 0 to 4 or 6")
    if request.dest_addr_npi not in _NPIS:
        raise StatusRefused(Status.ESME_RINVDSTNPI, "dest_addr_npi is none of section 5.2.6")
    digits = request.destination_addr.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) < 3:
        raise StatusRefused(Status.ESME_RINVDSTADR, "destination_addr is not a number")


def _check_body(request: p.SubmitSm) -> None:
    if not request.tlvs and not request.esm_class & UDHI:
        return  # as nearly every one is: what follows is about parameters and headers
    has_payload = bool(request.tlvs) and Tag.MESSAGE_PAYLOAD in request.tlvs
    if has_payload and request.short_message:
        raise StatusRefused(Status.ESME_ROPTPARNOTALLWD, "short_message and message_payload exclude each other")
    sar = _sar(request)
    if request.esm_class & UDHI:
        if sar is not None:
            raise StatusRefused(Status.ESME_RINVOPTPARAMVAL, "UDH and SAR exclude each other")
        try:
            udh.parse(body_of(request))
        except UdhError:
            raise StatusRefused(Status.ESME_RINVESMCLASS, "the user data header contradicts itself") from None
    esm_class, body = content_of(request)
    if esm_class & UDHI and len(body) > (SEPTETS_MAX if CODINGS[request.data_coding] == "default" else OCTETS_MAX):
        raise StatusRefused(Status.ESME_RINVMSGLEN, "a part with a header is longer than one short message")


def _sar(request: p.SubmitSm) -> tuple[int, int, int] | None:
    """The (reference, total, number) of sections 5.3.2.22 to 24, None for a message that is whole."""
    if not request.tlvs or _SAR_TAGS.isdisjoint(request.tlvs):
        return None
    reference = tlv.get_int(request, Tag.SAR_MSG_REF_NUM)
    total = tlv.get_int(request, Tag.SAR_TOTAL_SEGMENTS)
    number = tlv.get_int(request, Tag.SAR_SEGMENT_SEQNUM)
    if reference is None or total is None or number is None:
        raise StatusRefused(Status.ESME_RMISSINGOPTPARAM, "the three SAR parameters belong together")
    if not 1 <= number <= total:
        raise StatusRefused(Status.ESME_RINVOPTPARAMVAL, "sar_segment_seqnum is not within sar_total_segments")
    return (reference, total, number) if total > 1 else None


def schedule_at(schedule_delivery_time: str, now_us: int) -> int | None:
    """When a message is to be sent, in UTC microseconds; None: at once."""
    if not schedule_delivery_time:
        return None
    try:
        return validity.parse(schedule_delivery_time, now_us)
    except TimeError:
        raise StatusRefused(Status.ESME_RINVSCHED, "schedule_delivery_time is no SMPP time") from None


def validity_us(validity_period: str, now_us: int, scheduled_at: int | None = None) -> int | None:
    """How long a submission is valid from its schedule, or from now; None: as its service says. A relative period begins there too."""
    if not validity_period:
        return None
    base = now_us if scheduled_at is None else max(now_us, scheduled_at)
    try:
        until = validity.parse(validity_period, base)
    except TimeError:
        raise StatusRefused(Status.ESME_RINVEXPIRY, "validity_period is no SMPP time") from None
    if until is None:
        return None
    if until <= base:
        raise StatusRefused(Status.ESME_RINVEXPIRY, "validity_period ends before the message may be sent")
    return until - base


def user_reference(request: p.SubmitSm) -> int | None:
    """The user_message_reference of section 5.3.2.17."""
    return tlv.get_int(request, Tag.USER_MESSAGE_REFERENCE) if request.tlvs else None


def body_of(request: p.SubmitSm) -> bytes:
    """The octets, from wherever they stand."""
    if not request.short_message and request.tlvs:
        return request.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
    return request.short_message


def content_of(request: p.SubmitSm) -> tuple[int, bytes]:
    """esm_class and the octets. SAR becomes a header, which every carrier understands: six octets, for which its parts leave room."""
    sar = _sar(request) if request.tlvs else None
    if sar is None:
        return request.esm_class, body_of(request)
    reference, total, number = sar
    return request.esm_class | UDHI, udh.concat_header(reference & 0xFF, total, number) + body_of(request)


def service_name(service_type: str, services: Collection[str]) -> str:
    """Our service that a service_type names; a GSM bearer names the default one.

    SMPP carries five letters: where they begin the name of one service only, they name it.
    """
    if service_type in _BEARERS:
        return ""
    if service_type not in services and len(service_type) == SERVICE_TYPE_MAX:
        begun = [name for name in services if name.startswith(service_type)]
        if len(begun) == 1:
            return begun[0]
    return service_type


def deliver_sm(handover: Handover, peer_version: int, form: ReceiptForm = "deliver_sm") -> p.DeliverSm | p.DataSm:
    """An outbox row as the PDU that says it, receipts as their partner wants them; no optional parameters for peers below 3.4."""
    if handover.entry.kind != KIND_MO:
        return receipt_pdu(handover, peer_version, form)
    mo = handover.mo
    assert mo is not None
    tlvs = dict(tlv.read(mo.tlvs, 0)) if mo.tlvs and peer_version >= VERSION_3_4 else {}
    body = mo.body
    if len(body) > SHORT_MESSAGE_MAX and peer_version >= VERSION_3_4:
        tlvs[Tag.MESSAGE_PAYLOAD] = body
        body = b""
    return p.DeliverSm(
        source_addr_ton=mo.source_ton,
        source_addr_npi=mo.source_npi,
        source_addr=mo.source,
        dest_addr_ton=mo.destination_ton,
        dest_addr_npi=mo.destination_npi,
        destination_addr=mo.destination,
        esm_class=mo.esm_class & ~UDHI if mo.parts > 1 else mo.esm_class,
        protocol_id=mo.protocol_id,
        data_coding=mo.data_coding,
        short_message=body,
        tlvs=tlvs,
    )


def alert(source: Address, esme: str, *, is_available: bool) -> p.AlertNotification:
    """alert_notification, section 4.12.1: a handset, and the address that was told it could not be reached."""
    return p.AlertNotification(
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.digits_or_name,
        esme_addr_ton=int(Ton.UNKNOWN),
        esme_addr_npi=int(Npi.ISDN),
        esme_addr=esme,
        tlvs={int(Tag.MS_AVAILABILITY_STATUS): bytes((_AVAILABLE if is_available else _UNAVAILABLE,))},
    )
