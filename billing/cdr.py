"""The charge record, schema `charge/1`: 48 columns whose order is the contract with everybody who reads our files.

Columns are added under a new schema name, never here. A page of charges is rendered column by column: what needs no work is handed
through untouched, and a million records take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntEnum
from typing import Any, NamedTuple

from billing import calendar
from billing.event import ChargeState, Direction, FeeClass, Payer, RecordType
from billing.money import exponent

SCHEMA = "charge/1"

COLUMNS = (
    *("record_seq", "charge_id", "record_type", "run", "charge_state", "event_id", "cause_key"),
    *("event_time", "event_time_utc", "booked_time_utc", "period", "late_flag", "carrier_id", "link_id", "service_code"),
    *("fee_class", "provider_id", "item_id", "direction", "payer", "charged_msisdn", "peer_msisdn", "im_account", "short_code"),
    *("mo_link_id", "message_id", "smsc_message_ids", "parts", "parts_charged", "delivery_status", "delivery_time_utc"),
    *("network_error", "quantity", "unit_price_minor", "amount_minor", "tax_minor", "currency", "exponent"),
    *("tariff_version", "tariff_rule", "allowance_id", "promotion_id", "subscription_id", "subscription_cycle"),
    *("hold_id", "journal_seq", "corrects_charge_id", "reason_code"),
)

RECORD_TYPES = {int(record_type): record_type.name for record_type in RecordType}
# Columns that name a person's phone or account.
NUMBERS = ("charged_msisdn", "peer_msisdn", "im_account")

Cells = Sequence[Any]
Page = Sequence[Sequence[Any]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_STATES = {int(state): state.name for state in ChargeState}
_DIRECTIONS = {int(direction): direction.name for direction in Direction}
_CAUSES = {int(direction): direction.name.lower() for direction in Direction}
_FEE_CLASSES = {int(fee_class): fee_class.name for fee_class in FeeClass}
_PAYERS = {int(payer): payer.name for payer in Payer}


class Kind(IntEnum):
    """What a column holds: text, a whole number, or an id with more digits than a spreadsheet or a double keeps."""

    TEXT = 0
    NUMBER = 1
    ID = 2


class Column(NamedTuple):
    """How a column of the record is made of columns of the charge table."""

    kind: Kind
    sources: tuple[str, ...]
    make: Callable[[Clock, Sequence[Cells]], Cells]


class Clock:
    """Instants as text on one clock; most of a page falls into minutes seen before."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._utc: dict[int, str] = {}
        self._local: dict[int, tuple[str, str]] = {}

    def utc(self, column: Cells) -> Cells:
        """RFC 3339 in UTC."""
        cache = self._utc
        if len(cache) > _MINUTES_KEPT:
            cache.clear()
        cells: list[str | None] = []
        for at_us in column:
            if at_us is None:
                cells.append(None)
                continue
            minute, rest = divmod(at_us, _MINUTE)
            text = cache.get(minute)
            if text is None:
                text = cache[minute] = (_EPOCH + timedelta(minutes=minute)).isoformat()[:17]
            second, micro = divmod(rest, _SECOND)
            cells.append(f"{text}{second:02d}.{micro:06d}Z")
        return cells

    def local(self, column: Cells) -> Cells:
        """RFC 3339 with the offset of the zone, which is one of whole minutes since there are time stamps."""
        cache = self._local
        if len(cache) > _MINUTES_KEPT:
            cache.clear()
        cells: list[str] = []
        for at_us in column:
            minute, rest = divmod(at_us, _MINUTE)
            found = cache.get(minute)
            if found is None:
                text = (_EPOCH + timedelta(minutes=minute)).astimezone(self._zone).isoformat()
                found = cache[minute] = (text[:17], text[19:])
            second, micro = divmod(rest, _SECOND)
            cells.append(f"{found[0]}{second:02d}.{micro:06d}{found[1]}")
        return cells


_MINUTES_KEPT = 10_000


class Layout:
    """Which columns a file has, what it needs of the charge table, and how a page becomes columns of cells.

    Cells are str, int or None. `masking`, if given, replaces the cells of NUMBERS.
    """

    def __init__(self, names: Sequence[str], zone: tzinfo, masking: Callable[[Cells], Cells] | None = None) -> None:
        self.names = tuple(names)
        self.kinds = tuple(_COLUMNS[name].kind for name in self.names)
        needed = [source for name in self.names for source in _COLUMNS[name].sources]
        # What the manifest counts is needed in any case.
        self.sources = tuple(dict.fromkeys((*COUNTED, *needed)))
        self._clock = Clock(zone)
        places = {source: place for place, source in enumerate(self.sources)}
        self._makers = [(name, _COLUMNS[name].make, tuple(places[source] for source in _COLUMNS[name].sources)) for name in self.names]
        self._masking = masking

    def columns(self, page: Page) -> list[Cells]:
        """The page's cells by column; a row of `page` has the values of `sources`."""
        if not page:
            return [() for _name in self.names]
        given = list(zip(*page, strict=True))
        made = []
        for name, make, places in self._makers:
            cells = make(self._clock, [given[place] for place in places])
            made.append(self._masking(cells) if self._masking is not None and name in NUMBERS else cells)
        return made

    def rows(self, page: Page) -> Iterable[tuple[Any, ...]]:
        """The same by record."""
        return zip(*self.columns(page), strict=True)


