"""National language shift tables (3GPP 23.038 annex A), for reading: Turkish, Spanish and Portuguese.

A locking table replaces the basic one for the whole message, a single shift table replaces the extension table; the header names
them. A language without a table here gives no text rather than a wrong one. Nothing is sent in these alphabets.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.sms import gsm7, udh

TURKISH, SPANISH, PORTUGUESE = 1, 2, 3


class Shift(NamedTuple):
    """The language of the locking and of the single shift table; 0 is the default alphabet's own."""

    locking: int = 0
    single: int = 0


NO_SHIFT = Shift()

LOCKING: dict[int, str] = {
    0: gsm7.BASIC,
    TURKISH: (
        "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bŞşßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
        "İABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§çabcdefghijklmnopqrstuvwxyzäöñüà"
    ),
    PORTUGUESE: (
        "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|\x1bÂâÊÉ !\"#º%&'()*+,-./0123456789:;<=>?"
        "ÍABCDEFGHIJKLMNOPQRSTUVWXYZÃÕÚÜ§~abcdefghijklmnopqrstuvwxyzãõ`üà"
    ),
}
SINGLE: dict[int, dict[int, str]] = {
    0: gsm7.EXTENSION,
    TURKISH: gsm7.EXTENSION | dict(zip(b"GIScgis", "ĞİŞçğış", strict=True)),
    SPANISH: gsm7.EXTENSION | dict(zip(b"\x09AIOUaiou", "çÁÍÓÚáíóú", strict=True)),
    PORTUGUESE: gsm7.EXTENSION
    | dict(
        zip(
            b"\x05\x09\x0b\x0c\x0e\x0f\x12\x13\x15\x16\x17\x18\x19\x1fAIOU\x5b\x5caiou\x7b\x7c\x7f",
            "êçÔôÁáΦΓΩΠΨΣΘÊÀÍÓÚÃÕÂíóúãõâ",
            strict=True,
        )
    ),
}
assert all(len(table) == 128 for table in LOCKING.values())


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


def _char(basic: str, code: int) -> str:
    return basic[code] if code < len(basic) else gsm7.REPLACEMENT
