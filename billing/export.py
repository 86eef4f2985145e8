"""Charge files for a carrier: close a run, write its file, then its manifest, then mark it written.

A kill between any two steps loses nothing: the next call goes on where this one stopped. The same window exported again gives the
same bytes again, plus one more file when charges were booked into it meanwhile; each charge is in one file only.
It blocks and reads much, so it belongs in a process of its own.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing import cdr, manifest, runs
from billing.errors import ExportError
from billing.files import Files
from billing.manifest import Origin, Recount
from billing.runs import Books, RunState, Window

PAGE_ROWS = 2_000
# What may stand in a file's name: nothing that leads to another folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)


class Written(NamedTuple):
    """A file that stands complete in the folder."""

    run_id: int
    file_seq: int
    file_name: str
    manifest_name: str
    records: int
    amount_minor: int
    sha256: str
    is_new: bool


def export(
    books: Books,
    *,
    from_us: int,
    to_us: int,
    folder: str,
    node: str,
    carrier: str,
    zone: str,
    now_us: int,
    new_id: Callable[[], int],
    files: Files,
    links: tuple[str, ...] | None = None,
    page_rows: int = PAGE_ROWS,
) -> list[Written]:
    """Write all files of the charges booked in [from_us, to_us), and those of earlier calls that were interrupted.

    `links` are the carrier's links; None takes the charges of every link. A window without charges still gives one empty file.
    """
    clock = _zone(zone)
    _refuse_names(node, carrier)
    if not 0 <= from_us < to_us:
        raise ExportError("a window begins before it ends")
    window = Window(carrier, from_us, to_us, links)
    _close_runs(books, window, page_rows, now_us, new_id, lambda seq: _file_name(node, carrier, period(from_us, to_us, clock), seq))
    files.make_folder(folder)
    return [_write(books, run, folder, clock, now_us, files, page_rows) for run in runs.runs_of(books, window)]


def period(from_us: int, to_us: int, zone: ZoneInfo) -> str:
    """A window's name on the carrier's clock: a day, a month, or its two ends."""
    start, end = cdr.local_time(from_us, zone), cdr.local_time(to_us, zone)
    midnight = datetime(start.year, start.month, start.day, tzinfo=zone)
    # Wall-clock arithmetic: the day after a change of clocks has 23 or 25 hours and is one day all the same.
    if start == midnight and end == midnight + timedelta(days=1):
        return f"{start:%Y%m%d}"
    next_month = datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=zone)
    if start == midnight.replace(day=1) and end == next_month:
        return f"{start:%Y%m}"
    return f"{start:%Y%m%dT%H%M%S}-{end:%Y%m%dT%H%M%S}"


def _close_runs(books: Books, window: Window, page_rows: int, now_us: int, new_id: Callable[[], int], name: Callable[[int], str]) -> None:
    """Finish what was left gathering, then open one run more if the window has charges in no file, or no file."""
    _gather_open(books, window, page_rows)
    is_known = any((run.from_us, run.to_us) == (window.from_us, window.to_us) for run in runs.runs_of(books, window))
    if not is_known or runs.has_unexported(books, window):
        runs.open_run(books, window, run_id=new_id(), now_us=now_us, name=name)
        _gather_open(books, window, page_rows)


def _gather_open(books: Books, window: Window, page_rows: int) -> None:
    for run in runs.runs_of(books, window):
        if run.state == RunState.GATHERING:
            runs.gather(books, run, window.links, page_rows)


def _write(books: Books, run: Any, folder: str, zone: ZoneInfo, now_us: int, files: Files, page_rows: int) -> Written:
    recount, digest = Recount(), hashlib.sha256()
    path = f"{folder}/{run.file_name}"
    files.write_stream(f"{path}.part", _hashed(_lines(books, run, zone, recount, page_rows), recount, digest))
    sha256 = digest.hexdigest()
    if (recount.records, recount.amount_minor) != (run.records, run.amount_minor):
        raise ExportError(f"file {run.file_seq} of {run.carrier}: a recount finds other totals than its run")
    if run.sha256 not in (None, sha256):
        raise ExportError(f"file {run.file_seq} of {run.carrier}: its bytes would differ from those written before")
    files.rename_durably(f"{path}.part", path)
    previous = run.previous_sha256 if run.state == RunState.WRITTEN else runs.sha256_before(books, run)
    manifest_name = manifest.name_of(run.file_name)
    files.write_stream(f"{folder}/{manifest_name}.part", [manifest.render(_origin(run, zone, previous), recount, sha256)])
    files.rename_durably(f"{folder}/{manifest_name}.part", f"{folder}/{manifest_name}")
    runs.mark_written(books, run, sha256=sha256, previous_sha256=previous, now_us=now_us)
    is_new = run.state != RunState.WRITTEN
    return Written(run.id, run.file_seq, run.file_name, manifest_name, run.records, run.amount_minor, sha256, is_new)


def _lines(books: Books, run: Any, zone: ZoneInfo, recount: Recount, page_rows: int) -> Iterator[bytes]:
    """The file a page at a time, so memory stays flat."""
    yield _csv([cdr.COLUMNS])
    after = 0
    while page := runs.members(books, run.id, after, page_rows):
        rows = []
        for member in page:
            recount.add(member)
            rows.append(cdr.row(member, record_seq=member["record_seq"], carrier=run.carrier, zone=zone))
        yield _csv(rows)
        after = page[-1]["record_seq"]


def _hashed(chunks: Iterator[bytes], recount: Recount, digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        recount.bytes += len(chunk)
        yield chunk


def _csv(rows: Any) -> bytes:
    page = io.StringIO(newline="")
    csv.writer(page, lineterminator="\r\n").writerows(rows)
    return page.getvalue().encode()


def _origin(run: Any, zone: ZoneInfo, previous_sha256: str | None) -> Origin:
    return Origin(
        run.profile,
        run.carrier,
        zone.key,
        period(run.from_us, run.to_us, zone),
        run.from_us,
        run.to_us,
        run.upto_seq,
        run.file_seq,
        run.revision,
        run.file_name,
        run.created_at,
        previous_sha256,
    )


def _file_name(node: str, carrier: str, period_name: str, file_seq: int) -> str:
    return f"{node}_{runs.PROFILE}_{carrier}_{period_name}_{file_seq:08d}_r00.csv"


def _refuse_names(*names: str) -> None:
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise ExportError(f"not fit for a file's name: {name[:40]!r}")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ExportError(f"unknown time zone {name[:40]!r}") from error
