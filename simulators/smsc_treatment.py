"""What the SMSC simulator does with each submission: the usual, changed by the rule it meets, then by chance."""

from __future__ import annotations

from typing import NamedTuple

from gateway.smpp.consts import Status
from gateway.smpp.pdu import SubmitSm
from simulators.faults import SmscFaults
from simulators.smsc_config import SmscConfig
from simulators.smsc_messages import Taken
from simulators.smsc_rules import NO_RULE, Rule, Rulebook, Submission
from simulators.streams import Stream


class Treatment(NamedTuple):
    """What is done with one submission: its rule, then what chance adds."""

    rule: Rule
    status: int
    responds: bool
    response_delay_s: float
    receipt_delay_s: float
    copies: int
    is_receipt_first: bool
    unbinds: bool = False
    resets: bool = False


class Treatments:
    """Decides; `numbers` is where chance comes from."""

    def __init__(self, config: SmscConfig, rules: Rulebook, faults: SmscFaults | None, numbers: Stream) -> None:
        self._usual = Treatment(NO_RULE, 0, True, config.response_delay_ms / 1000, config.receipt_delay_ms / 1000, 1, False)
        self._rules = rules
        self._faults = faults
        self._numbers = numbers

    def of(self, request: SubmitSm) -> Treatment:
        """What will be done with a submission."""
        is_ruled = self._rules.may_meet(request.destination_addr)
        if not is_ruled and self._faults is None:
            return self._usual
        rule = self._rule(request) if is_ruled else NO_RULE
        usual = self._usual
        treatment = Treatment(
            rule,
            rule.status,
            rule.response,
            rule.response_delay_ms / 1000 or usual.response_delay_s,
            rule.receipt_delay_ms / 1000 or usual.receipt_delay_s,
            rule.receipts if rule.receipt else 0,
            rule.receipt_first,
        )
        return treatment if self._faults is None else self._with_faults(treatment, self._faults)

    def _rule(self, request: SubmitSm) -> Rule:
        def read_text() -> str:
            return Taken(("", ""), 0, "", request).text() or ""

        submission = Submission(request.source_addr, request.destination_addr, request.short_message, read_text)
        return self._rules.decide(submission, self._numbers.random)

    def _with_faults(self, usual: Treatment, faults: SmscFaults) -> Treatment:
        fault = faults.draw(self._numbers)
        return Treatment(
            usual.rule,
            usual.status or (Status.ESME_RTHROTTLED if fault.is_throttled else 0),
            usual.responds and not fault.is_response_lost,
            usual.response_delay_s + fault.response_delay_s,
            max(usual.receipt_delay_s, fault.receipt_delay_s),
            usual.copies * fault.receipt_copies,
            usual.is_receipt_first or fault.is_receipt_early,
            fault.unbinds,
            fault.resets,
        )
