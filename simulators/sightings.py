"""What was on the wire and what is in the store, brought together: for the auditor's checks."""

from __future__ import annotations

from collections import defaultdict

from simulators.books import Kept
from simulators.evidence import Answer, Evidence, OnWire, Sent

THROTTLED, QUEUE_FULL = 0x58, 0x14


class Wire:
    """The submit_sm that the SMSC accepted, by message and part."""

    def __init__(self, evidence: Evidence) -> None:
        self.taken: dict[tuple[str, int], list[OnWire]] = defaultdict(list)
        for seen in evidence.wire:
            if seen.smsc_id and seen.token:
                self.taken[seen.token, seen.part].append(seen)
        self.tokens = {seen.token for seen in evidence.wire if seen.token}
        self._all: dict[str, list[OnWire]] = defaultdict(list)
        for seen in evidence.wire:
            self._all[seen.token].append(seen)

    def of(self, token: str) -> list[OnWire]:
        """What was accepted of a message."""
        return [seen for seen in self._all.get(token, []) if seen.smsc_id]

    def after(self, token: str, at_s: float) -> list[OnWire]:
        """What came of a message after a time, accepted or not."""
        return [seen for seen in self._all.get(token, []) if seen.at_s > at_s]


def seen_of(kept: Kept, number: int, wire: Wire) -> list[OnWire]:
    """The submit_sm of one part; what a partner has split himself carries the part number of his own header."""
    if len(kept.parts) > 1:
        return wire.taken.get((kept.token, number), [])
    return wire.of(kept.token) if kept.token else []


def is_changed(sent: Sent) -> bool:
    """Whether its text may have become another one, perhaps of other parts."""
    return any(asked.kind == "replace" and asked.answer is not Answer.REFUSED for asked in sent.asked)


def target_of(sent: Sent) -> tuple[str, str, str, str]:
    """What messages have in common of which one may stand in the other's place."""
    return sent.owner, sent.service, sent.source, sent.destination


def who(sent: Sent) -> str:
    """A message as its sender knows it."""
    return f"{sent.token} ({sent.front}, {sent.owner}, {sent.service})"


def what(kept: Kept) -> str:
    """A message as the store knows it."""
    return f"{kept.token or 'a reply of ours'} ({kept.front}, {kept.service})"
