"""A charge as the exporter reads it."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from billing.cdr import Layout

SHANGHAI = ZoneInfo("Asia/Shanghai")

CHARGE: dict[str, object] = {
    "id": 512,
    "event_id": 512,
    "record_type": 0,
    "state": 10,
    "direction": 0,
    "event_at": 1_146_412_799_000_001,
    "booked_at": 1_146_412_800_000_000,
    "journal_seq": 7,
    "service": "chat",
    "fee_class": 2,
    "payer": 1,
    "wallet": 11,
    "link": "cmcc-1",
    "short_code": "10086",
    "charged_msisdn": "8613800000000",
    "peer_msisdn": "8613900000000",
    "im_account": 10001,
    "parts": 3,
    "parts_charged": 2,
    "quantity": 3,
    "unit_price_minor": 10,
    "amount_minor": 20,
    "currency": "CNY",
    "tariff_version": "flat/1:00",
    "tariff_rule": "service:chat",
    "delivery_status": "DELIVRD",
    "delivery_time": 1_146_412_800_000_000,
    "network_error": "000",
    "smsc_message_ids": "A7;B8",
    "late": False,
    "carrier": "cmcc-gd",
    "period": 20060501,
    "item": None,
    "provider": None,
    "mo_link_id": None,
    "tax_minor": 0,
    "allowance": None,
    "promotion": None,
    "subscription": None,
    "cycle": None,
    "corrects": None,
    "reason": None,
}


def page_of(layout: Layout, *charges: dict[str, object]) -> list[tuple[Any, ...]]:
    """Rows as the exporter reads them, numbered from 1."""
    return [tuple({**charge, "record_seq": number}[source] for source in layout.sources) for number, charge in enumerate(charges, 1)]
