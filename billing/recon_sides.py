"""The two sides of a comparison as the store has them, and the sums over what comparing them gave.

Both are read in pages by key. What is kept in memory of a record is what matching needs, some hundred bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Any

from sqlalchemy import exists, func, or_, select, tuple_

from billing import calendar, carrier_files, matching, matching_summary
from billing.event import ChargeState, FeeClass, RecordType
from billing.matching import Class, Item, Ours, Theirs
from billing.matching_summary import Group, GroupItem
from billing.runs import Books
from billing.schema import charge
from billing.schema_reconciliation import recon_item, recon_run
from billing.statement_file import message_id
from billing.statement_profile import Profile

PAGE_ROWS = 5_000
# A line's number among those of several files: the file's place in the upper bits.
_FILE_SHIFT = 32
_BILLABLE = (int(ChargeState.CAPTURED), int(ChargeState.ZERO_RATED))
_COMPARED = (*_BILLABLE, int(ChargeState.RELEASED), int(ChargeState.EXPIRED))
_MONTHLY = int(FeeClass.MONTHLY)


class RunState(IntEnum):
    """How far a run is: nobody looks at one that is still comparing, and a superseded one has a successor."""

    COMPARING = 0
    REVIEW = 1
    ACCEPTED = 2
    RESOLVED = 3
    SUPERSEDED = 9


class Sides:
    """Both sides of one comparison, read page by page."""

    def __init__(self, books: Books, carrier: str, period: int, profile: Profile, files: Sequence[Any]) -> None:
        self.books, self.carrier, self.profile, self.files = books, carrier, profile, files
        self.first, self.after = calendar.days(period)
        self.earliest = calendar.previous_day(self.first)

    def details(self) -> tuple[Iterator[tuple[Any, ...]], tuple[int, int]]:
        """Records against records: rows of recon_item, and how many records either side has."""
        theirs = list(self._lines())
        ours = list(self._charges())
        rules = matching.Rules(self.first, self.after, self.profile.window_s * 1_000_000, self.profile.is_test)
        found = matching.match(ours, theirs, rules)
        in_period = sum(1 for each in ours if each.is_expected and self.first <= each.day < self.after)
        return (self._row(item) for item in found), (in_period, len(theirs))

    def summary(self) -> tuple[Iterator[tuple[Any, ...]], tuple[int, int]]:
        """Sums against sums."""
        theirs = [
            Group(self._number(place, row.line_no), row.day, row.service, row.price_minor, row.currency, row.record_count, row.amount_minor)
            for place, file in enumerate(self.files)
            for row in self._pages(file)
        ]
        ours = self._sums()
        found = matching_summary.match(ours, theirs, self.first, self.after, frozenset(self.profile.test_services))
        in_period = sum(group.record_count for group in ours if self.first <= group.day < self.after)
        return (self._sum_row(item) for item in found), (in_period, sum(group.record_count for group in theirs))

    def _pages(self, file: Any) -> Iterator[Any]:
        last = 0
        while True:
            with self.books.reading() as conn:
                page = carrier_files.lines(conn, file.id, last, PAGE_ROWS)
            yield from page
            if len(page) < PAGE_ROWS:
                return
            last = page[-1].line_no

    def _lines(self) -> Iterator[Theirs]:
        for place, file in enumerate(self.files):
            for row in self._pages(file):
                # A driver makes each word anew for each row; of a few words in many rows one is enough.
                facts = (row.day, row.at_us, sys.intern(row.link), row.smsc_id, row.msisdn, sys.intern(row.service), row.cycle)
                money = (row.amount_minor, sys.intern(row.currency), bool(row.is_billable))
                yield Theirs(self._number(place, row.line_no), *facts, *money)

    def _charges(self) -> Iterator[Ours]:
        """Charges of the period and a day around it, and late ones that stand in a later day."""
        columns = charge.c
        place = tuple_(columns.journal_seq, columns.id)
        near = columns.period.between(self.earliest, self.after)
        late = (columns.period > self.after) & columns.late
        elsewhere = exists(
            select(recon_item.c.run)
            .join(recon_run, recon_run.c.number == recon_item.c.run)
            .where(recon_item.c.charge_id == columns.id, recon_item.c.line_no.is_not(None), recon_run.c.state != int(RunState.SUPERSEDED))
        )
        facts = (
            *(columns.journal_seq, columns.id, columns.period, columns.event_at, columns.delivery_time, columns.link),
            *(columns.smsc_message_ids, columns.charged_msisdn, columns.peer_msisdn, columns.service, columns.fee_class, columns.cycle),
            *(columns.amount_minor, columns.currency, columns.state, elsewhere.label("is_elsewhere")),
        )
        condition = (columns.carrier == self.carrier) & (columns.record_type == int(RecordType.CHARGE)) & columns.state.in_(_COMPARED)
        query = select(*facts).where(condition, columns.journal_seq.is_not(None), or_(near, late)).order_by(columns.journal_seq, columns.id)
        last = (-1, -1)
        while True:
            with self.books.reading() as conn:
                page = conn.execute(query.where(place > last).limit(PAGE_ROWS)).all()
            yield from (self._ours(row) for row in page)
            if len(page) < PAGE_ROWS:
                return
            last = (page[-1].journal_seq, page[-1].id)

    def _ours(self, row: Any) -> Ours:
        columns = self.profile.columns
        is_billable = row.state in _BILLABLE
        smsc_ids = row.smsc_message_ids if "smsc_id" in columns else None
        cycle = (calendar.month_of(row.cycle or row.period)) if row.fee_class == _MONTHLY and "fee_class" in columns else 0
        return Ours(
            row.id,
            row.period,
            (row.delivery_time if self.profile.time == "delivery" else None) or row.event_at,
            sys.intern(row.link or "") if "link" in columns else "",
            ";".join([message_id(each) for each in smsc_ids.split(";")]) if smsc_ids else "",
            row.charged_msisdn or row.peer_msisdn or "",
            sys.intern(row.service),
            cycle,
            row.amount_minor,
            sys.intern(row.currency),
            is_billable,
            is_billable and (row.amount_minor > 0 or self.profile.lists == "all"),
            bool(row.is_elsewhere),
        )

    def _sums(self) -> list[Group]:
        columns = charge.c
        states = _BILLABLE if self.profile.lists == "all" else _BILLABLE[:1]
        keys = (columns.period, columns.service, columns.unit_price_minor, columns.currency)
        amount = func.sum(columns.amount_minor)
        query = (
            select(*keys, func.count().label("records"), amount.label("minor"))
            .where(columns.carrier == self.carrier, columns.journal_seq.is_not(None), columns.period.between(self.earliest, self.after))
            .where(columns.record_type == int(RecordType.CHARGE), columns.state.in_(states))
            .group_by(*keys)
            .order_by(*keys)
        )
        with self.books.reading() as conn:
            rows = conn.execute(query).all()
        groups = []
        for row in rows:
            minor, price = int(row.minor), row.unit_price_minor
            # A message of three parts is three records to a carrier.
            count = minor // price if price and minor % price == 0 else row.records
            groups.append(Group(0, row.period, row.service, price, row.currency, count, minor))
        return groups

    def _number(self, file_place: int, line_no: int) -> int:
        return file_place << _FILE_SHIFT | line_no

    def _at(self, line: int) -> tuple[int, int]:
        return self.files[line >> _FILE_SHIFT].id, line & ((1 << _FILE_SHIFT) - 1)

    def _row(self, item: Item) -> tuple[Any, ...]:
        file_id, line_no = self._at(item.lines[0]) if item.lines else (None, None)
        more = ",".join(str(self._at(line)[1]) for line in item.lines[1:]) or None
        facts = (item.day, item.msisdn, item.service, None, item.currency, int(item.charge_id is not None), len(item.lines))
        place = (int(item.kind), int(item.tier), item.charge_id, file_id, line_no, more)
        return (*place, *facts, item.ours_minor, item.theirs_minor, item.delta_minor)

    def _sum_row(self, item: GroupItem) -> tuple[Any, ...]:
        file_id, line_no = self._at(item.line) if item.line is not None else (None, None)
        facts = (item.day, "", item.service, item.price_minor, item.currency, item.ours_count, item.theirs_count)
        place = (int(item.kind), int(item.tier), None, file_id, line_no, None)
        return (*place, *facts, item.ours_minor, item.theirs_minor, item.delta_minor)


class Totals:
    """Sums over the items of a run while they are written."""

    def __init__(self) -> None:
        self.items = self.differences = 0
        self._sums: dict[str, dict[str, Any]] = {}

    def counted(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            kind, currency, theirs, delta = Class(row[0]), row[10], row[14], row[15]
            sums = self._sums.setdefault(currency, {"theirs": 0, "delta": 0, "apart": 0, "classes": {}})
            count, sum_of_class = sums["classes"].get(kind, (0, 0))
            sums["classes"][kind] = (count + 1, sum_of_class + delta)
            sums["theirs"] += theirs
            sums["delta"] += delta
            sums["apart"] += abs(delta)
            self.items += 1
            self.differences += kind is not Class.MATCH
            yield row

    def is_within(self, profile: Profile) -> bool:
        """Whether so few records, and so little money of each currency, differ that nobody need look."""
        if self.differences * 1_000_000 > profile.count_ppm * self.items:
            return False
        return all(sums["apart"] * 1_000_000 <= profile.amount_ppm * (sums["theirs"] - sums["delta"]) for sums in self._sums.values())

    def told(self) -> list[dict[str, Any]]:
        return [
            {
                "currency": currency,
                "ours_minor": sums["theirs"] - sums["delta"],
                "theirs_minor": sums["theirs"],
                "delta_minor": sums["delta"],
                "classes": [
                    {"class": kind.name, "count": count, "delta_minor": minor} for kind, (count, minor) in sorted(sums["classes"].items())
                ],
            }
            for currency, sums in sorted(self._sums.items())
        ]
