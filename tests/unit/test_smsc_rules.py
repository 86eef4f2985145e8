"""The rules of the SMSC simulator: matching, counting, parsing."""

from __future__ import annotations

import pytest

from gateway.smpp.consts import Status
from simulators.form import FormError
from simulators.smsc_rules import DEFAULT_RULES, NO_RULE, Rule, Rulebook, Submission, parse_rule, rule_document


def submission(destination: str = "8613900009999", *, source: str = "1069", body: bytes = b"x", text: str = "x") -> Submission:
    return Submission(source, destination, body, lambda: text)


def never() -> float:
    raise AssertionError("no random number was needed")


def test_ordinary_destination_meets_no_default_rule():
    book = Rulebook()

    assert not book.may_meet("8613900001234")
    assert book.decide(submission(), never) is NO_RULE


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.suffix)
def test_magic_number_meets_its_rule(rule):
    book = Rulebook()
    destination = f"861390000{rule.suffix}"

    assert book.may_meet(destination)
    assert book.decide(submission(destination), never) is rule


def test_throttling_number_throttles_each_message_once():
    book = Rulebook()
    first, second = submission("860005", body=b"one"), submission("860005", body=b"two")

    statuses = [book.decide(each, never).status for each in (first, first, second, first, second)]

    assert statuses == [Status.ESME_RTHROTTLED, 0, Status.ESME_RTHROTTLED, 0, 0]


def test_first_matching_rule_wins_whatever_pattern_it_uses():
    book = Rulebook([Rule(prefix="86", contains="spam", note="a"), Rule(suffix="1", note="b"), Rule(note="c")])

    notes = [
        book.decide(submission("861", text="spam"), never).note,
        book.decide(submission("861"), never).note,
        book.decide(submission("862"), never).note,
    ]

    assert notes == ["a", "b", "c"]


def test_rule_for_one_source_leaves_others_alone():
    book = Rulebook([Rule(source="1069", status=0x45)])

    assert book.decide(submission(source="1069"), never).status == 0x45
    assert book.decide(submission(source="1070"), never).status == 0


def test_percentage_is_drawn():
    book = Rulebook([Rule(percent=30.0, stat="UNDELIV")])

    stats = [book.decide(submission(), lambda drawn=drawn: drawn).stat for drawn in (0.0, 0.29, 0.3, 0.99)]

    assert stats == ["UNDELIV", "UNDELIV", "DELIVRD", "DELIVRD"]


def test_rule_survives_its_json():
    rule = parse_rule({"suffix": "77", "status": "ESME_RMSGQFUL", "percent": 50, "times": 2})

    assert rule == Rule(suffix="77", status=0x14, percent=50.0, times=2)
    assert parse_rule(rule_document(rule)) == rule


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "object"),
        ({"sufix": "1"}, "sufix"),
        ({"suffix": 1}, "suffix"),
        ({"status": "ESME_NONSENSE"}, "status"),
        ({"status": True}, "status"),
        ({"status": -1}, "status"),
        ({"stat": "LOST"}, "stat"),
        ({"percent": 101}, "percent"),
        ({"percent": float("nan")}, "percent"),
        ({"err": "1"}, "err"),
        ({"receipts": 1000}, "receipts"),
        ({"receipt": "yes"}, "receipt"),
        ({"response_delay_ms": -5}, "response_delay_ms"),
    ],
)
def test_bad_rule_names_its_field(document, named):
    with pytest.raises(FormError, match=named):
        parse_rule(document)
