"""What a partner may do: one value, read from and written to the JSON beside its account. Everything left out sets no limit.

Decided here: which keys there are, what each may say, and who may bind how. What a message may be is in `admission.py`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from gateway.domain.failure import Refused

Network = IPv4Network | IPv6Network
DAY_S = 86_400
JSON_CHARS_MAX = 65_536
LIST_MAX = 1_000
BIND_KINDS = ("transmitter", "receiver", "transceiver")
VERSIONS = ("3.3", "3.4", "5.0")
RECEIPT_PDUS = ("deliver_sm", "data_sm")
REPLACEMENTS: dict[str, bool | None] = {"service": None, "yes": True, "no": False}
HOLD_S = 7 * DAY_S

# An address, or the beginning of one with a star behind it; names may hold what a sender's name may.
_SENDER = re.compile(r"\+?[0-9]{1,20}\*?|[A-Za-z0-9 ._&'!-]{1,11}\*?|\*")
_PREFIX = re.compile(r"\+?[0-9]{1,20}\*?")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"[\x20-\x7e]{0,255}")


def _key(default: Any, text: str, **limits: Any) -> Any:
    """One key of the policy: its default, what it is for, and its limits."""
    return field(default=default, metadata={"text": text, **limits})


@dataclass(frozen=True, slots=True)
class PartnerPolicy:
    """A partner's limits and wishes; the JSON has the same keys."""

    networks: tuple[str, ...] = _key((), "Addresses and networks its binds may come from (v4, v6, CIDR); none: anywhere")
    binds_max: int = _key(0, "Most sessions at one time; 0: no limit", most=10_000)
    bind_kinds: tuple[str, ...] = _key((), "Ways it may bind: transmitter, receiver, transceiver; none: all", choices=BIND_KINDS)
    interface_versions: tuple[str, ...] = _key((), "SMPP versions it may bind with: 3.3, 3.4, 5.0; none: all", choices=VERSIONS)
    system_type: str = _key("", "The system_type its binds must name; empty: any", pattern=re.compile(r"[\x21-\x7e]{0,12}"))
    tls_required: bool = _key(False, "Whether it may bind over TLS only")
    certificate_subject: str = _key("", "Common name its client certificate must have; empty: none is asked for", pattern=_TEXT)
    certificate_sha256: str = _key("", "Fingerprint its client certificate must have, 64 hexadecimal digits", pattern=_FINGERPRINT)
    strict: bool = _key(False, "Whether what SMPP 3.4 forbids, but harms nobody, is refused")
    window: int = _key(0, "Most of its requests that may wait for an answer, on each session; 0: as the server's", most=100_000)
    rate_per_s: float = _key(0.0, "Most messages a second over all its sessions and requests; 0: no limit", most=1_000_000)
    messages_per_day: int = _key(0, "Most messages a day, UTC; 0: no limit", most=2_000_000_000)
    senders: tuple[str, ...] = _key((), "Senders it may use: exact, or a beginning such as 1066*; none: any", pattern=_SENDER)
    destinations: tuple[str, ...] = _key((), "Beginnings of numbers it may send to, such as 86139; none: any", pattern=_PREFIX)
    destinations_denied: tuple[str, ...] = _key((), "Beginnings of numbers it may not send to", pattern=_PREFIX)
    services: tuple[str, ...] = _key((), "Services it may use; none: all", pattern=_SERVICE)
    service: str = _key("", "Service of messages that name none; empty: the first of the configuration", pattern=_SERVICE)
    priority_max: int = _key(3, "Highest priority_flag it may use; 2 and 3 pass other messages", most=3)
    validity_s_max: int = _key(0, "Longest validity of its messages in seconds; 0: as the service", most=5_443_200)
    replace_typographic: str = _key(
        "service",
        "Whether curly quotes and their like are replaced to stay in GSM 7-bit: yes, no, or as the service",
        choices=(*REPLACEMENTS,),
    )
    receipt_pdu: str = _key("deliver_sm", "PDU that carries receipts: deliver_sm or data_sm", choices=RECEIPT_PDUS)
    receipt_tlvs: bool = _key(True, "Whether receipts in deliver_sm have optional parameters")
    hold_s: int = _key(HOLD_S, "How long messages and receipts wait for it while it is away, in seconds", least=60, most=90 * DAY_S)
    outbind_host: str = _key("", "Where to connect and say outbind when something waits for it; empty: nowhere", pattern=_TEXT)
    outbind_port: int = _key(2775, "Port of outbind_host", least=1, most=65_535)


