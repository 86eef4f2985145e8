"""SMPP 3.4 session, sans-IO: bytes and the time go in, events and bytes come out; one class for both roles.

Decided here and in session_core.py: what is legal when (legality.py), which number a request gets, what an illegal or malformed
PDU is answered with, when the peer counts as gone. Not decided: who may bind, what a message means, when to reconnect.
SMPP 3.4 sections 2 (sessions), 3.1.1 (sequence numbers) and 7.2 (timers).

The application writes `data_to_send()` to the connection after every call, calls `tick` at `next_deadline()`, and closes the
connection when `close_expected`. After the end every call is harmless: answers are dropped, requests raise NotBound.
"""

from __future__ import annotations

import struct
from typing import Any

from gateway.smpp import events as e
from gateway.smpp.codec import DECODERS, ENCODERS, encode_as
from gateway.smpp.consts import HEADER_BYTES, RESPONSE_BIT, SEQUENCE_MAX, VERSION_3_4, CommandId, Status, Tag
from gateway.smpp.errors import FieldError, FrameError, LocalProtocolError
from gateway.smpp.layout import CLASSES
from gateway.smpp.legality import BINDS, BOUND, BOUND_STATES, TRAFFIC, UNANSWERED, Role, State
from gateway.smpp.pdu import EMPTY_TLVS, RESPONSES, Bind, GenericNack, Pdu, refusal
from gateway.smpp.session_core import OURS, Limits, Pending, SessionCore, effective_version

__all__ = ["Limits", "Role", "Session", "State"]

_unpack_header = struct.Struct(">4xLLL").unpack_from
_new = tuple.__new__
_NACK = int(CommandId.GENERIC_NACK)
_FRAME_HEX_BYTES_MAX = 512


