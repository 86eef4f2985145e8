"""Charge files for a carrier: close a run, write its files, each with its manifest last, then mark it written.

A kill between any two steps loses nothing: the next call goes on where this one stopped. The same days exported again give the same
bytes again, plus one more file when charges were booked into them meanwhile; each charge is in one original file of its profile only.
It blocks and reads much, so it belongs in a process of its own.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing import calendar, cdr, manifest, masking, run_files, runs
from billing.cdr import Layout
from billing.errors import ExportError
from billing.files import Files
from billing.formats.choice import encoder as encoder_of
from billing.formats.shape import Encoder, Head, RowEncoder
from billing.manifest import Described, Recount
from billing.profile import Profile, checked, from_spec
from billing.revisions import Revision
from billing.run_files import FileState, RunFile
from billing.runs import GATHER_ROWS, Books, Order, RunState, Told

READ_ROWS = 2_500
# Room left for what stands behind the records when a file ends by size.
_TAIL_BYTES = 2_048
# What may stand in a file's name: nothing that leads to another folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,31}", re.ASCII)


class Written(NamedTuple):
    """A file that stands complete in the folder."""

    run_id: int
    file_seq: int
    revision: int
    file_name: str
    manifest_name: str
    records: int
    totals: list[dict[str, object]]
    sha256: str
    is_new: bool


class Desk(NamedTuple):
    """What an export works with: a folder on a disk, ids, the time, the key of masked numbers, and whom to tell how far it is."""

    books: Books
    folder: str
    files: Files
    new_id: Callable[[], int]
    now_us: int
    mask_key: bytes = b""
    told: Told = lambda _stage, _done, _total: None
    page_rows: int = 0  # 0: what suits this step


def export(desk: Desk, order: Order) -> list[Written]:
    """Write all files of an order, and those of earlier calls that were interrupted; without charges there is one empty file."""
    order = order._replace(profile=checked(order.profile))
    span = calendar.span(order.first, order.after, zone_of(order.zone))
    check_order(order)
    _layout(order.profile, order.zone, desk.mask_key)
    with _at_work(desk, order):
        _close_runs(desk, order, span)
        return _write_all(desk, order)


def revise(desk: Desk, order: Order, revision: Revision) -> list[Written]:
    """Write the files of a run anew as their next revision; `order` says who does it and in which form. The ones before stay.

    The same revision again goes on where it was interrupted, and gives the same bytes.
    """
    before = runs.by_id(desk.books, revision.run_id)
    if revision.approved_by.casefold() == order.created_by.casefold():
        raise ExportError("who approves an export is another person than who makes it")
    if before.profile != order.profile.name:
        raise ExportError(f"run {before.id} is of profile {before.profile}; revise it with that one")
    order = order._replace(profile=checked(order.profile), carrier=before.carrier, first=before.first_day, after=before.after_day)
    order = order._replace(service=before.service, provider=before.provider, zone=before.zone)
    check_order(order)
    _layout(order.profile, order.zone, desk.mask_key)
    with _at_work(desk, order):
        reason, approved_by = revision.reason, revision.approved_by
        opened = runs.revision_of(desk.books, before.id)
        if opened is None or (opened.reason, opened.approved_by) != (reason, approved_by):
            runs.open_revision(desk.books, before, order, reason=reason, approved_by=approved_by, run_id=desk.new_id(), now_us=desk.now_us)
            opened = runs.revision_of(desk.books, before.id)
        written = [each for each in _write_all(desk, order) if each.run_id == opened.id]
    if not written:
        raise ExportError(f"run {before.id} was revised, and its revision too; name the newest")
    return written


def check_order(order: Order) -> None:
    """Refuse what can be no file before a number is taken for it."""
    for name in (order.node, order.carrier, order.profile.name):
        if _NAME.fullmatch(name) is None:
            raise ExportError(f"not fit for a file's name: {name[:40]!r}")
    if order.first >= order.after or calendar.is_month(order.first) or calendar.is_month(order.after):
        raise ExportError("an export is of whole days, and begins before it ends")


def zone_of(name: str) -> ZoneInfo:
    """A clock by its name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ExportError(f"unknown time zone {name[:40]!r}") from error


