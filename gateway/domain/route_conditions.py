"""What a routing rule can ask of a message. Each condition says whether it holds, and in words why it does not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple, Protocol

from gateway.domain.address import mask
from gateway.domain.message import Front
from gateway.domain.prefixes import PrefixMap

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FRONT_NAMES = {int(front): front.name.lower() for front in Front}
TON_NAMES = ("unknown", "international", "national", "network_specific", "subscriber", "alphanumeric", "abbreviated")
_SHOWN_MAX = 5
_MINUTES_A_DAY = 1440


class RouteFacts(NamedTuple):
    """All that routing looks at."""

    partner: str  # "" when no partner sends it
    service: str
    source: str
    source_ton: int
    destination: str  # digits
    front: int
    now_us: int  # UTC


class Condition(Protocol):
    """One thing a rule asks."""

    def holds(self, facts: RouteFacts, names: frozenset[str]) -> bool:
        """Whether it is so; `names` are those of the destination's network, empty when nobody knows it."""
        ...

    def why_not(self, facts: RouteFacts, names: frozenset[str]) -> str:
        """In words, for a message for which it is not so."""
        ...


class Prefixes:
    """The destination begins with one of these."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self.prefixes = tuple(prefixes)
        self._map = PrefixMap((prefix, True) for prefix in self.prefixes)

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        return self._map.longest(facts.destination) is not None

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        return f"prefixes: {mask(facts.destination)} does not begin with {_one_of(self.prefixes)}"


class Networks:
    """The destination belongs to one of these networks, by MCC, MCC and MNC, operator or country."""

    def __init__(self, networks: Iterable[str]) -> None:
        self.shown = tuple(networks)
        self.networks = frozenset(name.lower() for name in self.shown)

    def holds(self, _facts: RouteFacts, names: frozenset[str]) -> bool:
        return not self.networks.isdisjoint(names)

    def why_not(self, _facts: RouteFacts, names: frozenset[str]) -> str:
        found = f"is of {', '.join(sorted(names))}" if names else "is of no network that the numbering plan knows"
        return f"networks: the destination {found}, not {_one_of(self.shown)}"


class Partners:
    """One of these partners sends it."""

    def __init__(self, partners: Iterable[str]) -> None:
        self.partners = frozenset(partners)

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        return facts.partner in self.partners

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        return f"partners: {facts.partner or 'no partner'} is not {_one_of(sorted(self.partners))}"


class Services:
    """It is sent as one of these services."""

    def __init__(self, services: Iterable[str]) -> None:
        self.services = frozenset(services)

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        return facts.service in self.services

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        return f"services: {facts.service or 'no service'} is not {_one_of(sorted(self.services))}"


class Fronts:
    """It came in by one of these doors."""

    def __init__(self, fronts: Iterable[int]) -> None:
        self.fronts = frozenset(fronts)

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        return facts.front in self.fronts

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        known = [FRONT_NAMES.get(front, str(front)) for front in sorted(self.fronts)]
        return f"fronts: {FRONT_NAMES.get(facts.front, str(facts.front))} is not {_one_of(known)}"


class Senders:
    """Its sender is one of these; `1066*` is whatever begins so. Capital and small letters are the same."""

    def __init__(self, senders: Iterable[str]) -> None:
        self.shown = tuple(senders)
        written = [sender.lower() for sender in self.shown]
        self._exact = frozenset(sender for sender in written if not sender.endswith("*"))
        self._prefixes = PrefixMap((sender.rstrip("*"), True) for sender in written if sender.endswith("*"))

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        source = facts.source.lower()
        return source in self._exact or self._prefixes.longest(source) is not None

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        return f"senders: {mask(facts.source) if len(facts.source) > 8 else facts.source} is not {_one_of(self.shown)}"


class SenderTons:
    """Its sender has one of these types of number."""

    def __init__(self, tons: Iterable[int]) -> None:
        self.tons = frozenset(tons)

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        return facts.source_ton in self.tons

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        return f"sender_types: {_ton(facts.source_ton)} is not {_one_of([_ton(ton) for ton in sorted(self.tons)])}"


class Hours:
    """From one minute of the day until before another, in a time zone; over midnight when the first is later."""

    def __init__(self, start: int, end: int, zone: tzinfo) -> None:
        assert 0 <= start < _MINUTES_A_DAY
        assert 0 <= end <= _MINUTES_A_DAY
        self._start, self._end, self._zone = start, end, zone

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        minute = _local(self._zone, facts.now_us // 60_000_000).minute
        if self._start < self._end:
            return self._start <= minute < self._end
        return minute >= self._start or minute < self._end

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        minute = _local(self._zone, facts.now_us // 60_000_000).minute
        return f"hours: {_clock(minute)} is not in {_clock(self._start)}-{_clock(self._end)} ({self._zone})"


class Weekdays:
    """On one of these days of the week, Monday is 0, in a time zone."""

    def __init__(self, days: Iterable[int], zone: tzinfo) -> None:
        self._days, self._zone = frozenset(days), zone

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        return _local(self._zone, facts.now_us // 60_000_000).weekday in self._days

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        today = WEEKDAYS[_local(self._zone, facts.now_us // 60_000_000).weekday]
        return f"weekdays: {today} is not {_one_of([WEEKDAYS[day] for day in sorted(self._days)])} ({self._zone})"


class Dates:
    """From one day to another, both included, in a time zone; either may be open."""

    def __init__(self, first: date | None, last: date | None, zone: tzinfo) -> None:
        self._first, self._last, self._zone = first, last, zone

    def holds(self, facts: RouteFacts, _names: frozenset[str]) -> bool:
        day = _local(self._zone, facts.now_us // 60_000_000).day
        return (self._first is None or day >= self._first) and (self._last is None or day <= self._last)

    def why_not(self, facts: RouteFacts, _names: frozenset[str]) -> str:
        day = _local(self._zone, facts.now_us // 60_000_000).day
        return f"dates: {day} is not in {self._first or ''}..{self._last or ''} ({self._zone})"


class _LocalTime(NamedTuple):
    day: date
    weekday: int
    minute: int  # of the day


@lru_cache(maxsize=256)
def _local(zone: tzinfo, minutes: int) -> _LocalTime:
    there = datetime.fromtimestamp(minutes * 60, UTC).astimezone(zone)
    return _LocalTime(there.date(), there.weekday(), there.hour * 60 + there.minute)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _ton(ton: int) -> str:
    return TON_NAMES[ton] if ton < len(TON_NAMES) else str(ton)


def _one_of(words: Iterable[str]) -> str:
    listed = list(words)
    shown = ", ".join(listed[:_SHOWN_MAX])
    return shown if len(listed) <= _SHOWN_MAX else f"{shown} or {len(listed) - _SHOWN_MAX} more"
