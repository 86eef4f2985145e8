"""The user data header: written, read, and refused when its lengths lie."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sms import udh
from gateway.sms.errors import UdhError
from gateway.sms.udh import Concatenation, InformationElement, Ports

ELEMENTS = st.lists(st.builds(InformationElement, st.integers(0, 255), st.binary(max_size=20)), max_size=6).map(tuple)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_octets_give_elements_or_a_udh_error(octets: bytes) -> None:
    try:
        elements, offset = udh.parse(octets)
    except UdhError:
        return

    assert offset == octets[0] + 1 <= len(octets)
    assert udh.encode(elements) == octets[:offset]
    udh.concatenation(elements)
    udh.ports(elements)


@given(ELEMENTS, st.binary(max_size=20))
@settings(max_examples=100)
def test_elements_come_back_with_the_offset_of_the_body(elements: udh.Elements, body: bytes) -> None:
    header = udh.encode(elements)

    assert udh.parse(header + body) == (elements, len(header))


@given(ELEMENTS.filter(bool), st.data())
@settings(max_examples=50)
def test_every_truncation_of_a_header_is_refused(elements: udh.Elements, data: st.DataObject) -> None:
    header = udh.encode(elements)
    length = data.draw(st.integers(0, len(header) - 1))

    with pytest.raises(UdhError):
        udh.parse(header[:length])


@pytest.mark.parametrize("octets", [b"", b"\x05", b"\x05\x00\x03\x01\x02", b"\x01\x00", b"\x03\x00\x03\x01", b"\x02\x00\x01rest"])
def test_a_header_that_lies_is_refused(octets: bytes) -> None:
    with pytest.raises(UdhError):
        udh.parse(octets)


def test_concatenation_is_written_in_8_and_16_bits() -> None:
    assert udh.concat_header(0xAB, 3, 2) == b"\x05\x00\x03\xab\x03\x02"
    assert udh.concat_header(0xABCD, 3, 2, wide=True) == b"\x06\x08\x04\xab\xcd\x03\x02"


@pytest.mark.parametrize("wide", [False, True])
def test_concatenation_is_read_back(wide: bool) -> None:
    elements, _ = udh.parse(udh.concat_header(77, 255, 255, wide))

    assert udh.concatenation(elements) == Concatenation(77, 255, 255, wide)


@pytest.mark.parametrize(
    "data", [b"\x01\x00\x00", b"\x01\x03\x00", b"\x01\x03\x04", b"\x01\x00\x01", b"\x01\x02", b"\x01\x02\x01\x00", b""]
)
def test_impossible_or_malformed_concatenation_is_ignored(data: bytes) -> None:
    assert udh.concatenation((InformationElement(0x00, data),)) is None


def test_the_last_usable_concatenation_wins() -> None:
    elements = (
        InformationElement(0x00, b"\x01\x02\x01"),
        InformationElement(0x08, b"\x00\x09\x03\x02"),
        InformationElement(0x00, b"\x05\x02\x09"),
    )

    assert udh.concatenation(elements) == Concatenation(9, 3, 2, True)


@pytest.mark.parametrize(
    ("reference", "total", "number", "wide"),
    [(256, 2, 1, False), (65536, 2, 1, True), (1, 2, 3, False), (1, 2, 0, True), (1, 256, 1, False)],
)
def test_concatenation_that_cannot_be_written_is_refused(reference: int, total: int, number: int, wide: bool) -> None:
    with pytest.raises(UdhError):
        udh.concat_header(reference, total, number, wide)


def test_ports_are_written_and_read_in_both_widths() -> None:
    wide, narrow = udh.ports_element(5505, 0), udh.ports_element(245, 3, wide=False)

    assert udh.encode((wide,)) == b"\x06\x05\x04\x15\x81\x00\x00"
    assert udh.ports((wide,)) == Ports(5505, 0, True)
    assert udh.ports((narrow,)) == Ports(245, 3, False)
    assert udh.ports((InformationElement(0x05, b"\x15"),)) is None
    with pytest.raises(UdhError):
        udh.ports_element(65536, 0)


def test_a_header_that_does_not_fit_its_length_octet_is_refused() -> None:
    with pytest.raises(UdhError):
        udh.encode([InformationElement(1, bytes(254))])
    with pytest.raises(UdhError):
        udh.encode([InformationElement(1, bytes(256))])
    with pytest.raises(UdhError):
        udh.encode([InformationElement(300, b"")])
