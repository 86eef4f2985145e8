"""Addresses: as typed, as SMPP carries them, and as logs may show them."""

from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import address
from gateway.domain.address import Address, AddressError

CHINA = Address("8613800138021", 1, 1)


@pytest.mark.parametrize(
    "typed",
    [
        "+8613800138021",
        "008613800138021",
        "8613800138021",
        "+86 138-0013-8021",
        " 0086 (138) 0013.8021 ",
        "\uff0b\uff18\uff16138\u300000138021",
        "+86 138 0013 8021",
    ],
)
def test_every_way_to_write_an_international_number_is_one_address(typed: str) -> None:
    assert address.msisdn(typed) == CHINA


@pytest.mark.parametrize(
    ("typed", "region", "digits"),
    [
        ("13800138021", "CN", "8613800138021"),
        ("8613800138021", "CN", "8613800138021"),
        ("079 000 00 01", "CH", "41790000001"),
        ("+41 79 000 00 01", "CN", "41790000001"),
        ("0041790000001", "CH", "41790000001"),
        ("(020) 7946 0958", "GB", "442079460958"),
        ("+44 (0)20 7946 0958", None, "442079460958"),
    ],
)
def test_national_forms_are_read_by_their_region(typed: str, region: str | None, digits: str) -> None:
    assert address.msisdn(typed, region=region) == Address(digits, 1, 1)


@pytest.mark.parametrize(
    ("typed", "region", "fault"),
    [
        ("", None, "empty"),
        ("  - ", None, "empty"),
        ("+", None, "something other"),
        ("+123456", None, "6 digits"),
        ("+1234567890123456", None, "16 digits"),
        ("0790000001", None, "needs a region"),
        ("+0790000001", None, "starts with 0"),
        ("++8613800138021", None, "something other"),
        ("86138OO138021", None, "something other"),
        ("٨٦١٣٨٠٠١٣٨٠٢١", None, "something other"),
        ("1" * 41, None, "longer than 40"),
        ("12", "CN", "not a number of region CN"),
        ("13800138021", "XX", "not a known"),
    ],
)
def test_a_wrong_number_is_refused_with_its_fault(typed: str, region: str | None, fault: str) -> None:
    with pytest.raises(AddressError, match=fault):
        address.msisdn(typed, region=region)


@given(st.text(max_size=45), st.sampled_from([None, "CN", "GB"]))
@settings(max_examples=150)
def test_any_typed_text_is_an_address_or_an_address_error(typed: str, region: str | None) -> None:
    for parse in (partial(address.msisdn, region=region), address.sender, partial(address.from_smpp, 0, 1)):
        with suppress(AddressError):
            assert parse(typed).digits_or_name


@given(st.text(st.sampled_from("0123456789+ -x"), min_size=7, max_size=45))
@settings(max_examples=50)
def test_an_error_never_repeats_the_number(typed: str) -> None:
    with pytest.raises(AddressError) as refused:
        address.msisdn(f"x{typed}")

    assert typed not in str(refused.value)


@given(st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True))
@settings(max_examples=50)
def test_canonical_digits_stay_as_they_are(digits: str) -> None:
    parsed = address.msisdn(f"+{digits}")

    assert parsed == address.msisdn(digits) == address.msisdn(f"00{digits}") == (digits, 1, 1)
    assert address.from_smpp(*address.to_smpp(parsed)) == parsed
    assert address.from_smpp(*address.to_smpp(parsed, plus=True)) == parsed


def test_short_codes_take_the_network_s_type_and_length() -> None:
    assert address.short_code("10661700") == Address("10661700", 0, 1)
    assert address.short_code("10661700123", ton=3, npi=0) == Address("10661700123", 3, 0)
    for digits in ("12", "1" * 21, "10a", "", "１２３"):
        with pytest.raises(AddressError, match="short code"):
            address.short_code(digits)
    with pytest.raises(AddressError, match="3 to 18"):
        address.short_code("1" * 19, digits_max=18)


@pytest.mark.parametrize("name", ["Bellhop", "A", "Shop & Co", "Café No 1!", "elevenchars"])
def test_names_in_the_gsm_alphabet_are_senders(name: str) -> None:
    assert address.alphanumeric(name) == Address(name, 5, 0)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "empty"),
        (" x", "space"),
        ("twelve chars", "12 septets"),
        ("[ten char]x", "13 septets"),
        ("铃", "U\\+94C3"),
        ("a\nb", "U\\+000A"),
        ("Δ", "U\\+0394"),
        ("12345", "only digits"),
    ],
)
def test_names_that_phones_cannot_show_are_refused(name: str, fault: str) -> None:
    with pytest.raises(AddressError, match=fault):
        address.alphanumeric(name)


def test_a_typed_sender_is_of_the_kind_it_looks_like() -> None:
    assert address.sender("+8613800138021") == CHINA
    assert address.sender("10661700") == Address("10661700", 0, 1)
    assert address.sender("Bellhop") == Address("Bellhop", 5, 0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((1, 1, "8613800138021"), CHINA),
        ((1, 0, "+8613800138021"), CHINA),
        ((1, 1, "008613800138021"), CHINA),
        ((0, 0, "+8613800138021"), CHINA),
        ((0, 1, "8613800138021"), Address("8613800138021", 0, 1)),
        ((0, 1, "10661700"), Address("10661700", 0, 1)),
        ((1, 1, "10086"), Address("10086", 1, 1)),
        ((2, 1, "13800138021"), Address("13800138021", 2, 1)),
        ((5, 0, "Bellhop"), Address("Bellhop", 5, 0)),
        ((5, 1, "+x"), Address("+x", 5, 0)),
    ],
)
def test_smpp_fields_are_canonical_where_their_type_is_certain(fields: tuple[int, int, str], expected: Address) -> None:
    assert address.from_smpp(*fields) == expected


def test_a_dialect_settles_what_smpp_leaves_open() -> None:
    assert address.from_smpp(0, 1, "8613800138021", unknown_is_international=True) == CHINA
    assert address.from_smpp(0, 1, "10661700", unknown_is_international=True) == Address("10661700", 0, 1)
    assert address.from_smpp(2, 1, "13800138021", region="CN") == CHINA


@pytest.mark.parametrize("addr", ["", " ", "a\x00b", "1" * 22])
def test_an_unusable_smpp_address_is_refused(addr: str) -> None:
    with pytest.raises(AddressError):
        address.from_smpp(1, 1, addr)


@pytest.mark.parametrize(
    ("number", "shown"),
    [("8613800138021", "8613*****21"), ("861380021", "8613*****21"), ("10661700", "*****00"), ("10086", "*****"), ("", "*****")],
)
def test_a_masked_number_shows_its_first_four_and_last_two(number: str, shown: str) -> None:
    assert address.mask(number) == shown
