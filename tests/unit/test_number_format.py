"""How a carrier wants addresses, and how its own become canonical."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.address import Address
from gateway.domain.number_format import NumberRules, destination_formatter, number_reader, source_formatter

UK = NumberRules(country_code="44", national_prefix="0", international_prefix="00")


def test_the_defaults_cost_nothing():
    assert source_formatter(NumberRules()) is None
    assert destination_formatter(NumberRules(source_ton=3, destination_npi=8)) is None
    assert number_reader(NumberRules()) is None


@pytest.mark.parametrize(
    ("rules", "number", "written"),
    [
        (NumberRules(international_prefix="+"), "8613900001111", Address("+8613900001111", 1, 1)),
        (NumberRules(international_prefix="00", destination_ton=0), "8613900001111", Address("008613900001111", 0, 1)),
        (UK, "447700900123", Address("07700900123", 2, 1)),
        (UK, "8613900001111", Address("008613900001111", 1, 1)),
        (UK._replace(national_prefix="", national_ton=0), "447700900123", Address("7700900123", 0, 1)),
    ],
)
def test_destinations_are_written_as_the_carrier_wants_them(rules, number, written):
    format_destination = destination_formatter(rules)

    assert format_destination is not None
    assert format_destination(number, 1, 1) == written


def test_what_is_no_international_number_goes_as_it_came():
    format_destination = destination_formatter(UK)

    assert format_destination is not None
    assert format_destination("44123", 0, 1) == Address("44123", 0, 1)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (("07700900123", 2, 1), Address("447700900123", 1, 1)),
        (("07700900123", 0, 1), Address("447700900123", 1, 1)),
        (("008613900001111", 1, 1), Address("8613900001111", 1, 1)),
        (("+8613900001111", 0, 0), Address("8613900001111", 1, 1)),
        (("447700900123", 1, 1), Address("447700900123", 1, 1)),
        (("60300", 0, 1), Address("60300", 0, 1)),
        (("Bank", 5, 0), Address("Bank", 5, 0)),
    ],
)
def test_the_carriers_numbers_become_canonical(written, canonical):
    read_number = number_reader(UK)

    assert read_number is not None
    assert read_number(*written) == canonical


@settings(max_examples=100)
@given(st.from_regex(r"[1-9][0-9]{9,13}", fullmatch=True))
def test_what_was_written_is_read_again(number):
    write, read = destination_formatter(UK), number_reader(UK)

    assert write is not None
    assert read is not None
    assert read(*write(number, 1, 1)).digits_or_name == number


@pytest.mark.parametrize(
    ("addr", "detected"),
    [
        ("Pizza24", Address("Pizza24", 5, 0)),
        ("10690", Address("10690", 3, 9)),
        ("8613900001111", Address("8613900001111", 1, 1)),
        ("+442071", Address("442071", 1, 1)),
    ],
)
def test_the_type_of_a_sender_is_detected_from_its_characters(addr, detected):
    """Row 24"""
    format_source = source_formatter(NumberRules(source_type="detect", source_ton=3, source_npi=9))

    assert format_source is not None
    assert format_source(addr, 0, 0) == detected


def test_the_type_of_a_sender_may_be_fixed():
    format_source = source_formatter(NumberRules(source_type="fixed", source_ton=2, source_npi=8))

    assert format_source is not None
    assert [format_source("Pizza", 5, 0), format_source("10690", 0, 1)] == [Address("Pizza", 2, 8), Address("10690", 2, 8)]


def test_a_name_is_replaced_where_the_carrier_takes_none():
    """Row 98"""
    format_source = source_formatter(NumberRules(is_name_allowed=False, default_sender=Address("10690", 0, 1), source_ton=3))

    assert format_source is not None
    assert format_source("Pizza", 5, 0) == Address("10690", 3, 1)
    assert format_source("4420711", 1, 1) == Address("4420711", 1, 1)


@pytest.mark.parametrize(
    ("charset", "octets"),
    [("latin-1", b"Caf\xe9 @1"), ("ascii", b"Cafe @1"), ("gsm", b"Caf\x05 ?1"), ("utf-8", b"Caf\xc3\xa9 @1")],
)
def test_a_name_goes_out_in_the_carriers_charset(charset, octets):
    """Row 25"""
    format_source = source_formatter(NumberRules(name_charset=charset, source_type="detect"))

    assert format_source is not None
    assert format_source("Café @1", 5, 0).digits_or_name.encode("latin-1") == octets
