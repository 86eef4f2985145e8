"""Longest match of a number's first digits, in one look-up per length that occurs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class PrefixMap(Generic[Value]):
    """Values by prefix; what is asked costs as many look-ups as there are lengths, however many prefixes there are."""

    __slots__ = ("_lengths", "_values")

    def __init__(self, values: Iterable[tuple[str, Value]] = ()) -> None:
        self._values = dict(values)
        self._lengths = tuple(sorted({len(prefix) for prefix in self._values}, reverse=True))

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def longest(self, number: str) -> Value | None:
        """The value of the longest prefix the number begins with."""
        values = self._values
        for length in self._lengths:
            prefix = number[:length]
            if prefix in values:
                return values[prefix]
        return None


def shortest_only(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The prefixes without those that another of them covers."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)
