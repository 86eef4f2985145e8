"""How receipts write the ids that responses gave: a table of named transformations, each from a receipt's id to the response's. Pure.

SMPP gives both ids as texts and does not say that they are the same text. A form is one carrier's habit, and gives one id at most,
so that a link whose form is known costs one look-up; None where an id is not of the form's shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

Form = Callable[[str], str | None]

AS_IS: Final = "as is"
ID_CHARACTERS_MAX: Final = 64  # SMPP 3.4 section 5.2.23: message_id is a C-octet string of at most 65
_HEX = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,32})", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,39}", re.ASCII)
_SIGNED = re.compile(r"-[0-9]{1,19}", re.ASCII)
_DASHLESS = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_DASHED = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
_SUFFIXED = re.compile(r"([0-9A-Za-z]{4,})[-:._/@].{1,12}", re.ASCII)
# Widths that ids are padded to in the field; 0 is not at all. 32 bits are 8 hexadecimal or 10 decimal digits, 64 are 16 or 20.
_WIDTHS = (0, 8, 9, 10, 12, 16, 18, 19, 20, 32)
_TAILS = (8, 9, 10, 12, 16)
_TWO_64 = 1 << 64
_TWO_63 = 1 << 63


def _as_is(written: str) -> str:
    return written


def _upper(written: str) -> str:
    return written.upper()


def _lower(written: str) -> str:
    return written.lower()


def _padded(width: int, written: str) -> str | None:
    digits = written.lstrip("0") or "0"
    return digits.zfill(width) if _HEX.fullmatch(digits) else None


def _hexadecimal(pattern: str, width: int, written: str) -> str | None:
    """The receipt has the decimal number of a hexadecimal id."""
    if not _DECIMAL.fullmatch(written):
        return None
    return format(int(written), pattern).zfill(width)


def _decimal(width: int, written: str) -> str | None:
    """The receipt has the hexadecimal number of a decimal id."""
    number = _HEX.fullmatch(written)
    return str(int(number[1], 16)).zfill(width) if number else None


def _unsigned(pattern: str, written: str) -> str | None:
    """The receipt has a 64-bit number as a signed one."""
    if not _SIGNED.fullmatch(written) or int(written) < -_TWO_63:
        return None
    return format(int(written) % _TWO_64, pattern)


def _signed(written: str) -> str | None:
    """The response had a 64-bit number as a signed one."""
    if not _DECIMAL.fullmatch(written) or not _TWO_63 <= int(written) < _TWO_64:
        return None
    return str(int(written) - _TWO_64)


def _prefixed(prefix: str, change: Form, written: str) -> str | None:
    changed = change(written)
    return prefix + changed if changed is not None and _HEX.fullmatch(changed) and not changed.lower().startswith("0x") else None


def _unprefixed(change: Form, written: str) -> str | None:
    return change(written[2:]) if written[:2].lower() == "0x" else None


def _dashed(change: Form, written: str) -> str | None:
    if not _DASHLESS.fullmatch(written):
        return None
    return change("-".join((written[:8], written[8:12], written[12:16], written[16:20], written[20:])))


def _dashless(change: Form, written: str) -> str | None:
    return change(written.replace("-", "")) if _DASHED.fullmatch(written) else None


def _tail(length: int, written: str) -> str | None:
    """The response had only the last digits."""
    return written[-length:] if len(written) > length and written.isalnum() else None


def _unsuffixed(written: str) -> str | None:
    """The receipt has something behind the id, such as the number of the attempt."""
    found = _SUFFIXED.fullmatch(written)
    return found[1] if found and not _DASHED.fullmatch(written) else None


def _table() -> Iterator[tuple[str, Form]]:
    yield AS_IS, _as_is
    yield "case of UPPER", _upper
    yield "case of lower", _lower
    for width in _WIDTHS:
        yield f"zeros of {width}" if width else "zeros of none", partial(_padded, width)
    for width in _WIDTHS:
        yield f"decimal of HEX{width or ''}", partial(_hexadecimal, "X", width)
        yield f"decimal of hex{width or ''}", partial(_hexadecimal, "x", width)
    for width in _WIDTHS:
        yield f"hex of decimal{width or ''}", partial(_decimal, width)
    yield "signed of decimal", partial(_unsigned, "d")
    yield "signed of HEX", partial(_unsigned, "X")
    yield "signed of hex", partial(_unsigned, "x")
    yield "unsigned of signed", _signed
    for name, change in (("id", _as_is), ("HEX", _upper), ("hex", _lower)):
        yield f"0x dropped of {name}", partial(_prefixed, "0x", change)
        yield f"0x added to {name}", partial(_unprefixed, change)
        yield f"dashes dropped of {name}", partial(_dashed, change)
        yield f"dashes added to {name}", partial(_dashless, change)
    yield "decimal of 0xHEX", lambda written: _prefixed("0x", partial(_hexadecimal, "X", 0), written) if written.isdigit() else None
    yield "decimal of 0xhex", lambda written: _prefixed("0x", partial(_hexadecimal, "x", 0), written) if written.isdigit() else None
    for length in _TAILS:
        yield f"longer than last {length}", partial(_tail, length)
    yield "longer by a suffix", _unsuffixed


FORMS: Final[Mapping[str, Form]] = MappingProxyType(dict(_table()))


def meanings(written: str) -> dict[str, str]:
    """What the response may have said, for a receipt's id: id by form, the form that says it first; as it is comes first of all."""
    found: dict[str, str] = {}
    for name, form in FORMS.items():
        meant = form(written)
        if meant and len(meant) <= ID_CHARACTERS_MAX:
            found.setdefault(meant, name)
    return {name: meant for meant, name in found.items()}


def forms_between(written: str, given: str) -> list[str]:
    """Every form in which a receipt's id means the id that a response gave."""
    return [name for name, form in FORMS.items() if form(written) == given]


def _base_of(name: str) -> str:
    """To which base a form changes an id, if it does."""
    return next((base for base in ("decimal of", "hex of decimal") if name.startswith(base)), "")


def are_kin(one: str, other: str) -> bool:
    """Whether two forms differ in how they write the same number only: width, case, prefix, dashes."""
    is_cut = one.startswith("longer") or other.startswith("longer")
    return one == other or (not is_cut and _base_of(one) == _base_of(other))


def is_telling(written: str, given: str) -> bool:
    """Whether a pair of ids tells a change of base from none: 7 reads the same as a decimal and as a hexadecimal number."""
    return len({_base_of(name) for name in forms_between(written, given)}) == 1
