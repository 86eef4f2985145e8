"""A tariff as a TOML file: what is wrong in it is told with its line and field; what is written is read again as the same tariff."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from billing import money
from billing.calendar import EPOCH
from billing.errors import MoneyError, TariffError
from billing.event import Direction
from billing.money import format_minor
from billing.tariff.rule import BY_PAYER, BY_SUBSCRIBER, PPM, Model, Promotion, Rule, Tier
from billing.tariff.version import FOREVER_US, Version, tie

RULES_MAX = 100_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)
_PLAN = re.compile(r"[a-z0-9][a-z0-9-]{0,20}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{0,15}", re.ASCII)
_PAYER = re.compile(r"sender|subscriber|sponsor:[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_COUNT_BY = re.compile(f"{BY_SUBSCRIBER}|{BY_PAYER}")
_MICROSECOND = timedelta(microseconds=1)
_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_TOP = ("plan", "from", "to", "currency", "rules")
_RULE = (
    *("name", "model", "price", "currency", "service", "item", "carrier", "prefix", "direction", "priority", "payer", "count_by"),
    *("tax_ppm", "provider", "free_per_day", "free_per_month", "cap_per_day", "cap_per_month", "tiers", "promotions"),
)
_TIER = ("from", "price")
_PROMOTION = ("name", "from", "to", "percent_off", "price")


class _Place(NamedTuple):
    """Where in the file something stands: its table is the text [start, end)."""

    file: str
    text: str
    path: str = ""  # as `rules[2].tiers[0]`
    start: int = 0
    end: int = 0

    def fail(self, key: str, why: str) -> TariffError:
        """An error that names file, line and field."""
        field = f"{self.path}.{key}" if self.path and key else self.path or key
        return TariffError(f"{self.file}:{self._line(key)}: {field}: {why}")

    def within(self, key: str, index: int) -> _Place:
        """The place of one table of a list: under a header of its own, or on the line of its key."""
        headers = [self.start + match.start() for match in _header(f"rules.{key}").finditer(self.text[self.start : self.end])]
        path = f"{self.path}.{key}[{index}]"
        if index < len(headers):
            return self._replace(path=path, start=headers[index], end=[*headers, self.end][index + 1])
        found = self._find(key)
        start = self.start if found is None else found
        return self._replace(path=path, start=start, end=start)

    def _line(self, key: str) -> int:
        found = self._find(key) if key else None
        return self.text.count("\n", 0, self.start if found is None else found) + 1

    def _find(self, key: str) -> int | None:
        """Where a key of this very table stands: before the first header that follows."""
        body = self.text.find("\n", self.start) + 1 if self.path else 0
        following = _HEADER.search(self.text, body, self.end) if body else _HEADER.search(self.text)
        until = self.end if following is None else following.start()
        found = re.compile(rf"^[ \t]*{re.escape(key)}[ \t]*=", re.MULTILINE).search(self.text, body, until)
        return None if found is None else found.start()


def parse(text: str, *, file: str = "tariff.toml", number: int = 0) -> Version:
    """Read a tariff; raises TariffError for the first thing that cannot be used."""
    place = _Place(file, text, end=len(text))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TariffError(f"{file}: {error}") from None
    _refuse_unknown(place, document, _TOP)
    plan = _word(place, document, "plan", _PLAN, "1 to 21 of a-z, 0-9 and '-', the first no '-'")
    from_us = _time(place, document, "from")
    to_us = _time(place, document, "to") if document.get("to", "") != "" else FOREVER_US
    if to_us <= from_us:
        raise place.fail("to", "must be later than from")
    currency = _currency(place, document, "currency", "CNY")
    tables = document.get("rules", [])
    if not isinstance(tables, list) or not tables or len(tables) > RULES_MAX:
        raise place.fail("rules", f"a tariff has 1 to {RULES_MAX} tables [[rules]]")
    places = _places(file, text, len(tables))
    rules = tuple(_rule(each, table, currency) for each, table in zip(places, tables, strict=True))
    _refuse_repeats(places, rules)
    return Version(plan, number, from_us, to_us, rules)


def write(version: Version) -> str:
    """Write a tariff as `parse` reads it."""
    lines = [f'plan = "{version.plan}"', f'from = "{_written(version.from_us)}"']
    if version.to_us != FOREVER_US:
        lines.append(f'to = "{_written(version.to_us)}"')
    for rule in version.rules:
        lines += ["", "[[rules]]", f'name = "{rule.name}"', f'model = "{rule.model}"', f'currency = "{rule.currency}"']
        lines.append(f'price = "{format_minor(rule.price_minor, rule.currency)}"')
        lines += [f'{key} = "{value}"' for key in ("service", "item", "carrier", "prefix", "direction") if (value := getattr(rule, key))]
        if rule.payer != "sender":
            lines.append(f'payer = "{rule.payer}"')
        if rule.count_by != BY_SUBSCRIBER:
            lines.append(f'count_by = "{rule.count_by}"')
        if rule.provider:
            lines.append(f'provider = "{rule.provider}"')
        lines += [f"{key} = {value}" for key in ("priority", "tax_ppm", "free_per_day", "free_per_month") if (value := getattr(rule, key))]
        for key in ("cap_per_day", "cap_per_month"):
            if value := getattr(rule, f"{key}_minor"):
                lines.append(f'{key} = "{format_minor(value, rule.currency)}"')
        if rule.tiers:
            tiers = (f'{{ from = {each.from_unit}, price = "{format_minor(each.price_minor, rule.currency)}" }}' for each in rule.tiers)
            lines.append(f"tiers = [{', '.join(tiers)}]")
        for each in rule.promotions:
            lines += ["", "[[rules.promotions]]", f'name = "{each.name}"']
            lines += [f'from = "{_written(each.from_us)}"', f'to = "{_written(each.to_us)}"']
            if each.price_minor is None:
                lines.append(f"percent_off = {each.percent_off}")
            else:
                lines.append(f'price = "{format_minor(each.price_minor, rule.currency)}"')
    return "\n".join(lines) + "\n"


def _header(name: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t]*\[\[[ \t]*{re.escape(name)}[ \t]*\]\]", re.MULTILINE)


def _places(file: str, text: str, count: int) -> list[_Place]:
    """Where each rule stands; rules in one inline list have no tables of their own."""
    starts = [match.start() for match in _header("rules").finditer(text)]
    if len(starts) != count:
        return [_Place(file, text, f"rules[{index}]") for index in range(count)]
    ends = [*starts[1:], len(text)]
    return [_Place(file, text, f"rules[{index}]", *span) for index, span in enumerate(zip(starts, ends, strict=True))]


def _refuse_repeats(places: Sequence[_Place], rules: Sequence[Rule]) -> None:
    """Refuse two rules of one name, and two that fit the same things equally well."""
    names: dict[str, int] = {}
    keys: dict[tuple[object, ...], str] = {}
    for place, rule in zip(places, rules, strict=True):
        if rule.name in names:
            raise place.fail("name", f'there is a rule "{rule.name}" already')
        names[rule.name] = len(names)
        other = keys.setdefault(rule.key, rule.name)
        if other != rule.name:
            raise place.fail("priority", tie(other, rule.name))


def _rule(place: _Place, table: Any, default_currency: str) -> Rule:
    if not isinstance(table, dict):
        raise place.fail("", "must be a table")
    _refuse_unknown(place, table, _RULE)
    name = _word(place, table, "name", _NAME, "1 to 32 letters, digits, '.', '_' and '-', the first a letter or digit")
    if table.get("model") not in set(Model):
        raise place.fail("model", f"must be one of {', '.join(Model)}")
    model = Model(table["model"])
    currency = _currency(place, table, "currency", default_currency)
    if model in (Model.FREE, Model.MONTHLY) and "price" not in table:
        price_minor = 0
    else:
        price_minor = _amount(place, table, "price", currency)
    if model is Model.FREE and price_minor:
        raise place.fail("price", "what is free has no price")
    cap_per_month = _amount(place, table, "cap_per_month", currency, is_optional=True)
    if model is Model.CAPPED and not cap_per_month:
        raise place.fail("cap_per_month" if "cap_per_month" in table else "model", "capped needs a cap_per_month above 0")
    direction = table.get("direction", "")
    if direction not in ("", *Direction.__members__):
        raise place.fail("direction", f"must be one of {', '.join(Direction.__members__)}")
    return Rule(
        name,
        model,
        price_minor,
        currency,
        _word(place, table, "service", _NAME, "the name of a service", is_optional=True),
        _word(place, table, "item", _NAME, "the code of an item", is_optional=True),
        _word(place, table, "carrier", _NAME, "the name of a carrier", is_optional=True),
        _word(place, table, "prefix", _DIGITS, "digits a number begins with, country code first, without a plus", is_optional=True),
        direction,
        _whole(place, table, "priority", -1000, 1000),
        _word(place, table, "payer", _PAYER, "sender, subscriber or sponsor:NAME", is_optional=True) or "sender",
        _word(place, table, "count_by", _COUNT_BY, f"{BY_SUBSCRIBER} or {BY_PAYER}", is_optional=True) or BY_SUBSCRIBER,
        _whole(place, table, "tax_ppm", 0, PPM),
        _word(place, table, "provider", _NAME, "the name of a content provider", is_optional=True),
        _whole(place, table, "free_per_day", 0, 10**6),
        _whole(place, table, "free_per_month", 0, 10**6),
        _amount(place, table, "cap_per_day", currency, is_optional=True),
        cap_per_month,
        _tiers(place, table, currency, price_minor),
        _promotions(place, table, currency, price_minor),
    )


def _tiers(place: _Place, table: Mapping[str, Any], currency: str, price_minor: int) -> tuple[Tier, ...]:
    found: list[Tier] = []
    for index, each in _tables(place, table, "tiers"):
        inside = place.within("tiers", index)
        _refuse_unknown(inside, each, _TIER)
        tier = Tier(_whole(inside, each, "from", 2, 10**9), _amount(inside, each, "price", currency))
        if found and tier.from_unit <= found[-1].from_unit:
            raise inside.fail("from", "must be greater than that of the tier before")
        if tier.price_minor > price_minor:
            raise inside.fail("price", "must not be above the rule's own price, which is the highest")
        found.append(tier)
    return tuple(found)


def _promotions(place: _Place, table: Mapping[str, Any], currency: str, price_minor: int) -> tuple[Promotion, ...]:
    found = []
    for index, each in _tables(place, table, "promotions"):
        inside = place.within("promotions", index)
        _refuse_unknown(inside, each, _PROMOTION)
        name = _word(inside, each, "name", _NAME, "1 to 32 letters, digits, '.', '_' and '-'")
        from_us, to_us = _time(inside, each, "from"), _time(inside, each, "to")
        if to_us <= from_us:
            raise inside.fail("to", "must be later than from")
        if ("percent_off" in each) == ("price" in each):
            raise inside.fail("percent_off", "give percent_off or price")
        own = _amount(inside, each, "price", currency) if "price" in each else None
        if own is not None and own > price_minor:
            raise inside.fail("price", "must not be above the rule's own price")
        found.append(Promotion(name, from_us, to_us, _whole(inside, each, "percent_off", 0, 100), own))
    return tuple(found)


def _tables(place: _Place, table: Mapping[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    tables = table.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise place.fail(key, "must be a list of tables")
    return list(enumerate(tables))


def _refuse_unknown(place: _Place, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise place.fail(key, f"is not known here{f'; did you mean {near[0]}?' if near else ''}")


def _word(place: _Place, table: Mapping[str, Any], key: str, pattern: re.Pattern[str], meaning: str, *, is_optional: bool = False) -> str:
    value = table.get(key, "")
    if value == "" and is_optional:
        return ""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise place.fail(key, f"must be {meaning}")
    return value


def _whole(place: _Place, table: Mapping[str, Any], key: str, least: int, most: int) -> int:
    value = table.get(key, max(least, 0))
    if type(value) is not int or not least <= value <= most:
        raise place.fail(key, f"must be a whole number from {least} to {most}")
    return int(value)


def _amount(place: _Place, table: Mapping[str, Any], key: str, currency: str, *, is_optional: bool = False) -> int:
    value = table.get(key, "0" if is_optional else None)
    if not isinstance(value, str):
        raise place.fail(key, 'must be an amount in quotes, such as "0.10"')
    try:
        amount = money.parse(value, currency).amount_minor
    except MoneyError as error:
        raise place.fail(key, str(error)) from None
    if amount < 0:
        raise place.fail(key, "must not be negative")
    return amount


def _currency(place: _Place, table: Mapping[str, Any], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise place.fail(key, "must be the code of a currency")
    try:
        money.exponent(value)
    except MoneyError as error:
        raise place.fail(key, str(error)) from None
    return value


def _time(place: _Place, table: Mapping[str, Any], key: str) -> int:
    value = table.get(key)
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ValueError
        return (at - EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise place.fail(key, "must be a time with its offset, such as 2026-12-01T00:00:00+08:00") from None


def _written(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat()
