"""A tariff at one time: its rules, from when to when they hold, and which of several versions holds at an instant."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from billing.errors import TariffError
from billing.tariff.rule import Rule

FOREVER_US = 2**62


class VersionState(IntEnum):
    """A draft can be replaced; what is approved never changes; what is retired prices nothing new."""

    DRAFT = 0
    APPROVED = 1
    RETIRED = 2


class Version(NamedTuple):
    """One version of a plan; it holds in [from_us, to_us)."""

    plan: str
    number: int
    from_us: int
    to_us: int
    rules: tuple[Rule, ...]

    @property
    def name(self) -> str:
        """As charges name it: `main/3`."""
        return f"{self.plan}/{self.number}"

    def holds_at(self, at_us: int) -> bool:
        """Whether it holds at an instant."""
        return self.from_us <= at_us < self.to_us


class Question(NamedTuple):
    """What a rule is looked for: `number` is the phone's, digits without a plus."""

    service: str
    carrier: str
    number: str
    direction: str
    item: str = ""


class Matcher:
    """Finds the most exact rule of one version; raises TariffError for rules that fit equally well."""

    def __init__(self, version: Version) -> None:
        self.version = version
        refuse_ties(version.rules)
        self._rules: dict[tuple[str, str, str, str], dict[str, Rule]] = {}
        for rule in sorted(version.rules, key=lambda each: each.priority):
            # Of two that differ in priority alone the greater one stays.
            self._rules.setdefault((rule.item, rule.service, rule.carrier, rule.direction), {})[rule.prefix] = rule
        self._lengths = sorted({len(rule.prefix) for rule in version.rules}, reverse=True)
        self.digits = self._lengths[0] if self._lengths else 0
        self.find = lru_cache(maxsize=65_536)(self._find)

    def rule_for(self, question: Question) -> Rule | None:
        """The rule that prices it; None: there is none."""
        rule: Rule | None = self.find(question._replace(number=question.number[: self.digits]))
        return rule

    def _find(self, question: Question) -> Rule | None:
        fitting = []
        # What phones send costs nothing, unless a rule speaks of it.
        directions = {"MO"} if question.direction == "MO" else {question.direction, ""}
        for item in {question.item, ""}:
            for service in {question.service, ""}:
                for carrier in {question.carrier, ""}:
                    for direction in directions:
                        by_prefix = self._rules.get((item, service, carrier, direction))
                        if by_prefix is not None:
                            found = self._longest(by_prefix, question.number)
                            if found is not None:
                                fitting.append(found)
        return max(fitting, key=lambda rule: rule.specificity, default=None)

    def _longest(self, by_prefix: dict[str, Rule], number: str) -> Rule | None:
        for length in self._lengths:
            rule = by_prefix.get(number[:length]) if length <= len(number) else None
            if rule is not None:
                return rule
        return None


def refuse_ties(rules: Iterable[Rule]) -> None:
    """Raise TariffError for two rules that fit the same things equally well."""
    seen: dict[tuple[str, str, str, str, str, int], str] = {}
    for rule in rules:
        other = seen.setdefault(rule.key, rule.name)
        if other != rule.name:
            raise TariffError(tie(other, rule.name))


def tie(first: str, second: str) -> str:
    """What is wrong with two rules that fit the same things equally well."""
    return f'rules "{first}" and "{second}" fit the same things equally well; give one a priority, or be more exact'


def refuse_overlaps(versions: Sequence[Version]) -> None:
    """Raise TariffError for two versions of one plan that hold at one time."""
    ordered = sorted(versions, key=lambda each: (each.plan, each.from_us))
    for first, second in itertools.pairwise(ordered):
        if first.plan == second.plan and second.from_us < first.to_us:
            raise TariffError(f"{first.name} and {second.name} overlap: from or to of one of them must change")


def digest(text: str) -> str:
    """The hash of a tariff's text."""
    return hashlib.sha256(text.encode()).hexdigest()
