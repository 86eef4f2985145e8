"""What an export asks of a disk, and the real one for a process of its own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from billing.errors import ExportError

# After so many bytes the disk is asked to begin writing: all of a month at once, at the end, would hold up the gateway's commits.
_WRITEBACK_BYTES = 4 << 20


class Files(Protocol):
    """Every method blocks: exports run beside the gateway, never on its loop."""

    def make_folder(self, path: str) -> None:
        """Make the folder and what leads to it, unless it is there."""
        ...

    def locked(self, folder: str, prefix: str) -> AbstractContextManager[None]:
        """Be alone in the folder, and clear away the halves of files of this prefix that a killed export left."""
        ...

    def write_stream(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write the chunks as they come, over what was there, and fsync."""
        ...

    def rename_durably(self, old: str, new: str) -> None:
        """Rename over `new` in one step and fsync the folder."""
        ...


class LocalFiles:
    """The machine's own file system."""

    def make_folder(self, path: str) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self, folder: str, prefix: str) -> Iterator[None]:
        # The lock is on the folder itself and goes with the process: a kill leaves nothing to clear away.
        held = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ExportError(f"{folder}: another export is at work here; wait for its end") from error
            for half in Path(folder).glob(f"{prefix}*.part"):
                half.unlink(missing_ok=True)
            yield
        finally:
            os.close(held)

    def write_stream(self, path: str, chunks: Iterable[bytes]) -> None:
        with Path(path).open("wb") as file:
            unasked = 0
            for chunk in chunks:
                unasked += file.write(chunk)
                if unasked >= _WRITEBACK_BYTES:
                    file.flush()
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    unasked = 0
            file.flush()
            os.fsync(file.fileno())

    def rename_durably(self, old: str, new: str) -> None:
        Path(old).replace(new)
        folder = os.open(Path(new).parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
