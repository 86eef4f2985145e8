"""What a rule of the books is, and what breaking it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Invariant(NamedTuple):
    """A name, the rule in words, and a query whose rows (one column, an id) break it."""

    name: str
    rule: str
    sql: str


@dataclass(frozen=True)
class Violation:
    """A broken invariant: how many rows break it, and the first of them."""

    invariant: str
    detail: str
    count: int
