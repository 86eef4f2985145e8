"""What a data_coding says: alphabet, message class, message waiting (SMPP 3.4 section 5.2.19, 3GPP TS 23.038 section 4)."""

from __future__ import annotations

# SMPP's own values; every other one is read as TS 23.038 says.
_SMPP = {
    0x00: "default",
    0x01: "ascii",
    0x03: "latin1",
    0x05: "jis",
    0x06: "iso8859_5",
    0x07: "iso8859_8",
    0x08: "ucs2",
    0x0A: "iso2022_jp",
    0x0D: "jis_x0212",
    0x0E: "cp949",  # KS C 5601 as it is written in practice, its extension included
}
CLASS_0 = 0xF0  # flash: shown at once, and not kept
CLASSES = 4


def _alphabet(data_coding: int) -> str:
    """The alphabet of one data_coding: "" for octets, "default" for the alphabet the link calls its default."""
    group, low = data_coding >> 4, data_coding & 0x0F
    if group == 0x0:
        return _SMPP.get(low, "")
    if group in (0x1, 0x4, 0x5):  # uncompressed, with or without class or automatic deletion
        return ("default", "", "ucs2", "")[low >> 2]
    if group in (0xC, 0xD):  # message waiting: discard, store
        return "default"
    if group == 0xE:  # message waiting: store, UCS-2
        return "ucs2"
    if group == 0xF:  # message class: bit 2 tells 8-bit data
        return "" if low & 0x04 else "default"
    return ""  # compressed, or reserved


ALPHABETS: tuple[str, ...] = tuple(_alphabet(data_coding) for data_coding in range(256))


def message_class(data_coding: int) -> int | None:
    """The message class, 0 for flash; None where the coding says none."""
    group = data_coding >> 4
    return data_coding & 0x03 if group in (0x1, 0x3, 0x5, 0x7, 0xF) else None


def of_class(number: int, *, is_text: bool = True) -> int:
    """The data_coding of a message of this class in the default alphabet, or of octets."""
    assert 0 <= number < CLASSES
    return CLASS_0 | number if is_text else CLASS_0 | 0x04 | number


def rewritten(like: int, *, is_ucs2: bool) -> int:
    """The data_coding of a text that came as `like` and is written anew: its class or message waiting stays."""
    group, low = like >> 4, like & 0x0F
    if group == 0xF and not low & 0x04:
        return 0x18 | low & 0x03 if is_ucs2 else like
    if group in (0x1, 0x4, 0x5):
        return like & 0xF3 | (0x08 if is_ucs2 else 0)
    if group in (0xC, 0xD):
        return 0xE0 | low if is_ucs2 else like
    if group == 0xE:
        return like if is_ucs2 else 0xD0 | low
    return 0x08 if is_ucs2 else 0x00
