"""One rule of the books: a name, the rule in words, and the query that finds what breaks it."""

from __future__ import annotations

from typing import NamedTuple


class Invariant(NamedTuple):
    """The rows of the query (one column, an id) break the rule."""

    name: str
    rule: str
    sql: str
