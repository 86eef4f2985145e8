"""When a message may be sent that its sender wants sent later."""

from __future__ import annotations

from gateway.domain.failure import Refused
from gateway.services.submit import Submission

AHEAD_US_MAX = 30 * 86_400_000_000


def settled(submission: Submission, now_us: int, ahead_us_max: int) -> Submission:
    """The submission with its schedule checked: a time that has come is now; raises Refused (`bad_schedule`) for one too far ahead."""
    at = submission.schedule_at
    assert at is not None
    if at <= now_us:
        return submission._replace(schedule_at=None)
    check(at, now_us, ahead_us_max)
    return submission


def check(at: int, now_us: int, ahead_us_max: int) -> None:
    """Raise Refused (`bad_schedule`) for a time further ahead than messages are kept waiting."""
    if at - now_us > ahead_us_max:
        days = ahead_us_max / 86_400_000_000
        raise Refused("bad_schedule", f"is more than {days:g} days ahead", field="schedule_at")
