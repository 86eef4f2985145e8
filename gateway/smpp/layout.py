"""Which mandatory parameters each PDU has, in the order of the wire: SMPP 3.4 section 4 as a table."""

from __future__ import annotations

from typing import Final

from gateway.smpp import message_pdus as m
from gateway.smpp import session_pdus as s
from gateway.smpp.consts import Status
from gateway.smpp.fields import CString, Destinations, Field, Octet, ShortMessage, Unsuccessful

Pdu = (
    s.BindTransmitter
    | s.BindTransmitterResp
    | s.BindReceiver
    | s.BindReceiverResp
    | s.BindTransceiver
    | s.BindTransceiverResp
    | s.Outbind
    | s.Unbind
    | s.UnbindResp
    | s.EnquireLink
    | s.EnquireLinkResp
    | s.GenericNack
    | m.SubmitSm
    | m.SubmitSmResp
    | m.DeliverSm
    | m.DeliverSmResp
    | m.DataSm
    | m.DataSmResp
    | m.SubmitMulti
    | m.SubmitMultiResp
    | m.QuerySm
    | m.QuerySmResp
    | m.CancelSm
    | m.CancelSmResp
    | m.ReplaceSm
    | m.ReplaceSmResp
    | m.AlertNotification
)
Fields = tuple[Field, ...]

_SYSTEM_ID = CString("system_id", 16, Status.ESME_RINVSYSID)
_PASSWORD = CString("password", 9, Status.ESME_RINVPASWD)
_SERVICE_TYPE = CString("service_type", 6, Status.ESME_RINVSERTYP)
_MESSAGE_ID = CString("message_id", 65, Status.ESME_RINVMSGID)


def _times(*, fixed: bool) -> Fields:
    return (
        CString("schedule_delivery_time", 17, Status.ESME_RINVSCHED, fixed),
        CString("validity_period", 17, Status.ESME_RINVEXPIRY, fixed),
    )


def _source(size_max: int = 21) -> Fields:
    return (Octet("source_addr_ton"), Octet("source_addr_npi"), CString("source_addr", size_max, Status.ESME_RINVSRCADR))


def _destination(size_max: int = 21) -> Fields:
    return (Octet("dest_addr_ton"), Octet("dest_addr_npi"), CString("destination_addr", size_max, Status.ESME_RINVDSTADR))


_BIND: Fields = (
    _SYSTEM_ID,
    _PASSWORD,
    CString("system_type", 13, Status.ESME_RINVSYSTYP),
    Octet("interface_version"),
    Octet("addr_ton"),
    Octet("addr_npi"),
    CString("address_range", 41, Status.ESME_RINVPARLEN),
)


def _content(*, fixed_times: bool = True) -> Fields:
    return (
        Octet("esm_class"),
        Octet("protocol_id"),
        Octet("priority_flag"),
        *_times(fixed=fixed_times),
        Octet("registered_delivery"),
        Octet("replace_if_present_flag"),
        Octet("data_coding"),
        Octet("sm_default_msg_id"),
        ShortMessage(),
    )


_ADDRESSES: Fields = (_SERVICE_TYPE, *_source(), *_destination())

LAYOUTS: Final[dict[type[Pdu], Fields]] = {
    s.BindTransmitter: _BIND,
    s.BindReceiver: _BIND,
    s.BindTransceiver: _BIND,
    s.BindTransmitterResp: (_SYSTEM_ID,),
    s.BindReceiverResp: (_SYSTEM_ID,),
    s.BindTransceiverResp: (_SYSTEM_ID,),
    s.Outbind: (_SYSTEM_ID, _PASSWORD),
    s.Unbind: (),
    s.UnbindResp: (),
    s.EnquireLink: (),
    s.EnquireLinkResp: (),
    s.GenericNack: (),
    m.SubmitSm: (*_ADDRESSES, *_content()),
    m.SubmitSmResp: (_MESSAGE_ID,),
    # The times of a deliver_sm mean nothing (section 4.6.1): an odd one is no reason to lose an MO or a receipt.
    m.DeliverSm: (*_ADDRESSES, *_content(fixed_times=False)),
    m.DeliverSmResp: (_MESSAGE_ID,),
    m.DataSm: (
        _SERVICE_TYPE,
        *_source(65),
        *_destination(65),
        Octet("esm_class"),
        Octet("registered_delivery"),
        Octet("data_coding"),
    ),
    m.DataSmResp: (_MESSAGE_ID,),
    m.SubmitMulti: (_SERVICE_TYPE, *_source(), Destinations(), *_content()),
    m.SubmitMultiResp: (_MESSAGE_ID, Unsuccessful()),
    m.QuerySm: (_MESSAGE_ID, *_source()),
    m.QuerySmResp: (
        _MESSAGE_ID,
        CString("final_date", 17, Status.ESME_RINVPARLEN),
        Octet("message_state"),
        Octet("error_code"),
    ),
    m.CancelSm: (_SERVICE_TYPE, _MESSAGE_ID, *_source(), *_destination()),
    m.CancelSmResp: (),
    m.ReplaceSm: (
        _MESSAGE_ID,
        *_source(),
        *_times(fixed=True),
        Octet("registered_delivery"),
        Octet("sm_default_msg_id"),
        ShortMessage(),
    ),
    m.ReplaceSmResp: (),
    m.AlertNotification: (
        *_source(65),
        Octet("esme_addr_ton"),
        Octet("esme_addr_npi"),
        CString("esme_addr", 65, Status.ESME_RINVPARLEN),
    ),
}
CLASSES: Final[dict[int, type[Pdu]]] = {cls.command_id: cls for cls in LAYOUTS}
