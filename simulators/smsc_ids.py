"""Message ids in every form carriers write them: the same number in the response and in the receipt, spelt alike or not. Pure."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

_TOP_BIT = 1 << 63


class IdForm(StrEnum):
    """How a message id is written. `mixed` is a carrier's quirk: hex in submit_sm_resp, decimal in the receipt."""

    DEC = "dec"
    HEX = "hex"
    HEX_LOWER = "hex-lower"
    DEC_PADDED = "dec-padded"
    HEX_PADDED = "hex-padded"
    HEX_0X = "0x"
    GUID = "guid"
    GUID_UPPER = "guid-upper"
    INT64 = "int64"
    INT64_SIGNED = "int64-signed"
    HEX64 = "hex64"
    MIXED = "mixed"


def _guid(number: int) -> str:
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


# The 64-bit forms have the top bit set: they show who reads an id into a signed or a floating number.
_SPELLINGS: Final[dict[IdForm, Callable[[int], str]]] = {
    IdForm.DEC: str,
    IdForm.HEX: lambda number: f"{number:X}",
    IdForm.HEX_LOWER: lambda number: f"{number:x}",
    IdForm.DEC_PADDED: lambda number: f"{number:020d}",
    IdForm.HEX_PADDED: lambda number: f"{number:016X}",
    IdForm.HEX_0X: lambda number: f"0x{number:x}",
    IdForm.GUID: _guid,
    IdForm.GUID_UPPER: lambda number: _guid(number).upper(),
    IdForm.INT64: lambda number: str(number | _TOP_BIT),
    IdForm.INT64_SIGNED: lambda number: str((number | _TOP_BIT) - (1 << 64)),
    IdForm.HEX64: lambda number: f"{number | _TOP_BIT:016X}",
}


def spelt(number: int, form: IdForm) -> str:
    """An id in one form."""
    return _SPELLINGS[form](number)


class MessageIds:
    """A counter in the form the carrier likes; start it from the clock, so that a restarted SMSC never repeats one."""

    def __init__(self, form: IdForm, first: int, receipt_form: IdForm | None = None) -> None:
        assert first >= 0
        self._next = first
        self._pair = pair_of(form, receipt_form)

    def change(self, form: IdForm, receipt_form: IdForm | None) -> None:
        """Go on counting, and spell the ids otherwise."""
        self._pair = pair_of(form, receipt_form)

    def take(self) -> tuple[str, str]:
        """The next id as the response and as the receipt write it."""
        number = self._next
        self._next = number + 1
        response, receipt = self._pair
        written = _SPELLINGS[response](number)
        return written, written if receipt is response else _SPELLINGS[receipt](number)

    def take_as(self, form: IdForm | None, receipt_form: IdForm | None, *, is_short: bool = False) -> tuple[str, str]:
        """The next id in other forms than usual; `is_short` is SMPP 3.3's: eight hexadecimal digits in both."""
        number = self._next
        self._next = number + 1
        if is_short:
            written = f"{number & 0xFFFFFFFF:08X}"
            return written, written
        response, receipt = pair_of(form, receipt_form) if form is not None else (self._pair[0], receipt_form or self._pair[1])
        return _SPELLINGS[response](number), _SPELLINGS[receipt](number)


def pair_of(form: IdForm, receipt_form: IdForm | None) -> tuple[IdForm, IdForm]:
    """The forms of response and receipt; a receipt is spelt like the response when nothing else is asked for."""
    if form is IdForm.MIXED:
        return IdForm.HEX, receipt_form or IdForm.DEC
    return form, receipt_form or form
