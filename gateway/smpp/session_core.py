"""What a session is made of: state, window, sequence numbers, sending, timers and its end.

Timers are data: `next_deadline` names the moment, `tick` acts on it. SMPP 3.4 sections 2, 3.1.1 and 7.2. `session.py` adds
what is received.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.smpp import events as e
from gateway.smpp.codec import ENCODERS, encode_as
from gateway.smpp.consts import (
    SEQUENCE_MAX,
    SM_LENGTH_MAX,
    SM_LENGTH_MAX_5_0,
    VERSION_3_3,
    VERSION_3_4,
    VERSION_5_0,
    CommandId,
    Tag,
)
from gateway.smpp.errors import LocalProtocolError, NotBound, WindowFull
from gateway.smpp.framer import Framer
from gateway.smpp.legality import BINDS, BOUND, MAY_RECEIVE, MAY_SEND, UNANSWERED, WINDOWLESS, Role, State
from gateway.smpp.pdu import EMPTY_TLVS, RESPONSES, Bind, EnquireLink, Pdu, Unbind

OURS = object()  # context of the enquire_link and unbind that the session sends by itself

Pending = tuple[object, Pdu, float]  # context, request, sent at


class Limits(NamedTuple):
    """Every limit of a session; 0 switches enquire_link_s and inactivity_timeout_s off.

    An enquire_link_timeout_s of 0 is response_timeout_s. drain_timeout_s is for the ESME: how long its answer to the SMSC's unbind waits
    for the answers it is still owed itself.
    """

    window_max: int = 10
    peer_window_max: int = 1000
    frame_bytes_max: int = 65536
    session_init_timeout_s: float = 10
    response_timeout_s: float = 60
    enquire_link_s: float = 30
    inactivity_timeout_s: float = 0
    pdu_timeout_s: float = 10
    unbind_timeout_s: float = 5
    enquire_link_timeout_s: float = 0
    drain_timeout_s: float = 4


class SessionCore:
    """One connection's life, from OPEN to CLOSED, without what is received."""

    __slots__ = (
        "_active_at", "_bind_pending", "_close_reason", "_control", "_enquired_at", "_framer", "_heard_at", "_is_bound", "_is_told",
        "_late", "_limits", "_may_receive", "_may_send", "_now", "_opened_at", "_out", "_owed", "_owed_count", "_partial_since",
        "_peer_unbind", "_peer_version", "_sequence", "_sm_length_max", "_state", "_unbind_deadline", "_window", "_window_max",
        "close_expected", "role",
    )  # fmt: skip

    def __init__(self, role: Role, limits: Limits, *, now: float, first_sequence: int = 1) -> None:
        assert limits.window_max > 0
        assert limits.peer_window_max > 0
        assert 0 < first_sequence <= SEQUENCE_MAX
        self.role = role
        self.close_expected = False
        self._limits = limits
        self._window_max = limits.window_max
        self._framer = Framer(limits.frame_bytes_max)
        self._out: list[bytes] = []
        self._window: dict[int, Pending] = {}  # in order of sending, which is the order of deadlines
        self._late: dict[int, Pending] = {}  # expired, and for as long again known should an answer come after all
        self._control: dict[int, Pending] = {}  # bind, unbind, enquire_link of ours
        self._owed: dict[int, int] = {}  # the peer's sequence numbers we have not answered, and how often each is open
        self._owed_count = 0
        self._sequence = first_sequence
        self._peer_version = VERSION_3_4
        self._sm_length_max = SM_LENGTH_MAX
        self._bind_pending: Bind | None = None
        self._peer_unbind: int | None = None
        self._now = self._opened_at = self._heard_at = self._active_at = now
        self._partial_since: float | None = None
        self._enquired_at: float | None = None
        self._unbind_deadline = now
        self._close_reason: e.CloseReason | None = None
        self._is_told = False
        self._enter(State.OPEN)

    # What the application may ask.

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def window_free(self) -> int:
        """How many requests may be sent now; 0 when not bound."""
        free = self._window_max - len(self._window)
        return free if free > 0 and self._is_bound else 0

    @property
    def in_flight(self) -> int:
        """Our requests without an answer (binds, unbind and enquire_link not counted)."""
        return len(self._window)

    @property
    def can_receive(self) -> bool:
        """Whether deliver_sm may be sent to this peer now."""
        return CommandId.DELIVER_SM in self._may_send

    @property
    def peer_interface_version(self) -> int:
        """0x33, 0x34 or 0x50: what the peer declared, brought down to what we speak (0x34 until it has declared any)."""
        return self._peer_version

    def resize_peer_window(self, peer_window_max: int) -> None:
        """From now on the peer may have so many requests unanswered; those over it are throttled."""
        assert peer_window_max > 0
        self._limits = self._limits._replace(peer_window_max=peer_window_max)

    def resize_window(self, window_max: int) -> None:
        """From now on this many requests may be unanswered; what is over it stays and is answered."""
        assert window_max > 0
        self._window_max = window_max

    def data_to_send(self) -> bytes:
        """Take what is to be written to the connection now."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    # Sending.

    def send_request(self, pdu: Pdu, now: float, context: object = None) -> int:
        """Send a request and return its sequence number; raises NotBound, WindowFull or LocalProtocolError, having sent nothing."""
        command_id = pdu.command_id
        if command_id not in self._may_send:
            raise NotBound(f"{type(pdu).__name__} is not allowed as {self.role.value} in state {self._state.value}")
        if pdu.tlvs and self._peer_version < VERSION_3_4:
            pdu = _without_tlvs(pdu)
        if command_id in WINDOWLESS:
            return self._send_control(pdu, now, context)
        window = self._window
        if len(window) >= self._window_max:
            raise WindowFull(f"{len(window)} requests are unanswered")
        sequence = self._free_sequence()
        self._out.append(ENCODERS[type(pdu)](pdu, sequence))
        window[sequence] = (context, pdu, now)
        self._active_at = now
        self._sequence = sequence + 1
        return sequence

    def _free_sequence(self) -> int:
        """The next number not in flight; after 0x7FFFFFFF comes 1."""
        sequence = self._sequence
        window = self._window
        control = self._control
        while sequence in window or sequence in control or sequence > SEQUENCE_MAX:
            sequence = 1 if sequence >= SEQUENCE_MAX else sequence + 1
        return sequence

    def _send_control(self, pdu: Pdu, now: float, context: object) -> int:
        if pdu.command_id in BINDS and self._control:
            raise LocalProtocolError("a bind is already on its way")
        sequence = self._free_sequence()
        self._out.append(encode_as(pdu, sequence))
        self._sequence = sequence + 1
        if pdu.command_id not in UNANSWERED:
            self._control[sequence] = (context, pdu, now)
        if isinstance(pdu, Unbind):
            self._enter(State.UNBINDING)
            self._unbind_deadline = now + self._limits.unbind_timeout_s
        elif isinstance(pdu, EnquireLink) and self._enquired_at is None:
            self._enquired_at = now
        return sequence

    # Time.

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, None for never; a time gone by means at once."""
        state = self._state
        limits = self._limits
        if state is State.CLOSED:
            return None if self._is_told else self._now
        due: list[float] = []
        if self._partial_since is not None:
            due.append(self._partial_since + limits.pdu_timeout_s)
        if self._window:
            due.append(next(iter(self._window.values()))[2] + limits.response_timeout_s)
        if state is State.OPEN:
            due.append(self._opened_at + limits.session_init_timeout_s)
        elif state is State.UNBINDING:
            due.append(self._unbind_deadline)
        else:
            if self._enquired_at is not None:
                due.append(self._enquired_at + self._enquire_link_timeout_s())
            elif limits.enquire_link_s:
                due.append(self._heard_at + limits.enquire_link_s)
            if limits.inactivity_timeout_s:
                due.append(self._active_at + limits.inactivity_timeout_s)
        return min(due) if due else None

    def tick(self, now: float) -> list[e.Event]:
        """Do what is due: give up late requests, ask whether the peer lives, end a session that is stuck."""
        self._now = now
        events: list[e.Event] = []
        if self._state is not State.CLOSED:
            self._expire_requests(now, events)
            reason = self._overdue(now)
            if reason is not None:
                self._end(reason)
            elif self._state in BOUND:
                self._prove_life(now)
        if self._state is State.CLOSED:
            self._tell_end(events)
        return events

    def _expire_requests(self, now: float, events: list[e.Event]) -> None:
        window = self._window
        timeout = self._limits.response_timeout_s
        late: list[int] = []
        for sequence, pending in window.items():
            if pending[2] + timeout > now:
                break
            late.append(sequence)
        if late:
            self._late = {sequence: pending for sequence, pending in self._late.items() if pending[2] + 2 * timeout > now}
        for sequence in late:
            pending = self._late[sequence] = window.pop(sequence)
            events.append(e.RequestExpired(pending[0], pending[1]))

    def _overdue(self, now: float) -> e.CloseReason | None:
        """The reason to close now, if there is one."""
        limits = self._limits
        if self._partial_since is not None and self._partial_since + limits.pdu_timeout_s <= now:
            return e.CloseReason.PDU_TIMEOUT
        if self._state is State.OPEN and self._opened_at + limits.session_init_timeout_s <= now:
            return e.CloseReason.SESSION_INIT_TIMEOUT
        if self._state is State.UNBINDING and self._unbind_deadline <= now:
            if self._peer_unbind is None:
                return e.CloseReason.UNBIND_TIMEOUT
            self._answer_unbind()
        elif self._enquired_at is not None and self._state in BOUND and self._enquired_at + self._enquire_link_timeout_s() <= now:
            return e.CloseReason.ENQUIRE_LINK_TIMEOUT
        return None

    def _enquire_link_timeout_s(self) -> float:
        return self._limits.enquire_link_timeout_s or self._limits.response_timeout_s

    def _prove_life(self, now: float) -> None:
        """Unbind a session on which only enquire_link moves; ask a silent peer whether it is there."""
        limits = self._limits
        if limits.inactivity_timeout_s and self._active_at + limits.inactivity_timeout_s <= now:
            self._send_control(Unbind(), now, OURS)
        elif limits.enquire_link_s and self._enquired_at is None and self._heard_at + limits.enquire_link_s <= now:
            self._send_control(EnquireLink(), now, OURS)

    # The end.

    def _answer_unbind(self) -> None:
        assert self._peer_unbind is not None
        self._out.append(encode_as(RESPONSES[CommandId.UNBIND](), self._peer_unbind))
        self._end(e.CloseReason.PEER_UNBOUND)

    def _end(self, reason: e.CloseReason) -> None:
        if self._state is State.CLOSED:
            return
        self._close_reason = reason
        self._partial_since = None
        self.close_expected = True
        self._enter(State.CLOSED)

    def _tell_end(self, events: list[e.Event]) -> None:
        """Emit Closed, the first time."""
        if self._is_told:
            return
        assert self._close_reason is not None
        self._is_told = True
        unanswered = [(context, request) for context, request, _ in self._window.values()]
        self._window.clear()
        self._control.clear()
        events.append(e.Closed(self._close_reason, unanswered))

    def _enter(self, state: State) -> None:
        self._state = state
        self._is_bound = state in BOUND
        self._may_send = MAY_SEND[self.role, state]
        self._may_receive = MAY_RECEIVE[self.role, state]

    def _settle_version(self, version: int) -> None:
        self._peer_version = version
        self._sm_length_max = SM_LENGTH_MAX_5_0 if version >= VERSION_5_0 else SM_LENGTH_MAX


def effective_version(declared: int) -> int:
    """The version to speak with a peer that declares this one; none is refused (0x00 is 3.3, 0x51 is 5.0)."""
    if declared < VERSION_3_4:
        return VERSION_3_3
    return VERSION_5_0 if declared >= VERSION_5_0 else VERSION_3_4


def _without_tlvs(pdu: Pdu) -> Pdu:
    """For a peer of 3.3; content that would be lost with them is an error instead."""
    if Tag.MESSAGE_PAYLOAD in pdu.tlvs:
        raise LocalProtocolError("message_payload cannot be sent to a peer of SMPP 3.3")
    return pdu._replace(tlvs=EMPTY_TLVS)
