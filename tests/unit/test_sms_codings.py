"""What a data_coding means, septets in packs, and typographic characters."""

import pytest
import smpplib.gsm
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sms import coding, gsm7, packing, typography
from gateway.sms.content import CODINGS, DEFAULT_ALPHABETS, text_of


@pytest.mark.parametrize(
    ("data_coding", "octets", "text"),
    [
        (0, b"\x00\x1b\x65", "@€"),
        (1, b"plain", "plain"),
        (2, b"\x01\x02", None),
        (3, b"\xe9t\xe9", "été"),
        (4, b"\xff\x00", None),
        (5, "漢字".encode("shift_jis"), "漢字"),
        (5, "漢字 kana".encode("iso2022_jp"), "漢字 kana"),
        (6, "Привет".encode("iso8859_5"), "Привет"),
        (7, "שלום".encode("iso8859_8"), "שלום"),
        (8, "😀".encode("utf-16-be"), "😀"),
        (8, b"\xfe\xff\x4f\x60", "你"),
        (8, b"\xff\xfe\x60\x4f", "你"),
        (8, b"\xd8\x3d", "\ufffd"),
        (8, b"\x4f\x60\x59", "你\ufffd"),
        (9, b"\x01", None),
        (10, "日本語".encode("iso2022_jp"), "日本語"),
        (11, b"\x01", None),
        (12, b"\x01", None),
        (13, "丂".encode("euc_jp"), "丂"),
        (13, "丂".encode("iso2022_jp_1"), "丂"),
        (13, b"\x30\x21", "丂"),
        (14, "한국어".encode("euc_kr"), "한국어"),
        (15, b"\x01", None),
        (0x10, b"flash", "flash"),
        (0x14, b"octets", None),
        (0x18, "你".encode("utf-16-be"), "你"),
        (0x20, b"compressed", None),
        (0x3A, b"compressed", None),
        (0x40, b"deleted", "deleted"),
        (0x58, "你".encode("utf-16-be"), "你"),
        (0x60, b"compressed", None),
        (0x80, b"reserved", None),
        (0xBF, b"reserved", None),
        (0xC8, b"voicemail", "voicemail"),
        (0xD9, b"fax", "fax"),
        (0xE8, "你".encode("utf-16-be"), "你"),
        (0xF0, b"\x00", "@"),
        (0xF3, b"\x00", "@"),
        (0xF5, b"\x00", None),
    ],
)
def test_octets_are_read_as_their_data_coding_says(data_coding, octets, text):
    assert text_of(data_coding, octets) == text


@given(st.integers(0, 255), st.binary(max_size=40), st.sampled_from(sorted(DEFAULT_ALPHABETS)))
@settings(max_examples=200)
def test_no_octets_under_no_coding_are_an_error(data_coding: int, octets: bytes, default: str) -> None:
    text = text_of(data_coding, octets, default=default)

    assert text is None or isinstance(text, str)
    assert (text is None) == (CODINGS[data_coding] == "")


@pytest.mark.parametrize(
    ("alphabet", "octets", "text"),
    [("gsm7", b"\x05", "é"), ("latin1", b"\xe9", "é"), ("ascii", b"e", "e"), ("utf8", b"\xc3\xa9", "é")],
)
def test_coding_zero_is_the_links_own_alphabet(alphabet, octets, text):
    assert text_of(0, octets, default=alphabet) == text


@pytest.mark.parametrize(
    ("like", "septets", "ucs2"),
    [
        (0x00, 0x00, 0x08),
        (0x03, 0x00, 0x08),
        (0x08, 0x00, 0x08),
        (0x10, 0x10, 0x18),
        (0x18, 0x10, 0x18),
        (0x51, 0x51, 0x59),
        (0xC8, 0xC8, 0xE8),
        (0xD9, 0xD9, 0xE9),
        (0xE2, 0xD2, 0xE2),
        (0xF0, 0xF0, 0x18),
        (0xF2, 0xF2, 0x1A),
    ],
)
def test_a_text_written_anew_keeps_its_class_and_its_message_waiting(like, septets, ucs2):
    assert (coding.rewritten(like, is_ucs2=False), coding.rewritten(like, is_ucs2=True)) == (septets, ucs2)
    assert coding.message_class(septets) == coding.message_class(ucs2)
    assert (CODINGS[septets], CODINGS[ucs2]) == ("default", "ucs2")


@pytest.mark.parametrize(("data_coding", "message_class"), [(0, None), (0x10, 0), (0x1B, 3), (0xF1, 1), (0xF6, 2), (0xC0, None)])
def test_a_class_is_read_where_there_is_one(data_coding, message_class):
    assert coding.message_class(data_coding) == message_class


# 3GPP TS 23.038 has no examples; these are the well-known ones.
@pytest.mark.parametrize(
    ("text", "packed"),
    [("hello", "e8329bfd06"), ("hellohello", "e8329bfd4697d9ec37"), ("1234567", "31d98c56b3dd1a")],
)
def test_septets_are_packed_as_the_standard_packs_them(text, packed):
    septets = gsm7.encode(text)

    assert packing.pack(septets).hex() == packed
    assert packing.unpack(bytes.fromhex(packed)) == septets


@given(st.lists(st.integers(0, 127), max_size=160).map(bytes), st.integers(0, 20))
@settings(max_examples=200)
def test_packs_of_any_septets_are_undone(septets: bytes, header_octets: int) -> None:
    packed = packing.pack(septets, header_octets)

    unpacked = packing.unpack(packed, header_octets)

    # Without a count, a last `@` or carriage return that ends with its octet cannot be told from filling.
    assert unpacked == septets or (septets[-1:] in (b"\x00", b"\r") and unpacked == septets[:-1])
    assert len(packed) == -(-(packing.fill_bits(header_octets) + 7 * len(septets)) // 8)


def test_behind_a_concatenation_header_one_bit_is_left_out():
    assert packing.fill_bits(6) == 1
    assert packing.fill_bits(7) == 0
    assert packing.pack(b"\x7f", 6) == b"\xfe"


def test_smpplib_has_the_same_default_alphabet():
    known = smpplib.gsm.GSM_CHARACTER_TABLE
    text = "".join(char for char in gsm7.BASIC + "^{}\\[~]|€" if char != "\x1b" and char in known)

    assert len(text) > 130
    assert smpplib.gsm.gsm_encode(text) == gsm7.encode(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“Don’t” – wait…", '"Don\'t" - wait...'),
        ("a\u00a0b\u200bc", "a bc"),
        ("ＡＢＣ１２３！", "ABC123!"),
        ("plain", None),
        ("“你好”", None),
        ("naïve", None),
    ],
)
def test_typographic_characters_are_replaced_where_that_helps(text, plain):
    assert typography.replaced(text) == plain


def test_replacements_are_told_with_their_places():
    assert typography.replacements("a“é”…") == [(1, "“", '"'), (3, "”", '"'), (4, "…", "...")]


def test_every_replacement_can_be_sent_and_no_character_that_can_be_is_replaced():
    assert all(gsm7.is_encodable(plain) for plain in typography.TABLE.values())
    assert not any(gsm7.is_encodable(char) for char in typography.TABLE)


@pytest.mark.parametrize(("char", "suggestion"), [("’", "'"), ("ï", "i"), ("á", "a"), ("你", None), ("😀", None), ("ﬃ", "ffi")])
def test_a_suggestion_is_what_a_person_would_write(char, suggestion):
    assert typography.suggestion(char) == suggestion
