"""Parquet for those who analyse: money and counts as 64-bit integers, ids as text, zstd, row groups of 20,000."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from billing.cdr import Kind, Layout, Page
from billing.formats.shape import Head
from billing.manifest import Recount

ROWS_PER_GROUP = 20_000


class _Taken(io.RawIOBase):
    """A file to the writer, and a place to take the bytes from."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data


class ParquetEncoder:
    """Row groups are full but for the last, so that the size of pages leaves no trace in the bytes."""

    def __init__(self, layout: Layout, head: Head) -> None:
        self._layout = layout
        types = [pa.int64() if kind is Kind.NUMBER else pa.string() for kind in layout.kinds]
        metadata = {"schema": head.schema, "carrier": head.carrier, "period": head.period, "seq": str(head.file_seq)}
        self._schema = pa.schema(list(zip(layout.names, types, strict=True)), metadata=metadata)
        self._sink = _Taken()
        self._writer: Any = None
        self._waiting: list[Any] = []
        self._rows = 0

    def begin(self) -> bytes:
        """The magic number."""
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        return self._sink.take()

    def page(self, page: Page) -> bytes:
        """The row groups that are full by now."""
        self._waiting.append(self._batch(page))
        self._rows += len(page)
        if self._rows >= ROWS_PER_GROUP:
            self._write_groups(is_last=False)
        return self._sink.take()

    def finish(self, _recount: Recount, _closure: str) -> bytes:
        """The last row group and the footer."""
        self._write_groups(is_last=True)
        self._writer.close()
        return self._sink.take()

    def _batch(self, page: Page) -> Any:
        arrays = []
        for column, kind, field in zip(self._layout.columns(page), self._layout.kinds, self._schema, strict=True):
            cells = [None if cell is None else str(cell) for cell in column] if kind is Kind.ID else column
            arrays.append(pa.array(cells, type=field.type))
        return pa.record_batch(arrays, schema=self._schema)

    def _write_groups(self, *, is_last: bool) -> None:
        table = pa.Table.from_batches(self._waiting, schema=self._schema)
        full = table.num_rows if is_last else table.num_rows // ROWS_PER_GROUP * ROWS_PER_GROUP
        if full:
            self._writer.write_table(table.slice(0, full).combine_chunks(), row_group_size=ROWS_PER_GROUP)
        rest = table.slice(full)
        # A slice would keep the whole table alive.
        self._waiting = rest.combine_chunks().to_batches() if rest.num_rows else []
        self._rows = rest.num_rows
