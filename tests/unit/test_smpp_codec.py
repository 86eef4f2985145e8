"""Every PDU survives the way there and back; no octets at all raise anything but our own errors."""

import random
from types import UnionType
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import tlv
from gateway.smpp.consts import RESPONSE_BIT, CommandId, Tag
from gateway.smpp.errors import FieldError, LocalProtocolError
from gateway.smpp.fields import CString, Destinations, Octet, ShortMessage
from gateway.smpp.layout import LAYOUTS
from gateway.smpp.pdu import (
    DataSm,
    DeliverSm,
    DeliverSmResp,
    DistributionList,
    EnquireLink,
    GenericNack,
    Pdu,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    UnsuccessSme,
    decode,
    encode,
)

CLASSES: list[Any] = list(LAYOUTS)
OCTET = st.integers(0, 255)
UINT32 = st.integers(0, 0xFFFFFFFF)


def latin(size_max: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size_max)


DESTINATIONS = st.lists(
    st.one_of(st.builds(SmeAddress, OCTET, OCTET, latin(20)), st.builds(DistributionList, latin(20))), min_size=1, max_size=5
).map(tuple)
UNSUCCESSFUL = st.lists(st.builds(UnsuccessSme, OCTET, OCTET, latin(20), UINT32), max_size=5).map(tuple)


@st.composite
def optional_parameters(draw: st.DrawFn) -> dict[int, bytes]:
    tags = draw(st.lists(st.one_of(st.sampled_from(list(Tag)), st.integers(0, 0xFFFF)), max_size=4, unique=True))
    found = {}
    for tag in tags:
        spec = tlv.TLV_SPECS.get(tag)
        low, high = (0, 20) if spec is None else (spec.length_min, min(spec.length_max, 40))
        found[int(tag)] = draw(st.binary(min_size=low, max_size=high))
    return found


def value_of(field: Any) -> st.SearchStrategy[Any]:
    if isinstance(field, Octet):
        return OCTET
    if isinstance(field, CString):
        if not field.fixed:
            return latin(field.size_max - 1)
        return st.sampled_from(["", "260102030405000+", "000001000000000R"])
    if isinstance(field, ShortMessage):
        return st.binary(max_size=254)
    return DESTINATIONS if isinstance(field, Destinations) else UNSUCCESSFUL


@st.composite
def pdus(draw: st.DrawFn) -> Any:
    cls = draw(st.sampled_from(CLASSES))
    status = draw(UINT32) if not cls.command_id & RESPONSE_BIT else 0
    values = [draw(value_of(field)) for field in LAYOUTS[cls]]
    return cls(draw(UINT32), status, *values, draw(optional_parameters()))


def sample(cls: Any) -> Any:
    """A PDU with something in every field."""
    values: list[Any] = []
    for field in LAYOUTS[cls]:
        if isinstance(field, Octet):
            values.append(3)
        elif isinstance(field, CString):
            values.append("260102030405000+" if field.fixed else "a1b2"[: field.size_max - 1])
        elif isinstance(field, ShortMessage):
            values.append(b"hello\0world")
        elif isinstance(field, Destinations):
            values.append((SmeAddress(1, 1, "4179"), DistributionList("friends")))
        else:
            values.append((UnsuccessSme(1, 1, "4179", 0x0B),))
    return cls(77, 0, *values, {int(Tag.USER_MESSAGE_REFERENCE): b"\1\2", 0x1401: b"vendor"})


def error_of(frame: bytes) -> FieldError | None:
    """What decoding these octets raises; anything but a FieldError goes through."""
    try:
        decode(frame)
    except FieldError as error:
        return error
    return None


def test_the_union_and_the_layouts_name_the_same_pdus() -> None:
    assert isinstance(Pdu, UnionType)

    assert set(get_args(Pdu)) == set(LAYOUTS)


def test_every_command_of_3_4_has_a_class() -> None:
    broadcast = {command for command in CommandId if "BROADCAST" in command.name}

    assert {cls.command_id for cls in CLASSES} == set(CommandId) - broadcast


@pytest.mark.parametrize("cls", CLASSES)
def test_fields_have_the_names_of_the_layout_in_its_order(cls: Any) -> None:
    names = tuple(field.name for field in LAYOUTS[cls])

    assert cls._fields == ("sequence_number", "command_status", *names, "tlvs")


def test_submit_sm_is_laid_out_as_the_specification_says() -> None:
    pdu = SubmitSm(5, 0, "", 1, 1, "1616", 1, 1, "4179", registered_delivery=1, short_message=b"hi")

    frame = encode(pdu)

    expected = "0000002b00000004000000000000000500010131363136000101343137390000000000000100000002" + "6869"
    assert frame.hex() == expected


def test_bind_transceiver_of_the_specification_examples_is_read() -> None:
    """SMPP 3.4 section 3.2.3 prints this bind_transmitter."""
    frame = bytes.fromhex("0000002F000000020000000000000001534D50503354455354007365637265743038005355424D4954310000010100")

    pdu = decode(frame)

    assert type(pdu).__name__ == "BindTransmitter"
    assert pdu[2:8] == ("SMPP3TEST", "secret08", "SUBMIT1", 0x00, 1, 1)
    assert encode(pdu) == frame


