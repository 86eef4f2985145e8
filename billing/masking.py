"""Numbers of people in files that leave the house: cut to their last digits, or replaced by a keyed hash.

A masked file cannot be used to reconcile with a carrier; its manifest says that it is masked.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any

SHOWN = 4
DIGEST_DIGITS = 32


def last4(cells: Sequence[Any]) -> list[Any]:
    """Stars, and the last four characters; of a number no longer than that, stars only."""
    return [None if cell is None else _starred(str(cell)) for cell in cells]


def keyed(key: bytes) -> Callable[[Sequence[Any]], list[Any]]:
    """HMAC-SHA256 by a key: the same number is the same word in every file, and nobody without the key can try numbers."""
    known: dict[Any, str] = {}

    def mask(cells: Sequence[Any]) -> list[Any]:
        if len(known) > _KNOWN_MAX:
            known.clear()
        return [None if cell is None else known.get(cell) or _learn(cell) for cell in cells]

    def _learn(cell: Any) -> str:
        word = known[cell] = hmac.new(key, str(cell).encode(), hashlib.sha256).hexdigest()[:DIGEST_DIGITS]
        return word

    return mask


def fingerprint(key: bytes) -> str:
    """Names a key without telling it, so that a repeat with another key is noticed."""
    return hmac.new(key, b"bellhop export key", hashlib.sha256).hexdigest()[:16]


_KNOWN_MAX = 100_000


def _starred(number: str) -> str:
    return "*" * len(number) if len(number) <= SHOWN else "*" * (len(number) - SHOWN) + number[-SHOWN:]
