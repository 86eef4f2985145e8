"""Which submit_sm fails, and how: rules are data, the first one that matches decides. Pure.

The default rules are magic numbers: the last four digits of the destination pick the outcome, so that a test needs no set-up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from gateway.smpp.consts import MessageState, Status

# How each outcome is spelt in a receipt's `stat` (SMPP 3.4 appendix B).
STATES: dict[str, MessageState] = {
    "DELIVRD": MessageState.DELIVERED,
    "EXPIRED": MessageState.EXPIRED,
    "DELETED": MessageState.DELETED,
    "UNDELIV": MessageState.UNDELIVERABLE,
    "ACCEPTD": MessageState.ACCEPTED,
    "UNKNOWN": MessageState.UNKNOWN,
    "REJECTD": MessageState.REJECTED,
}
RULES_MAX = 1_000
REMEMBERED_MAX = 10_000
DELAY_MS_MAX = 86_400_000


class RuleError(ValueError):
    """A rule that makes no sense; the text names the field."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom a rule meets (all given patterns must match) and what happens then; 0, "" and the defaults mean "as usual".

    `times` limits how often the rule meets the same message (source, destination and body); 0 is always.
    """

    prefix: str = ""
    suffix: str = ""
    source: str = ""
    contains: str = ""
    percent: float = 100.0
    times: int = 0
    status: int = 0
    stat: str = "DELIVRD"
    err: str = "000"
    response: bool = True
    receipt: bool = True
    receipts: int = 1
    receipt_first: bool = False
    response_delay_ms: int = 0
    receipt_delay_ms: int = 0
    note: str = ""


NO_RULE = Rule()

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
    """What a rule looks at; `read_text` is asked only when a rule wants the text."""

    source: str
    destination: str
    body: bytes
    read_text: Callable[[], str]


class Rulebook:
    """The rules in force, indexed by suffix so that a message no rule meets costs one dictionary look-up."""

    def __init__(self, rules: Iterable[Rule] = DEFAULT_RULES) -> None:
        self._rules: tuple[Rule, ...] = ()
        self._by_suffix: dict[str, list[tuple[int, Rule]]] = {}
        self._suffix_lengths: tuple[int, ...] = ()
        self._others: list[tuple[int, Rule]] = []
        self._met: OrderedDict[tuple[int, str, str, bytes], int] = OrderedDict()
        self.replace(rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._rules

    def replace(self, rules: Iterable[Rule]) -> None:
        """Put other rules in force and forget how often the old ones met."""
        self._rules = tuple(rules)
        if len(self._rules) > RULES_MAX:
            raise RuleError(f"at most {RULES_MAX} rules")
        self._by_suffix.clear()
        self._met.clear()
        for place, rule in enumerate(self._rules):
            if rule.suffix:
                self._by_suffix.setdefault(rule.suffix, []).append((place, rule))
        self._others = [(place, rule) for place, rule in enumerate(self._rules) if not rule.suffix]
        self._suffix_lengths = tuple(sorted({len(suffix) for suffix in self._by_suffix}))

    def put_first(self, rules: Iterable[Rule]) -> None:
        """Add rules ahead of those in force."""
        self.replace((*rules, *self._rules))

    def decide(self, submission: Submission, draw: Callable[[], float]) -> Rule:
        """The rule for a submission; `draw` gives a number in [0, 1) for rules with a percentage."""
        for place, rule in self._candidates(submission.destination):
            if self._meets(place, rule, submission, draw):
                return rule
        return NO_RULE

    def may_meet(self, destination: str) -> bool:
        """Whether any rule could meet this destination: the cheap question for the hot path."""
        if self._others:
            return True
        return any(destination[-length:] in self._by_suffix for length in self._suffix_lengths)

    def _candidates(self, destination: str) -> list[tuple[int, Rule]]:
        found = list(self._others)
        for length in self._suffix_lengths:
            found += self._by_suffix.get(destination[-length:], ())
        return sorted(found, key=lambda placed: placed[0])

    def _meets(self, place: int, rule: Rule, submission: Submission, draw: Callable[[], float]) -> bool:
        if rule.prefix and not submission.destination.startswith(rule.prefix):
            return False
        if rule.source and submission.source != rule.source:
            return False
        if rule.contains and rule.contains not in submission.read_text():
            return False
        if rule.percent < 100.0 and draw() * 100.0 >= rule.percent:
            return False
        return rule.times == 0 or self._count(place, submission) <= rule.times

    def _count(self, place: int, submission: Submission) -> int:
        key = (place, submission.source, submission.destination, submission.body)
        count = self._met.get(key, 0) + 1
        self._met[key] = count
        if len(self._met) > REMEMBERED_MAX:
            self._met.popitem(last=False)
        return count


_KINDS: dict[str, type] = {each.name: type(each.default) for each in fields(Rule)}


def parse_rule(document: object) -> Rule:
    """A rule from JSON; RuleError names the field. A status is a number or its name ("ESME_RTHROTTLED")."""
    if not isinstance(document, dict):
        raise RuleError("a rule is an object")
    unknown = sorted(set(document) - set(_KINDS))
    if unknown:
        raise RuleError(f"{unknown[0]}: no such field; there are {', '.join(_KINDS)}")
    values: dict[str, Any] = {name: _value(name, value) for name, value in document.items()}
    rule = Rule(**values)
    _check(rule)
    return rule


def parse_rules(document: object) -> tuple[Rule, ...]:
    """One rule or a list of them."""
    return tuple(parse_rule(each) for each in (document if isinstance(document, list) else [document]))


def _value(name: str, value: object) -> object:
    kind = _KINDS[name]
    if name == "status" and isinstance(value, str):
        return _status(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (kind is int and isinstance(value, bool)) or not isinstance(value, kind):
        raise RuleError(f"{name}: expected {kind.__name__}")
    return value


def _status(name: str) -> int:
    try:
        return Status[name].value
    except KeyError:
        raise RuleError(f"status: {name} is no command_status") from None


def _check(rule: Rule) -> None:
    if rule.stat not in STATES:
        raise RuleError(f"stat: one of {', '.join(STATES)}")
    if not (0.0 <= rule.percent <= 100.0):
        raise RuleError("percent: 0 to 100")
    if not (0 <= rule.status <= 0xFFFFFFFF):
        raise RuleError("status: 0 to 4294967295")
    if len(rule.err) != 3 or not rule.err.isascii() or not rule.err.isalnum():
        raise RuleError("err: three letters or digits")
    if not (0 <= rule.receipts <= 10):
        raise RuleError("receipts: 0 to 10")
    if rule.times < 0:
        raise RuleError("times: 0 or more")
    for name in ("response_delay_ms", "receipt_delay_ms"):
        if not (0 <= getattr(rule, name) <= DELAY_MS_MAX):
            raise RuleError(f"{name}: 0 to {DELAY_MS_MAX}")


def rule_document(rule: Rule) -> dict[str, object]:
    """A rule as JSON: only what it changes."""
    return {name: value for name, value in asdict(rule).items() if value != getattr(NO_RULE, name)}
