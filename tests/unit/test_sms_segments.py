"""Splitting a text and reading it back: limits, legal cuts, refusals."""

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sms import gsm7, reassembly, segments, udh
from gateway.sms.errors import TextError, TooManyParts, UdhError
from gateway.sms.segments import Encoding

FAMILY = "👨‍👩‍👧‍👦"  # 11 units, one cluster
JOINERS = ["\u0301", "\u200d", "\ufe0f", "👨", "👩", "🏽", "🇨", "🇳", "क", "\u094d", "ᄀ", "ᅡ", "\r", "\n", "e", "你", "\u0600"]
HARD_TEXT = st.lists(st.sampled_from([*JOINERS, FAMILY, "你好" * 10, "x" * 20]), max_size=120).map("".join)
GSM_CHARS = [char for code, char in enumerate(gsm7.BASIC) if code != gsm7.ESCAPE] + list(gsm7.EXTENSION.values()) * 3
GSM_TEXT = st.lists(st.sampled_from([*GSM_CHARS, "\r\n", "€" * 50, "a" * 151]), max_size=60).map("".join)
VALID_TEXT = st.text(max_size=60) | HARD_TEXT | GSM_TEXT


def bodies(message: segments.Segmented) -> list[bytes]:
    if not message.udhi:
        return list(message.parts)
    return [part[udh.parse(part)[1] :] for part in message.parts]


def rejoin(message: segments.Segmented) -> str | None:
    if not message.udhi:
        return segments.decode(message.data_coding, False, message.parts[0]).text
    assembly = None
    for octets in reversed(message.parts):
        content = segments.decode(message.data_coding, True, octets)
        place = udh.concatenation(content.elements)
        assert place is not None
        assembly = assembly or reassembly.Assembly(place.total)
        assembly = reassembly.add(assembly, reassembly.Part(place.number, content.raw, message.data_coding, 0))
    assert assembly is not None
    assert reassembly.is_complete(assembly)
    return reassembly.join(assembly).text


