"""The charge record, schema `charge/1`: 48 columns whose order is the contract with everybody who reads our files.

A column that nothing fills yet stays empty; columns are added under a new schema name, never here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = {int(state): state.name for state in ChargeState}
_DIRECTIONS = {int(direction): direction.name for direction in Direction}
_FEE_CLASSES = {int(fee_class): fee_class.name for fee_class in FeeClass}
_PAYERS = {int(payer): payer.name for payer in Payer}


def cause_key(direction: int, event_id: int) -> str:
    """What a charge is for, in words a person can search for: `mt:<message id>`."""
    return f"{_DIRECTIONS[direction].lower()}:{event_id}"


def utc_time(at_us: int) -> str:
    """RFC 3339 in UTC."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds")[:-6] + "Z"


def local_time(at_us: int, zone: tzinfo) -> datetime:
    """The instant on the carrier's clock."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def row(charge: Mapping[str, Any], *, record_seq: int, carrier: str, zone: tzinfo) -> list[str]:
    """One record of the file, its cells in the order of COLUMNS; `charge` is a row of the charge table."""
    cells = _known(charge, zone)
    cells["record_seq"] = record_seq
    cells["carrier_id"] = carrier
    return [_cell(cells.get(column)) for column in COLUMNS]


def _known(charge: Mapping[str, Any], zone: tzinfo) -> dict[str, object]:
    booked_at, delivery_time, message_id = charge["booked_at"], charge["delivery_time"], charge["event_id"]
    is_held = charge["wallet"] is not None and charge["unit_price_minor"] > 0
    return {
        "charge_id": charge["id"],
        "record_type": RECORD_TYPES[charge["record_type"]],
        "run": "SUBSCRIBER",
        "charge_state": _STATES[charge["state"]],
        "event_id": message_id,
        "cause_key": cause_key(charge["direction"], message_id),
        "event_time": local_time(charge["event_at"], zone).isoformat(timespec="microseconds"),
        "event_time_utc": utc_time(charge["event_at"]),
        "booked_time_utc": None if booked_at is None else utc_time(booked_at),
        "period": None if charge["period"] is None else calendar.write(charge["period"]),
        "late_flag": int(charge["late"]),
        "link_id": charge["link"],
        "service_code": charge["service"],
        "fee_class": _FEE_CLASSES[charge["fee_class"]],
        "direction": _DIRECTIONS[charge["direction"]],
        "payer": _PAYERS[charge["payer"]],
        "message_id": message_id,
        "delivery_time_utc": None if delivery_time is None else utc_time(delivery_time),
        "exponent": exponent(charge["currency"]),
        "hold_id": charge["id"] if is_held else None,
        **{name: charge[name] for name in _SAME},
    }


# Columns that carry a column of the charge table under its own name.
_SAME = (
    *("charged_msisdn", "peer_msisdn", "im_account", "short_code", "smsc_message_ids", "parts", "parts_charged"),
    *("delivery_status", "network_error", "quantity", "unit_price_minor", "amount_minor", "currency"),
    *("tariff_version", "tariff_rule", "journal_seq"),
)


def _cell(value: object) -> str:
    return "" if value is None else str(value)
