"""How one link wants its texts, and the cheapest way to write a text for it.

Cheapest is fewest short messages, then fewest octets on the air, then the simplest tables: the default alphabet, a single shift
table, a locking one, both, UCS-2; among languages, the one named first. So the same text is always written the same way.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gateway.sms import gsm7, national, segments, udh
from gateway.sms.errors import TooManyParts
from gateway.sms.segments import PARTS_MAX, Encoding, Segmented, Writing


class Method(StrEnum):
    """How the parts of a long message are told apart on the wire."""

    UDH8 = "udh8"
    UDH16 = "udh16"
    SAR = "sar"  # kept with 8-bit headers, which become the three SAR parameters when they leave
    PAYLOAD = "payload"  # one message_payload, cut by the SMSC


class TextProfile(NamedTuple):
    """One link's wishes. `alphabet` is what data_coding 0 means there, one of content.DEFAULT_ALPHABETS but UCS-2."""

    alphabet: str = "gsm7"
    method: Method = Method.UDH8
    is_packed: bool = False  # septets go eight to seven octets
    languages: tuple[int, ...] = ()  # national tables that may be used, by their numbers
    parts_max: int = PARTS_MAX

    @property
    def is_wide(self) -> bool:
        return self.method is Method.UDH16


PLAIN = TextProfile()
WHOLE_ALPHABETS = ("gsm7", "utf8")  # they have every character of GSM 7-bit


def split(text: str, profile: TextProfile, *, reference: int, parts_max: int) -> Segmented:
    """The parts of a text as this link's messages are kept; raises as `segments.split` does."""
    parts_max = min(parts_max, profile.parts_max)
    writing, ends = choose(text, profile, parts_max=parts_max)
    if profile.method is Method.PAYLOAD and len(ends) > 1:
        whole = segments.cut(writing, [len(writing.octets)], reference, wide=False)
        return whole._replace(short_messages=len(ends))
    return segments.cut(writing, ends, reference, profile.is_wide)


def choose(text: str, profile: TextProfile, *, parts_max: int = PARTS_MAX) -> tuple[Writing, list[int]]:
    """The cheapest way to write a text for this link, and where its parts end in it."""
    wide = profile.is_wide
    plain = gsm7.encode_if_possible(text) if is_carried(text, profile.alphabet) else None
    if plain is not None and (len(plain) <= segments.SEPTETS_MAX or not profile.languages):
        writing = Writing(Encoding.GSM7, plain)
        return writing, segments.ends(text, writing, wide, parts_max)
    candidates = [Writing(Encoding.GSM7, plain)] if plain is not None else []
    for shift in national.shifts(profile.languages):
        octets = national.encode_if_possible(text, shift)
        if octets is not None:
            candidates.append(Writing(Encoding.GSM7, octets, shift))
    candidates.append(segments.write(text, Encoding.UCS2))
    return _cheapest(text, candidates, wide, parts_max)


def is_carried(text: str, alphabet: str) -> bool:
    """Whether an SMSC whose default alphabet this is can be told these characters in it."""
    if alphabet in WHOLE_ALPHABETS:
        return True
    try:
        text.encode(alphabet)
    except UnicodeEncodeError:
        return False
    return True


def _cheapest(text: str, candidates: list[Writing], wide: bool, parts_max: int) -> tuple[Writing, list[int]]:
    found: list[tuple[int, int, int, Writing, list[int]]] = []
    refusal: TooManyParts | None = None
    for place, writing in enumerate(candidates):
        try:
            ends = segments.ends(text, writing, wide, parts_max)
        except TooManyParts as error:
            refusal = error if refusal is None or error.parts < refusal.parts else refusal
            continue
        found.append((len(ends), _air_octets(writing, ends, wide), place, writing, ends))
    if not found:
        assert refusal is not None, "there is always UCS-2 to try"
        raise refusal
    *_, writing, ends = min(found, key=lambda each: each[:3])
    return writing, ends


def _air_octets(writing: Writing, ends: list[int], wide: bool) -> int:
    elements = writing.elements
    if len(ends) > 1:
        elements = (udh.concatenation_element(0, 1, 1, wide), *elements)
    header = len(udh.encode(elements)) if elements else 0
    if not writing.is_septets:
        return header * len(ends) + len(writing.octets)
    # The header is filled up to a septet's end, and the last octet of a part may be partly used.
    sizes = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return sum(-(-(-(-header * 8 // 7) + size) * 7 // 8) for size in sizes)
