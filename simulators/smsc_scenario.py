"""Scenarios: the SMSCs of one process with all their behaviour, as a TOML file, as a JSON document, and as settings. Pure."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from gateway.smpp.session import Limits
from simulators import form
from simulators.form import FormError, key, table, tables
from simulators.smsc_checks import SERVICE_TYPES
from simulators.smsc_config import SMSC_LIMITS, SmscConfig
from simulators.smsc_ids import IdForm
from simulators.smsc_rule import PATTERNS, Rule
from simulators.smsc_rules import DEFAULT_RULES
from simulators.smsc_script import BindRule, Event, MoStream, Tls, read_texts

SMSCS_MAX = 100
_SECONDS: dict[str, Any] = {"least": 0, "most": 86_400}


@dataclass(frozen=True, slots=True)
class SmscLimits:
    """Limits of a session."""

    window_max: int = key(SMSC_LIMITS.window_max, "how many deliver_sm may be unanswered", least=1, most=1_000_000)
    peer_window_max: int = key(
        SMSC_LIMITS.peer_window_max, "how many requests of an ESME; more get ESME_RTHROTTLED", least=1, most=10_000_000
    )
    response_timeout_s: float = key(60.0, "how long a response is waited for", **_SECONDS)
    enquire_link_s: float = key(30.0, "ask with enquire_link after so much silence, 0 never", **_SECONDS)
    inactivity_timeout_s: float = key(0.0, "unbind who sends only enquire_link for so long, 0 never", **_SECONDS)
    session_init_timeout_s: float = key(10.0, "close a connection without a bind after", **_SECONDS)
    pdu_timeout_s: float = key(10.0, "close a connection whose PDU stays unfinished for", **_SECONDS)
    unbind_timeout_s: float = key(5.0, "how long unbind_resp is waited for", **_SECONDS)


@dataclass(frozen=True, slots=True)
class SmscForm:
    """One SMSC of a scenario."""

    name: str = key("smsc", "what the page, the API and the event log call it", most=40)
    port: int = key(2776, "SMPP port, 0 for a free one", least=0, most=65535)
    system_id: str = key("", "let only this system_id bind; left out, anybody", most=15)
    password: str = key("", "the password that goes with it", most=8)
    system_types: tuple[str, ...] = key((), "let only these system_types bind; left out, any", read=read_texts, write=list)
    smsc_id: str = key("bellhop-sim", "the system_id in bind_resp", most=15)
    binds_max: int = key(0, "how many binds one system_id may have, 0 any; one more gets ESME_RALYBND", least=0, most=10_000)
    id_form: str = key("dec", "how message ids are written in responses", words=tuple(IdForm))
    receipt_id_form: str = key("", "and in receipts, if otherwise", words=("", *IdForm))
    first_id: int = key(0, "the first message id; 0 counts from the clock", least=0, most=(1 << 62))
    receipt_delay_ms: int = key(200, "from submit_sm to the phone and to the receipt", least=0, most=86_400_000)
    response_delay_ms: int = key(0, "from submit_sm to its response", least=0, most=86_400_000)
    retry_delay_ms: int = key(1_000, "until a deliver_sm refused for now is sent again", least=1, most=86_400_000)
    magic_numbers: bool = key(True, "whether the last four digits of a destination pick its fate, after all rules")
    checks: bool = key(True, "whether submissions with illegal fields are refused")
    senders: tuple[str, ...] = key((), "shapes of allowed senders; left out, any", read=read_texts, write=list)
    service_types: tuple[str, ...] = key(SERVICE_TYPES, "allowed service_types, `*` for any", read=read_texts, write=list)
    log_max: int = key(100_000, "how many messages are remembered", least=0, most=10_000_000)
    pdus_max: int = key(5_000, "how many PDUs the inspector remembers, 0 for none", least=0, most=1_000_000)
    phones: bool = key(True, "whether messages appear on virtual phones")
    tls: Tls = table(Tls, "TLS, see below")
    limits: SmscLimits = table(SmscLimits, "limits of a session, see below")
    usual: Rule = table(Rule, "what happens to each message, as far as no rule says otherwise: the effects of a rule")
    rule: tuple[Rule, ...] = tables(Rule, "rules for messages, see below")
    bind: tuple[BindRule, ...] = tables(BindRule, "rules for binds, see below")
    event: tuple[Event, ...] = tables(Event, "what happens at set times, see below")
    mo: tuple[MoStream, ...] = tables(MoStream, "streams of messages from phones, see below")

    def check(self, where: str) -> None:
        """Raise FormError when the usual has a pattern: it meets every message."""
        pattern = next((name for name in form.document(self.usual) if name in PATTERNS - {"note"}), None)
        if pattern is not None:
            raise FormError(f"{where}.usual.{pattern}" if where else f"usual.{pattern}", "a pattern; write it into a [[smsc.rule]]")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario."""

    about: str = key("", "what it is for", most=10_000)
    seed: int = key(0, "where chance comes from; 0 takes one from the machine and prints it", least=0, most=(1 << 63) - 1)
    smsc: tuple[SmscForm, ...] = tables(SmscForm, "the SMSCs, see below", most=SMSCS_MAX)

    def check(self, where: str) -> None:
        """Raise FormError when two SMSCs share a name or a port, or there is none."""
        if not self.smsc:
            raise FormError("smsc", "a scenario needs at least one [[smsc]]")
        for name in ("name", "port"):
            seen: dict[object, int] = {}
            for place, smsc in enumerate(self.smsc):
                value = getattr(smsc, name)
                if value in seen and value != 0:
                    raise FormError(f"smsc[{place}].{name}", f"{value} is smsc[{seen[value]}]'s too")
                seen[value] = place


