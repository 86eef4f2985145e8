"""What a person may call things: names, references and batches that are safe in a line, a file and a spreadsheet."""

from __future__ import annotations

from billing.errors import NameRefusedError

# A cell that begins with one of these is run by spreadsheet programs.
FORMULA_MARKS = "=+-@"


def checked(text: str, field: str, chars_max: int) -> str:
    """The text itself; raises NameRefusedError, which names the field, for one that is empty, too long, unprintable or a formula."""
    if not 0 < len(text) <= chars_max or not text.isprintable() or text != text.strip():
        raise NameRefusedError(field, f"has 1 to {chars_max} printable characters, and no space at its ends")
    if text[0] in FORMULA_MARKS:
        raise NameRefusedError(field, f"begins with {text[0]!r}, a formula to spreadsheets; begin with a letter or digit")
    return text
