"""The user data header (3GPP 23.040 section 9.2.3.24): elements in front of the text when the UDHI bit is set.

`parse` refuses a header whose lengths lie and reads everything else, known element or not. What an element says is read
apart from that: `concatenation` and `ports` ignore an element that is malformed, as the specification tells receivers to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.sms.errors import UdhError

CONCATENATION_8 = 0x00
CONCATENATION_16 = 0x08
PORTS_8 = 0x04
PORTS_16 = 0x05
SINGLE_SHIFT = 0x24
LOCKING_SHIFT = 0x25


class InformationElement(NamedTuple):
    """One element: its identifier and its octets."""

    iei: int
    data: bytes


class Concatenation(NamedTuple):
    """Which part of which message this is; `wide` tells 16-bit references from 8-bit ones."""

    reference: int
    total: int
    number: int
    wide: bool


class Ports(NamedTuple):
    """Application port addressing; `wide` tells 16-bit ports from 8-bit ones."""

    destination: int
    source: int
    wide: bool


Elements = tuple[InformationElement, ...]


def parse(user_data: bytes) -> tuple[Elements, int]:
    """The elements of the header and the offset where the body begins; UdhError when a length lies."""
    if not user_data:
        raise UdhError("the header is missing")
    end = 1 + user_data[0]
    if end > len(user_data):
        raise UdhError(f"length {user_data[0]}, but {len(user_data) - 1} octets follow")
    elements, at = [], 1
    while at < end:
        if at + 2 > end:
            raise UdhError("an element without its length", at)
        body = at + 2
        after = body + user_data[at + 1]
        if after > end:
            raise UdhError(f"an element of {user_data[at + 1]} octets with {end - body} left", at)
        elements.append(InformationElement(user_data[at], user_data[body:after]))
        at = after
    return tuple(elements), end


def encode(elements: Iterable[InformationElement]) -> bytes:
    """The header with its length octet."""
    body = bytearray()
    for iei, data in elements:
        if not 0 <= iei <= 0xFF or len(data) > 0xFF:
            raise UdhError(f"element {iei:#x} with {len(data)} octets cannot be written", 1 + len(body))
        body += bytes((iei, len(data))) + data
    if len(body) > 0xFF:
        raise UdhError(f"{len(body)} octets of elements, at most 255 fit")
    return bytes((len(body),)) + bytes(body)


def concatenation(elements: Iterable[InformationElement]) -> Concatenation | None:
    """What the last usable concatenation element says; one with part 0, total 0 or a part over the total is ignored."""
    found = None
    for iei, data in elements:
        if iei == CONCATENATION_8 and len(data) == 3:
            reference, total, number = data
        elif iei == CONCATENATION_16 and len(data) == 4:
            reference, total, number = data[0] << 8 | data[1], data[2], data[3]
        else:
            continue
        if 1 <= number <= total:
            found = Concatenation(reference, total, number, iei == CONCATENATION_16)
    return found


def concatenation_element(reference: int, total: int, number: int, wide: bool = False) -> InformationElement:
    """The element that marks one part of a message."""
    if not 1 <= number <= total <= 0xFF or not 0 <= reference <= (0xFFFF if wide else 0xFF):
        raise UdhError(f"part {number} of {total} with reference {reference} cannot be written")
    if wide:
        return InformationElement(CONCATENATION_16, bytes((reference >> 8, reference & 0xFF, total, number)))
    return InformationElement(CONCATENATION_8, bytes((reference, total, number)))


def concat_header(reference: int, total: int, number: int, wide: bool = False) -> bytes:
    """A whole header that holds the concatenation element only: 6 octets, 7 when wide."""
    return encode((concatenation_element(reference, total, number, wide),))


def ports(elements: Iterable[InformationElement]) -> Ports | None:
    """What the last well-formed port element says."""
    found = None
    for iei, data in elements:
        if iei == PORTS_8 and len(data) == 2:
            found = Ports(data[0], data[1], wide=False)
        elif iei == PORTS_16 and len(data) == 4:
            found = Ports(data[0] << 8 | data[1], data[2] << 8 | data[3], wide=True)
    return found


def ports_element(destination: int, source: int, wide: bool = True) -> InformationElement:
    """The element that addresses an application on the phone, such as 2948 for WAP push and 5505 for ringtones."""
    size = 2 if wide else 1
    if not 0 <= destination < 1 << 8 * size or not 0 <= source < 1 << 8 * size:
        raise UdhError(f"ports {destination} and {source} don't fit {8 * size} bits")
    iei = PORTS_16 if wide else PORTS_8
    return InformationElement(iei, destination.to_bytes(size, "big") + source.to_bytes(size, "big"))
