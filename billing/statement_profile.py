"""How a carrier writes its files: a profile in TOML says where each field stands, how numbers and times look, and what the words mean.

Detail files have a line for each record, summary files one for each day, service and price. Positions are counted from 1; in a CSV with
a header a column may be named instead.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.errors import CarrierFileError, MoneyError
from billing.event import FeeClass
from billing.money import exponent

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
WINDOW_S_MAX = 86_400
PPM_MAX = 1_000_000
# A line ends with the byte 0x0A in each of these, so a file can be read line by line before it is decoded.
ENCODINGS = ("utf-8", "utf-8-sig", "ascii", "iso-8859-1", "cp1252", "gb2312", "gbk", "gb18030", "big5")

Place = int | str | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field stands, and how it is read."""

    at: Place
    format: str = ""  # of a time
    number: str = "minor"  # of an amount: minor or decimal
    point: str = "."
    form: str = "text"  # of a message id: text, or hex where ours are decimal
    prefix: str = ""  # of a number: what it begins with when the carrier leaves it out
    billable: frozenset[str] = frozenset()  # of a status
    not_billable: frozenset[str] = frozenset()
    words: Mapping[str, str] = field(default_factory=dict)  # theirs -> ours


@dataclass(frozen=True, slots=True)
class Trailer:
    """The last line: how it begins, and where its count and sum stand."""

    prefix: str
    count: Place | None
    amount: Place | None
    number: str = "minor"


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that reading and comparing one carrier's files needs."""

    name: str
    toml: str
    kind: str = "detail"
    format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    header: int = 0
    width: int = 0
    currency: str = ""
    zone: str = "UTC"
    lists: str = "charged"  # all: free messages are in the file too
    test_numbers: tuple[str, ...] = ()
    test_services: tuple[str, ...] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    trailer: Trailer | None = None
    window_s: int = 600
    time: str = "event"  # which of our times the carrier's is near to: event or delivery
    count_ppm: int = 0
    amount_ppm: int = 0

    def is_test(self, msisdn: str) -> bool:
        """Whether a number is one of the carrier's for tests; a pattern may end in *."""
        return any(
            msisdn.startswith(pattern[:-1]) if pattern.endswith("*") else msisdn == pattern for pattern in self.test_numbers
        )  # fmt: skip


_DETAIL = frozenset({"time", "amount", "smsc_id", "msisdn", "service", "link", "status", "fee_class", "currency", "cycle"})
_SUMMARY = frozenset({"time", "amount", "service", "price", "count", "currency"})
_TOP: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "kind", "format", "encoding", "delimiter", "currency", "zone", "lists"), (str,)),
    **dict.fromkeys(("header", "width"), (int,)),
    **dict.fromkeys(("test_numbers", "test_services"), (list,)),
    **dict.fromkeys(("columns", "trailer", "match", "tolerance"), (dict,)),
}
_COLUMN: dict[str, tuple[type, ...]] = {
    "at": (int, str, list),
    **dict.fromkeys(("format", "number", "point", "form", "prefix"), (str,)),
    **dict.fromkeys(("billable", "not_billable"), (list,)),
    "map": (dict,),
}
_TRAILER: dict[str, tuple[type, ...]] = {"prefix": (str,), "count": (int, list), "amount": (int, list), "number": (str,)}
_MATCH: dict[str, tuple[type, ...]] = {"window_s": (int,), "time": (str,)}
_TOLERANCE: dict[str, tuple[type, ...]] = {"count_ppm": (int,), "amount_ppm": (int,)}


def parse(toml: str, source: str = "profile") -> Profile:
    """Read a profile; raises CarrierFileError that names line and key."""
    return _Reading(toml, source).profile()


