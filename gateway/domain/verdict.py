"""What a carrier's answers mean for us: which command_status to try again, and which state a receipt makes.

Sources: SMPP 3.4 section 5.1.3 for the codes, section 5.2.28 for message_state. A status nobody lists is temporary, with the cap.
A link may have a table of its own: what its carrier means by a code, vendor codes above all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from gateway.domain.message import State


class Verdict(Enum):
    """What to do after a submit_sm_resp."""

    ACCEPTED = "accepted"
    THROTTLED = "throttle"  # the link is too fast: pause it, then the same again
    BUSY = "busy"  # this destination's queue is full: that one waits, others flow
    RETRY = "retry"  # temporary: again later, a few times
    NEXT_ROUTE = "next_route"  # this link won't: another one, where the routes know one
    FINAL = "final"  # the same again fails again


ATTEMPTS_MAX = 5
RETRY_S = (1.0, 5.0, 15.0, 60.0)


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


class Treatment(NamedTuple):
    """What one link does about one command_status."""

    verdict: Verdict
    attempts_max: int = ATTEMPTS_MAX  # refusals of this kind that end a segment; RETRY and NEXT_ROUTE only
    delay_s: float | None = None  # before the next attempt; None: growing, as RETRY_S

    def wait_s(self, refusals: int) -> float:
        """Seconds until the next attempt, after so many refusals."""
        return RETRY_S[min(refusals, len(RETRY_S)) - 1] if self.delay_s is None else self.delay_s


_DEFAULTS = {verdict: Treatment(verdict) for verdict in Verdict}
_CODES = re.compile(r"(0x[0-9A-Fa-f]{1,8}|[0-9]{1,10})(?:\s*-\s*(0x[0-9A-Fa-f]{1,8}|[0-9]{1,10}))?", re.ASCII)
_WORDS = re.compile(r"([a-z_]+)(?:\s+([0-9]{1,3})x)?(?:\s+([0-9]{1,5}(?:\.[0-9]{1,3})?)s)?", re.ASCII)
_NAMES = {each.value: each for each in Verdict if each is not Verdict.ACCEPTED}
_STATUS_MAX = 0xFFFFFFFF
_DELAY_S_MAX = 86_400.0


class ErrorTable:
    """One link's meaning of command_status: exact codes before ranges, narrow ranges before wide ones, then what everybody means."""

    __slots__ = ("_exact", "_ranges")

    def __init__(self, rules: Mapping[tuple[int, int], Treatment] | None = None) -> None:
        rules = rules or {}
        self._exact = {first: treatment for (first, last), treatment in rules.items() if first == last}
        ranges = [(last - first, first, last, treatment) for (first, last), treatment in rules.items() if first != last]
        self._ranges = tuple(each[1:] for each in sorted(ranges, key=lambda each: each[:3]))

    def __len__(self) -> int:
        return len(self._exact) + len(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ErrorTable) and (self._exact, self._ranges) == (other._exact, other._ranges)

    def __hash__(self) -> int:
        return hash((frozenset(self._exact), self._ranges))

    def of(self, command_status: int) -> Treatment:
        """What to do about a command_status; 0 is accepted, whatever the table says."""
        if command_status:
            if (treatment := self._exact.get(command_status)) is not None:
                return treatment
            for first, last, treatment in self._ranges:
                if first <= command_status <= last:
                    return treatment
        return _DEFAULTS[of_status(command_status)]

    @classmethod
    def parse(cls, errors: Mapping[str, str]) -> ErrorTable:
        """Read a table such as {"0x45": "next_route", "0x400-0x4FF": "final", "0x08": "retry 10x 30s"}.

        A verdict may be followed by the most attempts and the seconds between them. Raises ValueError with a text that names the entry.
        """
        rules: dict[tuple[int, int], Treatment] = {}
        for codes, words in errors.items():
            span = _span(codes)
            if span in rules:
                raise ValueError(f'"{codes}": this code is there twice')
            rules[span] = _treatment(codes, words)
        return cls(rules)


def _span(codes: str) -> tuple[int, int]:
    match = _CODES.fullmatch(codes.strip())
    if match is None:
        raise ValueError(f'"{codes}": must be a command_status such as "0x45", or a range such as "0x400-0x4FF"')
    first = int(match[1], 0) if match[1].startswith("0x") else int(match[1])
    last = first if match[2] is None else int(match[2], 0) if match[2].startswith("0x") else int(match[2])
    if not 1 <= first <= last <= _STATUS_MAX:
        raise ValueError(f'"{codes}": must lie between 0x1 and 0xFFFFFFFF, the lower code first')
    return first, last


def _treatment(codes: str, words: str) -> Treatment:
    match = _WORDS.fullmatch(words.strip())
    verdict = _NAMES.get(match[1]) if match is not None else None
    if match is None or verdict is None:
        known = ", ".join(_NAMES)
        raise ValueError(f'"{codes}": "{words}" is no verdict; known are {known}, and "retry 10x 30s" is at most 10 attempts 30 s apart')
    if (match[2] or match[3]) and verdict not in (Verdict.RETRY, Verdict.NEXT_ROUTE):
        raise ValueError(f'"{codes}": "{words}": only retry and next_route take a number of attempts and a delay')
    attempts_max = int(match[2]) if match[2] else ATTEMPTS_MAX
    delay_s = float(match[3]) if match[3] else None
    if attempts_max < 1 or (delay_s is not None and delay_s > _DELAY_S_MAX):
        raise ValueError(f'"{codes}": "{words}": at least 1x, and at most {_DELAY_S_MAX:.0f}s')
    return Treatment(verdict, attempts_max, delay_s)


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
