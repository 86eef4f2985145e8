"""The flat tariff prices a service by the part or by the message, and its version names its content."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.errors import MoneyError, TariffError
from billing.event import FeeClass
from billing.tariff.flat import PARTS_MAX, ChargeBy, FlatTariff, Price, captured

PRICES = {
    "chat": Price(10, "CNY"),
    "tone": Price(200, "CNY", ChargeBy.MESSAGE),
    "news": Price(0, "CNY"),
}


def test_a_price_by_the_part_is_multiplied_by_the_parts():
    rated = FlatTariff(PRICES).rate("chat", 3)

    assert (rated.quantity, rated.unit_price_minor, rated.amount_minor, rated.fee_class) == (3, 10, 30, FeeClass.PER_PART)
    assert (rated.currency, rated.tariff_rule) == ("CNY", "service:chat")


def test_a_price_by_the_message_is_not():
    rated = FlatTariff(PRICES).rate("tone", 3)

    assert (rated.quantity, rated.amount_minor, rated.fee_class) == (1, 200, FeeClass.PER_MSG)


def test_a_free_service_is_rated_at_zero():
    rated = FlatTariff(PRICES).rate("news", 2)

    assert (rated.quantity, rated.amount_minor, rated.fee_class) == (2, 0, FeeClass.FREE)


def test_the_version_follows_the_content_and_not_the_order():
    version = FlatTariff(PRICES).version

    assert FlatTariff(dict(reversed(PRICES.items()))).version == version
    assert FlatTariff(PRICES | {"chat": Price(11, "CNY")}).version != version
    assert version.startswith("flat/1:")
    assert len(version) <= 32


@pytest.mark.parametrize("parts", [0, -1, PARTS_MAX + 1])
def test_a_message_has_1_to_255_parts(parts: int):
    with pytest.raises(TariffError):
        FlatTariff(PRICES).rate("chat", parts)


def test_an_unknown_service_has_no_price():
    with pytest.raises(TariffError, match="horoscope"):
        FlatTariff(PRICES).rate("horoscope", 1)


@pytest.mark.parametrize("name", ["", "a b", "x" * 33, "=1+1", "é", "a\n"])
def test_a_service_name_fits_its_column_and_a_files_cell(name: str):
    with pytest.raises(TariffError):
        FlatTariff({name: Price(1, "CNY")})


@pytest.mark.parametrize("price", [-1, 0.5, 10**13, True])
def test_a_price_is_a_whole_number_in_bounds(price: object):
    with pytest.raises(TariffError):
        FlatTariff({"chat": Price(price, "CNY")})  # type: ignore[arg-type] # what is tested


def test_a_price_has_a_known_currency_and_unit():
    with pytest.raises(MoneyError):
        FlatTariff({"chat": Price(1, "XYZ")})
    with pytest.raises(TariffError):
        FlatTariff({"chat": Price(1, "CNY", "page")})  # type: ignore[arg-type] # what is tested


@given(st.integers(0, 10**6), st.sampled_from(ChargeBy), st.integers(1, PARTS_MAX - 1))
@settings(max_examples=100)
def test_a_price_never_falls_with_more_parts(unit: int, charge_by: ChargeBy, parts: int):
    tariff = FlatTariff({"chat": Price(unit, "CNY", charge_by)})

    assert tariff.rate("chat", parts).amount_minor <= tariff.rate("chat", parts + 1).amount_minor


@pytest.mark.parametrize(
    ("fee_class", "delivered", "amount"),
    [
        (FeeClass.PER_PART, 3, 30),
        (FeeClass.PER_PART, 2, 20),
        (FeeClass.PER_PART, 0, 0),
        (FeeClass.PER_MSG, 3, 10),
        (FeeClass.PER_MSG, 2, 0),
    ],
)
def test_parts_are_captured_as_delivered_and_messages_only_whole(fee_class: FeeClass, delivered: int, amount: int):
    assert captured(fee_class, 10, 3, delivered) == amount
