"""JSON Lines: one object a line, keys in the order of the columns; ids are strings, because many readers keep numbers in doubles."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from billing.cdr import Kind, Layout, Page
from billing.manifest import Recount


class JsonlEncoder:
    """One object for each record, and nothing around them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def begin(self) -> bytes:
        """Nothing stands before the records."""
        return b""

    def page(self, page: Page) -> bytes:
        """An object for each record."""
        return b"".join(self.records(page))

    def records(self, page: Page) -> Sequence[bytes]:
        """Each object."""
        names = self._layout.names
        columns = [
            [None if cell is None else str(cell) for cell in column] if kind is Kind.ID else column
            for column, kind in zip(self._layout.columns(page), self._layout.kinds, strict=True)
        ]
        return [orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE) for row in zip(*columns, strict=True)]

    def finish(self, _recount: Recount, _closure: str) -> bytes:
        """Nothing stands behind the records."""
        return b""
