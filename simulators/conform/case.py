"""A conformance case: what is tried, what is expected, and how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from simulators.conform.probe import Probe


class Grade(Enum):
    """How a case ended, in the words of a PICS."""

    PASS = "pass"
    FAIL = "fail"
    NOT_SUPPORTED = "not supported"
    NOT_TESTED = "not tested"


class Ended(Exception):
    """A case came to its end before its last line."""

    grade = Grade.FAIL

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Failed(Ended):
    """The peer did something else than the specification, or our documented choices, allow."""


class NotSupported(Ended):
    """The peer says that it does not do this."""

    grade = Grade.NOT_SUPPORTED


class NotTested(Ended):
    """It could not be tried: an option is missing, or the peer was never brought into the state."""

    grade = Grade.NOT_TESTED


Play = Callable[["Probe"], Awaitable[None]]


class Case(NamedTuple):
    """One case of the list; the play's remarks become the reason of a pass."""

    id: str
    title: str
    expected: str
    play: Play
    is_patient: bool = False  # waits for the peer's own timers
    is_slowing: bool = False  # a peer that adapts is slower for a while after it, as it should be


class Cases:
    """The cases of one role, in the order they are written."""

    def __init__(self) -> None:
        self.all: list[Case] = []

    def case(self, id_: str, title: str, expected: str, *, is_patient: bool = False, is_slowing: bool = False) -> Callable[[Play], Play]:
        """Register a play as a case."""

        def register(play: Play) -> Play:
            self.all.append(Case(id_, title, expected, play, is_patient, is_slowing))
            return play

        return register
