"""What a received short message says: data_coding, the UDHI bit and octets in, text and elements out. Total.

Octets that carry no text (binary, compressed, a coding nobody defined, a header that lies) give text None; the octets are
always kept, so nothing is lost by not understanding them. Broken UTF-16 (half a pair, an odd last octet) shows U+FFFD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.sms import coding, national, udh
from gateway.sms.errors import UdhError
from gateway.sms.national import NO_SHIFT, Shift


class Content(NamedTuple):
    """A received body. `raw` is the octets after the header, or all of them when the header lies (then `problem` says how)."""

    text: str | None
    raw: bytes
    elements: udh.Elements
    problem: str = ""


CODINGS = coding.ALPHABETS
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
    alphabet = CODINGS[data_coding] if 0 <= data_coding <= 0xFF else ""
    if alphabet == "default":
        alphabet = default
    if alphabet == "gsm7":
        return national.decode(body, shift)
    read = _READERS.get(alphabet)
    if read is not None:
        return read(body)
    return body.decode(alphabet, "replace") if alphabet else None


def _utf16(body: bytes) -> str:
    """UCS-2 is UTF-16 in practice, big-endian; a mark in front, which does not belong there, is believed and taken off."""
    if body[:2] == b"\xff\xfe":
        return body[2:].decode("utf-16-le", "replace")
    return body.decode("utf-16-be", "replace").removeprefix("\ufeff")


def _jis(body: bytes) -> str:
    """JIS X 0208: with its escapes where it has any, else as Shift JIS."""
    return body.decode("iso2022_jp_1" if _ESCAPES in body else "shift_jis", "replace")


def _jis_x0212(body: bytes) -> str:
    """JIS X 0212: with escapes, as EUC where it has high octets, else plain pairs."""
    if _ESCAPES in body:
        return body.decode("iso2022_jp_1", "replace")
    if not body.isascii():
        return body.decode("euc_jp", "replace")
    return (_TO_JIS_X0212 + body).decode("iso2022_jp_1", "replace") if body else ""


_ESCAPES = b"\x1b"
_TO_JIS_X0212 = b"\x1b$(D"
_READERS: dict[str, Callable[[bytes], str]] = {"ucs2": _utf16, "jis": _jis, "jis_x0212": _jis_x0212}
