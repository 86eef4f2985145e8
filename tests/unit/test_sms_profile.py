"""A text on its way to a phone by every kind of link, and back: nothing is lost, nothing is torn, and the price is the least."""

import pytest
import regex
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.domain.message import Flight, Message
from gateway.links.wire_form import as_stored, unpacked, wire_form
from gateway.smpp.consts import Tag
from gateway.sms import gsm7, national, profile, segments, udh
from gateway.sms.errors import TooManyParts
from gateway.sms.national import Shift
from gateway.sms.national_tables import HINDI, LANGUAGES, PORTUGUESE, SPANISH, TURKISH
from gateway.sms.profile import PLAIN, Method, TextProfile
from gateway.sms.reassembly import Part, fold, join
from gateway.sms.segments import Encoding

ALL = tuple(LANGUAGES.values())
GSM = gsm7.BASIC.replace("\x1b", "")
PIECES = st.one_of(
    st.sampled_from(GSM),
    st.sampled_from(sorted(gsm7.EXTENSION.values())),
    st.sampled_from(["ş", "ğ", "ã", "á", "नि", "க்", "\u06cc", "你", "😀", "👩‍👩‍👧", "🇨🇳", "e\u0301\u0302", "\r\n", "\ufeff"]),
    st.characters(exclude_categories=("Cs",)),
)
TEXTS = st.lists(PIECES, max_size=40).flatmap(lambda few: st.integers(1, 20).map(lambda times: "".join(few) * times))
LANGUAGE_CHOICES = st.sampled_from([(), (TURKISH,), (SPANISH, PORTUGUESE), (HINDI, TURKISH)])
PROFILES = st.one_of(
    st.tuples(st.sampled_from(Method), LANGUAGE_CHOICES).map(lambda each: TextProfile(method=each[0], languages=each[1])),
    st.tuples(st.sampled_from(["latin1", "ascii", "utf8"]), st.sampled_from(Method)).map(lambda each: TextProfile(*each)),
)


def flight(split: segments.Segmented, body: bytes, data_coding: int | None = None) -> Flight:
    coding = split.data_coding if data_coding is None else data_coding
    esm_class = 0x40 if split.udhi else 0
    ends = ("8613900000001", 1, 1, 0, coding, esm_class, 0, 0, 1, len(split.parts), None, 0, 0)
    return Flight(1, Message(1, 0, None, None, None, "chat", "1069", 0, 1, *ends), body, "sim")


def received(split: segments.Segmented, wanted: TextProfile) -> str | None:
    """What an SMSC with this profile reads out of the submit_sm."""
    to_wire = wire_form(wanted) or as_stored
    parts, total = [], 1
    for body in split.parts:
        form = to_wire(flight(split, body))
        octets = form.body or form.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
        assert len(form.body) <= 254
        if wanted.is_packed:
            octets = unpacked(form.esm_class, form.data_coding, octets)
        elements, at = udh.parse(octets) if form.esm_class & 0x40 else ((), 0)
        part = udh.concatenation(elements)
        number = 1
        if Tag.SAR_TOTAL_SEGMENTS in form.tlvs:
            assert part is None
            number, total = form.tlvs[Tag.SAR_SEGMENT_SEQNUM][0], form.tlvs[Tag.SAR_TOTAL_SEGMENTS][0]
        elif part is not None:
            number, total = part.number, part.total
        parts.append(Part(number, octets[at:], form.data_coding, 0, national.shift_of(elements)))
    return join(fold(total, reversed(parts)), default=wanted.alphabet).text


@given(TEXTS, PROFILES)
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back_whole_by_every_method(text: str, wanted: TextProfile) -> None:
    assume(not text.startswith("\ufeff"))  # in front, a mark and the character cannot be told apart

    split = profile.split(text, wanted, reference=0x1234, parts_max=255)

    assert received(split, wanted) == text
    assert all(len(body) <= 160 for body in split.parts) or wanted.method is Method.PAYLOAD


@given(st.text(st.sampled_from(GSM), max_size=400))
@settings(max_examples=100)
def test_any_text_comes_back_from_packed_septets(text: str) -> None:
    assume(not text.endswith(("@", "\r")))  # nothing tells the last of these from filling
    wanted = TextProfile(is_packed=True, languages=(TURKISH,))

    split = profile.split(text, wanted, reference=7, parts_max=255)

    # A part may end in one of them too, wherever the cut falls.
    assume(not any(body.endswith((b"\x00", b"\r")) for body in split.parts))
    assert received(split, wanted) == text
    packed = wire_form(wanted)
    assert packed is not None
    assert all(len(packed(flight(split, body)).body) <= 140 for body in split.parts)


