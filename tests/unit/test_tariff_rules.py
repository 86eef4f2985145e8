"""Rules of a tariff: the most exact one fits, its price is told step by step, and a file that is wrong says where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import counters
from billing.errors import TariffError
from billing.event import FeeClass
from billing.tariff import diff, toml
from billing.tariff.rate import Used, price, tax_in
from billing.tariff.rule import Model, Promotion, Rule, Tier
from billing.tariff.version import FOREVER_US, Matcher, Question, Version, refuse_overlaps

TOML = """
plan = "main"
from = "2026-12-01T00:00:00+08:00"
currency = "CNY"

[[rules]]
name = "chat"
model = "per_part"
price = "0.10"
service = "chat"

[[rules]]
name = "chat-guangdong"
model = "per_message"
price = "0.08"
service = "chat"
carrier = "cmcc-gd"
prefix = "86138"
"""

SERVICES, CARRIERS, PREFIXES, DIRECTIONS = ("", "chat", "tone"), ("", "a", "b"), ("", "86", "8613", "44"), ("", "MT", "MO")


def rule(name: str = "r", model: Model = Model.PER_PART, minor: int = 10, **fields: object) -> Rule:
    return Rule(name, model, minor, "CNY")._replace(**fields)  # type: ignore[arg-type]  # fields by name


def version(*rules: Rule, number: int = 1, from_us: int = 0, to_us: int = FOREVER_US) -> Version:
    return Version("main", number, from_us, to_us, rules)


keys = st.tuples(st.sampled_from(SERVICES), st.sampled_from(CARRIERS), st.sampled_from(PREFIXES), st.sampled_from(DIRECTIONS))


@given(
    st.lists(keys, min_size=1, max_size=12, unique=True),
    st.sampled_from(("chat", "tone", "other")),
    st.sampled_from(("a", "b", "c")),
    st.sampled_from(("8613800000000", "8699", "44123", "1")),
    st.sampled_from(("MT", "MO", "DL")),
)
def test_the_rule_found_is_the_most_exact_of_those_that_fit(
    named: list[tuple[str, str, str, str]], service: str, carrier: str, number: str, direction: str
):
    rules = [rule(f"r{place}", service=a, carrier=b, prefix=c, direction=d) for place, (a, b, c, d) in enumerate(named)]
    fitting = [
        each
        for each in rules
        if each.service in ("", service)
        and each.carrier in ("", carrier)
        and number.startswith(each.prefix)
        and each.direction in (direction, "MO" if direction == "MO" else "")
    ]

    found = Matcher(version(*rules)).rule_for(Question(service, carrier, number, direction))

    assert found == max(fitting, key=lambda each: each.specificity, default=None)


def test_two_rules_that_fit_equally_well_are_refused_and_a_priority_decides():
    first, second = rule("one", service="chat"), rule("two", service="chat")

    with pytest.raises(TariffError, match='rules "one" and "two" fit the same things equally well'):
        Matcher(version(first, second))
    found = Matcher(version(first, second._replace(priority=1))).rule_for(Question("chat", "a", "86", "MT"))

    assert found is not None
    assert found.name == "two"


@given(st.integers(0, 10_000), st.integers(1, 254), st.integers(0, 300), st.integers(0, 300), st.lists(st.integers(0, 10_000), max_size=3))
def test_more_parts_never_cost_less_and_never_more_than_the_price_says(minor: int, parts: int, had: int, free: int, tiers: list[int]):
    steps = tuple(Tier(2 + 50 * place, min(each, minor)) for place, each in enumerate(sorted(tiers, reverse=True)))
    priced = rule(minor=minor, free_per_month=free, tiers=steps, cap_per_month_minor=minor * 200)
    used = Used(had, had, 0, had)

    less, more = price(priced, parts, 0, used), price(priced, parts + 1, 0, used)

    assert 0 <= less.amount_minor <= more.amount_minor
    assert more.amount_minor <= more.quantity * more.unit_price_minor


def test_what_is_free_in_a_month_is_used_up_and_told():
    allowed = rule(free_per_month=3)

    first, second = price(allowed, 2, 0), price(allowed, 2, 0, Used(2, 2))

    assert (first.amount_minor, first.allowance) == (0, "r")
    assert (second.amount_minor, second.units, second.fee_class) == (10, (0, 10), FeeClass.PER_PART)
    assert second.steps[0] == "1 of 2 free by the allowance of r"


def test_a_cap_leaves_what_is_left_of_it():
    capped = rule(model=Model.CAPPED, minor=100, cap_per_month_minor=250)

    assert [price(capped, 1, 0, Used(0, 0, 0, spent)).amount_minor for spent in (0, 200, 250)] == [100, 50, 0]


def test_a_tier_begins_with_its_unit():
    tiered = rule(minor=10, tiers=(Tier(3, 8), Tier(5, 5)))

    assert [price(tiered, 1, 0, Used(0, had)).amount_minor for had in range(6)] == [10, 10, 8, 8, 5, 5]


def test_a_promotion_holds_from_its_first_instant_to_its_last_and_the_best_one_counts():
    promoted = rule(minor=99, promotions=(Promotion("half", 10, 20, 50), Promotion("low", 15, 20, 0, 30)))

    assert [price(promoted, 1, at).amount_minor for at in (9, 10, 14, 15, 19, 20)] == [99, 50, 50, 30, 30, 99]


@given(st.integers(-(10**9), 10**9), st.integers(0, 1_000_000))
def test_the_tax_a_price_contains_is_rounded_to_the_nearest_minor_unit(amount: int, ppm: int):
    tax = tax_in(amount, ppm)

    # amount * ppm / (1e6 + ppm), half up: the difference is at most half a unit.
    assert abs(2 * (tax * (1_000_000 + ppm) - amount * ppm)) <= 1_000_000 + ppm
    assert abs(tax) <= abs(amount)


@given(
    st.integers(1, 1_000),
    st.integers(1, 60),
    st.tuples(*[st.integers(0, 80)] * 2),
    st.tuples(*[st.integers(0, 20_000)] * 2),
    st.tuples(*[st.integers(0, 50)] * 2),
)
def test_counted_units_add_up_and_never_break_a_cap(
    minor: int, parts: int, free: tuple[int, int], caps: tuple[int, int], had: tuple[int, int]
):
    counted = rule(minor=minor, free_per_day=free[0], free_per_month=free[1], cap_per_day_minor=caps[0], cap_per_month_minor=caps[1])
    day, month = min(had), max(had)
    used = Used(day, month, min(day * minor, caps[0]), min(month * minor, caps[1]))

    found = price(counted, parts, 0, used)

    assert found.amount_minor == (sum(found.units) if counted.is_counted else minor * parts)
    assert all(0 <= each <= minor for each in found.units)
    assert not caps[0] or used.amount_day_minor + found.amount_minor <= caps[0]
    assert not caps[1] or used.amount_month_minor + found.amount_minor <= caps[1]


def test_of_a_torn_message_the_free_units_are_the_first_to_be_used():
    found = price(rule(minor=10, free_per_month=2), 3, 0)

    assert found.units == (0, 0, 10)
    assert counters.prices(counters.written(found.units)) == [0, 0, 10]


def test_what_phones_send_is_priced_only_by_a_rule_that_speaks_of_it():
    everything, sent = rule("everything"), rule("sent", direction="MO")

    assert Matcher(version(everything)).rule_for(Question("chat", "a", "86", "MO")) is None
    assert Matcher(version(everything, sent)).rule_for(Question("chat", "a", "86", "MO")) == sent


def test_a_file_is_read_and_written_and_read_the_same():
    read = toml.parse(TOML)

    assert [each.name for each in read.rules] == ["chat", "chat-guangdong"]
    assert toml.parse(toml.write(read)) == read


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)
AMOUNTS = st.integers(1, 10**9)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    minor = draw(AMOUNTS)
    tiers = tuple(Tier(2 + place, draw(st.integers(0, minor))) for place in range(draw(st.integers(0, 3))))
    promotions = tuple(
        Promotion(draw(NAMES), place * 10**6, place * 10**6 + 5, *draw(st.sampled_from([(20, None), (0, minor)]))) for place in range(2)
    )
    model = draw(st.sampled_from([Model.PER_PART, Model.PER_MESSAGE, Model.PER_ITEM, Model.SP_COLLECTED]))
    named = {"service": draw(st.just("") | NAMES), "carrier": draw(st.just("") | NAMES), "prefix": draw(st.sampled_from(PREFIXES))}
    counts: dict[str, object] = {
        "free_per_day": draw(st.integers(0, 9)),
        "cap_per_month_minor": draw(st.just(0) | AMOUNTS),
        "tax_ppm": draw(st.integers(0, 10**6)),
    }
    payer = draw(st.sampled_from(["sender", "subscriber", "sponsor:acme"]))
    counts["count_by"] = draw(st.sampled_from(["subscriber", "payer"]))
    return rule(draw(NAMES), model, minor, tiers=tiers, promotions=promotions, payer=payer, **named, **counts)


@given(st.lists(rules(), min_size=1, max_size=4, unique_by=lambda each: each.name), st.integers(0, 10**15))
def test_every_tariff_survives_its_file(found: list[Rule], from_us: int):
    # Priorities keep them from fitting equally well.
    wanted = version(*(each._replace(priority=place) for place, each in enumerate(found)), number=0, from_us=from_us)

    assert toml.parse(toml.write(wanted)) == wanted


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('price = "0.10"', 'price = "-0.10"', r"t\.toml:9: rules\[0\]\.price: must not be negative"),
        ('price = "0.10"', 'price = "0.101"', r"t\.toml:9: rules\[0\]\.price: CNY has 2 digits after the point, not 3"),
        ('price = "0.10"', "price = 0.10", r"t\.toml:9: rules\[0\]\.price: must be an amount in quotes"),
        ('price = "0.08"', 'price = "0.08"\ncurrency = "XYZ"', r"t\.toml:16: rules\[1\]\.currency: unknown currency 'XYZ'"),
        ('name = "chat-guangdong"', 'name = "=1+1"', r"t\.toml:13: rules\[1\]\.name: must be 1 to 32 letters"),
        ('name = "chat-guangdong"', 'name = "chat"', r't\.toml:13: rules\[1\]\.name: there is a rule "chat" already'),
        ('prefix = "86138"', 'prefx = "86138"', r"t\.toml:18: rules\[1\]\.prefx: is not known here; did you mean prefix\?"),
        ('carrier = "cmcc-gd"\nprefix = "86138"', "", r't\.toml:12: rules\[1\]\.priority: rules "chat" and "chat-guangdong" fit the same'),
        ('price = "0.10"', "", r"t\.toml:6: rules\[0\]\.price: must be an amount in quotes"),
        ('model = "per_part"', 'model = "capped"', r"t\.toml:8: rules\[0\]\.model: capped needs a cap_per_month above 0"),
        ('price = "0.10"', 'price = "0.10"\ncount_by = "house"', r"t\.toml:10: rules\[0\]\.count_by: must be subscriber or payer"),
        (
            'price = "0.10"',
            'price = "0.10"\ntiers = [{ from = 9, price = "0.20" }]',
            r"t\.toml:10: rules\[0\]\.tiers\[0\]\.price: must not",
        ),
        (
            'service = "chat"\n',
            'service = "chat"\n[[rules.promotions]]\nname = "@x"\n',
            r"t\.toml:12: rules\[0\]\.promotions\[0\]\.name: must be",
        ),
        (
            'service = "chat"\n',
            'service = "chat"\n[[rules.promotions]]\nname = "x"\n',
            r"t\.toml:11: rules\[0\]\.promotions\[0\]\.from: must be a",
        ),
        ("+08:00", "", r"t\.toml:3: from: must be a time with its offset"),
        ('model = "per_part"', 'model = "by_word"', r"t\.toml:8: rules\[0\]\.model: must be one of free, per_message"),
        ('plan = "main"', 'plan = "main', r"t\.toml: "),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line_and_field(before: str, after: str, told: str):
    with pytest.raises(TariffError, match=told):
        toml.parse(TOML.replace(before, after, 1), file="t.toml")


def test_versions_of_one_plan_may_touch_and_not_overlap():
    first, second = version(rule(), from_us=0, to_us=10), version(rule(), number=2, from_us=10)

    refuse_overlaps([second, first])
    assert [each.number for each in (first, second) if each.holds_at(10)] == [2]
    with pytest.raises(TariffError, match="main/1 and main/2 overlap"):
        refuse_overlaps([first._replace(to_us=11), second])


def test_a_comparison_names_what_is_new_gone_and_different():
    before = version(rule("same"), rule("gone", carrier="a"), rule("dearer", service="chat"))
    after = version(rule("same"), rule("new", carrier="b"), rule("dearer", service="chat", price_minor=12))

    found = {each.rule: (each.kind, each.what) for each in diff.compare(before, after)}

    assert found == {
        "gone": ("removed", ("per_part at 0.10 CNY",)),
        "new": ("added", ("per_part at 0.10 CNY",)),
        "dearer": ("changed", ("price_minor: 0.10 CNY -> 0.12 CNY",)),
    }
