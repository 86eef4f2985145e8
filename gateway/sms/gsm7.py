"""The GSM 7-bit default alphabet and its extension table (3GPP 23.038 section 6.2.1), one septet per octet.

Octets are unpacked, as SMPP carries them. `decode` is total and follows the specification where it says what a phone shows:
an escape before a code the extension table lacks shows the basic character; an escape before another escape, or at the end,
shows a space. An octet above 0x7F is no septet at all and shows U+FFFD.
"""

from __future__ import annotations

import re

from gateway.sms.errors import TextError

ESCAPE = 0x1B
REPLACEMENT = "\ufffd"

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION: dict[int, str] = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
assert len(BASIC) == 128

_SEPTETS = {ord(char): chr(code) for code, char in enumerate(BASIC) if code != ESCAPE} | {
    ord(char): f"\x1b{chr(code)}" for code, char in EXTENSION.items()
}
_ALPHABET = "".join(re.escape(chr(point)) for point in _SEPTETS)
_ENCODABLE = re.compile(f"[{_ALPHABET}]*")
_UNENCODABLE = re.compile(f"[^{_ALPHABET}]")

# Latin-1 octet -> septet, 0xFF where the basic table lacks it: two C calls and isascii() encode nearly every real text.
_FROM_LATIN1 = bytes(ord(_SEPTETS[point]) if len(_SEPTETS.get(point, "")) == 1 else 0xFF for point in range(256))
_TO_BASIC = dict(enumerate(BASIC)) | dict.fromkeys(range(0x80, 0x100), REPLACEMENT)
# What an escape pair reads as once both halves went through the basic table, and the character it stands for.
_ESCAPED = tuple((f"\x1b{BASIC[code]}", char) for code, char in EXTENSION.items())
# The codes whose septet and ASCII octet are the same.
_SAME_AS_ASCII = bytes(code for code in range(128) if ord(BASIC[code]) == code and code != ESCAPE)


def encode_if_possible(text: str) -> bytes | None:
    """The septets of a text, one per octet, or None when a character is outside the alphabet."""
    try:
        octets = text.encode("latin-1").translate(_FROM_LATIN1)
    except UnicodeEncodeError:
        octets = b"\xff"
    if octets.isascii():
        return octets
    if _ENCODABLE.fullmatch(text) is None:
        return None
    return text.translate(_SEPTETS).encode("latin-1")


def encode(text: str) -> bytes:
    """The septets of a text, one per octet; TextError names the code points that don't fit."""
    octets = encode_if_possible(text)
    if octets is None:
        misfits = [match.start() for match in _UNENCODABLE.finditer(text)]
        named = ", ".join(f"U+{ord(text[at]):04X} at {at}" for at in misfits[:5])
        raise TextError(f"{len(misfits)} characters are outside the GSM 7-bit alphabet: {named}", tuple(misfits[:5]))
    return octets


def decode(septets: bytes) -> str:
    """The text of septets, one per octet; total, with the replacements this module's docstring lists."""
    if not septets.translate(None, _SAME_AS_ASCII):
        return septets.decode("ascii")
    text = septets.decode("latin-1").translate(_TO_BASIC)
    return text if ESCAPE not in septets else _unescape(text)


def _unescape(text: str) -> str:
    text = text.replace("\x1b\x1b", " ")
    for pair, char in _ESCAPED:
        text = text.replace(pair, char)
    if text.endswith("\x1b"):
        text = f"{text[:-1]} "
    return text.replace("\x1b", "")


def is_encodable(text: str) -> bool:
    """Whether every character is in the basic or the extension table."""
    return encode_if_possible(text) is not None


def unencodable(text: str) -> list[str]:
    """The distinct characters outside the alphabet, in order of first appearance."""
    return list(dict.fromkeys(_UNENCODABLE.findall(text)))


def septet_count(text: str) -> int:
    """How many septets the text takes, two for an extension character; TextError when it doesn't fit."""
    return len(encode(text))
