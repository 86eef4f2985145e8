"""The charge record: 48 columns, and what stands in them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from billing import cdr

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
    "period": 20060501,
    "late": False,
}


def cells(**changes: object) -> dict[str, str]:
    made = cdr.row(CHARGE | changes, record_seq=1, carrier="cmcc-gd", zone=SHANGHAI)
    return dict(zip(cdr.COLUMNS, made, strict=True))


def test_the_record_has_48_columns_in_the_order_of_the_contract():
    assert len(cdr.COLUMNS) == len(set(cdr.COLUMNS)) == 48
    assert cdr.COLUMNS[:3] == ("record_seq", "charge_id", "record_type")
    assert cdr.COLUMNS[34] == "amount_minor"
    assert cdr.COLUMNS[-2:] == ("corrects_charge_id", "reason_code")


def test_a_captured_message_fills_what_is_known_and_leaves_the_rest_empty():
    row = cells()

    assert {name: cell for name, cell in row.items() if cell} == {
        "record_seq": "1",
        "charge_id": "512",
        "record_type": "CHARGE",
        "run": "SUBSCRIBER",
        "charge_state": "CAPTURED",
        "event_id": "512",
        "cause_key": "mt:512",
        "event_time": "2006-04-30T23:59:59.000001+08:00",
        "event_time_utc": "2006-04-30T15:59:59.000001Z",
        "booked_time_utc": "2006-04-30T16:00:00.000000Z",
        "period": "2006-05-01",
        "late_flag": "0",
        "carrier_id": "cmcc-gd",
        "link_id": "cmcc-1",
        "service_code": "chat",
        "fee_class": "PER_PART",
        "direction": "MT",
        "payer": "SOURCE",
        "charged_msisdn": "8613800000000",
        "peer_msisdn": "8613900000000",
        "im_account": "10001",
        "short_code": "10086",
        "message_id": "512",
        "smsc_message_ids": "A7;B8",
        "parts": "3",
        "parts_charged": "2",
        "delivery_status": "DELIVRD",
        "delivery_time_utc": "2006-04-30T16:00:00.000000Z",
        "network_error": "000",
        "quantity": "3",
        "unit_price_minor": "10",
        "amount_minor": "20",
        "currency": "CNY",
        "exponent": "2",
        "tariff_version": "flat/1:00",
        "tariff_rule": "service:chat",
        "hold_id": "512",
        "journal_seq": "7",
    }


@pytest.mark.parametrize("changes", [{"wallet": None}, {"unit_price_minor": 0, "amount_minor": 0}])
def test_what_no_wallet_paid_for_names_no_hold(changes: dict[str, object]):
    assert cells(**changes)["hold_id"] == ""


def test_what_is_not_known_yet_is_empty():
    row = cells(booked_at=None, period=None, journal_seq=None, delivery_time=None, link=None)

    assert [row[name] for name in ("booked_time_utc", "period", "journal_seq", "delivery_time_utc", "link_id")] == [""] * 5


def test_zero_is_not_empty_and_late_is_1():
    row = cells(amount_minor=0, late=1)

    assert (row["amount_minor"], row["late_flag"]) == ("0", "1")


@pytest.mark.parametrize(("direction", "key"), [(0, "mt:512"), (1, "mo:512"), (2, "dl:512")])
def test_the_cause_key_says_what_was_charged(direction: int, key: str):
    assert cdr.cause_key(direction, 512) == key
