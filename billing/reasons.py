"""Why a charge is corrected: a closed list, so that a month's corrections can be counted by their cause."""

from __future__ import annotations

from billing.errors import CorrectionRefusedError

REASONS: dict[str, str] = {
    "dispute": "the subscriber disputes it and we agree",
    "no-order": "there is no proof that the subscriber ordered it",
    "not-delivered": "it was charged and never came",
    "duplicate": "it was charged twice",
    "wrong-price": "it was charged at a price that did not hold",
    "content-fault": "the content was broken or was not what was promised",
    "outage": "our service or the carrier's was down",
    "test-traffic": "it was a test of ours or of the carrier's",
    "late-receipt": "the carrier's receipt came after the charge had ended",
    "unpaid": "it was never paid and is given up",
    "courtesy": "nothing was wrong, and we are kind",
    "reconciliation": "the carrier's file says otherwise and we agree",
}


def checked(code: str) -> str:
    """The code itself; raises CorrectionRefusedError for one that is not in the list."""
    if code not in REASONS:
        raise CorrectionRefusedError("reason", f"{code[:32]!r} is no reason; the reasons are {', '.join(REASONS)}")
    return code
