"""Millions of numbers in eight octets each: sorted arrays, a few hundred of them, so that none takes long to sort.

A number is kept with a leading 1 before its digits, so that leading zeros count. What has letters, or more digits than fit, is kept
as text; there are few of those.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

BUCKETS = 256
DIGITS_MAX = 15
# A number below 2 * 10**15 takes 51 bits; what is left of 64 says which value it has.
VALUE_BITS = 13
VALUES_MAX = 1 << VALUE_BITS


def code_of(number: str) -> int | None:
    """A number as an integer; None when it is not 1 to 15 digits."""
    return int("1" + number) if 0 < len(number) <= DIGITS_MAX and number.isascii() and number.isdigit() else None


class NumberSet:
    """Which numbers are there. Add all, then `settle`, then ask."""

    __slots__ = ("_buckets", "_texts")

    def __init__(self) -> None:
        self._buckets: list[array[int]] = [array("Q") for _ in range(BUCKETS)]
        self._texts: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, self._buckets)) + len(self._texts)

    def add(self, number: str) -> None:
        """Put one in; twice is once."""
        code = code_of(number)
        if code is None:
            self._texts.add(number)
        else:
            self._buckets[code % BUCKETS].append(code)

    def settle(self) -> NumberSet:
        """Sort what was added."""
        self._buckets = [array("Q", sorted(set(bucket))) for bucket in self._buckets]
        return self

    def __contains__(self, number: str) -> bool:
        code = code_of(number)
        if code is None:
            return number in self._texts
        bucket = self._buckets[code % BUCKETS]
        place = bisect_left(bucket, code)
        return place < len(bucket) and bucket[place] == code


class NumberMap:
    """A small integer for each of many numbers of at most 15 digits. Add all, then `settle`, then ask; the last one added counts."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: list[array[int]] = [array("Q") for _ in range(BUCKETS)]

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def add(self, number: str, value: int) -> None:
        """Give a number its value; raises ValueError when it is not 1 to 15 digits."""
        assert 0 <= value < VALUES_MAX
        code = code_of(number)
        if code is None:
            raise ValueError("not 1 to 15 digits")
        self._buckets[code % BUCKETS].append(code << VALUE_BITS | value)

    def settle(self) -> NumberMap:
        """Sort what was added."""
        self._buckets = [_last_of_each(bucket) for bucket in self._buckets]
        return self

    def get(self, number: str) -> int | None:
        """The value of a number."""
        code = code_of(number)
        if code is None:
            return None
        bucket, least = self._buckets[code % BUCKETS], code << VALUE_BITS
        place = bisect_left(bucket, least)
        if place == len(bucket) or bucket[place] >> VALUE_BITS != code:
            return None
        return bucket[place] & (VALUES_MAX - 1)


def _last_of_each(bucket: array[int]) -> array[int]:
    return array("Q", sorted({entry >> VALUE_BITS: entry for entry in bucket}.values()))
