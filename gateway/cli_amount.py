"""Amounts of money as people type them: whole minor units, or a decimal amount with its currency, such as `12.50 CNY`."""

from __future__ import annotations

from billing import money
from billing.errors import MoneyError
from billing.money import Money
from gateway.errors import ConfigError

CREDIT_MINOR_MAX = 10**15
_DIGITS_MAX = 20


def currency_in(typed: str) -> str:
    """The currency that stands behind an amount; empty where it is minor units."""
    return typed.strip().partition(" ")[2].strip()


def amount_of(typed: str, currency: str, name: str, *, least: int) -> Money:
    """The amount, in `currency` where the text names none; raises ConfigError for what no wallet takes."""
    text, meant = typed.strip().partition(" ")[0], currency_in(typed)
    try:
        amount = money.parse(text, meant) if meant else Money(_whole(text, currency), currency)
    except MoneyError as error:
        raise ConfigError([f"{name}: {error}"]) from None
    if not least <= amount.amount_minor <= CREDIT_MINOR_MAX:
        most = money.format_minor(CREDIT_MINOR_MAX, amount.currency)
        raise ConfigError([f"{name}: must be {money.format_minor(least, amount.currency)} to {most} {amount.currency}"])
    return amount


def _whole(text: str, currency: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= _DIGITS_MAX):
        raise MoneyError(f"{text[:32]!r} is no amount; write minor units, as 1250, or an amount with its currency, as `12.50 {currency}`")
    return int(text)
