"""TLVs of vendors, by name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp.tlv import read
from gateway.smpp.vendor_tlv import INTEGER, NO_VENDOR_TLVS, OCTETS, TEXT, NamedWrongly, VendorTlv, VendorTlvs

KNOWN = VendorTlvs(
    (
        VendorTlv("dlt_entity_id", 0x1400, TEXT, 20),
        VendorTlv("campaign", 0x1500, INTEGER, 4),
        VendorTlv("mark", 0x1501, OCTETS, 8),
    )
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "dlt_entity_id": st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20),
        "campaign": st.integers(0, 2**32 - 1),
        "mark": st.binary(min_size=1, max_size=8).map(bytes.hex),
    },
)


@given(VALUES)
@settings(max_examples=100)
def test_named_values_come_back_by_name(values):
    octets = KNOWN.of_names(values)

    assert KNOWN.named(octets) == values
    assert KNOWN.taken(read(octets, 0)) == octets


def test_of_a_submission_only_what_is_known_and_fits_is_taken():
    tlvs = {0x1400: b"1201", 0x1500: b"\0\0", 0x1501: b"123456789", 0x1600: b"x", 0x0204: b"\0\1"}

    assert KNOWN.taken(tlvs) == bytes.fromhex("14000004") + b"1201"
    assert NO_VENDOR_TLVS.taken(tlvs) == b""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dlt": "1"}, "known are: dlt_entity_id"),
        ({"dlt_entity_id": 5}, "string"),
        ({"dlt_entity_id": ""}, "1 to 20 octets"),
        ({"dlt_entity_id": "x" * 21}, "1 to 20 octets"),
        ({"dlt_entity_id": "é"}, "printable ASCII"),
        ({"campaign": -1}, "integer of 4 octets"),
        ({"campaign": True}, "integer of 4 octets"),
        ({"mark": "xy"}, "hexadecimal"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(values, words):
    with pytest.raises(NamedWrongly) as wrong:
        KNOWN.of_names(values)

    assert words in wrong.value.reason
