"""What a session tells its application."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gateway.smpp.legality import State
from gateway.smpp.pdu import AlertNotification, Bind, BindResp, Outbind, Pdu


class CloseReason(StrEnum):
    """Why a session ended."""

    CONNECTION_LOST = "connection lost"
    UNBOUND = "unbound"
    PEER_UNBOUND = "peer unbound"
    UNBIND_TIMEOUT = "unbind timeout"
    BIND_REFUSED = "bind refused"
    SESSION_INIT_TIMEOUT = "session init timeout"
    PDU_TIMEOUT = "pdu timeout"
    ENQUIRE_LINK_TIMEOUT = "enquire_link timeout"
    BAD_FRAME = "bad frame"


class BindRequested(NamedTuple):
    """An ESME wants to bind: answer with `accept_bind` or `refuse_bind`, before session_init_timeout_s."""

    pdu: Bind


class Bound(NamedTuple):
    """Our bind was accepted."""

    pdu: BindResp
    state: State


class BindRefused(NamedTuple):
    """Our bind was refused; Closed follows in the same list."""

    status: int


class RequestReceived(NamedTuple):
    """A legal request that the application must answer with `respond`, also when it is slow: the peer's window counts it."""

    pdu: Pdu


class ResponseReceived(NamedTuple):
    """The answer to a request of ours, possibly a generic_nack; look at `response.command_status`.

    `request` is the very object given to `send_request`, so its own sequence_number is whatever the caller had put there.
    """

    context: object
    request: Pdu
    response: Pdu
    sent_at: float


class RequestExpired(NamedTuple):
    """No readable answer came: whether the peer took the request is unknown."""

    context: object
    request: Pdu


class LateResponse(NamedTuple):
    """The answer to a request of which RequestExpired was told before: now it is known what the peer did."""

    context: object
    request: Pdu
    response: Pdu


class OutbindReceived(NamedTuple):
    """The SMSC asks us to bind as receiver on this connection."""

    pdu: Outbind


class AlertReceived(NamedTuple):
    """A handset is reachable again."""

    pdu: AlertNotification


class PeerUnbound(NamedTuple):
    """The peer said unbind; it is answered as soon as the application has answered what it still owes."""


class Closed(NamedTuple):
    """The session is over; emitted once. `unanswered` holds (context, request) of the window, oldest first: all unknown."""

    reason: CloseReason
    unanswered: list[tuple[object, Pdu]]


class Violation(NamedTuple):
    """The peer broke a rule and the session went on (or Closed follows). `status` is what we answered, 0 when nothing.

    `frame_hex` is the frame's beginning, only the header for binds and never a password; it can hold message text, so it is
    for debug logs only.
    """

    reason: str
    status: int
    frame_hex: str


Event = (
    BindRequested
    | Bound
    | BindRefused
    | RequestReceived
    | ResponseReceived
    | RequestExpired
    | LateResponse
    | OutbindReceived
    | AlertReceived
    | PeerUnbound
    | Closed
    | Violation
)
