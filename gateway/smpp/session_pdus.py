"""The PDUs that make and keep a session: binds, unbind, enquire_link, outbind, generic_nack (SMPP 3.4 sections 4.1 to 4.3, 4.11)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from gateway.smpp.consts import VERSION_3_4, CommandId
from gateway.smpp.tlv import EMPTY_TLVS, Tlvs


class _Bind(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    system_id: str = ""
    password: str = ""
    system_type: str = ""
    interface_version: int = VERSION_3_4
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    tlvs: Tlvs = EMPTY_TLVS


class _BindResp(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    system_id: str = ""
    tlvs: Tlvs = EMPTY_TLVS


class _Header(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    tlvs: Tlvs = EMPTY_TLVS


class _Outbind(NamedTuple):
    sequence_number: int = 0
    command_status: int = 0
    system_id: str = ""
    password: str = ""
    tlvs: Tlvs = EMPTY_TLVS


class BindTransmitter(_Bind):
    """An ESME asks to send."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSMITTER)


class BindReceiver(_Bind):
    """An ESME asks to receive."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.BIND_RECEIVER)


class BindTransceiver(_Bind):
    """An ESME asks to do both."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSCEIVER)


class BindTransmitterResp(_BindResp):
    """The SMSC's answer to bind_transmitter."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSMITTER_RESP)


class BindReceiverResp(_BindResp):
    """The SMSC's answer to bind_receiver."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.BIND_RECEIVER_RESP)


class BindTransceiverResp(_BindResp):
    """The SMSC's answer to bind_transceiver."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.BIND_TRANSCEIVER_RESP)


class Outbind(_Outbind):
    """The SMSC asks an ESME to bind as receiver; it has no response PDU."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.OUTBIND)


class Unbind(_Header):
    """Either side ends the session."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.UNBIND)


class UnbindResp(_Header):
    """The answer to unbind, after which the connection closes."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.UNBIND_RESP)


class EnquireLink(_Header):
    """Either side asks whether the other is alive."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.ENQUIRE_LINK)


class EnquireLinkResp(_Header):
    """It is."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.ENQUIRE_LINK_RESP)


class GenericNack(_Header):
    """The answer to something that has no answer of its own."""

    __slots__ = ()
    command_id: ClassVar[int] = int(CommandId.GENERIC_NACK)