DEFAULT = PartnerPolicy()
_FIELDS = {each.name: each for each in fields(PartnerPolicy)}


class Key:
    """One key as commands and documents see it."""

    __slots__ = ("choices", "default", "name", "text")

    def __init__(self, name: str) -> None:
        described = _FIELDS[name]
        assert described.default is not MISSING
        self.name = name
        self.default: Any = described.default
        self.text: str = described.metadata["text"]
        self.choices: tuple[str, ...] = described.metadata.get("choices", ())


KEYS = tuple(Key(name) for name in _FIELDS)


def parse(text: str) -> PartnerPolicy:
    """The policy in a JSON text; raises Refused, with the key at fault as its field."""
    if len(text) > JSON_CHARS_MAX:
        raise Refused("bad_policy", f"a policy has at most {JSON_CHARS_MAX} characters")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("bad_policy", "the policy is no JSON") from None
    if not isinstance(given, dict):
        raise Refused("bad_policy", "the policy is no JSON object")
    return of(given)


def of(given: Mapping[str, Any]) -> PartnerPolicy:
    """The policy with these keys, the others at their defaults; raises Refused, with the key at fault as its field."""
    policy = PartnerPolicy(**{name: _checked(name, value) for name, value in given.items()})
    if policy.service and policy.services and policy.service not in policy.services:
        raise Refused("bad_policy", "is not among the services it may use", field="service")
    return policy


def to_json(policy: PartnerPolicy) -> str:
    """The JSON of a policy, with the keys that differ from their defaults only."""
    return json.dumps(changed(policy), ensure_ascii=False, separators=(",", ":"))


def changed(policy: PartnerPolicy) -> dict[str, Any]:
    """The keys of a policy that differ from their defaults, with plain JSON values."""
    found = {name: getattr(policy, name) for name in _FIELDS if getattr(policy, name) != getattr(DEFAULT, name)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _checked(name: str, value: Any) -> Any:
    described = _FIELDS.get(name)
    if described is None:
        close = difflib.get_close_matches(name[:40], _FIELDS, n=1)
        advice = f"did you mean {close[0]}?" if close else f"known are: {', '.join(_FIELDS)}"
        raise Refused("bad_policy", f"is no key of a policy; {advice}", field=name[:40])
    default, limits = described.default, described.metadata
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise Refused("bad_policy", "must be true or false", field=name)
        return value
    if isinstance(default, int | float):
        return _number(name, value, type(default), limits)
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or len(value) > LIST_MAX:
            raise Refused("bad_policy", f"must be a list of at most {LIST_MAX} texts", field=name)
        return tuple(dict.fromkeys(_text(name, each, limits) for each in value))
    return _text(name, value, limits)


def _number(name: str, value: Any, kind: type, limits: Mapping[str, Any]) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and not isinstance(value, int)):
        raise Refused("bad_policy", "must be a whole number" if kind is int else "must be a number", field=name)
    least, most = limits.get("least", 0), limits["most"]
    if not least <= value <= most:
        raise Refused("bad_policy", f"must be {least} to {most}", field=name)
    return float(value) if kind is float else value


def _text(name: str, value: Any, limits: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise Refused("bad_policy", "must be text", field=name)
    choices = limits.get("choices")
    if choices is not None:
        if value not in choices:
            raise Refused("bad_policy", f"must be one of {', '.join(choices)}", field=name)
        return value
    pattern: re.Pattern[str] | None = limits.get("pattern")
    if pattern is None:
        return str(_network(name, value))
    text = value.replace(":", "").lower() if name == "certificate_sha256" else str(value)
    if text and pattern.fullmatch(text) is None:
        raise Refused("bad_policy", f"{text[:40]!r} is not what belongs here", field=name)
    return text


def _network(name: str, value: str) -> Network:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise Refused("bad_policy", f"{value[:40]!r} is no IP address and no network", field=name) from None


def networks_of(policy: PartnerPolicy) -> tuple[Network, ...]:
    """The networks of a policy as such."""
    return tuple(ip_network(each) for each in policy.networks)


def is_within(peer: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of the networks; an IPv4 address in IPv6's clothes counts as what it is."""
    try:
        address: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in each for each in networks)
