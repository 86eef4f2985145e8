"""Which submit_sm fails, and how: rules are data, the first one that matches decides. Pure.

The default rules are magic numbers: the last four digits of the destination pick the outcome, so that a test needs no set-up.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from gateway.smpp.consts import Status
from simulators.form import FormError
from simulators.smsc_rule import NO_RULE, RULES_MAX, STATES, Rule, parse_rule, parse_rules, rule_document, with_usual

__all__ = ["DEFAULT_RULES", "NO_RULE", "STATES", "Rule", "Rulebook", "Submission", "parse_rule", "parse_rules", "rule_document"]

REMEMBERED_MAX = 10_000

DEFAULT_RULES: tuple[Rule, ...] = (
    Rule(suffix="0001", stat="UNDELIV", err="001", note="undeliverable, receipt with err 001"),
    Rule(suffix="0002", stat="EXPIRED", err="002", note="expires"),
    Rule(suffix="0003", stat="REJECTD", err="003", note="rejected by the SMSC after it was accepted"),
    Rule(suffix="0004", status=Status.ESME_RSUBMITFAIL, note="submit_sm_resp ESME_RSUBMITFAIL, for good"),
    Rule(suffix="0005", status=Status.ESME_RTHROTTLED, times=1, note="ESME_RTHROTTLED once, then accepted"),
    Rule(suffix="0006", receipt=False, note="delivered, but no receipt ever"),
    Rule(suffix="0007", response=False, note="taken and delivered, but submit_sm is never answered"),
    Rule(suffix="0008", receipt_first=True, note="the receipt comes before submit_sm_resp"),
    Rule(suffix="0009", receipts=2, note="the receipt comes twice"),
)


class Submission(NamedTuple):
    """What a rule looks at; `read_text` is asked only when a rule wants the text. `bind` numbers the session."""

    source: str
    destination: str
    body: bytes
    read_text: Callable[[], str]
    system_id: str = ""
    bind: int = 0


class Rulebook:
    """The rules in force, indexed by suffix so that a message no rule meets costs one dictionary look-up."""

    def __init__(self, rules: Iterable[Rule] = DEFAULT_RULES, usual: Rule = NO_RULE) -> None:
        self.usual = usual
        self._rules: tuple[Rule, ...] = ()
        self._effective: tuple[Rule, ...] = ()
        self._by_suffix: dict[str, list[int]] = {}
        self._suffix_lengths: tuple[int, ...] = ()
        self._others: list[int] = []
        self._met: OrderedDict[tuple[int, str, str, bytes], int] = OrderedDict()
        self._turns: dict[tuple[int, int], int] = {}
        self._recent: OrderedDict[tuple[int, object], deque[float]] = OrderedDict()
        self.replace(rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as they were given."""
        return self._rules

    def replace(self, rules: Iterable[Rule], usual: Rule | None = None) -> None:
        """Put other rules in force and forget how often the old ones met."""
        self._rules = tuple(rules)
        if len(self._rules) > RULES_MAX:
            raise FormError("rule", f"at most {RULES_MAX} rules")
        if usual is not None:
            self.usual = usual
        self._effective = tuple(with_usual(rule, self.usual) for rule in self._rules)
        for counted in (self._by_suffix, self._met, self._turns, self._recent):
            counted.clear()
        for place, rule in enumerate(self._rules):
            if rule.suffix:
                self._by_suffix.setdefault(rule.suffix, []).append(place)
        self._others = [place for place, rule in enumerate(self._rules) if not rule.suffix]
        self._suffix_lengths = tuple(sorted({len(suffix) for suffix in self._by_suffix}))

    def put_first(self, rules: Iterable[Rule]) -> None:
        """Add rules ahead of those in force."""
        self.replace((*rules, *self._rules))

    def decide(self, submission: Submission, draw: Callable[[], float], now_s: float = 0.0) -> Rule:
        """The rule for a submission, completed by the usual; `draw` gives a number in [0, 1) for rules with a percentage."""
        for place in self._candidates(submission.destination):
            rule = self._rules[place]
            if self._matches(rule, submission, now_s) and self._meets(place, rule, submission, draw, now_s):
                effective = self._effective[place]
                return rule if effective == rule else effective
        return self.usual

    def may_meet(self, destination: str) -> bool:
        """Whether any rule could meet this destination: the cheap question for the hot path."""
        if self._others:
            return True
        return any(destination[-length:] in self._by_suffix for length in self._suffix_lengths)

    def _candidates(self, destination: str) -> list[int]:
        found = list(self._others)
        for length in self._suffix_lengths:
            found += self._by_suffix.get(destination[-length:], ())
        return sorted(found)

    def _matches(self, rule: Rule, submission: Submission, now_s: float) -> bool:
        """The patterns that have no memory."""
        if not rule.is_at(now_s) or (rule.prefix and not submission.destination.startswith(rule.prefix)):
            return False
        if rule.source and submission.source != rule.source:
            return False
        for pattern, value in (
            (rule.destination, submission.destination),
            (rule.sender, submission.source),
            (rule.system_id, submission.system_id),
        ):
            if pattern and not fnmatchcase(value, pattern):
                return False
        if rule.hash_mod and int.from_bytes(hashlib.sha256(submission.body).digest(), "big") % rule.hash_mod != rule.hash_is:
            return False
        return not rule.contains or rule.contains in submission.read_text()

    def _meets(self, place: int, rule: Rule, submission: Submission, draw: Callable[[], float], now_s: float) -> bool:
        """The patterns that count or draw, in this order."""
        if rule.every and self._turn(place, submission.bind) % rule.every:
            return False
        if rule.percent < 100.0 and draw() * 100.0 >= rule.percent:
            return False
        if rule.above_per_s and not self._is_above(place, rule, submission, now_s):
            return False
        return rule.times == 0 or self._count(place, submission) <= rule.times

    def _turn(self, place: int, bind: int) -> int:
        turn = self._turns[place, bind] = self._turns.get((place, bind), 0) + 1
        return turn

    def _is_above(self, place: int, rule: Rule, submission: Submission, now_s: float) -> bool:
        scope: object = None
        if rule.per == "destination":
            scope = submission.destination
        elif rule.per == "sender":
            scope = submission.source
        elif rule.per == "bind":
            scope = submission.bind
        recent = self._recent.get((place, scope))
        if recent is None:
            recent = self._recent[place, scope] = deque(maxlen=rule.above_per_s)
            if len(self._recent) > REMEMBERED_MAX:
                self._recent.popitem(last=False)
        if len(recent) == rule.above_per_s and now_s - recent[0] < 1.0:
            return True
        recent.append(now_s)
        return False

    def _count(self, place: int, submission: Submission) -> int:
        key = (place, submission.source, submission.destination, submission.body)
        count = self._met.get(key, 0) + 1
        self._met[key] = count
        if len(self._met) > REMEMBERED_MAX:
            self._met.popitem(last=False)
        return count
