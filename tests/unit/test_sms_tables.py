"""The national language tables, held against 3GPP TS 23.038 annex A: their shape, and characters at known places."""

import unicodedata

import pytest

from gateway.sms import gsm7, national, national_tables
from gateway.sms.national import Shift
from gateway.sms.national_tables import LANGUAGES, LOCKING, NOTHING, SINGLE

# How many characters each table of the standard defines: locking (escape included), single.
SIZES = {
    "turkish": (128, 17),
    "spanish": (None, 19),
    "portuguese": (128, 37),
    "bengali": (115, 82),
    "gujarati": (121, 70),
    "hindi": (128, 88),
    "kannada": (121, 73),
    "malayalam": (121, 82),
    "oriya": (117, 75),
    "punjabi": (111, 76),
    "tamil": (103, 77),
    "telugu": (121, 78),
    "urdu": (128, 90),
}
SCRIPTS = [name for name in LANGUAGES if name not in ("turkish", "spanish", "portuguese")]


def test_the_numbers_are_the_national_language_identifiers():
    assert list(LANGUAGES.values()) == list(range(1, 14))
    assert list(LANGUAGES) == list(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_a_table_has_the_characters_of_the_standard_and_no_more(name):
    language = LANGUAGES[name]
    locking, single = SIZES[name]

    assert len(SINGLE[language]) == single
    assert (language in LOCKING) == (locking is not None)
    if locking is not None:
        assert len(LOCKING[language]) == 128
        assert sum(char != NOTHING for char in LOCKING[language]) == locking


@pytest.mark.parametrize("name", [name for name in SIZES if name != "spanish"])
def test_no_character_stands_twice_in_a_locking_table(name):
    table = LOCKING[LANGUAGES[name]].replace(NOTHING, "")

    assert len(set(table)) == len(table)


@pytest.mark.parametrize("name", SIZES)
def test_a_single_table_repeats_only_what_the_standard_repeats(name):
    chars = list(SINGLE[LANGUAGES[name]].values())

    assert {char for char in chars if chars.count(char) > 1} == (set("*¡") if name in SCRIPTS else set())


@pytest.mark.parametrize("name", SIZES)
def test_escape_line_feed_and_carriage_return_keep_their_places(name):
    language = LANGUAGES[name]

    assert gsm7.ESCAPE not in SINGLE[language]
    assert SINGLE[language][0x0A] == "\f"
    assert 0x0D not in SINGLE[language]
    if language in LOCKING:
        assert [LOCKING[language][at] for at in (0x0A, 0x0D, 0x1B, 0x20)] == ["\n", "\r", "\x1b", " "]
        assert LOCKING[language][0x30:0x3A] == "0123456789"


@pytest.mark.parametrize("name", SIZES)
def test_brackets_and_the_euro_are_where_they_always_are(name):
    table = SINGLE[LANGUAGES[name]]

    assert {code: table[code] for code in gsm7.EXTENSION} == gsm7.EXTENSION


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_spells_its_own_letters_and_digits(name):
    language = LANGUAGES[name]
    own = {"urdu": "ARABIC", "punjabi": "GURMUKHI", "hindi": "DEVANAGARI"}.get(name, name.upper())
    letters = [char for char in LOCKING[language] if ord(char) > 0xFF and char != NOTHING]
    digits = [char for char in SINGLE[language].values() if char.isdigit() and ord(char) > 0xFF]

    assert all(own in unicodedata.name(char, own) for char in letters)
    assert [unicodedata.digit(char) for char in digits] == list(range(10))
    assert LOCKING[language][0x61:0x7B] == "abcdefghijklmnopqrstuvwxyz"
    assert "".join(SINGLE[language][code] for code in range(0x41, 0x5B)) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("name", "code", "char"),
    [
        ("turkish", 0x04, "€"),
        ("turkish", 0x07, "ı"),
        ("turkish", 0x40, "İ"),
        ("turkish", 0x60, "ç"),
        ("portuguese", 0x08, "ó"),
        ("portuguese", 0x15, "∞"),
        ("portuguese", 0x24, "º"),
        ("portuguese", 0x7D, "`"),
        ("bengali", 0x00, "\u0981"),
        ("bengali", 0x60, "\u09ce"),
        ("gujarati", 0x0C, "\u0a8d"),
        ("hindi", 0x15, "\u0915"),
        ("hindi", 0x7F, "\u097f"),
        ("kannada", 0x24, "\u0ca1"),
        ("kannada", 0x3D, "\u0caa"),
        ("malayalam", 0x7F, "\u0d79"),
        ("oriya", 0x7B, "\u0b57"),
        ("punjabi", 0x7B, "\u0a70"),
        ("tamil", 0x3C, "\u0ba9"),
        ("tamil", 0x7F, "\u0bf9"),
        ("telugu", 0x60, "\u0c55"),
        ("urdu", 0x00, "\u0627"),
        ("urdu", 0x03, "\u067b"),
        ("urdu", 0x5F, "\u0657"),
    ],
)
def test_a_locking_table_has_a_character_at_its_place(name, code, char):
    assert LOCKING[LANGUAGES[name]][code] == char


@pytest.mark.parametrize(
    ("name", "code", "char"),
    [
        ("turkish", 0x47, "Ğ"),
        ("turkish", 0x69, "ı"),
        ("spanish", 0x09, "ç"),
        ("spanish", 0x75, "ú"),
        ("portuguese", 0x05, "ê"),
        ("portuguese", 0x7F, "â"),
        ("bengali", 0x19, "\u09e6"),
        ("bengali", 0x34, "\u09fa"),
        ("gujarati", 0x1C, "\u0ae6"),
        ("hindi", 0x19, "\u0964"),
        ("hindi", 0x3A, "\u0971"),
        ("kannada", 0x2A, "\u0cf2"),
        ("malayalam", 0x2E, "\u0d7a"),
        ("oriya", 0x20, "\u0b6a"),
        ("punjabi", 0x2D, "\u0a75"),
        ("tamil", 0x24, "\u0bee"),
        ("telugu", 0x1C, "\u0c66"),
        ("telugu", 0x32, "\u0c7f"),
        ("urdu", 0x1C, "\u06f0"),
        ("urdu", 0x3F, "\u06d4"),
    ],
)
def test_a_single_table_has_a_character_at_its_place(name, code, char):
    assert SINGLE[LANGUAGES[name]][code] == char


@pytest.mark.parametrize("shift", [Shift(), *national.shifts(tuple(LANGUAGES.values()))])
def test_every_character_of_every_pair_of_tables_is_written_and_read_back(shift):
    chars = {char for char in LOCKING[shift.locking] if char not in (NOTHING, "\x1b")} | set(SINGLE[shift.single].values())
    text = "".join(sorted(chars))

    septets = national.encode_if_possible(text, shift)

    assert septets is not None
    assert max(septets) < 0x80
    assert national.decode(septets, shift) == text


def test_a_shift_is_told_in_words():
    assert national.describe(Shift(LANGUAGES["hindi"], LANGUAGES["urdu"])) == "locking hindi, single urdu"
    assert national.describe(Shift()) == ""
    assert national_tables.LANGUAGE_NAMES[13] == "urdu"