class _Reading:
    """One profile's text, and the words for what is wrong in it."""

    def __init__(self, toml: str, source: str) -> None:
        self.toml, self.source = toml, source
        try:
            self.top: dict[str, Any] = tomllib.loads(toml)
        except tomllib.TOMLDecodeError as error:
            raise CarrierFileError(f"{source}: {error}") from None

    def profile(self) -> Profile:
        top = self.top
        self._know("", top, _TOP)
        kind = self._one_of("kind", ("detail", "summary"), "detail")
        layout = self._one_of("format", ("csv", "fixed"), "csv")
        name, delimiter = top.get("name", ""), top.get("delimiter", ",")
        if NAME.fullmatch(name) is None:
            self._refuse("name", "a profile has a name of a-z, 0-9 and -")
        encoding = self._one_of("encoding", ENCODINGS, "utf-8")
        codecs.lookup(encoding)
        if len(delimiter) != 1 or delimiter in '\r\n"':
            self._refuse("delimiter", "is one character, such as , or | or a tab")
        width, header = self._whole("width", 0, 4096), self._whole("header", 0, 100)
        if (layout == "fixed") != (width > 0):
            self._refuse("width", "a fixed format has the width of its lines, and only a fixed one has")
        columns = self._columns(kind, layout, width, header)
        if "currency" in columns:
            top.setdefault("currency", "")
        elif self._currency() == "":
            self._refuse("currency", "say the currency, or the column it stands in")
        match, tolerance = self._table("match", _MATCH), self._table("tolerance", _TOLERANCE)
        return Profile(
            name=name,
            toml=self.toml,
            kind=kind,
            format=layout,
            encoding=encoding,
            delimiter=delimiter,
            header=header,
            width=width,
            currency=self._currency(),
            zone=self._zone(),
            lists=self._one_of("lists", ("charged", "all"), "charged"),
            test_numbers=self._words("test_numbers", top),
            test_services=self._words("test_services", top),
            columns=columns,
            trailer=self._trailer(layout, width),
            window_s=self._whole("window_s", 0, WINDOW_S_MAX, match, 600, "match"),
            time=self._one_of("time", ("event", "delivery"), "event", match, "match"),
            count_ppm=self._whole("count_ppm", 0, PPM_MAX, tolerance, 0, "tolerance"),
            amount_ppm=self._whole("amount_ppm", 0, PPM_MAX, tolerance, 0, "tolerance"),
        )

    def _columns(self, kind: str, layout: str, width: int, header: int) -> dict[str, Column]:
        known = _DETAIL if kind == "detail" else _SUMMARY
        found: dict[str, Column] = {}
        for name, table in self.top.get("columns", {}).items():
            where = f"columns.{name}"
            if name not in known:
                self._refuse(name, f"no such field; a {kind} file has {', '.join(sorted(known))}", "columns")
            if not isinstance(table, dict):
                self._refuse(name, "is a table, as in [columns.time]", "columns")
            self._know(where, table, _COLUMN)
            found[name] = self._column(name, where, table, layout, width, header)
        if kind == "detail":
            if not ("smsc_id" in found or {"msisdn", "service"} <= found.keys()):
                self._refuse("columns", "records are found by smsc_id, or by msisdn and service")
            wanted = {"time", "amount"}
        else:
            wanted = {"time", "amount", "service", "price", "count"}
        if missing := sorted(wanted - found.keys()):
            self._refuse("columns", f"misses {', '.join(missing)}")
        return found

    def _column(self, name: str, where: str, table: dict[str, Any], layout: str, width: int, header: int) -> Column:
        is_time = name in ("time", "cycle")
        form = table.get("format", "")
        if is_time and not ("%Y" in form or "%y" in form):
            self._refuse("format", "a time is read by a format with its year, such as %Y%m%d%H%M%S", where)
        words = {str(word): ours for word, ours in table.get("map", {}).items()}
        if name == "fee_class" and (wrong := [ours for ours in words.values() if ours not in FeeClass.__members__]):
            self._refuse("map", f"{wrong[0]!r} is no fee class; there are {', '.join(FeeClass.__members__)}", where)
        if any(not isinstance(ours, str) for ours in words.values()):
            self._refuse("map", 'maps the carrier\'s words to ours, as in { "01" = "news" }', where)
        billable, not_billable = self._words("billable", table, where), self._words("not_billable", table, where)
        if name == "status" and not billable:
            self._refuse("billable", "say which words of the carrier mean that it bills", where)
        return Column(
            at=self._place(table.get("at"), where, layout, width, header),
            format=form,
            number=self._one_of("number", ("minor", "decimal"), "minor", table, where),
            point=self._one_of("point", (".", ","), ".", table, where),
            form=self._one_of("form", ("text", "hex"), "text", table, where),
            prefix=table.get("prefix", ""),
            billable=frozenset(billable),
            not_billable=frozenset(not_billable),
            words=words,
        )

    def _trailer(self, layout: str, width: int) -> Trailer | None:
        if "trailer" not in self.top:
            return None
        table = self._table("trailer", _TRAILER)
        if not table.get("prefix"):
            self._refuse("prefix", "a trailer is known by how it begins", "trailer")
        if not {"count", "amount"} & table.keys():
            self._refuse("trailer", "a trailer has a count, an amount, or both")
        count, amount = (
            self._place(table[name], "trailer", layout, width, 0, key=name) if name in table else None for name in ("count", "amount")
        )
        number = self._one_of("number", ("minor", "decimal"), "minor", table, "trailer")
        if number == "decimal" and not self._currency():
            self._refuse("number", "a decimal sum needs the one `currency` of the profile", "trailer")
        return Trailer(table["prefix"], count, amount, number)

    def _place(self, at: Any, where: str, layout: str, width: int, header: int, *, key: str = "at") -> Place:
        if layout == "fixed":
            if isinstance(at, list) and len(at) == 2 and all(type(each) is int for each in at) and 1 <= at[0] <= at[1] <= width:
                return (at[0], at[1])
            self._refuse(key, f"is [first, last] of the characters 1 to {width}", where)
        if type(at) is int and 1 <= at <= 200:
            return at
        if not (isinstance(at, str) and at and header):
            self._refuse(key, "is the column's number from 1, or its name where `header` says there is a header", where)
        return at

    def _know(self, where: str, table: dict[str, Any], known: Mapping[str, tuple[type, ...]]) -> None:
        for key, value in table.items():
            if key not in known:
                self._refuse(key, f"no such key; there are {', '.join(known)}", where)
            if type(value) not in known[key]:
                self._refuse(key, f"must be {' or '.join(_TYPES[each] for each in known[key])}", where)

    def _table(self, name: str, known: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
        table: dict[str, Any] = self.top.get(name, {})
        self._know(name, table, known)
        return table

    def _words(self, key: str, table: dict[str, Any], where: str = "") -> tuple[str, ...]:
        words = table.get(key, [])
        if any(not isinstance(word, str) or not word for word in words):
            self._refuse(key, "is a list of words", where)
        return tuple(words)

    def _one_of(self, key: str, known: tuple[str, ...], default: str, table: dict[str, Any] | None = None, where: str = "") -> str:
        value: str = (self.top if table is None else table).get(key, default)
        if value not in known:
            self._refuse(key, f"{value[:20]!r} is none of {', '.join(known)}", where)
        return value

    def _whole(
        self, key: str, least: int, most: int, table: dict[str, Any] | None = None, default: int = 0, where: str = ""
    ) -> int:  # fmt: skip
        value: int = (self.top if table is None else table).get(key, default)
        if not least <= value <= most:
            self._refuse(key, f"must be {least} to {most}", where)
        return value

    def _currency(self) -> str:
        currency: str = self.top.get("currency", "")
        if currency:
            try:
                exponent(currency)
            except MoneyError as error:
                self._refuse("currency", str(error))
        return currency

    def _zone(self) -> str:
        zone: str = self.top.get("zone", "UTC")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._refuse("zone", f"there is no time zone {zone[:40]!r}")
        return zone

    def _refuse(self, key: str, text: str, where: str = "") -> Never:
        line = self._line_of(where, key)
        name = f"{where}.{key}" if where else key
        raise CarrierFileError(f"{self.source}: {f'line {line}, ' if line else ''}{name}: {text}")

    def _line_of(self, where: str, key: str) -> int:
        """The line of a key in its table, else of the table, else 0."""
        table, found = "", 0
        for number, line in enumerate(self.toml.splitlines(), 1):
            text = line.strip()
            if header := re.match(r"\[+\s*([^\]]+?)\s*\]+", text):
                table = header[1]
                found = number if table in (where, f"{where}.{key}".strip(".")) and not found else found
            elif re.match(rf"\"?{re.escape(key)}\"?\s*[.=]", text) and table == where:
                return number
        return found


_TYPES: dict[type, str] = {str: "text", int: "a whole number", list: "a list", dict: "a table"}
