"""The price of one event by one rule, with every step told in words that a clerk understands.

What a payer had before in this day and month comes in as a value; what the event adds to that goes out. Prices contain their tax.
"""

from __future__ import annotations

from typing import NamedTuple

from billing.errors import TariffError
from billing.event import FeeClass
from billing.money import format_minor
from billing.tariff.flat import PARTS_MAX
from billing.tariff.rule import BY_PART, FEE_CLASSES, PPM, Model, Rule


class Used(NamedTuple):
    """What one payer had by one rule in one day and in one month: units, and what they cost."""

    units_day: int = 0
    units_month: int = 0
    amount_day_minor: int = 0
    amount_month_minor: int = 0


class Priced(NamedTuple):
    """A price, and how it came about; `amount_minor` is at most quantity times unit price."""

    quantity: int
    unit_price_minor: int
    amount_minor: int
    tax_minor: int
    fee_class: FeeClass
    currency: str
    allowance: str | None
    promotion: str | None
    steps: tuple[str, ...]
    units: tuple[int, ...] = ()  # of a rule that counts: what each unit costs, in their order


NOTHING = Used()


def plain(rule: Rule, parts: int, at_us: int) -> Priced | None:
    """As `price`, told in no words: for a rule that neither counts nor promotes, and is not free; None: it does."""
    if rule.promotions or not rule.price_minor or rule.is_counted or rule.model in (Model.FREE, Model.MONTHLY):
        return None
    assert 1 <= parts <= PARTS_MAX
    quantity = parts if rule.model in BY_PART else 1
    amount = rule.price_minor * quantity
    tax = tax_in(amount, rule.tax_ppm) if rule.tax_ppm else 0
    return Priced(quantity, rule.price_minor, amount, tax, FEE_CLASSES[rule.model], rule.currency, None, None, ())


def price(rule: Rule, parts: int, at_us: int, used: Used = NOTHING) -> Priced:
    """Price an event of so many parts at an instant; raises TariffError for parts that no message has."""
    if not 1 <= parts <= PARTS_MAX:
        raise TariffError(f"a message has 1 to {PARTS_MAX} parts, not {parts}")
    quantity = parts if rule.model in BY_PART else 1
    told: list[str] = []
    unit, promotion = _unit(rule, at_us, told)
    if not unit or rule.model in (Model.FREE, Model.MONTHLY):
        told.append("free" if rule.model is not Model.MONTHLY else "paid by the month: the message itself is free")
        fee_class = FeeClass.MONTHLY if rule.model is Model.MONTHLY else FeeClass.FREE
        return Priced(quantity, 0, 0, 0, fee_class, rule.currency, None, promotion, tuple(told))
    units: tuple[int, ...] = ()
    allowance = None
    if rule.is_counted:
        units, allowance = _counted(rule, unit, quantity, used, promotion is not None, told)
        amount = sum(units)
    else:
        amount = unit * quantity
        told.append(f"{quantity} x {_money(unit, rule)} = {_money(amount, rule)}")
    tax = tax_in(amount, rule.tax_ppm)
    if tax:
        told.append(f"contains {_money(tax, rule)} tax")
    return Priced(quantity, unit, amount, tax, FEE_CLASSES[rule.model], rule.currency, allowance, promotion, tuple(told), units)


def most(rule: Rule, parts: int, at_us: int) -> Priced:
    """What an event costs at most, whatever its payer had before."""
    return price(rule._replace(free_per_day=0, free_per_month=0, cap_per_day_minor=0, cap_per_month_minor=0, tiers=()), parts, at_us)


def tax_in(amount_minor: int, tax_ppm: int) -> int:
    """The tax that a price contains, to the nearest minor unit, half up."""
    if not tax_ppm:
        return 0
    sign = -1 if amount_minor < 0 else 1
    return sign * ((2 * abs(amount_minor) * tax_ppm + PPM + tax_ppm) // (2 * (PPM + tax_ppm)))


def _unit(rule: Rule, at_us: int, told: list[str]) -> tuple[int, str | None]:
    running = [each for each in rule.promotions if each.from_us <= at_us < each.to_us]
    if not running:
        return rule.price_minor, None
    best = min(running, key=lambda each: (_promoted(rule, each.percent_off, each.price_minor), each.name))
    unit = min(_promoted(rule, best.percent_off, best.price_minor), rule.price_minor)
    told.append(f"promotion {best.name}: {_money(unit, rule)} instead of {_money(rule.price_minor, rule)}")
    return unit, best.name


def _promoted(rule: Rule, percent_off: int, price_minor: int | None) -> int:
    if price_minor is not None:
        return price_minor
    return (rule.price_minor * (100 - percent_off) * 2 + 100) // 200


def _counted(rule: Rule, unit: int, quantity: int, used: Used, is_promoted: bool, told: list[str]) -> tuple[tuple[int, ...], str | None]:
    """The price of each unit: the first ones take what is free, so of a message torn on its way the last ones are what is not paid."""
    listed, free = [], 0
    for number in range(1, quantity + 1):
        nth = used.units_month + number
        if used.units_day + number <= rule.free_per_day or nth <= rule.free_per_month:
            free += 1
            listed.append(0)
        else:
            listed.append(unit if is_promoted else min(unit, _tier_price(rule, nth, unit)))
    if free:
        told.append(f"{free} of {quantity} free by the allowance of {rule.name}")
    if rule.tiers and not is_promoted:
        told.append(f"units {used.units_month + 1} to {used.units_month + quantity} of the month: {_money(sum(listed), rule)}")
    else:
        told.append(f"{quantity - free} x {_money(unit, rule)} = {_money(sum(listed), rule)}")
    for cap, spent, name in (
        (rule.cap_per_day_minor, used.amount_day_minor, "day"),
        (rule.cap_per_month_minor, used.amount_month_minor, "month"),
    ):
        if cap and sum(listed) > cap - spent:
            listed = _within(listed, max(0, cap - spent))
            words = f"{_money(cap, rule)} a {name}, of which {_money(spent, rule)} were charged before"
            told.append(f"capped at {words}: {_money(sum(listed), rule)}")
    return tuple(listed), (rule.name if free else None)


def _within(prices: list[int], left: int) -> list[int]:
    """Prices of which the last ones give way, so that they come to what is left at most."""
    found = []
    for each in prices:
        found.append(min(each, left))
        left -= found[-1]
    return found


def _tier_price(rule: Rule, nth: int, unit: int) -> int:
    price_minor = unit
    for tier in rule.tiers:
        if nth >= tier.from_unit:
            price_minor = tier.price_minor
    return price_minor


def _money(amount_minor: int, rule: Rule) -> str:
    return f"{format_minor(amount_minor, rule.currency)} {rule.currency}"
