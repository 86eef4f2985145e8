"""The rows of a CSV of messages, read as a spreadsheet wrote them; every fault named by its line.

A file is read more than once and must give the same rows each time: what was sent is known by the numbers of its lines.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from gateway.errors import ConfigError

NEEDED = ("to", "text")
OPTIONAL = ("from", "service", "reference")
# What the file of rejects adds: it can be put right and sent as it is.
IGNORED = ("line", "reason")
TEXT_CHARS_MAX = 40_000
BATCH_CHARS_MAX = 500_000
_READ_OCTETS = 1 << 20


class Row(NamedTuple):
    """A row of the file: the line it begins at, its cells, and why it cannot be sent ("": it can)."""

    line: int
    cells: tuple[str, ...]
    message: dict[str, str]
    fault: str


class Sheet(NamedTuple):
    """A file of messages: how to read it, and what it is known by."""

    path: Path
    encoding: str
    delimiter: str
    names: tuple[str, ...]
    sha256: str


def open_sheet(path: Path) -> Sheet:
    """Find out a file's encoding, delimiter and columns; raises ConfigError with what is wrong."""
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            encoding = _encoding(file.read(4096))
            file.seek(0)
            while chunk := file.read(_READ_OCTETS):
                digest.update(chunk)
        with _opened(path, encoding) as stream:
            head = next((line for line in stream if line.strip()), "")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeError:
        raise _no_text(path) from None
    delimiter, names = _columns(head)
    _check_names(path, names)
    return Sheet(path, encoding, delimiter, names, digest.hexdigest())


def read_rows(sheet: Sheet, *, source: str = "", service: str = "") -> Iterator[Row]:
    """Every row after the header, in order; `source` and `service` stand in where a row names none."""
    with _opened(sheet.path, sheet.encoding) as stream:
        reader = csv.reader(stream, delimiter=sheet.delimiter, strict=True)
        header_seen = False
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(line, (), {}, f"is no CSV: {error}")
                continue
            except UnicodeError:
                raise _no_text(sheet.path) from None
            if not any(cell.strip() for cell in cells):
                continue
            if not header_seen:
                header_seen = True
                continue
            yield _row(line, cells, sheet.names, {"from": source, "service": service})


def batches(rows: Iterator[Row], rows_max: int) -> Iterator[list[Row]]:
    """The rows that can be sent, in pieces a request can carry."""
    batch: list[Row] = []
    chars = 0
    for row in rows:
        if row.fault:
            continue
        size = sum(map(len, row.message.values()))
        if batch and (len(batch) == rows_max or chars + size > BATCH_CHARS_MAX):
            yield batch
            batch, chars = [], 0
        batch.append(row)
        chars += size
    if batch:
        yield batch


def write_rejects(sheet: Sheet, path: Path, reasons: dict[int, str]) -> None:
    """Write the rows of these lines with their reasons, as a CSV that can be put right and sent."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        kept = [place for place, name in enumerate(sheet.names) if name not in IGNORED]
        writer.writerow([*IGNORED, *(sheet.names[place] for place in kept)])
        for row in read_rows(sheet):
            if row.line in reasons:
                cells = dict(enumerate(row.cells))
                writer.writerow([row.line, reasons[row.line], *(cells.get(place, "") for place in kept)])


def _row(line: int, cells: list[str], names: tuple[str, ...], defaults: dict[str, str]) -> Row:
    values = dict(zip(names, cells, strict=False))
    message = {"to": values.get("to", "").strip(), "text": values.get("text", "")}
    for name in OPTIONAL:
        if value := values.get(name, "").strip() or defaults.get(name, ""):
            message[name] = value
    return Row(line, tuple(cells), message, _fault(cells, names, message))


def _fault(cells: list[str], names: tuple[str, ...], message: dict[str, str]) -> str:
    if len(cells) > len(names):
        return f"has {len(cells)} cells, the header names {len(names)}; a text that holds the delimiter must stand in quotes"
    if not message["to"]:
        return "to: is empty"
    if not message["text"]:
        return "text: is empty"
    if len(message["text"]) > TEXT_CHARS_MAX:
        return f"text: {len(message['text'])} characters, no message carries more than {TEXT_CHARS_MAX}"
    return ""


def _encoding(start: bytes) -> str:
    """By its mark; without one, zeros tell UTF-16, for no text holds NUL."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in start:
        return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"
    return "utf-8-sig"


def _opened(path: Path, encoding: str) -> TextIO:
    return path.open(encoding=encoding, newline="")


def _columns(head: str) -> tuple[str, tuple[str, ...]]:
    """Spreadsheets write commas, semicolons or tabs, by country."""
    best: tuple[str, tuple[str, ...]] = (",", ())
    for delimiter in (",", ";", "\t"):
        try:
            cells = next(csv.reader([head.rstrip("\r\n")], delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        names = tuple(name.strip().lower() for name in cells)
        if set(NEEDED) <= set(names):
            return delimiter, names
        if len(names) > len(best[1]):
            best = (delimiter, names)
    return best


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    known = (*NEEDED, *OPTIONAL, *IGNORED)
    if missing := [name for name in NEEDED if name not in names]:
        raise ConfigError(
            [f"{path}:1: no column {' and no column '.join(missing)}; the first row names the columns: {', '.join(known[:5])}"]
        )
    if unknown := [name for name in names if name not in known]:
        raise ConfigError([f'{path}:1: unknown column "{unknown[0][:32]}"; there are {", ".join(known[:5])}'])
    if len(set(names)) != len(names):
        raise ConfigError([f"{path}:1: a column is there twice"])


def _no_text(path: Path) -> ConfigError:
    return ConfigError([f"{path}: is neither UTF-8 nor UTF-16 text; save it as CSV in UTF-8"])
