"""The check finds each kind of damage; the damage is done by hand, past the ledger's own statements."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from billing import book, export
from billing.check import check, message_invariants
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from billing.files import LocalFiles
from billing.profile import Profile
from billing.runs import Books, Order

WALLET = 11


@pytest.fixture
def conn(engine: Engine, tmp_path: Path) -> Iterator[Connection]:
    """A sound ledger: 256 and 512 captured and exported, 768 released, 1024 held, 1280 zero-rated."""
    ids = itertools.count(1)
    with engine.begin() as connection:
        book.ensure_house(connection, "CNY", new_id=lambda: next(ids), now_us=0)
        book.open_account(connection, WALLET, "im:10001", "CNY", True, 0)
        book.top_up(connection, WALLET, 100, "R1", 21, 0)
        events = [an_event(number * 256, 0 if number == 5 else 10) for number in range(1, 6)]
        book.hold_many(connection, events, revenue=1, now_us=1)
        states = {1: ChargeState.CAPTURED, 2: ChargeState.CAPTURED, 3: ChargeState.RELEASED, 5: ChargeState.CAPTURED}
        book.settle_many(connection, [a_settlement(number, state) for number, state in states.items()], now_us=2)
    order = Order("default", "UTC", 19700101, 19700102, Profile(), "n", "bellhop test", "li")
    export.export(export.Desk(Books(engine.begin, engine.begin), str(tmp_path / "out"), LocalFiles(), lambda: 9000, 100), order)
    with engine.begin() as connection:
        yield connection


def an_event(id_: int, price: int) -> BillableEvent:
    names = ("cmcc-1", "10086", "8613800000000", "8613900000000", 10001)
    return BillableEvent(
        id_, Direction.MT, 0, "chat", FeeClass.PER_PART, Payer.SOURCE, WALLET, *names, 1, 1, price, price, "CNY", "flat/1", "service:chat"
    )


def a_settlement(number: int, state: ChargeState) -> Settlement:
    held = 0 if number == 5 else 10
    amount = held if state is ChargeState.CAPTURED else 0
    return Settlement(number * 256, state, WALLET, held, amount, 1, number, None, None, None, None, None)


def test_a_sound_ledger_passes(conn: Connection):
    assert check(conn) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE account SET posted_minor = posted_minor - 10 WHERE id = 11", "wallet_posted"),
        ("UPDATE account SET held_minor = held_minor + 1 WHERE id = 11", "wallet_held"),
        ("UPDATE account SET posted_minor = 5 WHERE id = 1", "house_has_no_balance"),
        ("UPDATE transfer SET currency = 'USD' WHERE id = 256", "transfer_accounts"),
        ("UPDATE transfer SET credit_account = 404 WHERE id = 256", "transfer_accounts"),
        ("UPDATE transfer SET state = 0 WHERE id = 256", "transfer_terminal"),
        ("UPDATE transfer SET posted_minor = 3 WHERE id = 768", "transfer_terminal"),
        ("DELETE FROM charge WHERE id = 1024", "hold_has_its_charge"),
        ("UPDATE charge SET state = 10, booked_at = 2, journal_seq = 9 WHERE id = 768", "charge_agrees_with_hold"),
        ("UPDATE charge SET state = 13 WHERE id = 256", "charge_agrees_with_hold"),
        ("DELETE FROM transfer WHERE id = 256", "charge_has_its_hold"),
        ("UPDATE charge SET amount_minor = 11 WHERE id = 256", "charge_within_price"),
        ("UPDATE charge SET amount_minor = 1 WHERE id = 768", "charge_within_price"),
        ("UPDATE charge SET journal_seq = NULL WHERE id = 768", "charge_terminal"),
        ("UPDATE charge SET booked_at = 2 WHERE id = 1024", "charge_terminal"),
        ("UPDATE charge SET event_id = 512 WHERE id = 256", "charge_is_its_event"),
        ("UPDATE charge SET journal_seq = 1 WHERE id = 512", "journal_in_order"),
        ("INSERT INTO export_member VALUES (9000, 4, 768, 'charge')", "exported_is_billable"),
        ("UPDATE charge SET period = 19700102 WHERE id = 256", "exported_is_billable"),
        ("DELETE FROM export_member WHERE charge_id = 256", "run_adds_up"),
        ("UPDATE export_run SET amount_minor = 21", "run_adds_up"),
        ("UPDATE export_file SET file_seq = 2", "file_numbers_gapless"),
        ("UPDATE export_file SET sha256 = NULL", "file_chain"),
        ("UPDATE export_file SET previous_sha256 = 'x'", "file_chain"),
        ("UPDATE export_file SET records = 1", "files_tile_run"),
        ("UPDATE export_file SET first_record = 2", "files_tile_run"),
        ("DELETE FROM export_file", "files_tile_run"),
        ("UPDATE export_run SET revision = 1", "revision_supersedes"),
        ("UPDATE export_file SET state = 2", "delivery_in_order"),
        ("UPDATE export_member SET profile = 'other' WHERE charge_id = 256", "exported_is_billable"),
    ],
)
def test_damage_is_found_under_its_name(conn: Connection, damage: str, found: str):
    conn.execute(text(damage))

    violations = check(conn)

    assert found in {violation.invariant for violation in violations}


def test_a_double_capture_is_found_in_the_wallet(conn: Connection, monkeypatch: pytest.MonkeyPatch):
    for name in ("_SETTLE_CHARGE", "_SETTLE_TRANSFER"):
        monkeypatch.setattr(book, name, getattr(book, name)._replace(guard=""))
    conn.execute(text("UPDATE account SET held_minor = held_minor + 10 WHERE id = 11"))

    book.settle_many(conn, [a_settlement(1, ChargeState.CAPTURED)], now_us=3)

    assert [violation.invariant for violation in check(conn)] == ["wallet_posted"]


def test_a_violation_counts_and_gives_samples(conn: Connection):
    conn.execute(text("UPDATE charge SET event_id = id + 1"))

    (violation,) = [violation for violation in check(conn) if violation.invariant == "charge_is_its_event"]

    assert (violation.count, violation.detail) == (5, "one event has one charge, under its own id; not so: 256, 512, 768, 1024, 1280")


@pytest.mark.parametrize(
    ("segments", "found"),
    [
        ({257: 10, 513: 10, 514: 10, 769: 11, 1025: 2, 1281: 10}, set()),
        ({257: 11, 513: 10, 514: 10, 769: 11, 1025: 2, 1281: 10}, {"captured_was_delivered"}),
        ({257: 10, 513: 10, 514: 10, 769: 10, 1025: 2, 1281: 10}, {"delivered_is_captured"}),
        ({257: 10, 513: 10, 514: 12, 769: 11, 1025: 12, 1281: 10}, {"final_is_settled"}),
        ({257: 10, 513: 10, 514: 10, 769: 11, 1025: 2, 1281: 10, 1537: 2}, {"message_charged_once"}),
    ],
)
def test_charges_are_held_against_messages(conn: Connection, segments: dict[int, int], found: set[str]):
    conn.execute(text("CREATE TABLE msg (id BIGINT)"))
    conn.execute(text("CREATE TABLE seg (id BIGINT, state INTEGER)"))
    for id_ in {id_ - id_ % 256 for id_ in segments}:
        conn.execute(text("INSERT INTO msg VALUES (:id)"), {"id": id_})
    for id_, state in segments.items():
        conn.execute(text("INSERT INTO seg VALUES (:id, :state)"), {"id": id_, "state": state})

    violations = check(conn, message_invariants("msg", "seg"))

    assert {violation.invariant for violation in violations} == found
