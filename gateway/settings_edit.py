"""Adding a table to the text of bellhop.toml and taking one out, with every comment and line of the rest left as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.errors import Refused
from gateway.settings_file import line_numbers
from gateway.settings_text import toml_value


def with_entry(text: str, section: str, values: Mapping[str, object]) -> str:
    """The text with one more `[[section]]` at its end."""
    table = [f"[[{section}]]", *(f"{key} = {toml_value(value)}" for key, value in values.items())]
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return text + gap + "\n".join(table) + "\n"


def without_entry(text: str, section: str, index: int) -> str:
    """The text without the n-th `[[section]]` and what belongs to it; comments above the next table stay with that. Raises Refused."""
    lines = text.splitlines(keepends=True)
    places = line_numbers(text)
    tables = {place: number for place, number in places.items() if lines[number - 1].lstrip().startswith("[")}
    begin = tables.get((section, index))
    if begin is None:
        raise Refused(f"the {section} are not written as [[{section}]] tables; take it out by hand, then `bellhop reload`")
    later = [number for place, number in tables.items() if number > begin and place[:2] != (section, index)]
    end = min(later, default=len(lines) + 1)
    while end <= len(lines) and end - 2 > begin - 1 and _is_aside(lines[end - 2]):
        end -= 1
    return "".join(lines[: begin - 1] + lines[end - 1 :])


def literal(text: str) -> object:
    """A value as typed on a command line: a number, true, false or a JSON table where it looks like one, else a text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool | dict | str) else text


def _is_aside(line: str) -> bool:
    bare = line.strip()
    return not bare or bare.startswith("#")
