"""The event log of a simulated run: what happened when, with a running hash, so that two runs can be compared."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One line of the log; `at_us` counts from the start of the run."""

    at_us: int
    kind: str
    facts: dict[str, Any]

    def line(self) -> str:
        """The event as one line of JSON, always the same for the same facts."""
        return json.dumps([self.at_us, self.kind, self.facts], sort_keys=True, separators=(",", ":"), default=_plain)


class Journal:
    """The events of one run, in order.

    Facts are numbers, strings, booleans, None, bytes, and lists or dicts of them: nothing whose text depends on an address or on
    the order of a set.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._hash = hashlib.sha256()
        self._is_sealed = False

    def add(self, at_us: int, kind: str, facts: dict[str, Any]) -> None:
        """Append an event; after `seal` nothing is added."""
        if self._is_sealed:
            return
        event = Event(at_us, kind, facts)
        self._hash.update(event.line().encode() + b"\n")
        self.events.append(event)

    def seal(self) -> None:
        """End the log: what the teardown does is no part of the run."""
        self._is_sealed = True

    def digest(self) -> str:
        """SHA-256 over all lines so far."""
        return self._hash.hexdigest()

    def of_kind(self, *kinds: str) -> list[Event]:
        """The events of some kinds, in order."""
        return [event for event in self.events if event.kind in kinds]


def _plain(fact: object) -> str:
    if isinstance(fact, bytes | bytearray):
        return fact.hex()
    raise TypeError(f"a {type(fact).__name__} can't be logged: its text may differ between two runs of one seed")
