"""The event log of an SMSC: every decision in order, and a hash that is the same for the same seed and the same requests.

Times and message ids are in the lines and not in the hash: they come from the clock. Each connection is hashed by itself, so that
two binds that run side by side do not disturb each other's hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any


class SmscJournal:
    """Hashes what happens, and hands each line to `write` if there is one."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write
        self._hashes: dict[str, Any] = {}
        self.lines = 0

    def tell(self, at_us: int, connection: str, kind: str, told: dict[str, Any]) -> None:
        """Write a line that is no decision and not hashed."""
        self.lines += 1
        if self._write is not None:
            line = {"at_us": at_us, "connection": connection, "kind": kind} | told
            self._write(json.dumps(line, ensure_ascii=False, separators=(",", ":")))

    def add(self, at_us: int, connection: str, kind: str, facts: dict[str, Any]) -> None:
        """Append a decision."""
        decided = json.dumps([connection, kind, facts], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        if connection not in self._hashes:
            self._hashes[connection] = hashlib.sha256()
        self._hashes[connection].update(decided.encode() + b"\n")
        self.tell(at_us, connection, kind, facts)

    def digest(self) -> str:
        """SHA-256 over the connections' hashes, in the order of their names."""
        whole = hashlib.sha256()
        for connection in sorted(self._hashes):
            whole.update(f"{connection} {self._hashes[connection].hexdigest()}\n".encode())
        return whole.hexdigest()
