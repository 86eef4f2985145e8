"""What of a CSV has been sent: a file of JSON lines beside it, one line fsynced for each batch that was answered.

A batch that was sent and whose answer never got here is sent again under the same Idempotency-Key, and answered as before.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from gateway.errors import Refused

SUFFIX = ".bellhop-progress"


class Begun(NamedTuple):
    """What a sending was begun with; it can go on only with the same, for the batches would be others."""

    file_sha256: str
    again: str
    source: str
    service: str
    batch_rows: int


class Answered(NamedTuple):
    """A batch's answer: how many were accepted, and why which lines were not."""

    accepted: int
    refused: dict[int, str]


class Journal:
    """Open while a file is being sent; a second command on the same file is refused."""

    def __init__(self, csv_path: Path, begun: Begun) -> None:
        self.path = csv_path.with_name(csv_path.name + SUFFIX)
        self.answered: dict[int, Answered] = {}
        self.is_done = False
        self._file: BinaryIO = self.path.open("a+b")
        try:
            self._lock()
            self._read(begun)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def answer(self, number: int, lines: list[int], ids: list[str | None], refused: dict[int, str]) -> None:
        """Write down a batch's answer; it is on disk when this returns."""
        self.answered[number] = Answered(len(lines) - len(refused), refused)
        span = [lines[0], lines[-1]]
        self._append({"batch": number, "lines": span, "ids": ids, "refused": [[line, why] for line, why in refused.items()]})

    def finish(self) -> None:
        """Write down that all of the file was sent."""
        if not self.is_done:
            self.is_done = True
            self._append({"done": True})

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{self.path}: another `bellhop send` is at work on this file") from None

    def _read(self, begun: Begun) -> None:
        self._file.seek(0)
        entries, good = _entries(self._file.read())
        head = entries[0] if entries else None
        is_done = any("done" in entry for entry in entries)
        if head != begun._asdict():
            if head is not None and not is_done:
                raise Refused(self._difference(head, begun))
            entries, good, is_done = [], 0, False
        self._file.truncate(good)
        self.is_done = is_done
        for entry in entries[1:]:
            if "batch" in entry:
                refused = {int(line): str(why) for line, why in entry["refused"]}
                self.answered[int(entry["batch"])] = Answered(len(entry["ids"]) - len(refused), refused)
        if not good:
            self._append(begun._asdict())
            _fsync_folder(self.path.parent)

    def _difference(self, head: dict[str, Any], begun: Begun) -> str:
        names = {"file_sha256": "another content of the file", "again": "another --again", "source": "another --from"}
        names |= {"service": "another --service", "batch_rows": "another --batch"}
        differing = [names[name] for name, value in begun._asdict().items() if head.get(name) != value]
        return f"{self.path}: its sending was begun with {', '.join(differing)}; go on with that, or remove {self.path.name} to begin anew"

    def _append(self, entry: dict[str, Any]) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _entries(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """The whole lines, and where they end: a last one may be torn."""
    entries: list[dict[str, Any]] = []
    good = 0
    for line in content.splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(entry, dict):
            break
        entries.append(entry)
        good += len(line)
    return entries, good


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
