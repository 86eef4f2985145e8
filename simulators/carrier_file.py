"""A carrier's file made from our own charges, with differences planted in it, and the list of what was planted.

Every class of difference is planted at the same rate, each in records of its own, so a comparison must find exactly these. Our duplicates
stand in the store, not in the file: `copy_ours` puts them there first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from billing import bulk, calendar, money, shares
from billing.errors import CarrierFileError
from billing.event import ChargeState, FeeClass, RecordType
from billing.schema import charge
from billing.statement_profile import Column, Place, Profile
from simulators.streams import Stream, stream

_FATES = ("AMOUNT_DIFF", "STATUS_DIFF", "OURS_ONLY", "CARRIER_ONLY", "DUP_CARRIER", "TEST")
# No subscriber has these: CARRIER_ONLY lines must not match a charge by number and time.
_STRANGER = "99{:011d}"
_PAGE_ROWS = 5_000


class Plan(NamedTuple):
    """What to write, and how often to plant each difference."""

    carrier: str
    period: int
    per_mille: int
    seed: int


class Planted(NamedTuple):
    """A difference: its class, the charge, the line in the file, and what the carrier has more than we."""

    kind: str
    charge_id: int | None
    line_no: int | None
    delta_minor: int


class Written(NamedTuple):
    """The file's text, how many records are in it, and what was planted."""

    text: str
    records: int
    planted: list[Planted]


def write(conn: Connection, profile: Profile, plan: Plan) -> Written:
    """Make the file of a period for a detail profile; the same store, plan and profile make the same file."""
    if profile.kind != "detail":
        raise CarrierFileError(f"profile {profile.name}: a file with planted differences has a line for each record")
    return _Writing(profile, plan).written(conn)


def copy_ours(conn: Connection, plan: Plan) -> list[int]:
    """Charge some messages of the period twice in our store, as a fault of ours would; the ids of the copies."""
    numbers = stream(plan.seed, "copy")
    first, after = calendar.days(plan.period)
    rows = [
        row
        for row in _charges(conn, plan.carrier, first, after)
        if row["wallet"] is None and row["smsc_message_ids"] and numbers.randrange(1_000) < plan.per_mille
    ]
    columns = charge.c
    greatest = conn.execute(select(func.max(columns.id), func.max(columns.journal_seq))).one()
    free = max(int(each or 0) for each in greatest)
    copies = [{**row, **dict.fromkeys(("id", "event_id", "journal_seq"), free + place * 256)} for place, row in enumerate(rows, 1)]
    names = tuple(column.name for column in columns)
    bulk.execute(conn, bulk.insert_into(charge, *names), [[copy[name] for name in names] for copy in copies])
    return [copy["id"] for copy in copies]


