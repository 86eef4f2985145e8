"""The manifest of one export file: what it holds, what its sums are, and which file came before it.

Its presence says that the file is complete. It is made of the run's row and of a recount alone, so a repeat gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from billing import cdr
from billing.money import exponent


class Origin(NamedTuple):
    """What the run's row says of a file."""

    profile: str
    carrier: str
    zone: str
    period: str
    from_us: int
    to_us: int
    upto_seq: int
    file_seq: int
    revision: int
    file_name: str
    created_us: int
    previous_sha256: str | None


class Recount:
    """Sums over the records of a file, counted while they are written."""

    def __init__(self) -> None:
        self.records = 0
        self.amount_minor = 0
        self.late_records = 0
        self.bytes = 0
        self.first_charge_id: int | None = None
        self.last_charge_id: int | None = None
        self._totals: dict[tuple[str, int, str], tuple[int, int]] = {}

    def add(self, charge: Mapping[str, Any]) -> None:
        """Count one charge."""
        amount = charge["amount_minor"]
        key = (charge["currency"], charge["record_type"], charge["service"])
        count, total = self._totals.get(key, (0, 0))
        self._totals[key] = (count + 1, total + amount)
        self.records += 1
        self.amount_minor += amount
        self.late_records += bool(charge["late"])
        self.last_charge_id = charge["id"]
        if self.first_charge_id is None:
            self.first_charge_id = charge["id"]

    def totals(self) -> list[dict[str, object]]:
        """One line per currency, record type and service."""
        return [
            {
                "currency": currency,
                "exponent": exponent(currency),
                "record_type": cdr.RECORD_TYPES[record_type],
                "service": service,
                "count": count,
                "amount_minor": amount,
            }
            for (currency, record_type, service), (count, amount) in sorted(self._totals.items())
        ]


def render(origin: Origin, recount: Recount, sha256: str) -> bytes:
    """The manifest's bytes; ids are strings, because readers of JSON keep numbers in doubles."""
    previous = None if origin.previous_sha256 is None else {"seq": origin.file_seq - 1, "sha256": origin.previous_sha256}
    content = {
        "schema": cdr.SCHEMA,
        "producer": "bellhop",
        "profile": origin.profile,
        "carrier": origin.carrier,
        "period": origin.period,
        "tz": origin.zone,
        "from_utc": cdr.utc_time(origin.from_us),
        "to_utc": cdr.utc_time(origin.to_us),
        "upto_seq": str(origin.upto_seq),
        "seq": origin.file_seq,
        "rev": origin.revision,
        "supersedes": None,
        "previous": previous,
        "files": [{"name": origin.file_name, "bytes": recount.bytes, "sha256": sha256, "records": recount.records}],
        "totals": recount.totals(),
        "first_charge_id": _text(recount.first_charge_id),
        "last_charge_id": _text(recount.last_charge_id),
        "closure_reason": "period",
        "late_records": recount.late_records,
        "lost_records": 0,
        "created_utc": cdr.utc_time(origin.created_us),
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def name_of(file_name: str) -> str:
    """The manifest's name: the file's stem and `.manifest.json`."""
    return f"{file_name.removesuffix('.csv')}.manifest.json"


def _text(charge_id: int | None) -> str | None:
    return None if charge_id is None else str(charge_id)
