"""Our sums against a carrier's who gives no details: by day, service and price, in the same classes as single records.

A sum that is in another day on the other side is a shift when service, price, count and amount agree; two lines of the carrier's for the
same day, service and price are one record written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from billing import calendar
from billing.matching import Class, Tier


class Group(NamedTuple):
    """So many records of one day, service and price; `line` is 0 for ours."""

    line: int
    day: int
    service: str
    price_minor: int
    currency: str
    record_count: int
    amount_minor: int


class GroupItem(NamedTuple):
    """Two sums that belong together, or one of them alone; `delta_minor` and the counts as far as they are in the period."""

    kind: Class
    tier: Tier
    line: int | None
    day: int
    service: str
    price_minor: int
    currency: str
    ours_count: int
    theirs_count: int
    ours_minor: int
    theirs_minor: int
    delta_minor: int


_Key = tuple[int, str, int, str]


def match(ours: Sequence[Group], theirs: Sequence[Group], first: int, after: int, test_services: frozenset[str]) -> list[GroupItem]:
    """Compare; `ours` has the period's sums and those of the day before and after it."""
    left = {_key(group): group for group in ours}
    assert len(left) == len(ours)
    seen: set[_Key] = set()
    items, unmatched = [], []
    for group in theirs:
        key = _key(group)
        if key in seen:
            items.append(_item(Class.DUP_CARRIER, Tier.NONE, None, group, test_services))
        elif key in left and first <= group.day < after:
            items.append(_item(None, Tier.TIME, left.pop(key), group, test_services))
        else:
            unmatched.append(group)
        seen.add(key)
    for group in unmatched:
        neighbour = next((key for key in _neighbours(group) if key in left and _same(left[key], group)), None)
        if neighbour is None:
            items.append(_item(Class.CARRIER_ONLY, Tier.NONE, None, group, test_services))
        else:
            mine = left.pop(neighbour)
            item = _item(Class.PERIOD_SHIFT, Tier.NEXT_DAY, mine, group, test_services)
            is_ours = first <= mine.day < after
            items.append(item._replace(delta_minor=group.amount_minor - (mine.amount_minor if is_ours else 0)))
    ours_only = (_item(Class.OURS_ONLY, Tier.NONE, mine, None, test_services) for mine in left.values() if first <= mine.day < after)
    return [*items, *ours_only]


def _item(kind: Class | None, tier: Tier, ours: Group | None, theirs: Group | None, test_services: frozenset[str]) -> GroupItem:
    known = theirs or ours
    assert known is not None
    ours_count, ours_minor = (ours.record_count, ours.amount_minor) if ours else (0, 0)
    theirs_count, theirs_minor = (theirs.record_count, theirs.amount_minor) if theirs else (0, 0)
    if kind is None:
        kind = Class.MATCH if (ours_count, ours_minor) == (theirs_count, theirs_minor) else Class.AMOUNT_DIFF
        if kind is Class.AMOUNT_DIFF and ours_count == theirs_count and 0 in (ours_minor, theirs_minor):
            kind = Class.STATUS_DIFF
    if known.service in test_services:
        kind = Class.TEST
    line = theirs.line if theirs else None
    facts = (line, known.day, known.service, known.price_minor, known.currency)
    return GroupItem(kind, tier, *facts, ours_count, theirs_count, ours_minor, theirs_minor, theirs_minor - ours_minor)


def _neighbours(group: Group) -> list[_Key]:
    days = (group.day, calendar.previous_day(group.day), calendar.next_day(group.day))
    return [(day, *_key(group)[1:]) for day in days]


def _same(ours: Group, theirs: Group) -> bool:
    return (ours.record_count, ours.amount_minor) == (theirs.record_count, theirs.amount_minor)


def _key(group: Group) -> _Key:
    return group.day, group.service, group.price_minor, group.currency
