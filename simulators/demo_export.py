"""The proof of the demo's books: export, export again, read the file back, and check every invariant. It blocks: run it on the pool."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from billing import calendar, check
from billing.export import Desk, Written, export, zone_of
from billing.files import LocalFiles
from billing.profile import Profile
from billing.runs import Books, Order
from gateway.settings import SAMPLE
from gateway.store import consistency
from gateway.store.engine import open_reading, open_writing


class Proof(NamedTuple):
    """What to export: a store, a folder, a window of time, and ids for the runs."""

    store_url: str
    folder: str
    from_us: int
    to_us: int
    ids: tuple[int, int]


class Found(NamedTuple):
    """What the files say: facts to show, the amount of each message, and which invariants are broken."""

    facts: dict[str, Any]
    amounts: dict[int, int]
    violations: list[str]


def prove(asked: Proof) -> Found:
    """Export twice and compare; the sums are counted anew from the file's own bytes."""
    first = _export(asked, asked.ids[0])
    before = _bytes_of(asked.folder, first)
    again = _bytes_of(asked.folder, _export(asked, asked.ids[1]))
    # The day may have files of demos before; what this one did is in the one that is new.
    new = [place for place, one in enumerate(first) if one.is_new]
    place = new[-1] if new else -1
    data, manifest = before[place]
    records = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    described = json.loads(manifest)
    amounts = {int(record["event_id"]): int(record["amount_minor"]) for record in records}
    facts = {
        "file": first[place].file_name,
        "manifest": first[place].manifest_name,
        "records": len(records),
        "total": sum(amounts.values()),
        "currency": SAMPLE.services[0].currency,
        "is_repeatable": before == again and len(new) == 1,
        "manifest_agrees": described["files"][0]["sha256"] == hashlib.sha256(data).hexdigest(),
    }
    violations = _violations(asked.store_url)
    return Found(facts | {"violations": len(violations)}, amounts, violations)


def _export(asked: Proof, run_id: int) -> list[Written]:
    reading, writing = open_reading(asked.store_url), open_writing(asked.store_url)
    try:
        clock = zone_of(SAMPLE.billing.time_zone)
        first, after = calendar.day_of(asked.from_us, clock), calendar.next_day(calendar.day_of(asked.to_us, clock))
        place = (SAMPLE.billing.carrier, SAMPLE.billing.time_zone, first, after)
        order = Order(*place, Profile(), SAMPLE.billing.node, "bellhop demo", "demo")
        new_id = iter((run_id,)).__next__
        return export(Desk(Books(reading.begin, writing.begin), asked.folder, LocalFiles(), new_id, asked.to_us), order)
    finally:
        reading.dispose()
        writing.dispose()


def _bytes_of(folder: str, written: list[Written]) -> list[tuple[bytes, bytes]]:
    return [(Path(folder, one.file_name).read_bytes(), Path(folder, one.manifest_name).read_bytes()) for one in written]


def _violations(store_url: str) -> list[str]:
    engine = open_reading(store_url)
    try:
        with engine.begin() as conn:
            return sorted({violation.invariant for violation in (*check.check(conn), *consistency.check(conn))})
    finally:
        engine.dispose()
