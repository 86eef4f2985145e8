"""Framed files: a line H that says what the file is, a line D for each record, and a line T to check it all by.

Details are either separated by bars or of fixed width. Bars and quotation marks in a text are quoted as in CSV.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

from billing import cdr
from billing.cdr import Kind, Layout, Page
from billing.errors import ExportError
from billing.formats.shape import Head
from billing.manifest import Recount

END = "\r\n"


class FramedEncoder:
    """H, D and T lines; with widths, a D line is the letter and its cells side by side."""

    def __init__(self, layout: Layout, head: Head, widths: Sequence[int] = ()) -> None:
        self._layout = layout
        self._head = head
        self._widths = tuple(widths)
        self._digest = hashlib.sha256()

    def begin(self) -> bytes:
        """The H line."""
        head = self._head
        times = (cdr.utc_time(at_us) for at_us in (head.from_us, head.to_us, head.created_us))
        facts = (head.schema, head.node, head.profile, head.carrier, head.period, head.file_seq, head.revision, head.zone, *times)
        return self._counted(_lines([("H", *facts)]))

    def page(self, page: Page) -> bytes:
        """D lines."""
        return self._counted(b"".join(self.records(page)) if self._widths else _lines(("D", *row) for row in self._layout.rows(page)))

    def records(self, page: Page) -> Sequence[bytes]:
        """Each D line, not counted into the sum of the T line."""
        if not self._widths:
            return [_lines([("D", *row)]) for row in self._layout.rows(page)]
        return [self._fixed(row, raw[1]) for row, raw in zip(self._layout.rows(page), page, strict=True)]

    def finish(self, recount: Recount, closure: str) -> bytes:
        """The T line; its hash is that of all bytes before it."""
        currencies = ";".join(f"{currency}={amount}" for currency, amount in recount.by_currency().items())
        types = ";".join(f"{name}:{currency}={amount}" for (name, currency), amount in recount.by_type().items())
        ids = (recount.first_charge_id, recount.last_charge_id)
        return _lines([("T", self._head.file_seq, recount.records, currencies, types, *ids, self._digest.hexdigest(), closure)])

    def _counted(self, data: bytes) -> bytes:
        self._digest.update(data)
        return data

    def _fixed(self, row: Sequence[Any], charge_id: int) -> bytes:
        cells = [b"D"]
        for name, kind, width, cell in zip(self._layout.names, self._layout.kinds, self._widths, row, strict=True):
            cells.append(_padded(cell, kind, width, f"charge {charge_id}, column {name}"))
        return b"".join((*cells, END.encode()))


def _padded(cell: Any, kind: Kind, width: int, place: str) -> bytes:
    """Numbers stand right behind zeros, their sign first; texts and ids stand left before spaces; nothing known is spaces."""
    text = "" if cell is None else str(cell)
    if kind is Kind.NUMBER and text:
        text = text.zfill(width)
    data = text.encode()
    # A line break, or a cell cut short, would be another record, or another amount.
    if len(data) > width or not text.isprintable():
        raise ExportError(f"{place}: {len(data)} octets do not fit into {width}, or are no printable text; widen the column")
    return data.ljust(width)


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    page = io.StringIO(newline="")
    csv.writer(page, delimiter="|", lineterminator=END).writerows(rows)
    return page.getvalue().encode()
