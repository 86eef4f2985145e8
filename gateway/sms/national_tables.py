"""The national language shift tables of 3GPP TS 23.038 annex A: locking ones of 128 characters, single ones by code.

The tables of the nine scripts of India are one: the same places of each script's Unicode block, less what the block does not
have, and six places of its own. Misprints of the specification are not repeated: Kannada 0x24 is U+0CA1 (printed U+0CAA, which
0x3D is), and Oriya 0x20 and Telugu 0x1C are the digits of their own script.
"""

from __future__ import annotations

from gateway.sms import gsm7

TURKISH, SPANISH, PORTUGUESE, BENGALI, GUJARATI, HINDI, KANNADA, MALAYALAM, ORIYA, PUNJABI, TAMIL, TELUGU, URDU = range(1, 14)

# As they are named in the settings; the numbers are the National Language Identifiers of section 6.2.1.2.4.
LANGUAGES = {
    "turkish": TURKISH,
    "spanish": SPANISH,
    "portuguese": PORTUGUESE,
    "bengali": BENGALI,
    "gujarati": GUJARATI,
    "hindi": HINDI,
    "kannada": KANNADA,
    "malayalam": MALAYALAM,
    "oriya": ORIYA,
    "punjabi": PUNJABI,
    "tamil": TAMIL,
    "telugu": TELUGU,
    "urdu": URDU,
}
LANGUAGE_NAMES = {number: name for name, number in LANGUAGES.items()}
NOTHING = gsm7.REPLACEMENT  # a place without a character

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_WORDS = {"LF": "\n", "CR": "\r", "SP": " ", "ESC": "\x1b"}


class _Script:
    """What one script of India has of the common layout: its block, the places it lacks, and its own six."""

    def __init__(self, block: int, missing: str, own: str) -> None:
        self.block = block
        self.missing = frozenset(missing.split())
        self.own = own.split()


# Two hexadecimal digits are a place in the script's block.
_LAYOUT = (
    "01 02 03 05 06 07 08 09 0A 0B LF 0C 0D CR 0E 0F 10 11 12 13 14 15 16 17 18 19 1A ESC 1B 1C 1D 1E "
    "SP ! 1F 20 21 22 23 24 ) ( 25 26 , 27 . 28 0 1 2 3 4 5 6 7 8 9 : ; 29 2A 2B ? "
    "2C 2D 2E 2F 30 31 32 33 34 35 36 37 38 39 3C 3D 3E 3F 40 41 42 43 44 45 46 47 48 49 4A 4B 4C 4D"
)
_SCRIPTS = {
    BENGALI: _Script(0x0980, "0D 0E 11 12 29 31 33 34 35 45 46 49 4A", "4E 57 5C 5D 70 71"),
    GUJARATI: _Script(0x0A80, "0E 12 29 31 34 46 4A", "50 60 61 62 63 71"),
    HINDI: _Script(0x0900, "", "50 72 7B 7C 7E 7F"),
    KANNADA: _Script(0x0C80, "01 0D 11 29 34 45 49", "55 56 60 61 62 63"),
    MALAYALAM: _Script(0x0D00, "01 0D 11 29 3C 45 49", "57 60 61 62 63 79"),
    ORIYA: _Script(0x0B00, "0D 0E 11 12 29 31 34 45 46 49 4A", "56 57 60 61 62 63"),
    PUNJABI: _Script(0x0A00, "0B 0C 0D 0E 11 12 29 31 34 37 3D 43 44 45 46 49 4A", "51 70 71 72 73 74"),
    TAMIL: _Script(0x0B80, "01 0B 0C 0D 11 16 17 18 1B 1D 20 21 22 25 26 27 2B 2C 2D 3C 3D 43 44 45 49", "50 57 70 71 72 79"),
    TELUGU: _Script(0x0C00, "0D 11 29 34 3C 45 49", "55 56 60 61 62 63"),
}
_URDU = (
    "0627 0622 0628 067B 0680 067E 06A6 062A 06C2 067F LF 0679 067D CR 067A 067C "
    "062B 062C 0681 0684 0683 0685 0686 0687 062D 062E 062F ESC 068C 0688 0689 068A "
    "SP ! 068F 068D 0630 0631 0691 0693 ) ( 0699 0632 , 0696 . 0698 0 1 2 3 4 5 6 7 8 9 : ; 069A 0633 0634 ? "
    "0635 0636 0637 0638 0639 0641 0642 06A9 06AA 06AB 06AF 06B3 06B1 0644 0645 0646 "
    "06BA 06BB 06BC 0648 06C4 06D5 06C1 06BE 0621 06CC 06D0 06D2 064D 0650 064F 0657"
)
_URDU_OWN = "0654 0655 0651 0653 0656 0670"


