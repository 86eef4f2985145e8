"""What a carrier's answers mean for us: which command_status to try again, and which state a receipt makes.

Sources: SMPP 3.4 section 5.1.3 for the codes, section 5.2.28 for message_state. A status nobody lists is temporary, with the cap.
"""

from __future__ import annotations

from enum import Enum

from gateway.domain.message import State


class Verdict(Enum):
    """What to do after a submit_sm_resp."""

    ACCEPTED = "accepted"
    THROTTLED = "throttled"  # the link is too fast: pause it, then the same again
    BUSY = "busy"  # this destination's queue is full: that one waits, others flow
    RETRY = "retry"  # temporary: again later, a few times
    FINAL = "final"  # the same again fails again


_FINAL = frozenset(
    (
        *(0x01, 0x02, 0x06, 0x07, 0x0A, 0x0B, 0x0C, 0x15),
        *(0x33, 0x34, 0x40, 0x42, 0x43, 0x44, 0x48, 0x49, 0x50, 0x51, 0x54, 0x55),
        *(0x61, 0x62, 0x63, 0x65, 0x66, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0x100, 0x101, 0x103, 0x104),
    )
)


def of_status(command_status: int) -> Verdict:
    """The verdict on a submit_sm by its response's command_status."""
    if command_status == 0:
        return Verdict.ACCEPTED
    if command_status == 0x58:
        return Verdict.THROTTLED
    if command_status == 0x14:
        return Verdict.BUSY
    return Verdict.FINAL if command_status in _FINAL else Verdict.RETRY


# ENROUTE 1, ACCEPTED 6 and UNKNOWN 7 settle nothing.
_BY_MESSAGE_STATE = {
    2: State.DELIVERED,
    3: State.EXPIRED,
    4: State.FAILED,  # DELETED
    5: State.FAILED,  # UNDELIVERABLE
    8: State.FAILED,  # REJECTED
    9: State.FAILED,  # SKIPPED (5.0)
}
STAT_OF_STATE = {State.DELIVERED: "DELIVRD", State.FAILED: "UNDELIV", State.EXPIRED: "EXPIRED"}


def of_message_state(message_state: int) -> State | None:
    """The final state a receipt makes, None for an intermediate one."""
    return _BY_MESSAGE_STATE.get(message_state)
