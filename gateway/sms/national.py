"""Writing and reading under national language shift tables (3GPP TS 23.038 section 6.2.1.2; elements: 23.040 section 9.2.3.24.15).

A locking table replaces the basic one for the whole message, a single shift table replaces the extension table; the header of
every part names them. A language without a table here gives no text rather than a wrong one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gateway.sms import gsm7, udh
from gateway.sms.national_tables import LANGUAGE_NAMES, LOCKING, NOTHING, SINGLE


class Shift(NamedTuple):
    """The language of the locking and of the single shift table; 0 is the default alphabet's own."""

    locking: int = 0
    single: int = 0


NO_SHIFT = Shift()


def shift_of(elements: udh.Elements) -> Shift:
    """The tables a header names; the last element of each kind counts, a malformed one does not."""
    if not elements:
        return NO_SHIFT
    locking = single = 0
    for iei, data in elements:
        if iei == udh.LOCKING_SHIFT and len(data) == 1:
            locking = data[0]
        elif iei == udh.SINGLE_SHIFT and len(data) == 1:
            single = data[0]
    return Shift(locking, single) if locking or single else NO_SHIFT


def elements_of(shift: Shift) -> udh.Elements:
    """The elements that name these tables; none for the default ones."""
    named = ((udh.SINGLE_SHIFT, shift.single), (udh.LOCKING_SHIFT, shift.locking))
    return tuple(udh.InformationElement(iei, bytes((language,))) for iei, language in named if language)


def shifts(languages: tuple[int, ...]) -> list[Shift]:
    """Every pair of tables that these languages allow, the simplest first: single, locking, then both."""
    lockings = [language for language in languages if language in LOCKING]
    singles = [language for language in languages if language in SINGLE]
    return [
        *(Shift(0, single) for single in singles),
        *(Shift(locking, 0) for locking in lockings),
        *(Shift(locking, single) for locking in lockings for single in singles),
    ]


@lru_cache(maxsize=256)
def septets_of(shift: Shift) -> dict[int, str]:
    """Code point to septets, one character each, under these tables; the locking table goes first, for it takes one."""
    table: dict[int, str] = {}
    for code, char in enumerate(LOCKING[shift.locking]):
        if code != gsm7.ESCAPE and char != NOTHING:
            table.setdefault(ord(char), chr(code))
    for code, char in sorted(SINGLE[shift.single].items()):
        table.setdefault(ord(char), f"\x1b{chr(code)}")
    return table


def encode_if_possible(text: str, shift: Shift) -> bytes | None:
    """The septets of a text under these tables, one per octet, or None when a character is in neither."""
    if shift == NO_SHIFT:
        return gsm7.encode_if_possible(text)
    table = septets_of(shift)
    if any(ord(char) not in table for char in set(text)):
        return None
    return text.translate(table).encode("latin-1")


def decode(septets: bytes, shift: Shift) -> str | None:
    """The text of septets under these tables, or None for a language without a table; else total, as `gsm7.decode` is."""
    if shift == NO_SHIFT:
        return gsm7.decode(septets)
    basic, extension = LOCKING.get(shift.locking), SINGLE.get(shift.single)
    if basic is None or extension is None:
        return None
    chars, codes = [], iter(septets)
    for code in codes:
        if code == gsm7.ESCAPE:
            escaped = next(codes, gsm7.ESCAPE)
            chars.append(extension.get(escaped) or (" " if escaped == gsm7.ESCAPE else _char(basic, escaped)))
        else:
            chars.append(_char(basic, code))
    return "".join(chars)


def describe(shift: Shift) -> str:
    """The tables in words, such as "locking hindi, single hindi"; empty for the default ones."""
    named = (("locking", shift.locking), ("single", shift.single))
    return ", ".join(f"{kind} {LANGUAGE_NAMES.get(language, language)}" for kind, language in named if language)


def _char(basic: str, code: int) -> str:
    return basic[code] if code < len(basic) else gsm7.REPLACEMENT
