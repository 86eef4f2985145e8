"""A receipt that says delivered after its message had ended: absorbed and reported, or charged once where the carrier's policy says so."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from billing import book, refunds, tariffs
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from billing.event import RecordType
from billing.refunds import Refund
from billing.schema import charge
from billing.tariff.rule import Model, Rule
from billing.tariff.version import FOREVER_US, Version
from gateway.store import leaks
from tests.support.receipts import CREDIT, PRICE, Desk, opened_desk

CHARGING = Booking(Carriers([Carrier("default", charges_late=True)]))
ABSORBING = Booking(Carriers([Carrier("default")]))
DELIVERED, UNDELIVERABLE = 2, 5


def corrections(desk: Desk) -> list[tuple[int, int, str]]:
    query = select(charge.c.record_type, charge.c.amount_minor, charge.c.reason).where(charge.c.corrects.is_not(None))
    return [(row[0], row[1], row[2]) for row in desk.conn.execute(query)]


def test_by_default_it_is_absorbed_and_stands_in_the_leak_report():
    with opened_desk(books=ABSORBING) as desk:
        flight = desk.sent("A1")
        desk.expire(flight)

        assert desk.report("A1").effect == "late"

        assert (corrections(desk), book.balance(desk.conn, desk.wallet).posted) == ([], CREDIT)
        assert [(each.service, each.parts, each.amount_minor) for each in leaks.report(desk.conn, None)] == [("chat", 1, PRICE)]
        assert desk.faults() == []


@pytest.mark.parametrize("receipts", [1, 3])
def test_where_the_policy_charges_it_is_charged_once_whatever_comes_again(receipts: int):
    with opened_desk(books=CHARGING) as desk:
        desk.expire(desk.sent("A1"))

        for _ in range(receipts):
            desk.report("A1")

        assert corrections(desk) == [(RecordType.ADJUST, PRICE, "late")]
        assert book.balance(desk.conn, desk.wallet).posted == CREDIT - PRICE
        assert leaks.report(desk.conn, None) == []
        assert desk.faults() == []


def test_a_failure_that_is_contradicted_is_charged_too():
    with opened_desk(books=CHARGING) as desk:
        desk.sent("A1")
        desk.report("A1", UNDELIVERABLE)

        desk.report("A1", DELIVERED)

        assert corrections(desk) == [(RecordType.ADJUST, PRICE, "late")]
        assert desk.faults() == []


def test_a_wallet_that_cannot_pay_stays_as_it_is():
    with opened_desk(books=CHARGING) as desk:
        desk.expire(desk.sent("A1"))
        emptied = desk.accept(parts=1)
        desk.conn.exec_driver_sql("SELECT 1")
        rest = book.balance(desk.conn, desk.wallet).available
        assert book.amend(desk.conn, emptied[0].message.id, parts=255, quantity=rest // PRICE + 1) is not None

        desk.report("A1")

        assert corrections(desk) == []
        assert book.balance(desk.conn, desk.wallet).available == 0
        assert [each.parts for each in leaks.report(desk.conn, None)] == [1]


def test_the_window_of_the_report_is_when_the_receipts_came():
    with opened_desk(books=ABSORBING) as desk:
        desk.expire(desk.sent("A1"))
        before = desk.now
        desk.report("A1")

        assert leaks.report(desk.conn, (0, before)) == []
        assert len(leaks.report(desk.conn, (before, desk.now))) == 1


def test_two_receipts_that_both_came_before_the_response_settle_and_charge_in_places_of_their_own():
    with opened_desk(books=CHARGING) as desk:
        (flight,) = desk.accept()
        desk.report("A1", UNDELIVERABLE)
        desk.report("A1", DELIVERED)

        desk.respond(flight, "A1")

        assert corrections(desk) == [(RecordType.ADJUST, PRICE, "late")]
        assert desk.faults() == []


def test_a_part_delivered_late_while_another_is_on_its_way_is_charged_when_the_message_is_over():
    with opened_desk(books=CHARGING) as desk:
        late, prompt = desk.accept(parts=2)
        desk.respond(late, "A1")
        desk.respond(prompt, "A2")
        desk.expire(late)
        desk.report("A1")
        assert corrections(desk) == []

        desk.report("A2")

        assert corrections(desk) == [(RecordType.ADJUST, PRICE, "late")]
        assert book.balance(desk.conn, desk.wallet).posted == CREDIT - 2 * PRICE
        assert leaks.report(desk.conn, None) == []
        assert desk.faults() == []


def test_every_part_that_is_delivered_late_is_charged_once():
    with opened_desk(books=CHARGING) as desk:
        parts = desk.accept(parts=3)
        for number, flight in enumerate(parts):
            desk.respond(flight, f"A{number}")
        for flight in parts[:2]:
            desk.expire(flight)
        for _ in range(2):
            desk.report_together(["A0", "A1"])
        desk.expire(parts[2])

        desk.report_together(["A0", "A1", "A2"])

        assert corrections(desk) == [(RecordType.ADJUST, PRICE, "late")] * 3
        assert book.balance(desk.conn, desk.wallet).posted == CREDIT - 3 * PRICE
        assert desk.faults() == []


def test_what_is_charged_late_contains_the_tax_of_its_price_and_a_refund_gives_it_back():
    rule = Rule("chat", Model.PER_PART, PRICE, "CNY", tax_ppm=60_000)
    with opened_desk(books=CHARGING) as desk:
        tariffs.draft(desk.conn, Version("main", 0, 0, FOREVER_US, (rule,)), actor="ann", now_us=desk.now)
        flight = desk.sent("A1")
        number = flight.message.id
        desk.conn.execute(update(charge).where(charge.c.id == number).values(tariff_version="main/1", tariff_rule="chat", tax_minor=1))
        desk.expire(flight)
        desk.report("A1")

        refunds.refund(desk.conn, Refund(number, None, "late-receipt", "R1", "ann"), into=CHARGING, new_id=desk.next_id, now_us=desk.now)

        made = select(charge.c.amount_minor, charge.c.tax_minor).where(charge.c.corrects == number).order_by(charge.c.id)
        assert desk.conn.execute(made).all() == [(PRICE, 1), (-PRICE, -1)]
        assert desk.faults() == []
