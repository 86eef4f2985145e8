"""Our records against a carrier's, tier by tier, each record in exactly one class.

A pair is looked for by the carrier's message id first, then by number, service and time, then (monthly fees) by number, service and
month, and last on the day before or after. The differences of all items add up to the difference of the two totals, whatever the tiers
found: that is what makes the result worth arguing with.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from billing import calendar

DAY_US = 86_400_000_000
# Carriers use their message ids again after days: further apart than this, the same id is another message.
SAME_ID_US = 3 * DAY_US
SAME_CYCLE_US = 62 * DAY_US


class Class(IntEnum):
    """What came of comparing; everything but MATCH wants an answer."""

    MATCH = 0
    AMOUNT_DIFF = 1
    STATUS_DIFF = 2
    PERIOD_SHIFT = 3
    OURS_ONLY = 4
    CARRIER_ONLY = 5
    DUP_OURS = 6
    DUP_CARRIER = 7
    TEST = 8


class Tier(IntEnum):
    """By what a pair was found."""

    NONE = 0
    MESSAGE_ID = 1
    TIME = 2
    CYCLE = 3
    NEXT_DAY = 4


class Ours(NamedTuple):
    """A charge; `is_expected` when the carrier's file must have it (what we released it need not list)."""

    id: int
    day: int
    at_us: int
    link: str  # empty when the carrier's file names no link
    smsc_ids: str  # as the charge has them, joined by ;
    msisdn: str
    service: str
    cycle: int  # 0: no monthly fee
    amount_minor: int
    currency: str
    is_billable: bool
    is_expected: bool
    is_elsewhere: bool = False  # paired by the comparison of another period


class Theirs(NamedTuple):
    """A line of the carrier's; `line` is unique over the files that are compared."""

    line: int
    day: int
    at_us: int
    link: str
    smsc_id: str
    msisdn: str
    service: str
    cycle: int
    amount_minor: int
    currency: str
    is_billable: bool

    @property
    def billed_minor(self) -> int:
        """What the line says is collected: nothing where the carrier says that the message failed."""
        return self.amount_minor if self.is_billable else 0


class Item(NamedTuple):
    """Charge and lines that belong together, or one of them alone; `delta_minor` is theirs less ours as far as ours is in the period."""

    kind: Class
    tier: Tier
    charge_id: int | None
    lines: tuple[int, ...]
    day: int
    msisdn: str
    service: str
    currency: str
    ours_minor: int
    theirs_minor: int
    delta_minor: int


class Rules(NamedTuple):
    """The days [first, after) that are compared, how far two times may be apart, and which numbers are for tests."""

    first: int
    after: int
    window_us: int
    is_test: Callable[[str], bool]


def match(ours: Sequence[Ours], theirs: Sequence[Theirs], rules: Rules) -> Iterator[Item]:
    """Compare, and tell the items one by one; `ours` has the charges of the period and, for shifts, of the day before and after it."""
    return _Matching(ours, theirs, rules).items()


