"""TLVs of vendors and regulators, by name: which an installation knows, and their values between octets, people and JSON.

SMPP 3.4 section 5.3.1 leaves 0x1400 to 0x3FFF to vendors. Values are kept as they stand in a PDU: tag, length, octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.tlv import Tlvs, read, write

TAG_MIN, TAG_MAX = 0x1400, 0x3FFF
TEXT, INTEGER, OCTETS = "text", "integer", "octets"
INTEGER_OCTETS = (1, 2, 4)


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
    """All of an installation."""

    def __init__(self, known: Iterable[VendorTlv]) -> None:
        self.by_name: Final = {each.name: each for each in known}
        self._by_tag = {each.tag: each for each in self.by_name.values()}

    def taken(self, tlvs: Tlvs) -> bytes:
        """Those of a submission that are passed on, as they stand in a PDU; what is unknown or misshapen is left out."""
        known = self._by_tag
        found = {tag: raw for tag, raw in tlvs.items() if tag in known and known[tag].is_fit(raw)}
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
        """What stands in octets, by name."""
        tlvs = read(octets, 0)
        return {each.name: each.value_of(tlvs[each.tag]) for each in self.by_name.values() if each.tag in tlvs}


class NamedWrongly(LocalProtocolError):
    """A client named a TLV that is not known, or gave it a value it cannot have."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


NO_VENDOR_TLVS: Final = VendorTlvs(())
