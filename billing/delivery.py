"""Bringing written files to where they are awaited: WRITTEN, then DELIVERED, then ACKED or REJECTED by the receiver, per file.

The data goes first, its `.sha256` next and the manifest last, each under a name that ends in `.part` until it is whole; who waits for the
manifest never sees half a file. A file that could not be brought stays WRITTEN with the reason, and the next call tries again. Bringing
one twice is harmless: the same bytes under the same names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, select

from billing import audit, manifest
from billing.audit import Act
from billing.errors import DeliveryError
from billing.files import Files
from billing.profile import from_spec
from billing.run_files import FileState
from billing.runs import Books
from billing.schema_exports import export_file, export_run

FAULT_CHARS_MAX = 160
_CHUNK = 1 << 20


class Parcel(NamedTuple):
    """One file with what goes with it: paths on this machine and their sizes, in the order in which they go."""

    file_name: str
    contents: tuple[tuple[Path, int], ...]


class Target(Protocol):
    """A place that files are brought to."""

    name: str

    async def bring(self, parcel: Parcel) -> None:
        """Put the files there, each whole under its name; raises DeliveryError, which says why it could not."""
        ...


class Listed(NamedTuple):
    """A file as lists show it."""

    run_id: int
    part: int
    profile: str
    carrier: str
    file_seq: int
    revision: int
    file_name: str
    state: str
    records: int | None
    bytes: int | None
    sha256: str | None
    target: str | None
    attempts: int
    fault: str | None
    written_at: int | None
    delivered_at: int | None
    answered_by: str | None
    answer: str | None


class FolderTarget:
    """A folder of this machine, such as one that the carrier fetches from."""

    def __init__(self, name: str, folder: str, files: Files) -> None:
        self.name = name
        self._folder = folder
        self._files = files

    async def bring(self, parcel: Parcel) -> None:
        """Copy, then rename; a command has nothing else to do meanwhile."""
        try:
            self._files.make_folder(self._folder)
            for path, size in parcel.contents:
                self._copy(path, size)
        except OSError as error:
            raise DeliveryError(f"{self._folder}: {getattr(error, 'strerror', None) or type(error).__name__}") from error

    def _copy(self, path: Path, size: int) -> None:
        there = Path(self._folder, path.name)
        half = there.with_name(f"{there.name}.part")
        with path.open("rb") as source:
            self._files.write_stream(str(half), iter(lambda: source.read(_CHUNK), b""))
        self._files.rename_durably(str(half), str(there))
        if there.stat().st_size != size:
            raise DeliveryError(f"{there}: has not the size it was written with")


def listed(
    conn: Connection, *, profile: str = "", carrier: str = "", state: str = "", after_seq: int = 0, rows_max: int = 100
) -> list[Listed]:
    """A page of files by number, of one profile, carrier or state where it is named."""
    columns = export_file.c
    query = select(*(columns[name] for name in Listed._fields)).where(columns.file_seq > after_seq)
    for column, wanted in ((columns.profile, profile), (columns.carrier, carrier)):
        if wanted:
            query = query.where(column == wanted)
    if state:
        query = query.where(columns.state == int(FileState[state]))
    query = query.order_by(columns.file_seq, columns.profile, columns.carrier, columns.revision).limit(rows_max)
    return [Listed(*row)._replace(state=FileState(row.state).name) for row in conn.execute(query)]


def awaiting(books: Books, profile: str, carrier: str = "") -> list[str]:
    """The names of files of a profile that are written and not delivered, by number; the superseded ones stay at home."""
    columns = export_file.c
    newer = export_file.alias("newer")
    is_superseded = (
        select(newer.c.run_id)
        .where(
            newer.c.profile == columns.profile,
            newer.c.carrier == columns.carrier,
            newer.c.file_seq == columns.file_seq,
            newer.c.revision > columns.revision,
        )
        .exists()
    )
    query = select(columns.file_name).where(columns.profile == profile, columns.state == int(FileState.WRITTEN), ~is_superseded)
    if carrier:
        query = query.where(columns.carrier == carrier)
    with books.reading() as conn:
        return list(conn.execute(query.order_by(columns.carrier, columns.file_seq)).scalars())


def parcel(books: Books, file_name: str, folder: str) -> Parcel:
    """The file with its checksum and manifest, read from the folder they were exported to and checked against the books."""
    row = _row(books, file_name)
    extension = from_spec(row.spec).extension
    names = (file_name, f"{file_name}.sha256", manifest.name_of(file_name, extension))
    paths = tuple(Path(folder, name) for name in names)
    for path in paths:
        if not path.is_file():
            raise DeliveryError(f"{path.name}: is not in the folder; export its days again, the bytes will be the same")
    if _sha256(paths[0]) != row.sha256:
        raise DeliveryError(f"{paths[0].name}: is not the file that was written; export its days again")
    return Parcel(file_name, tuple((path, path.stat().st_size) for path in paths))


def mark_delivered(books: Books, file_name: str, target: str, *, actor: str, now_us: int) -> bool:
    """Note that a file is there; False when it was noted before."""
    columns = export_file.c
    values = {"state": int(FileState.DELIVERED), "target": target, "delivered_at": now_us, "fault": None, "attempts": columns.attempts + 1}
    with books.writing() as conn:
        guard = (columns.file_name == file_name) & (columns.state == int(FileState.WRITTEN))
        is_new = conn.execute(export_file.update().where(guard).values(values)).rowcount == 1
        if is_new:
            audit.record(conn, Act(actor, "deliver", _subject(file_name), {"file": file_name, "target": target}), now_us=now_us)
        return is_new


def mark_failed(books: Books, file_name: str, fault: str) -> None:
    """Keep why a file could not be brought; it stays as it is."""
    columns = export_file.c
    values = {"fault": fault[:FAULT_CHARS_MAX], "attempts": columns.attempts + 1}
    with books.writing() as conn:
        guard = (columns.file_name == file_name) & (columns.state == int(FileState.WRITTEN))
        conn.execute(export_file.update().where(guard).values(values))


def answer(books: Books, file_name: str, state: FileState, *, actor: str, text: str, now_us: int) -> bool:
    """Note what the receiver says of a delivered file: ACKED or REJECTED, once; the same again is no change.

    Raises DeliveryError when the file is not delivered, or when he said something else before.
    """
    assert state in (FileState.ACKED, FileState.REJECTED)
    if state is FileState.REJECTED and not text:
        raise DeliveryError("a rejected file needs the reason that the receiver gave")
    if len(text) > FAULT_CHARS_MAX or (text and not text.isprintable()):
        raise DeliveryError(f"what the receiver says has at most {FAULT_CHARS_MAX} printable characters")
    columns = export_file.c
    values = {"state": int(state), "answered_at": now_us, "answered_by": actor, "answer": text or None}
    with books.writing() as conn:
        guard = (columns.file_name == file_name) & (columns.state == int(FileState.DELIVERED))
        if conn.execute(export_file.update().where(guard).values(values)).rowcount == 1:
            audit.record(conn, Act(actor, state.name.lower(), _subject(file_name), {"file": file_name, "answer": text}), now_us=now_us)
            return True
    before = FileState(_row(books, file_name).state)
    if before is state:
        return False
    raise DeliveryError(f"{file_name} is {before.name.lower()}: only a delivered file is answered, and only once")


def _row(books: Books, file_name: str) -> Any:
    query = (
        select(export_file.c.state, export_file.c.sha256, export_run.c.spec)
        .join(export_run, export_run.c.id == export_file.c.run_id)
        .where(export_file.c.file_name == file_name)
    )
    with books.reading() as conn:
        row = conn.execute(query).one_or_none()
    if row is None:
        raise DeliveryError(f"there is no file {file_name[:160]!r}; `bellhop billing export list` shows them")
    return row


def _subject(file_name: str) -> str:
    """Within the log's 96 characters; the whole name stands in the detail."""
    return f"file:{file_name}"[:96]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