class _Matching:
    """The state of one comparison: which charge has which lines."""

    def __init__(self, ours: Sequence[Ours], theirs: Sequence[Theirs], rules: Rules) -> None:
        self.ours, self.theirs, self.rules = ours, theirs, rules
        self.lines_of: dict[int, list[int]] = {}
        self.tier_of: dict[int, Tier] = {}
        self.left: list[int] = list(range(len(theirs)))

    def items(self) -> Iterator[Item]:
        self._by_message_id()
        window = self.rules.window_us
        self._by_key(Tier.TIME, _time_key, window)
        self._by_key(Tier.TIME, _number_key, window)
        self._by_key(Tier.CYCLE, _cycle_key, SAME_CYCLE_US)
        self._by_key(Tier.NEXT_DAY, _amount_key, 3 * DAY_US, _is_next_day)
        yield from self._pairs()
        yield from self._carrier_leftovers()
        yield from self._our_leftovers()

    # -- tiers ------------------------------------------------------------------------------------------------------------------

    def _by_message_id(self) -> None:
        """Each part of a message may have a line of its own; a line whose id is taken is left for later."""
        wanted = {(line.currency, line.link, line.smsc_id) for line in self.theirs if line.smsc_id}
        index: dict[tuple[str, str, str], list[int]] = {}
        for place, charge in enumerate(self.ours):
            for smsc_id in charge.smsc_ids.split(";") if charge.smsc_ids and not charge.is_elsewhere else ():
                key = (charge.currency, charge.link, smsc_id)
                if key in wanted:
                    index.setdefault(key, []).append(place)
        taken: set[tuple[int, str]] = set()
        left = []
        for at in self.left:
            line = self.theirs[at]
            places = index.get((line.currency, line.link, line.smsc_id), ()) if line.smsc_id else ()
            near = [
                (abs(self.ours[place].at_us - line.at_us), place)
                for place in places
                if (place, line.smsc_id) not in taken and abs(self.ours[place].at_us - line.at_us) <= SAME_ID_US
            ]
            if not near:
                left.append(at)
                continue
            place = min(near)[1]
            taken.add((place, line.smsc_id))
            self._pair(place, at, Tier.MESSAGE_ID)
        self.left = left

    def _by_key(self, tier: Tier, key_of: _KeyOf, reach_us: int, agrees: _Agrees | None = None) -> None:
        """Pair what is left by a key, nearest in time first; two records that both have a message id are not the same by another."""
        wanted = {key for at in self.left if (key := key_of(self.theirs[at], self.theirs[at].billed_minor)) is not None}
        nameless, named = dict[_Key, list[tuple[int, int]]](), dict[_Key, list[tuple[int, int]]]()
        for place, charge in enumerate(self.ours):
            if place not in self.lines_of and not charge.is_elsewhere:
                key = key_of(charge, charge.amount_minor)
                if key is not None and key in wanted:
                    (named if charge.smsc_ids else nameless).setdefault(key, []).append((charge.at_us, place))
        for places in (*nameless.values(), *named.values()):
            places.sort()
        left = []
        for at in self.left:
            line = self.theirs[at]
            key = key_of(line, line.billed_minor)
            found = None if key is None else self._nearest(nameless.get(key, []), line, reach_us, agrees)
            if found is None and key is not None and not line.smsc_id:
                found = self._nearest(named.get(key, []), line, reach_us, agrees)
            if found is None:
                left.append(at)
            else:
                self._pair(found, at, tier)
        self.left = left

    def _nearest(self, places: list[tuple[int, int]], line: Theirs, reach_us: int, agrees: _Agrees | None) -> int | None:
        """Take the place whose time is nearest to the line's; the earlier of two that are as near."""
        after = bisect_left(places, (line.at_us, -1))
        before = after - 1
        while before >= 0 or after < len(places):
            is_before = after == len(places) or (before >= 0 and line.at_us - places[before][0] <= places[after][0] - line.at_us)
            at = before if is_before else after
            if abs(places[at][0] - line.at_us) > reach_us:
                return None
            if agrees is None or agrees(self.ours[places[at][1]], line):
                return places.pop(at)[1]
            before, after = (before - 1, after) if is_before else (before, after + 1)
        return None

    def _pair(self, place: int, at: int, tier: Tier) -> None:
        self.lines_of.setdefault(place, []).append(at)
        self.tier_of.setdefault(place, tier)

    # -- classes ----------------------------------------------------------------------------------------------------------------

    def _pairs(self) -> Iterator[Item]:
        for place, lines in self.lines_of.items():
            charge, first = self.ours[place], self.theirs[lines[0]]
            theirs_minor = sum(self.theirs[at].billed_minor for at in lines)
            is_ours = self._is_in_period(charge)
            yield Item(
                self._class_of(charge, [self.theirs[at] for at in lines], theirs_minor, self.tier_of[place]),
                self.tier_of[place],
                charge.id,
                tuple(self.theirs[at].line for at in lines),
                first.day,
                charge.msisdn or first.msisdn,
                charge.service,
                charge.currency,
                charge.amount_minor,
                theirs_minor,
                theirs_minor - (charge.amount_minor if is_ours else 0),
            )

    def _class_of(self, charge: Ours, lines: Sequence[Theirs], theirs_minor: int, tier: Tier) -> Class:
        if self.rules.is_test(charge.msisdn) or any(self.rules.is_test(line.msisdn) for line in lines):
            return Class.TEST
        if not self._is_in_period(charge) or (tier is Tier.NEXT_DAY and charge.day != lines[0].day):
            return Class.PERIOD_SHIFT
        if charge.is_billable != any(line.is_billable for line in lines):
            return Class.STATUS_DIFF
        return Class.MATCH if charge.amount_minor == theirs_minor else Class.AMOUNT_DIFF

    def _carrier_leftovers(self) -> Iterator[Item]:
        """A line that nothing matched is a duplicate when another line is the same record: one that was matched, or an earlier one."""
        doubtful = {_identity_of_line(self.theirs[at]) for at in self.left}
        left, owner = set(self.left), dict[object, int]()
        for at, line in enumerate(self.theirs):
            identity = _identity_of_line(line)
            if identity in doubtful and (at not in left or identity not in owner):
                owner[identity] = at
        for at in self.left:
            line = self.theirs[at]
            kind = Class.CARRIER_ONLY if owner[_identity_of_line(line)] == at else Class.DUP_CARRIER
            if self.rules.is_test(line.msisdn):
                kind = Class.TEST
            billed = line.billed_minor
            facts = (line.day, line.msisdn, line.service, line.currency)
            yield Item(kind, Tier.NONE, None, (line.line,), *facts, 0, billed, billed)

    def _our_leftovers(self) -> Iterator[Item]:
        left = [
            place
            for place, charge in enumerate(self.ours)
            if place not in self.lines_of and charge.is_expected and self._is_in_period(charge)
        ]
        doubtful = {_identity_of_charge(self.ours[place]) for place in left} - {None}
        owner: dict[object, int] = {}
        for place, charge in enumerate(self.ours):
            identity = _identity_of_charge(charge)
            if identity in doubtful and (place in self.lines_of or identity not in owner):
                owner[identity] = place
        for place in left:
            charge = self.ours[place]
            identity = _identity_of_charge(charge)
            kind = Class.OURS_ONLY if identity is None or owner[identity] == place else Class.DUP_OURS
            if charge.is_elsewhere:
                kind = Class.PERIOD_SHIFT
            if self.rules.is_test(charge.msisdn):
                kind = Class.TEST
            facts = (charge.day, charge.msisdn, charge.service, charge.currency)
            yield Item(kind, Tier.NONE, charge.id, (), *facts, charge.amount_minor, 0, -charge.amount_minor)

    def _is_in_period(self, charge: Ours) -> bool:
        return self.rules.first <= charge.day < self.rules.after


