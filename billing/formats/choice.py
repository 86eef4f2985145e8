"""The encoder of a profile."""

from __future__ import annotations

from datetime import tzinfo

from billing.cdr import Layout
from billing.formats.csv import CsvEncoder
from billing.formats.framed import FramedEncoder
from billing.formats.jsonl import JsonlEncoder
from billing.formats.shape import Encoder, Head
from billing.profile import Profile


def encoder(profile: Profile, layout: Layout, head: Head, *, zone: tzinfo, lost: int) -> Encoder:
    """A fresh encoder for one file; the libraries of the rarer forms are loaded only when they are asked for."""
    if profile.flavour == "csv":
        return CsvEncoder(layout, has_bom=profile.has_bom, is_spreadsheet=profile.is_spreadsheet)
    if profile.flavour == "jsonl":
        return JsonlEncoder(layout)
    if profile.flavour in ("framed-csv", "fixed"):
        return FramedEncoder(layout, head, profile.widths)
    if profile.flavour == "parquet":
        from billing.formats.parquet import ParquetEncoder

        return ParquetEncoder(layout, head)
    if profile.flavour == "xlsx":
        from billing.formats.xlsx import XlsxEncoder

        return XlsxEncoder(layout, head)
    assert profile.flavour == "ber"
    from billing.formats.ber import BerEncoder

    return BerEncoder(layout, head, zone=zone, lost=lost)
