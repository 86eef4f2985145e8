"""Who may send which request when: SMPP 3.4 section 2.3, table 2-1, as a table by role and state.

Kinder than the table in one point: replace_sm is allowed on a transceiver bind too (the table forgets it, every SMSC takes it).
enquire_link is not allowed before a bind: that is 5.0's rule, and which version the peer speaks is not known until it binds.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from gateway.smpp.consts import CommandId as C


class Role(Enum):
    """Which end of the session we are."""

    ESME = "esme"
    SMSC = "smsc"

    @property
    def peer(self) -> Role:
        """The role of the other end."""
        return Role.SMSC if self is Role.ESME else Role.ESME


class State(Enum):
    """Where the session is; BOUND_TX means that the ESME transmits, on both ends."""

    OPEN = "open"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    CLOSED = "closed"


Commands = frozenset[int]

BINDS: Final[Commands] = frozenset({C.BIND_TRANSMITTER, C.BIND_RECEIVER, C.BIND_TRANSCEIVER})
_EITHER: Final[Commands] = frozenset({C.ENQUIRE_LINK, C.UNBIND})
_ESME_SENDS: Final[Commands] = frozenset({C.SUBMIT_SM, C.SUBMIT_MULTI, C.DATA_SM, C.QUERY_SM, C.CANCEL_SM, C.REPLACE_SM})
_SMSC_SENDS: Final[Commands] = frozenset({C.DELIVER_SM, C.DATA_SM, C.ALERT_NOTIFICATION})
_NOTHING: Final[Commands] = frozenset()

MAY_SEND: Final[dict[tuple[Role, State], Commands]] = {
    (Role.ESME, State.OPEN): BINDS,
    (Role.ESME, State.BOUND_TX): _EITHER | _ESME_SENDS,
    (Role.ESME, State.BOUND_RX): _EITHER,
    (Role.ESME, State.BOUND_TRX): _EITHER | _ESME_SENDS,
    (Role.ESME, State.UNBINDING): _NOTHING,
    (Role.ESME, State.CLOSED): _NOTHING,
    (Role.SMSC, State.OPEN): frozenset({C.OUTBIND}),
    (Role.SMSC, State.BOUND_TX): _EITHER,
    (Role.SMSC, State.BOUND_RX): _EITHER | _SMSC_SENDS,
    (Role.SMSC, State.BOUND_TRX): _EITHER | _SMSC_SENDS,
    (Role.SMSC, State.UNBINDING): _NOTHING,
    (Role.SMSC, State.CLOSED): _NOTHING,
}

# What we take from the peer: what it may send, and while one of us unbinds at least the two that end or prove a connection.
MAY_RECEIVE: Final[dict[tuple[Role, State], Commands]] = {
    (role, state): _EITHER if state is State.UNBINDING else MAY_SEND[role.peer, state] for role, state in MAY_SEND
}

# Requests the application answers; they count against the peer's window.
TRAFFIC: Final[Commands] = (_ESME_SENDS | _SMSC_SENDS) - {C.ALERT_NOTIFICATION}
# Requests of ours that take no slot of the window, and those of them that have no answer.
WINDOWLESS: Final[Commands] = BINDS | _EITHER | {C.OUTBIND, C.ALERT_NOTIFICATION}
UNANSWERED: Final[Commands] = frozenset({C.OUTBIND, C.ALERT_NOTIFICATION})

BOUND_STATES: Final[dict[int, State]] = {
    C.BIND_TRANSMITTER: State.BOUND_TX,
    C.BIND_RECEIVER: State.BOUND_RX,
    C.BIND_TRANSCEIVER: State.BOUND_TRX,
}
BOUND: Final[frozenset[State]] = frozenset(BOUND_STATES.values())
