"""Optional parameters: which lengths and types the known tags have, and reading and writing a list of them.

SMPP 3.4 section 5.3. Unknown tags are kept as bytes (forward compatibility, section 3.3); of a tag sent twice the first wins.
A C-octet value that lacks its NUL is accepted: several SMSCs send receipted_message_id that way.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from gateway.smpp.consts import Status, Tag
from gateway.smpp.errors import LocalProtocolError

Tlvs = Mapping[int, bytes]
EMPTY_TLVS: Final[Tlvs] = MappingProxyType({})

_HEADER = struct.Struct(">HH")
_TAG_MAX = 0xFFFF
_LENGTH_MAX = 0xFFFF

INTEGER = "integer"
TEXT = "text"
OCTETS = "octets"


class TlvSpec(NamedTuple):
    """Type of a tag's value and the lengths it may have, the NUL of a text included."""

    kind: str
    length_min: int
    length_max: int


def _integer(length: int) -> TlvSpec:
    return TlvSpec(INTEGER, length, length)


TLV_SPECS: Final[dict[int, TlvSpec]] = {
    Tag.DEST_ADDR_SUBUNIT: _integer(1),
    Tag.DEST_NETWORK_TYPE: _integer(1),
    Tag.DEST_BEARER_TYPE: _integer(1),
    Tag.DEST_TELEMATICS_ID: _integer(2),
    Tag.SOURCE_ADDR_SUBUNIT: _integer(1),
    Tag.SOURCE_NETWORK_TYPE: _integer(1),
    Tag.SOURCE_BEARER_TYPE: _integer(1),
    Tag.SOURCE_TELEMATICS_ID: _integer(1),
    Tag.QOS_TIME_TO_LIVE: _integer(4),
    Tag.PAYLOAD_TYPE: _integer(1),
    Tag.ADDITIONAL_STATUS_INFO_TEXT: TlvSpec(TEXT, 1, 256),
    Tag.RECEIPTED_MESSAGE_ID: TlvSpec(TEXT, 1, 65),
    Tag.MS_MSG_WAIT_FACILITIES: _integer(1),
    Tag.PRIVACY_INDICATOR: _integer(1),
    Tag.SOURCE_SUBADDRESS: TlvSpec(OCTETS, 2, 23),
    Tag.DEST_SUBADDRESS: TlvSpec(OCTETS, 2, 23),
    Tag.USER_MESSAGE_REFERENCE: _integer(2),
    Tag.USER_RESPONSE_CODE: _integer(1),
    Tag.SOURCE_PORT: _integer(2),
    Tag.DESTINATION_PORT: _integer(2),
    Tag.SAR_MSG_REF_NUM: _integer(2),
    Tag.LANGUAGE_INDICATOR: _integer(1),
    Tag.SAR_TOTAL_SEGMENTS: _integer(1),
    Tag.SAR_SEGMENT_SEQNUM: _integer(1),
    Tag.SC_INTERFACE_VERSION: _integer(1),
    Tag.CALLBACK_NUM_PRES_IND: _integer(1),
    Tag.CALLBACK_NUM_ATAG: TlvSpec(OCTETS, 0, 65),
    Tag.NUMBER_OF_MESSAGES: _integer(1),
    Tag.CALLBACK_NUM: TlvSpec(OCTETS, 4, 19),
    Tag.DPF_RESULT: _integer(1),
    Tag.SET_DPF: _integer(1),
    Tag.MS_AVAILABILITY_STATUS: _integer(1),
    Tag.NETWORK_ERROR_CODE: TlvSpec(OCTETS, 3, 3),
    Tag.MESSAGE_PAYLOAD: TlvSpec(OCTETS, 0, _LENGTH_MAX),
    Tag.DELIVERY_FAILURE_REASON: _integer(1),
    Tag.MORE_MESSAGES_TO_SEND: _integer(1),
    Tag.MESSAGE_STATE: _integer(1),
    Tag.CONGESTION_STATE: _integer(1),
    Tag.USSD_SERVICE_OP: TlvSpec(OCTETS, 1, 1),
    Tag.BILLING_IDENTIFICATION: TlvSpec(OCTETS, 1, 1024),
    Tag.SOURCE_NETWORK_ID: TlvSpec(TEXT, 7, 65),
    Tag.DEST_NETWORK_ID: TlvSpec(TEXT, 7, 65),
    Tag.SOURCE_NODE_ID: TlvSpec(OCTETS, 6, 6),
    Tag.DEST_NODE_ID: TlvSpec(OCTETS, 6, 6),
    Tag.DISPLAY_TIME: _integer(1),
    Tag.SMS_SIGNAL: _integer(2),
    Tag.MS_VALIDITY: TlvSpec(INTEGER, 1, 4),  # 5.0 widened it to four octets
    Tag.ALERT_ON_MESSAGE_DELIVERY: TlvSpec(INTEGER, 0, 1),  # no value in 3.4, an optional octet in 5.0
    Tag.ITS_REPLY_TYPE: _integer(1),
    Tag.ITS_SESSION_INFO: TlvSpec(OCTETS, 2, 2),
}


