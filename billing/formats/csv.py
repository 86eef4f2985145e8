"""CSV by RFC 4180: UTF-8, CRLF, one header line, an empty cell where nothing is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from billing.cdr import Cells, Kind, Layout, Page
from billing.manifest import Recount

_BOM = b"\xef\xbb\xbf"
# What makes a spreadsheet take a text for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class CsvEncoder:
    """One header line and a line for each record; for spreadsheets, a text that could be a formula gets an apostrophe before it."""

    def __init__(self, layout: Layout, *, has_bom: bool = False, is_spreadsheet: bool = False) -> None:
        self._layout = layout
        self._has_bom = has_bom
        self._texts = [kind is Kind.TEXT and is_spreadsheet for kind in layout.kinds]
        self._is_spreadsheet = is_spreadsheet

    def begin(self) -> bytes:
        """The header line."""
        return (_BOM if self._has_bom else b"") + lines_of([self._layout.names])

    def page(self, page: Page) -> bytes:
        """A line for each record."""
        return lines_of(self._rows(page))

    def records(self, page: Page) -> Sequence[bytes]:
        """Each line."""
        return [lines_of([row]) for row in self._rows(page)]

    def finish(self, _recount: Recount, _closure: str) -> bytes:
        """Nothing stands behind the records."""
        return b""

    def _rows(self, page: Page) -> Iterable[Sequence[Any]]:
        if not self._is_spreadsheet:
            return self._layout.rows(page)
        columns = self._layout.columns(page)
        safe = [harmless(column) if is_text else column for column, is_text in zip(columns, self._texts, strict=True)]
        return zip(*safe, strict=True)


def harmless(column: Cells) -> Cells:
    """Texts that no spreadsheet takes for a formula."""
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell for cell in column]


def lines_of(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as CSV lines."""
    page = io.StringIO(newline="")
    csv.writer(page, lineterminator="\r\n").writerows(rows)
    return page.getvalue().encode()
