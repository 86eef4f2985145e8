"""What /metrics tells of the books is what is in them."""

from __future__ import annotations

import itertools

from sqlalchemy import Connection, Engine, insert

from billing import approvals, book, corrections, figures, periods, refunds, suspense
from billing.booking import Booking
from billing.carriers import Carrier
from billing.corrections import Correction
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, RecordType, Settlement
from billing.matching import Class
from billing.periods import Closing
from billing.refunds import Asked, Refund
from billing.runs import Books
from billing.schema_exports import export_file
from billing.schema_reconciliation import recon_item, recon_run
from billing.schema_subscription import subscription

NOW = 1_790_000_000_000_000  # 2026-09-21
WALLET = 11
BOOKING = Booking()


def a_charge(engine: Engine, id_: int, revenue: int) -> None:
    names, money = ("sim", "10086", None, "8613900000000", None), (1, 1, 300, 300, "CNY", "flat/1", "service:chat")
    event = BillableEvent(id_, Direction.MT, NOW, "chat", FeeClass.PER_MSG, Payer.SOURCE, WALLET, *names, *money)
    settled = Settlement(id_, ChargeState.CAPTURED, WALLET, 300, 300, 1, id_, "DELIVRD", NOW, None, None, "sim", NOW)
    with engine.begin() as conn:
        book.hold_many(conn, [event], revenue=revenue, now_us=NOW)
        book.settle_many(conn, [settled], now_us=NOW, into=BOOKING)


def test_every_figure_is_counted_from_the_rows_there_are(engine: Engine):
    ids = itertools.count(10_000)
    kw = {"into": BOOKING, "new_id": lambda: next(ids), "now_us": NOW + 1}
    with engine.begin() as conn:
        empty = figures.look(conn)
        BOOKING.open_books(conn)
        revenue = book.ensure_house(conn, "CNY", new_id=lambda: next(ids), now_us=NOW).revenue
        book.open_account(conn, WALLET, "im:10001", "CNY", True, NOW)
        book.top_up(conn, WALLET, 1_000, "first", next(ids), NOW)
    for id_ in (256, 512):
        a_charge(engine, id_, revenue)
    with engine.begin() as conn:
        refunds.refund(conn, Refund(256, 40, "dispute", "r1", "li"), limits=approvals.Limits(), **kw)
        refunds.refund(conn, Refund(256, 2, "dispute", "r2", "li"), limits=approvals.Limits(), **kw)
        refunds.adjust(conn, Asked(512, 5, "courtesy", "a1", "li"), **kw)
        corrections.post(
            conn, Correction(next(ids), 512, RecordType.ADJUST, 7, "late:512", figures.LATE, revenue), into=BOOKING, now_us=NOW
        )
        refunds.goodwill(conn, Asked(512, 50_000, "courtesy", "g1", "li"), limits=approvals.Limits({"CNY": 100}), **kw)
        suspense.park(conn, 512, "no_rule", "no rule fits", now_us=NOW)
        _an_export(conn, 1, 1, None)
        _an_export(conn, 2, 1, "no route to host")
        _an_export(conn, 3, 2, None)
        _a_subscription(conn, 1, 2)
        _a_subscription(conn, 2, 10)
        _a_comparison(conn)
    closing = Closing(Carrier(), 20260920, "ann", NOW, is_now=True)
    periods.close(Books(engine.begin, engine.begin), closing)

    with engine.begin() as conn:
        found = figures.look(conn)

    assert (empty.suspended, empty.approvals_waiting, empty.corrections, empty.periods) == (0, 0, {}, {})
    assert (found.suspended, found.approvals_waiting) == (1, 1)
    assert found.corrections == {("refund", "CNY"): 2, ("adjust", "CNY"): 1, ("late", "CNY"): 1}
    assert found.corrected_minor == {("refund", "CNY"): -42, ("adjust", "CNY"): 5, ("late", "CNY"): 7}
    assert found.export_files == {("charge", "written"): 2, ("charge", "delivered"): 1}
    assert found.export_faults == {"charge": 1}
    assert found.subscriptions == {"active": 1, "cancelled": 1}
    assert found.differences_open == {"default": 1}
    assert (found.periods, found.first_open) == ({("default", "closed"): 1}, {"default": 20260921})


def _an_export(conn: Connection, number: int, state: int, fault: str | None) -> None:
    names = {"profile": "charge", "carrier": "default", "file_name": f"{number}.csv"}
    counts = {"run_id": number, "part": 1, "file_seq": number, "revision": 0, "first_record": 1}
    conn.execute(insert(export_file), {**names, **counts, "state": state, "fault": fault})


def _a_subscription(conn: Connection, id_: int, status: int) -> None:
    facts = {"offer": "news", "subscriber": f"msisdn:861390000000{id_}", "short_code": "10661700", "price_minor": 600, "currency": "CNY"}
    ended = NOW if status == 10 else None
    conn.execute(insert(subscription), {"id": id_, **facts, "status": status, "ordered_at": NOW, "cancelled_at": ended})


def _a_comparison(conn: Connection) -> None:
    """One in review, of three items: two differ, and one of these is resolved."""
    facts = {"number": 1, "carrier": "default", "period": 20260900, "digest": "d", "state": 1, "created_by": "li", "created_at": NOW}
    conn.execute(insert(recon_run), facts)
    sums = {"ours_count": 1, "theirs_count": 1, "ours_minor": 1, "theirs_minor": 2, "delta_minor": 1}
    item = {"run": 1, "tier": 0, "day": 20260901, "msisdn": "", "service": "chat", "currency": "CNY", **sums}
    for number, (kind, resolution) in enumerate(((Class.MATCH, None), (Class.AMOUNT_DIFF, None), (Class.AMOUNT_DIFF, 2)), 1):
        conn.execute(insert(recon_item), {**item, "number": number, "kind": int(kind), "resolution": resolution})
