"""Which link takes a message: ordered rules, the first that fits and has a healthy link decides.

A rule fits when each of its conditions holds. Where all its links are in trouble the next rule that fits may take the message, unless
the rule says to wait; and where every rule's are, it waits for the best of them. What a rule decides depends on the message and the
state of the links only, so parts and retries agree, and `explain` tells exactly what `choose` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from gateway.domain.address import Address
from gateway.domain.failure import Kind, Refused
from gateway.domain.numbering import NO_NUMBERING, NO_RATES, Network, Numbering, Rates
from gateway.domain.prefixes import PrefixMap, shortest_only
from gateway.domain.route_conditions import Condition, Fronts, Networks, Partners, Prefixes, RouteFacts, Senders, SenderTons, Services

__all__ = ["Choice", "Considered", "FaultOf", "RouteFacts", "Rule", "Table"]

# A link's trouble in one word, "" when it has none. In this order they are put up with.
FaultOf = Callable[[str], str]
_RANKS = {"": 0, "congested": 1, "down": 2, "held": 3, "unknown": 9}
_RANK_NONE = 9  # a link that is not there is not even waited for
# 2**32 by the golden ratio: spreads what crc32 leaves close together (Knuth, TAOCP 6.4).
_SPREAD = 2_654_435_769
_NO_NAMES: frozenset[str] = frozenset()
# What these ask is the same for all messages of one sender to one part of the numbering plan; what others ask may change with time.
_LASTING = (Prefixes, Networks, Partners, Services, Fronts, Senders, SenderTons)
_KNOWN_MAX = 4_096

# Rules in order, each with the conditions that are still to be asked.
Candidates = tuple[tuple["Rule", tuple[Condition, ...]], ...]


class Rule(NamedTuple):
    """Conditions, and what becomes of the messages for which all of them hold."""

    name: str
    conditions: tuple[Condition, ...] = ()
    links: tuple[str, ...] = ()  # in order of preference
    weights: tuple[int, ...] = ()  # a share for each link; empty: the first that is healthy takes all
    is_cheapest: bool = False  # by rate instead of order; a link without a rate comes last
    cost_max: int | None = None  # links that ask more, or nobody knows what, are left out
    is_waiting: bool = False  # while its links are in trouble its messages wait for them
    next_on: frozenset[int] = frozenset()  # command_status at which a refused segment tries the next link
    rejects: str = ""  # the reason it refuses with
    sender: Address | None = None  # put in place of the sender


class Choice(NamedTuple):
    """Where a message goes."""

    link: str
    rule: str
    why: tuple[str, ...]
    sender: Address | None = None


def without_rules(link: str) -> Choice:
    """The choice where no rules are; raises Refused "no_link" where there is no link either."""
    if not link:
        raise Refused("no_link", "no link is configured, so nothing can be sent")
    return Choice(link, "", _WHY_PLAIN)


class Considered(NamedTuple):
    """One rule as `explain` tells it: takes, rejects, would wait, passed over, or not reached; and why."""

    rule: str
    verdict: str
    why: str


class Table:
    """Rules made ready for many look-ups: each is filed under its prefixes, or else its networks, or else its partners.

    Which rules may fit is found once for each kind of message, and kept; the time of day and the links' health are asked every time.
    """

    def __init__(self, rules: Sequence[Rule], numbering: Numbering = NO_NUMBERING, rates: Rates = NO_RATES) -> None:
        self.rules = tuple(rules)
        self.numbering = numbering
        self.rates = rates
        self._asks_network = any(isinstance(condition, Networks) for rule in rules for condition in rule.conditions)
        prefixes: dict[str, list[int]] = {}
        self._by_network: dict[str, list[int]] = {}
        self._by_partner: dict[str, list[int]] = {}
        self._others: list[int] = []
        for place, rule in enumerate(rules):
            asked = {type(condition): condition for condition in rule.conditions}
            if isinstance(wanted := asked.get(Prefixes), Prefixes):
                _file(prefixes, shortest_only(wanted.prefixes), place)
            elif isinstance(wanted := asked.get(Networks), Networks):
                _file(self._by_network, wanted.networks, place)
            elif isinstance(wanted := asked.get(Partners), Partners):
                _file(self._by_partner, wanted.partners, place)
            else:
                self._others.append(place)
        self._asked = tuple((rule, tuple(each for each in rule.conditions if not isinstance(each, _LASTING))) for rule in rules)
        # Under each prefix also what is filed under its beginnings: one look-up finds them all.
        self._by_prefix = PrefixMap((prefix, _covering(prefixes, prefix)) for prefix in prefixes)
        self._known: dict[tuple[object, ...], Candidates] = {}

    # -- choosing -----------------------------------------------------------------------------------------------------

    def choose(self, facts: RouteFacts, fault_of: FaultOf) -> Choice:
        """The link for a message; raises Refused: "blocked" (a rule rejects it), "no_route" (none fits) or "no_link"."""
        best, best_rank, is_fitting = None, _RANK_NONE, False
        for rule, links in self._fitting(facts):
            if rule.rejects:
                if best is None:
                    raise Refused("blocked", rule.rejects, field="to")
                break
            for link in links:
                rank = _RANKS[fault_of(link)]
                if not rank:
                    return Choice(link, rule.name, _WHY_HEALTHY, rule.sender)
                if rank < best_rank:
                    best, best_rank = Choice(link, rule.name, _WHY_WAITS, rule.sender), rank
            is_fitting = True
            if rule.is_waiting:
                break
        if best is not None:
            return best
        if is_fitting:
            raise Refused("no_link", "the links of its routing rules are not there", kind=Kind.TEMPORARY)
        raise Refused("no_route", "no routing rule takes messages like this one", field="to")

    def next_link(
        self, facts: RouteFacts, link: str, tried: Sequence[str], status: int | None, fault_of: FaultOf, *, is_passed_on: bool = False
    ) -> str | None:
        """Where a segment goes that `link` refused with a command_status, or, for None, that waits for a link down too long.

        `is_passed_on`: the link itself says that this status wants another link, whatever the rule lists.
        """
        found: str | None = None
        is_reached = False
        for rule, links in self._fitting(facts):
            if not is_reached:
                if link not in rule.links:
                    continue
                is_reached = True
                if rule.is_waiting if status is None else not is_passed_on and status not in rule.next_on:
                    return None
            if rule.rejects:
                break
            for other in links:
                if other == link or other in tried:
                    continue
                fault = fault_of(other)
                if not fault:
                    return other
                # One in trouble is better than the end of a refused message, not better than the link it waits for.
                if found is None and status is not None and fault != "unknown":
                    found = other
            if rule.is_waiting:
                break
        return found

    def network_of(self, destination: str) -> Network | None:
        """The destination's network, portability included."""
        return self.numbering.network_of(destination)

    def _fitting(self, facts: RouteFacts) -> Iterator[tuple[Rule, tuple[str, ...]]]:
        """The rules that fit, in order, with their links in the order this message prefers them."""
        names = self._names(facts)
        for rule, asked in self._candidates(facts, names):
            for condition in asked:
                if not condition.holds(facts, names):
                    break
            else:
                links = self.links_of(rule, facts)
                if links or rule.rejects:
                    yield rule, links

    def _names(self, facts: RouteFacts) -> frozenset[str]:
        if not self._asks_network:
            return _NO_NAMES
        network = self.numbering.network_of(facts.destination)
        return _NO_NAMES if network is None else self.numbering.names_of(network)

    def _candidates(self, facts: RouteFacts, names: frozenset[str]) -> Candidates:
        places = self._by_prefix.longest(facts.destination)
        partner, service, source, source_ton, _, front, _ = facts
        key = (places, names, partner, service, source, source_ton, front)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            found = self._known[key] = self._picked(facts, names, places or ())
        return found

    def _picked(self, facts: RouteFacts, names: frozenset[str], of_prefix: tuple[int, ...]) -> Candidates:
        """Those of the rules filed for a message whose lasting conditions hold."""
        of_network = (place for name in names for place in self._by_network.get(name, ()))
        places = {*of_prefix, *of_network, *self._by_partner.get(facts.partner, ()), *self._others}
        return tuple(
            self._asked[place]
            for place in sorted(places)
            if all(each.holds(facts, names) for each in self.rules[place].conditions if isinstance(each, _LASTING))
        )

    def links_of(self, rule: Rule, facts: RouteFacts) -> tuple[str, ...]:
        """A rule's links in the order a message prefers them."""
        links = rule.links
        if rule.cost_max is None and len(links) < 2:
            return links
        destination = facts.destination
        if rule.cost_max is not None:
            costs = [(link, self.rates.cost(link, destination)) for link in links]
            links = tuple(link for link, cost in costs if cost is not None and cost <= rule.cost_max)
        if rule.is_cheapest:
            # Sorting is stable: at the same price the order of the rule stands.
            return tuple(sorted(links, key=lambda link: _or_last(self.rates.cost(link, destination))))
        if rule.weights and len(links) > 1:
            return _shared(rule, links, facts)
        return links

    # -- explaining ---------------------------------------------------------------------------------------------------

    def explain(self, facts: RouteFacts, fault_of: FaultOf) -> list[Considered]:
        """Every rule in order, with the first condition that failed."""
        try:
            chosen = self.choose(facts, fault_of).rule
        except Refused:
            chosen = ""
        told = []
        is_over = False
        names = self._names(facts)
        for rule in self.rules:
            if is_over:
                told.append(Considered(rule.name, "not reached", ""))
                continue
            verdict, why = self._verdict(rule, facts, names, fault_of)
            if verdict == "rejects" and chosen:
                verdict, why = "not reached", "a rule before it fits, and its messages wait"
                is_over = True
            elif verdict == "in trouble":
                verdict = "waits" if rule.name == chosen else "passed over"
                is_over = rule.is_waiting
            else:
                is_over = verdict in ("takes", "rejects")
            told.append(Considered(rule.name, verdict, why))
        return told

    def _verdict(self, rule: Rule, facts: RouteFacts, names: frozenset[str], fault_of: FaultOf) -> tuple[str, str]:
        failed = next((condition for condition in rule.conditions if not condition.holds(facts, names)), None)
        if failed is not None:
            return "passed over", failed.why_not(facts, names)
        if rule.rejects:
            return "rejects", rule.rejects
        links = self.links_of(rule, facts)
        if not links:
            return "passed over", f"cost: no link asks {rule.cost_max} or less for this destination"
        faults = [(link, fault_of(link)) for link in links]
        passed = [f"{link} is {fault}" for link, fault in faults if fault]
        healthy = next((link for link, fault in faults if not fault), None)
        if healthy is None:
            return "in trouble", f"links: {', '.join(passed)}"
        before = passed[: [link for link, _ in faults].index(healthy)]
        return "takes", "; ".join((f"link {healthy}: {self._how(rule, healthy, facts)}", *before))

    def _how(self, rule: Rule, link: str, facts: RouteFacts) -> str:
        if rule.is_cheapest or rule.cost_max is not None:
            cost = self.rates.cost(link, facts.destination)
            return "no rate is known" if cost is None else f"asks {cost}"
        if rule.weights:
            return f"its share is {rule.weights[rule.links.index(link)]} of {sum(rule.weights)}"
        return "the only one" if len(rule.links) == 1 else f"number {rule.links.index(link) + 1} of {len(rule.links)} in order"


