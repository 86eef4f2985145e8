"""How one carrier wants addresses: rules that are compiled once per link, from our canonical addresses to its and back.

Canonical are international digits without +, TON 1 and NPI 1. What a carrier wants beside that is a prefix, a national form, a fixed
or detected type of the sender, another sender instead of a name, or a name in another charset.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Literal, NamedTuple

from gateway.domain.address import (
    DIGITS_MAX,
    NPI_ISDN,
    NPI_UNKNOWN,
    TON_ALPHANUMERIC,
    TON_INTERNATIONAL,
    TON_NATIONAL,
    TON_UNKNOWN,
    Address,
)
from gateway.sms import gsm7

SourceType = Literal["message", "detect", "fixed"]
NameCharset = Literal["latin-1", "ascii", "gsm", "utf-8"]
# Longer digits without a type are a phone number, shorter ones a short code.
SHORT_CODE_DIGITS_MAX = 8

# An address as its three fields: (addr, ton, npi) -> the same as the carrier wants it.
Formatter = Callable[[str, int, int], Address]


class NumberRules(NamedTuple):
    """What one link's settings say of addresses."""

    source_ton: int = TON_UNKNOWN
    source_npi: int = NPI_ISDN
    destination_ton: int = TON_INTERNATIONAL
    destination_npi: int = NPI_ISDN
    international_prefix: str = ""
    country_code: str = ""
    national_prefix: str = ""
    national_ton: int = TON_NATIONAL
    source_type: SourceType = "message"
    is_name_allowed: bool = True
    name_charset: NameCharset = "latin-1"
    default_sender: Address | None = None


def source_formatter(rules: NumberRules) -> Formatter | None:
    """How senders are written; None where they go as the message says, with the link's type for those of unknown type."""
    if (
        rules.source_type == "message"
        and rules.is_name_allowed
        and rules.name_charset == "latin-1"
        and not (rules.international_prefix or rules.country_code)
    ):
        return None
    to_number = destination_formatter(rules._replace(destination_ton=TON_INTERNATIONAL, destination_npi=NPI_ISDN))
    short = (rules.source_ton, rules.source_npi)

    def format_source(addr: str, ton: int, npi: int) -> Address:
        if rules.source_type == "detect":
            addr, ton, npi = _detected(addr)
        if ton == TON_ALPHANUMERIC and not rules.is_name_allowed and rules.default_sender is not None:
            addr, ton, npi = rules.default_sender
        if ton == TON_ALPHANUMERIC:
            addr = _name(addr, rules)
        elif ton == TON_INTERNATIONAL and to_number is not None:
            addr, ton, npi = to_number(addr, ton, npi)
        if rules.source_type == "fixed" or ton == TON_UNKNOWN:
            ton, npi = short
        return Address(addr, ton, npi)

    return format_source


def destination_formatter(rules: NumberRules) -> Formatter | None:
    """How handsets' numbers are written; None where only TON and NPI may differ."""
    prefix, country = rules.international_prefix, rules.country_code
    if not prefix and not country:
        return None
    national, abroad = (rules.national_ton, rules.destination_npi), (rules.destination_ton, rules.destination_npi)

    def format_destination(addr: str, ton: int, npi: int) -> Address:
        if ton != TON_INTERNATIONAL:
            return Address(addr, ton, npi)
        if country and addr.startswith(country) and len(addr) > len(country):
            return Address(rules.national_prefix + addr[len(country) :], *national)
        return Address((prefix + addr)[: DIGITS_MAX + 1], *abroad)

    return format_destination


def number_reader(rules: NumberRules) -> Formatter | None:
    """How this carrier's numbers become canonical again; None where nothing was done to them."""
    prefix, country, trunk = rules.international_prefix.lstrip("+"), rules.country_code, rules.national_prefix
    if not prefix and not country:
        return None

    def read_number(addr: str, ton: int, npi: int) -> Address:
        digits = addr.removeprefix("+")
        if ton == TON_ALPHANUMERIC or not (digits.isascii() and digits.isdigit()):
            return Address(addr, ton, npi)
        if digits != addr:
            return Address(digits, TON_INTERNATIONAL, NPI_ISDN)
        if prefix and digits.startswith(prefix) and len(digits) - len(prefix) > SHORT_CODE_DIGITS_MAX:
            return Address(digits[len(prefix) :], TON_INTERNATIONAL, NPI_ISDN)
        is_national = ton == TON_NATIONAL or (ton == TON_UNKNOWN and trunk and len(digits) > SHORT_CODE_DIGITS_MAX)
        if country and is_national and digits.startswith(trunk):
            return Address(country + digits[len(trunk) :], TON_INTERNATIONAL, NPI_ISDN)
        return Address(addr, ton, npi)

    return read_number


def _detected(addr: str) -> Address:
    """The type of a sender from its characters alone."""
    digits = addr.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return Address(addr, TON_ALPHANUMERIC, NPI_UNKNOWN)
    if digits != addr or len(digits) > SHORT_CODE_DIGITS_MAX:
        return Address(digits, TON_INTERNATIONAL, NPI_ISDN)
    return Address(digits, TON_UNKNOWN, NPI_ISDN)


def _name(name: str, rules: NumberRules) -> str:
    """A sender's name as the octets its charset gives, each of them one character of Latin-1, which is what the codec writes.

    A NUL ends an SMPP address, so GSM's @ is written as a question mark like all that the charset lacks.
    """
    match rules.name_charset:
        case "ascii":
            bare = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
            return bare.encode("ascii", "replace").decode("ascii")
        case "gsm":
            septets = b"".join(gsm7.encode_if_possible(char) or b"?" for char in name)
            return septets.replace(b"\0", b"?").decode("latin-1")
        case "utf-8":
            return name.encode("utf-8").decode("latin-1")
        case _:
            return name