@settings(max_examples=200, deadline=None)
@given(pdus())
def test_what_is_encoded_decodes_to_the_same(pdu: Any) -> None:
    again = decode(encode(pdu))

    assert again == pdu
    assert type(again) is type(pdu)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_pdu_cut_at_any_octet_raises_only_field_errors(cls: Any) -> None:
    """H15"""
    frame = encode(sample(cls))

    for end in range(len(frame)):
        with pytest.raises(FieldError):
            decode(frame[:end])
        error = error_of(end.to_bytes(4, "big") + frame[4:end])
        if end >= 16 and error is not None:
            assert (error.command_id, error.sequence_number) == (cls.command_id, 77)


def test_mutated_pdus_raise_only_field_errors() -> None:
    generator = random.Random(3_4)
    frames = [encode(sample(cls)) for cls in CLASSES] + [encode(SubmitSm(short_message=b"x", source_addr="1", destination_addr="2"))]

    for turn in range(20_000):
        frame = bytearray(frames[turn % len(frames)])
        for _ in range(generator.randint(1, 4)):
            frame[generator.randrange(4, len(frame))] = generator.choice((0, 1, 255, generator.randrange(256)))
        if generator.random() < 0.3:
            del frame[generator.randrange(16, len(frame) + 1) :]
            frame[:4] = len(frame).to_bytes(4, "big")
        error_of(bytes(frame))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([cls.command_id for cls in CLASSES]))
def test_any_body_decodes_or_raises_a_field_error(body: bytes, command_id: int) -> None:
    frame = b"".join(number.to_bytes(4, "big") for number in (16 + len(body), command_id, 0, 9)) + body

    error = error_of(frame)

    assert error is None or (error.command_id, error.sequence_number) == (command_id, 9)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=64), st.sampled_from([SubmitSm, DeliverSm, SubmitSmResp, DeliverSmResp, EnquireLink]))
def test_the_fast_path_agrees_with_the_table(body: bytes, cls: Any) -> None:
    from gateway.smpp.codec import DECODERS, _table_decoder

    frame = b"".join(number.to_bytes(4, "big") for number in (16 + len(body), cls.command_id, 0, 9)) + body
    outcomes = []

    for decoder in (DECODERS[cls.command_id], _table_decoder(cls)):
        try:
            outcomes.append(decoder(frame, 0, 9, 254))
        except FieldError as error:
            outcomes.append((error.status, error.reason))  # type: ignore[arg-type]  # compared, not used

    is_bare_deliver_resp = cls is DeliverSmResp and not body
    assert is_bare_deliver_resp or outcomes[0] == outcomes[1]


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls.command_id & RESPONSE_BIT])
def test_an_error_response_is_written_without_a_body_and_read_with_or_without_one(cls: Any) -> None:
    """M02"""
    refused = sample(cls)._replace(command_status=0x45)
    with_body = bytearray(encode(sample(cls)))
    with_body[11] = 0x45

    assert len(encode(refused)) == 16
    assert decode(encode(refused)) == cls(77, 0x45)
    assert decode(bytes(with_body)) == refused


def test_a_bare_deliver_sm_resp_is_taken_and_a_bare_submit_sm_resp_is_not() -> None:
    """R17"""
    bare_deliver = bytes.fromhex("00000010800000050000000000000009")
    bare_submit = bytes.fromhex("00000010800000040000000000000009")

    assert decode(bare_deliver) == DeliverSmResp(9)
    with pytest.raises(FieldError):
        decode(bare_submit)


@pytest.mark.parametrize(
    "pdu",
    [
        SubmitSm(service_type="toolong"),
        SubmitSm(source_addr="4" * 21),
        SubmitSm(destination_addr="4" * 21),
        SubmitSm(source_addr="with\0nul"),
        SubmitSm(source_addr="\u20ac"),
        SubmitSm(short_message=b"x" * 255),
        SubmitSm(esm_class=256),
        SubmitSm(data_coding=-1),
        SubmitSm(validity_period="tomorrow"),
        SubmitSm(sequence_number=-1),
        SubmitSm(tlvs={int(Tag.MESSAGE_STATE): b"too long"}),
        SubmitSm(tlvs={0x10000: b""}),
        SubmitSm(short_message="text"),  # type: ignore[arg-type]  # the error under test
        SubmitSm(source_addr=None),  # type: ignore[arg-type]  # the error under test
        SubmitSmResp(message_id="x" * 65),
        SubmitSmResp(message_id="a\0b"),
        SubmitMulti(),
        SubmitMulti(dest_address=(SmeAddress(),) * 255),
        SubmitMultiResp(unsuccess_sme=(UnsuccessSme(error_status_code=-1),)),
        DataSm(source_addr="4" * 65),
        GenericNack(command_status=1 << 32),
        object(),
    ],
)
def test_what_cannot_be_sent_is_a_local_error(pdu: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode(pdu)