def size_of(message: segments.Segmented, part: bytes) -> int:
    """Octets on the air: seven-bit text is packed there, behind its header."""
    if message.encoding is not Encoding.GSM7:
        return len(part)
    header = udh.parse(part)[1] if message.udhi else 0
    return -(-(-(-header * 8 // 7) + len(part) - header) * 7 // 8)


@given(VALID_TEXT, st.booleans(), st.integers(0, 70_000))
@settings(max_examples=200)
def test_split_then_joined_is_the_text_and_every_part_fits(text: str, wide: bool, reference: int) -> None:
    message = segments.split(text, reference=reference, parts_max=255, wide=wide)

    assert rejoin(message) == text
    assert all(size_of(message, part) <= 140 for part in message.parts)
    assert message.udhi == (len(message.parts) > 1)
    assert segments.count(text, wide=wide) == (message.encoding, len(message.parts))


@given(VALID_TEXT, st.booleans())
@settings(max_examples=100)
def test_forced_ucs2_carries_any_text(text: str, wide: bool) -> None:
    message = segments.split(text, reference=1, parts_max=255, wide=wide, encoding=Encoding.UCS2)

    assert rejoin(message) == text
    assert all(len(part) <= 140 for part in message.parts)


@given(st.text(st.characters(max_codepoint=255), max_size=20).map(lambda text: text * 15), st.booleans())
@settings(max_examples=50)
def test_forced_latin1_carries_its_text(text: str, wide: bool) -> None:
    message = segments.split(text, reference=1, parts_max=255, wide=wide, encoding=Encoding.LATIN1)

    assert message.data_coding == 3
    assert rejoin(message) == text
    assert all(len(part) <= 140 for part in message.parts)


@given(VALID_TEXT, st.booleans())
@settings(max_examples=200)
def test_every_cut_lies_between_clusters(text: str, wide: bool) -> None:
    message = segments.split(text, reference=1, parts_max=255, wide=wide)

    texts = [segments.decode(message.data_coding, message.udhi, part).text or "" for part in message.parts]
    assert "".join(texts) == text  # no pair was cut: each part reads by itself
    legal, at = {0}, 0
    for cluster in regex.findall(r"\X", text):
        if len(cluster.encode("utf-16-be")) > (132 if wide else 134):  # too long for any part: between its code points
            legal.update(range(at, at + len(cluster)))
        at += len(cluster)
        legal.add(at)
    at = 0
    for part in texts:
        at += len(part)
        assert at in legal


@pytest.mark.parametrize(
    ("text", "encoding", "parts", "wide_parts"),
    [
        ("", Encoding.GSM7, 1, 1),
        ("a" * 160, Encoding.GSM7, 1, 1),
        ("a" * 161, Encoding.GSM7, 2, 2),
        ("a" * 304, Encoding.GSM7, 2, 2),
        ("a" * 306, Encoding.GSM7, 2, 3),
        ("a" * 307, Encoding.GSM7, 3, 3),
        ("€" * 80, Encoding.GSM7, 1, 1),
        ("€" * 152, Encoding.GSM7, 2, 2),
        ("€" * 153, Encoding.GSM7, 3, 3),
        ("你" * 70, Encoding.UCS2, 1, 1),
        ("你" * 71, Encoding.UCS2, 2, 2),
        ("你" * 132, Encoding.UCS2, 2, 2),
        ("你" * 134, Encoding.UCS2, 2, 3),
        ("你" * 135, Encoding.UCS2, 3, 3),
        ("😀" * 35, Encoding.UCS2, 1, 1),
        ("😀" * 66, Encoding.UCS2, 2, 2),
        ("😀" * 67, Encoding.UCS2, 3, 3),
        (FAMILY * 6, Encoding.UCS2, 1, 1),
        (FAMILY * 12, Encoding.UCS2, 2, 2),
    ],
)
def test_texts_take_the_parts_the_specification_gives(text: str, encoding: Encoding, parts: int, wide_parts: int) -> None:
    assert segments.count(text) == (encoding, parts)
    assert segments.count(text, wide=True) == (encoding, wide_parts)


def test_an_escape_pair_is_not_cut() -> None:
    message = segments.split("a" * 152 + "€" + "b" * 20, reference=1, parts_max=3)

    assert bodies(message) == [b"a" * 152, b"\x1b\x65" + b"b" * 20]


def test_a_line_end_is_not_cut() -> None:
    message = segments.split("a" * 152 + "\r\n" + "b" * 20, reference=1, parts_max=3)

    assert bodies(message) == [b"a" * 152, b"\r\n" + b"b" * 20]


def test_a_surrogate_pair_is_not_cut() -> None:
    message = segments.split("你" * 66 + "😀你好吗", reference=1, parts_max=3)

    assert [body.decode("utf-16-be") for body in bodies(message)] == ["你" * 66, "😀你好吗"]


def test_a_flag_and_a_family_are_not_cut() -> None:
    message = segments.split("你" * 65 + "🇨🇳" + "好" * 55 + FAMILY, reference=1, parts_max=3)

    assert [body.decode("utf-16-be") for body in bodies(message)] == ["你" * 65, "🇨🇳" + "好" * 55, FAMILY]


def test_a_cluster_longer_than_a_part_is_cut_between_code_points() -> None:
    text = "e" + "\u0301" * 100

    message = segments.split(text, reference=1, parts_max=3)

    assert [len(body) // 2 for body in bodies(message)] == [67, 34]


def test_the_reference_is_taken_modulo_its_width() -> None:
    narrow = segments.split("a" * 161, reference=0x1_2345, parts_max=2)
    wide = segments.split("a" * 161, reference=0x1_2345, parts_max=2, wide=True)

    assert narrow.parts[1].startswith(b"\x05\x00\x03\x45\x02\x02")
    assert wide.parts[1].startswith(b"\x06\x08\x04\x23\x45\x02\x02")


@pytest.mark.parametrize("text", ["a" * 307, "你" * 135, "😀" * 67, "a" * 10_000_000])
def test_a_text_over_the_limit_is_refused_not_cut(text: str) -> None:
    with pytest.raises(TooManyParts) as refused:
        segments.split(text, reference=1, parts_max=2)

    assert refused.value.parts > refused.value.parts_max == 2


def test_no_limit_lets_a_message_have_more_than_255_parts() -> None:
    with pytest.raises(TooManyParts):
        segments.split("a" * (153 * 255 + 1), reference=1, parts_max=1000)


@pytest.mark.parametrize("text", ["\ud800", "ok \udfff", "\udc00\ud800", "pair \ud83d\ude00"])
@pytest.mark.parametrize("encoding", [None, Encoding.UCS2, Encoding.GSM7, Encoding.LATIN1])
def test_lone_surrogates_are_a_text_error(text: str, encoding: Encoding | None) -> None:
    with pytest.raises(TextError, match=r"U\+D"):
        segments.split(text, reference=1, parts_max=9, encoding=encoding)


def test_a_forced_encoding_refuses_what_it_lacks() -> None:
    with pytest.raises(TextError, match=r"U\+4F60 at 1"):
        segments.split("a你", reference=1, parts_max=9, encoding=Encoding.GSM7)
    with pytest.raises(TextError, match="Latin-1"):
        segments.split("a你", reference=1, parts_max=9, encoding=Encoding.LATIN1)
    with pytest.raises(TextError, match="binary"):
        segments.split("a", reference=1, parts_max=9, encoding=Encoding.BINARY)


@given(st.binary(max_size=700), st.booleans(), st.booleans())
@settings(max_examples=100)
def test_binary_with_ports_is_split_and_joined(data: bytes, wide: bool, with_ports: bool) -> None:
    elements = (udh.ports_element(2948, 9200),) if with_ports else ()

    message = segments.split_octets(data, reference=7, parts_max=255, wide=wide, elements=elements)

    assert b"".join(bodies(message)) == data
    assert all(len(part) <= 140 for part in message.parts)
    assert message.data_coding == 4
    if with_ports:
        assert {udh.ports(udh.parse(part)[0]) for part in message.parts} == {udh.Ports(2948, 9200, True)}


def test_binary_over_the_limit_or_without_room_is_refused() -> None:
    with pytest.raises(TooManyParts):
        segments.split_octets(bytes(300), reference=1, parts_max=2)
    with pytest.raises(UdhError):
        segments.split_octets(b"x", reference=1, parts_max=2, elements=(udh.InformationElement(0x70, bytes(138)),))


@given(st.integers(0, 255), st.booleans(), st.binary(max_size=160), st.sampled_from(sorted(segments.DEFAULT_ALPHABETS)))
@settings(max_examples=200)
def test_decoding_is_total_and_keeps_the_octets(data_coding: int, udhi: bool, octets: bytes, default: str) -> None:
    content = segments.decode(data_coding, udhi, octets, default=default)

    assert octets.endswith(content.raw)
    assert udh.encode(content.elements) + content.raw == octets if udhi and not content.problem else content.raw == octets
    if content.text is not None:
        content.text.encode("utf-8")


@pytest.mark.parametrize(
    ("data_coding", "octets", "text"),
    [
        (0x00, b"\x00\x1b\x65", "@€"),
        (0x01, b"@$\xe9", "@$\ufffd"),
        (0x03, b"caf\xe9", "café"),
        (0x06, b"\xbf\xe0\xd8", "При"),
        (0x08, "你😀".encode("utf-16-be"), "你😀"),
        (0x10, b"\x00", "@"),
        (0x18, "你".encode("utf-16-be"), "你"),
        (0xC8, b"\x00", "@"),
        (0xE0, "你".encode("utf-16-be"), "你"),
        (0xF0, b"\x00", "@"),
        (0xF3, b"\x00", "@"),
        (0x02, b"\x00", None),
        (0x04, b"\x00", None),
        (0x0B, b"\x00", None),
        (0x20, b"\x00", None),
        (0x80, b"\x00", None),
        (0xF4, b"\x00", None),
        (0xF7, b"\x00", None),
        (0xFF, b"\x00", None),
        (300, b"\x00", None),
    ],
)
def test_data_coding_decides_the_alphabet(data_coding: int, octets: bytes, text: str | None) -> None:
    content = segments.decode(data_coding, False, octets)

    assert content.text == text
    assert content.raw == octets


@pytest.mark.parametrize(
    ("octets", "text"), [(b"\x4f\x60\x59", "你\ufffd"), (b"\xd8\x3d", "\ufffd"), (b"\xde\x00\x4f\x60", "\ufffd你"), (b"\x4f", "\ufffd")]
)
def test_broken_utf16_is_shown_and_kept(octets: bytes, text: str) -> None:
    assert segments.decode(8, False, octets) == segments.Content(text, octets, ())


def test_a_link_may_name_another_default_alphabet() -> None:
    assert segments.decode(0, False, b"@\xe9", default="latin1").text == "@é"
    assert segments.decode(0xF1, False, "é".encode(), default="utf8").text == "é"


def test_a_header_that_lies_keeps_everything_and_says_so() -> None:
    content = segments.decode(0, True, b"\x09hi")

    assert (content.text, content.raw, content.elements) == (None, b"\x09hi", ())
    assert "length 9" in content.problem
