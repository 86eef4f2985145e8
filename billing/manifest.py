"""The manifest of one export file: what it holds, what its sums are, and which file came before it.

Its presence says that the file is complete. It is made of rows of the store and of a recount alone, so a repeat gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from billing import calendar, cdr
from billing.cdr import Page
from billing.money import exponent
from billing.profile import Profile


class Sum(NamedTuple):
    """Count, amount and tax of some records of one currency."""

    records: int = 0
    amount_minor: int = 0
    tax_minor: int = 0


class Recount:
    """Sums over the records of a file, counted while they are written; a page's rows begin with cdr.COUNTED."""

    def __init__(self) -> None:
        self.records = 0
        self.amount_minor = 0
        self.late_records = 0
        self.first_charge_id: int | None = None
        self.last_charge_id: int | None = None
        self.sums: dict[tuple[str, int, str], Sum] = {}

    def add(self, page: Page) -> None:
        """Count some records."""
        if not page:
            return
        sums: dict[tuple[str, int, str], list[int]] = {}
        for row in page:
            _seq, _id, record_type, service, currency, amount, tax, late = row[:8]
            found = sums.get((currency, record_type, service))
            if found is None:
                found = sums[currency, record_type, service] = [0, 0, 0]
            found[0] += 1
            found[1] += amount
            found[2] += tax
            if late:
                self.late_records += 1
        for key, (count, amount, tax) in sums.items():
            before = self.sums.get(key, Sum())
            self.sums[key] = Sum(before.records + count, before.amount_minor + amount, before.tax_minor + tax)
            self.amount_minor += amount
        self.records += len(page)
        self.last_charge_id = page[-1][1]
        if self.first_charge_id is None:
            self.first_charge_id = page[0][1]

    def totals(self) -> list[dict[str, object]]:
        """One line per currency, record type and service."""
        return totals(self.sums)

    def by_currency(self) -> dict[str, int]:
        """The amount in each currency."""
        found: dict[str, int] = {}
        for (currency, _type, _service), each in sorted(self.sums.items()):
            found[currency] = found.get(currency, 0) + each.amount_minor
        return found

    def by_type(self) -> dict[tuple[str, str], int]:
        """The amount of each record type in each currency."""
        found: dict[tuple[str, str], int] = {}
        for (currency, record_type, _service), each in sorted(self.sums.items()):
            key = (cdr.RECORD_TYPES[record_type], currency)
            found[key] = found.get(key, 0) + each.amount_minor
        return found


def totals(sums: Mapping[tuple[str, int, str], Sum]) -> list[dict[str, object]]:
    """Sums as lines that people and programs read."""
    return [
        {
            "currency": currency,
            "exponent": exponent(currency),
            "record_type": cdr.RECORD_TYPES[record_type],
            "service": service,
            "count": each.records,
            "amount_minor": each.amount_minor,
            "tax_minor": each.tax_minor,
        }
        for (currency, record_type, service), each in sorted(sums.items())
    ]


class Described(NamedTuple):
    """A file that is written: the rows of its run and of itself, its profile, and what was counted in it."""

    run: Any
    file: Any
    profile: Profile
    recount: Recount
    supersedes: tuple[int, int, str] | None  # seq, rev, sha256


def render(of: Described) -> bytes:
    """The manifest's bytes; ids are strings, because readers of JSON keep numbers in doubles."""
    run, file, recount, profile = of.run, of.file, of.recount, of.profile
    previous = None if file.previous_sha256 is None else {"seq": file.file_seq - 1, "sha256": file.previous_sha256}
    supersedes = None if of.supersedes is None else dict(zip(("seq", "rev", "sha256"), of.supersedes, strict=True))
    content = {
        "schema": cdr.SCHEMA,
        "producer": run.producer,
        "profile": run.profile,
        "profile_version": profile.version,
        "flavour": profile.flavour,
        "columns": list(profile.columns),
        "is_masked": profile.mask != "none",
        "mask": profile.mask,
        "carrier": run.carrier,
        "period": period_name(run.first_day, run.after_day),
        "service": run.service,
        "provider": run.provider,
        "tz": run.zone,
        "from_utc": cdr.utc_time(run.from_us),
        "to_utc": cdr.utc_time(run.to_us),
        "upto_seq": str(run.upto_seq),
        "run": str(run.id),
        "part": file.part,
        "seq": file.file_seq,
        "rev": file.revision,
        "supersedes": supersedes,
        "reason": run.reason,
        "previous": previous,
        "files": [{"name": file.file_name, "bytes": file.bytes, "sha256": file.sha256, "records": recount.records}],
        "totals": recount.totals(),
        "first_charge_id": _text(recount.first_charge_id),
        "last_charge_id": _text(recount.last_charge_id),
        "closure_reason": file.closure,
        "late_records": recount.late_records,
        "lost_records": run.lost_records,
        "created_by": run.created_by,
        "approved_by": run.approved_by,
        "created_utc": cdr.utc_time(run.created_at),
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def name_of(file_name: str, extension: str) -> str:
    """The manifest's name: the file's stem and `.manifest.json`."""
    return f"{file_name.removesuffix('.' + extension)}.manifest.json"


def period_name(first: int, after: int) -> str:
    """Days as they stand in file names: a day, a month, or the first day and the last."""
    if calendar.next_day(first) == after:
        return str(first)
    month = calendar.month_of(first)
    if calendar.days(month) == (first, after):
        return str(month // 100)
    return f"{first}-{calendar.previous_day(after)}"


def _text(charge_id: int | None) -> str | None:
    return None if charge_id is None else str(charge_id)
