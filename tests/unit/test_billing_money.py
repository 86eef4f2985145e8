"""Amounts are whole minor units of one currency."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.errors import MoneyError
from billing.money import EXPONENTS, Money, exponent, format_minor, parse


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("0.10", "CNY", 10),
        ("0.1", "CNY", 10),
        ("12", "CNY", 1200),
        ("-3.05", "CNY", -305),
        ("7", "JPY", 7),
        ("1.234", "KWD", 1234),
        ("1.5", "QQB", 15),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: str, minor: int):
    assert parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize("text", ["", "1.", ".5", "1,000.00", "1e3", " 1", "1 ", "+1", "0.001", "٣", "1.0\n", "--1", "NaN", "9" * 16])
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(MoneyError):
        parse(text, "CNY")


def test_a_currency_without_cents_has_no_point():
    with pytest.raises(MoneyError):
        parse("7.0", "JPY")
    assert format_minor(7, "JPY") == "7"


@given(st.integers(-(10**14), 10**14), st.sampled_from(sorted(EXPONENTS)))
@settings(max_examples=150)
def test_what_is_written_is_read_back(minor: int, currency: str):
    assert parse(format_minor(minor, currency), currency) == Money(minor, currency)


def test_arithmetic_stays_in_one_currency():
    price = Money(10, "CNY")

    assert price + price * 2 - Money(5, "CNY") == Money(25, "CNY")
    assert -price < price
    assert price <= price
    assert str(Money(-5, "CNY")) == "-0.05 CNY"


def test_two_currencies_do_not_mix():
    yuan, coins = Money(10, "CNY"), Money(10, "QQB")

    with pytest.raises(MoneyError):
        yuan + coins
    with pytest.raises(MoneyError):
        yuan - coins
    with pytest.raises(MoneyError):
        assert yuan < coins


@pytest.mark.parametrize("amount", [1.0, "1", True, None])
def test_only_whole_numbers_are_amounts(amount: object):
    with pytest.raises(MoneyError):
        Money(amount, "CNY")  # type: ignore[arg-type] # what is tested


def test_an_unknown_currency_is_refused():
    with pytest.raises(MoneyError, match="XYZ"):
        exponent("XYZ")
    with pytest.raises(MoneyError):
        Money(1, "XYZ")
