"""A partner's policy: its JSON, and which binds suit it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import policy as policies
from gateway.domain.failure import Refused
from gateway.domain.knock import Knock, why_not_from, why_not_so
from gateway.domain.policy import DEFAULT, KEYS, PartnerPolicy, of, parse, to_json

NETWORKS = st.one_of(st.ip_addresses().map(str), st.ip_addresses(v=4).map(lambda each: f"{each}/24"))
PATTERNS = st.from_regex(r"[0-9]{1,12}\*?", fullmatch=True)
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "networks": st.lists(NETWORKS, max_size=4),
        "binds_max": st.integers(0, 10_000),
        "bind_kinds": st.lists(st.sampled_from(policies.BIND_KINDS), max_size=3),
        "interface_versions": st.lists(st.sampled_from(policies.VERSIONS), max_size=3),
        "rate_per_s": st.floats(0, 1_000_000) | st.integers(0, 1_000),
        "messages_per_day": st.integers(0, 2_000_000_000),
        "senders": st.lists(PATTERNS | st.sampled_from(["ACME", "Bank*"]), max_size=4),
        "destinations": st.lists(PATTERNS, max_size=4),
        "destinations_denied": st.lists(PATTERNS, max_size=4),
        "services": st.lists(st.sampled_from(["chat", "notice"]), max_size=2),
        "priority_max": st.integers(0, 3),
        "strict": st.booleans(),
        "tls_required": st.booleans(),
        "certificate_sha256": st.binary(min_size=32, max_size=32).map(bytes.hex),
        "receipt_pdu": st.sampled_from(policies.RECEIPT_PDUS),
        "receipt_tlvs": st.booleans(),
        "hold_s": st.integers(60, 90 * 86_400),
        "outbind_port": st.integers(1, 65_535),
    },
)
KNOCK = Knock("192.0.2.7", "transceiver", 0x34, "")


@given(POLICIES)
@settings(max_examples=200)
def test_a_policy_written_and_read_is_the_same(keys):
    policy = of(keys)

    assert parse(to_json(policy)) == policy
    assert parse(json.dumps(keys)) == policy


def test_a_policy_without_limits_is_written_as_nothing():
    assert to_json(PartnerPolicy()) == "{}"
    assert parse("{}") == DEFAULT


@given(st.dictionaries(st.text(max_size=20), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())))
@settings(max_examples=200)
def test_whatever_else_is_refused_with_a_text(keys):
    written = json.dumps(keys)

    if set(keys) <= {key.name for key in KEYS}:
        assert set(keys) == set() or parse(to_json(parse(written))) == parse(written)
    else:
        with pytest.raises(Refused, match=r".") as refused:
            parse(written)
        assert refused.value.reason == "bad_policy"
        assert refused.value.text


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ('{"rate": 5}', "rate", "rate_per_s"),
        ('{"rate_per_s": "5"}', "rate_per_s", "number"),
        ('{"rate_per_s": NaN}', "rate_per_s", "must be 0 to"),
        ('{"rate_per_s": -1}', "rate_per_s", "must be 0 to"),
        ('{"binds_max": 1.5}', "binds_max", "whole"),
        ('{"binds_max": true}', "binds_max", "whole"),
        ('{"strict": 1}', "strict", "true or false"),
        ('{"networks": "10.0.0.0/8"}', "networks", "list"),
        ('{"networks": ["10.0.0.0/33"]}', "networks", "no IP address"),
        ('{"senders": ["**"]}', "senders", "not what belongs here"),
        ('{"bind_kinds": ["trx"]}', "bind_kinds", "transceiver"),
        ('{"certificate_sha256": "abc"}', "certificate_sha256", "not what belongs"),
        ('{"service": "a", "services": ["b"]}', "service", "not among"),
        ("[]", "", "no JSON object"),
        ("{", "", "no JSON"),
    ],
)
def test_a_bad_policy_is_refused_by_its_key(text, field, words):
    with pytest.raises(Refused) as refused:
        parse(text)

    assert refused.value.field == field
    assert words in refused.value.text


def test_every_key_is_described_and_says_its_limits():
    for each in fields(PartnerPolicy):
        assert each.metadata["text"]
        kind = type(each.default)
        assert kind in (bool, str, tuple) or "most" in each.metadata, each.name


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [("192.0.2.7", True), ("192.0.3.7", False), ("::ffff:192.0.2.7", True), ("2001:db8::5", True), ("2001:db9::5", False), ("", False)],
)
def test_addresses_are_looked_up_in_networks_of_both_kinds(address, is_allowed):
    policy = of({"networks": ["192.0.2.0/24", "2001:db8::/32"]})

    assert (why_not_from(policy, KNOCK._replace(address=address)) is None) is is_allowed


@pytest.mark.parametrize(
    ("keys", "knock", "why"),
    [
        ({"tls_required": True}, KNOCK, "tls"),
        ({"tls_required": True}, KNOCK._replace(is_tls=True), None),
        ({"certificate_subject": "acme"}, KNOCK, "tls"),
        ({"certificate_subject": "acme"}, KNOCK._replace(is_tls=True), "certificate"),
        ({"certificate_subject": "acme"}, KNOCK._replace(is_tls=True, certificate_subject="acme"), None),
        ({"certificate_sha256": "AB:" * 31 + "AB"}, KNOCK._replace(is_tls=True, certificate_sha256="ab" * 32), None),
        ({"certificate_sha256": "ab" * 32}, KNOCK._replace(is_tls=True, certificate_sha256="ac" * 32), "certificate"),
        ({"bind_kinds": ["receiver"]}, KNOCK, "kind"),
        ({"interface_versions": ["3.3"]}, KNOCK, "version"),
        ({"interface_versions": ["5.0"]}, KNOCK._replace(version=0x50), None),
        ({"system_type": "VMA"}, KNOCK, "system_type"),
        ({"system_type": "VMA"}, KNOCK._replace(system_type="VMA"), None),
    ],
)
def test_a_bind_suits_a_policy_or_not(keys, knock, why):
    policy = of(keys)

    assert (why_not_from(policy, knock) or why_not_so(policy, knock)) == why


def test_every_key_is_explained_to_operators():
    told = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")

    assert [key.name for key in KEYS if f"| `{key.name}` |" not in told] == []
