"""A charge as people and programs read it outside the files: names for numbers, money with its currency, times with an offset."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, tzinfo
from typing import Any

from billing import calendar
from billing.calendar import EPOCH
from billing.event import ChargeState, Direction, FeeClass, Payer, RecordType
from billing.money import format_minor

_SAME = (
    *("service", "link", "short_code", "parts", "parts_charged", "quantity", "currency", "tariff_version", "tariff_rule", "carrier"),
    *("delivery_status", "network_error", "smsc_message_ids", "item", "provider", "mo_link_id", "allowance", "promotion"),
    *("cycle", "reason", "unit_price_minor", "amount_minor", "tax_minor"),
)
_IDS = ("id", "event_id", "wallet", "im_account", "subscription", "corrects")
_TIMES = ("event_at", "booked_at", "delivery_time")
_NUMBERS = ("charged_msisdn", "peer_msisdn")


def fields(charge: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    """Every fact of a row of the charge table; ids are strings, because readers of JSON keep numbers in doubles."""
    found: dict[str, Any] = {name: charge[name] for name in _SAME}
    found |= {name: None if charge[name] is None else str(charge[name]) for name in _IDS}
    found |= {name: time(charge[name], zone) for name in _TIMES}
    found |= {name: None if charge[name] is None else f"+{charge[name]}" for name in _NUMBERS}
    found |= {
        "record_type": RecordType(charge["record_type"]).name,
        "state": ChargeState(charge["state"]).name.lower(),
        "direction": Direction(charge["direction"]).name,
        "fee_class": FeeClass(charge["fee_class"]).name,
        "payer": Payer(charge["payer"]).name,
        "amount": money(charge["amount_minor"], charge["currency"]),
        "period": None if charge["period"] is None else calendar.write(charge["period"]),
        "late": bool(charge["late"]),
    }
    return found


def money(amount_minor: int, currency: str) -> str:
    """`12.50 CNY`."""
    return f"{format_minor(amount_minor, currency)} {currency}"


def time(at_us: int | None, zone: tzinfo) -> str | None:
    """RFC 3339 to the second on the carrier's clock."""
    return None if at_us is None else (EPOCH + timedelta(microseconds=at_us)).astimezone(zone).isoformat(timespec="seconds")
