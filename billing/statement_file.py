"""A carrier's file, line by line: text becomes records, or the whole file is refused with the line and the field.

Nothing is guessed. A line without its end, a missing trailer, a trailer that disagrees: such a file was cut or changed on its way. The
words of a refusal hold no subscriber's number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple, Never
from zoneinfo import ZoneInfo

from billing import calendar, money
from billing.errors import CarrierFileError, MoneyError
from billing.event import FeeClass
from billing.statement_profile import Column, Place, Profile, Trailer

LINE_BYTES_MAX = 4096
LINES_MAX = 20_000_000
_MICROSECOND = timedelta(microseconds=1)
_MINOR = re.compile(r"-?0{0,40}[0-9]{1,15}", re.ASCII)
_MSISDN = re.compile(r"[0-9]{3,15}", re.ASCII)
# What a spreadsheet would run instead of showing.
_FORMULA = ("=", "+", "-", "@", "\t")
_HEX = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)


class Record(NamedTuple):
    """One line as it is compared; `raw` is the line as it came."""

    line_no: int
    raw: str
    day: int
    at_us: int
    link: str
    smsc_id: str
    msisdn: str
    service: str
    cycle: int
    is_billable: bool
    amount_minor: int
    currency: str
    record_count: int
    price_minor: int


def message_id(text: str, form: str = "text") -> str:
    """A carrier's message id as both sides are compared by: without leading zeros, in small letters, and decimal where one side has hex."""
    if form == "hex":
        return str(int(text, 16)) if _HEX.fullmatch(text) else text.lower()
    return text.lstrip("0").lower() or text[:1]


def read(lines: Iterable[bytes], profile: Profile, first: int, after: int, clock: tzinfo) -> Iterator[Record]:
    """The records of a file for the days [first, after), one day more on either side; raises CarrierFileError.

    The profile's zone says how its times are written, and `clock` on which clock the carrier's books count their days.
    """
    reading = _Reading(profile, calendar.previous_day(first), after, clock)
    return reading.records(lines)


