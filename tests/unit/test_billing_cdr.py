"""The charge record: 48 columns, and what stands in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import cdr
from billing.cdr import Layout
from tests.support.charges import CHARGE, SHANGHAI, page_of


def cells(**changes: object) -> dict[str, str]:
    layout = Layout(cdr.COLUMNS, SHANGHAI)
    (made,) = layout.rows(page_of(layout, CHARGE | changes))
    return {name: "" if cell is None else str(cell) for name, cell in zip(cdr.COLUMNS, made, strict=True)}


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
        "tax_minor": "0",
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
    assert cells(direction=direction)["cause_key"] == key


def test_the_fee_of_a_cycle_names_its_subscription_and_no_message():
    row = cells(subscription=99, cycle=200605)

    assert [row[name] for name in ("cause_key", "message_id", "subscription_id", "subscription_cycle")] == [
        "sub:99:200605",
        "",
        "99",
        "200605",
    ]


def test_a_correction_names_its_charge_and_has_no_hold():
    row = cells(id=768, record_type=1, corrects=512, reason="dispute", amount_minor=-20, unit_price_minor=20)

    assert [row[name] for name in ("record_type", "corrects_charge_id", "reason_code", "amount_minor", "hold_id", "cause_key")] == [
        "REFUND", "512", "dispute", "-20", "", "mt:512",
    ]  # fmt: skip


@given(
    st.integers(0, 4_102_444_800_000_000), st.sampled_from(["UTC", "Asia/Shanghai", "Asia/Kolkata", "Europe/Zurich", "America/St_Johns"])
)
def test_times_are_those_of_the_instant_in_utc_and_on_the_clock_of_the_carrier(at_us: int, zone: str):
    clock = cdr.Clock(ZoneInfo(zone))
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)

    (local,), (utc,) = clock.local([at_us]), clock.utc([at_us])

    assert local == at.astimezone(ZoneInfo(zone)).isoformat(timespec="microseconds")
    assert utc == at.isoformat(timespec="microseconds")[:-6] + "Z"
