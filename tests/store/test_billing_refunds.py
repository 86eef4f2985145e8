"""What people give back on a charge: within what was captured, once per reference, and above a limit by two people."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from billing import approvals, audit, book, refunds, schema_ledger  # noqa: F401 - its tables are on the metadata
from billing.approvals import Limits
from billing.booking import Booking
from billing.check import check
from billing.errors import (
    ApprovalError,
    CorrectionRefusedError,
    LedgerError,
    NameRefusedError,
    ReferenceReusedError,
    UnknownChargeError,
)
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from billing.refunds import Asked, Refund
from gateway.store.engine import open_writing
from gateway.store.schema import metadata

NOW = 1_146_412_800_000_000
WALLET, OF_WALLET, OF_CARRIER, HELD, FREE = 11, 256, 512, 768, 1024
BOOKING = Booking()


class Ledger:
    """A connection with an id maker, and acts with short names."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._ids = itertools.count(10_000)
        self.kw: dict[str, Any] = {"into": BOOKING, "new_id": self.new_id, "now_us": NOW + 10}

    def new_id(self) -> int:
        return next(self._ids)

    def refund(self, charge: int, amount: int | None, reference: str = "r1", **more: Any) -> refunds.Refunded:
        limits = more.pop("limits", Limits())
        asked = Refund(charge, amount, more.pop("reason", "dispute"), reference, more.pop("actor", "li"), **more)
        return refunds.refund(self.conn, asked, limits=limits, **self.kw)

    def other(self, act: Callable[..., refunds.Corrected], charge: int, amount: int | None, reference: str = "o1") -> refunds.Corrected:
        return act(self.conn, Asked(charge, amount, "courtesy", reference, "li"), **self.kw)

    def house(self, name: str) -> int:
        """What an account of ours took in, less what it gave."""
        return int(
            self.conn.execute(
                text(
                    "SELECT COALESCE(SUM(CASE WHEN credit_account = account.id THEN transfer.posted_minor"
                    " ELSE -transfer.posted_minor END), 0) FROM account JOIN transfer ON account.id IN (credit_account, debit_account)"
                    " WHERE account.party = :party"
                ),
                {"party": f"house:{name}:CNY"},
            ).scalar_one()
        )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A wallet of 1000: 256 captured 300 of it, with 30 tax in it; the carrier collected 512 for 200; 768 is held, 1024 was free."""
    engine = open_writing(f"sqlite:///{tmp_path / 'ledger.db'}", synchronous="OFF")
    metadata.create_all(engine)
    with engine.begin() as conn:
        ledger = Ledger(conn)
        revenue = book.ensure_house(conn, "CNY", new_id=ledger.new_id, now_us=NOW).revenue
        book.open_account(conn, WALLET, "im:10001", "CNY", True, NOW)
        book.top_up(conn, WALLET, 1000, "first", 21, NOW)
        events = [an_event(OF_WALLET, 300, WALLET), an_event(OF_CARRIER, 200, None), an_event(HELD, 100, WALLET), an_event(FREE, 0, WALLET)]
        assert book.hold_many(conn, events, revenue=revenue, now_us=NOW) == [True] * 4
        settled = [(OF_WALLET, 300, WALLET), (OF_CARRIER, 200, None), (FREE, 0, WALLET)]
        book.settle_many(conn, [a_settlement(*each) for each in settled], now_us=NOW)
        conn.execute(text("UPDATE charge SET tax_minor = 31 WHERE id = 256"))
        yield ledger
        assert check(conn) == []
    engine.dispose()


def an_event(id_: int, price: int, wallet: int | None) -> BillableEvent:
    names = ("cmcc-1", "10086", "8613800000000", "8613900000000", 10001)
    rated = (1, 1, price, price, "CNY", "flat/1", "service:chat")
    return BillableEvent(id_, Direction.MT, NOW, "chat", FeeClass.PER_MSG, Payer.SOURCE, wallet, *names, *rated)


def a_settlement(id_: int, amount: int, wallet: int | None) -> Settlement:
    return Settlement(id_, ChargeState.CAPTURED, wallet, amount, amount, 1, id_, "DELIVRD", NOW, None, None, None)


def test_a_refund_without_an_amount_gives_back_all_that_was_captured(ledger: Ledger):
    done = ledger.refund(OF_WALLET, None)

    assert (done.refunded_minor, done.goodwill_minor, done.remaining_minor, done.is_new, done.approval_id) == (300, 0, 0, True, None)
    assert book.balance(ledger.conn, WALLET) == (1000, 100, 900)
    assert ledger.house("revenue") == 0


def test_what_a_carrier_collected_is_refunded_against_what_he_owes(ledger: Ledger):
    done = ledger.refund(OF_CARRIER, 50)

    assert (done.refunded_minor, done.remaining_minor) == (50, 150)
    assert (ledger.house("receivable"), book.balance(ledger.conn, WALLET).posted) == (50, 700)


def test_refunds_end_where_the_capture_does_and_the_error_names_field_and_rest(ledger: Ledger):
    ledger.refund(OF_WALLET, 200)

    with pytest.raises(CorrectionRefusedError, match=r"^amount: 1\.01 CNY is more than the 1\.00 CNY that remain ") as refused:
        ledger.refund(OF_WALLET, 101, "r2")

    assert (refused.value.field, refused.value.remaining_minor) == ("amount", 100)
    assert refunds.remaining(ledger.conn, OF_WALLET) == 100


def test_a_double_refund_gives_the_second_half_as_goodwill_of_ours(ledger: Ledger):
    done = ledger.refund(OF_WALLET, None, multiplier=2)

    assert (done.refunded_minor, done.goodwill_minor, len(done.correction_ids)) == (300, 300, 2)
    assert (ledger.house("revenue"), ledger.house("goodwill")) == (0, -300)
    assert book.balance(ledger.conn, WALLET).posted == 1300


@pytest.mark.parametrize(("amount", "multiplier"), [(None, 1), (100, 1), (None, 2), (100, 3)])
def test_a_refund_repeated_answers_the_same_and_gives_nothing(ledger: Ledger, amount: int | None, multiplier: int):
    first = ledger.refund(OF_WALLET, amount, multiplier=multiplier)
    before = book.balance(ledger.conn, WALLET)

    assert ledger.refund(OF_WALLET, amount, multiplier=multiplier) == first._replace(is_new=False)
    assert book.balance(ledger.conn, WALLET) == before


@pytest.mark.parametrize(
    "other",
    [{"charge": OF_CARRIER}, {"amount": 101}, {"reason": "duplicate"}, {"multiplier": 2}],
    ids=["charge", "amount", "reason", "double"],
)
def test_a_reference_of_another_refund_is_refused(ledger: Ledger, other: dict[str, Any]):
    ledger.refund(OF_WALLET, 100)

    with pytest.raises(ReferenceReusedError):
        ledger.refund(**{"charge": OF_WALLET, "amount": 100, **other})

    assert book.balance(ledger.conn, WALLET).posted == 800


def test_the_tax_goes_back_with_the_refund_and_wholly_in_the_end(ledger: Ledger):
    for reference in "abc":
        ledger.refund(OF_WALLET, 100, reference)

    taxes = ledger.conn.execute(text("SELECT tax_minor FROM charge WHERE corrects = 256 ORDER BY id")).scalars().all()
    assert taxes == [-10, -10, -11]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (Refund(OF_WALLET, 0, "dispute", "r", "li"), CorrectionRefusedError),
        (Refund(OF_WALLET, -5, "dispute", "r", "li"), CorrectionRefusedError),
        (Refund(OF_WALLET, 10, "because", "r", "li"), CorrectionRefusedError),
        (Refund(OF_WALLET, 10, "dispute", "", "li"), NameRefusedError),
        (Refund(OF_WALLET, 10, "dispute", "=HYPERLINK(1)", "li"), NameRefusedError),
        (Refund(OF_WALLET, 10, "dispute", "r", "@li"), NameRefusedError),
        (Refund(OF_WALLET, 10, "dispute", "r", "li", 0), CorrectionRefusedError),
        (Refund(HELD, 10, "dispute", "r", "li"), CorrectionRefusedError),
        (Refund(FREE, None, "dispute", "r", "li"), CorrectionRefusedError),
        (Refund(999, None, "dispute", "r", "li"), UnknownChargeError),
    ],
)
def test_what_cannot_be_refunded_is_refused_and_writes_nothing(ledger: Ledger, asked: Refund, error: type[Exception]):
    with pytest.raises(error):
        refunds.refund(ledger.conn, asked, **ledger.kw)

    assert (ledger.conn.execute(text("SELECT COUNT(*) FROM charge WHERE corrects IS NOT NULL")).scalar(), audit.length(ledger.conn)) == (
        0,
        0,
    )


def test_an_adjustment_lowers_within_the_capture_and_adds_within_the_wallet(ledger: Ledger):
    assert ledger.other(refunds.adjust, OF_WALLET, -100).remaining_minor == 200
    assert ledger.other(refunds.adjust, OF_WALLET, 50, "o2").remaining_minor == 250
    with pytest.raises(CorrectionRefusedError):
        ledger.other(refunds.adjust, OF_WALLET, -251, "o3")
    with pytest.raises(LedgerError, match="cannot pay"), ledger.conn.begin_nested():
        ledger.other(refunds.adjust, OF_WALLET, 5_000, "o4")

    assert book.balance(ledger.conn, WALLET).posted == 750


def test_goodwill_knows_no_capture_and_leaves_it_refundable(ledger: Ledger):
    done = ledger.other(refunds.goodwill, FREE, 80)

    assert (done.amount_minor, done.remaining_minor, ledger.house("goodwill")) == (-80, 0, -80)
    assert ledger.other(refunds.goodwill, OF_WALLET, 500, "o2").remaining_minor == 300


def test_what_is_written_off_is_bad_debt_and_cannot_be_refunded_as_well(ledger: Ledger):
    done = ledger.other(refunds.write_off, OF_CARRIER, None)

    assert (done.amount_minor, done.remaining_minor, ledger.house("bad_debt"), ledger.house("receivable")) == (-200, 0, -200, 200)
    with pytest.raises(CorrectionRefusedError):
        ledger.refund(OF_CARRIER, 1)


@pytest.mark.parametrize(
    ("act", "amount"),
    [(refunds.adjust, -10), (refunds.adjust, 10), (refunds.goodwill, 10), (refunds.write_off, 10), (refunds.write_off, None)],
)
def test_every_act_is_done_once_under_its_reference(ledger: Ledger, act: Callable[..., refunds.Corrected], amount: int | None):
    first = ledger.other(act, OF_WALLET, amount)

    assert ledger.other(act, OF_WALLET, amount) == first._replace(is_new=False)
    with pytest.raises(ReferenceReusedError):
        ledger.other(act, OF_CARRIER, amount)


# -- four eyes -----------------------------------------------------------------------------------------------------------------

LOW = Limits({"CNY": 150})


def decide(ledger: Ledger, approval_id: int | None, actor: str = "wang", approve: bool = True, later: int = 0) -> approvals.Decided:
    assert approval_id is not None
    kw = ledger.kw | {"now_us": ledger.kw["now_us"] + later}
    return approvals.decide(ledger.conn, approval_id, actor=actor, approve=approve, **kw)


def test_above_the_limit_a_refund_waits_and_is_done_by_the_approval(ledger: Ledger):
    asked = ledger.refund(OF_WALLET, None, limits=LOW)
    assert (asked.correction_ids, asked.refunded_minor, asked.remaining_minor) == ((), 0, 300)
    assert book.balance(ledger.conn, WALLET).posted == 700

    decided = decide(ledger, asked.approval_id)

    assert (decided.outcome["remaining_minor"], decided.approval.state.name) == (0, "APPROVED")
    assert book.balance(ledger.conn, WALLET).posted == 1000
    done = ledger.refund(OF_WALLET, None, limits=LOW)
    assert (done.refunded_minor, done.is_new, done.approval_id) == (300, False, asked.approval_id)
    acts = [(each.actor, each.act) for each in audit.entries(ledger.conn)]
    assert acts == [("li", "ask"), ("wang", "approve"), ("li", "refund")]


def test_asking_again_is_the_same_request(ledger: Ledger):
    first = ledger.refund(OF_WALLET, None, multiplier=2, limits=LOW)

    assert ledger.refund(OF_WALLET, None, multiplier=2, limits=LOW) == first._replace(is_new=False)
    with pytest.raises(ReferenceReusedError):
        ledger.refund(OF_WALLET, 299, multiplier=2, limits=LOW)
    assert len(approvals.page(ledger.conn)) == 1


def test_a_sum_cannot_be_split_to_stay_below_the_limit(ledger: Ledger):
    assert ledger.refund(OF_WALLET, 100, "a", limits=LOW).approval_id is None
    assert ledger.refund(OF_WALLET, 100, "b", limits=LOW).approval_id is not None


@pytest.mark.parametrize("actor", ["li", "LI"])
def test_nobody_decides_his_own_request(ledger: Ledger, actor: str):
    asked = ledger.refund(OF_WALLET, None, limits=LOW)

    for approve in (True, False):
        with pytest.raises(ApprovalError, match="your own"):
            decide(ledger, asked.approval_id, actor, approve)

    assert book.balance(ledger.conn, WALLET).posted == 700


def test_a_request_is_decided_once(ledger: Ledger):
    asked = ledger.refund(OF_WALLET, None, limits=LOW)
    decide(ledger, asked.approval_id, approve=False)

    with pytest.raises(ApprovalError, match="was refused by wang before"):
        decide(ledger, asked.approval_id, "zhao")
    with pytest.raises(ApprovalError, match="ask again under another"):
        ledger.refund(OF_WALLET, None, limits=LOW)

    assert book.balance(ledger.conn, WALLET).posted == 700


def test_a_request_that_waited_too_long_can_be_decided_no_more(ledger: Ledger):
    asked = ledger.refund(OF_WALLET, None, limits=LOW)

    with pytest.raises(ApprovalError, match="expired"):
        decide(ledger, asked.approval_id, later=15 * approvals.DAY_US)

    assert approvals.expire(ledger.conn, now_us=NOW + 15 * approvals.DAY_US) == 1
    assert approvals.page(ledger.conn) == []


def test_what_two_requests_ask_for_is_given_once(ledger: Ledger):
    first, second = (ledger.refund(OF_WALLET, 200, reference, limits=LOW) for reference in "ab")
    decide(ledger, first.approval_id)

    with pytest.raises(CorrectionRefusedError, match=r"1\.00 CNY that remain"), ledger.conn.begin_nested():
        decide(ledger, second.approval_id)

    assert book.balance(ledger.conn, WALLET).posted == 900
    assert [each.id for each in approvals.page(ledger.conn)] == [second.approval_id]


def test_the_store_itself_refuses_an_approver_who_asked(ledger: Ledger):
    asked = ledger.refund(OF_WALLET, None, limits=LOW)

    with pytest.raises(Exception, match="approval_by_another"), ledger.conn.begin_nested():
        ledger.conn.execute(text("UPDATE approval SET state = 10, decided_by = 'li' WHERE id = :id"), {"id": asked.approval_id})
