"""Receipts as carriers really write them, described as data: conformance cases R07 and R08."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import dialects
from gateway.smpp.consts import MessageState, Tag
from gateway.smpp.dialects import BUILT_IN, Dialect, DialectError, Spec
from gateway.smpp.pdu import DataSm, DeliverSm
from gateway.smpp.receipt import Receipt, read, read_in

STANDARD = Dialect(BUILT_IN["standard"])


def said(text: str, dialect: Dialect = STANDARD, **fields: object) -> object:
    """(id, state, error) of a receipt with this text."""
    found = read_in(dialect, DeliverSm(**{"esm_class": 0x04, "short_message": text.encode(), **fields}))  # type: ignore[arg-type]  # a test's shorthand
    return found and (found.smsc_id, found.state.name, found.error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id:A1 sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 text:hi", ("A1", "DELIVERED", "000")),
        ("id:A1 submit date:260101000059 done date:260101000159 stat:DELIVRD err:000 Text:hi", ("A1", "DELIVERED", "000")),
        ("id:A1 submit date:20260101000059 done date:20260101000159 stat:DELIVRD err:000", ("A1", "DELIVERED", "000")),
        ("id:A1 stat:FAILED err:1F", ("A1", "UNDELIVERABLE", "1F")),
        ("id:A1 stat:FAILED  err:1", ("A1", "UNDELIVERABLE", "1")),
        ("id:A1 stat:ACKED", ("A1", "ACCEPTED", "")),
        ("id:A1 stat:ENROUTE err:000", ("A1", "ENROUTE", "000")),
        ("id:A1 stat:UNKNOWN err:000", ("A1", "UNKNOWN", "000")),
        ("id:A1 stat:2 err:000", ("A1", "DELIVERED", "000")),
        ("err:000 stat:EXPIRED id:A1", ("A1", "EXPIRED", "000")),
        ("id:A1 dlvrd:1 stat:UNDELIVERABLE error:27", ("A1", "UNDELIVERABLE", "27")),
    ],
)
def test_the_standard_dialect_reads_all_variants(text, expected):
    """R07"""
    assert said(text) == expected


def test_a_receipt_may_be_in_message_payload_only():
    """R08"""
    tlvs = {int(Tag.MESSAGE_PAYLOAD): b"id:A1 stat:DELIVRD err:000"}

    for pdu in (DeliverSm(esm_class=0x04, tlvs=tlvs), DataSm(esm_class=0x04, tlvs=tlvs)):
        found = read_in(STANDARD, pdu)
        assert found is not None
        assert found.smsc_id == "A1"


def test_a_text_without_esm_class_is_a_receipt_where_the_dialect_says_so():
    """R08"""
    text = "id:A1 stat:DELIVRD err:000"

    assert said(text, esm_class=0) is None
    assert said(text, Dialect(BUILT_IN["text"]), esm_class=0) == ("A1", "DELIVERED", "000")
    assert said("how are you?", Dialect(BUILT_IN["text"]), esm_class=0) is None


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("equals", "id=A1;sub=001;stat=DELIVRD;err=000", ("A1", "DELIVERED", "000")),
        ("equals", "id=A1, submit date=2601010000, stat=UNDELIV, err=27", ("A1", "UNDELIVERABLE", "27")),
        ("hex-err", "id:A1 stat:UNDELIV err:0x1F", ("A1", "UNDELIVERABLE", "031")),
        ("zero", "id:A1 stat:0 err:000", ("A1", "DELIVERED", "000")),
        ("failed-7", "id:A1 stat:SUCCESS err:000", ("A1", "DELIVERED", "000")),
        ("kannel", "ACK/", ("", "ACCEPTED", "")),
        ("kannel", "NACK/11/Invalid destination", ("", "REJECTED", "11")),
    ],
)
def test_known_dialects_read_their_own(name, text, expected):
    assert said(text, Dialect(BUILT_IN[name])) == expected


def test_other_keys_are_read_in_any_order():
    dialect = Dialect(Spec("de", keys={"nachricht": "id", "ergebnis": "stat", "fehler": "err"}, states={"ZUGESTELLT": "DELIVRD"}))

    assert said("Ergebnis: Zugestellt Fehler: 0 Nachricht: A1", dialect) == ("A1", "DELIVERED", "0")


def test_a_pattern_says_where_the_fields_are():
    dialect = Dialect(Spec("own", r"MSG (?P<id>\w{1,64}) IS (?P<stat>\w{1,16})(?: BECAUSE (?P<err>\w{1,8}))?", states={"GONE": "UNDELIV"}))

    assert said("MSG A1 IS gone BECAUSE 27", dialect) == ("A1", "UNDELIVERABLE", "27")
    assert said("id:B2 stat:DELIVRD err:000", dialect) == ("B2", "DELIVERED", "000")  # what it does not fit is read as usual


def test_errors_are_translated_and_may_change_what_a_word_means():
    dialect = Dialect(Spec("own", states={"UNDELIV 027": "ENROUTE"}, errors={"027": "001"}))

    assert said("id:A1 stat:UNDELIV err:027", dialect) == ("A1", "ENROUTE", "001")
    assert said("id:A1 stat:UNDELIV err:028", dialect) == ("A1", "UNDELIVERABLE", "028")


def test_parameters_go_before_the_text_in_every_dialect():
    tlvs = {int(Tag.RECEIPTED_MESSAGE_ID): b"B2\0", int(Tag.MESSAGE_STATE): b"\3"}

    for spec in BUILT_IN.values():
        assert said("id:A1 stat:DELIVRD err:000", Dialect(spec), tlvs=tlvs)[:2] == ("B2", "EXPIRED")  # type: ignore[index]  # it is one


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (Spec("x", "(?P<stat>"), "pattern"),
        (Spec("x", "(?P<id>.*)"), "needs a group"),
        (Spec("x", "(?P<stat>.*)(?P<colour>.*)"), "colour"),
        (Spec("x", "(?P<stat>" + "a?" * 300 + ")"), "characters"),
        (Spec("x", r"(?P<stat>(?:a+a+)+)b"), "too long"),
        (Spec("x", r"(?P<stat>(?:\w+\w+\s?)*)!"), "too long"),
        (Spec("x", states={"OK": "FINE"}), "FINE"),
        (Spec("x", keys={"nr": "number"}), "number"),
        (Spec("x", separator="ab"), "separator"),
    ],
)
def test_a_dialect_that_cannot_be_used_is_refused_with_its_key(spec, what):
    with pytest.raises(DialectError, match=what):
        dialects.check(spec)


def test_a_pattern_that_takes_long_on_a_receipt_is_given_up(monkeypatch):
    monkeypatch.setattr(dialects, "_RUNS", ())
    dialect = Dialect(Spec("slow", r"(?P<stat>(?:x+x+)+)y"))

    for _ in range(20):
        assert dialect.parse("x" * 1_000) is None  # 2**1000 ways: this comes back only because it is given up

    assert dialect.timeouts == dialects.TIMEOUTS_MAX


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(BUILT_IN)), st.text(max_size=200))
def test_any_text_is_a_receipt_or_none_in_every_dialect(name, text):
    found = Dialect(BUILT_IN[name]).parse(text)

    assert found is None or (isinstance(found, Receipt) and found.stat)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([0, 4, 0x20, 0x40]))
def test_the_standard_dialect_as_data_reads_as_the_quick_way_does(octets, esm_class):
    pdu = DeliverSm(esm_class=esm_class, short_message=octets)

    assert read_in(STANDARD, pdu) == read(pdu)


def test_a_network_error_keeps_its_type_where_it_is_not_gsm():
    for code, error in ((b"\3\0\5", "005"), (b"\1\0\5", "1:005"), (b"\0\0\5", "005")):
        found = read(DeliverSm(esm_class=4, short_message=b"id:1 stat:UNDELIV", tlvs={int(Tag.NETWORK_ERROR_CODE): code}))
        assert found is not None
        assert found.error == error


def test_intermediate_words_settle_nothing():
    for word in ("ENROUTE", "ACCEPTD", "UNKNOWN", "BUFFRED", "SCHEDLD"):
        assert STANDARD.state_of(word, "") not in (MessageState.DELIVERED, MessageState.UNDELIVERABLE, MessageState.EXPIRED)