class _Reading:
    """The state of reading one file: how far it is, and what its header said."""

    def __init__(self, profile: Profile, earliest: int, latest: int, clock: tzinfo) -> None:
        self.profile, self.earliest, self.latest = profile, earliest, latest
        self.zone = ZoneInfo(profile.zone)
        # A sum has no instant: its day is the one that is written.
        self.clock = self.zone if profile.kind == "summary" else clock
        self.line_no = 0
        self.names: dict[str, int] = {}
        self.columns = profile.columns
        self.moment = lru_cache(maxsize=4096)(self._moment)

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        trailer, is_over, count, total = self.profile.trailer, False, 0, 0
        for raw in lines:
            self.line_no += 1
            if is_over:
                self._refuse("", "there is a line after the trailer")
            text = self._decoded(raw)
            if self.line_no <= self.profile.header:
                self._header(text)
            elif trailer is not None and text.startswith(trailer.prefix):
                self._check(trailer, text, count, total)
                is_over = True
            else:
                if not raw.endswith(b"\n"):
                    self._refuse("", "the line has no end: the file was cut; ask the carrier for it again")
                record = self._record(text)
                count += 1
                total += record.amount_minor
                yield record
        if trailer is not None and not is_over:
            self._refuse("", f"the file ends without its trailer ({trailer.prefix}...): it was cut; ask the carrier for it again")
        if self.line_no < self.profile.header:
            self._refuse("", "the file ends before its header does")

    def _decoded(self, raw: bytes) -> str:
        if len(raw) > LINE_BYTES_MAX:
            self._refuse("", f"the line is longer than {LINE_BYTES_MAX} bytes")
        if self.line_no > LINES_MAX:
            self._refuse("", f"the file has more than {LINES_MAX} lines")
        encoding = self.profile.encoding
        if encoding == "utf-8-sig" and self.line_no > 1:
            encoding = "utf-8"
        try:
            text = raw.decode(encoding).rstrip("\r\n")
        except UnicodeDecodeError:
            self._refuse("", f"the line is not {self.profile.encoding} text")
        if not text:
            self._refuse("", "the line is empty")
        if "\0" in text:
            self._refuse("", "the line holds a zero byte")
        return text

    def _header(self, text: str) -> None:
        """The last of the header's lines names the columns."""
        if self.line_no != self.profile.header or self.profile.format == "fixed":
            return
        cells = [cell.strip() for cell in self._cells(text)]
        self.names = {cell: place for place, cell in enumerate(cells, 1)}
        for name, column in self.columns.items():
            if isinstance(column.at, str) and cells.count(column.at) != 1:
                self._refuse(name, f"the header names the column {column.at!r} {cells.count(column.at)} times, not once")

    def _cells(self, text: str) -> list[str]:
        if self.profile.format == "fixed":
            if len(text) != self.profile.width:
                self._refuse("", f"the line has {len(text)} characters, not {self.profile.width}")
            return [text]
        if '"' not in text:
            return text.split(self.profile.delimiter)
        try:
            return next(csv.reader([text], delimiter=self.profile.delimiter, strict=True))
        except csv.Error:
            self._refuse("", "a quoted field does not end")

    def _cell(self, cells: list[str], name: str, at: Place) -> str:
        if isinstance(at, tuple):
            return cells[0][at[0] - 1 : at[1]].strip()
        place = self.names[at] if isinstance(at, str) else at
        if place > len(cells):
            self._refuse(name, f"is column {place}, and the line has {len(cells)}")
        return cells[place - 1].strip()

    def _record(self, text: str) -> Record:
        cells = self._cells(text)
        columns = self.columns

        def value(name: str) -> str:
            return self._cell(cells, name, columns[name].at) if name in columns else ""

        currency = self._currency(value("currency"))
        day, at_us = self._time("time", value("time"))
        if not self.earliest <= day <= self.latest:
            self._refuse("time", f"{calendar.write(day)} is not in the period of the file")
        is_summary = self.profile.kind == "summary"
        amount = self._amount("amount", value("amount"), columns["amount"], currency)
        return Record(
            self.line_no,
            text,
            day,
            at_us,
            self._word("link", value("link"), 32),
            self._smsc_id(value("smsc_id")),
            self._msisdn(value("msisdn")),
            self._word("service", value("service"), 32),
            self._cycle(value("fee_class"), value("cycle"), day),
            self._is_billable(value("status")),
            amount,
            currency,
            self._whole("count", value("count")) if is_summary else 1,
            self._amount("price", value("price"), columns["price"], currency) if is_summary else 0,
        )

    def _time(self, name: str, text: str) -> tuple[int, int]:
        found = self.moment(name, text)
        if found is None:
            self._refuse(name, f"{text[:32]!r} is no time of the form {self.columns[name].format}")
        return found

    def _moment(self, name: str, text: str) -> tuple[int, int] | None:
        try:
            at = datetime.strptime(text, self.columns[name].format)  # noqa: DTZ007 - the profile's zone is put in below
            at = (at.replace(tzinfo=self.zone) if at.tzinfo is None else at).astimezone(self.clock)
            return at.year * 10_000 + at.month * 100 + at.day, (at - calendar.EPOCH) // _MICROSECOND
        except (ValueError, OverflowError):
            return None

    def _cycle(self, fee_class: str, cycle: str, day: int) -> int:
        column = self.columns.get("fee_class")
        if column is None:
            return 0
        word = self._mapped("fee_class", fee_class, column)
        if word not in FeeClass.__members__:
            self._refuse("fee_class", f"{fee_class[:20]!r} is no fee class, and the profile does not map it")
        if word != FeeClass.MONTHLY.name:
            return 0
        return calendar.month_of(self._time("cycle", cycle)[0] if "cycle" in self.columns else day)

    def _is_billable(self, status: str) -> bool:
        column = self.columns.get("status")
        if column is None or status in column.billable:
            return True
        if column.not_billable and status not in column.not_billable:
            self._refuse("status", f"the profile does not say what {status[:20]!r} means")
        return False

    def _smsc_id(self, text: str) -> str:
        if len(text) > 65:
            self._refuse("smsc_id", "is longer than 65 characters")
        return message_id(text, self.columns["smsc_id"].form) if text else ""

    def _msisdn(self, text: str) -> str:
        column = self.columns.get("msisdn")
        if column is None:
            return ""
        number = text.removeprefix("+")
        if _MSISDN.fullmatch(number) is None:
            self._refuse("msisdn", "is no phone number of 3 to 15 digits")
        return number if number.startswith(column.prefix) else column.prefix + number

    def _word(self, name: str, text: str, chars_max: int) -> str:
        """A name from outside: short, printable, and nothing a spreadsheet would run."""
        column = self.columns.get(name)
        if column is None:
            return ""
        word = self._mapped(name, text, column)
        if word.startswith(_FORMULA):
            self._refuse(name, "begins like a spreadsheet formula")
        if not 0 < len(word) <= chars_max or not word.isprintable():
            self._refuse(name, f"must have 1 to {chars_max} printable characters")
        return word

    def _mapped(self, name: str, text: str, column: Column) -> str:
        if column.words and text not in column.words and name != "link":
            self._refuse(name, f"the profile does not map {text[:20]!r}")
        return column.words.get(text, text)

    def _currency(self, text: str) -> str:
        if "currency" not in self.columns:
            return self.profile.currency
        code = self.columns["currency"].words.get(text, text)
        if code not in money.EXPONENTS:
            self._refuse("currency", f"unknown currency {text[:8]!r}")
        return code

    def _amount(self, name: str, text: str, column: Column, currency: str) -> int:
        return self._minor(name, text.replace(column.point, ".") if column.point != "." else text, column.number, currency)

    def _minor(self, name: str, text: str, number: str, currency: str) -> int:
        if number == "decimal":
            try:
                minor = money.parse(text, currency).amount_minor
            except MoneyError as error:
                self._refuse(name, str(error))
        elif _MINOR.fullmatch(text):
            minor = int(text)
        else:
            self._refuse(name, f"{text[:20]!r} is no whole number of minor units")
        if text.startswith("-"):
            self._refuse(name, f"{text[:20]} is negative; a file of charges holds none")
        return minor

    def _whole(self, name: str, text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text.lstrip("0")) > 12:
            self._refuse(name, f"{text[:20]!r} is no count")
        return int(text)

    def _check(self, trailer: Trailer, text: str, count: int, total: int) -> None:
        cells = self._cells(text)
        if trailer.count is not None:
            told = self._whole("trailer count", self._cell(cells, "trailer count", trailer.count))
            if told != count:
                self._refuse("trailer count", f"says {told}, and the file has {count} records")
        if trailer.amount is not None:
            currency = self.profile.currency
            told = self._minor("trailer amount", self._cell(cells, "trailer amount", trailer.amount), trailer.number, currency)
            if told != total:
                self._refuse("trailer amount", f"says {told} minor units, and the records add up to {total}")

    def _refuse(self, name: str, text: str) -> Never:
        raise CarrierFileError(f"line {self.line_no}{f', field {name}' if name else ''}: {text}")
