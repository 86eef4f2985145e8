"""Why something was not done, and what its caller should do next.

Refused
  kind says whether trying again later helps; text is for the person who asked, field names the input at fault.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What to do about a failure."""

    TEMPORARY = "temporary"  # the same again, later
    PERMANENT = "permanent"  # the same again fails again
    THROTTLED = "throttled"  # slower
    UNKNOWN = "unknown"  # nobody knows whether it happened


class Refused(Exception):
    """A request that was not accepted: nothing was stored or charged."""

    def __init__(self, reason: str, text: str, *, field: str = "", kind: Kind = Kind.PERMANENT, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.reason = reason  # a stable word: unknown_service, no_credit, opted_out, too_long, bad_address, unavailable ...
        self.text = text
        self.field = field
        self.kind = kind
        self.retry_after_s = retry_after_s  # 0: not known


class StoreUnavailable(Refused):
    """Nothing can be written now (disk full, read-only, database away), or it is not known whether it was."""

    def __init__(self, text: str = "the store cannot be written at the moment; try again later") -> None:
        super().__init__("unavailable", text, kind=Kind.TEMPORARY)
