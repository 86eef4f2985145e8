"""How an SMSC simulator behaves when no rule says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.smpp.session import Limits
from simulators.smsc_messages import IdForm
from simulators.smsc_rules import DEFAULT_RULES, Rule

# The window of deliver_sm towards one bind, and how many submit_sm one bind may leave unanswered.
SMSC_LIMITS = Limits(window_max=200, peer_window_max=100_000)


@dataclass(frozen=True, slots=True)
class SmscConfig:
    """Every knob. `system_id` and `password` None let anybody in; `first_id` None counts from the clock.

    `log_max` 0 keeps no message (query_sm then knows none), `with_phones` False shows none: both for load tests.
    """

    host: str = "127.0.0.1"
    port: int = 2776
    system_id: str | None = None
    password: str | None = None
    smsc_id: str = "bellhop-sim"
    id_form: IdForm = IdForm.DEC
    first_id: int | None = None
    seed: int | None = None
    receipt_delay_ms: int = 200
    response_delay_ms: int = 0
    rules: tuple[Rule, ...] = DEFAULT_RULES
    log_max: int = 100_000
    phones_max: int = 1_000
    with_phones: bool = True
    held_max: int = 1_000_000
    retry_delay_ms: int = 1_000
    limits: Limits = SMSC_LIMITS

    @classmethod
    def for_load(cls, host: str = "127.0.0.1", port: int = 0, receipt_delay_ms: int = 0) -> SmscConfig:
        """The far end of a load test: no rules, no log, no phones."""
        return cls(host=host, port=port, receipt_delay_ms=receipt_delay_ms, rules=(), log_max=0, with_phones=False)
