"""Our codec against smpplib 2.2.4, an implementation we did not write: constants, what each writes, what the other reads.

Known differences, where smpplib is not the judge:
- it ends a C-octet string wherever a NUL is found and reads truncated bodies without complaint; we refuse both;
- a text over its maximum is cut silently when it writes; we raise;
- string TLVs are read by it as bytes less one octet, whether or not that is the NUL: only TLVs that are numbers are compared;
- it gives source_addr_subunit two octets (the specification: one) and alert_on_message_delivery no size at all: left out;
- it writes a mandatory integer that is 0 as one NUL, which is right only for one-octet fields: all of ours are;
- unknown TLVs make it raise unless allow_unknown_opt_params is set: not compared;
- it has no submit_multi, cancel_sm, replace_sm and outbind;
- its INT_NOTIFICATION comment says bit 5 and its mask 0x10; so do we, as the mask;
- its COMMAND_STATES allow query_sm on receivers; SMPP 3.4 table 2-1 allows it on transmitters.
"""

from typing import Any

import pytest
import smpplib.command as peer
import smpplib.command_codes as peer_codes
import smpplib.consts as peer_consts
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import consts
from gateway.smpp.consts import CommandId, Status, Tag
from gateway.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    QuerySm,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
)

# smpplib encodes texts with six.b, which is Latin-1; ASCII keeps to what both promise.
ASCII = st.characters(min_codepoint=32, max_codepoint=126)
OCTET = st.integers(0, 255)
NAMES: dict[Any, str] = {
    BindTransmitter: "bind_transmitter",
    BindReceiver: "bind_receiver",
    BindTransceiver: "bind_transceiver",
    SubmitSm: "submit_sm",
    SubmitSmResp: "submit_sm_resp",
    DeliverSm: "deliver_sm",
    DeliverSmResp: "deliver_sm_resp",
    QuerySm: "query_sm",
    AlertNotification: "alert_notification",
    EnquireLink: "enquire_link",
    EnquireLinkResp: "enquire_link_resp",
    Unbind: "unbind",
    UnbindResp: "unbind_resp",
    GenericNack: "generic_nack",
    DataSm: "data_sm",
}
MESSAGE = {
    "service_type": st.text(ASCII, max_size=5),
    "source_addr_ton": OCTET,
    "source_addr_npi": OCTET,
    "source_addr": st.text(ASCII, max_size=20),
    "dest_addr_ton": OCTET,
    "dest_addr_npi": OCTET,
    "destination_addr": st.text(ASCII, max_size=20),
    "esm_class": OCTET,
    "registered_delivery": OCTET,
    "data_coding": OCTET,
}
SHORT_MESSAGE = MESSAGE | {
    "protocol_id": OCTET,
    "priority_flag": OCTET,
    "schedule_delivery_time": st.sampled_from(["", "260102030405000+"]),
    "validity_period": st.sampled_from(["", "000001000000000R"]),
    "replace_if_present_flag": OCTET,
    "sm_default_msg_id": OCTET,
    "short_message": st.binary(min_size=1, max_size=254),
}
BIND = {
    "system_id": st.text(ASCII, max_size=15),
    "password": st.text(ASCII, max_size=8),
    "system_type": st.text(ASCII, max_size=12),
    "addr_ton": OCTET,
    "addr_npi": OCTET,
    "address_range": st.text(ASCII, max_size=40),
}
SOURCE = {name: MESSAGE[name] for name in ("source_addr_ton", "source_addr_npi", "source_addr")}
VALUES: dict[Any, dict[str, st.SearchStrategy[Any]]] = {
    BindTransmitter: BIND,
    BindReceiver: BIND,
    BindTransceiver: BIND,
    SubmitSm: SHORT_MESSAGE,
    DeliverSm: SHORT_MESSAGE,
    DataSm: MESSAGE,
    SubmitSmResp: {"message_id": st.text(ASCII, max_size=64)},
    DeliverSmResp: {"message_id": st.just("")},
    QuerySm: SOURCE | {"message_id": st.text(ASCII, min_size=1, max_size=64)},
    AlertNotification: SOURCE | {"esme_addr_ton": OCTET, "esme_addr_npi": OCTET, "esme_addr": st.text(ASCII, max_size=20)},
}
TLVS: dict[Tag, st.SearchStrategy[bytes]] = {
    Tag.USER_MESSAGE_REFERENCE: st.binary(min_size=2, max_size=2),
    Tag.SAR_MSG_REF_NUM: st.binary(min_size=2, max_size=2),
    Tag.SAR_TOTAL_SEGMENTS: st.binary(min_size=1, max_size=1),
    Tag.SAR_SEGMENT_SEQNUM: st.binary(min_size=1, max_size=1),
}


