"""Receipts as they come: conformance cases R01, R02, R07 and R08."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp.consts import MessageState, Tag
from gateway.smpp.pdu import DataSm, DeliverSm
from gateway.smpp.receipt import STATES, Receipt, Report, _parse_odd, format, parse, read, stat_of, state_of

PLAIN = "id:0123456789 sub:001 dlvrd:001 submit date:2601020304 done date:2601020305 stat:DELIVRD err:000 text:Hello there"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, Receipt("0123456789", "001", "001", "2601020304", "2601020305", "DELIVRD", "000", "Hello there")),
        (PLAIN.replace("text:", "Text:"), Receipt("0123456789", "001", "001", "2601020304", "2601020305", "DELIVRD", "000", "Hello there")),
        (PLAIN.upper(), Receipt("0123456789", "001", "001", "2601020304", "2601020305", "DELIVRD", "000", "HELLO THERE")),
        ("id:a1 stat:FAILED", Receipt(id="a1", stat="FAILED")),
        ("id:a1 stat:REJECTED err:0x1F", Receipt(id="a1", stat="REJECTED", err="0x1F")),
        ("id:a1 stat:ACKED text:", Receipt(id="a1", stat="ACKED")),
        (
            "id:a1 submit date:260102030405 done date:260102030406 stat:EXPIRED err:",
            Receipt("a1", submit_date="260102030405", done_date="260102030406", stat="EXPIRED"),
        ),
        ("stat:UNDELIV id:a1", Receipt(id="a1", stat="UNDELIV")),
        ("id:a1 done_date:2601020304 stat:delivrd", Receipt(id="a1", done_date="2601020304", stat="DELIVRD")),
        ("id: a1 sub: 001 stat: DELIVRD err: 000", Receipt("a1", "001", stat="DELIVRD", err="000")),
        ("id:9f1c2d3e-0000-4a4b-8c8d-000000000001 stat:DELIVRD", Receipt("9f1c2d3e-0000-4a4b-8c8d-000000000001", stat="DELIVRD")),
        ("id:a1\r\nstat:DELIVRD\r\n", Receipt("a1", stat="DELIVRD")),
        ("id:a1 stat:DELIVRD\0", Receipt("a1", stat="DELIVRD")),
        ("id:a1 stat:DELIVRD text:id:b2 stat:EXPIRED", Receipt("a1", stat="DELIVRD", text="id:b2 stat:EXPIRED")),
        ("text:hi id:a1 stat:DELIVRD", Receipt("a1", stat="DELIVRD", text="hi")),
        ("stat:DELIVRD err:000", Receipt(stat="DELIVRD", err="000")),
    ],
)
def test_a_receipt_is_read_in_all_its_forms(text: str, expected: Receipt) -> None:
    assert parse(text) == expected
    assert parse(text.encode("latin-1")) == expected


@pytest.mark.parametrize("text", ["", "hello", "stat:DELIVRD", "id:17 is my number", "what does stat mean", "id:1 stat:", "id:1 stat: "])
def test_what_is_no_receipt_is_not_taken_for_one(text: str) -> None:
    assert parse(text) is None


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_a_receipt_or_none(octets: bytes) -> None:
    assert parse(octets) is None or isinstance(parse(octets), Receipt)


def test_what_is_written_is_read_again() -> None:
    receipt = Receipt("1234", "001", "001", "2601020304", "2601020305", "UNDELIV", "031", "0123456789abcdefghij")

    assert parse(format(receipt)) == receipt
    assert format(receipt).startswith(b"id:1234 sub:001 dlvrd:001 submit date:2601020304 done date:2601020305 stat:UNDELIV err:031 text:")


WORD = st.text(st.sampled_from("abcXYZ019-"), max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        Receipt, WORD, WORD, WORD, WORD, WORD, st.sampled_from(list(STATES)), WORD, st.text(st.sampled_from("ab :\0\nstat"), max_size=20)
    )
)
def test_the_quick_way_reads_what_the_forgiving_way_reads(receipt: Receipt) -> None:
    text = format(receipt).decode("latin-1")

    assert parse(text) == _parse_odd(text)


def test_only_twenty_characters_of_the_message_are_written() -> None:
    assert format(Receipt(text="x" * 50)).endswith(b"text:" + b"x" * 20)


@pytest.mark.parametrize("word", STATES)
def test_stat_and_state_agree_both_ways(word: str) -> None:
    assert stat_of(state_of(word)) == word


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("delivrd", MessageState.DELIVERED),
        ("DELIVERD", MessageState.DELIVERED),
        ("FAILED", MessageState.UNDELIVERABLE),
        ("2", MessageState.DELIVERED),
        ("77", MessageState.UNKNOWN),
        ("GARBLED", MessageState.UNKNOWN),
        ("", MessageState.UNKNOWN),
    ],
)
def test_spellings_of_the_field_are_known(word: str, state: MessageState) -> None:
    assert state_of(word) is state


def test_optional_parameters_win_over_the_text() -> None:
    pdu = DeliverSm(
        esm_class=0x04,
        short_message=PLAIN.encode(),
        tlvs={Tag.RECEIPTED_MESSAGE_ID: b"75BCD15\0", Tag.MESSAGE_STATE: b"\3", Tag.NETWORK_ERROR_CODE: b"\3\0\5"},
    )

    report = read(pdu)

    assert report == Report("75BCD15", MessageState.EXPIRED, "005", parse(PLAIN))


def test_the_text_alone_is_enough() -> None:
    assert read(DeliverSm(esm_class=0x04, short_message=PLAIN.encode())) == Report(
        "0123456789", MessageState.DELIVERED, "000", parse(PLAIN)
    )


def test_the_optional_parameters_alone_are_enough_also_without_esm_class() -> None:
    pdu = DeliverSm(tlvs={Tag.RECEIPTED_MESSAGE_ID: b"a1", Tag.MESSAGE_STATE: b"\2"})

    assert read(pdu) == Report("a1", MessageState.DELIVERED, "", None)


def test_the_text_may_be_in_message_payload() -> None:
    tlvs = {int(Tag.MESSAGE_PAYLOAD): PLAIN.encode()}

    for pdu in (DeliverSm(esm_class=0x04, tlvs=tlvs), DataSm(esm_class=0x04, tlvs=tlvs)):
        report = read(pdu)
        assert report is not None
        assert report.smsc_id == "0123456789"


def test_a_receipt_without_esm_class_counts_only_where_the_link_trusts_texts() -> None:
    pdu = DeliverSm(short_message=PLAIN.encode())

    assert read(pdu) is None
    assert read(pdu, trust_text=True) is not None
    assert read(DeliverSm(short_message=b"hello"), trust_text=True) is None


def test_an_unreadable_receipt_never_passes_for_a_message() -> None:
    assert read(DeliverSm(esm_class=0x04, short_message=b"???")) == Report("", MessageState.UNKNOWN, "", None)


def test_an_intermediate_notification_is_a_report_and_an_mo_with_udhi_is_not() -> None:
    pdu = DeliverSm(esm_class=0x20, short_message=b"id:1 stat:ENROUTE")

    assert read(pdu) == Report("1", MessageState.ENROUTE, "", Receipt("1", stat="ENROUTE"))
    assert read(DeliverSm(esm_class=0x40, short_message=b"\5\0\3\1\2\1hi")) is None


def test_a_receipt_in_ucs2_is_read() -> None:
    pdu = DeliverSm(esm_class=0x04, data_coding=8, short_message="id:a1 stat:DELIVRD".encode("utf-16-be"))

    report = read(pdu)

    assert report is not None
    assert (report.smsc_id, report.state) == ("a1", MessageState.DELIVERED)
