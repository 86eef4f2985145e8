"""Forms: dataclasses whose keys say what they mean and what they may hold, read from TOML or JSON and written back.

One description serves the reader (an error names the table and the key), the API and the tables of docs/simulator.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")
Read = Callable[[object, str], Any]
Write = Callable[[Any], object]

_KIND_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class FormError(ValueError):
    """Something in a form is wrong; `where` is the path of the key, such as `smsc[0].rule[2].percent`."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.where = where
        self.reason = reason


def key(
    default: Any,
    means: str,
    *,
    least: float | None = None,
    most: float | None = None,
    words: tuple[str, ...] = (),
    read: Read | None = None,
    write: Write | None = None,
    shown: str = "",
) -> Any:
    """A key of a form. `shown` is what the documentation prints as its values where the limits don't say it."""
    metadata = {"means": means, "least": least, "most": most, "words": words, "read": read, "write": write, "shown": shown}
    return field(default=default, metadata=metadata)


def table(cls: type[T], means: str) -> Any:
    """A key that holds another form; left out, it is that form's defaults."""
    metadata = {"means": means, "read": lambda value, where: read(cls, value, where), "table": cls}
    return field(default_factory=cls, metadata=metadata)


def tables(cls: type[T], means: str, *, most: int = 1_000) -> Any:
    """A key that holds a list of another form."""

    def read_all(value: object, where: str) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise FormError(where, f"expected a list of tables: write [[{where.rpartition('.')[2]}]]")
        if len(value) > most:
            raise FormError(where, f"at most {most}")
        return tuple(read(cls, each, f"{where}[{place}]") for place, each in enumerate(value))

    def write_all(value: tuple[T, ...]) -> object:
        return [document(each) for each in value]

    return field(default=(), metadata={"means": means, "read": read_all, "write": write_all, "tables": cls})


def default_of(each: Field[Any]) -> Any:
    """What a key is when it is left out."""
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default


def read(cls: type[T], value: object, where: str = "") -> T:
    """A form from TOML or JSON. Raises FormError."""
    if not isinstance(value, Mapping):
        raise FormError(where, "expected a table (an object)")
    known: dict[str, Field[Any]] = {each.name: each for each in fields(cls)}  # type: ignore[arg-type]  # a form is a dataclass
    for name in value:
        if name not in known:
            close = get_close_matches(str(name), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise FormError(_path(where, str(name)), f"no such key; {hint}")
    made = cls(**{name: read_value(known[name], each, _path(where, name)) for name, each in value.items()})
    check = getattr(made, "check", None)
    if check is not None:
        check(where)
    return made


def read_value(each: Field[Any], value: object, where: str) -> Any:
    """One key's value. Raises FormError."""
    custom: Read | None = each.metadata.get("read")
    if custom is not None:
        return custom(value, where)
    kind = type(default_of(each))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if (kind is not bool and isinstance(value, bool)) or not isinstance(value, kind):
        raise FormError(where, f"expected {_KIND_WORDS.get(kind, kind.__name__)}")
    words = each.metadata.get("words")
    if words and value not in words:
        raise FormError(where, f"one of {', '.join(word or repr(word) for word in words)}")
    least, most = each.metadata.get("least"), each.metadata.get("most")
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_within = (least is None or value >= least) and (most is None or value <= most) and value == value
        if not is_within:
            raise FormError(where, limits_text(least, most))
    elif isinstance(value, str) and most is not None and len(value) > most:
        raise FormError(where, f"at most {most:g} characters")
    return value


def limits_text(least: float | None, most: float | None) -> str:
    """The limits of a number in words."""
    if least is None or most is None:
        return f"{least:.12g} or more" if least is not None else f"at most {most:.12g}" if most is not None else "any number"
    return f"{least:.12g} to {most:.12g}"


def document(form: Any) -> dict[str, Any]:
    """A form as TOML and JSON write it: only what differs from the defaults."""
    found: dict[str, Any] = {}
    for each in fields(form):
        value = getattr(form, each.name)
        if value == default_of(each):
            continue
        write: Write | None = each.metadata.get("write")
        found[each.name] = write(value) if write is not None else document(value) if is_dataclass(value) else value
    return found


def merged(form: T, patch: Mapping[str, object], where: str = "") -> T:
    """A form with some keys changed; a table is merged key by key, a list is replaced. Raises FormError."""
    return read(type(form), _merge(document(form), patch), where)


def _merge(old: dict[str, Any], patch: Mapping[str, object]) -> dict[str, Any]:
    new = dict(old)
    for name, value in patch.items():
        if isinstance(value, Mapping) and isinstance(new.get(name), dict):
            new[name] = _merge(new[name], value)
        else:
            new[name] = value
    return new


def rows(cls: Any) -> list[str]:
    """The keys of a form as rows of a Markdown table: key, default, meaning with limits."""
    found = ["| key | default | meaning |", "|---|---|---|"]
    for each in fields(cls):
        data = each.metadata
        inner = data.get("table") or data.get("tables")
        default = "" if inner else _default_text(default_of(each))
        limits = data.get("shown") or _words_text(data) or _number_text(data, default_of(each))
        found.append(f"| `{each.name}` | {default} | {data['means']}{f' ({limits})' if limits else ''} |")
    return found


def _default_text(value: object) -> str:
    if value in ("", None, ()):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(each) or '""' for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words_text(data: Mapping[str, Any]) -> str:
    return ", ".join(f"`{word}`" for word in data.get("words") or () if word)


def _number_text(data: Mapping[str, Any], default: object) -> str:
    if isinstance(default, str | bool) or (data.get("least") is None and data.get("most") is None):
        return ""
    return limits_text(data.get("least"), data.get("most"))


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
