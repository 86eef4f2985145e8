"""The ledger follows a plain model whatever the order, and the machine that says so finds the faults put into the ledger."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.exc import IntegrityError

from billing import approvals, book, refunds, vouchers
from billing.errors import BillingError
from tests.support.engines import kept_engine, require
from tests.support.ledger import LedgerMachine

# Which rule notices first is the machine's to find.
FOUND = (AssertionError, BillingError, IntegrityError)


class PostgresLedgerMachine(LedgerMachine):
    """The same, in a database that lives as long as this process."""

    engine_of = staticmethod(partial(kept_engine, "postgresql", "ledger"))


def run_machine(examples: int, steps: int, machine: type[LedgerMachine] = LedgerMachine) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_ledger_follows_the_model_whatever_the_order():
    run_machine(examples=50, steps=30)


def test_the_ledger_follows_the_model_on_postgresql_too():
    require("postgresql")

    run_machine(examples=12, steps=30, machine=PostgresLedgerMachine)


def no_guard_of_a_settlement(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(book, "_SETTLE_CHARGE", book._SETTLE_CHARGE._replace(guard=""))
    patch.setattr(book, "_SETTLE_TRANSFER", book._SETTLE_TRANSFER._replace(guard=""))


def no_balance_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(book, "_free_credit", lambda conn, wallets: {wallet: (10**9, "QQB" if wallet == 13 else "CNY") for wallet in wallets})


def no_bound_of_refunds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refunds, "_remaining", lambda original, made: 10**9)


def refunds_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The bound is the capture, but what was given back before is not counted."""
    patch.setattr(refunds, "_remaining", lambda original, made: int(original["amount_minor"]))


def charges_without_their_money(patch: pytest.MonkeyPatch) -> None:
    """A settlement in two transactions, killed between them: the charge is captured, its hold is not."""
    patch.setattr(book, "_move", lambda conn, settlements, now_us: None)


def money_rounded_up(patch: pytest.MonkeyPatch) -> None:
    """A part of a capture in tens of minor units, as by a price kept with too few digits."""
    settled = book._settled_row

    def rounded(settlement: Any, now_us: int, place: Any) -> Any:
        row = list(settled(settlement, now_us, place))
        row[2] = min(-(-row[2] // 10) * 10, settlement.held_minor)
        return tuple(row)

    patch.setattr(book, "_settled_row", rounded)


def a_reference_taken_for_new(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refunds, "_known", lambda conn, wish, original: None)


def an_approver_who_asked(patch: pytest.MonkeyPatch) -> None:
    """The code forgets to compare the two; the store's own CHECK is what is left."""
    real = approvals.one

    def forgetful(conn: Any, approval_id: int, *, is_locked: bool = False) -> Any:
        found = real(conn, approval_id, is_locked=is_locked)
        return found._replace(requested_by="somebody") if is_locked else found

    patch.setattr(approvals, "one", forgetful)


def a_voucher_that_stays_live(patch: pytest.MonkeyPatch) -> None:
    top_up = book.top_up

    def twice(conn: Any, wallet: int, amount: int, reference: str, transfer_id: int, now_us: int) -> Any:
        top_up(conn, wallet, amount, f"{reference}:{transfer_id}", transfer_id + 1, now_us)
        return top_up(conn, wallet, amount, reference, transfer_id, now_us)

    patch.setattr(vouchers.book, "top_up", twice)


@pytest.mark.parametrize(
    "fault",
    [
        no_guard_of_a_settlement,
        no_balance_asked,
        no_bound_of_refunds,
        refunds_forgotten,
        charges_without_their_money,
        money_rounded_up,
        a_reference_taken_for_new,
        an_approver_who_asked,
        a_voucher_that_stays_live,
    ],
    ids=lambda fault: fault.__name__,
)
def test_the_machine_finds_a_seeded_fault(monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]):
    fault(monkeypatch)

    with pytest.raises(FOUND):
        run_machine(examples=150, steps=30)
