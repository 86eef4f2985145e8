"""How carriers write receipts, as data: named dialects, and what it takes to describe one more.

A dialect says where the fields stand (appendix B's keys in any order, other keys, or a pattern), what its `stat` and `err` words mean,
and whether a text without esm_class may be a receipt. A pattern comes from outside: it is tried on bad texts before it is taken, and
given up when it takes long on a real one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import regex

from gateway.smpp import receipt
from gateway.smpp.consts import MessageState
from gateway.smpp.receipt import STATES, Receipt

PATTERN_CHARACTERS_MAX = 500
TEXT_CHARACTERS_MAX = 1_000
TIMEOUT_S = 0.01  # of one receipt; a good pattern takes microseconds
TRIAL_TIMEOUT_S, TRIALS = 0.005, 3  # slow each time: the machine may just have been busy
TIMEOUTS_MAX = 3
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_STANDARD_TEXT = "id:0123456789 sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 text:"
# What patterns run wild on: long runs of one kind of character that nearly fit.
_RUNS = ("a", "x", "1", " ", "a1 ", "a:", "\n", _STANDARD_TEXT)


class DialectError(ValueError):
    """A dialect that cannot be used; the text names the key and says what is wrong."""


class Spec(NamedTuple):
    """One dialect as it is written down; nothing given means as in the standard one."""

    name: str
    pattern: str = ""  # a regular expression with groups named as Receipt's fields
    keys: Mapping[str, str] = _NOTHING  # what this carrier writes for id, stat, ...: by its word, in small letters
    separator: str = ":"
    states: Mapping[str, str] = _NOTHING  # its word, or `word err`, in capitals: one of STATES
    errors: Mapping[str, str] = _NOTHING  # its error: ours
    is_err_hex: bool = False
    is_text_trusted: bool = False  # a text that reads like a receipt is one, whatever esm_class says


class Dialect:
    """A dialect ready to read; `timeouts` counts the texts its pattern took too long on."""

    __slots__ = ("_pattern", "_read", "_spec", "errors", "is_err_hex", "is_text_trusted", "name", "states", "timeouts")

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.name = spec.name
        self.states = {word.upper(): _state(word, meant) for word, meant in spec.states.items()}
        self.errors = dict(spec.errors)
        self.is_err_hex = spec.is_err_hex
        self.is_text_trusted = spec.is_text_trusted
        self.timeouts = 0
        self._pattern = _compiled(spec.pattern) if spec.pattern else None
        self._read = receipt.parse if not spec.keys and spec.separator == ":" else _reader(spec.keys, spec.separator)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialect) and self._spec == other._spec

    __hash__ = None  # type: ignore[assignment]  # its tables are mappings

    def parse(self, text: str) -> Receipt | None:
        """Read the text form; what the pattern does not fit, or takes long on, is read as usual."""
        if self._pattern is not None and self.timeouts < TIMEOUTS_MAX:
            try:
                found = self._pattern.fullmatch(text[:TEXT_CHARACTERS_MAX].strip(" \t\r\n\0"), timeout=TIMEOUT_S)
            except TimeoutError:
                self.timeouts += 1
                found = None
            if found is not None:
                fields = {name: value.strip() for name, value in found.groupdict().items() if value}
                return Receipt(**fields | {"stat": fields["stat"].upper()}) if fields.get("stat") else None
        return self._read(text)

    def state_of(self, stat: str, error: str) -> MessageState:
        """What a word means; with its error, where the two together are listed."""
        listed = self.states.get(f"{stat} {error}".upper()) if error else None
        if listed is None:
            listed = self.states.get(stat)
        return receipt.state_of(stat) if listed is None else listed

    def error_of(self, error: str) -> str:
        """Our word for a carrier's error; a hexadecimal one as the decimal number it is."""
        if error in self.errors:
            return self.errors[error]
        if self.is_err_hex and re.fullmatch(r"(0[xX])?[0-9A-Fa-f]{1,4}", error):
            return f"{int(error, 16):03d}"
        return error


