"""What a partner may send, how fast and how many a day."""

from __future__ import annotations

import pytest

from gateway.domain.admission import US, Admission, day_of, is_needed
from gateway.domain.failure import Kind, Refused
from gateway.domain.policy import DAY_S, of

NOON_US = (20_000 * DAY_S + DAY_S // 2) * US


def admission(**keys: object) -> Admission:
    return Admission(of(keys), 0.0)


def refusal(call, *args: object) -> Refused:
    with pytest.raises(Refused) as refused:
        call(*args)
    return refused.value


@pytest.mark.parametrize(
    ("keys", "source", "reason"),
    [
        ({"senders": ["1066*"]}, "10661800", None),
        ({"senders": ["1066*"]}, "1067", "sender_not_allowed"),
        ({"senders": ["10661800"]}, "106618001", "sender_not_allowed"),
        ({"senders": ["+8613900000001"]}, "8613900000001", None),
        ({"senders": ["ACME", "Bank*"]}, "BankOne", None),
        ({"senders": ["ACME"]}, "acme", "sender_not_allowed"),
        ({"senders": []}, "anything", None),
    ],
)
def test_senders_are_exact_or_beginnings(keys, source, reason):
    """M04"""
    limits = admission(**keys)

    if reason is None:
        limits.check(source, "8613900000001", "chat", 0)
    else:
        assert refusal(limits.check, source, "8613900000001", "chat", 0).reason == reason


@pytest.mark.parametrize(
    ("keys", "is_allowed"),
    [
        ({"destinations": ["86139"]}, True),
        ({"destinations": ["+86139*"]}, True),
        ({"destinations": ["86138", "1"]}, False),
        ({"destinations_denied": ["86139"]}, False),
        ({"destinations": ["86"], "destinations_denied": ["861390"]}, False),
        ({"destinations_denied": ["1"]}, True),
    ],
)
def test_destinations_are_allowed_and_denied_by_their_beginnings(keys, is_allowed):
    limits = admission(**keys)

    if is_allowed:
        limits.check("1066", "8613900000001", "chat", 0)
    else:
        assert refusal(limits.check, "1066", "8613900000001", "chat", 0).reason == "destination_not_allowed"


def test_services_and_urgency_are_for_those_who_may():
    limits = admission(services=["chat"], priority_max=1)

    assert refusal(limits.check, "1066", "861", "premium", 0).reason == "service_not_allowed"
    assert refusal(limits.check, "1066", "861", "chat", 2).reason == "priority_not_allowed"


def test_the_rate_holds_over_time_and_says_when_to_come_again():
    """M24"""
    limits = admission(rate_per_s=10)

    refusals = []
    for tick in range(1_000):
        try:
            limits.take(tick / 100, NOON_US)
        except Refused as refused:
            refusals.append(refused)

    assert 890 <= len(refusals) <= 891
    assert {(refused.reason, refused.kind) for refused in refusals} == {("throttled", Kind.THROTTLED)}
    assert all(0 < refused.retry_after_s <= 0.1 for refused in refusals)


def test_a_batch_comes_whole_and_its_rate_is_paid_afterwards():
    limits = admission(rate_per_s=10)

    limits.begin_batch(0.0)
    for _ in range(50):
        limits.take(0.0, NOON_US)
    limits.end_batch()

    assert refusal(limits.take, 4.0, NOON_US).reason == "throttled"
    limits.take(4.11, NOON_US)


def test_a_batch_that_comes_too_early_is_refused_whole():
    limits = admission(rate_per_s=1)
    limits.take(0.0, NOON_US)

    limits.begin_batch(0.1)
    assert refusal(limits.take, 0.1, NOON_US).reason == "throttled"
    assert refusal(limits.take, 5.0, NOON_US).reason == "throttled"
    limits.end_batch()


def test_the_day_has_an_end_and_begins_again_at_midnight_utc():
    """M25"""
    limits = admission(messages_per_day=2)
    limits.take(0.0, NOON_US)
    limits.take(0.0, NOON_US)

    refused = refusal(limits.take, 0.0, NOON_US)

    assert (refused.reason, refused.kind, refused.retry_after_s) == ("day_quota", Kind.THROTTLED, DAY_S // 2)
    limits.take(0.0, NOON_US + DAY_S // 2 * US)


def test_what_was_not_accepted_is_given_back_on_its_own_day_only():
    limits = admission(messages_per_day=1)
    limits.take(0.0, NOON_US)
    limits.give_back(NOON_US)
    limits.take(0.0, NOON_US)

    limits.give_back(NOON_US - DAY_S * US)

    assert refusal(limits.take, 0.0, NOON_US).reason == "day_quota"


def test_what_the_store_has_counted_is_learnt_and_never_forgotten():
    limits = admission(messages_per_day=10)
    limits.learn(day_of(NOON_US), 7)
    limits.learn(day_of(NOON_US), 3)

    assert limits.used_today(NOON_US) == 7
    assert limits.adopt(of({"messages_per_day": 7}), 0.0).used_today(NOON_US) == 7


@pytest.mark.parametrize(
    ("keys", "is_so"),
    [({}, False), ({"networks": ["10.0.0.0/8"], "binds_max": 3}, False), ({"rate_per_s": 1}, True), ({"service": "chat"}, True)],
)
def test_only_limits_on_messages_cost_anything_per_message(keys, is_so):
    assert is_needed(of(keys)) is is_so
