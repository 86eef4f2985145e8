"""What the store says at the end of a simulated run, read with plain SQL, and what each message is due to be charged."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.sms import segments
from simulators.evidence import token_in

DELIVERED = 10
TAKEN_BACK = ("cancelled", "replaced")
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
    row: Any  # of message
    text_tokens: set[str] = field(default_factory=set)  # in the texts of its parts
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

    @property
    def attempts(self) -> int:
        """The most that any of its parts needed."""
        return int(max(row["attempts"] for row in self.parts))

    @property
    def taken_back(self) -> str:
        """cancelled or replaced, if it is one of these."""
        return next((row["error"] for row in self.parts if row["error"] in TAKEN_BACK), "")


class Correction(NamedTuple):
    """One record that changes what a charge came to, with what made its money move."""

    id: int
    cause: str
    row: Any  # of charge, with the amount its transfer moved from house to wallet or receivable


# `back_minor` is what went to whoever paid: below zero, what was taken of him.
_CORRECTIONS = """SELECT charge.*, transfer.cause AS cause, transfer.state AS moved,
    CASE WHEN debit.party LIKE 'house:%' AND debit.party NOT LIKE 'house:receivable:%' THEN transfer.posted_minor
    ELSE -transfer.posted_minor END AS back_minor,
    CASE WHEN debit.is_wallet THEN debit.id WHEN credit.is_wallet THEN credit.id END AS paid_by
    FROM charge LEFT JOIN transfer ON transfer.id = charge.id LEFT JOIN account AS debit ON debit.id = transfer.debit_account
    LEFT JOIN account AS credit ON credit.id = transfer.credit_account WHERE charge.record_type <> 0 ORDER BY charge.id"""
_BOOKED = """SELECT id, record_type, state, service, currency, amount_minor, tax_minor, event_at, booked_at, carrier, period, late
    FROM charge WHERE journal_seq IS NOT NULL"""
_TOP_UPS = """SELECT transfer.cause, transfer.posted_minor, transfer.state, account.party FROM transfer
    JOIN account ON account.id = transfer.credit_account WHERE transfer.cause LIKE 'topup:%'"""
# What was written down as delivered after its end.
_LATE = "SELECT DISTINCT segment_id FROM parked_receipt WHERE outcome IN ('late', 'contradicts') AND state = 2 AND segment_id IS NOT NULL"
# All money of a currency: what wallets say they have, and what came to the house less what left it.
_SUMS = """SELECT currency, SUM(minor) AS minor FROM (
    SELECT currency, posted_minor AS minor FROM account WHERE is_wallet
    UNION ALL SELECT account.currency, transfer.posted_minor FROM transfer JOIN account ON account.id = transfer.credit_account
    WHERE transfer.state = 10 AND NOT account.is_wallet
    UNION ALL SELECT account.currency, -transfer.posted_minor FROM transfer JOIN account ON account.id = transfer.debit_account
    WHERE transfer.state = 10 AND NOT account.is_wallet) GROUP BY currency"""


class Books:
    """What the store says at the end, read with plain SQL."""

    def __init__(self, path: str, name_of: Callable[[str, str], str]) -> None:
        conn = sqlite3.connect(path)
        conn.row_factory = sqlite3.Row
        try:
            self.messages = _messages(conn, name_of)
            self.strays = [
                row["id"]
                for row in conn.execute("SELECT id FROM charge WHERE direction = 0 AND record_type = 0")
                if row["id"] not in self.messages
            ]
            self.wallets = {row["party"]: row for row in conn.execute("SELECT * FROM account WHERE is_wallet")}
            self.pending = conn.execute("SELECT count(*) FROM transfer WHERE state = 0").fetchone()[0]
            self.outbox = conn.execute("SELECT count(*) FROM outbox WHERE done_at IS NULL").fetchone()[0]
            usage = "SELECT name, sum(messages) AS messages FROM partner_usage JOIN partner ON partner.id = partner_id GROUP BY name"
            self.usage = {row["name"]: row["messages"] for row in conn.execute(usage)}
            self.corrections = [Correction(row["id"], row["cause"] or "", row) for row in conn.execute(_CORRECTIONS)]
            self.booked = conn.execute(_BOOKED).fetchall()
            self.approvals = {row["id"]: row for row in conn.execute("SELECT * FROM approval")}
            self.periods = conn.execute("SELECT * FROM period").fetchall()
            self.top_ups = {row["cause"]: row for row in conn.execute(_TOP_UPS)}
            self.late_segments = [row["segment_id"] for row in conn.execute(_LATE)]
            self.sums = {row["currency"]: row["minor"] for row in conn.execute(_SUMS)}
        finally:
            conn.close()
        self.by_token: dict[str, list[Kept]] = defaultdict(list)
        for kept in self.messages.values():
            self.by_token[kept.token].append(kept)
        self.in_groups = {
            (int(kept.row["reference"]), kept.row["destination"]): kept for kept in self.messages.values() if _is_in_group(kept)
        }

    def told_of(self, number: int, phone: str) -> int:
        """The message that a receipt tells of, by the id and the phone it names."""
        return self.in_groups[number, phone].id if (number, phone) in self.in_groups else number


def _is_in_group(kept: Kept) -> bool:
    return bool(kept.row["reference"]) and "/" in kept.token


def _messages(conn: sqlite3.Connection, name_of: Callable[[str, str], str]) -> dict[int, Kept]:
    found: dict[int, Kept] = {}
    codings: dict[int, tuple[int, bool]] = {}
    for row in conn.execute("SELECT * FROM message ORDER BY id"):
        found[row["id"]] = Kept(row["id"], _FRONTS[row["front"]], row["service"], row["registered_delivery"], "", [], row)
        codings[row["id"]] = row["data_coding"], bool(row["esm_class"] & 0x40)
    for row in conn.execute("SELECT * FROM segment ORDER BY id"):
        kept = found[row["id"] & ~0xFF]
        kept.parts.append(row)
        text_token = token_in(segments.decode(*codings[kept.id], bytes(row["body"])).text)
        kept.text_tokens.add(text_token)
        kept.token = kept.token or name_of(text_token, kept.row["destination"])
    for row in conn.execute("SELECT * FROM charge WHERE direction = 0 AND record_type = 0"):
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


def is_released(path: str, message_id: int) -> bool:
    """Whether a message, or at least one of a submit_multi, has ended and holds nothing: what an answered cancellation promises."""
    conn = sqlite3.connect(path)
    try:
        found = conn.execute("SELECT id FROM message WHERE id = ? OR reference = ?", (message_id, str(message_id))).fetchall()
        for (each,) in found:
            live = conn.execute("SELECT count(*) FROM segment WHERE id BETWEEN ? AND ? AND state < 10", (each + 1, each + 255)).fetchone()[
                0
            ]
            held = conn.execute("SELECT count(*) FROM transfer WHERE id = ? AND state = 0", (each,)).fetchone()[0]
            if not live and not held:
                return True
        return False
    finally:
        conn.close()
