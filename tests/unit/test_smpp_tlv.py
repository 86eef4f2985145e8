"""Optional parameters have types and lengths; the unknown ones are bytes."""

import pytest

from gateway.smpp import tlv
from gateway.smpp.consts import Tag
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.pdu import EMPTY_TLVS, DeliverSm, EnquireLink


@pytest.mark.parametrize(
    ("tag", "value", "octets"),
    [
        (Tag.RECEIPTED_MESSAGE_ID, "a1", b"a1\0"),
        (Tag.MESSAGE_STATE, 2, b"\2"),
        (Tag.USER_MESSAGE_REFERENCE, 258, b"\1\2"),
        (Tag.QOS_TIME_TO_LIVE, 60, b"\0\0\0\x3c"),
        (Tag.NETWORK_ERROR_CODE, b"\3\0\5", b"\3\0\5"),
        (Tag.CONGESTION_STATE, 85, b"\x55"),
        (0x1401, b"vendor", b"vendor"),
    ],
)
def test_a_value_is_written_and_read_in_its_own_type(tag: int, value: str | int | bytes, octets: bytes) -> None:
    pdu = DeliverSm(tlvs={tag: tlv.make(tag, value)})

    assert pdu.tlvs[tag] == octets
    assert tlv.get(pdu, tag) == value


def test_a_text_without_its_nul_is_read() -> None:
    assert tlv.get(DeliverSm(tlvs={Tag.RECEIPTED_MESSAGE_ID: b"a1"}), Tag.RECEIPTED_MESSAGE_ID) == "a1"


def test_an_absent_tag_is_none() -> None:
    assert tlv.get(EnquireLink(), Tag.MESSAGE_STATE) is None
    assert tlv.get_int(EnquireLink(), Tag.MESSAGE_STATE) is None
    assert tlv.get_text(EnquireLink(), Tag.RECEIPTED_MESSAGE_ID) is None


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (Tag.MESSAGE_STATE, 256),
        (Tag.MESSAGE_STATE, -1),
        (Tag.MESSAGE_STATE, b"\1\2"),
        (Tag.RECEIPTED_MESSAGE_ID, "x" * 65),
        (Tag.RECEIPTED_MESSAGE_ID, "a\0b"),
        (Tag.RECEIPTED_MESSAGE_ID, "\u20ac"),
        (0x1401, 7),
        (Tag.MESSAGE_PAYLOAD, b"x" * 65536),
    ],
)
def test_a_value_that_does_not_fit_is_a_local_error(tag: int, value: str | int | bytes) -> None:
    with pytest.raises(LocalProtocolError):
        tlv.make(tag, value)


def test_the_empty_set_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        EMPTY_TLVS[1] = b""  # type: ignore[index]  # the error under test


def test_every_tag_has_a_type_and_lengths() -> None:
    assert set(tlv.TLV_SPECS) == set(Tag)
