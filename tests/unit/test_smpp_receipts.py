"""Receipts as partners get them: R01 to R03, row 82, and a partner's wish for data_sm (row 42)."""

from __future__ import annotations

import pytest

from gateway.domain.message import Front, Message, State
from gateway.links.smpp_answers import deliver_sm
from gateway.smpp.consts import Tag
from gateway.smpp.pdu import DataSm, DeliverSm
from gateway.smpp.receipt import read
from gateway.store.outbox import KIND_INTERMEDIATE, KIND_RECEIPT, Entry, Handover

AT = 1_767_225_600_000_000
MESSAGE = Message(
    256, Front.SMPP, 7, None, None, "chat", "10661700", 0, 1, "8613900001234", 1, 1, 0, 0, 0, 0, 0, 0x11, 3, None, AT, AT + 86_400_000_000
)


def handover(state: int = State.DELIVERED, *, kind: int = KIND_RECEIPT, error: str | None = None, **facts: int) -> Handover:
    return Handover(Entry(512, "partner:7", kind, MESSAGE.id, state), MESSAGE, None, error, AT, **facts)


@pytest.mark.parametrize(("state", "stat"), [(2, b"DELIVRD"), (3, b"EXPIRED"), (4, b"DELETED"), (5, b"UNDELIV"), (8, b"REJECTD")])
def test_a_receipt_says_the_carriers_own_state(state, stat):
    """R02"""
    pdu = deliver_sm(handover(State.FAILED, message_state=state), 0x34)

    assert isinstance(pdu, DeliverSm)
    assert b"stat:" + stat in pdu.short_message
    assert pdu.tlvs[Tag.MESSAGE_STATE] == bytes((state,))


def test_a_state_of_5_0_is_told_in_words_of_the_peers_version():
    told = [deliver_sm(handover(State.FAILED, message_state=9), version).tlvs[Tag.MESSAGE_STATE] for version in (0x34, 0x50)]

    assert told == [b"\5", b"\x09"]


def test_what_we_ended_ourselves_is_told_as_it_is():
    assert b"stat:EXPIRED" in deliver_sm(handover(State.EXPIRED), 0x34).short_message  # type: ignore[union-attr]  # a deliver_sm


def test_parts_are_counted():
    pdu = deliver_sm(handover(State.FAILED, delivered=2), 0x34)

    assert b"sub:003 dlvrd:002" in pdu.short_message  # type: ignore[union-attr]  # a deliver_sm


@pytest.mark.parametrize(
    ("error", "written", "network"),
    [
        ("027", b"err:027", b"\3\0\x1b"),
        ("1:027", b"err:027", b"\1\0\x1b"),
        ("000", b"err:000", None),
        (None, b"err:000", None),
        ("1F", b"err:1F", None),
        ("validity period over", b"err:000", None),
    ],
)
def test_an_error_keeps_its_network_type(error, written, network):
    """Row 82"""
    pdu = deliver_sm(handover(State.FAILED, error=error), 0x34)

    assert written + b" text:" in pdu.short_message  # type: ignore[union-attr]  # a deliver_sm
    assert pdu.tlvs.get(Tag.NETWORK_ERROR_CODE) == network


def test_the_senders_reference_comes_back():
    assert deliver_sm(handover(user_reference=0x1234), 0x34).tlvs[Tag.USER_MESSAGE_REFERENCE] == b"\x12\x34"


def test_an_intermediate_state_has_its_own_esm_class():
    """R03"""
    pdu = deliver_sm(handover(1, kind=KIND_INTERMEDIATE, message_state=1), 0x34)

    assert pdu.esm_class == 0x20
    assert b"dlvrd:000" in pdu.short_message  # type: ignore[union-attr]  # a deliver_sm
    assert b"stat:ENROUTE" in pdu.short_message  # type: ignore[union-attr]  # a deliver_sm


def test_a_partner_may_have_receipts_as_data_sm():
    """Row 42"""
    pdu = deliver_sm(handover(message_state=2), 0x34, "data_sm")

    assert isinstance(pdu, DataSm)
    told = read(pdu)
    assert told is not None
    assert (told.smsc_id, told.state) == ("256", 2)
    assert told.text_receipt is not None


def test_a_peer_of_3_3_gets_a_plain_deliver_sm():
    pdu = deliver_sm(handover(message_state=2, user_reference=5), 0x33, "data_sm")

    assert isinstance(pdu, DeliverSm)
    assert pdu.tlvs == {}
