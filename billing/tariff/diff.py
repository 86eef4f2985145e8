"""What changes between two versions of a tariff, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from billing.money import format_minor
from billing.tariff.rate import most
from billing.tariff.rule import Rule
from billing.tariff.version import Matcher, Question, Version


class Change(NamedTuple):
    """One rule that is new, gone or different; `what` names the fields with their values before and after."""

    rule: str
    kind: str  # added, removed or changed
    what: tuple[str, ...]


def compare(before: Version, after: Version) -> list[Change]:
    """Every rule that differs, by name."""
    old, new = ({rule.name: rule for rule in version.rules} for version in (before, after))
    changes = []
    for name in sorted(old.keys() | new.keys()):
        first, second = old.get(name), new.get(name)
        if first is None or second is None:
            rule = first or second
            assert rule is not None
            changes.append(Change(name, "added" if first is None else "removed", (_summary(rule),)))
        elif first != second:
            fields = [field for field in Rule._fields if getattr(first, field) != getattr(second, field)]
            changes.append(
                Change(name, "changed", tuple(f"{field}: {_shown(first, field)} -> {_shown(second, field)}" for field in fields))
            )
    return changes


class Sample(NamedTuple):
    """What one message of one part costs by two versions, whatever its payer had before; None: no rule fits."""

    question: Question
    before: str | None
    after: str | None


def samples(before: Version, after: Version, numbers: Sequence[str] = (), *, at_us: int) -> list[Sample]:
    """Prices side by side, of everything that a rule of either speaks of; for numbers, or one for each prefix that is named."""
    rules = (*before.rules, *after.rules)
    asked = sorted(
        {
            Question(rule.service, rule.carrier, number, rule.direction or "MT", rule.item)
            for rule in rules
            for number in (numbers or (rule.prefix,))
            if number.startswith(rule.prefix)
        }
    )
    first, second = Matcher(before), Matcher(after)
    return [Sample(each, _costs(first, each, at_us), _costs(second, each, at_us)) for each in asked]


def _costs(matcher: Matcher, question: Question, at_us: int) -> str | None:
    rule = matcher.rule_for(question)
    if rule is None:
        return None
    return f"{format_minor(most(rule, 1, at_us).amount_minor, rule.currency)} {rule.currency}"


def _summary(rule: Rule) -> str:
    return f"{rule.model} at {_shown(rule, 'price_minor')}"


def _shown(rule: Rule, field: str) -> str:
    value = getattr(rule, field)
    if field.endswith("_minor"):
        return f"{format_minor(value, rule.currency)} {rule.currency}"
    return str(value) if value not in ("", ()) else "none"