# The first columns of every page: what manifests count.
COUNTED = ("record_seq", "id", "record_type", "service", "currency", "amount_minor", "tax_minor", "late")


def utc_time(at_us: int) -> str:
    """One instant in UTC."""
    return str(Clock(UTC).utc((at_us,))[0])


def _as_is(_clock: Clock, given: Sequence[Cells]) -> Cells:
    return given[0]


def _named(names: dict[int, str]) -> Callable[[Clock, Sequence[Cells]], Cells]:
    return lambda _clock, given: [names[value] for value in given[0]]


def _periods(_clock: Clock, given: Sequence[Cells]) -> Cells:
    names = {period: None if period is None else calendar.write(period) for period in set(given[0])}
    return [names[period] for period in given[0]]


def _exponents(_clock: Clock, given: Sequence[Cells]) -> Cells:
    digits = {currency: exponent(currency) for currency in set(given[0])}
    return [digits[currency] for currency in given[0]]


def _causes(_clock: Clock, given: Sequence[Cells]) -> Cells:
    """What a charge is for, in words a person can search for: `mt:MESSAGE`, or `sub:SUBSCRIPTION:CYCLE`."""
    return [
        f"{_CAUSES[direction]}:{event_id}" if subscription is None else f"sub:{subscription}:{cycle}"
        for direction, event_id, subscription, cycle in zip(*given, strict=True)
    ]


def _messages(_clock: Clock, given: Sequence[Cells]) -> Cells:
    return [event_id if cycle is None else None for event_id, cycle in zip(*given, strict=True)]


def _holds(_clock: Clock, given: Sequence[Cells]) -> Cells:
    return [
        id_ if wallet is not None and price > 0 and record_type == RecordType.CHARGE else None
        for id_, wallet, price, record_type in zip(*given, strict=True)
    ]


def _runs(_clock: Clock, given: Sequence[Cells]) -> Cells:
    return ["SUBSCRIBER"] * len(given[0])


_COLUMNS: dict[str, Column] = {
    "record_type": Column(Kind.TEXT, ("record_type",), _named(RECORD_TYPES)),
    "run": Column(Kind.TEXT, ("id",), _runs),
    "charge_state": Column(Kind.TEXT, ("state",), _named(_STATES)),
    "cause_key": Column(Kind.TEXT, ("direction", "event_id", "subscription", "cycle"), _causes),
    "event_time": Column(Kind.TEXT, ("event_at",), lambda clock, given: clock.local(given[0])),
    "event_time_utc": Column(Kind.TEXT, ("event_at",), lambda clock, given: clock.utc(given[0])),
    "booked_time_utc": Column(Kind.TEXT, ("booked_at",), lambda clock, given: clock.utc(given[0])),
    "period": Column(Kind.TEXT, ("period",), _periods),
    "late_flag": Column(Kind.NUMBER, ("late",), lambda _clock, given: [1 if late else 0 for late in given[0]]),
    "fee_class": Column(Kind.TEXT, ("fee_class",), _named(_FEE_CLASSES)),
    "direction": Column(Kind.TEXT, ("direction",), _named(_DIRECTIONS)),
    "payer": Column(Kind.TEXT, ("payer",), _named(_PAYERS)),
    "message_id": Column(Kind.ID, ("event_id", "cycle"), _messages),
    "delivery_time_utc": Column(Kind.TEXT, ("delivery_time",), lambda clock, given: clock.utc(given[0])),
    "exponent": Column(Kind.NUMBER, ("currency",), _exponents),
    "hold_id": Column(Kind.ID, ("id", "wallet", "unit_price_minor", "record_type"), _holds),
    # These carry a column of the charge table as it is.
    **{
        name: Column(kind, (source,), _as_is)
        for kind, sources in (
            (
                Kind.ID,
                {
                    "charge_id": "id",
                    "event_id": "event_id",
                    "im_account": "im_account",
                    "subscription_id": "subscription",
                    "journal_seq": "journal_seq",
                    "corrects_charge_id": "corrects",
                },
            ),
            (
                Kind.TEXT,
                {
                    "carrier_id": "carrier",
                    "link_id": "link",
                    "service_code": "service",
                    "provider_id": "provider",
                    "item_id": "item",
                    "allowance_id": "allowance",
                    "promotion_id": "promotion",
                    "reason_code": "reason",
                    **dict.fromkeys(("charged_msisdn", "peer_msisdn", "short_code", "mo_link_id", "smsc_message_ids"), ""),
                    **dict.fromkeys(("delivery_status", "network_error", "currency", "tariff_version", "tariff_rule"), ""),
                },
            ),
            (
                Kind.NUMBER,
                {
                    "subscription_cycle": "cycle",
                    **dict.fromkeys(("record_seq", "parts", "parts_charged", "quantity", "unit_price_minor", "amount_minor"), ""),
                    "tax_minor": "tax_minor",
                },
            ),
        )
        for name, source in ((name, source or name) for name, source in sources.items())
    },
}
assert _COLUMNS.keys() == set(COLUMNS)