_WHY_PLAIN = ("no rules: the first link that is up",)
_WHY_HEALTHY = ("the first rule that fits and has a healthy link",)
_WHY_WAITS = ("no rule that fits has a healthy link; it waits",)


def _file(places: dict[str, list[int]], keys: Sequence[str] | frozenset[str], place: int) -> None:
    for key in keys:
        places.setdefault(key, []).append(place)


def _covering(places: dict[str, list[int]], prefix: str) -> tuple[int, ...]:
    """What is filed under a prefix and under its beginnings."""
    return tuple({place for length in range(len(prefix) + 1) for place in places.get(prefix[:length], ())})


def _or_last(cost: int | None) -> tuple[bool, int]:
    return cost is None, cost or 0


def _shared(rule: Rule, links: tuple[str, ...], facts: RouteFacts) -> tuple[str, ...]:
    """The link whose share the two addresses fall into, then the others in order; the parts of one message have the same addresses."""
    weights = dict(zip(rule.links, rule.weights, strict=True))
    total = sum(weights[link] for link in links)
    point = (crc32(f"{facts.source}>{facts.destination}".encode()) * _SPREAD & 0xFFFFFFFF) * total >> 32
    for link in links:
        point -= weights[link]
        if point < 0:
            return (link, *(other for other in links if other != link))
    return links
