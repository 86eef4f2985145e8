"""Writes the settings out for people: the commented file of `bellhop init` and docs/configuration.md.

Both come from the field descriptions alone, so they cannot say anything else than the program does.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.settings import SAMPLE, Settings
from gateway.settings_file import section_of

FILE_HEAD = """\
# Configuration of bellhop. Every key is here with what it is for.
# It runs as it is beside the SMSC simulator:   bellhop sim smsc
# An environment variable goes before this file:  BELLHOP__WEB__PORT=9090   BELLHOP__LINKS__0__PASSWORD=...
# After a change:                                bellhop config check -c bellhop.toml
"""

DOCS_HEAD = """\
<!-- Made by `bellhop config docs`; change the descriptions in gateway/settings.py instead. -->
# Configuration

`bellhop init DIR` writes a commented `bellhop.toml` that runs as it is beside the SMSC simulator; `bellhop config check` names file,
line and key of every fault. Unknown keys are faults. Units stand last in a key. An environment variable goes before the file:
`BELLHOP__WEB__PORT` sets `port` of `[web]`, `BELLHOP__LINKS__0__PASSWORD` sets `password` of the first `[[links]]`; a whole list may be
given as JSON in `BELLHOP__LINKS`.
"""

LINE_WIDTH = 118


def sample_toml(settings: Settings = SAMPLE) -> str:
    """The commented file that `bellhop init` writes."""
    lines = [FILE_HEAD]
    for key, field in Settings.model_fields.items():
        value = getattr(settings, key)
        lines += ["", *_comment(field.description or "")]
        if isinstance(value, tuple):
            if not value:
                lines.append(f"# [[{key}]]")
            for index, entry in enumerate(value):
                lines += ["", f"[[{key}]]"] if index else [f"[[{key}]]"]
                lines += _entry(entry, is_commented=index == 0)
        else:
            lines += [f"[{key}]", *_entry(value, is_commented=True)]
    return "\n".join(lines) + "\n"


def reference_markdown() -> str:
    """docs/configuration.md."""
    return "\n".join([DOCS_HEAD, *(line for key, field in Settings.model_fields.items() for line in _chapter(key, field))])


def _entry(section: BaseModel, *, is_commented: bool) -> Iterator[str]:
    for key, field in type(section).model_fields.items():
        if is_commented:
            yield from _comment((field.description or "") + _limits_in_brackets(field))
        yield f"{key} = {toml_value(getattr(section, key))}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, LINE_WIDTH, initial_indent="# ", subsequent_indent="#   ")


def _chapter(key: str, field: FieldInfo) -> Iterator[str]:
    section = section_of(field)
    assert section is not None, f"{key} is not a section"
    title = f"[[{key}]]" if get_origin(field.annotation) is tuple else f"[{key}]"
    yield f"## {title}\n\n{field.description}\n"
    yield "| key | value | default | what it is for |\n|---|---|---|---|"
    for name, inner in section.model_fields.items():
        default = "required" if inner.default is PydanticUndefined else f"`{toml_value(inner.default)}`"
        yield f"| `{name}` | {_kind(inner)} | {default} | {inner.description} |"
    yield ""


def _kind(field: FieldInfo) -> str:
    if choices := _choices(field):
        return " ".join(f'`"{choice}"`' for choice in choices)
    if get_origin(field.annotation) is tuple:
        return "list of text"
    if get_origin(field.annotation) is dict:
        return "table of texts"
    names: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false", SecretStr: "secret text"}
    return names[field.annotation] + _limits_in_brackets(field)


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _limits_in_brackets(field: FieldInfo) -> str:
    """`(0 to 31)`, `(more than 0, at most 86400)`, `("full" or "normal")`, or nothing."""
    if choices := _choices(field):
        return " (" + " or ".join(f'"{choice}"' for choice in choices) + ")"
    limits = {name: getattr(item, name) for item in field.metadata for name in ("gt", "ge", "le", "max_length") if hasattr(item, name)}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    if "ge" in limits and "le" in limits:
        return f" ({limits['ge']} to {limits['le']})"
    words = {"gt": "more than", "ge": "at least", "le": "at most", "max_length": "length at most"}
    said = ", ".join(f"{words[name]} {limit}" for name, limit in limits.items())
    return f" ({said})" if said else ""


def toml_value(value: object) -> str:
    """A scalar, or a list or a table of them within a line, as TOML writes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(toml_value(entry) for entry in value)}]"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, dict):
        inner = ", ".join(f"{toml_value(key)} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # otherwise TOML takes JSON's escapes
    assert isinstance(value, int | float), f"no TOML form for {type(value).__name__}"
    return repr(value)