def _at_work(desk: Desk, order: Order) -> Any:
    desk.files.make_folder(desk.folder)
    return desk.files.locked(desk.folder, f"{order.node}_{order.profile.name}_{order.carrier}_")


def _close_runs(desk: Desk, order: Order, span: calendar.Span) -> None:
    """Finish what was left gathering, then open one run more if the order has charges in no file, or no file."""
    _gather_open(desk, order)
    is_known = any((run.first_day, run.after_day) == (order.first, order.after) for run in _same(desk, order))
    if not is_known or runs.has_unexported(desk.books, order):
        runs.open_run(desk.books, order, span, run_id=desk.new_id(), now_us=desk.now_us)
        _gather_open(desk, order)


def _same(desk: Desk, order: Order) -> list[Any]:
    return [run for run in runs.runs_of(desk.books, order) if (run.service, run.provider) == (order.service, order.provider)]


def _gather_open(desk: Desk, order: Order) -> None:
    for run in runs.runs_of(desk.books, order):
        if run.state == RunState.GATHERING:
            runs.gather(desk.books, run, desk.page_rows or GATHER_ROWS, desk.told)


def _write_all(desk: Desk, order: Order) -> list[Written]:
    """Runs that have numbers go first: a number is given only behind a written file."""
    found = [(run, run_files.files_of(desk.books, run.id)) for run in runs.runs_of(desk.books, order)]
    found.sort(key=lambda each: (not each[1], each[1][0].file_seq if each[1] else 0))
    written = [file for run, _files in found for file in _write_run(desk, run)]
    return sorted(written, key=lambda each: (each.file_seq, each.revision))


def _write_run(desk: Desk, run: Any) -> list[Written]:
    profile = from_spec(run.spec)
    layout = _layout(profile, run.zone, desk.mask_key)
    if run.supersedes is not None:
        run_files.open_revised(desk.books, run, profile)
    known = {file.part: file for file in run_files.files_of(desk.books, run.id)}
    written: list[Written] = []
    done, part = 0, 0
    while not written or done < run.records:
        part += 1
        file = known.get(part) or run_files.open_file(desk.books, run, profile, part=part, first_record=done + 1)
        made = _File(desk, run, file, profile, layout).write()
        if not made.records and run.records:
            raise ExportError(f"run {run.id}: its records are not what was gathered; see `bellhop billing check`")
        done += made.records
        written.append(made)
    if run.state != RunState.WRITTEN:
        runs.mark_written(desk.books, run.id, desk.now_us)
    return written


def _layout(profile: Profile, zone: str, mask_key: bytes) -> Layout:
    if profile.mask == "hmac":
        if not mask_key or masking.fingerprint(mask_key) != profile.mask_key:
            raise ExportError(f"profile {profile.name}: the key of masked numbers is missing, or not the one these files were made with")
        return Layout(profile.columns, zone_of(zone), masking.keyed(mask_key))
    return Layout(profile.columns, zone_of(zone), masking.last4 if profile.mask == "last4" else None)


