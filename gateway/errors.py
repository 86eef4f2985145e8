"""
BellhopError     what stops a command, told in one line each and never with a traceback
  ConfigError    the configuration or the call is wrong: exit code 2
  Refused        the configuration is good, but this machine or store says no: exit code 3
"""

from __future__ import annotations

from collections.abc import Sequence


class BellhopError(Exception):
    """Something a person can put right; `lines` says what, one fault a line."""

    exit_code = 3

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class ConfigError(BellhopError):
    """The configuration cannot be used: each line names file, line, key and, where there is one, a suggestion."""

    exit_code = 2


class Refused(BellhopError):
    """The gateway will not run as things are: port in use, second instance, newer database."""

    def __init__(self, line: str) -> None:
        super().__init__([line])
