"""Comparing our books with a carrier's files: one run for the files of a period, its items, and whether it is within the tolerance.

Our side of a closed period cannot change any more, so a run is made once for the same files and profile; asked again, it is shown as it
is. A run that a crash left half way is made anew. A run for more files supersedes one that nobody has resolved anything of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from billing import audit, bulk, calendar, carrier_files, matching, matching_summary, statement_profile
from billing.audit import Act
from billing.carriers import Carrier
from billing.errors import ReconciliationError
from billing.event import ChargeState, FeeClass, RecordType
from billing.matching import Class, Item, Ours, Theirs
from billing.matching_summary import Group, GroupItem
from billing.runs import Books
from billing.schema import carrier_books, charge
from billing.schema_reconciliation import recon_item, recon_run
from billing.statement_file import message_id
from billing.statement_profile import Profile

PAGE_ROWS = 5_000
# A line's number among those of several files: the file's place in the upper bits.
_FILE_SHIFT = 32
_BILLABLE = (int(ChargeState.CAPTURED), int(ChargeState.ZERO_RATED))
_COMPARED = (*_BILLABLE, int(ChargeState.RELEASED), int(ChargeState.EXPIRED))
_MONTHLY = int(FeeClass.MONTHLY)
_INSERT = bulk.insert_into(
    recon_item,
    *("run", "number", "kind", "tier", "charge_id", "file_id", "line_no", "more_lines", "day", "msisdn", "service", "price_minor"),
    *("currency", "ours_count", "theirs_count", "ours_minor", "theirs_minor", "delta_minor"),
)


class RunState(IntEnum):
    """How far a run is: nobody looks at one that is still comparing, and a superseded one has a successor."""

    COMPARING = 0
    REVIEW = 1
    ACCEPTED = 2
    RESOLVED = 3
    SUPERSEDED = 9


class Run(NamedTuple):
    """A run as it is shown; `totals` has an entry for each currency."""

    number: int
    carrier: str
    period: int
    state: RunState
    ours_count: int
    theirs_count: int
    item_count: int
    difference_count: int
    totals: list[dict[str, Any]]
    is_within: bool
    created_by: str
    created_at: int


def compare(books: Books, carrier: Carrier, period: int, *, actor: str, now_us: int) -> tuple[Run, bool]:
    """Compare a closed period with the carrier's files for it; the run, and whether it is new.

    Raises ReconciliationError for a period that is open, has no file, files of several profiles, or an earlier run with resolutions.
    """
    with books.reading() as conn:
        files = carrier_files.usable(conn, carrier.name, period)
        _refuse_unready(conn, carrier.name, period, files)
    digest = _digest(period, files)
    number = _open(books, carrier.name, period, digest, actor, now_us)
    if number is None:
        with books.reading() as conn:
            found = conn.execute(_of_period(carrier.name, period).where(recon_run.c.digest == digest)).one()
        return _shown(found), False
    profile = statement_profile.parse(files[0].profile_toml)
    sides = _Sides(books, carrier.name, period, profile, files)
    rows, counts = sides.summary() if profile.kind == "summary" else sides.details()
    totals = _Totals()
    _write(books, number, totals.counted(rows))
    with books.writing() as conn:
        is_within = totals.is_within(profile)
        state = RunState.REVIEW if totals.differences else RunState.ACCEPTED
        values = {"state": int(state), "ours_count": counts[0], "theirs_count": counts[1], "item_count": totals.items}
        values |= {"difference_count": totals.differences, "is_within": is_within}
        _advance(conn, number, RunState.COMPARING, **values, totals=json.dumps(totals.told(), separators=(",", ":")))
        detail = {"carrier": carrier.name, "period": calendar.write(period), "items": totals.items, "differences": totals.differences}
        audit.record(conn, Act(actor, "reconcile.run", f"recon:{number}", detail), now_us=now_us)
    with books.reading() as conn:
        return shown(conn, number), True


def shown(conn: Connection, number: int) -> Run:
    """A run by its number; raises ReconciliationError where there is none."""
    row = conn.execute(select(recon_run).where(recon_run.c.number == number)).one_or_none()
    if row is None or row.state == int(RunState.COMPARING):
        raise ReconciliationError(f"there is no comparison {number}")
    return _shown(row)


def listed(conn: Connection, carrier: str = "") -> list[Run]:
    """Every run that is through, of one carrier where one is given."""
    query = select(recon_run).where(recon_run.c.state != int(RunState.COMPARING))
    query = query.where(recon_run.c.carrier == carrier) if carrier else query
    return [_shown(row) for row in conn.execute(query.order_by(recon_run.c.number))]


def items(
    conn: Connection,
    run: int,
    *,
    kind: Class | None = None,
    resolution: int | None = None,
    is_open: bool = False,
    after: int = 0,
    rows_max: int = 100,
) -> list[Any]:
    """A page of a run's differences by number, or of the items of one class, with one resolution, or with none yet."""
    columns = recon_item.c
    query = select(recon_item).where(columns.run == run, columns.number > after)
    query = query.where(columns.kind != int(Class.MATCH)) if kind is None else query.where(columns.kind == int(kind))
    if resolution is not None:
        query = query.where(columns.resolution == resolution)
    if is_open:
        query = query.where(columns.resolution.is_(None))
    return list(conn.execute(query.order_by(columns.number).limit(rows_max)))


