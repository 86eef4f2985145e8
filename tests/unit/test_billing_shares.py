"""Parts add up to what was divided, to the minor unit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing import shares, waterfall
from billing.errors import SettlementError
from billing.waterfall import Reason, Records, Terms

AMOUNTS = st.integers(-(10**12), 10**12)


@given(AMOUNTS, st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_parts_add_up_and_none_is_a_unit_away_from_its_ratio(total: int, weights: list[int]):
    assume(sum(weights) > 0)

    parts = shares.split(total, weights)

    assert sum(parts) == total
    assert all(
        abs(part - Fraction(total * weight, sum(weights))) < 1 for part, weight in zip(parts, weights, strict=True)
    )  # fmt: skip


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=20))
def test_parts_add_up_even_where_corrections_made_a_weight_negative(total: int, weights: list[int]):
    assume(sum(weights) != 0)

    assert sum(shares.split(total, weights)) == total


def test_a_share_is_taken_of_the_total_and_not_of_its_rows():
    assert shares.fraction(10 * 1_000, 15, 100) == 1_500


def test_the_odd_unit_goes_to_the_largest_remainder_and_then_to_the_first():
    assert shares.split(100, (1, 1, 1)) == [34, 33, 33]
    assert shares.split(-100, (1, 1, 1)) == [-33, -33, -34]
    assert shares.split(10, (1, 5)) == [2, 8]


def test_something_cannot_be_divided_by_nothing():
    assert shares.split(0, (0, 0)) == [0, 0]
    with pytest.raises(SettlementError, match="nothing to divide it by"):
        shares.split(1, (1, -1))


# -- the waterfall ----------------------------------------------------------------------------------------------------------


def records_of(gross: int, refunds: int = 0, *, mt: int = 0, mo: int = 0, collected: int = 0) -> Records:
    amounts = {Reason.GROSS: gross, Reason.REFUND: -refunds}
    return Records(amounts, {Reason.GROSS: 10, Reason.REFUND: 1 if refunds else 0}, mt, mo, collected)


def test_a_carriers_waterfall_goes_from_gross_to_the_amount_settled():
    terms = Terms(15, 100, imbalance_minor=5, bad_debt_ppm=20_000, absolute_minor=-500, tax_ppm=60_000)

    lines = waterfall.of_carrier(records_of(100_000, 1_000, mt=300, mo=100), terms)

    assert [(line.reason, line.amount_minor) for line in lines] == [
        (Reason.GROSS, 100_000),
        (Reason.REFUND, -1_000),
        (Reason.VALIDATED, 99_000),
        (Reason.BAD_DEBT, -1_980),
        (Reason.CARRIER_SHARE, -14_553),
        (Reason.IMBALANCE, -1_000),
        (Reason.ABSOLUTE, -500),
        (Reason.DUE, 80_967),
        (Reason.TAX, -4_858),
        (Reason.SETTLED, 76_109),
    ]


def test_what_our_wallets_paid_is_in_our_hands_already_and_the_carrier_is_owed_its_share():
    lines = waterfall.of_carrier(records_of(10_000, collected=10_000), Terms(15, 100))

    assert lines[-1].amount_minor == -1_500


@pytest.mark.parametrize(("terms", "settled"), [(Terms(floor_minor=200), 200), (Terms(cap_minor=50), 50), (Terms(floor_minor=50), 100)])
def test_floor_and_cap_bound_what_is_due(terms: Terms, settled: int):
    assert waterfall.of_carrier(records_of(100), terms)[-1].amount_minor == settled


def test_more_mo_than_mt_costs_nothing():
    assert waterfall.of_carrier(records_of(100, mt=1, mo=9), Terms(imbalance_minor=5))[-1].amount_minor == 100


TERMS = st.builds(
    lambda parts, imbalance, ppm, floor, absolute, tax: Terms(
        min(parts), max(parts), imbalance, ppm, floor, None if floor is None else floor + 1_000, absolute, tax
    ),
    st.tuples(st.integers(1, 1_000), st.integers(1, 1_000)),
    st.integers(0, 100),
    st.integers(0, 10**6),
    st.none() | st.integers(-(10**6), 10**6),
    st.integers(-(10**6), 10**6),
    st.integers(0, 10**6),
)
RECORDS = st.builds(
    lambda gross, refunds, mt, mo, collected: records_of(gross, refunds, mt=mt, mo=mo, collected=collected),
    *(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9)),
)


@given(RECORDS, TERMS)
def test_the_lines_of_every_waterfall_add_up(records: Records, terms: Terms):
    assert waterfall.adds_up(waterfall.of_carrier(records, terms))
    assert waterfall.adds_up(waterfall.of_provider(records, terms, waterfall.deductions(records, terms)))


@given(st.lists(RECORDS, min_size=1, max_size=6), TERMS)
def test_what_the_carrier_keeps_is_divided_among_the_providers_to_the_unit(parties: list[Records], terms: Terms):
    validated = [party.validated_minor for party in parties]
    assume(sum(validated) != 0)
    whole = Records({Reason.GROSS: sum(validated)}, {})
    taken = waterfall.deductions(whole, terms)

    parts = waterfall.divided(taken, validated)

    assert sum(part.bad_debt_minor for part in parts) == taken.bad_debt_minor
    assert sum(part.carrier_share_minor for part in parts) == taken.carrier_share_minor
