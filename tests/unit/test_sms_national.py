"""National shift tables, as phones in those countries send them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sms import gsm7, national, segments, udh
from gateway.sms.national import Shift
from gateway.sms.national_tables import PORTUGUESE, SPANISH, TURKISH
from gateway.sms.reassembly import Part, fold, join
from gateway.sms.udh import InformationElement


@pytest.mark.parametrize(
    ("shift", "septets", "text"),
    [
        (Shift(single=TURKISH), b"\x1bS\x1bs\x1be", "Şş€"),
        (Shift(locking=TURKISH), b"\x40\x07\x0b\x0c\x1c\x1d\x60", "İıĞğŞşç"),
        (Shift(single=SPANISH), b"\x1bAr\x1bi\x1b\x09", "Áríç"),
        (Shift(single=PORTUGUESE), b"\x1b\x05\x1b\x7b\x1b\x7f\x1b\x61\x1b\x4f", "êãâÂÓ"),
        (Shift(locking=PORTUGUESE), b"\x7b\x7c\x18\x1b\x3c", "ãõ€["),
        (Shift(locking=SPANISH), b"a", None),
        (Shift(single=14), b"a", None),
    ],
)
def test_a_header_that_names_a_language_is_read_in_it(shift: Shift, septets: bytes, text: str | None) -> None:
    elements = (
        InformationElement(udh.LOCKING_SHIFT, bytes((shift.locking,))),
        InformationElement(udh.SINGLE_SHIFT, bytes((shift.single,))),
    )

    content = segments.decode(0, True, udh.encode(elements) + septets)

    assert (content.text, content.raw) == (text, septets)
    assert national.shift_of(content.elements) == shift


@given(st.binary(max_size=60), st.sampled_from([0, TURKISH, PORTUGUESE]), st.sampled_from([0, TURKISH, SPANISH, PORTUGUESE]))
@settings(max_examples=100)
def test_any_octets_decode_in_any_language(septets: bytes, locking: int, single: int) -> None:
    text = national.decode(septets, Shift(locking, single))

    assert text is not None
    assert "\x1b" not in text


@given(st.binary(max_size=60))
@settings(max_examples=100)
def test_octets_that_mean_the_same_in_spanish_read_as_the_default_alphabet_does(septets: bytes) -> None:
    plain = septets.translate(None, b"\x09AIOUaiou")

    assert national.decode(plain, Shift(single=SPANISH)) == gsm7.decode(plain)


def test_a_malformed_language_element_is_ignored() -> None:
    assert national.shift_of((InformationElement(udh.SINGLE_SHIFT, b""), InformationElement(udh.LOCKING_SHIFT, b"\x01\x01"))) == Shift()


def test_parts_keep_their_language_when_joined() -> None:
    turkish = Shift(single=TURKISH)

    assert join(fold(2, [Part(2, b"s", 0, 0, turkish), Part(1, b"a\x1b", 0, 0, turkish)])).text == "aş"
