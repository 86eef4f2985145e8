"""What an export asks of a disk, and the real one for a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Every method blocks: exports run beside the gateway, never on its loop."""

    def make_folder(self, path: str) -> None:
        """Make the folder and what leads to it, unless it is there."""
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

    def write_stream(self, path: str, chunks: Iterable[bytes]) -> None:
        with Path(path).open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())

    def rename_durably(self, old: str, new: str) -> None:
        Path(old).replace(new)
        folder = os.open(Path(new).parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
