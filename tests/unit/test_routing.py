"""Routing rules: what fits, which link, what comes next, and that the explanation says what is done."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.address import Address
from gateway.domain.failure import Refused
from gateway.domain.number_files import numbering_of
from gateway.domain.numbering import NO_NUMBERING, Rates
from gateway.domain.prefixes import PrefixMap, shortest_only
from gateway.domain.route_conditions import (
    Dates,
    Fronts,
    Hours,
    Networks,
    Partners,
    Prefixes,
    RouteFacts,
    Senders,
    SenderTons,
    Services,
    Weekdays,
)
from gateway.domain.routing import Rule, Table

SHANGHAI = ZoneInfo("Asia/Shanghai")
# Monday 2026-11-23 09:30 in Shanghai.
MONDAY_US = 1_795_397_400_000_000
FACTS = RouteFacts("acme", "chat", "10661800", 0, "8613900001234", 0, MONDAY_US)


def healthy(_link: str) -> str:
    return ""


def faults(**known: str):
    return lambda link: known.get(link, "")


def refusal(table: Table, facts: RouteFacts = FACTS, fault_of=healthy) -> Refused:
    with pytest.raises(Refused) as caught:
        table.choose(facts, fault_of)
    return caught.value


# -- conditions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "holds", "why_not"),
    [
        (Prefixes(["852", "8613"]), True, ""),
        (Prefixes(["852", "853"]), False, "prefixes: 8613*****34 does not begin with 852, 853"),
        (Partners(["acme"]), True, ""),
        (Partners(["other"]), False, "partners: acme is not other"),
        (Services(["chat"]), True, ""),
        (Services(["premium"]), False, "services: chat is not premium"),
        (Fronts([0]), True, ""),
        (Fronts([1, 2]), False, "fronts: smpp is not http, im"),
        (Senders(["10661800"]), True, ""),
        (Senders(["1066*"]), True, ""),
        (Senders(["1066"]), False, "senders: 10661800 is not 1066"),
        (SenderTons([0]), True, ""),
        (SenderTons([5]), False, "sender_types: unknown is not alphanumeric"),
        (Hours(9 * 60 + 30, 9 * 60 + 31, SHANGHAI), True, ""),
        (Hours(9 * 60 + 31, 24 * 60, SHANGHAI), False, "hours: 09:30 is not in 09:31-24:00 (Asia/Shanghai)"),
        (Hours(22 * 60, 10 * 60, SHANGHAI), True, ""),
        (Hours(22 * 60, 9 * 60 + 30, SHANGHAI), False, "hours: 09:30 is not in 22:00-09:30 (Asia/Shanghai)"),
        (Weekdays([0], SHANGHAI), True, ""),
        (Weekdays([5, 6], SHANGHAI), False, "weekdays: mon is not sat, sun (Asia/Shanghai)"),
        (Dates(date(2026, 11, 23), date(2026, 11, 23), SHANGHAI), True, ""),
        (Dates(date(2026, 11, 24), None, SHANGHAI), False, "dates: 2026-11-23 is not in 2026-11-24.. (Asia/Shanghai)"),
    ],
)
def test_a_condition_holds_or_says_why_not(condition, holds, why_not):
    assert condition.holds(FACTS, frozenset()) is holds
    if not holds:
        assert condition.why_not(FACTS, frozenset()) == why_not


def test_a_sender_name_is_the_same_in_capital_and_small_letters():
    named = FACTS._replace(source="MyBank", source_ton=5)

    assert Senders(["mybank"]).holds(named, frozenset())
    assert Senders(["MY*"]).holds(named, frozenset())


def test_a_network_is_known_by_its_codes_its_operator_and_its_country():
    plan = "86139;460;00;China Mobile;CN\n"
    table = Table([Rule("mobile", (Networks(["china mobile"]),), ("a",))], numbering_of(("plan", plan), None))

    assert table.choose(FACTS, healthy).link == "a"
    assert refusal(table, FACTS._replace(destination="8613000001234")).reason == "no_route"
    for name in ("46000", "460", "CN", "China Mobile"):
        assert Table([Rule("r", (Networks([name]),), ("a",))], table.numbering).choose(FACTS, healthy).link == "a"


def test_a_number_carried_to_another_network_is_of_that_network():
    plan = "86139;460;00;China Mobile;CN\n86130;460;01;China Unicom;CN\n"
    numbering = numbering_of(("plan", plan), ("ported", "8613900001234;China Unicom\n"))

    table = Table([Rule("unicom", (Networks(["46001"]),), ("u",)), Rule("rest", (), ("m",))], numbering)

    assert table.choose(FACTS, healthy).link == "u"
    assert table.choose(FACTS._replace(destination="8613900001235"), healthy).link == "m"


# -- actions ------------------------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_takes_the_message():
    table = Table([Rule("hk", (Prefixes(["852"]),), ("h",)), Rule("china", (Prefixes(["86"]),), ("c",)), Rule("rest", (), ("r",))])

    assert table.choose(FACTS, healthy)[:2] == ("c", "china")
    assert table.choose(FACTS._replace(destination="85291234567"), healthy)[:2] == ("h", "hk")
    assert table.choose(FACTS._replace(destination="4179000001"), healthy)[:2] == ("r", "rest")


def test_a_message_that_no_rule_takes_is_refused():
    assert refusal(Table([Rule("hk", (Prefixes(["852"]),), ("h",))])).reason == "no_route"


def test_a_rule_can_refuse_with_its_reason():
    refused = refusal(Table([Rule("premium-rate", (Prefixes(["86"]),), rejects="not sold there")]))

    assert (refused.reason, refused.text) == ("blocked", "not sold there")


@pytest.mark.parametrize("fault", ["down", "held", "congested"])
def test_a_link_in_trouble_is_passed_over(fault):
    table = Table([Rule("both", (), ("a", "b"))])

    assert table.choose(FACTS, faults(a=fault)).link == "b"


def test_the_next_rule_takes_over_when_all_links_of_one_are_down():
    table = Table([Rule("first", (), ("a", "b")), Rule("second", (), ("c",))])

    assert table.choose(FACTS, faults(a="down", b="down"))[:2] == ("c", "second")


def test_a_rule_that_waits_keeps_its_messages():
    table = Table([Rule("first", (), ("a",), is_waiting=True), Rule("second", (), ("c",))])

    assert table.choose(FACTS, faults(a="down"))[:2] == ("a", "first")


def test_with_every_link_in_trouble_a_message_waits_for_the_best_of_them():
    table = Table([Rule("first", (), ("a", "b")), Rule("second", (), ("c",))])

    assert table.choose(FACTS, faults(a="down", b="down", c="down")).link == "a"
    assert table.choose(FACTS, faults(a="held", b="down", c="held")).link == "b"
    assert table.choose(FACTS, faults(a="down", b="down", c="congested")).link == "c"


def test_a_link_that_is_not_there_is_not_waited_for():
    assert refusal(Table([Rule("gone", (), ("a",))]), fault_of=faults(a="unknown")).reason == "no_link"


def test_the_cheapest_healthy_link_takes_it_and_one_without_a_rate_comes_last():
    rates = Rates({"a": PrefixMap([("86", 9)]), "b": PrefixMap([("86", 7), ("8613", 8)]), "c": PrefixMap([("852", 1)])})
    table = Table([Rule("cheap", (), ("c", "a", "b"), is_cheapest=True)], rates=rates)

    assert table.choose(FACTS, healthy).link == "b"
    assert table.choose(FACTS, faults(b="down")).link == "a"
    assert table.choose(FACTS, faults(a="down", b="down")).link == "c"


def test_a_link_above_the_ceiling_is_left_out_and_a_rule_without_links_does_not_fit():
    rates = Rates({"a": PrefixMap([("86", 9)]), "b": PrefixMap([("86", 7)])})
    table = Table([Rule("cheap", (), ("a", "b"), cost_max=7), Rule("rest", (), ("r",))], rates=rates)

    assert table.choose(FACTS, healthy).link == "b"
    assert table.choose(FACTS._replace(destination="4179000001"), healthy).link == "r"


def test_shares_are_kept_over_many_numbers_and_one_pair_of_addresses_stays_with_its_link():
    table = Table([Rule("split", (), ("a", "b", "c"), (70, 30, 0))])

    chosen = Counter(table.choose(FACTS._replace(destination=str(8613900000000 + number)), healthy).link for number in range(20_000))

    assert set(chosen) == {"a", "b"}
    assert abs(chosen["a"] / 20_000 - 0.7) < 0.01
    assert len({table.choose(FACTS._replace(now_us=at), healthy).link for at in range(50)}) == 1


def test_a_link_with_no_share_stands_by():
    table = Table([Rule("split", (), ("a", "b"), (1, 0))])

    assert table.choose(FACTS, healthy).link == "a"
    assert table.choose(FACTS, faults(a="down")).link == "b"


def test_a_rule_can_put_in_its_own_sender():
    table = Table([Rule("branded", (), ("a",), sender=Address("MyBank", 5, 0))])

    assert table.choose(FACTS, healthy).sender == Address("MyBank", 5, 0)


# -- the next link ------------------------------------------------------------------------------------------------------

NEXT = Table(
    [
        Rule("split", (Prefixes(["86"]),), ("a", "b"), next_on=frozenset({0x0B})),
        Rule("rest", (), ("c",)),
        Rule("no", (), rejects="no more"),
        Rule("never", (), ("d",)),
    ]
)


@pytest.mark.parametrize(
    ("link", "tried", "status", "known", "found"),
    [
        ("a", (), 0x0B, {}, "b"),
        ("a", (), 0x0B, {"b": "down"}, "c"),
        ("a", (), 0x0B, {"b": "down", "c": "down"}, "b"),
        ("b", ("a",), 0x0B, {}, "c"),
        ("a", (), 0x0A, {}, None),
        ("c", ("a", "b"), 0x0B, {}, None),
        ("a", (), None, {"a": "down"}, "b"),
        ("a", (), None, {"a": "down", "b": "down", "c": "down"}, None),
        ("x", (), 0x0B, {}, None),
    ],
)
def test_what_was_refused_goes_to_the_next_link_of_its_rule_or_of_the_next_rule(link, tried, status, known, found):
    assert NEXT.next_link(FACTS, link, tried, status, faults(**known)) == found


def test_a_link_can_pass_on_what_no_rule_lists():
    assert NEXT.next_link(FACTS, "a", (), 0x0A, healthy, is_passed_on=True) == "b"


def test_what_waits_for_a_rule_that_waits_stays_there():
    table = Table([Rule("first", (), ("a", "b"), is_waiting=True)])

    assert table.next_link(FACTS, "a", (), None, faults(a="down")) is None


# -- explaining, and many rules -------------------------------------------------------------------------------------------


def test_an_explanation_names_for_each_rule_the_first_condition_that_failed():
    table = Table(
        [
            Rule("hk", (Prefixes(["852"]),), ("h",)),
            Rule("night", (Prefixes(["86"]), Hours(22 * 60, 6 * 60, SHANGHAI)), ("n",)),
            Rule("broken", (Prefixes(["86"]),), ("x",)),
            Rule("china", (Prefixes(["86"]),), ("y", "c"), (0, 5)),
            Rule("rest", (), ("r",)),
        ]
    )

    assert [tuple(each) for each in table.explain(FACTS, faults(x="down"))] == [
        ("hk", "passed over", "prefixes: 8613*****34 does not begin with 852"),
        ("night", "passed over", "hours: 09:30 is not in 22:00-06:00 (Asia/Shanghai)"),
        ("broken", "passed over", "links: x is down"),
        ("china", "takes", "link c: its share is 5 of 5"),
        ("rest", "not reached", ""),
    ]


LINKS = ("a", "b", "c")
DIGITS = st.text("0123", min_size=1, max_size=4)
CONDITIONS = st.one_of(
    st.builds(Prefixes, st.lists(DIGITS, min_size=1, max_size=3)),
    st.builds(Partners, st.lists(st.sampled_from(["p", "q"]), min_size=1)),
    st.builds(Services, st.lists(st.sampled_from(["s", "t"]), min_size=1)),
    st.builds(Networks, st.lists(st.sampled_from(["46000", "46001", "460"]), min_size=1)),
    st.builds(Senders, st.lists(st.sampled_from(["1", "2*", "Shop"]), min_size=1)),
    st.builds(SenderTons, st.lists(st.sampled_from([0, 5]), min_size=1)),
    st.builds(Fronts, st.lists(st.sampled_from([0, 1]), min_size=1)),
    st.builds(Hours, st.sampled_from([0, 540, 600]), st.sampled_from([570, 1440]), st.just(SHANGHAI)),
)
RULES = st.lists(
    st.builds(
        lambda conditions, links, is_waiting, rejects, is_cheapest, weights, cost_max: Rule(
            "",
            tuple({type(condition): condition for condition in conditions}.values()),
            () if rejects else tuple(links),
            () if rejects or is_cheapest or not weights else tuple(range(1, len(links) + 1)),
            is_cheapest,
            cost_max,
            is_waiting,
            frozenset(),
            rejects,
        ),
        st.lists(CONDITIONS, max_size=3),
        st.lists(st.sampled_from(LINKS), min_size=1, max_size=3, unique=True),
        st.booleans(),
        st.sampled_from(["", "", "", "no"]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, None, 0, 5]),
    ),
    max_size=8,
).map(lambda rules: [rule._replace(name=f"r{place}") for place, rule in enumerate(rules)])
NUMBERING = numbering_of(("plan", "0;460;00\n01;460;01\n2;460;01\n"), ("ported", "123;46000\n"))
RATES = Rates({"a": PrefixMap([("0", 3), ("1", 9)]), "b": PrefixMap([("1", 1)])})
SOME_FACTS = st.builds(
    lambda partner, service, sender, ton, destination, front, minutes: RouteFacts(
        partner, service, sender, ton, destination, front, MONDAY_US + minutes * 60_000_000
    ),
    st.sampled_from(["", "p", "q"]),
    st.sampled_from(["s", "t"]),
    st.sampled_from(["1", "22", "shop"]),
    st.sampled_from([0, 5]),
    DIGITS,
    st.sampled_from([0, 1]),
    st.sampled_from([-60, 0, 60]),
)
FAULTS = st.dictionaries(st.sampled_from(LINKS), st.sampled_from(["down", "held", "congested", "unknown"]))


def one_by_one(rules: list[Rule], facts: RouteFacts) -> list[str]:
    """The rules that fit, found without any index."""
    table = Table(rules, NUMBERING, RATES)
    network = NUMBERING.network_of(facts.destination)
    names = network.names if network is not None else frozenset()
    return [
        rule.name
        for rule in rules
        if all(condition.holds(facts, names) for condition in rule.conditions) and (rule.rejects or table.links_of(rule, facts))
    ]


@settings(max_examples=200)
@given(RULES, st.lists(SOME_FACTS, min_size=1, max_size=8))
def test_the_index_finds_the_rules_that_a_plain_search_finds(rules, many):
    table = Table(rules, NUMBERING, RATES)

    for facts in many:
        assert [rule.name for rule, _ in table._fitting(facts)] == one_by_one(rules, facts)


def test_a_rule_with_hours_is_asked_anew_for_each_message():
    table = Table([Rule("day", (Hours(540, 1080, SHANGHAI),), ("a",)), Rule("night", (), ("b",))])

    chosen = [table.choose(FACTS._replace(now_us=MONDAY_US + hours * 3_600_000_000), healthy).link for hours in (0, 12, 24)]

    assert chosen == ["a", "b", "a"]


@settings(max_examples=200)
@given(RULES, SOME_FACTS, FAULTS)
def test_an_explanation_agrees_with_the_choice(rules, facts, known):
    table = Table(rules, NUMBERING, RATES)
    told = {each.verdict: each.rule for each in table.explain(facts, faults(**known)) if each.verdict in ("takes", "waits", "rejects")}

    try:
        choice = table.choose(facts, faults(**known))
        done = {"waits" if known.get(choice.link) else "takes": choice.rule}
    except Refused as refused:
        done = {"rejects": told.get("rejects", "")} if refused.reason == "blocked" else {}
    assert told == done


@settings(max_examples=100)
@given(st.dictionaries(DIGITS, st.integers()), DIGITS)
def test_the_longest_prefix_is_the_one_a_plain_search_finds(values, number):
    fitting = sorted((prefix for prefix in values if number.startswith(prefix)), key=len, reverse=True)

    assert PrefixMap(values.items()).longest(number) == (values[fitting[0]] if fitting else None)
    assert any(number.startswith(prefix) for prefix in shortest_only(values)) is bool(fitting)


def test_a_choice_among_ten_thousand_prefix_rules_takes_no_longer_than_among_ten():
    def cost_of(rules: int) -> float:
        table = Table([Rule(f"r{place}", (Prefixes([f"86{place:05}"]),), ("a",)) for place in range(rules)])
        facts = [FACTS._replace(destination=f"86{place % rules:05}000000") for place in range(500)]
        best = 1e9
        for _ in range(5):
            began = time.perf_counter()
            for each in facts:
                table.choose(each, healthy)
            best = min(best, time.perf_counter() - began)
        return best

    # Many times what it is: the machine may be busy. Without an index it would be a thousand times.
    assert cost_of(10_000) < 20 * cost_of(10)


def test_no_numbering_knows_no_network():
    assert NO_NUMBERING.network_of("8613900001234") is None
