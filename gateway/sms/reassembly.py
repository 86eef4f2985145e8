"""Joining the parts of a long message: a fold over parts in any order, with repeats. No clock, no store.

Parts belong together when their PartKey is equal: two senders with the same reference, or one sender whose total changes,
give two assemblies. Bodies are joined as octets before they are read as text, because some phones cut inside a pair.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.sms.coding import ALPHABETS, rewritten
from gateway.sms.content import text_of
from gateway.sms.errors import PartError
from gateway.sms.national import NO_SHIFT, Shift
from gateway.sms.segments import write


class PartKey(NamedTuple):
    """What the parts of one message have in common."""

    source: str
    destination: str
    reference: int
    wide: bool
    total: int


class Part(NamedTuple):
    """One received part; `body` is without the header, `received_at` is UTC in microseconds, `shift` the language tables it named."""

    number: int
    body: bytes
    data_coding: int
    received_at: int
    shift: Shift = NO_SHIFT


class Assembly(NamedTuple):
    """The parts so far, by number; `conflicts` are the numbers that came again with another body (the first one is kept)."""

    total: int
    parts: tuple[Part, ...] = ()
    conflicts: tuple[int, ...] = ()


class Joined(NamedTuple):
    """The message made of the parts at hand; `missing` is empty when it is whole, `text` is None when a part is not text.

    `raw` is written in `data_coding`: the parts' own octets, or the text anew where those would not read as one without headers.
    """

    text: str | None
    raw: bytes
    missing: tuple[int, ...]
    data_coding: int = 0


def add(assembly: Assembly, part: Part) -> Assembly:
    """The assembly with one more part: the same part again changes nothing, another body under its number is flagged."""
    if not 1 <= part.number <= assembly.total:
        raise PartError(part.number, assembly.total)
    for known in assembly.parts:
        if known.number == part.number:
            return assembly if _is_repeat(known, part) else _flag(assembly, part.number)
    return assembly._replace(parts=tuple(sorted((*assembly.parts, part))))


def fold(total: int, parts: Iterable[Part]) -> Assembly:
    """The assembly of parts in the order they came, as rows of the store give them."""
    assembly = Assembly(total)
    for part in parts:
        assembly = add(assembly, part)
    return assembly


def _is_repeat(known: Part, part: Part) -> bool:
    return known.body == part.body and known.data_coding == part.data_coding


def _flag(assembly: Assembly, number: int) -> Assembly:
    return assembly._replace(conflicts=tuple(sorted({*assembly.conflicts, number})))


def missing(assembly: Assembly) -> tuple[int, ...]:
    """The part numbers that have not come."""
    present = {part.number for part in assembly.parts}
    return tuple(number for number in range(1, assembly.total + 1) if number not in present)


def is_complete(assembly: Assembly) -> bool:
    """Whether every part has come."""
    return len(assembly.parts) == assembly.total


def join(assembly: Assembly, *, default: str = "gsm7") -> Joined:
    """The message in order, whole or partial; `default` is the link's default alphabet."""
    texts = [text_of(data_coding, body, default=default, shift=shift) for data_coding, shift, body in _runs(assembly.parts)]
    known = [text for text in texts if text is not None]
    raw = b"".join(part.body for part in assembly.parts)
    data_coding = assembly.parts[0].data_coding if assembly.parts else 0
    text = "".join(known) if known and len(known) == len(texts) else None
    if text is not None and not _reads_as_one(assembly.parts, default):
        anew = write(text)
        raw, data_coding = anew.octets, rewritten(data_coding, is_ucs2=not anew.is_septets)
    return Joined(text, raw, missing(assembly), data_coding)


def _reads_as_one(parts: tuple[Part, ...], default: str) -> bool:
    """Whether the joined octets can be read without the parts' headers and without knowing the link's own alphabet."""
    first = parts[0]
    is_same = all(part.data_coding == first.data_coding and part.shift == NO_SHIFT for part in parts)
    return is_same and (default == "gsm7" or ALPHABETS[first.data_coding] != "default")


def _runs(parts: tuple[Part, ...]) -> list[tuple[int, Shift, bytes]]:
    """Neighbouring parts of one alphabet as one body: halves of a pair meet, but never across a missing part."""
    runs: list[tuple[int, Shift, bytes]] = []
    previous = 0
    for number, body, data_coding, _, shift in parts:
        if runs and number == previous + 1 and runs[-1][:2] == (data_coding, shift):
            runs[-1] = (data_coding, shift, runs[-1][2] + body)
        else:
            runs.append((data_coding, shift, body))
        previous = number
    return runs


def is_expired(first_at: int, now_us: int, timeout_us: int) -> bool:
    """Whether an incomplete message has waited long enough to be released as it is."""
    return now_us - first_at >= timeout_us
