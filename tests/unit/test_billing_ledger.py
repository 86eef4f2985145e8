"""A hold ends once; what it takes and gives adds up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import ledger
from billing.errors import AlreadySettledError, CaptureExceedsHoldError
from billing.event import ChargeState, TransferState
from billing.ledger import Step, Transfer

HOLD = Transfer(256, 11, 1, 30, "CNY")

ENDS: dict[str, Callable[[Transfer], Step]] = {
    "capture": lambda transfer: ledger.capture(transfer, 20),
    "release": ledger.release,
    "expire": ledger.expire,
}


def test_a_hold_needs_what_it_promises():
    assert ledger.hold(HOLD, 29) is None
    assert ledger.hold(HOLD, 30) == (HOLD, (0, 30))


def test_a_capture_posts_a_part_and_gives_the_rest_back():
    step = ledger.capture(HOLD, 20)

    assert (step.transfer.state, step.transfer.posted_minor) == (TransferState.POSTED, 20)
    assert step.wallet == (-20, -30)


@pytest.mark.parametrize(("end", "state"), [("release", TransferState.VOIDED), ("expire", TransferState.EXPIRED)])
def test_a_release_and_an_expiry_give_all_back(end: str, state: TransferState):
    step = ENDS[end](HOLD)

    assert (step.transfer.state, step.transfer.posted_minor, step.wallet) == (state, 0, (0, -30))


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_a_second_end_is_refused(first: str, second: str):
    ended = ENDS[first](HOLD).transfer

    with pytest.raises(AlreadySettledError, match="256"):
        ENDS[second](ended)


@pytest.mark.parametrize("amount", [31, -1])
def test_a_capture_lies_within_its_hold(amount: int):
    with pytest.raises(CaptureExceedsHoldError):
        ledger.capture(HOLD, amount)


@given(st.integers(1, 10**12), st.data())
@settings(max_examples=100)
def test_hold_and_end_leave_the_wallet_short_of_what_was_posted_only(amount: int, data: st.DataObject):
    transfer = HOLD._replace(amount_minor=amount)
    held = ledger.hold(transfer, amount)
    assert held is not None

    end = ledger.capture(held.transfer, data.draw(st.integers(0, amount)))

    assert held.wallet.held_minor + end.wallet.held_minor == 0
    assert held.wallet.posted_minor + end.wallet.posted_minor == -end.transfer.posted_minor


def test_what_is_delivered_and_costs_nothing_is_zero_rated():
    assert ledger.final_state(ChargeState.CAPTURED, 0) is ChargeState.ZERO_RATED
    assert ledger.final_state(ChargeState.CAPTURED, 1) is ChargeState.CAPTURED
    assert ledger.final_state(ChargeState.RELEASED, 0) is ChargeState.RELEASED


def test_every_state_a_hold_can_reach_has_its_transfer_state():
    assert set(ledger.TRANSFER_STATES) == set(ChargeState) - {ChargeState.ZERO_RATED, ChargeState.SUSPENDED}
    assert set(ledger.TRANSFER_STATES.values()) == set(TransferState)
