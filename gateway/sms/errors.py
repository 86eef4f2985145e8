"""
SmsError
  TextError      a text that the chosen alphabet, or Unicode itself, can't carry
  TooManyParts   a text that needs more parts than the caller allows: refused, never cut
  UdhError       a user data header whose lengths or values lie
  PartError      a part whose number is not 1 to its total

No message text stands in any of them, only code points, counts and offsets.
"""

from __future__ import annotations


class SmsError(Exception):
    """Anything gateway.sms refuses."""


class TextError(SmsError):
    """The text cannot be written in the alphabet asked for; `positions` are the first indexes that don't fit."""

    def __init__(self, reason: str, positions: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.positions = positions


class TooManyParts(SmsError):
    """The text needs `parts` parts (at least, where it is far over) and only `parts_max` are allowed."""

    def __init__(self, parts: int, parts_max: int) -> None:
        super().__init__(f"the text needs {parts} parts, at most {parts_max} are allowed")
        self.parts = parts
        self.parts_max = parts_max


class UdhError(SmsError):
    """The user data header contradicts itself at octet `offset`."""

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(f"user data header, octet {offset}: {reason}")
        self.reason = reason
        self.offset = offset


class PartError(SmsError):
    """A part number outside 1 to its total: such a part is a message of its own."""

    def __init__(self, number: int, total: int) -> None:
        super().__init__(f"part {number} of {total} cannot be joined")
        self.number = number
        self.total = total
