"""Addresses as people type them and as SMPP carries them, in one canonical form.

An MSISDN is international digits with TON 1 and NPI 1. A short code, with or without extension digits, is TON 0 and NPI 1
unless the network wants another pair. An alphanumeric sender is TON 5 and NPI 0. No address ever stands in an error's text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from gateway.sms import gsm7

TON_UNKNOWN, TON_INTERNATIONAL, TON_NATIONAL, TON_ALPHANUMERIC = 0, 1, 2, 5
NPI_UNKNOWN, NPI_ISDN = 0, 1
# SMPP 3.4 section 5.2.8: an address field is 21 octets with its NUL.
DIGITS_MAX = 20
NAME_SEPTETS_MAX = 11
TYPED_CHARS_MAX = 40

_PLUS_DIGITS = re.compile(r"\+[1-9][0-9]{6,14}")
_INTERNATIONAL = re.compile(r"[1-9][0-9]{6,14}")
_DIGITS = re.compile(r"[0-9]+")
_PUNCTUATION = re.compile(r"[\s().\-/\u2010-\u2015\u2212]")
# "+44 (0)20 ...": the trunk prefix people write for callers at home; not dialled from abroad.
_TRUNK_ASIDE = re.compile(r"(?<=[0-9])\s*\(0\)")


class AddressError(ValueError):
    """An address that cannot be used; `what` names the kind, `reason` the fault, neither repeats the address."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason


class Address(NamedTuple):
    """Digits or a name, with its type of number and numbering plan."""

    digits_or_name: str
    ton: int
    npi: int


def msisdn(typed: str, *, region: str | None = None) -> Address:
    """The canonical address of a phone number as typed.

    Accepts +, 00 and bare international digits, with spaces, dashes, dots, slashes and brackets, full-width too. National forms
    need `region`, a two-letter code, and are then read by its numbering plan.
    """
    if _PLUS_DIGITS.fullmatch(typed) is not None:
        return Address(typed[1:], TON_INTERNATIONAL, NPI_ISDN)
    digits = _strip(typed)
    if digits.startswith("+"):
        return _international(digits[1:])
    if digits.startswith("00"):
        return _international(digits[2:])
    if region is not None:
        return _national(digits, region)
    return _international(digits)


def _strip(typed: str) -> str:
    """The typed number without punctuation; a leading plus stays."""
    if len(typed) > TYPED_CHARS_MAX:
        raise AddressError("phone number", f"longer than {TYPED_CHARS_MAX} characters")
    text = typed.strip() if typed.isascii() else unicodedata.normalize("NFKC", typed).strip()
    if text.startswith(("+", "00")):
        text = _TRUNK_ASIDE.sub("", text, count=1)
    digits = _PUNCTUATION.sub("", text)
    if not digits:
        raise AddressError("phone number", "empty")
    if _DIGITS.fullmatch(digits.removeprefix("+")) is None:
        raise AddressError("phone number", "holds something other than digits, spaces, dashes and a leading +")
    return digits


def _international(digits: str) -> Address:
    if _INTERNATIONAL.fullmatch(digits) is None:
        raise AddressError("phone number", _international_fault(digits))
    return Address(digits, TON_INTERNATIONAL, NPI_ISDN)


def _international_fault(digits: str) -> str:
    if digits.startswith("0"):
        return "starts with 0, which no country code does; a national form needs a region"
    return f"{len(digits)} digits, an international number has 7 to 15"


@lru_cache(maxsize=10_000)
def _national(digits: str, region: str) -> Address:
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise AddressError("phone number", f"region {region[:2]!a} is not a known two-letter code")
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise AddressError("phone number", f"{len(digits)} digits are not a number of region {region}")
    return _international(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:])


def short_code(digits: str, *, ton: int = TON_UNKNOWN, npi: int = NPI_ISDN, digits_max: int = DIGITS_MAX) -> Address:
    """A short code, or one with extension digits; TON, NPI and the length are the network's custom."""
    if not digits.isascii() or not digits.isdigit():
        raise AddressError("short code", "empty or not only digits")
    if not 3 <= len(digits) <= min(digits_max, DIGITS_MAX):
        raise AddressError("short code", f"{len(digits)} digits, allowed are 3 to {min(digits_max, DIGITS_MAX)}")
    return Address(digits, ton, npi)


def alphanumeric(name: str) -> Address:
    """A sender shown as a name: 1 to 11 septets, printable, in the GSM alphabet and in Latin-1, which SMPP carries."""
    if not name or name != name.strip():
        raise AddressError("sender name", "empty, or begins or ends with a space")
    misfits = [char for char in name if not char.isprintable() or char > "\xff" or not gsm7.is_encodable(char)]
    if misfits:
        raise AddressError("sender name", f"U+{ord(misfits[0]):04X} cannot be used in a name")
    if gsm7.septet_count(name) > NAME_SEPTETS_MAX:
        raise AddressError("sender name", f"{gsm7.septet_count(name)} septets, at most {NAME_SEPTETS_MAX} fit")
    if name.isdigit():
        raise AddressError("sender name", "only digits: give it as a short code or a phone number")
    return Address(name, TON_ALPHANUMERIC, NPI_UNKNOWN)


def sender(typed: str) -> Address:
    """The kind of sender a person means: + or 00 begins a phone number, only digits are a short code, anything else is a name."""
    if typed.startswith(("+", "00")):
        return msisdn(typed)
    return short_code(typed) if typed.isascii() and typed.isdigit() else alphanumeric(typed)


def from_smpp(ton: int, npi: int, addr: str, *, region: str | None = None, unknown_is_international: bool = False) -> Address:
    """The address in three SMPP fields, canonical where its type is certain, as it came where it is not.

    Some networks send full numbers as TON 0: `unknown_is_international` reads those of 10 to 15 digits so. National numbers
    become international when `region` is given. An empty or unprintable address is an AddressError.
    """
    if ton == TON_INTERNATIONAL and _INTERNATIONAL.fullmatch(addr) is not None:
        return Address(addr, TON_INTERNATIONAL, NPI_ISDN)
    addr = addr.strip()
    if not addr or not addr.isprintable() or len(addr) > DIGITS_MAX + 1:
        raise AddressError("SMPP address", "empty, unprintable or longer than 20 characters")
    if ton == TON_ALPHANUMERIC:
        return Address(addr, TON_ALPHANUMERIC, NPI_UNKNOWN)
    if addr.startswith("+") or (ton == TON_INTERNATIONAL and addr.startswith("00")):
        return msisdn(addr)
    if ton == TON_NATIONAL and region is not None:
        return msisdn(addr, region=region)
    if ton == TON_UNKNOWN and unknown_is_international and len(addr) >= 10 and _INTERNATIONAL.fullmatch(addr) is not None:
        return Address(addr, TON_INTERNATIONAL, NPI_ISDN)
    return Address(addr, ton, npi)


def to_smpp(address: Address, *, plus: bool = False) -> tuple[int, int, str]:
    """The TON, NPI and address fields; `plus` writes international numbers with a leading +, for networks that ask for it."""
    name, ton, npi = address
    if plus and ton == TON_INTERNATIONAL:
        name = f"+{name}"
    return ton, npi, name


def mask(number: str) -> str:
    """A number fit for logs: the first four and last two characters; five stars hide the rest and its length."""
    if len(number) < 9:
        return f"*****{number[-2:]}" if len(number) > 5 else "*****"
    return f"{number[:4]}*****{number[-2:]}"
