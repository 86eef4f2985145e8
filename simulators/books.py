"""What the store says at the end of a simulated run, read with plain SQL, and what each message is due to be charged."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from gateway.sms import segments
from simulators.evidence import token_in

DELIVERED = 10
_FRONTS = {0: "smpp", 1: "http", 2: "im", 3: "gateway"}


@dataclass(eq=False)
class Kept:
    """One message as the store has it."""

    id: int
    front: str
    service: str
    registered_delivery: int
    token: str
    parts: list[Any]  # rows of segment, by number
    charge: Any = None

    @property
    def state(self) -> int:
        """The worst end of its parts, or a live state."""
        states = [row["state"] for row in self.parts]
        live = [state for state in states if state < DELIVERED]
        return int(min(live) if live else max(states))

    @property
    def delivered(self) -> int:
        return sum(row["state"] == DELIVERED for row in self.parts)


class Books:
    """What the store says at the end, read with plain SQL."""

    def __init__(self, path: str) -> None:
        conn = sqlite3.connect(path)
        conn.row_factory = sqlite3.Row
        try:
            self.messages = _messages(conn)
            self.strays = [row["id"] for row in conn.execute("SELECT id FROM charge WHERE direction = 0") if row["id"] not in self.messages]
            self.wallets = {row["party"]: row for row in conn.execute("SELECT * FROM account WHERE is_wallet")}
            self.pending = conn.execute("SELECT count(*) FROM transfer WHERE state = 0").fetchone()[0]
            self.outbox = conn.execute("SELECT count(*) FROM outbox WHERE done_at IS NULL").fetchone()[0]
        finally:
            conn.close()
        self.by_token: dict[str, list[Kept]] = defaultdict(list)
        for kept in self.messages.values():
            self.by_token[kept.token].append(kept)


def _messages(conn: sqlite3.Connection) -> dict[int, Kept]:
    found: dict[int, Kept] = {}
    codings: dict[int, tuple[int, bool]] = {}
    for row in conn.execute("SELECT * FROM message ORDER BY id"):
        found[row["id"]] = Kept(row["id"], _FRONTS[row["front"]], row["service"], row["registered_delivery"], "", [])
        codings[row["id"]] = row["data_coding"], bool(row["esm_class"] & 0x40)
    for row in conn.execute("SELECT * FROM segment ORDER BY id"):
        kept = found[row["id"] & ~0xFF]
        kept.parts.append(row)
        kept.token = kept.token or token_in(segments.decode(*codings[kept.id], bytes(row["body"])).text)
    for row in conn.execute("SELECT * FROM charge WHERE direction = 0"):
        if row["id"] in found:
            found[row["id"]].charge = row
    return found


def is_settled(path: str) -> bool:
    """Whether nothing waits any more: no live segment, no row to hand over."""
    conn = sqlite3.connect(path)
    try:
        live = conn.execute("SELECT count(*) FROM segment WHERE state < 10").fetchone()[0]
        return not live and not conn.execute("SELECT count(*) FROM outbox WHERE done_at IS NULL").fetchone()[0]
    finally:
        conn.close()


def is_queued(path: str) -> bool:
    """Whether a segment still waits to be sent, or for its answer."""
    conn = sqlite3.connect(path)
    try:
        return bool(conn.execute("SELECT count(*) FROM segment WHERE state < 2").fetchone()[0])
    finally:
        conn.close()
