"""A text as the octets of one or several short messages, and back.

GSM 7-bit: 160 septets alone, 153 in a part (152 with a 16-bit reference), fewer where the header names national tables.
UCS-2, which means UTF-16BE without a mark: 70 units alone, 67 in a part (66). Octets: 140, 134, 133. A text over the limit is
refused whole.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gateway.sms import cuts, gsm7, national, udh
from gateway.sms.content import DEFAULT_ALPHABETS, Content, decode
from gateway.sms.errors import TextError, TooManyParts, UdhError
from gateway.sms.national import NO_SHIFT, Shift

__all__ = ["DEFAULT_ALPHABETS", "Content", "Encoding", "Segmented", "choose", "count", "decode", "split", "split_octets"]

OCTETS_MAX = 140
SEPTETS_MAX = 160
PARTS_MAX = 255


class Encoding(StrEnum):
    """How the body of a short message is written."""

    GSM7 = "gsm7"
    LATIN1 = "latin1"
    UCS2 = "ucs2"
    BINARY = "binary"


# SMPP 3.4 section 5.2.19. Zero is "the SMSC's default alphabet"; a link whose default is another one overrides it.
DATA_CODING = {Encoding.GSM7: 0, Encoding.LATIN1: 3, Encoding.BINARY: 4, Encoding.UCS2: 8}


class Segmented(NamedTuple):
    """A message ready to send: each part is header and body, as `short_message` takes them.

    `short_messages` is how many short messages a phone gets, which is more than there are parts where the SMSC does the cutting.
    """

    encoding: Encoding
    data_coding: int
    udhi: bool
    parts: tuple[bytes, ...]
    shift: Shift = NO_SHIFT
    short_messages: int = 1


class Writing(NamedTuple):
    """A text in one encoding: its octets, one for a septet, before any header."""

    encoding: Encoding
    octets: bytes
    shift: Shift = NO_SHIFT

    @property
    def is_septets(self) -> bool:
        return self.encoding is Encoding.GSM7

    @property
    def elements(self) -> udh.Elements:
        """What the header of every part names."""
        return national.elements_of(self.shift) if self.shift != NO_SHIFT else ()

    def room(self, header_octets: int) -> int:
        """Octets of `octets` that fit one short message beside a header."""
        left = OCTETS_MAX - header_octets
        return left * 8 // 7 if self.is_septets else left


def choose(text: str) -> Encoding:
    """GSM 7-bit when every character fits it, else UCS-2."""
    return Encoding.GSM7 if gsm7.is_encodable(text) else Encoding.UCS2


def split(text: str, *, reference: int, parts_max: int, wide: bool = False, encoding: Encoding | None = None) -> Segmented:
    """The parts of a text; the low 8 bits (16 when wide) of `reference` tie them together.

    Raises TextError for a lone surrogate or a character outside a forced encoding, TooManyParts instead of cutting the text short.
    """
    assert parts_max >= 1
    if encoding is None:  # the hot path: one plain part
        octets = gsm7.encode_if_possible(text)
        if octets is not None and len(octets) <= SEPTETS_MAX:
            return Segmented(Encoding.GSM7, 0, False, (octets,))
    writing = write(text, encoding)
    return cut(writing, ends(text, writing, wide, parts_max), reference, wide)


def split_octets(data: bytes, *, reference: int, parts_max: int, wide: bool = False, elements: udh.Elements = ()) -> Segmented:
    """The parts of a binary message; `elements`, such as ports, stand in the header of every part."""
    assert parts_max >= 1
    header = udh.encode(elements) if elements else b""
    if len(header) + len(data) <= OCTETS_MAX:
        return Segmented(Encoding.BINARY, DATA_CODING[Encoding.BINARY], bool(elements), (header + data,))
    room = OCTETS_MAX - len(udh.encode((udh.concatenation_element(0, 1, 1, wide), *elements)))
    if room < 1:
        raise UdhError(f"the elements leave no room for data in {OCTETS_MAX} octets")
    _check_parts(-(-len(data) // room), parts_max)
    parts = _parts(data, cuts.of_octets(len(data), room), elements, reference, wide)
    return Segmented(Encoding.BINARY, DATA_CODING[Encoding.BINARY], True, parts, short_messages=len(parts))


def count(text: str, *, wide: bool = False, encoding: Encoding | None = None, parts_max: int = PARTS_MAX) -> tuple[Encoding, int]:
    """The encoding and the number of parts `split` would use, with the same refusals."""
    writing = write(text, encoding)
    return writing.encoding, len(ends(text, writing, wide, parts_max))


def write(text: str, encoding: Encoding | None = None) -> Writing:
    """The text in an encoding of the default tables; None: GSM 7-bit where it can be, else UCS-2. Raises TextError."""
    if encoding is None:
        octets = gsm7.encode_if_possible(text)
        if octets is not None:
            return Writing(Encoding.GSM7, octets)
        encoding = Encoding.UCS2
    encoding = Encoding(encoding)
    if encoding is Encoding.GSM7:
        return Writing(encoding, gsm7.encode(text))
    if encoding is Encoding.BINARY:
        raise TextError("binary is not an encoding of text")
    try:
        return Writing(encoding, text.encode("utf-16-be" if encoding is Encoding.UCS2 else "latin-1"))
    except UnicodeEncodeError as error:
        raise _text_error(text, error.start) from None


def _text_error(text: str, at: int) -> TextError:
    point = ord(text[at])
    what = "a lone surrogate, half a character" if 0xD800 <= point <= 0xDFFF else "outside Latin-1"
    return TextError(f"U+{point:04X} at {at} is {what}", (at,))


def ends(text: str, writing: Writing, wide: bool, parts_max: int) -> list[int]:
    """Where each part ends in the octets of `writing`; TooManyParts when there are more than allowed."""
    octets = writing.octets
    length = len(octets)
    elements = writing.elements
    if length <= writing.room(len(udh.encode(elements)) if elements else 0):
        return [length]
    room = writing.room(len(udh.encode((udh.concatenation_element(0, 1, 1, wide), *elements))))
    # Checked before the clusters are looked at too, so that a huge text costs nothing.
    _check_parts(-(-length // room), parts_max)
    if writing.encoding is Encoding.UCS2:
        found = cuts.of_utf16(text, octets, room)
    elif writing.shift != NO_SHIFT:
        found = cuts.of_septets(text, octets, room, gsm7.ESCAPE, national.septets_of(writing.shift))
    else:
        found = cuts.of_single_octet_text(octets, room, gsm7.ESCAPE if writing.is_septets else -1)
    _check_parts(len(found), parts_max)
    return found


def cut(writing: Writing, found: list[int], reference: int, wide: bool) -> Segmented:
    """The parts that end at `found`, each with the header it needs."""
    elements = writing.elements
    parts = _parts(writing.octets, found, elements, reference, wide)
    udhi = len(parts) > 1 or bool(elements)
    return Segmented(writing.encoding, DATA_CODING[writing.encoding], udhi, parts, writing.shift, len(parts))


def _check_parts(parts: int, parts_max: int) -> None:
    if parts > min(parts_max, PARTS_MAX):
        raise TooManyParts(parts, min(parts_max, PARTS_MAX))


def _parts(octets: bytes, ends: list[int], elements: udh.Elements, reference: int, wide: bool) -> tuple[bytes, ...]:
    if len(ends) == 1:
        return (udh.encode(elements) + octets,) if elements else (octets,)
    reference &= 0xFFFF if wide else 0xFF
    header = udh.encode((udh.concatenation_element(reference, len(ends), 1, wide), *elements))
    number_at = 6 if wide else 5  # the concatenation element stands first, its last octet is the part number
    before, after = header[:number_at], header[number_at + 1 :]
    parts, start = [], 0
    for number, end in enumerate(ends, 1):
        parts.append(before + bytes((number,)) + after + octets[start:end])
        start = end
    return tuple(parts)
