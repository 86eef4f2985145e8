"""Reconciliation: every record in exactly one class, and the differences add up to the difference of the totals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import matching, matching_summary
from billing.matching import DAY_US, Class, Item, Ours, Rules, Theirs, Tier
from billing.matching_summary import Group

MINUTE = 60_000_000
NOON = 12 * 60 * MINUTE
A, B, TESTER = "8613800000001", "8613800000002", "8613999999999"
RULES = Rules(20261001, 20261101, 10 * MINUTE, lambda msisdn: msisdn == TESTER)


def ours(id_: int = 1, **other: Any) -> Ours:
    facts: dict[str, Any] = {"day": 20261005, "at_us": NOON, "link": "", "smsc_ids": f"s{id_}", "msisdn": A, "service": "news", "cycle": 0}
    money = {"amount_minor": 10, "currency": "CNY", "is_billable": True, "is_expected": True}
    return Ours(**{"id": id_, **facts, **money, **other})


def theirs(line: int = 1, **other: Any) -> Theirs:
    facts: dict[str, Any] = {"day": 20261005, "at_us": NOON, "link": "", "smsc_id": f"s{line}", "msisdn": A, "service": "news", "cycle": 0}
    return Theirs(**{"line": line, **facts, "amount_minor": 10, "currency": "CNY", "is_billable": True, **other})


def only(our: list[Ours], their: list[Theirs]) -> Item:
    (item,) = matching.match(our, their, RULES)
    return item


def kinds(our: list[Ours], their: list[Theirs]) -> list[str]:
    return sorted(item.kind.name for item in matching.match(our, their, RULES))


def test_the_carriers_message_id_matches_first():
    item = only([ours()], [theirs(msisdn="", at_us=NOON + DAY_US)])

    assert (item.kind, item.tier, item.delta_minor) == (Class.MATCH, Tier.MESSAGE_ID, 0)


def test_another_amount_is_a_difference_of_amount():
    assert only([ours()], [theirs(amount_minor=25)])[:2] == (Class.AMOUNT_DIFF, Tier.MESSAGE_ID)
    assert only([ours()], [theirs(amount_minor=25)]).delta_minor == 15


def test_delivered_with_us_and_failed_with_the_carrier_is_a_difference_of_status():
    item = only([ours()], [theirs(is_billable=False)])

    assert (item.kind, item.delta_minor) == (Class.STATUS_DIFF, -10)


def test_what_we_released_and_the_carrier_bills_is_a_difference_of_status():
    item = only([ours(amount_minor=0, is_billable=False, is_expected=False)], [theirs()])

    assert (item.kind, item.delta_minor) == (Class.STATUS_DIFF, 10)


def test_what_we_released_need_not_be_in_the_file():
    assert kinds([ours(amount_minor=0, is_billable=False, is_expected=False)], []) == []


def test_the_parts_of_a_message_may_have_a_line_each():
    item = only([ours(amount_minor=30, smsc_ids="a;b;c")], [theirs(1, smsc_id="a"), theirs(2, smsc_id="b"), theirs(3, smsc_id="c")])

    assert (item.kind, item.lines, item.theirs_minor) == (Class.MATCH, (1, 2, 3), 30)


def test_without_message_ids_number_service_amount_and_time_match():
    assert only([ours(smsc_ids="")], [theirs(at_us=NOON + 9 * MINUTE)]).tier is Tier.TIME
    assert kinds([ours(smsc_ids="")], [theirs(at_us=NOON - 9 * MINUTE, amount_minor=15)]) == ["AMOUNT_DIFF"]
    assert kinds([ours(smsc_ids="")], [theirs(msisdn=B)]) == ["CARRIER_ONLY", "OURS_ONLY"]


def test_two_records_with_different_message_ids_are_never_the_same_by_time():
    assert kinds([ours(smsc_ids="x")], [theirs(smsc_id="y")]) == ["CARRIER_ONLY", "OURS_ONLY"]


def test_the_nearest_in_time_is_taken():
    near, far = ours(1, smsc_ids="", at_us=NOON + MINUTE), ours(2, smsc_ids="", at_us=NOON - 5 * MINUTE)

    items = list(matching.match([far, near], [theirs()], RULES))

    assert [(item.kind, item.charge_id) for item in items] == [(Class.MATCH, 1), (Class.OURS_ONLY, 2)]


def test_a_monthly_fee_matches_by_its_month_whatever_the_day():
    fee = {"cycle": 20261000, "amount_minor": 500}
    item = only([ours(smsc_ids="", **fee)], [theirs(smsc_id="", day=20261020, at_us=NOON + 15 * DAY_US, **fee)])

    assert (item.kind, item.tier) == (Class.MATCH, Tier.CYCLE)


def test_a_charge_of_the_day_before_the_period_is_a_shift_and_counts_with_the_carrier_only():
    item = only([ours(day=20260930)], [theirs(day=20261001)])

    assert (item.kind, item.ours_minor, item.theirs_minor, item.delta_minor) == (Class.PERIOD_SHIFT, 10, 10, 10)


def test_a_record_on_the_next_day_is_found_without_a_message_id():
    item = only([ours(smsc_ids="")], [theirs(smsc_id="", day=20261006, at_us=NOON + 13 * 60 * MINUTE)])

    assert (item.kind, item.tier, item.delta_minor) == (Class.PERIOD_SHIFT, Tier.NEXT_DAY, 0)


def test_a_charge_that_another_period_has_paired_is_a_shift_out_of_this_one():
    item = only([ours(is_elsewhere=True)], [])

    assert (item.kind, item.delta_minor) == (Class.PERIOD_SHIFT, -10)


def test_a_line_written_twice_is_the_carriers_duplicate():
    assert kinds([ours()], [theirs(1, smsc_id="s1"), theirs(2, smsc_id="s1")]) == ["DUP_CARRIER", "MATCH"]
    assert kinds([], [theirs(1, smsc_id=""), theirs(2, smsc_id="")]) == ["CARRIER_ONLY", "DUP_CARRIER"]


def test_two_charges_with_one_message_id_are_our_duplicate():
    items = matching.match([ours(1, smsc_ids="s1"), ours(2, smsc_ids="s1")], [theirs(1)], RULES)

    assert [(item.kind, item.charge_id, item.delta_minor) for item in items] == [(Class.MATCH, 1, 0), (Class.DUP_OURS, 2, -10)]


def test_a_message_id_used_again_after_days_is_another_message():
    again = {"day": 20261020, "at_us": NOON + 15 * DAY_US}

    items = matching.match([ours(1, smsc_ids="s1"), ours(2, smsc_ids="s1", **again)], [theirs(1), theirs(2, smsc_id="s1", **again)], RULES)

    assert [(item.kind, item.charge_id, item.lines) for item in items] == [(Class.MATCH, 1, (1,)), (Class.MATCH, 2, (2,))]


def test_test_numbers_are_told_apart_from_everything_else():
    assert kinds([ours(msisdn=TESTER)], [theirs(msisdn=TESTER)]) == ["TEST"]
    assert kinds([ours(msisdn=TESTER)], [theirs(2, msisdn=TESTER)]) == ["TEST", "TEST"]


def test_two_currencies_never_match():
    assert kinds([ours()], [theirs(currency="QQB")]) == ["CARRIER_ONLY", "OURS_ONLY"]


SIDES = st.lists(
    st.tuples(
        st.sampled_from([20260930, 20261001, 20261002, 20261031, 20261101]),
        st.integers(0, 3),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from([A, B, TESTER]),
        st.sampled_from([0, 0, 20261000]),
        st.sampled_from([0, 10, 20]),
        st.sampled_from(["CNY", "QQB"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)
DAYS = {20260930: 0, 20261001: 1, 20261002: 2, 20261031: 31, 20261101: 32}


def at(day: int, minute: int) -> int:
    return DAYS[day] * DAY_US + minute * 7 * MINUTE


@given(SIDES, SIDES)
@settings(max_examples=400)
def test_the_classes_partition_both_sides_and_differences_add_up(our_facts: list[Any], their_facts: list[Any]):
    our = [
        Ours(
            id_, day, DAYS[day] * DAY_US + minute * 7 * MINUTE, "", smsc, msisdn, "s", cycle, amount if ok else 0, currency, ok, ok and must
        )
        for id_, (day, minute, smsc, msisdn, cycle, amount, currency, ok, must) in enumerate(our_facts)
    ]
    their = [
        Theirs(line, day, at(day, minute), "", smsc, msisdn, "s", cycle, amount, currency, ok)
        for line, (day, minute, smsc, msisdn, cycle, amount, currency, ok, _) in enumerate(their_facts)
    ]

    items = list(matching.match(our, their, RULES))

    lines = [line for item in items for line in item.lines]
    assert sorted(lines) == [each.line for each in their]
    charged = [item.charge_id for item in items if item.charge_id is not None]
    expected = {each.id for each in our if each.is_expected and 20261001 <= each.day < 20261101}
    assert len(charged) == len(set(charged))
    assert expected <= set(charged)
    paired = {item.charge_id for item in items if item.lines}
    counted = [each for each in our if (each.is_expected or each.id in paired) and 20261001 <= each.day < 20261101]
    for currency in ("CNY", "QQB"):
        difference = sum(each.billed_minor for each in their if each.currency == currency) - sum(
            each.amount_minor for each in counted if each.currency == currency
        )
        assert matching.totals(items).get(currency, 0) == difference
    assert all(item.delta_minor == 0 for item in items if item.kind is Class.MATCH)


# -- sums only --------------------------------------------------------------------------------------------------------------


def group(line: int = 0, **other: Any) -> Group:
    facts: dict[str, Any] = {
        "day": 20261005,
        "service": "news",
        "price_minor": 10,
        "currency": "CNY",
        "record_count": 3,
        "amount_minor": 30,
    }
    return Group(**{"line": line, **facts, **other})


@pytest.mark.parametrize(
    ("our", "their", "kind", "delta"),
    [
        ([group()], [group(1)], ["MATCH"], 0),
        ([group()], [group(1, record_count=2, amount_minor=20)], ["AMOUNT_DIFF"], -10),
        ([group()], [group(1, amount_minor=0)], ["STATUS_DIFF"], -30),
        ([group()], [], ["OURS_ONLY"], -30),
        ([], [group(1)], ["CARRIER_ONLY"], 30),
        ([group()], [group(1), group(2)], ["DUP_CARRIER", "MATCH"], 30),
        ([group(day=20260930)], [group(1, day=20261001)], ["PERIOD_SHIFT"], 30),
        ([group()], [group(1, day=20261006)], ["PERIOD_SHIFT"], 0),
        ([group(service="test")], [group(1, service="test")], ["TEST"], 0),
    ],
)
def test_sums_are_compared_in_the_same_classes(our: list[Group], their: list[Group], kind: list[str], delta: int):
    items = matching_summary.match(our, their, 20261001, 20261101, frozenset({"test"}))

    assert sorted(item.kind.name for item in items) == kind
    assert sum(item.delta_minor for item in items) == delta


GROUPS = st.lists(
    st.tuples(
        st.sampled_from([20260930, 20261001, 20261002, 20261031]),
        st.sampled_from(["a", "test"]),
        st.sampled_from([0, 10]),
        st.integers(1, 3),
    ),
    max_size=8,
)


@given(GROUPS, GROUPS)
def test_sums_are_partitioned_too(our_facts: list[Any], their_facts: list[Any]):
    our = [Group(0, day, service, price, "CNY", count, price * count) for day, service, price, count in our_facts]
    our = list({each[1:4]: each for each in our}.values())
    their = [
        Group(line, day, service, price, "CNY", count, price * count) for line, (day, service, price, count) in enumerate(their_facts, 1)
    ]

    items = matching_summary.match(our, their, 20261001, 20261101, frozenset({"test"}))

    assert sorted(item.line for item in items if item.line) == [each.line for each in their]
    in_period = sum(each.amount_minor for each in our if each.day >= 20261001)
    assert sum(item.delta_minor for item in items) == sum(each.amount_minor for each in their) - in_period
