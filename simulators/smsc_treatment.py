"""What the SMSC simulator does with each submission: the usual, changed by the rule it meets, then by chance."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, NamedTuple

from gateway.smpp.consts import Status
from gateway.smpp.pdu import SubmitSm
from simulators.faults import SmscFaults
from simulators.smsc_config import SmscConfig
from simulators.smsc_messages import Taken
from simulators.smsc_rule import ENROUTE, NO_RECEIPT, NO_RULE, Rule, status_of
from simulators.smsc_rules import Rulebook, Submission
from simulators.streams import Stream


class Treatment(NamedTuple):
    """What is done with one submission: its rule, then what chance adds. `stats` are its receipts in order, () for the rule's one."""

    rule: Rule
    status: int
    responds: bool
    response_delay_s: float
    receipt_delay_s: float
    copies: int
    is_receipt_first: bool
    unbinds: bool = False
    resets: bool = False
    stats: tuple[str, ...] = ()


class Treatments:
    """Decides; `numbers` is where chance comes from when the bind has no stream of its own."""

    def __init__(self, config: SmscConfig, rules: Rulebook, faults: SmscFaults | None, numbers: Stream) -> None:
        self._rules = rules
        self._faults = faults
        self._numbers = numbers
        self._response_delay_s = config.response_delay_ms / 1000
        self._receipt_delay_s = config.receipt_delay_ms / 1000
        # Without chance the usual treatment is always the same value.
        self._usual = self._of_rule(rules.usual, numbers) if not _is_drawn(rules.usual) else None

    def plain(self, destination: str) -> Treatment | None:
        """The usual treatment where nothing can change it: no rule, no fault, no chance; else None."""
        return self._usual if self._faults is None and not self._rules.may_meet(destination) else None

    def of(self, request: SubmitSm, system_id: str = "", bind: int = 0, numbers: Stream | None = None, now_s: float = 0.0) -> Treatment:
        """What will be done with a submission; rules draw from `numbers`, faults from the stream of all binds."""
        is_ruled = self._rules.may_meet(request.destination_addr)
        if not is_ruled and self._faults is None and self._usual is not None:
            return self._usual
        numbers = numbers or self._numbers
        rule = self._rule(request, system_id, bind, numbers, now_s) if is_ruled else self._rules.usual
        usual = self._usual if rule is self._rules.usual else None
        treatment = usual if usual is not None else self._of_rule(rule, numbers)
        return treatment if self._faults is None else self._with_faults(treatment, self._faults)

    def _rule(self, request: SubmitSm, system_id: str, bind: int, numbers: Stream, now_s: float) -> Rule:
        taken = Taken(("", ""), 0, "", request)

        def read_text() -> str:
            return taken.text() or ""

        submission = Submission(request.source_addr, request.destination_addr, taken.body, read_text, system_id, bind)
        return self._rules.decide(submission, numbers.random, now_s)

    def _of_rule(self, rule: Rule, numbers: Stream) -> Treatment:
        """A rule's effects, with everything drawn that it leaves to chance."""
        status = rule.status if rule.statuses is None else status_of(rule.statuses.draw(numbers))
        copies = rule.receipts if rule.receipt else 0
        stats: tuple[str, ...] = ()
        if rule.stats is not None:
            drawn = rule.stats.draw(numbers)
            if drawn == NO_RECEIPT:
                copies = 0
            else:
                stats = tuple(drawn.split("+"))
                rule = replace(rule, stat=next((stat for stat in stats if stat not in ("ACCEPTD", ENROUTE)), "ACCEPTD"))
        response_s = rule.response_delay_ms / 1000 or self._response_delay_s
        receipt_s = rule.receipt_delay_ms / 1000 or self._receipt_delay_s
        return Treatment(
            rule,
            status,
            rule.response,
            response_s if rule.response_latency is None else rule.response_latency.draw_s(numbers),
            receipt_s if rule.receipt_latency is None else rule.receipt_latency.draw_s(numbers),
            copies,
            rule.receipt_first,
            rule.then == "unbind",
            rule.then == "reset",
            stats,
        )

    def _with_faults(self, usual: Treatment, faults: SmscFaults) -> Treatment:
        fault = faults.draw(self._numbers)
        return usual._replace(
            status=usual.status or (Status.ESME_RTHROTTLED if fault.is_throttled else 0),
            responds=usual.responds and not fault.is_response_lost,
            response_delay_s=usual.response_delay_s + fault.response_delay_s,
            receipt_delay_s=max(usual.receipt_delay_s, fault.receipt_delay_s),
            copies=usual.copies * fault.receipt_copies,
            is_receipt_first=usual.is_receipt_first or fault.is_receipt_early,
            unbinds=usual.unbinds or fault.unbinds,
            resets=usual.resets or fault.resets,
        )


def decided(request: SubmitSm, treatment: Treatment) -> dict[str, Any]:
    """A decision for the event log: which message, told by its hash, and what will be done with it."""
    return {
        "source": request.source_addr,
        "destination": request.destination_addr,
        "body": hashlib.sha256(request.short_message).hexdigest()[:16],
        "responds": treatment.responds,
        "response_us": round(treatment.response_delay_s * 1e6),
        "receipt_us": round(treatment.receipt_delay_s * 1e6),
        "stats": list(treatment.stats or (treatment.rule.stat,)),
        "copies": treatment.copies,
        "fault": treatment.rule.fault,
    }


def _is_drawn(rule: Rule) -> bool:
    return any(each is not None for each in (rule.statuses, rule.stats, rule.response_latency, rule.receipt_latency))


assert not _is_drawn(NO_RULE)
