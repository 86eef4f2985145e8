"""The ledger in SQL: holds, settlements, top-ups, one rule a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from billing import book
from billing.check import check
from billing.errors import AlreadySettledError, CaptureExceedsHoldError, ReferenceReusedError, SettlementMismatchError, UnknownAccountError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Record, Settlement

REVENUE, FUNDING, ALICE, BOB = 1, 2, 11, 12
NOW = 1_146_412_800_000_000


@pytest.fixture
def conn(empty_store: Connection) -> Iterator[Connection]:
    ids = iter((REVENUE, FUNDING, *range(9_001, 9_004)))
    book.ensure_house(empty_store, "CNY", new_id=lambda: next(ids), now_us=NOW)
    book.open_account(empty_store, ALICE, "im:10001", "CNY", True, NOW)
    book.open_account(empty_store, BOB, "im:10002", "CNY", True, NOW)
    book.top_up(empty_store, ALICE, 100, "first", 21, NOW)
    yield empty_store
    assert check(empty_store) == []


def an_event(id_: int, amount: int = 10, *, wallet: int | None = ALICE, currency: str = "CNY", parts: int = 1) -> BillableEvent:
    fee_class = FeeClass.PER_PART if amount else FeeClass.FREE
    numbers = ("cmcc-1", "10086", "8613800000000", "8613900000000", 10001)
    unit = amount // parts
    rated = (parts, parts, unit, amount, currency, "flat/1", "service:chat")
    return BillableEvent(id_, Direction.MT, NOW, "chat", fee_class, Payer.SOURCE, wallet, *numbers, *rated)


def a_settlement(
    id_: int, held: int = 10, amount: int | None = None, *, state: ChargeState = ChargeState.CAPTURED, wallet: int | None = ALICE
) -> Settlement:
    captured = (held if state is ChargeState.CAPTURED else 0) if amount is None else amount
    return Settlement(id_, state, wallet, held, captured, 1, id_ * 10, "DELIVRD", NOW + 5, "000", "A7", None)


def hold(conn: Connection, *events: BillableEvent) -> list[bool]:
    return book.hold_many(conn, events, revenue=REVENUE, now_us=NOW)


def settle(conn: Connection, *settlements: Settlement) -> list[bool]:
    return book.settle_many(conn, settlements, now_us=NOW + 9)


def charge(conn: Connection, id_: int) -> dict[str, object]:
    return dict(conn.execute(text("SELECT * FROM charge WHERE id = :id"), {"id": id_}).mappings().one())


def test_a_hold_takes_from_what_is_available_and_not_from_what_is_posted(conn: Connection):
    assert hold(conn, an_event(256, 30), an_event(512, 20)) == [True, True]

    assert book.balance(conn, ALICE) == (100, 50, 50)


def test_holds_are_first_come_first_served_and_a_cheaper_later_one_still_fits(conn: Connection):
    fits = hold(conn, an_event(256, 60), an_event(512, 50), an_event(768, 40))

    assert fits == [True, False, True]
    assert book.balance(conn, ALICE).available == 0
    assert conn.execute(text("SELECT COUNT(*) FROM charge WHERE id = 512")).scalar() == 0


@pytest.mark.parametrize("wallet", [BOB, REVENUE, 999])
def test_an_empty_wallet_a_house_account_and_no_account_cannot_pay(conn: Connection, wallet: int):
    assert hold(conn, an_event(256, wallet=wallet)) == [False]

    assert conn.execute(text("SELECT COUNT(*) FROM charge")).scalar() == 0


def test_a_wallet_has_no_credit_in_another_currency(conn: Connection):
    assert hold(conn, an_event(256, currency="USD")) == [False]


def test_an_event_is_held_once(conn: Connection):
    hold(conn, an_event(256))

    with pytest.raises(IntegrityError), conn.begin_nested():
        hold(conn, an_event(256))

    assert book.balance(conn, ALICE).held == 10


def test_a_capture_posts_what_was_delivered_and_frees_the_rest(conn: Connection):
    hold(conn, an_event(256, 30, parts=3))

    assert settle(conn, a_settlement(256, 30, 20)) == [True]

    assert book.balance(conn, ALICE) == (80, 0, 80)
    settled = charge(conn, 256)
    assert (settled["state"], settled["amount_minor"], settled["booked_at"], settled["journal_seq"]) == (10, 20, NOW + 9, 2560)


@pytest.mark.parametrize(("quantity", "held"), [(1, 10), (3, 30), (10, 100)])
def test_a_held_charge_is_amended_to_another_quantity(conn: Connection, quantity: int, held: int):
    hold(conn, an_event(256, 20, parts=2))

    assert book.amend(conn, 256, parts=quantity, quantity=quantity) == held

    assert book.balance(conn, ALICE) == (100, held, 100 - held)
    settle(conn, a_settlement(256, held, held))
    assert book.balance(conn, ALICE) == (100 - held, 0, 100 - held)


def test_an_amendment_that_the_wallet_cannot_pay_changes_nothing(conn: Connection):
    hold(conn, an_event(256, 20, parts=2))

    assert book.amend(conn, 256, parts=11, quantity=11) is None

    assert book.balance(conn, ALICE) == (100, 20, 80)
    assert (charge(conn, 256)["quantity"], charge(conn, 256)["amount_minor"]) == (2, 20)


def test_a_free_charge_is_amended_without_a_wallet(conn: Connection):
    hold(conn, an_event(256, 0, wallet=None))

    assert book.amend(conn, 256, parts=4, quantity=4) == 0

    assert charge(conn, 256)["parts"] == 4


def test_a_settled_charge_is_not_amended(conn: Connection):
    hold(conn, an_event(256))
    settle(conn, a_settlement(256))

    with pytest.raises(AlreadySettledError):
        book.amend(conn, 256, parts=1, quantity=1)


@pytest.mark.parametrize("state", [ChargeState.RELEASED, ChargeState.EXPIRED])
def test_a_release_and_an_expiry_give_the_hold_back(conn: Connection, state: ChargeState):
    hold(conn, an_event(256))

    assert settle(conn, a_settlement(256, state=state)) == [True]

    assert book.balance(conn, ALICE) == (100, 0, 100)
    assert charge(conn, 256)["state"] == state


@pytest.mark.parametrize("again", [ChargeState.CAPTURED, ChargeState.RELEASED, ChargeState.EXPIRED])
def test_a_second_settlement_is_false_and_moves_nothing(conn: Connection, again: ChargeState):
    hold(conn, an_event(256), an_event(512))
    settle(conn, a_settlement(256))

    assert settle(conn, a_settlement(256, state=again), a_settlement(512)) == [False, True]

    assert book.balance(conn, ALICE) == (80, 0, 80)


def test_of_two_settlements_of_one_charge_in_one_batch_the_first_counts(conn: Connection):
    hold(conn, an_event(256))

    assert settle(conn, a_settlement(256, state=ChargeState.RELEASED), a_settlement(256)) == [True, False]

    assert book.balance(conn, ALICE) == (100, 0, 100)


def test_a_settlement_without_a_charge_is_false(conn: Connection):
    assert settle(conn, a_settlement(256)) == [False]


def test_a_free_message_is_zero_rated_when_delivered(conn: Connection):
    hold(conn, an_event(256, 0), an_event(512, 0, wallet=None))

    assert settle(conn, a_settlement(256, 0), a_settlement(512, 0, wallet=None)) == [True, True]

    assert [charge(conn, id_)["state"] for id_ in (256, 512)] == [ChargeState.ZERO_RATED] * 2
    assert conn.execute(text("SELECT COUNT(*) FROM transfer WHERE cause IS NULL")).scalar() == 0


def test_what_no_wallet_pays_is_charged_without_a_transfer(conn: Connection):
    hold(conn, an_event(256, wallet=None))

    assert settle(conn, a_settlement(256, wallet=None)) == [True]

    assert charge(conn, 256)["amount_minor"] == 10
    assert conn.execute(text("SELECT COUNT(*) FROM transfer WHERE id = 256")).scalar() == 0


def test_the_link_of_acceptance_stays_unless_the_settlement_knows_a_better_one(conn: Connection):
    hold(conn, an_event(256), an_event(512))

    settle(conn, a_settlement(256), a_settlement(512)._replace(link="cmcc-2"))

    assert [charge(conn, id_)["link"] for id_ in (256, 512)] == ["cmcc-1", "cmcc-2"]


def test_no_capture_exceeds_its_hold(conn: Connection):
    hold(conn, an_event(256))

    with pytest.raises(CaptureExceedsHoldError):
        settle(conn, a_settlement(256, 10, 11))


@pytest.mark.parametrize(
    "wrong", [{"held_minor": 40, "amount_minor": 40}, {"held_minor": 9, "amount_minor": 9}, {"wallet": BOB}, {"wallet": None}]
)
def test_the_caller_is_not_trusted_beyond_the_row(conn: Connection, wrong: dict[str, int | None]):
    hold(conn, an_event(256))

    with pytest.raises(SettlementMismatchError), conn.begin_nested():
        settle(conn, a_settlement(256)._replace(**wrong))  # type: ignore[arg-type] # fields by name

    assert book.balance(conn, ALICE) == (100, 10, 90)


def test_an_mo_is_recorded_zero_rated_at_once(conn: Connection):
    event_ = an_event(256, 0, wallet=None)._replace(direction=Direction.MO)

    book.record_many(conn, [Record(event_, a_settlement(256, 0, wallet=None))], now_us=NOW)

    recorded = charge(conn, 256)
    assert (recorded["state"], recorded["booked_at"], recorded["journal_seq"], recorded["delivery_status"]) == (13, NOW, 2560, "DELIVRD")


def test_many_events_of_many_wallets_settle_in_one_call(conn: Connection):
    wallets = [1000 + number for number in range(150)]
    for wallet in wallets:
        book.open_account(conn, wallet, f"im:{wallet}", "CNY", True, NOW)
        book.top_up(conn, wallet, 25, f"many:{wallet}", wallet + 10**9, NOW)
    events = [an_event(256 * (number + 1), 10, wallet=wallets[number % 150]) for number in range(450)]

    fits = hold(conn, *events)
    took = settle(conn, *[a_settlement(event_.id, wallet=event_.wallet) for event_, fit in zip(events, fits, strict=True) if fit])

    assert fits == [True] * 300 + [False] * 150
    assert took == [True] * 300
    assert {book.balance(conn, wallet) for wallet in wallets} == {(5, 0, 5)}


def test_a_top_up_counts_once_per_reference(conn: Connection):
    first = book.top_up(conn, BOB, 50, "R1", 31, NOW)
    again = book.top_up(conn, BOB, 50, "R1", 32, NOW + 1)

    assert (first, again) == ((31, True), (31, False))
    assert book.balance(conn, BOB) == (50, 0, 50)


def test_a_reference_with_other_content_is_refused(conn: Connection):
    book.top_up(conn, BOB, 50, "R1", 31, NOW)

    with pytest.raises(ReferenceReusedError):
        book.top_up(conn, BOB, 51, "R1", 32, NOW)
    with pytest.raises(ReferenceReusedError):
        book.top_up(conn, ALICE, 50, "R1", 33, NOW)


def test_only_wallets_are_topped_up_and_have_a_balance(conn: Connection):
    with pytest.raises(UnknownAccountError):
        book.top_up(conn, REVENUE, 50, "R1", 31, NOW)
    with pytest.raises(UnknownAccountError):
        book.balance(conn, 999)


def test_an_account_is_opened_once_per_party_and_currency(conn: Connection):
    assert book.open_account(conn, 77, "im:10001", "CNY", True, NOW) == ALICE
    assert book.find_account(conn, "im:10001") == ALICE
    assert book.find_account(conn, "im:404") is None
    assert book.ensure_house(conn, "CNY", new_id=lambda: 78, now_us=NOW)[:2] == (REVENUE, FUNDING)
    with pytest.raises(ReferenceReusedError):
        book.open_account(conn, 77, "im:10001", "CNY", False, NOW)


def test_a_party_has_an_account_in_each_of_its_currencies(conn: Connection):
    assert book.open_account(conn, 77, "im:10001", "QQB", True, NOW + 1) == 77
    assert book.find_account(conn, "im:10001", "QQB") == 77
    assert book.find_account(conn, "im:10001") == ALICE