class _File:
    """One file while it is written: what is counted in it, and where it ends."""

    def __init__(self, desk: Desk, run: Any, file: RunFile, profile: Profile, layout: Layout) -> None:
        self._desk, self._run, self._file, self._profile, self._layout = desk, run, file, profile, layout
        self._recount, self._digest, self._bytes = Recount(), hashlib.sha256(), 0
        self._closure = ""

    def write(self) -> Written:
        desk, file = self._desk, self._file
        files, path = desk.files, f"{desk.folder}/{file.file_name}"
        files.write_stream(f"{path}.part", self._hashed())
        made = file._replace(records=self._recount.records, closure=self._closure, bytes=self._bytes, sha256=self._digest.hexdigest())
        if file.sha256 is not None and (made.sha256, made.records) != (file.sha256, file.records):
            raise ExportError(
                f"file {file.file_seq} of {file.carrier}: its bytes would differ from those written before; see --revise {file.run_id}"
            )
        files.rename_durably(f"{path}.part", path)
        self._place(f"{file.file_name}.sha256", f"{made.sha256}  {file.file_name}\n".encode())
        replaced = None if file.supersedes_sha256 is None else (file.file_seq, file.revision - 1, file.supersedes_sha256)
        manifest_name = manifest.name_of(file.file_name, self._profile.extension)
        self._place(manifest_name, manifest.render(Described(self._run, made, self._profile, self._recount, replaced)))
        is_new = file.state == FileState.OPEN
        if is_new:
            run_files.mark_written(desk.books, made, desk.now_us)
        facts = (file.run_id, file.file_seq, file.revision, file.file_name, manifest_name)
        return Written(*facts, self._recount.records, self._recount.totals(), made.sha256 or "", is_new)

    def _place(self, name: str, data: bytes) -> None:
        path = f"{self._desk.folder}/{name}"
        self._desk.files.write_stream(f"{path}.part", [data])
        self._desk.files.rename_durably(f"{path}.part", path)

    def _hashed(self) -> Iterator[bytes]:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31) if self._profile.is_gzip else None
        for chunk in self._chunks():
            data = chunk if packer is None else packer.compress(chunk)
            if data:
                yield self._counted(data)
        if packer is not None:
            yield self._counted(packer.flush())

    def _counted(self, data: bytes) -> bytes:
        self._digest.update(data)
        self._bytes += len(data)
        return data

    def _chunks(self) -> Iterator[bytes]:
        """The file a page at a time, so memory stays flat."""
        run, file, recount, desk = self._run, self._file, self._recount, self._desk
        zone = zone_of(run.zone)
        encoder = encoder_of(self._profile, self._layout, _head(run, file), zone=zone, lost=run.lost_records)
        start = encoder.begin()
        yield start
        size = len(start)
        limit = self._profile.records_max if file.records is None else file.records
        while not self._closure:
            room = READ_ROWS if limit == 0 and file.records is None else min(READ_ROWS, limit - recount.records)
            page = runs.members(desk.books, run, self._layout.sources, file.first_record - 1 + recount.records, room) if room else []
            if not page:
                self._closure = self._reason("count" if limit else "period")
                break
            if self._profile.bytes_max and file.records is None:
                fitting, octets = _fitting(encoder, page, self._profile.bytes_max - _TAIL_BYTES - size, is_first=recount.records == 0)
                size += octets
                if fitting < len(page):
                    page, self._closure = page[:fitting], "size"
            recount.add(page)
            yield encoder.page(page)
            desk.told("writing " + file.file_name, recount.records, file.records or run.records - file.first_record + 1)
        yield encoder.finish(recount, self._closure)

    def _reason(self, otherwise: str) -> str:
        """Why the file ends: the last one of a run ends with its days, or because somebody did not wait for their end."""
        if self._file.closure is not None:
            return self._file.closure
        if self._file.first_record - 1 + self._recount.records < self._run.records:
            return otherwise
        return "period" if self._run.is_period_closed else "manual"


def _fitting(encoder: Encoder, page: Any, room: int, *, is_first: bool) -> tuple[int, int]:
    """How many records fit, and their octets; a file that has none takes one, however long."""
    count = octets = 0
    # Profiles with a limit in bytes are refused for forms whose records do not stand for themselves.
    for record in cast("RowEncoder", encoder).records(page):
        if octets + len(record) > room and not (is_first and count == 0):
            break
        count += 1
        octets += len(record)
    return count, octets


def _head(run: Any, file: RunFile) -> Head:
    days = manifest.period_name(run.first_day, run.after_day)
    facts = (cdr.SCHEMA, run.node, run.profile, run.carrier, days, run.zone, run.from_us, run.to_us, run.created_at)
    return Head(*facts, file.file_seq, file.revision, file.file_name)
