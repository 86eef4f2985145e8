"""Which status a malformed PDU deserves: conformance cases H03 and H14 to H22."""

import pytest

from gateway.smpp.consts import Status
from gateway.smpp.errors import FieldError
from gateway.smpp.pdu import SubmitSm, decode, encode

SUBMIT_SM = 0x04
BIND = 0x09
ADDRESSES = b"\x00\x01\x011616\x00\x01\x014179\x00"
PLAIN = ADDRESSES + b"\0\0\0" + b"\0" + b"\0" + b"\0\0\0\0" + b"\2hi"
MULTI_HEAD = b"\x00\x01\x011616\x00"


def frame(body: bytes, command_id: int = SUBMIT_SM) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in (16 + len(body), command_id, 0, 41)) + body


@pytest.mark.parametrize(
    ("command_id", "body", "status"),
    [
        (BIND, b"x" * 16 + b"\0pw\0\0\x34\0\0\0", Status.ESME_RINVSYSID),
        (BIND, b"me\0" + b"p" * 9 + b"\0\0\x34\0\0\0", Status.ESME_RINVPASWD),
        (BIND, b"me\0pw\0" + b"t" * 13 + b"\0\x34\0\0\0", Status.ESME_RINVSYSTYP),
        (BIND, b"me\0pw\0\0\x34\0\0" + b"4" * 41 + b"\0", Status.ESME_RINVPARLEN),
        (BIND, b"me\0pw\0\0\x34", Status.ESME_RINVCMDLEN),
        (BIND, b"me\0pw", Status.ESME_RINVPASWD),
        (SUBMIT_SM, b"longer\0" + PLAIN[1:], Status.ESME_RINVSERTYP),
        (SUBMIT_SM, b"\0\1\1" + b"1" * 21 + b"\0" + PLAIN[8:], Status.ESME_RINVSRCADR),
        (SUBMIT_SM, b"\0\1\0011616\0\1\1" + b"4" * 21 + b"\0" + PLAIN[15:], Status.ESME_RINVDSTADR),
        (SUBMIT_SM, b"\0\1\0011616\0\1\0014179", Status.ESME_RINVDSTADR),
        (SUBMIT_SM, ADDRESSES + b"\0\0\0" + b"2" * 17 + b"\0\0\0\0\0\0\0", Status.ESME_RINVSCHED),
        (SUBMIT_SM, ADDRESSES + b"\0\0\0" + b"2601\0" + b"\0\0\0\0\0\0", Status.ESME_RINVSCHED),
        (SUBMIT_SM, ADDRESSES + b"\0\0\0\0" + b"2" * 17 + b"\0\0\0\0\0\0", Status.ESME_RINVEXPIRY),
        (SUBMIT_SM, ADDRESSES + b"\0\0", Status.ESME_RINVCMDLEN),
        (SUBMIT_SM, b"", Status.ESME_RINVCMDLEN),
        (SUBMIT_SM, PLAIN[:-3], Status.ESME_RINVCMDLEN),
        (SUBMIT_SM, PLAIN[:-1], Status.ESME_RINVMSGLEN),
        (SUBMIT_SM, PLAIN[:-3] + b"\xff" + b"x" * 255, Status.ESME_RINVMSGLEN),
        (SUBMIT_SM, PLAIN + b"\0", Status.ESME_RINVOPTPARSTREAM),
        (SUBMIT_SM, PLAIN + b"\2\4", Status.ESME_RINVOPTPARSTREAM),
        (SUBMIT_SM, PLAIN + b"\2\4\0", Status.ESME_RINVOPTPARSTREAM),
        (SUBMIT_SM, PLAIN + b"\2\4\0\2\1", Status.ESME_RINVOPTPARSTREAM),
        (SUBMIT_SM, PLAIN + b"\2\4\0\1\1", Status.ESME_RINVPARLEN),
        (SUBMIT_SM, PLAIN + b"\4\x27\0\0", Status.ESME_RINVPARLEN),
        (0x21, MULTI_HEAD + b"\0", Status.ESME_RINVNUMDESTS),
        (0x21, MULTI_HEAD + b"\xff", Status.ESME_RINVNUMDESTS),
        (0x21, MULTI_HEAD + b"\1\3x\0", Status.ESME_RINVDESTFLAG),
        (0x21, MULTI_HEAD + b"\1\2" + b"l" * 21 + b"\0", Status.ESME_RINVDLNAME),
        (0x21, MULTI_HEAD + b"\2\1\1\0014179\0", Status.ESME_RINVCMDLEN),
        (0x03, b"m" * 65 + b"\0\1\1\0", Status.ESME_RINVMSGID),
        (0x111, b"", Status.ESME_RINVCMDID),
        (0x112, b"", Status.ESME_RINVCMDID),
        (0x113, b"", Status.ESME_RINVCMDID),
        (0x7777, b"anything", Status.ESME_RINVCMDID),
    ],
)
def test_a_malformed_pdu_fails_with_its_own_status(command_id: int, body: bytes, status: Status) -> None:
    with pytest.raises(FieldError) as caught:
        decode(frame(body, command_id))

    assert caught.value.status == status
    assert (caught.value.command_id, caught.value.sequence_number) == (command_id, 41)


def test_a_frame_whose_length_is_not_its_own_is_refused() -> None:
    with pytest.raises(FieldError) as caught:
        decode(frame(PLAIN) + b"\0")

    assert caught.value.status == Status.ESME_RINVCMDLEN


def test_sm_length_254_is_the_most_for_3_4_and_255_for_5_0() -> None:
    longest = frame(PLAIN[:-3] + b"\xfe" + b"x" * 254)
    longer = frame(PLAIN[:-3] + b"\xff" + b"x" * 255)

    assert len(decode(longest).short_message) == 254  # type: ignore[union-attr]  # a submit_sm
    assert len(decode(longer, 255).short_message) == 255  # type: ignore[union-attr]  # a submit_sm


def test_of_a_tag_sent_twice_the_first_wins() -> None:
    pdu = decode(frame(PLAIN + b"\2\4\0\2\0\1" + b"\2\4\0\2\0\2"))

    assert dict(pdu.tlvs) == {0x0204: b"\0\1"}


def test_unknown_and_vendor_tags_are_kept() -> None:
    pdu = decode(frame(PLAIN + b"\x14\1\0\2ab" + b"\x77\x77\0\0"))

    assert dict(pdu.tlvs) == {0x1401: b"ab", 0x7777: b""}


def test_the_status_of_a_request_is_kept_and_means_nothing() -> None:
    odd = bytearray(frame(PLAIN))
    odd[11] = 0x58

    pdu = decode(bytes(odd))

    assert pdu.command_status == 0x58
    assert pdu.short_message == b"hi"  # type: ignore[union-attr]  # a submit_sm


def test_octets_above_ascii_come_back_as_they_were() -> None:
    pdu = SubmitSm(source_addr="\xe4\xff\x80", destination_addr="1")

    assert decode(encode(pdu)) == pdu


def test_no_reason_shows_what_the_field_held() -> None:
    with pytest.raises(FieldError) as caught:
        decode(frame(b"me\0" + b"secret999" + b"\0\0\x34\0\0\0", BIND))

    assert "secret" not in str(caught.value)


def test_an_odd_time_in_a_deliver_sm_is_no_reason_to_refuse_it() -> None:
    odd = ADDRESSES + b"\0\0\0" + b"2601\0" + b"1\0" + b"\0\0\0\0" + b"\0"

    pdu = decode(frame(odd, 0x05))

    assert pdu[12:14] == ("2601", "1")