def check(spec: Spec) -> None:
    """Refuse a dialect that cannot be used; raises DialectError."""
    Dialect(spec)
    unknown = set(spec.keys.values()) - set(Receipt._fields)
    if unknown:
        raise DialectError(f"keys: {min(unknown)!r} is no field of a receipt; there are {', '.join(Receipt._fields)}")
    if not spec.separator or spec.separator.isalnum() or len(spec.separator) > 3:
        raise DialectError("separator: one to three characters that are no letters or digits, such as : or =")


def _state(word: str, meant: str) -> MessageState:
    if meant not in STATES:
        raise DialectError(f"states: {word} = {meant!r} is no state; there are {', '.join(STATES)}")
    return STATES[meant]


def _compiled(pattern: str) -> Any:
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise DialectError(f"pattern: has more than {PATTERN_CHARACTERS_MAX} characters")
    try:
        compiled = regex.compile(pattern, regex.IGNORECASE | regex.DOTALL)
    except (regex.error, OverflowError, RecursionError) as error:
        raise DialectError(f"pattern: {error}") from None
    names = set(compiled.groupindex)
    if "stat" not in names:
        raise DialectError("pattern: needs a group (?P<stat>...)")
    if stray := names - set(Receipt._fields):
        raise DialectError(f"pattern: (?P<{min(stray)}>...) is no field of a receipt; there are {', '.join(Receipt._fields)}")
    if any(
        _is_slow(compiled, (run * TEXT_CHARACTERS_MAX)[: TEXT_CHARACTERS_MAX - 100] + end) for run in _RUNS for end in ("", f"{pattern}\0")
    ):
        raise DialectError("pattern: takes too long on texts that do not fit; repeat nothing that repeats itself")
    return compiled


def _is_slow(pattern: Any, text: str) -> bool:
    for _ in range(TRIALS):
        try:
            pattern.fullmatch(text[:TEXT_CHARACTERS_MAX], timeout=TRIAL_TIMEOUT_S)
        except TimeoutError:
            continue
        return False
    return True


def _reader(keys: Mapping[str, str], separator: str) -> Callable[[str], Receipt | None]:
    """Rewrite other keys and another separator as the standard ones; then it is read as usual."""
    words = {**{name.replace("_", " "): name for name in Receipt._fields}, **{word.lower(): field for word, field in keys.items()}}
    longest_first = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    key = re.compile(rf"(?<![^\W_])({longest_first})[ \t]{{0,3}}{re.escape(separator)}", re.IGNORECASE)

    def read(text: str) -> Receipt | None:
        plain = key.sub(lambda found: f" {words[found[1].lower()].replace('_', ' ')}:", text[:TEXT_CHARACTERS_MAX])
        found = receipt.parse(plain.replace(";", " ").replace(",", " ") if separator != ":" else plain)
        # A value ends where the next key begins: what separated them is not part of it.
        return found._replace(id=found.id.strip(" ;,|")) if found is not None else None

    return read


_BUILT_IN = (
    Spec("standard"),
    # A text that reads like a receipt is one: some SMSCs leave esm_class 0.
    Spec("text", is_text_trusted=True),
    Spec("equals", separator="="),
    Spec("hex-err", is_err_hex=True),
    # Kannel's own words, as its HTTP receipts have them: the SMSC took it, or did not; the id is in receipted_message_id.
    Spec("kannel", r"(?P<stat>N?ACK)/(?:(?P<err>[^/]{0,16})/)?(?P<text>.*)", states={"ACK": "ACCEPTD", "NACK": "REJECTD"}),
    # 0 is delivered, and any of the usual network errors is not.
    Spec("zero", states={"0": "DELIVRD", "1": "UNDELIV", "2": "EXPIRED", "3": "REJECTD"}),
    Spec("failed-7", states={"FAILED": "UNDELIV", "FAILED ": "UNDELIV", "SUCCESS": "DELIVRD", "SUCCEED": "DELIVRD", "OK": "DELIVRD"}),
)
BUILT_IN: Final[Mapping[str, Spec]] = MappingProxyType({spec.name: spec for spec in _BUILT_IN})
