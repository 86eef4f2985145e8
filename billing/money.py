"""Amounts of money: integer minor units beside a currency; two currencies never meet in one sum."""

from __future__ import annotations

import re
from dataclasses import dataclass

from billing.currencies import COINS, EXPONENT_MAX, ISO
from billing.errors import MoneyError

# Digits after the point, of every currency there is and of the coins that are configured.
EXPONENTS: dict[str, int] = {**ISO, **COINS}

_CODE = re.compile(r"[A-Z]{3,8}", re.ASCII)
_AMOUNT = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]+))?", re.ASCII)


def exponent(currency: str) -> int:
    """How many digits of the currency stand after the point."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise MoneyError(f"unknown currency {currency[:16]!r}; it is neither in ISO 4217 nor a coin of [[coins]]") from None


def add_coin(code: str, digits: int) -> None:
    """Make a virtual coin known; raises MoneyError for a code of ISO 4217, or one that is known with other digits."""
    if _CODE.fullmatch(code) is None:
        raise MoneyError(f"{code[:16]!r} is no code of a coin: 3 to 8 capital letters")
    if not 0 <= digits <= EXPONENT_MAX:
        raise MoneyError(f"a coin has 0 to {EXPONENT_MAX} digits after the point, not {digits}")
    if EXPONENTS.setdefault(code, digits) != digits:
        raise MoneyError(f"{code} is known with {EXPONENTS[code]} digits after the point")
    if code in ISO:
        raise MoneyError(f"{code} is a currency of ISO 4217, and no coin")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if type(self.amount_minor) is not int:
            raise MoneyError("an amount is a whole number of minor units")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def __mul__(self, count: int) -> Money:
        return Money(self.amount_minor * count, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount_minor <= self._same(other)

    def __str__(self) -> str:
        return f"{format_minor(self.amount_minor, self.currency)} {self.currency}"

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise MoneyError(f"{self.currency} and {other.currency} do not mix")
        return other.amount_minor


def parse(text: str, currency: str) -> Money:
    """Read `0.10`; no separators, no exponent, and never more digits than the currency has."""
    digits = exponent(currency)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise MoneyError(f"not an amount: {text[:32]!r}")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > digits:
        raise MoneyError(f"{currency} has {digits} digits after the point, not {len(fraction)}")
    minor = int(whole + fraction.ljust(digits, "0"))
    return Money(-minor if sign else minor, currency)


def format_minor(amount_minor: int, currency: str) -> str:
    """Write minor units as `parse` reads them."""
    digits = exponent(currency)
    sign = "-" if amount_minor < 0 else ""
    text = str(abs(amount_minor)).rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"
