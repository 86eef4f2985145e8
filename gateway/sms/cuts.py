"""Where a long message may be cut: never in an escape pair, a surrogate pair or an extended grapheme cluster.

Each function returns the offsets, in octets, at which parts end; the last one is the length. A cluster longer than a whole
part (a letter under a hundred accents) has no legal cut, so its code points are taken one by one; a surrogate pair never breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import regex

# \X alone looks back over a whole run of regional indicators at each flag, which is quadratic; pairs are taken by hand.
_CLUSTER = regex.compile(r"\p{GCB=Regional_Indicator}{1,2}+(?![\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}])|\X")
# A cluster of several code points needs one of these (Unicode annex 29); without them every code point stands alone.
_COMPOUND = regex.compile(
    r"[\p{GCB=CR}\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=Regional_Indicator}\p{GCB=L}\p{GCB=V}\p{GCB=T}]"
)


def of_octets(length: int, size: int) -> list[int]:
    """Cuts of opaque octets: anywhere."""
    return [*range(size, length, size), length]


def of_single_octet_text(octets: bytes, size: int, escape: int = -1) -> list[int]:
    """Cuts of a text with one octet a character: not between CR and LF, not after `escape`.

    Neither alphabet written this way holds any other character that joins its neighbour.
    """
    cuts, end = [], len(octets)
    cut = size
    while cut < end:
        before = octets[cut - 1]
        if before == escape or (before == 0x0D and octets[cut] == 0x0A):
            cut -= 1
        cuts.append(cut)
        cut += size
    cuts.append(end)
    return cuts


def of_septets(text: str, octets: bytes, size: int, escape: int, table: Mapping[int, str]) -> list[int]:
    """Cuts of a text in a national alphabet, `table` being what each code point is written as: between clusters where it has any."""
    if _COMPOUND.search(text) is None:
        return of_single_octet_text(octets, size, escape)
    return _between_clusters(text, size, lambda char: len(table[ord(char)]))


def of_utf16(text: str, octets: bytes, size: int) -> list[int]:
    """Cuts of a text in UTF-16BE: between code points, and between clusters where the text has any of several code points."""
    if _COMPOUND.search(text) is not None:
        return _between_clusters(text, size, _utf16_octets)
    cuts, end = [], len(octets)
    cut = size & ~1
    while cut < end:
        if octets[cut - 2] & 0xFC == 0xD8:
            cut -= 2
        cuts.append(cut)
        cut += size & ~1
    cuts.append(end)
    return cuts


def _utf16_octets(char: str) -> int:
    return 4 if char > "\uffff" else 2


def _between_clusters(text: str, size: int, width: Callable[[str], int]) -> list[int]:
    cuts, start, at = [], 0, 0
    for atom in _atoms(text, size, width):
        if at + atom - start > size:
            cuts.append(at)
            start = at
        at += atom
    cuts.append(at)
    return cuts


def _atoms(text: str, size: int, width: Callable[[str], int]) -> list[int]:
    """The octets of each piece that must stay whole."""
    atoms: list[int] = []
    for match in _CLUSTER.finditer(text):
        octets = [width(char) for char in match.group()]
        whole = sum(octets)
        atoms.extend((whole,) if whole <= size else octets)
    return atoms
