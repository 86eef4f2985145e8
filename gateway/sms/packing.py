"""Septets packed into octets (3GPP TS 23.038 section 6.1.2), for the few SMSCs that want them so over SMPP.

Nothing on SMPP says how many septets there are, so seven spare bits look like one more `@`. They are filled with a carriage
return, as USSD does, and when reading a last `@` or carriage return that ends with its octet is taken for filling.
"""

from __future__ import annotations

_CR = 0x0D
_FILLING = (0x00, _CR)


def fill_bits(header_octets: int) -> int:
    """The bits between a header and the first septet, so that it begins where a septet would."""
    return -header_octets * 8 % 7


def pack(septets: bytes, header_octets: int = 0) -> bytes:
    """The octets that go behind a header of this length."""
    fill = fill_bits(header_octets)
    if (fill + 7 * len(septets)) % 8 == 1:
        septets += bytes((_CR,))
    value = 0
    for septet in reversed(septets):
        value = value << 7 | septet & 0x7F
    return (value << fill).to_bytes(-(-(fill + 7 * len(septets)) // 8), "little")


def unpack(octets: bytes, header_octets: int = 0) -> bytes:
    """The septets, one per octet, that stand behind a header of this length."""
    fill = fill_bits(header_octets)
    count = max(0, 8 * len(octets) - fill) // 7
    value = int.from_bytes(octets, "little") >> fill
    septets = bytes(value >> 7 * place & 0x7F for place in range(count))
    is_exact = 8 * len(octets) - fill == 7 * count
    return septets[:-1] if is_exact and septets and septets[-1] in _FILLING else septets
