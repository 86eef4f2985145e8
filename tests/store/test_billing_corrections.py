"""Records that correct a charge: every kind, for both payers, once per cause, and in the day that is open."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from billing import book, corrections
from billing.booking import Booking
from billing.check import check
from billing.corrections import Correction
from billing.errors import LedgerError, ReferenceReusedError, UnknownChargeError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, RecordType, Settlement
from gateway.store.engine import open_writing
from gateway.store.schema import metadata

NOW = 1_146_412_800_000_000  # 2006-04-30 16:00 UTC
DAY_US = 86_400_000_000
WALLET, OF_WALLET, OF_CARRIER, HELD = 11, 256, 512, 768
TYPES = [kind for kind in RecordType if kind is not RecordType.CHARGE]


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    engine = open_writing(f"sqlite:///{tmp_path / 'ledger.db'}", synchronous="OFF")
    metadata.create_all(engine)
    ids = itertools.count(1)
    with engine.begin() as connection:
        book.ensure_house(connection, "CNY", new_id=lambda: next(ids), now_us=NOW)
        book.open_account(connection, WALLET, "im:10001", "CNY", True, NOW)
        book.top_up(connection, WALLET, 100, "first", 21, NOW)
        names = ("cmcc-1", "10086", "8613800000000", "8613900000000", 10001)
        rated = (1, 1, 30, 30, "CNY", "flat/1", "service:chat")
        for id_, wallet in ((OF_WALLET, WALLET), (OF_CARRIER, None), (HELD, WALLET)):
            event = BillableEvent(id_, Direction.MT, NOW, "chat", FeeClass.PER_MSG, Payer.SOURCE, wallet, *names, *rated)
            book.hold_many(connection, [event], revenue=1, now_us=NOW)
        for id_, wallet in ((OF_WALLET, WALLET), (OF_CARRIER, None)):
            settled = Settlement(id_, ChargeState.CAPTURED, wallet, 30, 30, 1, id_, "DELIVRD", NOW, None, None, None)
            book.settle_many(connection, [settled], now_us=NOW)
        yield connection
        assert check(connection) == []
    engine.dispose()


def post(conn: Connection, id_: int, corrects: int, kind: RecordType, amount: int, cause: str, **more: Any) -> corrections.Posted:
    now_us = more.pop("now_us", NOW)
    return corrections.post(conn, Correction(id_, corrects, kind, amount, cause, "dispute", 1, **more), into=Booking(), now_us=now_us)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("amount", [-20, 20])
@pytest.mark.parametrize("charge", [OF_WALLET, OF_CARRIER])
def test_a_correction_bears_the_facts_of_its_charge_and_moves_what_it_says(conn: Connection, charge: int, amount: int, kind: RecordType):
    assert post(conn, 900, charge, kind, amount, "c:1") == (900, True)

    rows = {row["id"]: row for row in conn.execute(text("SELECT * FROM charge")).mappings()}
    facts = ("event_id", "event_at", "service", "wallet", "link", "charged_msisdn", "currency", "carrier", "payer")
    assert [rows[900][name] for name in facts] == [rows[charge][name] for name in facts]
    assert (rows[900]["corrects"], rows[900]["record_type"], rows[900]["amount_minor"]) == (charge, int(kind), amount)
    assert rows[charge]["amount_minor"] == 30
    assert book.balance(conn, WALLET).posted == (70 - amount if charge == OF_WALLET else 70)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_a_cause_is_posted_once_and_with_one_content(conn: Connection, kind: RecordType):
    post(conn, 900, OF_WALLET, kind, -20, "c:1")

    assert post(conn, 901, OF_WALLET, kind, -20, "c:1") == (900, False)
    for other in ((902, OF_CARRIER, kind, -20), (903, OF_WALLET, kind, -19), (904, OF_WALLET, TYPES[TYPES.index(kind) - 1], -20)):
        with pytest.raises(ReferenceReusedError):
            post(conn, *other, "c:1")
    assert len(corrections.of_charge(conn, OF_WALLET)) == 1


def test_what_is_made_after_a_day_was_closed_stands_in_the_open_one(conn: Connection):
    conn.execute(text("INSERT INTO carrier_books VALUES ('default', 20060502)"))

    post(conn, 900, OF_WALLET, RecordType.REFUND, -10, "c:1", now_us=NOW + DAY_US)

    (made,) = corrections.of_charge(conn, OF_WALLET)
    assert (made["period"], made["event_at"]) == (20060502, NOW)


def test_a_wallet_cannot_go_below_zero_by_a_correction(conn: Connection):
    with pytest.raises(LedgerError, match="cannot pay"), conn.begin_nested():
        post(conn, 900, OF_WALLET, RecordType.ADJUST, 41, "c:1")  # 100 less 30 captured and 30 held

    assert corrections.of_charge(conn, OF_WALLET) == []


@pytest.mark.parametrize(("charge", "error"), [(HELD, LedgerError), (999, UnknownChargeError)])
def test_only_a_settled_charge_is_corrected(conn: Connection, charge: int, error: type[Exception]):
    with pytest.raises(error):
        post(conn, 900, charge, RecordType.REFUND, -1, "c:1")


def test_a_correction_is_not_corrected(conn: Connection):
    post(conn, 900, OF_WALLET, RecordType.REFUND, -10, "c:1")

    with pytest.raises(UnknownChargeError):
        post(conn, 901, 900, RecordType.REFUND, -1, "c:2")
