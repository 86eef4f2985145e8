"""How an SMSC simulator behaves when no rule says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.smpp.session import Limits
from simulators.smsc_checks import SERVICE_TYPES
from simulators.smsc_ids import IdForm
from simulators.smsc_rules import DEFAULT_RULES, NO_RULE, Rule
from simulators.smsc_script import BindRule, Event, MoStream

# The window of deliver_sm towards one bind, and how many submit_sm one bind may leave unanswered.
SMSC_LIMITS = Limits(window_max=200, peer_window_max=100_000)


@dataclass(frozen=True, slots=True)
class SmscConfig:
    """Every knob. `system_id` and `password` None let anybody in; `first_id` None counts from the clock.

    `log_max` 0 keeps no message (query_sm then knows none), `with_phones` False shows none, `checks` False takes any field:
    all three for load tests. `pdus_max` is how many PDUs the inspector remembers, 0 for none.
    """

    host: str = "127.0.0.1"
    port: int = 2776
    name: str = "smsc"
    system_id: str | None = None
    password: str | None = None
    system_types: tuple[str, ...] = ()
    smsc_id: str = "bellhop-sim"
    id_form: IdForm = IdForm.DEC
    receipt_id_form: IdForm | None = None
    first_id: int | None = None
    seed: int | None = None
    receipt_delay_ms: int = 200
    response_delay_ms: int = 0
    rules: tuple[Rule, ...] = DEFAULT_RULES
    usual: Rule = NO_RULE
    binds: tuple[BindRule, ...] = ()
    binds_max: int = 0
    events: tuple[Event, ...] = ()
    streams: tuple[MoStream, ...] = ()
    checks: bool = True
    senders: tuple[str, ...] = ()
    service_types: tuple[str, ...] = SERVICE_TYPES
    log_max: int = 100_000
    pdus_max: int = 0
    is_journalled: bool = False
    phones_max: int = 1_000
    with_phones: bool = True
    held_max: int = 1_000_000
    retry_delay_ms: int = 1_000
    limits: Limits = SMSC_LIMITS

    @classmethod
    def for_load(cls, host: str = "127.0.0.1", port: int = 0, receipt_delay_ms: int = 0) -> SmscConfig:
        """The far end of a load test: no rules, no checks, no log, no phones."""
        return cls(host=host, port=port, receipt_delay_ms=receipt_delay_ms, rules=(), checks=False, log_max=0, with_phones=False)