class Session(SessionCore):
    """One connection's life, from OPEN to CLOSED."""

    __slots__ = ()

    # Answering.

    def respond(self, request: Pdu, response: Pdu) -> None:
        """Answer a request of the peer under its sequence number; after the session's end the answer is dropped."""
        if self._state is State.CLOSED:
            return
        sequence = request.sequence_number
        if response.command_id != request.command_id | RESPONSE_BIT and response.command_id != _NACK:
            raise LocalProtocolError(f"{type(response).__name__} does not answer {type(request).__name__}")
        open_count = self._owed.get(sequence, 0)
        if not open_count:
            raise LocalProtocolError(f"request {sequence} was answered already or never asked")
        if response.tlvs and self._peer_version < VERSION_3_4:
            response = response._replace(tlvs=EMPTY_TLVS)
        self._out.append(ENCODERS[type(response)](response, sequence))
        if open_count == 1:
            del self._owed[sequence]
        else:
            self._owed[sequence] = open_count - 1
        self._owed_count -= 1
        if self._peer_unbind is not None and self._is_even():
            self._answer_unbind()

    def accept_bind(self, request: Bind, system_id: str, now: float) -> None:
        """Let the ESME in. The answer names the version we speak, to peers that may know optional parameters."""
        if self._state is State.CLOSED:
            return
        self._check_bind(request)
        tlvs = {} if self._peer_version < VERSION_3_4 else {int(Tag.SC_INTERFACE_VERSION): bytes((self._peer_version,))}
        answer: Any = RESPONSES[request.command_id]
        self._out.append(encode_as(answer(system_id=system_id, tlvs=tlvs), request.sequence_number))
        self._bind_pending = None
        self._heard_at = self._active_at = now
        self._enter(BOUND_STATES[request.command_id])

    def refuse_bind(self, request: Bind, status: int) -> None:
        """Turn the ESME away; the connection closes after the answer, and Closed comes with the next tick or end of stream."""
        if self._state is State.CLOSED:
            return
        assert status, "a refusal needs an error status"
        self._check_bind(request)
        self._bind_pending = None
        self._out.append(encode_as(refusal(request.command_id, request.sequence_number, status), request.sequence_number))
        self._end(e.CloseReason.BIND_REFUSED)

    def _check_bind(self, request: Bind) -> None:
        if self._bind_pending is None or self._bind_pending.sequence_number != request.sequence_number:
            raise LocalProtocolError("this bind was not asked for, or answered already")

    # Receiving.

    def receive_data(self, data: bytes, now: float) -> list[e.Event]:
        """Take octets from the connection, however they are cut."""
        events: list[e.Event] = []
        self._now = now
        if self._state is State.CLOSED:
            self._tell_end(events)
            return events
        broken: FrameError | None = None
        try:
            frames = self._framer.feed(data)
        except FrameError as error:
            broken = error
            frames = error.frames_before
        if frames:
            self._heard_at = now
            self._take_frames(frames, now, events)
            if self._peer_unbind is not None and self._state is State.UNBINDING and self._is_even():
                self._answer_unbind()
        if self.close_expected:
            self._tell_end(events)
        elif broken is not None:
            self._lose_stream(broken, events)
        elif not self._framer.held:
            self._partial_since = None
        elif frames or self._partial_since is None:
            self._partial_since = now
        return events

    def receive_eof(self, now: float) -> list[e.Event]:
        """The connection is gone, for whatever reason."""
        events: list[e.Event] = []
        self._now = now
        if self._state is not State.CLOSED:
            self._end(e.CloseReason.CONNECTION_LOST)
        self._tell_end(events)
        return events

    def _take_frames(self, frames: list[bytes], now: float, events: list[e.Event]) -> None:
        append = events.append
        window = self._window
        owed = self._owed
        peer_window_max = self._limits.peer_window_max
        for frame in frames:
            command_id, status, sequence = _unpack_header(frame)
            if command_id & RESPONSE_BIT:
                pending = window.get(sequence)
                if pending is None or (command_id != pending[1].command_id | RESPONSE_BIT and command_id != _NACK):
                    self._take_other_response(frame, command_id, status, sequence, events)
                    if self._state is State.CLOSED:
                        return
                    continue
                del window[sequence]
                self._active_at = now
                context, request, sent_at = pending
                try:
                    response = DECODERS[command_id](frame, status, sequence, 0)
                except FieldError as error:
                    self._take_broken_response(error, frame, status, pending, events)
                    continue
                append(_new(e.ResponseReceived, (context, request, response, sent_at)))
                continue
            if command_id not in self._may_receive:
                self._refuse_illegal(frame, command_id, sequence, events)
                continue
            try:
                pdu = DECODERS[command_id](frame, status, sequence, self._sm_length_max)
            except FieldError as error:
                self._refuse(frame, command_id, sequence, error.status, error.reason, events)
                continue
            if command_id not in TRAFFIC:
                self._take_session_request(pdu, events)
                if self._state is State.CLOSED:
                    return
                continue
            self._active_at = now
            if self._owed_count >= peer_window_max:
                self._refuse(frame, command_id, sequence, Status.ESME_RTHROTTLED, "peer exceeds its window", events)
                continue
            if sequence in owed or not 0 < sequence <= SEQUENCE_MAX:
                append(_violation("sequence_number is out of range or repeated in flight", 0, frame))
            owed[sequence] = owed.get(sequence, 0) + 1
            self._owed_count += 1
            append(_new(e.RequestReceived, (pdu,)))

    def _take_session_request(self, pdu: Any, events: list[e.Event]) -> None:
        """Requests that are about the session itself."""
        command_id = pdu.command_id
        if command_id == CommandId.ENQUIRE_LINK:
            self._out.append(encode_as(RESPONSES[command_id](), pdu.sequence_number))
        elif command_id == CommandId.UNBIND:
            events.append(e.PeerUnbound())
            self._take_unbind(pdu.sequence_number)
        elif command_id == CommandId.OUTBIND:
            events.append(e.OutbindReceived(pdu))
        elif command_id == CommandId.ALERT_NOTIFICATION:
            self._active_at = self._now
            events.append(e.AlertReceived(pdu))
        elif self._bind_pending is not None:
            self._out.append(encode_as(refusal(command_id, pdu.sequence_number, Status.ESME_RALYBND), pdu.sequence_number))
        else:
            self._bind_pending = pdu
            self._settle_version(effective_version(pdu.interface_version))
            events.append(e.BindRequested(pdu))

    def _take_unbind(self, sequence: int) -> None:
        """Answer at once when nothing is owed; else when the application has answered, or the time for it is over."""
        self._peer_unbind = sequence
        if self._is_even() or (self._state is State.UNBINDING and not self._owed_count):
            self._answer_unbind()
            return
        if self._state is not State.UNBINDING:  # repeating unbind wins no time
            self._enter(State.UNBINDING)
            limits = self._limits
            self._unbind_deadline = self._now + (limits.unbind_timeout_s if self._owed_count else limits.drain_timeout_s)

    def _is_even(self) -> bool:
        """Whether an unbind of the peer can be answered. The ESME waits for its own answers too: what they say is never unknown then."""
        return not self._owed_count and (self.role is Role.SMSC or not self._window)

    def _take_broken_response(self, error: FieldError, frame: bytes, status: int, pending: Pending, events: list[e.Event]) -> None:
        """An unreadable answer: its status still counts when it is an error, else nobody knows what the peer did."""
        context, request, sent_at = pending
        events.append(_violation(error.reason, 0, frame))
        if status:
            answer = RESPONSES.get(request.command_id, GenericNack)(error.sequence_number, status)
            events.append(e.ResponseReceived(context, request, answer, sent_at))
        else:
            events.append(e.RequestExpired(context, request))

    def _take_other_response(self, frame: bytes, command_id: int, status: int, sequence: int, events: list[e.Event]) -> None:
        """Answers to bind, unbind and enquire_link, and those that answer nothing."""
        pending = self._control.get(sequence)
        if pending is None or command_id not in (pending[1].command_id | RESPONSE_BIT, _NACK):
            self._take_late_response(frame, command_id, status, sequence, events)
            return
        del self._control[sequence]
        context, request, sent_at = pending
        try:
            response = DECODERS[command_id](frame, status, sequence, 0)
        except FieldError as error:
            events.append(_violation(error.reason, 0, frame))
            response = GenericNack(sequence, status or error.status)
        if request.command_id in BINDS:
            self._take_bind_response(request, response, events)
            return
        if context is not OURS and context is not None:
            events.append(e.ResponseReceived(context, request, response, sent_at))
        if request.command_id == CommandId.UNBIND:
            self._end(e.CloseReason.UNBOUND)
            self._tell_end(events)
        else:
            self._enquired_at = None

    def _take_late_response(self, frame: bytes, command_id: int, status: int, sequence: int, events: list[e.Event]) -> None:
        """An answer after its time is still the truth; one that answers nothing is a violation."""
        pending = self._late.get(sequence)
        if pending is None or command_id not in (pending[1].command_id | RESPONSE_BIT, _NACK):
            events.append(_violation("response answers no request of ours", 0, frame))
            return
        del self._late[sequence]
        if pending[2] + 2 * self._limits.response_timeout_s <= self._now:
            events.append(_violation("response is far too late", 0, frame))
            return
        try:
            events.append(e.LateResponse(pending[0], pending[1], DECODERS[command_id](frame, status, sequence, 0)))
        except FieldError as error:
            events.append(_violation(error.reason, 0, frame))

    def _take_bind_response(self, request: Any, response: Any, events: list[e.Event]) -> None:
        if response.command_status or response.command_id == _NACK:
            events.append(e.BindRefused(response.command_status or int(Status.ESME_RBINDFAIL)))
            self._end(e.CloseReason.BIND_REFUSED)
            self._tell_end(events)
            return
        # COMPAT: many 3.4 SMSCs leave sc_interface_version out; taking them for 3.3 would drop vendor TLVs carriers ask for.
        declared = response.tlvs.get(Tag.SC_INTERFACE_VERSION)
        ours = effective_version(request.interface_version)
        self._settle_version(ours if declared is None else min(ours, effective_version(declared[0])))
        self._active_at = self._now
        self._enter(BOUND_STATES[request.command_id])
        events.append(e.Bound(response, self._state))

    def _refuse_illegal(self, frame: bytes, command_id: int, sequence: int, events: list[e.Event]) -> None:
        if command_id not in CLASSES:
            self._refuse(frame, command_id, sequence, Status.ESME_RINVCMDID, f"command_id 0x{command_id:08X} is unknown", events)
        elif command_id in UNANSWERED:
            events.append(_violation(f"{CLASSES[command_id].__name__} in state {self._state.value}", 0, frame))
        else:
            status = self._why_illegal(command_id)
            self._refuse(frame, command_id, sequence, status, f"{CLASSES[command_id].__name__} in state {self._state.value}", events)

    def _why_illegal(self, command_id: int) -> Status:
        if command_id in BINDS and self.role is Role.SMSC and self._state in BOUND:
            return Status.ESME_RALYBND
        if command_id in TRAFFIC and self.role is Role.ESME and self._state is State.UNBINDING and self._peer_unbind is None:
            # It crossed our unbind: a refusal for good would cost a phone its message, one for now makes the SMSC keep it.
            return Status.ESME_RX_T_APPN
        return Status.ESME_RINVBNDSTS

    def _refuse(self, frame: bytes, command_id: int, sequence: int, status: int, reason: str, events: list[e.Event]) -> None:
        if command_id in UNANSWERED:
            status = 0
        else:
            self._out.append(encode_as(refusal(command_id, sequence, status), sequence))
        events.append(_violation(reason, status, frame))

    def _lose_stream(self, error: FrameError, events: list[e.Event]) -> None:
        self._out.append(encode_as(GenericNack(0, error.status), error.sequence_number))
        events.append(e.Violation(error.reason, error.status, ""))
        self._end(e.CloseReason.BAD_FRAME)
        self._tell_end(events)


def _violation(reason: str, status: int, frame: bytes) -> e.Violation:
    """Only the header of a bind is shown: its body holds the password."""
    command_id = int.from_bytes(frame[4:8], "big")
    is_secret = command_id in BINDS or command_id == CommandId.OUTBIND
    return e.Violation(reason, status, frame[: HEADER_BYTES if is_secret else _FRAME_HEX_BYTES_MAX].hex())
