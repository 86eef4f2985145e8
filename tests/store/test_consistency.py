"""What must hold between messages, charges and the outbox: a sound store is clean, and each way to break it is named."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, insert, text

from billing import book, calendar
from billing.carriers import Carrier, Carriers
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from gateway.domain.message import Message
from gateway.store import consistency, messages, outbox
from gateway.store.schema import attempt

NOW = 1_800_000_000_000_000
WALLET, PRICE = 7, 10
DAY_US = 86_400_000_000
DELIVERED, FAILED, EXPIRED, LIVE, PER_MESSAGE, FREE = (number << 8 for number in range(1, 7))


def message(id_: int, segments: int) -> Message:
    return Message(id_, 1, 1, None, None, "chat", "10661700", 0, 1, "8613900000001", 1, 1, 0, 0, 0, 0, 0, 1, segments, None, NOW, NOW + 1)


def event(id_: int, segments: int, fee_class: FeeClass, price: int) -> BillableEvent:
    quantity = segments if fee_class is FeeClass.PER_PART else 1
    wallet = WALLET if price else None
    places = (wallet, "sim", "10661700", None, "8613900000001", None, segments, quantity, price, price * quantity)
    return BillableEvent(id_, Direction.MT, NOW, "chat", fee_class, Payer.SP, *places, "CNY", "flat/1:x", "service:chat")


def settlement(id_: int, state: ChargeState, held: int, amount: int, parts_charged: int) -> Settlement:
    wallet = WALLET if held else None
    return Settlement(id_, state, wallet, held, amount, parts_charged, id_, "DELIVRD", NOW, None, None, "sim")


def fill(conn: Connection) -> None:
    """One message of each kind: two parts each, as the services leave them."""
    ids = iter(range(1, 1000))
    house = book.ensure_house(conn, "CNY", new_id=lambda: next(ids), now_us=NOW)
    book.open_account(conn, WALLET, "partner:acme", "CNY", True, NOW)
    book.top_up(conn, WALLET, 1000, "first", 1001, NOW)
    kinds = dict.fromkeys((DELIVERED, FAILED, EXPIRED, LIVE), FeeClass.PER_PART) | {PER_MESSAGE: FeeClass.PER_MSG, FREE: FeeClass.FREE}
    book.hold_many(
        conn, [event(id_, 2, kind, 0 if id_ == FREE else PRICE) for id_, kind in kinds.items()], revenue=house.revenue, now_us=NOW
    )
    segments = [(id_ + number, 1, "sim", b"x", 1, NOW + 1, NOW, 0, None, None) for id_ in kinds for number in (1, 2)]
    messages.insert(conn, [message(id_, 2) for id_ in kinds], segments)
    for id_, states in {
        DELIVERED: (10, 11),
        FAILED: (11, 11),
        EXPIRED: (11, 12),
        LIVE: (2, 10),
        PER_MESSAGE: (10, 10),
        FREE: (10, 10),
    }.items():
        for number, state in enumerate(states, 1):
            values = {"state": state, "id": id_ + number, "done": NOW if state >= 10 else None}
            query = "UPDATE segment SET state = :state, smsc_id = 'a', submitted_at = 1, done_at = :done WHERE id = :id"
            conn.execute(text(query), values)
    settlements = [
        settlement(DELIVERED, ChargeState.CAPTURED, 20, 10, 1),
        settlement(FAILED, ChargeState.RELEASED, 20, 0, 0),
        settlement(EXPIRED, ChargeState.EXPIRED, 20, 0, 0),
        settlement(PER_MESSAGE, ChargeState.CAPTURED, 10, 10, 2),
        settlement(FREE, ChargeState.CAPTURED, 0, 0, 2),
    ]
    assert all(book.settle_many(conn, settlements, now_us=NOW))
    outbox.insert(conn, [outbox.Entry(5000, "partner:1", outbox.KIND_RECEIPT, FAILED, 11)])
    columns = "carrier, period, first_day, after_day, state, closing_at, closing_by, sealed_at, records, held"
    old = "'default', 20200100, 20200101, 20200201, 2, 1, 'ann', 1, 0, 0"
    conn.execute(text(f"INSERT INTO period ({columns}) VALUES ({old})"))
    conn.execute(text("UPDATE carrier_books SET closed_until = 20200201"))
    conn.execute(insert(attempt), {"segment_id": FAILED + 1, "number": 1, "link": "sim", "ended_at": NOW, "outcome": "retry"})


@pytest.fixture
def conn(empty_store: Connection) -> Connection:
    fill(empty_store)
    return empty_store


def test_a_sound_store_is_clean(conn: Connection):
    assert consistency.check(conn, Carriers()) == []


def test_an_empty_store_is_clean(empty_store: Connection):
    assert consistency.check(empty_store) == []


SUBSCRIPTION = (
    "INSERT INTO subscription (id, offer, subscriber, short_code, price_minor, currency, status, ordered_at, charging)"
    " VALUES (1, 'news', 'im:1', '1', 1, 'CNY', 2, 1, 20060500)"
)
BROKEN = {
    "message_charged_once": f"DELETE FROM charge WHERE id = {FREE}",
    "delivered_is_captured": f"UPDATE charge SET state = 11 WHERE id = {FREE}",
    "captured_was_delivered": f"UPDATE segment SET state = 11 WHERE id BETWEEN {FREE + 1} AND {FREE + 2}",
    "final_is_settled": f"UPDATE segment SET state = 10, done_at = 1 WHERE id = {LIVE + 1}",
    "mt_charge_has_message": f"DELETE FROM message WHERE id = {FREE}",
    "mo_charge_has_mo": f"UPDATE charge SET direction = 1 WHERE id = {FREE}",
    "live_is_held": f"UPDATE segment SET state = 2, done_at = NULL WHERE id = {FREE + 1}",
    "undelivered_is_released": f"UPDATE segment SET state = 11 WHERE id = {DELIVERED + 1}",
    "expired_never_failed": f"UPDATE charge SET state = 12 WHERE id = {FAILED}",
    "parts_charged_were_delivered": f"UPDATE charge SET parts_charged = 2 WHERE id = {DELIVERED}",
    "amount_is_parts_delivered": f"UPDATE segment SET state = 10 WHERE id = {DELIVERED + 2}",
    "whole_or_nothing": f"UPDATE segment SET state = 11 WHERE id = {PER_MESSAGE + 1}",
    "message_has_its_parts": f"DELETE FROM segment WHERE id = {FREE + 2}",
    "segment_has_message": f"UPDATE segment SET id = {FREE + 9} WHERE id = {FREE + 2}",
    "segment_state_known": f"UPDATE segment SET state = 7 WHERE id = {LIVE + 1}",
    "final_has_its_time": f"UPDATE segment SET done_at = NULL WHERE id = {FREE + 1}",
    "submitted_has_its_id": f"UPDATE segment SET smsc_id = NULL WHERE id = {LIVE + 1}",
    "sent_was_claimed": f"UPDATE segment SET claimed_at = NULL WHERE id = {LIVE + 1}",
    "attempt_has_segment": "UPDATE attempt SET segment_id = 99",
    "told_of_a_message": "UPDATE outbox SET message_id = 99",
    "told_of_an_mo": "UPDATE outbox SET kind = 2",
    "told_the_final_state": f"UPDATE outbox SET message_id = {LIVE}",
    "closed_stays_closed": "UPDATE period SET records = 1",
    "closed_adds_up": "INSERT INTO period_total VALUES ('default', 20200100, 'CNY', 0, 10, 'chat', 0, 5, 0)",
    "closed_is_sealed": "UPDATE carrier_books SET closed_until = 0",
    "late_was_sealed": f"UPDATE charge SET late = TRUE, carrier = 'nobody' WHERE id = {FREE}",
    "cycle_has_its_charge": "INSERT INTO subscription_cycle (subscription, cycle, state, event_at, asked_at) VALUES (1, 1, 10, 1, 1)",
    "fee_has_its_cycle": f"UPDATE charge SET subscription = 1 WHERE id = {FREE}",
    "fee_after_trial": f"UPDATE charge SET subscription = 1 WHERE id = {FREE}",
    "confirmations_have_evidence": SUBSCRIPTION,
    "asked_cycle_is_awaited": SUBSCRIPTION,
    "told_once": f"INSERT INTO outbox (id, target, kind, message_id, state) VALUES (5001, 'partner:1', 1, {FAILED}, 11)",
}


@pytest.mark.parametrize("name", [invariant.name for invariant in consistency.INVARIANTS])
def test_each_way_to_break_the_store_is_named(conn: Connection, name: str):
    conn.execute(text(BROKEN[name]))

    found = {violation.invariant for violation in consistency.check(conn)}

    assert name in found


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (f"event_at = event_at + {DAY_US} WHERE id = {FREE}", 1),
        (f"event_at = event_at - {DAY_US} WHERE id IN ({FREE}, {FAILED})", 2),
        (f"late = TRUE WHERE id = {FREE}", 1),
        (f"late = TRUE, event_at = event_at - {DAY_US} WHERE id = {FREE}", 0),
        (f"carrier = 'gone' WHERE id = {FREE}", 0),
    ],
)
def test_a_charge_in_another_day_than_its_events_is_named_unless_it_is_late(conn: Connection, change: str, broken: int):
    conn.execute(text(f"UPDATE charge SET {change}"))

    found = [violation for violation in consistency.check(conn, Carriers()) if violation.invariant == "booked_by_the_clock"]

    assert [violation.count for violation in found] == ([broken] if broken else [])
    assert [str(FREE) in violation.detail for violation in found] == ([True] if broken else [])


def test_a_charge_belongs_to_the_day_of_its_carriers_clock_not_of_ours(conn: Connection):
    hawaii = Carriers([Carrier("default", ZoneInfo("Pacific/Honolulu"))])

    before = {violation.invariant for violation in consistency.check(conn, hawaii)}
    conn.execute(text("UPDATE charge SET period = :day WHERE state <> 0"), {"day": calendar.day_of(NOW, hawaii.default.zone)})
    after = {violation.invariant for violation in consistency.check(conn, hawaii)}

    assert ("booked_by_the_clock" in before, "booked_by_the_clock" in after) == (True, False)
