"""The PDUs of SMPP 3.4 as values, with `decode` and `encode`: the one module to import them from.

Every PDU begins with sequence_number and command_status, goes on with the mandatory parameters under the specification's own
names, and ends with `tlvs`. Texts are str read as Latin-1, so that any octets can be read and written back; short_message and
the values of TLVs are bytes.
"""

from __future__ import annotations

from typing import Final

from gateway.smpp.codec import decode, encode
from gateway.smpp.consts import RESPONSE_BIT
from gateway.smpp.fields import Destination, DistributionList, SmeAddress, UnsuccessSme
from gateway.smpp.layout import CLASSES, Pdu
from gateway.smpp.message_pdus import (
    AlertNotification,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
)
from gateway.smpp.session_pdus import (
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Unbind,
    UnbindResp,
)
from gateway.smpp.tlv import EMPTY_TLVS, Tlvs

Bind = BindTransmitter | BindReceiver | BindTransceiver
BindResp = BindTransmitterResp | BindReceiverResp | BindTransceiverResp

# The response class of each request that has one; outbind and alert_notification have none.
RESPONSES: Final[dict[int, type[Pdu]]] = {
    command_id: CLASSES[command_id | RESPONSE_BIT]
    for command_id in CLASSES
    if not command_id & RESPONSE_BIT and command_id | RESPONSE_BIT in CLASSES
}


def refusal(command_id: int, sequence_number: int, status: int) -> Pdu:
    """The answer with an error status to a request: its own response, or generic_nack where it has none."""
    return RESPONSES.get(command_id, GenericNack)(sequence_number, status)


__all__ = [
    "EMPTY_TLVS",
    "RESPONSES",
    "AlertNotification",
    "Bind",
    "BindReceiver",
    "BindReceiverResp",
    "BindResp",
    "BindTransceiver",
    "BindTransceiverResp",
    "BindTransmitter",
    "BindTransmitterResp",
    "CancelSm",
    "CancelSmResp",
    "DataSm",
    "DataSmResp",
    "DeliverSm",
    "DeliverSmResp",
    "Destination",
    "DistributionList",
    "EnquireLink",
    "EnquireLinkResp",
    "GenericNack",
    "Outbind",
    "Pdu",
    "QuerySm",
    "QuerySmResp",
    "ReplaceSm",
    "ReplaceSmResp",
    "SmeAddress",
    "SubmitMulti",
    "SubmitMultiResp",
    "SubmitSm",
    "SubmitSmResp",
    "Tlvs",
    "Unbind",
    "UnbindResp",
    "UnsuccessSme",
    "decode",
    "encode",
    "refusal",
]
