"""A version of a tariff as people and programs read it: names for numbers, and what differs between two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from billing.calendar import EPOCH
from billing.tariff import diff
from billing.tariff.diff import Change, Sample
from billing.tariff.rule import Rule
from billing.tariff.version import FOREVER_US, Version
from billing.tariffs import Kept


class Compared(NamedTuple):
    """What changes between two versions, and the prices that do; of numbers that were asked for, every price."""

    changes: list[Change]
    prices: list[Sample]

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        prices = [{**each.question._asdict(), "before": each.before, "after": each.after} for each in self.prices]
        return {"changes": [each._asdict() for each in self.changes], "prices": prices}


def compare(first: Version, second: Version, numbers: Sequence[str] = ()) -> Compared:
    """Two versions side by side, at the time when both could hold."""
    told = diff.samples(first, second, numbers, at_us=max(first.from_us, second.from_us))
    return Compared(diff.compare(first, second), [each for each in told if each.before != each.after or numbers])


def rules(version: Version) -> list[Rule]:
    """The rules, the most exact first: that is the order in which they win."""
    return sorted(version.rules, key=lambda each: (each.specificity, each.name), reverse=True)


def fields(kept: Kept) -> dict[str, Any]:
    """A version as JSON, without its rules."""
    version = kept.version
    return {
        "version": version.name,
        "state": kept.state.name.lower(),
        "from": time(version.from_us),
        "to": time(version.to_us),
        "rules": len(version.rules),
        "sha256": kept.sha256,
        "created_by": kept.created_by,
        "approved_by": kept.approved_by,
    }


def fields_with_rules(kept: Kept) -> dict[str, Any]:
    """A version as JSON, rule by rule."""
    return {**fields(kept), "rules": [each._asdict() for each in rules(kept.version)]}


def summary(version: Version) -> dict[str, Any]:
    """A tariff that is not kept yet."""
    return {"plan": version.plan, "rules": len(version.rules), "from": time(version.from_us), "to": time(version.to_us)}


def time(at_us: int) -> str | None:
    """RFC 3339 to the second, UTC; None for no end."""
    return None if at_us == FOREVER_US else (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds")
