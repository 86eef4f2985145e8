"""The PDUs that carry, query, change and cancel messages (SMPP 3.4 sections 4.4 to 4.10, 4.12)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from gateway.smpp.consts import CommandId
from gateway.smpp.fields import Destination, UnsuccessSme
from gateway.smpp.tlv import EMPTY_TLVS, Tlvs


class _ShortMessage(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Tlvs = EMPTY_TLVS


class _MessageIdResp(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    tlvs: Tlvs = EMPTY_TLVS


class _DataSm(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: Tlvs = EMPTY_TLVS


class _SubmitMulti(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_address: tuple[Destination, ...] = ()
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Tlvs = EMPTY_TLVS


class _SubmitMultiResp(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    unsuccess_sme: tuple[UnsuccessSme, ...] = ()
    tlvs: Tlvs = EMPTY_TLVS


class _QuerySm(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    tlvs: Tlvs = EMPTY_TLVS


class _QuerySmResp(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0
    tlvs: Tlvs = EMPTY_TLVS


class _CancelSm(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    tlvs: Tlvs = EMPTY_TLVS


class _ReplaceSm(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Tlvs = EMPTY_TLVS


class _Header(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    tlvs: Tlvs = EMPTY_TLVS


class _AlertNotification(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""
    tlvs: Tlvs = EMPTY_TLVS


class SubmitSm(_ShortMessage):
    """An ESME hands over a message."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.SUBMIT_SM)


class SubmitSmResp(_MessageIdResp):
    """The SMSC took it, or not."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.SUBMIT_SM_RESP)


class DeliverSm(_ShortMessage):
    """The SMSC hands over a message or a receipt."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.DELIVER_SM)


class DeliverSmResp(_MessageIdResp):
    """The ESME took it, or not; message_id is always empty."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.DELIVER_SM_RESP)


class DataSm(_DataSm):
    """Either side hands over a message whose content is in message_payload."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.DATA_SM)


class DataSmResp(_MessageIdResp):
    """The answer to data_sm."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.DATA_SM_RESP)


class SubmitMulti(_SubmitMulti):
    """One message to up to 254 destinations."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.SUBMIT_MULTI)


class SubmitMultiResp(_SubmitMultiResp):
    """One message id, and the destinations that were refused."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.SUBMIT_MULTI_RESP)


class QuerySm(_QuerySm):
    """The state of a message is asked for."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.QUERY_SM)


class QuerySmResp(_QuerySmResp):
    """The state of a message."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.QUERY_SM_RESP)


class CancelSm(_CancelSm):
    """A message, or all to one destination, shall not be sent any more."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.CANCEL_SM)


class CancelSmResp(_Header):
    """The answer to cancel_sm."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.CANCEL_SM_RESP)


class ReplaceSm(_ReplaceSm):
    """A message still queued gets another text."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.REPLACE_SM)


class ReplaceSmResp(_Header):
    """The answer to replace_sm."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.REPLACE_SM_RESP)


class AlertNotification(_AlertNotification):
    """A handset is reachable again; it has no response PDU."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.ALERT_NOTIFICATION)