class _HasTlvs(Protocol):
    @property
    def tlvs(self) -> Tlvs: ...


class BadTlvsError(Exception):
    """Raised by `read` towards the PDU decoder only, which turns it into a FieldError."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def get(pdu: _HasTlvs, tag: int) -> str | int | bytes | None:
    """The value of a tag in its own type; bytes for tags we do not know, None when it is absent."""
    raw = pdu.tlvs.get(tag)
    if raw is None:
        return None
    spec = TLV_SPECS.get(tag)
    if spec is None or spec.kind is OCTETS:
        return raw
    if spec.kind is INTEGER:
        return int.from_bytes(raw, "big")
    return raw.split(b"\0", 1)[0].decode("latin-1")


def get_int(pdu: _HasTlvs, tag: int) -> int | None:
    """The value of an integer tag, or None."""
    value = get(pdu, tag)
    return value if isinstance(value, int) else None


def get_text(pdu: _HasTlvs, tag: int) -> str | None:
    """The value of a text tag, or None."""
    value = get(pdu, tag)
    return value if isinstance(value, str) else None


def make(tag: int, value: str | int | bytes) -> bytes:
    """The octets of a tag's value (without tag and length), as they go into a PDU's `tlvs`."""
    spec = TLV_SPECS.get(tag)
    if isinstance(value, int):
        raw = _integer_octets(tag, value, spec)
    elif isinstance(value, str):
        raw = _text_octets(tag, value)
    else:
        raw = bytes(value)
    _check_length(tag, raw)
    return raw


def _integer_octets(tag: int, value: int, spec: TlvSpec | None) -> bytes:
    if spec is None or spec.length_max > 4:
        raise LocalProtocolError(f"tag 0x{tag:04X} takes no number")
    length = spec.length_min or spec.length_max
    try:
        return value.to_bytes(length, "big")
    except OverflowError:
        raise LocalProtocolError(f"tag 0x{tag:04X}: number does not fit {length} octets") from None


def _text_octets(tag: int, value: str) -> bytes:
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(f"tag 0x{tag:04X}: text is not Latin-1") from None
    if b"\0" in raw:
        raise LocalProtocolError(f"tag 0x{tag:04X}: text holds a NUL")
    return raw + b"\0"


def _check_length(tag: int, raw: bytes) -> None:
    spec = TLV_SPECS.get(tag)
    low, high = (0, _LENGTH_MAX) if spec is None else (spec.length_min, spec.length_max)
    if not low <= len(raw) <= high:
        raise LocalProtocolError(f"tag 0x{tag:04X}: {len(raw)} octets, allowed {low} to {high}")


def read(frame: bytes, start: int) -> Tlvs:
    """Read the optional parameters from `start` to the end of the frame; raises BadTlvsError."""
    end = len(frame)
    found: dict[int, bytes] = {}
    while start < end:
        if end - start < 4:
            raise BadTlvsError(Status.ESME_RINVOPTPARSTREAM, "trailing octets are no TLV")
        tag, length = _HEADER.unpack_from(frame, start)
        start += 4
        if length > end - start:
            raise BadTlvsError(Status.ESME_RINVOPTPARSTREAM, f"TLV 0x{tag:04X} runs past the end")
        spec = TLV_SPECS.get(tag)
        if spec is not None and not spec[1] <= length <= spec[2]:
            raise BadTlvsError(Status.ESME_RINVPARLEN, f"TLV 0x{tag:04X} has {length} octets")
        if tag not in found:
            found[tag] = frame[start : start + length]
        start += length
    return found


def write(tlvs: Tlvs) -> bytes:
    """The octets of a list of optional parameters; raises LocalProtocolError."""
    parts: list[bytes] = []
    for tag, raw in tlvs.items():
        spec = TLV_SPECS.get(tag)
        if spec is None or not spec[1] <= len(raw) <= spec[2]:
            if not 0 <= tag <= _TAG_MAX:
                raise LocalProtocolError(f"no such tag: {tag}")
            _check_length(tag, raw)
        parts.append(_HEADER.pack(tag, len(raw)))
        parts.append(raw)
    return b"".join(parts)