def sequence_of(pdu: Any) -> Any:
    class Client:
        sequence = pdu.sequence_number

        def next_sequence(self) -> int:
            return int(pdu.sequence_number)

    return Client()


@st.composite
def pdus(draw: st.DrawFn) -> Any:
    cls = draw(st.sampled_from(list(NAMES)))
    values = {name: draw(strategy) for name, strategy in VALUES.get(cls, {}).items()}
    tags = draw(st.lists(st.sampled_from(list(TLVS)), unique=True, max_size=4)) if cls in (SubmitSm, DeliverSm) else []
    return cls(sequence_number=draw(st.integers(1, consts.SEQUENCE_MAX)), tlvs={int(tag): draw(TLVS[tag]) for tag in tags}, **values)


def theirs(pdu: Any) -> Any:
    """The same PDU as smpplib's object."""
    values = {name: getattr(pdu, name) for name in VALUES.get(type(pdu), {})}
    values |= {Tag(tag).name.lower(): int.from_bytes(raw, "big") for tag, raw in pdu.tlvs.items()}
    made = peer.factory(NAMES[type(pdu)], client=sequence_of(pdu), sequence=pdu.sequence_number, **values)
    for name, value in values.items():
        setattr(made, name, value)
    made.sequence = pdu.sequence_number
    return made


@settings(max_examples=200, deadline=None)
@given(pdus())
def test_what_smpplib_writes_we_read(pdu: Any) -> None:
    frame = theirs(pdu).generate()

    assert decode(frame) == pdu


@settings(max_examples=200, deadline=None)
@given(pdus())
def test_what_we_write_smpplib_reads(pdu: Any) -> None:
    made = peer.factory(NAMES[type(pdu)], client=sequence_of(pdu))

    made.parse(encode(pdu))

    assert made.sequence == pdu.sequence_number
    for name in VALUES.get(type(pdu), {}):
        ours = getattr(pdu, name)
        found = getattr(made, name)
        assert (found or b"" if isinstance(ours, str | bytes) else found) == (ours.encode() if isinstance(ours, str) else ours)
    for tag, raw in pdu.tlvs.items():
        assert getattr(made, Tag(tag).name.lower()) == int.from_bytes(raw, "big")


def test_the_command_ids_are_the_same() -> None:
    theirs_by_name = dict(peer_codes.commands)

    for command in CommandId:
        if command.name.lower() in theirs_by_name:
            assert theirs_by_name[command.name.lower()] == command


def test_the_statuses_are_the_same() -> None:
    named = {name.removeprefix("SMPP_"): value for name, value in vars(peer_consts).items() if name.startswith("SMPP_ESME_")}

    assert {name: int(Status[name]) for name in named} == named


@pytest.mark.parametrize("name", peer_consts.OPTIONAL_PARAMS)
def test_the_tags_are_the_same(name: str) -> None:
    assert Tag[name.upper()] == peer_consts.OPTIONAL_PARAMS[name]


@pytest.mark.parametrize("state", ["ENROUTE", "DELIVERED", "EXPIRED", "DELETED", "UNDELIVERABLE", "ACCEPTED", "UNKNOWN", "REJECTED"])
def test_the_message_states_are_the_same(state: str) -> None:
    assert consts.MessageState[state] == getattr(peer_consts, f"SMPP_MESSAGE_STATE_{state}")
