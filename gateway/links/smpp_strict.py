"""Strict mode: what SMPP 3.4 forbids in a submit_sm and nobody is harmed by, refused for partners whose policy asks for it."""

from __future__ import annotations

from gateway.links.smpp_answers import StatusRefused
from gateway.smpp import pdu as p
from gateway.smpp.consts import VERSION_5_0, Status, Tag
from gateway.smpp.tlv import TLV_SPECS

# SMPP 3.4 section 4.4.1: the optional parameters of submit_sm; 5.0's additions are in section 4.2.4.
SUBMIT_SM_TAGS = frozenset(
    int(tag)
    for tag in (
        Tag.USER_MESSAGE_REFERENCE,
        Tag.SOURCE_PORT,
        Tag.SOURCE_ADDR_SUBUNIT,
        Tag.DESTINATION_PORT,
        Tag.DEST_ADDR_SUBUNIT,
        Tag.SAR_MSG_REF_NUM,
        Tag.SAR_TOTAL_SEGMENTS,
        Tag.SAR_SEGMENT_SEQNUM,
        Tag.MORE_MESSAGES_TO_SEND,
        Tag.PAYLOAD_TYPE,
        Tag.MESSAGE_PAYLOAD,
        Tag.PRIVACY_INDICATOR,
        Tag.CALLBACK_NUM,
        Tag.CALLBACK_NUM_PRES_IND,
        Tag.CALLBACK_NUM_ATAG,
        Tag.SOURCE_SUBADDRESS,
        Tag.DEST_SUBADDRESS,
        Tag.USER_RESPONSE_CODE,
        Tag.DISPLAY_TIME,
        Tag.SMS_SIGNAL,
        Tag.MS_VALIDITY,
        Tag.MS_MSG_WAIT_FACILITIES,
        Tag.NUMBER_OF_MESSAGES,
        Tag.ALERT_ON_MESSAGE_DELIVERY,
        Tag.LANGUAGE_INDICATOR,
        Tag.ITS_REPLY_TYPE,
        Tag.ITS_SESSION_INFO,
        Tag.USSD_SERVICE_OP,
    )
)
SUBMIT_SM_TAGS_5_0 = SUBMIT_SM_TAGS | {
    int(tag)
    for tag in (
        Tag.BILLING_IDENTIFICATION,
        Tag.DEST_NETWORK_ID,
        Tag.DEST_NODE_ID,
        Tag.SOURCE_NETWORK_ID,
        Tag.SOURCE_NODE_ID,
        Tag.DEST_TELEMATICS_ID,
        Tag.SOURCE_TELEMATICS_ID,
        Tag.DEST_BEARER_TYPE,
        Tag.SOURCE_BEARER_TYPE,
        Tag.DEST_NETWORK_TYPE,
        Tag.SOURCE_NETWORK_TYPE,
        Tag.QOS_TIME_TO_LIVE,
        Tag.SET_DPF,
    )
}
_KNOWN = frozenset(int(tag) for tag in TLV_SPECS)


def check(request: p.SubmitSm, peer_version: int) -> None:
    """Refuse what the section forbids; tags that nobody knows stay ignored, as section 3.3 wants it in any mode."""
    if request.tlvs:
        allowed = SUBMIT_SM_TAGS if peer_version < VERSION_5_0 else SUBMIT_SM_TAGS_5_0
        for tag in request.tlvs:
            if tag in _KNOWN and tag not in allowed:
                raise StatusRefused(Status.ESME_ROPTPARNOTALLWD, f"TLV 0x{tag:04X} does not belong into a submit_sm")
    if request.destination_addr.startswith("+"):
        raise StatusRefused(Status.ESME_RINVDSTADR, "destination_addr has digits only")