_Key = tuple[object, ...]
_KeyOf = Callable[[Ours | Theirs, int], _Key | None]
_Agrees = Callable[[Ours, Theirs], bool]


def _time_key(record: Ours | Theirs, amount_minor: int) -> _Key | None:
    return None if record.cycle else (record.currency, record.msisdn, record.service, amount_minor)


def _number_key(record: Ours | Theirs, _amount_minor: int) -> _Key | None:
    return None if record.cycle else (record.currency, record.msisdn, record.service)


def _cycle_key(record: Ours | Theirs, _amount_minor: int) -> _Key | None:
    return (record.currency, record.msisdn, record.service, record.cycle) if record.cycle else None


def _amount_key(record: Ours | Theirs, amount_minor: int) -> _Key | None:
    return (record.currency, record.msisdn, record.service, amount_minor, bool(record.cycle))


def _is_next_day(ours: Ours, theirs: Theirs) -> bool:
    return ours.day in (theirs.day, calendar.next_day(theirs.day), calendar.previous_day(theirs.day))


def _identity_of_line(line: Theirs) -> object:
    if line.smsc_id:
        return (line.currency, line.link, line.smsc_id, line.msisdn, line.service)
    return (line.currency, line.msisdn, line.service, line.cycle or line.at_us, line.amount_minor)


def _identity_of_charge(charge: Ours) -> object:
    if charge.smsc_ids:
        return (charge.currency, charge.link, charge.smsc_ids, charge.msisdn, charge.service)
    return (charge.currency, charge.msisdn, charge.service, charge.cycle) if charge.cycle else None


def totals(items: Iterable[Item]) -> dict[str, int]:
    """What the differences add up to in each currency."""
    sums: dict[str, int] = {}
    for item in items:
        sums[item.currency] = sums.get(item.currency, 0) + item.delta_minor
    return sums
