"""The rules of a transfer, without a database: hold, then capture, release or expire, exactly once.

A capture may be less than its hold; what was held and not captured simply becomes available again. A late receipt never revives a
hold. What a step does to the wallet comes out as a delta, so the store can apply it without reading a balance.
"""

from __future__ import annotations

from typing import NamedTuple

from billing.errors import AlreadySettledError, CaptureExceedsHoldError
from billing.event import ChargeState, TransferState

# What becomes of the hold when its charge reaches a state.
TRANSFER_STATES: dict[ChargeState, TransferState] = {
    ChargeState.HELD: TransferState.PENDING,
    ChargeState.CAPTURED: TransferState.POSTED,
    ChargeState.RELEASED: TransferState.VOIDED,
    ChargeState.EXPIRED: TransferState.EXPIRED,
}


class Transfer(NamedTuple):
    """A movement of value from one account to another, promised or done."""

    id: int
    debit_account: int
    credit_account: int
    amount_minor: int
    currency: str
    state: TransferState = TransferState.PENDING
    posted_minor: int = 0
    cause: str | None = None


class WalletDelta(NamedTuple):
    """What a step adds to the running balance of the wallet that pays."""

    posted_minor: int
    held_minor: int


class Step(NamedTuple):
    """A transfer after one step, and what the step did to the wallet."""

    transfer: Transfer
    wallet: WalletDelta


def hold(transfer: Transfer, available_minor: int) -> Step | None:
    """Promise the amount out of what is available; None when it is not there."""
    assert transfer.amount_minor > 0
    assert transfer.state is TransferState.PENDING
    if transfer.amount_minor > available_minor:
        return None
    return Step(transfer, WalletDelta(0, transfer.amount_minor))


def capture(transfer: Transfer, amount_minor: int) -> Step:
    """Turn the hold, or a part of it, into revenue."""
    refuse_overcapture(transfer.amount_minor, amount_minor)
    return _end(transfer, TransferState.POSTED, amount_minor)


def release(transfer: Transfer) -> Step:
    """Give the hold back: nothing was delivered."""
    return _end(transfer, TransferState.VOIDED, 0)


def expire(transfer: Transfer) -> Step:
    """Give the hold back: nobody ever said what became of the message."""
    return _end(transfer, TransferState.EXPIRED, 0)


def refuse_overcapture(held_minor: int, captured_minor: int) -> None:
    """Raise unless the capture lies within its hold."""
    if not 0 <= captured_minor <= held_minor:
        raise CaptureExceedsHoldError(held_minor, captured_minor)


def final_state(state: ChargeState, held_minor: int) -> ChargeState:
    """The state a charge ends in: what is delivered and costs nothing is zero-rated, and zero-rated nothing was held."""
    assert state is not ChargeState.HELD
    assert state is not ChargeState.ZERO_RATED or held_minor == 0
    return ChargeState.ZERO_RATED if state is ChargeState.CAPTURED and not held_minor else state


def _end(transfer: Transfer, state: TransferState, posted_minor: int) -> Step:
    if transfer.state is not TransferState.PENDING:
        raise AlreadySettledError(transfer.id, transfer.state.name.lower())
    return Step(transfer._replace(state=state, posted_minor=posted_minor), WalletDelta(-posted_minor, -transfer.amount_minor))
