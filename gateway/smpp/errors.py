"""What can go wrong in SMPP.

SmppError
  LocalProtocolError     we asked for something SMPP forbids: our bug, or a limit of ours reached
    NotBound             the request is not allowed in this role and state
    WindowFull           as many requests are unanswered as the window allows
  RemoteProtocolError    the peer broke SMPP
    FrameError           cannot find the next frame: answer generic_nack and close the connection
    FieldError           one PDU is bad: answer it with its status and go on
    TimeError            an SMPP time that is none
"""

from __future__ import annotations


class SmppError(Exception):
    """Everything this package raises."""


class LocalProtocolError(SmppError):
    """We asked for something SMPP forbids; nothing was written."""


class NotBound(LocalProtocolError):
    """This role may not send this request in this state."""


class WindowFull(LocalProtocolError):
    """The window is full: wait for a response."""


class RemoteProtocolError(SmppError):
    """The peer broke SMPP."""


class FrameError(RemoteProtocolError):
    """The stream is lost; `frames_before` are the good frames that came ahead of the bad length."""

    def __init__(self, status: int, reason: str, sequence_number: int = 0, frames_before: list[bytes] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.sequence_number = sequence_number
        self.frames_before: list[bytes] = [] if frames_before is None else frames_before


class FieldError(RemoteProtocolError):
    """One PDU cannot be read; `status` is the answer it deserves. The reason names the field, never its content."""

    def __init__(self, status: int, command_id: int, sequence_number: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.command_id = command_id
        self.sequence_number = sequence_number
        self.reason = reason


class TimeError(RemoteProtocolError):
    """Not a time of SMPP 3.4 section 7.1.1; the caller knows whether that is RINVSCHED or RINVEXPIRY."""
