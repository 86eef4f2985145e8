"""Typographic characters and what stands for each in the GSM 7-bit alphabet, for senders who allow it.

Only looks change: quotes, dashes, spaces, wide forms. A letter is never replaced by another one; `suggestion` may propose that.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from gateway.sms import gsm7

_GROUPS = (
    ("'", "\u2018\u2019\u201a\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02c8\u00b4`\u2039\u203a\uff40"),
    ('"', "\u201c\u201d\u201e\u201f\u2033\u2036\u02ba\u00ab\u00bb\u301d\u301e\u301f"),
    ("-", "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63"),
    ("...", "\u2026"),
    (
        " ",
        "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
    ),
    ("\n", "\u0085\u2028\u2029"),
    # Marks that show nothing.
    ("", "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff"),
    ("*", "\u2022\u2023\u2219\u22c5\u00b7\u25cf\u25e6\u2217"),
    ("/", "\u2044\u2215"),
    ("~", "\u223c\u301c\u02dc"),
    ("^", "\u02c6"),
    ("|", "\u00a6"),
    (":", "\u2236"),
    ("x", "\u00d7"),
    ("(c)", "\u00a9"),
    ("(R)", "\u00ae"),
    ("(TM)", "\u2122"),
    ("No", "\u2116"),
    ("1/2", "\u00bd"),
    ("1/4", "\u00bc"),
    ("3/4", "\u00be"),
    ("ff", "\ufb00"),
    ("fi", "\ufb01"),
    ("fl", "\ufb02"),
    ("ffi", "\ufb03"),
    ("ffl", "\ufb04"),
)
TABLE: dict[str, str] = {
    **{chr(0xFF01 + offset): chr(0x21 + offset) for offset in range(94)},
    **{char: plain for plain, chars in _GROUPS for char in chars},
}
_TRANSLATION = str.maketrans(TABLE)


class Replacement(NamedTuple):
    """One character that was, or would be, replaced; `position` counts code points of the text as it came."""

    position: int
    char: str
    by: str


def replaced(text: str) -> str | None:
    """The text with its typographic characters replaced, where that makes it fit GSM 7-bit; None where it fits already or cannot."""
    if gsm7.is_encodable(text):
        return None
    plain = text.translate(_TRANSLATION)
    return plain if gsm7.is_encodable(plain) else None


def replacements(text: str) -> list[Replacement]:
    """What `replaced` changes, in order; characters that GSM 7-bit has stay."""
    return [Replacement(position, char, TABLE[char]) for position, char in enumerate(text) if char in TABLE and char not in _GSM]


def suggestion(char: str) -> str | None:
    """What a person might write instead: the typographic replacement, or the letter without its mark; None: nothing near."""
    if char in TABLE:
        return TABLE[char]
    bare = "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
    return bare if bare and gsm7.is_encodable(bare) else None


_GSM = frozenset(gsm7.BASIC) | frozenset(gsm7.EXTENSION.values())
