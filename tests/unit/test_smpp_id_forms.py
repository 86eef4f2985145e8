"""Ids of responses as receipts write them: every form read back, and nothing read that is not meant (case R04)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp.id_forms import AS_IS, FORMS, ID_CHARACTERS_MAX, forms_between, is_telling, meanings

GUID = "9f1c2d3e-0000-4a4b-8c8d-00000000000a"
NUMBERS = st.integers(min_value=0, max_value=(1 << 64) - 1)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("3F2", "1010"),
        ("3f2", "1010"),
        ("000003F2", "1010"),
        ("1010", "3F2"),
        ("1010", "3f2"),
        ("0000001010", "3F2"),
        ("3f2", "3F2"),
        ("0000003F2", "3F2"),
        ("12", "0000000012"),
        ("0000000012", "12"),
        ("ABCDEF0123456789", "12379813738877118345"),
        ("FFFFFFFFFFFFFFFF", "-1"),
        ("18446744073709551615", "-1"),
        ("-1", "18446744073709551615"),
        ("0x3f2", "3F2"),
        ("3F2", "0x3f2"),
        ("0x3F2", "1010"),
        (GUID, GUID.replace("-", "")),
        (GUID.upper(), GUID.replace("-", "")),
        (GUID.replace("-", ""), GUID.upper()),
        ("12345678", "99912345678"),
        ("1234", "1234-1"),
        ("1234", "1234:1"),
    ],
)
def test_what_a_response_gave_is_among_the_meanings_of_its_receipt(given, written):
    assert given in meanings(written).values()
    assert forms_between(written, given)


WRITERS: dict[str, Callable[[int], tuple[str, str]]] = {
    "decimal of HEX": lambda number: (f"{number:X}", str(number)),
    "decimal of hex16": lambda number: (f"{number:016x}", str(number)),
    "hex of decimal": lambda number: (str(number), f"{number:X}"),
    "hex of decimal20": lambda number: (f"{number:020d}", f"{number:x}"),
    "zeros of 20": lambda number: (f"{number:020d}", str(number)),
    "zeros of none": lambda number: (str(number), f"{number:020d}"),
    "signed of HEX": lambda number: (f"{number | 1 << 63:X}", str((number | 1 << 63) - (1 << 64))),
    "0x dropped of hex": lambda number: (f"0x{number:x}", f"{number:X}"),
    "0x added to HEX": lambda number: (f"{number:X}", f"0x{number:x}"),
    "decimal of 0xHEX": lambda number: (f"0x{number:X}", str(number)),
    AS_IS: lambda number: (str(number), str(number)),
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WRITERS)), NUMBERS)
def test_every_form_reads_back_what_a_carrier_writes_in_it(name, number):
    given, written = WRITERS[name](number)

    assert FORMS[name](written) == given


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=70))
def test_any_text_has_meanings_that_are_ids_and_itself_comes_first(written):
    found = meanings(written)

    assert all(0 < len(meant) <= ID_CHARACTERS_MAX for meant in found.values())
    assert len(set(found.values())) == len(found)
    if 0 < len(written) <= ID_CHARACTERS_MAX:
        assert next(iter(found.items())) == (AS_IS, written)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_no_form_fails_on_a_strange_id(form):
    for written in ("", "-", "0x", "0X", "-9" * 20, "٣٤", "9" * 64, "g" * 64, "-", "0", "  "):
        meant = FORMS[form](written)
        assert meant is None or isinstance(meant, str)


def test_an_id_that_reads_the_same_in_both_bases_teaches_nothing():
    assert not is_telling("7", "7")
    assert is_telling("16", "16")
    assert is_telling("16", "22")


def test_names_fit_their_column():
    assert max(map(len, FORMS)) + len("text: ") <= 32