def is_closed(conn: Connection, carrier: str, period: int) -> bool:
    """Whether a carrier's books take no row of this day or month any more."""
    closed = conn.execute(select(carrier_books.c.closed_until).where(carrier_books.c.carrier == carrier)).scalar()
    return closed is not None and int(closed) >= calendar.days(period)[1]


class _Sides:
    """Both sides of one comparison, read page by page."""

    def __init__(self, books: Books, carrier: str, period: int, profile: Profile, files: Sequence[Any]) -> None:
        self.books, self.carrier, self.profile, self.files = books, carrier, profile, files
        self.first, self.after = calendar.days(period)
        self.earliest = calendar.previous_day(self.first)
        self.clock_window = (self.earliest, self.after)

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
                facts = (row.day, row.at_us, row.link, row.smsc_id, row.msisdn, row.service, row.cycle)
                yield Theirs(self._number(place, row.line_no), *facts, row.amount_minor, row.currency, bool(row.is_billable))

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
            row.link or "" if "link" in columns else "",
            ";".join([message_id(each) for each in smsc_ids.split(";")]) if smsc_ids else "",
            row.charged_msisdn or row.peer_msisdn or "",
            row.service,
            cycle,
            row.amount_minor,
            row.currency,
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


class _Totals:
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


def _refuse_unready(conn: Connection, carrier: str, period: int, files: Sequence[Any]) -> None:
    told = calendar.write(period)
    if not is_closed(conn, carrier, period):
        raise ReconciliationError(f"{told} of {carrier} is not closed yet; only a closed period is compared")
    if not files:
        raise ReconciliationError(f"no file of {carrier} was imported for {told}")
    if len({file.profile_toml for file in files}) > 1:
        names = ", ".join(sorted({f"{file.name} ({file.profile})" for file in files}))
        raise ReconciliationError(f"the files of {told} were read by different profiles: {names}; drop some and import them again")


def _digest(period: int, files: Sequence[Any]) -> str:
    content = [str(period), files[0].profile_toml, *sorted(file.sha256 for file in files)]
    return hashlib.sha256("\0".join(content).encode()).hexdigest()


def _of_period(carrier: str, period: int) -> Any:
    return select(recon_run).where(recon_run.c.carrier == carrier, recon_run.c.period == period)


def _open(books: Books, carrier: str, period: int, digest: str, actor: str, now_us: int) -> int | None:
    """A new run's number, or None when this comparison was made before."""
    with books.writing() as conn:
        earlier = conn.execute(_of_period(carrier, period).order_by(recon_run.c.number)).all()
        for row in earlier:
            if row.digest == digest and row.state != int(RunState.COMPARING):
                return None
            if row.digest == digest:
                _forget(conn, row.number)
            elif row.state != int(RunState.SUPERSEDED):
                _supersede(conn, row)
        number = int(conn.execute(select(func.coalesce(func.max(recon_run.c.number), 0))).scalar_one()) + 1
        row = {"number": number, "carrier": carrier, "period": period, "digest": digest, "state": int(RunState.COMPARING)}
        try:
            conn.execute(recon_run.insert(), {**row, "created_by": actor, "created_at": now_us})
        except IntegrityError as error:
            raise ReconciliationError("another comparison is at work; try again in a moment") from error
    return number


def _forget(conn: Connection, number: int) -> None:
    """Take out a run that a crash left half way."""
    conn.execute(delete(recon_item).where(recon_item.c.run == number))
    conn.execute(delete(recon_run).where(recon_run.c.number == number, recon_run.c.state == int(RunState.COMPARING)))


def _supersede(conn: Connection, row: Any) -> None:
    resolved = select(recon_item.c.number).where(recon_item.c.run == row.number, recon_item.c.resolution.is_not(None)).limit(1)
    if conn.execute(resolved).first() is not None:
        period = calendar.write(row.period)
        raise ReconciliationError(f"comparison {row.number} of {period} has resolved items; a new file for {period} cannot replace it")
    _advance(conn, row.number, RunState(row.state), state=int(RunState.SUPERSEDED))


def _write(books: Books, number: int, rows: Iterator[tuple[Any, ...]]) -> None:
    written = 0
    while page := list(islice(rows, PAGE_ROWS)):
        with books.writing() as conn:
            _advance(conn, number, RunState.COMPARING, item_count=written)
            bulk.execute(conn, _INSERT, [(number, written + place, *row) for place, row in enumerate(page, 1)])
        written += len(page)


def _advance(conn: Connection, number: int, state: RunState, **values: Any) -> None:
    mine = (recon_run.c.number == number) & (recon_run.c.state == int(state))
    if conn.execute(update(recon_run).where(mine).values(**values)).rowcount != 1:
        raise ReconciliationError(f"somebody else is at work on comparison {number}; run it again")


def _shown(row: Any) -> Run:
    values = {name: getattr(row, name) for name in Run._fields}
    return Run(**{**values, "state": RunState(row.state), "totals": json.loads(row.totals), "is_within": bool(row.is_within)})
