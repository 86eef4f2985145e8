"""What a received short message says: data_coding, the UDHI bit and octets in, text and elements out. Total.

Octets that carry no text (binary, compressed, a coding nobody defined, a header that lies) give text None; the octets are
always kept, so nothing is lost by not understanding them. Broken UTF-16 (half a pair, an odd last octet) shows U+FFFD.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.sms import national, udh
from gateway.sms.errors import UdhError
from gateway.sms.national import NO_SHIFT, Shift


class Content(NamedTuple):
    """A received body. `raw` is the octets after the header, or all of them when the header lies (then `problem` says how)."""

    text: str | None
    raw: bytes
    elements: udh.Elements
    problem: str = ""


def _coding(data_coding: int) -> str:
    """The alphabet of one data_coding value: "" for none; "default" for the alphabet the link calls its default."""
    group, low = data_coding >> 4, data_coding & 0x0F
    general = ("default", "", "ucs2", "")[low >> 2]
    if group == 0x0:  # SMPP 3.4 section 5.2.19
        return _SMPP_CODINGS.get(low, "")
    if group in (0x1, 0x4, 0x5):  # 3GPP 23.038 section 4: uncompressed, with or without class or automatic deletion
        return general
    if group in (0xC, 0xD):  # message waiting
        return "default"
    if group == 0xE:  # message waiting, UCS-2
        return "ucs2"
    if group == 0xF:  # message class: bit 2 tells 8-bit data
        return "" if low & 0x04 else "default"
    return ""


_SMPP_CODINGS = {
    0x00: "default",
    0x01: "ascii",
    0x03: "latin1",
    0x05: "shift_jis",
    0x06: "iso8859_5",
    0x07: "iso8859_8",
    0x08: "ucs2",
    0x0E: "euc_kr",
}
CODINGS: tuple[str, ...] = tuple(_coding(data_coding) for data_coding in range(256))
# What a link may name as its default alphabet.
DEFAULT_ALPHABETS = frozenset({"gsm7", "latin1", "ascii", "ucs2", "utf8"})


def decode(data_coding: int, udhi: bool, short_message: bytes, *, default: str = "gsm7") -> Content:
    """The content of one short message; `default` is the link's default alphabet, one of DEFAULT_ALPHABETS."""
    elements: udh.Elements = ()
    body = short_message
    if udhi:
        try:
            elements, offset = udh.parse(short_message)
        except UdhError as error:
            return Content(None, short_message, (), str(error))
        body = short_message[offset:]
    return Content(text_of(data_coding, body, default=default, shift=national.shift_of(elements)), body, elements)


def text_of(data_coding: int, body: bytes, *, default: str = "gsm7", shift: Shift = NO_SHIFT) -> str | None:
    """The text of a body without its header, or None when the coding carries no text we can read; `shift` is what the header said."""
    assert default in DEFAULT_ALPHABETS
    coding = CODINGS[data_coding] if 0 <= data_coding <= 0xFF else ""
    if coding == "default":
        coding = default
    if coding == "gsm7":
        return national.decode(body, shift)
    if coding == "ucs2":
        return body.decode("utf-16-be", "replace")
    return body.decode(coding, "replace") if coding else None
