"""Dividing an amount so that the parts always add up to it: by largest remainder, on totals, never row by row.

Fifteen hundredths of 10 fen are 1.5: rounded on each of a thousand rows that is 1,000 or 2,000 fen, on their total it is 1,500.
"""

from __future__ import annotations

from collections.abc import Sequence

from billing.errors import SettlementError

MILLION = 1_000_000


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Parts of `total` in the ratio of the weights, which may be negative; the first of equal remainders gets the odd unit.

    Raises SettlementError when there is something to divide and the weights add up to nothing.
    """
    whole = sum(weights)
    if whole == 0:
        if total:
            raise SettlementError("there is an amount to divide, and nothing to divide it by")
        return [0] * len(weights)
    if whole < 0:
        return split(total, [-weight for weight in weights])
    parts, remainders = [], []
    for weight in weights:
        part, remainder = divmod(total * weight, whole)
        parts.append(part)
        remainders.append(remainder)
    odd = total - sum(parts)
    for place in sorted(range(len(parts)), key=lambda place: (-remainders[place], place))[:odd]:
        parts[place] += 1
    assert sum(parts) == total
    return parts


def fraction(total: int, num: int, den: int) -> int:
    """`num` of `den` parts of a total, such that the rest is exactly what is left."""
    assert 0 <= num <= den
    assert den > 0
    return split(total, (num, den - num))[0]


def per_million(total: int, ppm: int) -> int:
    """So many millionths of a total."""
    return fraction(total, ppm, MILLION)