# What a running SMSC cannot change.
FIXED = frozenset({"name", "port", "tls", "log_max", "pdus_max", "phones", "first_id", "limits"})


def parse(text: str, name: str) -> Scenario:
    """A scenario from TOML; `name` stands in front of the error. Raises FormError."""
    try:
        return form.read(Scenario, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise FormError(name, f"not TOML: {error}") from None
    except FormError as error:
        raise FormError(name, str(error)) from None


def shipped() -> dict[str, str]:
    """The scenarios that come with the simulator, by name: their TOML."""
    folder = resources.files("simulators").joinpath("scenarios")
    return {each.name.removesuffix(".toml"): each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(".toml")}


def config_of(one: SmscForm, *, host: str, seed: int | None, is_journalled: bool = False) -> SmscConfig:
    """The settings an SMSC runs with."""
    return SmscConfig(
        host=host,
        port=one.port,
        name=one.name,
        system_id=one.system_id or None,
        password=one.password or None,
        system_types=one.system_types,
        smsc_id=one.smsc_id,
        id_form=IdForm(one.id_form),
        receipt_id_form=IdForm(one.receipt_id_form) if one.receipt_id_form else None,
        first_id=one.first_id or None,
        seed=seed,
        receipt_delay_ms=one.receipt_delay_ms,
        response_delay_ms=one.response_delay_ms,
        rules=(*one.rule, *(DEFAULT_RULES if one.magic_numbers else ())),
        usual=one.usual,
        binds=one.bind,
        binds_max=one.binds_max,
        events=one.event,
        streams=one.mo,
        checks=one.checks,
        senders=one.senders,
        service_types=one.service_types,
        log_max=one.log_max,
        pdus_max=one.pdus_max,
        is_journalled=is_journalled,
        with_phones=one.phones,
        retry_delay_ms=one.retry_delay_ms,
        limits=Limits(**{each.name: getattr(one.limits, each.name) for each in fields(SmscLimits)}),
    )


def form_of(config: SmscConfig) -> SmscForm:
    """The form of settings made otherwise, so that any running SMSC can be shown and changed."""
    has_magic = config.rules[-len(DEFAULT_RULES) :] == DEFAULT_RULES
    names: dict[str, Any] = {each.name: getattr(config, each.name) for each in fields(SmscForm) if hasattr(config, each.name)}
    limits = {each.name: getattr(config.limits, each.name) for each in fields(SmscLimits)}
    return SmscForm(
        **names
        | {
            "system_id": config.system_id or "",
            "password": config.password or "",
            "id_form": str(config.id_form),
            "receipt_id_form": str(config.receipt_id_form or ""),
            "first_id": config.first_id or 0,
            "magic_numbers": has_magic,
            "phones": config.with_phones,
            "limits": SmscLimits(**limits),
            "rule": config.rules[: -len(DEFAULT_RULES)] if has_magic else config.rules,
            "bind": config.binds,
            "event": config.events,
            "mo": config.streams,
        }
    )


def check_change(old: SmscForm, new: SmscForm, where: str = "") -> None:
    """Raise FormError when a change needs a new start."""
    for name in sorted(FIXED):
        if getattr(old, name) != getattr(new, name):
            raise FormError(f"{where}.{name}" if where else name, "cannot change while the SMSC runs")