@given(TEXTS, PROFILES)
@settings(max_examples=100, deadline=None)
def test_no_part_tears_a_pair_or_a_cluster(text: str, wanted: TextProfile) -> None:
    split = profile.split(text, wanted._replace(method=Method.UDH8), reference=1, parts_max=255)

    pieces = []
    for body in split.parts:
        elements, at = udh.parse(body) if split.udhi else ((), 0)
        if split.encoding is Encoding.UCS2:
            pieces.append(body[at:].decode("utf-16-be"))
        else:
            assert not body[at:].endswith(b"\x1b")
            piece = national.decode(body[at:], national.shift_of(elements))
            assert piece is not None
            pieces.append(piece)
    assert "".join(pieces) == text
    ends = {match.end() for match in regex.finditer(r"\X", text)}
    places = [sum(map(len, pieces[:count])) for count in range(1, len(pieces))]
    assert all(place in ends for place in places)


@given(TEXTS, st.lists(st.sampled_from(ALL), max_size=4, unique=True))
@settings(max_examples=100, deadline=None)
def test_no_other_allowed_tables_take_fewer_short_messages(text: str, languages: list[int]) -> None:
    wanted = TextProfile(languages=tuple(languages))

    split = profile.split(text, wanted, reference=0, parts_max=255)

    assert split == profile.split(text, wanted, reference=0, parts_max=255)
    for shift in [Shift(), *national.shifts(wanted.languages)]:
        octets = national.encode_if_possible(text, shift)
        if octets is not None:
            other = segments.Writing(Encoding.GSM7, octets, shift)
            assert split.short_messages <= len(segments.ends(text, other, wide=False, parts_max=255))
    assert split.short_messages <= segments.split(text, reference=0, parts_max=255, encoding=Encoding.UCS2).short_messages


@pytest.mark.parametrize(
    ("text", "languages", "shift", "encoding"),
    [
        ("plain", ALL, Shift(), Encoding.GSM7),
        ("Günaydın", (), Shift(), Encoding.UCS2),
        ("Caffè içelim, ışıkta", (TURKISH,), Shift(single=TURKISH), Encoding.GSM7),
        ("ışığın şişli ağaçlığı için çalışıyorum", (TURKISH,), Shift(locking=TURKISH), Encoding.GSM7),
        ("आज मौसम अच्छा है और हम बाहर जा रहे हैं", (HINDI,), Shift(locking=HINDI), Encoding.GSM7),
        ("你好", ALL, Shift(), Encoding.UCS2),
        ("ñandú", (SPANISH,), Shift(single=SPANISH), Encoding.GSM7),
    ],
)
def test_the_cheapest_tables_are_chosen(text, languages, shift, encoding):
    split = profile.split(text, TextProfile(languages=languages), reference=0, parts_max=9)

    assert (split.shift, split.encoding) == (shift, encoding)


@pytest.mark.parametrize(
    ("wanted", "shift", "single", "part"),
    [
        (PLAIN, Shift(), 160, 153),
        (TextProfile(method=Method.UDH16), Shift(), 160, 152),
        (PLAIN, Shift(single=TURKISH), 155, 149),
        (PLAIN, Shift(TURKISH, TURKISH), 152, 146),
        (TextProfile(method=Method.UDH16), Shift(single=TURKISH), 155, 148),
        (TextProfile(method=Method.UDH16), Shift(TURKISH, TURKISH), 152, 145),
    ],
)
def test_a_part_holds_what_140_octets_hold_beside_its_header(wanted, shift, single, part):
    def sizes(count: int) -> list[int]:
        text = "a" * count
        octets = national.encode_if_possible(text, shift)
        assert octets is not None
        writing = segments.Writing(Encoding.GSM7, octets, shift)
        return segments.ends(text, writing, wanted.is_wide, 9)

    assert sizes(single) == [single]
    assert sizes(single + 1) == [part, single + 1]


def test_16_bit_references_are_written_whole():
    split = profile.split("a" * 200, TextProfile(method=Method.UDH16), reference=0x1234, parts_max=9)

    assert [body[:7].hex() for body in split.parts] == ["06080412340201", "06080412340202"]


def test_national_tables_are_named_in_every_part():
    split = profile.split("şğ" * 100, TextProfile(languages=(TURKISH,)), reference=5, parts_max=9)

    assert [body[:9].hex() for body in split.parts] == ["080003050201250101", "080003050202250101"]


def test_a_payload_is_one_segment_and_counts_as_many_short_messages_as_it_will_be():
    split = profile.split("a" * 400, TextProfile(method=Method.PAYLOAD), reference=0, parts_max=9)

    assert (len(split.parts), split.udhi, split.short_messages) == (1, False, 3)


@pytest.mark.parametrize("method", list(Method))
def test_a_text_over_the_limit_of_the_link_is_refused_by_every_method(method):
    with pytest.raises(TooManyParts):
        profile.split("a" * 400, TextProfile(method=method, parts_max=2), reference=0, parts_max=9)


def test_what_a_latin_1_smsc_cannot_be_told_goes_as_ucs_2():
    assert profile.split("Σ", TextProfile(alphabet="latin1"), reference=0, parts_max=1).encoding is Encoding.UCS2
    assert profile.split("é", TextProfile(alphabet="latin1"), reference=0, parts_max=1).encoding is Encoding.GSM7
    assert profile.split("é", TextProfile(alphabet="ascii"), reference=0, parts_max=1).encoding is Encoding.UCS2