class _Writing:
    def __init__(self, profile: Profile, plan: Plan) -> None:
        self.profile, self.plan = profile, plan
        self.first, self.after = calendar.days(plan.period)
        self.zone = ZoneInfo(profile.zone)
        self.numbers: Stream = stream(plan.seed, "carrier-file")
        self.lines: list[str] = []
        self.planted: list[Planted] = []
        self.records = self.total = 0
        self.strangers = 0
        self.named = [column.at for column in profile.columns.values() if isinstance(column.at, str)]
        if self.named and len(self.named) != len(profile.columns):
            raise CarrierFileError(f"profile {profile.name}: name all columns, or number all")

    def written(self, conn: Connection) -> Written:
        self.lines = [self.profile.delimiter.join(self.named) if self.named else "header"] * self.profile.header
        seen: set[tuple[str | None, str]] = set()
        doubled = _doubled(conn, self.plan.carrier, self.first, self.after)
        count = 0
        for row in _charges(conn, self.plan.carrier, self.first, self.after):
            ids = row["smsc_message_ids"]
            if ids and (row["link"], ids) in seen:
                self._plant("DUP_OURS", row, None, -row["amount_minor"])
                continue
            if ids:
                seen.add((row["link"], ids))
            count += 1
            self._record(row, "" if (row["link"], ids) in doubled else self._fate())
        self._shifts(conn, count * self.plan.per_mille // 1_000)
        self._trailer()
        return Written("".join(f"{line}\n" for line in self.lines), self.records, self.planted)

    def _fate(self) -> str:
        drawn = self.numbers.randrange(1_000)
        place = drawn // self.plan.per_mille if self.plan.per_mille else len(_FATES)
        fate = _FATES[place] if place < len(_FATES) else ""
        has_words = "status" in self.profile.columns and self.profile.columns["status"].not_billable
        if (fate == "STATUS_DIFF" and not has_words) or (fate == "TEST" and not self.profile.test_numbers):
            return ""
        return fate

    def _record(self, row: Any, fate: str) -> None:
        amount = row["amount_minor"]
        if fate == "OURS_ONLY":
            self._plant(fate, row, None, -amount)
            return
        more = self.numbers.randrange(1, 50) if fate == "AMOUNT_DIFF" else 0
        line_no = self._lines_of(row, amount + more, is_billable=fate != "STATUS_DIFF")
        if fate == "AMOUNT_DIFF":
            self._plant(fate, row, line_no, more)
        elif fate == "STATUS_DIFF":
            self._plant(fate, row, line_no, -amount)
        elif fate == "DUP_CARRIER":
            # Of a message with several parts, the line of the first is there twice.
            told, first = self.total, self.lines[line_no - 1]
            self.lines.append(first)
            self.records += 1
            part = self._parts(row, amount)[0][1]
            self.total = told + part
            self._plant(fate, None, len(self.lines), part)
        elif fate in ("CARRIER_ONLY", "TEST"):
            self._stranger(row, fate)

    def _stranger(self, row: Any, fate: str) -> None:
        self.strangers += 1
        number = _STRANGER.format(self.strangers)
        if fate == "TEST":
            pattern = self.profile.test_numbers[0]
            number = f"{pattern[:-1]}{self.strangers:06d}"[:15] if pattern.endswith("*") else pattern
        invented = {**row, "charged_msisdn": number, "smsc_message_ids": f"9{self.strangers:014d}"}
        self._plant(fate, None, self._lines_of(invented, row["amount_minor"]), row["amount_minor"])

    def _shifts(self, conn: Connection, wanted: int) -> None:
        """Charges of the day before, which the carrier has in this period."""
        for row in _charges(conn, self.plan.carrier, calendar.previous_day(self.first), self.first):
            if wanted == 0:
                return
            wanted -= 1
            self._plant("PERIOD_SHIFT", row, self._lines_of(row, row["amount_minor"]), row["amount_minor"])

    def _plant(self, kind: str, row: Any, line_no: int | None, delta: int) -> None:
        self.planted.append(Planted(kind, None if row is None else row["id"], line_no, delta))

    def _parts(self, row: Any, amount: int) -> list[tuple[str, int]]:
        """A line for each message id, where the file has them; the amount divided among them."""
        ids = (row["smsc_message_ids"] or "").split(";") if "smsc_id" in self.profile.columns else [""]
        return list(zip(ids, shares.split(amount, [1] * len(ids)), strict=True))

    def _lines_of(self, row: Any, amount: int, *, is_billable: bool = True) -> int:
        """Write the lines of a charge; the number of the first."""
        first = len(self.lines) + 1
        for smsc_id, part in self._parts(row, amount):
            self.lines.append(self._line(self._cells(row, smsc_id, part, is_billable)))
            self.records += 1
            self.total += part
        return first

    def _cells(self, row: Any, smsc_id: str, amount: int, is_billable: bool) -> dict[str, str]:
        columns = self.profile.columns
        at_us = row["delivery_time"] if self.profile.time == "delivery" and row["delivery_time"] else row["event_at"]
        at = (calendar.EPOCH + timedelta(microseconds=at_us)).astimezone(self.zone)
        known: dict[str, Callable[[Column], str]] = {
            "time": lambda column: at.strftime(column.format),
            "cycle": lambda column: at.strftime(column.format),
            "smsc_id": lambda column: f"{int(smsc_id):x}" if column.form == "hex" and smsc_id.isdigit() else smsc_id,
            "msisdn": lambda _column: row["charged_msisdn"] or row["peer_msisdn"] or "",
            "service": lambda column: _theirs(column, row["service"]),
            "link": lambda column: _theirs(column, row["link"] or ""),
            "status": lambda column: min(column.billable if is_billable else column.not_billable),
            "fee_class": lambda column: _theirs(column, FeeClass(row["fee_class"]).name),
            "currency": lambda column: _theirs(column, row["currency"]),
            "amount": lambda column: _amount(column.number, column.point, amount, row["currency"]),
        }
        return {name: known[name](column) for name, column in columns.items()}

    def _line(self, cells: dict[str, str]) -> str:
        return self._laid_out([(self.profile.columns[name].at, cell) for name, cell in cells.items()])

    def _laid_out(self, cells: list[tuple[Place, str]]) -> str:
        if self.profile.format == "fixed":
            line = [" "] * self.profile.width
            for at, cell in cells:
                assert isinstance(at, tuple)
                width = at[1] - at[0] + 1
                line[at[0] - 1 : at[1]] = cell.rjust(width, "0") if cell.isdigit() else cell.ljust(width)
            return "".join(line)
        places = {self.named.index(at) + 1 if isinstance(at, str) else at: cell for at, cell in cells}
        return self.profile.delimiter.join(places.get(place, "") for place in range(1, max(_number(place) for place in places) + 1))

    def _trailer(self) -> None:
        trailer = self.profile.trailer
        if trailer is None:
            return
        is_fixed = self.profile.format == "fixed"
        cells: list[tuple[Place, str]] = [] if is_fixed else [(1, trailer.prefix.removesuffix(self.profile.delimiter))]
        if trailer.count is not None:
            cells.append((trailer.count, str(self.records)))
        if trailer.amount is not None:
            cells.append((trailer.amount, _amount(trailer.number, ".", self.total, self.profile.currency or "CNY")))
        line = self._laid_out(cells)
        self.lines.append(trailer.prefix + line[len(trailer.prefix) :] if is_fixed else line)


def _charges(conn: Connection, carrier: str, first: int, after: int) -> Iterator[dict[str, Any]]:
    """What the carrier collects for the days [first, after), in the order of the journal."""
    columns = charge.c
    query = (
        select(charge)
        .where(columns.carrier == carrier, columns.record_type == int(RecordType.CHARGE), columns.state == int(ChargeState.CAPTURED))
        .where(columns.period >= first, columns.period < after, columns.amount_minor > 0)
        .order_by(columns.journal_seq)
    )
    last = -1
    while True:
        page = conn.execute(query.where(columns.journal_seq > last).limit(_PAGE_ROWS)).mappings().all()
        yield from (dict(row) for row in page)
        if len(page) < _PAGE_ROWS:
            return
        last = page[-1]["journal_seq"]


def _doubled(conn: Connection, carrier: str, first: int, after: int) -> set[tuple[str | None, str]]:
    """The message ids that more than one charge has: such a charge is one difference, and no other is planted on it."""
    columns = charge.c
    query = (
        select(columns.link, columns.smsc_message_ids)
        .where(columns.carrier == carrier, columns.journal_seq.is_not(None), columns.smsc_message_ids.is_not(None))
        .where(columns.period >= first, columns.period < after)
        .group_by(columns.link, columns.smsc_message_ids)
        .having(func.count() > 1)
    )
    return {(row.link, row.smsc_message_ids) for row in conn.execute(query)}


def _theirs(column: Column, ours: str) -> str:
    """The carrier's word for one of ours."""
    return next((theirs for theirs, each in column.words.items() if each == ours), ours)


def _amount(number: str, point: str, minor: int, currency: str) -> str:
    return money.format_minor(minor, currency).replace(".", point) if number == "decimal" else str(minor)


def _number(place: Place) -> int:
    assert isinstance(place, int)
    return place
