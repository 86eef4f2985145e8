"""A workbook for people: a sheet with the sums, and one with the records, every text a text and no formula anywhere."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

from billing import cdr
from billing.cdr import Kind, Layout, Page
from billing.formats.shape import Head
from billing.manifest import Recount
from billing.money import format_minor

# Beyond it a spreadsheet's numbers lose digits.
_NUMBER_MAX = 10**15
_CREATED = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class XlsxEncoder:
    """The workbook comes as one piece at the end: its parts are packed together then."""

    def __init__(self, layout: Layout, head: Head) -> None:
        self._layout = layout
        self._head = head
        self._data = io.BytesIO()
        self._book = xlsxwriter.Workbook(self._data, _OPTIONS)
        # The moment of writing would make the bytes of a repeat others.
        self._book.set_properties({"created": _CREATED, "title": head.file_name, "author": head.node})
        self._sums = self._book.add_worksheet("Totals")
        self._records = self._book.add_worksheet("Records")
        self._row = 0

    def begin(self) -> bytes:
        """The header of the records."""
        for place, name in enumerate(self._layout.names):
            self._records.write_string(0, place, name)
        return b""

    def page(self, page: Page) -> bytes:
        """A row for each record."""
        for row in self._layout.rows(page):
            self._row += 1
            for place, (cell, kind) in enumerate(zip(row, self._layout.kinds, strict=True)):
                if cell is not None:
                    _write(self._records, self._row, place, cell, is_number=kind is Kind.NUMBER)
        return b""

    def finish(self, recount: Recount, closure: str) -> bytes:
        """The sums, and the workbook's bytes."""
        head = self._head
        facts = (
            *(("Carrier", head.carrier), ("Period", head.period), ("Time zone", head.zone), ("File", head.file_name)),
            *(("Records", recount.records), ("Late records", recount.late_records), ("Ends by", closure)),
        )
        for place, (name, value) in enumerate(facts):
            self._sums.write_string(place, 0, name)
            _write(self._sums, place, 1, value, is_number=isinstance(value, int))
        first = len(facts) + 1
        for place, name in enumerate(("Currency", "Record type", "Service", "Count", "Amount", "Tax", "Minor units")):
            self._sums.write_string(first, place, name)
        for line, ((currency, record_type, service), each) in enumerate(sorted(recount.sums.items()), first + 1):
            amounts = (format_minor(each.amount_minor, currency), format_minor(each.tax_minor, currency))
            cells = (currency, cdr.RECORD_TYPES[record_type], service, each.records, *amounts, each.amount_minor)
            for place, cell in enumerate(cells):
                _write(self._sums, line, place, cell, is_number=isinstance(cell, int))
        self._book.close()
        return self._data.getvalue()


def _write(sheet: Any, row: int, column: int, cell: Any, *, is_number: bool) -> None:
    if is_number and abs(cell) < _NUMBER_MAX:
        sheet.write_number(row, column, cell)
    else:
        sheet.write_string(row, column, str(cell))
