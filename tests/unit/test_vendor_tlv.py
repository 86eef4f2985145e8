"""TLVs of vendors, by name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp.tlv import read, write
from gateway.smpp.vendor_tlv import INTEGER, NO_VENDOR_TLVS, OCTETS, TEXT, NamedWrongly, VendorTlv, VendorTlvs, merged

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
    assert KNOWN.of_submission(read(octets, 0)) == KNOWN.of_delivery(read(octets, 0)) == octets


def test_of_a_submission_only_what_is_known_and_fits_is_taken():
    tlvs = {0x1400: b"1201", 0x1500: b"\0\0", 0x1501: b"123456789", 0x1600: b"x", 0x0204: b"\0\1"}

    assert KNOWN.of_submission(tlvs) == bytes.fromhex("14000004") + b"1201"
    assert NO_VENDOR_TLVS.of_submission(tlvs) == b""


def test_of_smpps_own_those_for_the_handset_go_on_and_those_between_neighbours_do_not():
    port, callback, sar, payload, reference = (
        {0x020B: b"\x23\xf0"},
        {0x0381: b"\1\0\0123"},
        {0x020E: b"\2"},
        {0x0424: b"text"},
        {0x0204: b"\0\1"},
    )

    assert NO_VENDOR_TLVS.of_submission({**port, **callback, **sar, **payload, **reference}) == write({**port, **callback})
    assert NO_VENDOR_TLVS.of_delivery({**port, **callback, **sar, **payload, **reference}) == write({**port, **callback, **reference})


def test_what_was_kept_is_told_by_name_also_when_the_name_is_gone():
    octets = write({0x1400: b"1201\0", 0x020B: b"\x23\xf0", 0x1600: b"x"})

    assert KNOWN.named(octets) == {"dlt_entity_id": "1201", "destination_port": "23f0", "0x1600": "78"}


def test_the_parts_of_a_message_say_together_what_each_says_and_the_first_wins():
    assert read(merged([b"", write({1: b"a"}), write({1: b"b", 2: b"c"})]), 0) == {1: b"a", 2: b"c"}
    assert merged([b"", b""]) == b""


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