def _char(word: str) -> str:
    return chr(int(word, 16)) if len(word) == 4 else _WORDS.get(word, word)


def _indic(script: _Script) -> str:
    def place(word: str) -> str:
        if len(word) != 2 or word in _WORDS:
            return _WORDS.get(word, word)
        return NOTHING if word in script.missing else chr(script.block + int(word, 16))

    first, *last = (place(word) for word in script.own)
    return "".join(map(place, _LAYOUT.split())) + first + _LOWER + "".join(last)


_URDU_FIRST, *_URDU_LAST = (_char(word) for word in _URDU_OWN.split())

# Spanish has no locking table.
LOCKING: dict[int, str] = {
    0: gsm7.BASIC,
    TURKISH: (
        "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bŞşßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
        "İABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§çabcdefghijklmnopqrstuvwxyzäöñüà"
    ),
    PORTUGUESE: (
        "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|\x1bÂâÊÉ !\"#º%&'()*+,-./0123456789:;<=>?"
        "ÍABCDEFGHIJKLMNOPQRSTUVWXYZÃÕÚÜ§~abcdefghijklmnopqrstuvwxyzãõ`üà"
    ),
    **{language: _indic(script) for language, script in _SCRIPTS.items()},
    URDU: "".join(map(_char, _URDU.split())) + _URDU_FIRST + _LOWER + "".join(_URDU_LAST),
}

# What the single shift tables of India and Urdu have in common, and the places, in order, where each puts its own.
_COMMON_SINGLE = {
    **gsm7.EXTENSION,
    **dict(zip(range(0x0A), "@£$¥¿\"¤%&'", strict=True)),
    **dict(zip((0x0B, 0x0C, 0x0E, 0x0F), "*+-/", strict=True)),
    **dict(zip(range(0x10, 0x19), "<=>¡^¡_#*", strict=True)),
    **dict(zip(range(0x41, 0x5B), _UPPER, strict=True)),
}
_OWN_PLACES = (0x19, 0x1A, *range(0x1C, 0x28), *range(0x2A, 0x2F), *range(0x30, 0x3C), 0x3F)
_OWN_SINGLE = {
    BENGALI: "09E6-09EF 09DF-09E3 09F2-09FA",
    GUJARATI: "0964-0965 0AE6-0AEF",
    HINDI: "0964-096F 0951-0954 0958-0963 0970-0971",
    KANNADA: "0964-0965 0CE6-0CEF 0CDE 0CF1-0CF2",
    MALAYALAM: "0964-0965 0D66-0D75 0D7A-0D7F",
    ORIYA: "0964-0965 0B66-0B6F 0B5C-0B5D 0B5F 0B70-0B71",
    PUNJABI: "0964-0965 0A66-0A6F 0A59-0A5C 0A5E 0A75",
    TAMIL: "0964-0965 0BE6-0BEF 0BF3-0BF8 0BFA",
    TELUGU: "FFFD FFFD 0C66-0C6F 0C58-0C59 0C78-0C7F",
    URDU: "0600-0601 06F0-06F9 060C-0614 061B 061F 0640 0652 0658 066B-066C 0672-0673 06CD 06D4",
}


def _own(ranges: str) -> dict[int, str]:
    points: list[int] = []
    for each in ranges.split():
        first, _, last = each.partition("-")
        points.extend(range(int(first, 16), int(last or first, 16) + 1))
    return {place: chr(point) for place, point in zip(_OWN_PLACES, points, strict=False) if chr(point) != NOTHING}


SINGLE: dict[int, dict[int, str]] = {
    0: gsm7.EXTENSION,
    TURKISH: gsm7.EXTENSION | dict(zip(b"GIScgis", "ĞİŞçğış", strict=True)),
    SPANISH: gsm7.EXTENSION | dict(zip(b"\x09AIOUaiou", "çÁÍÓÚáíóú", strict=True)),
    PORTUGUESE: gsm7.EXTENSION
    | dict(
        zip(
            b"\x05\x09\x0b\x0c\x0e\x0f\x12\x13\x15\x16\x17\x18\x19\x1fAIOU\x5b\x5caiou\x7b\x7c\x7f",
            "êçÔôÁáΦΓΩΠΨΣΘÊÀÍÓÚÃÕÂíóúãõâ",
            strict=True,
        )
    ),
    **{language: dict(sorted((_COMMON_SINGLE | _own(ranges)).items())) for language, ranges in _OWN_SINGLE.items()},
}
assert all(len(table) == 128 for table in LOCKING.values())
