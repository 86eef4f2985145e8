"""The store before and after a bench run: filled with finished messages, and counted.

Filling writes what a delivered, receipted and charged message of an SMPP partner leaves behind: its row in message, segment, charge,
transfer and outbox, with every index. The wallet pays for all of it, so the books stay right.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from gateway.domain.ids import EPOCH_US
from simulators.bench_gateway import PARTNER

CHUNK = 100_000
PRICE_MINOR = 10
# One message a millisecond; its settlement is booked half a millisecond later, so that no two ids meet.
_GAP_US = 1_000
_SHIFT = 13

_CHUNK = """
INSERT INTO {table} ({columns})
WITH RECURSIVE n(k) AS (SELECT :first UNION ALL SELECT k + 1 FROM n WHERE k < :last),
at AS (SELECT k, :base + k * 1000 AS us FROM n),
one AS (SELECT k, us, (us - {epoch}) << 13 AS id, (us + 500 - {epoch}) << 13 AS seq FROM at)
SELECT {values} FROM one
"""

# Per table, each column and the SQL that makes it from `one`; the order of the rows is the order of their ids.
_ROWS: dict[str, dict[str, str]] = {
    "message": {
        "id": "id",
        "front": "0",
        "partner_id": ":partner",
        "service": "'chat'",
        "source": "'10661700'",
        "source_ton": "0",
        "source_npi": "1",
        "destination": "printf('86138%08d', k % 100000000)",
        "destination_ton": "1",
        "destination_npi": "1",
        "encoding": "2",
        "data_coding": "0",
        "esm_class": "0",
        "protocol_id": "0",
        "priority": "0",
        "registered_delivery": "1",
        "segments": "1",
        "accepted_at": "us",
        "expires_at": "us + 86400000000",
    },
    "segment": {
        "id": "id + 1",
        "state": "10",
        "link": "'bench'",
        "body": "CAST(printf('No %08d: your parcel waits at the counter until six today', k % 100000000) AS BLOB)",
        "attempts": "1",
        "smsc_id": "CAST(us / 10 AS TEXT)",
        "expires_at": "us + 86400000000",
        "claimed_at": "us",
        "submitted_at": "us + 200",
        "done_at": "us + 400",
        "status": "0",
        "error": "'000'",
    },
    "charge": {
        "id": "id",
        "event_id": "id",
        "record_type": "0",
        "state": "10",
        "direction": "0",
        "event_at": "us",
        "booked_at": "us + 400",
        "journal_seq": "seq",
        "service": "'chat'",
        "fee_class": "2",
        "payer": "2",
        "wallet": ":wallet",
        "link": "'bench'",
        "short_code": "'10661700'",
        "peer_msisdn": "printf('86138%08d', k % 100000000)",
        "parts": "1",
        "parts_charged": "1",
        "quantity": "1",
        "unit_price_minor": ":price",
        "amount_minor": ":price",
        "currency": "'CNY'",
        "tariff_version": "'flat/1:0000000000000000'",
        "tariff_rule": "'service:chat'",
        "delivery_status": "'DELIVRD'",
        "delivery_time": "us + 400",
        "network_error": "'000'",
        "smsc_message_ids": "CAST(us / 10 AS TEXT)",
        "carrier": "'default'",
        "period": "CAST(strftime('%Y%m%d', us / 1000000, 'unixepoch') AS INTEGER)",
    },
    "transfer": {
        "id": "id",
        "debit_account": ":wallet",
        "credit_account": ":revenue",
        "amount_minor": ":price",
        "posted_minor": ":price",
        "currency": "'CNY'",
        "state": "10",
        "created_at": "us",
        "settled_at": "us + 400",
    },
    "outbox": {
        "id": "seq",
        "target": "'partner:' || :partner",
        "kind": "1",
        "message_id": "id",
        "state": "10",
        "done_at": "us + 600",
        "attempts": "0",
        "outcome": "0",
    },
}


class Tally(NamedTuple):
    """What of one run stands in the store."""

    messages: int
    delivered: int  # messages whose every segment is
    submitted: int  # segments the far end has taken and told nothing more of
    charges: int
    captured: int  # or zero-rated, where the service is free
    held: int


def last_message_id(store: Path) -> int:
    """The newest message, 0 in an empty store."""
    with closing(sqlite3.connect(store)) as conn:
        return int(conn.execute("SELECT COALESCE(MAX(id), 0) FROM message").fetchone()[0])


def tally(store: Path, after_id: int) -> Tally:
    """Count what came after this message."""
    with closing(sqlite3.connect(store)) as conn:

        def count(query: str) -> int:
            return int(conn.execute(query, (after_id | 0xFF,)).fetchone()[0])

        return Tally(
            count("SELECT COUNT(*) FROM message WHERE id > ?"),
            count("SELECT COUNT(*) FROM (SELECT 1 FROM segment WHERE id > ? GROUP BY id >> 8 HAVING MIN(state) = 10 AND MAX(state) = 10)"),
            count("SELECT COUNT(*) FROM segment WHERE id > ? AND state = 2"),
            count("SELECT COUNT(*) FROM charge WHERE id > ?"),
            count("SELECT COUNT(*) FROM charge WHERE id > ? AND state IN (10, 13)"),
            count("SELECT COUNT(*) FROM charge WHERE id > ? AND state = 0"),
        )


def fill(store: Path, wanted: int, now_us: int, progress: Callable[[int, int], None]) -> int:
    """Bring the store to `wanted` messages; how many were added. The gateway must have made the store, and not be running."""
    with closing(sqlite3.connect(store, isolation_level=None)) as conn:
        there, oldest = conn.execute("SELECT COUNT(*), MIN(id) FROM message").fetchone()
        missing = wanted - int(there)
        if missing <= 0:
            return 0
        conn.execute("PRAGMA synchronous = OFF")
        conn.execute("PRAGMA cache_size = -200000")
        newest_us = now_us if oldest is None else min(now_us, (int(oldest) >> _SHIFT) + EPOCH_US)
        facts = {**_facts(conn), "base": newest_us - (missing + 1_000) * _GAP_US, "price": PRICE_MINOR}
        for first in range(0, missing, CHUNK):
            last = min(first + CHUNK, missing) - 1
            _fill_chunk(conn, {**facts, "first": first, "last": last})
            progress(last + 1, missing)
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.execute("PRAGMA synchronous = FULL")
        return missing


def _facts(conn: sqlite3.Connection) -> dict[str, Any]:
    partner, wallet = conn.execute("SELECT id, wallet FROM partner WHERE name = ?", (PARTNER,)).fetchone()
    revenue = conn.execute("SELECT id FROM account WHERE party = 'house:revenue:CNY'").fetchone()[0]
    return {"partner": partner, "wallet": wallet, "revenue": revenue}


def _fill_chunk(conn: sqlite3.Connection, values: dict[str, Any]) -> None:
    conn.execute("BEGIN IMMEDIATE")
    for table, columns in _ROWS.items():
        sql = _CHUNK.format(table=table, columns=", ".join(columns), values=", ".join(columns.values()), epoch=EPOCH_US)
        conn.execute(sql, {name: value for name, value in values.items() if f":{name}" in sql})
    paid = (values["last"] - values["first"] + 1) * values["price"]
    conn.execute("UPDATE account SET posted_minor = posted_minor - ? WHERE id = ?", (paid, values["wallet"]))
    conn.execute("COMMIT")
