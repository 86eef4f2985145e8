"""The GSM 7-bit alphabet: both tables, what is refused, and decoding of anything."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sms import gsm7
from gateway.sms.errors import TextError

GSM_CHARS = [char for code, char in enumerate(gsm7.BASIC) if code != gsm7.ESCAPE] + list(gsm7.EXTENSION.values())


@pytest.mark.parametrize(
    ("text", "septets"),
    [
        ("@", b"\x00"),
        ("$_", b"\x02\x11"),
        ("ÄÖÑÜ§¿äöñüà", b"\x5b\x5c\x5d\x5e\x5f\x60\x7b\x7c\x7d\x7e\x7f"),
        ("ΔΦΓΛΩΠΨΣΘΞ", b"\x10\x12\x13\x14\x15\x16\x17\x18\x19\x1a"),
        ("€", b"\x1b\x65"),
        ("[]{}\\~^|\f", b"\x1b\x3c\x1b\x3e\x1b\x28\x1b\x29\x1b\x2f\x1b\x3d\x1b\x14\x1b\x40\x1b\x0a"),
        ("", b""),
    ],
)
def test_characters_have_the_codes_of_the_specification(text: str, septets: bytes) -> None:
    assert gsm7.encode(text) == septets
    assert gsm7.decode(septets) == text


def test_every_code_of_both_tables_comes_back() -> None:
    text = "".join(GSM_CHARS)

    assert gsm7.decode(gsm7.encode(text)) == text
    assert gsm7.septet_count(text) == 127 + 2 * 10


@given(st.text(st.sampled_from(GSM_CHARS)))
@settings(max_examples=100)
def test_any_text_of_the_alphabet_survives(text: str) -> None:
    assert gsm7.is_encodable(text)
    assert gsm7.decode(gsm7.encode(text)) == text


@given(st.text())
@settings(max_examples=100)
def test_is_encodable_agrees_with_the_list_of_misfits(text: str) -> None:
    assert gsm7.is_encodable(text) == (gsm7.unencodable(text) == [])


@given(st.binary())
@settings(max_examples=100)
def test_any_octets_decode_to_text_that_utf8_can_carry(octets: bytes) -> None:
    gsm7.decode(octets).encode("utf-8")


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"a\x1b", "a "),
        (b"\x1b\x1b\x65", " e"),
        (b"\x1b\x1b\x1b\x65", " €"),
        (b"\x1ba", "a"),
        (b"\x1b\x00", "@"),
        (b"\x80\xff", "\ufffd\ufffd"),
        (b"\x1b\x80", "\ufffd"),
    ],
)
def test_bad_escapes_and_octets_show_what_a_phone_would(octets: bytes, shown: str) -> None:
    assert gsm7.decode(octets) == shown


def test_a_refusal_names_the_first_misfits_and_never_the_text() -> None:
    with pytest.raises(TextError) as refused:
        gsm7.encode("secret 你 ç 好")

    assert "3 characters" in str(refused.value)
    assert "U+4F60 at 7" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert refused.value.positions == (7, 9, 11)


def test_the_escape_code_itself_is_not_a_character() -> None:
    assert not gsm7.is_encodable("\x1b")
    assert gsm7.unencodable("a\x1bçça") == ["\x1b", "ç"]
