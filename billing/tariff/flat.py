"""The flat tariff: one price per service, by the part or by the message."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from billing.errors import TariffError
from billing.event import FeeClass
from billing.money import exponent

PARTS_MAX = 255
UNIT_PRICE_MINOR_MAX = 10**12

# What fits the charge's service column, and cannot break a rule's name or a file's cell.
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)


class ChargeBy(StrEnum):
    """What the unit price is multiplied by."""

    PART = "part"
    MESSAGE = "message"


class Price(NamedTuple):
    """What one service costs."""

    unit_price_minor: int
    currency: str
    charge_by: ChargeBy = ChargeBy.PART


class Rated(NamedTuple):
    """A price found, and the rule that found it."""

    quantity: int
    unit_price_minor: int
    amount_minor: int
    fee_class: FeeClass
    currency: str
    tariff_version: str
    tariff_rule: str


class FlatTariff:
    """An immutable table service -> price; its version names its content, so a charge can prove which table priced it."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        for service, price in prices.items():
            _refuse_unusable(service, price)
        self.prices = dict(prices)
        self.version = f"flat/1:{_digest(self.prices)}"
        self._rules = {service: f"service:{service}" for service in self.prices}

    def rate(self, service: str, parts: int) -> Rated:
        """Price a message of `parts` parts; free services are rated like any other, at zero."""
        price = self.prices.get(service)
        if price is None:
            raise TariffError(f"no price for service {service!r}")
        if not 1 <= parts <= PARTS_MAX:
            raise TariffError(f"a message has 1 to {PARTS_MAX} parts, not {parts}")
        unit, currency, charge_by = price
        by_part = charge_by is ChargeBy.PART
        quantity = parts if by_part else 1
        fee_class = (FeeClass.PER_PART if by_part else FeeClass.PER_MSG) if unit else FeeClass.FREE
        return Rated(quantity, unit, unit * quantity, fee_class, currency, self.version, self._rules[service])


def captured(fee_class: FeeClass, unit_price_minor: int, parts: int, parts_delivered: int) -> int:
    """What a message costs in the end: by the part, those delivered; by the message, the price only when all parts were."""
    assert 0 <= parts_delivered <= parts
    if fee_class is FeeClass.PER_PART:
        return unit_price_minor * parts_delivered
    return unit_price_minor if parts_delivered == parts else 0


def _refuse_unusable(service: str, price: Price) -> None:
    if _SERVICE.fullmatch(service) is None:
        raise TariffError(f"not a service name: {service[:40]!r}")
    exponent(price.currency)
    if type(price.unit_price_minor) is not int or not 0 <= price.unit_price_minor <= UNIT_PRICE_MINOR_MAX:
        raise TariffError(f"service {service}: the price is a whole number of minor units from 0 to {UNIT_PRICE_MINOR_MAX}")
    if not isinstance(price.charge_by, ChargeBy):
        raise TariffError(f"service {service}: charged by part or by message, not {price.charge_by!r}")


def _digest(prices: Mapping[str, Price]) -> str:
    lines = sorted(f"{service} {price.unit_price_minor} {price.currency} {price.charge_by}" for service, price in prices.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
