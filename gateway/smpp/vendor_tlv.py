"""TLVs that go through the gateway: a fixed list of SMPP's own, and those of vendors and regulators that an installation names.

SMPP 3.4 section 5.3.1 leaves 0x1400 to 0x3FFF to vendors. Values are kept as they stand in a PDU: tag, length, octets. Of vendors'
values this knows octets, people's words and JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from gateway.smpp.consts import Tag
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.tlv import Tlvs, read, write

TEXT, INTEGER, OCTETS = "text", "integer", "octets"

# What SMPP 3.4 section 4.4.1 lets a submit_sm say to the handset or of the service; the rest is between two neighbours and ends there.
# Not user_message_reference: it is one ESME's own count, and where many of them share a link it would name several messages.
OF_SUBMISSIONS: Final = frozenset(
    int(tag)
    for tag in (
        Tag.SOURCE_PORT,
        Tag.SOURCE_ADDR_SUBUNIT,
        Tag.DESTINATION_PORT,
        Tag.DEST_ADDR_SUBUNIT,
        Tag.PAYLOAD_TYPE,
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
# Section 4.6.1, of a message from a handset; ussd_service_op is 5.0's, and every USSD gateway's.
OF_DELIVERIES: Final = frozenset(
    int(tag)
    for tag in (
        Tag.USER_MESSAGE_REFERENCE,
        Tag.SOURCE_PORT,
        Tag.DESTINATION_PORT,
        Tag.USER_RESPONSE_CODE,
        Tag.PRIVACY_INDICATOR,
        Tag.PAYLOAD_TYPE,
        Tag.CALLBACK_NUM,
        Tag.SOURCE_SUBADDRESS,
        Tag.DEST_SUBADDRESS,
        Tag.LANGUAGE_INDICATOR,
        Tag.ITS_SESSION_INFO,
        Tag.USSD_SERVICE_OP,
    )
)


class VendorTlv(NamedTuple):
    """One of them. The length of an integer is exact; that of a text leaves its NUL out."""

    name: str
    tag: int
    kind: str
    length_max: int

    def octets_of(self, value: Any) -> bytes:
        """A value as JSON has it; octets are hexadecimal digits there. Raises ValueError with what is wrong."""
        if self.kind == INTEGER:
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << (8 * self.length_max):
                raise ValueError(f"must be an integer of {self.length_max} octets")
            return value.to_bytes(self.length_max, "big")
        if not isinstance(value, str):
            raise ValueError("must be a string")
        if self.kind == OCTETS:
            try:
                raw = bytes.fromhex(value)
            except ValueError:
                raise ValueError("must be hexadecimal digits") from None
        elif not value.isascii() or not value.isprintable():
            raise ValueError("must be printable ASCII")
        else:
            raw = value.encode("ascii")
        if not 0 < len(raw) <= self.length_max:
            raise ValueError(f"must have 1 to {self.length_max} octets")
        return raw + b"\0" if self.kind == TEXT else raw

    def is_fit(self, raw: bytes) -> bool:
        """Whether octets that came in a PDU may be a value of this; a text may lack its NUL, as several peers send it."""
        if self.kind == INTEGER:
            return len(raw) == self.length_max
        return 0 < len(raw.removesuffix(b"\0") if self.kind == TEXT else raw) <= self.length_max

    def value_of(self, raw: bytes) -> str | int:
        """What octets say, as JSON has it."""
        if self.kind == INTEGER:
            return int.from_bytes(raw, "big")
        return raw.hex() if self.kind == OCTETS else raw.split(b"\0", 1)[0].decode("latin-1")


class VendorTlvs:
    """All of an installation, beside SMPP's own."""

    def __init__(self, known: Iterable[VendorTlv]) -> None:
        self.by_name: Final = {each.name: each for each in known}
        self._by_tag = {each.tag: each for each in self.by_name.values()}

    def of_submission(self, tlvs: Tlvs) -> bytes:
        """Those of a submission that go on to the carrier, as they stand in a PDU; what is unknown or misshapen is left out."""
        return self._passed(tlvs, OF_SUBMISSIONS)

    def of_delivery(self, tlvs: Tlvs) -> bytes:
        """Those of a message from a handset that go on to the partner."""
        return self._passed(tlvs, OF_DELIVERIES)

    def _passed(self, tlvs: Tlvs, own: frozenset[int]) -> bytes:
        known = self._by_tag
        found = {tag: raw for tag, raw in tlvs.items() if tag in own or (tag in known and known[tag].is_fit(raw))}
        return write(found) if found else b""

    def of_names(self, values: Mapping[str, Any]) -> bytes:
        """Those a client names, as they stand in a PDU; raises NamedWrongly."""
        raw: dict[int, bytes] = {}
        for name, value in values.items():
            known = self.by_name.get(name)
            if known is None:
                raise NamedWrongly(name, f"is not known here; known are: {', '.join(self.by_name) or 'none'}")
            try:
                raw[known.tag] = known.octets_of(value)
            except ValueError as error:
                raise NamedWrongly(name, str(error)) from None
        return write(raw)

    def named(self, octets: bytes) -> dict[str, str | int]:
        """What stands in octets, by name: a vendor's as JSON has it, SMPP's own and what is not named any more as hexadecimal digits."""
        return dict(self._name_and_value(tag, raw) for tag, raw in read(octets, 0).items())

    def _name_and_value(self, tag: int, raw: bytes) -> tuple[str, str | int]:
        known = self._by_tag.get(tag)
        if known is not None:
            return known.name, known.value_of(raw)
        return Tag(tag).name.lower() if tag in _OWN else f"0x{tag:04x}", raw.hex()


def merged(parts: Iterable[bytes]) -> bytes:
    """The parameters of all parts of one message as its own: of two with one tag the earlier part's."""
    found: dict[int, bytes] = {}
    for octets in parts:
        found = {**read(octets, 0), **found} if octets else found
    return write(found) if found else b""


class NamedWrongly(LocalProtocolError):
    """A client named a TLV that is not known, or gave it a value it cannot have."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


_OWN: Final = frozenset(Tag)
NO_VENDOR_TLVS: Final = VendorTlvs(())
