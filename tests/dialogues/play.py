"""Runs a play: a text of who sends, sees and gets what, performed by an ESME session (Gateway) and an SMSC session (Operator).

Lines (a # begins a comment; values are the field's own, text in double quotes):
  Limits window_max=2 response_timeout_s=10             before anything else
  Gateway counts from 0x7FFFFFFF                        its requests begin with this number; before anything else
  Gateway binds as transceiver [interface_version=0x34] sends the bind, and the Operator accepts it
  Gateway sends submit_sm short_message="hi" as #1      a request by the session
  Gateway cannot send submit_sm                         the session refuses to
  Operator answers #1 ok message_id=A7                  or with a status: ESME_RTHROTTLED
  Operator accepts #1 | Operator refuses #1 ESME_...    a bind
  Operator writes 00000010...                           raw octets onto the wire
  Operator falls silent                                 it reads and writes nothing any more
  Operator hangs up                                     the other side meets the end of the stream
  Gateway sees ResponseReceived context=#1              the next event of that name, by its fields
  Gateway gets submit_sm_resp status=ESME_ROK seq=1     the next PDU of that name on the wire towards it
  Gateway sees nothing | Gateway gets nothing           nothing is left
  Gateway is bound_trx | Gateway closes                 the session's state
  Time passes 9.9 s
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

from gateway.smpp import events
from gateway.smpp.consts import Status, Tag
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.layout import CLASSES
from gateway.smpp.pdu import RESPONSES, Pdu, decode
from gateway.smpp.session import Limits, Role, Session


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


COMMANDS: dict[str, Any] = {_snake(cls.__name__): cls for cls in CLASSES.values()}


class Side:
    """One actor: its session, and what it has seen and got so far."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[events.Event] = []
        self.got: list[Pdu] = []
        self.requests: dict[int, Any] = {}
        self.is_silent = False

    def note(self, seen: list[events.Event]) -> None:
        """Remember events, and the requests among them for answering."""
        self.events += seen
        for event in seen:
            if isinstance(event, events.RequestReceived | events.BindRequested):
                self.requests[event.pdu.sequence_number] = event.pdu


class Play:
    """Performs line by line; a failing line is named in the error."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 100.0
        self.labels: dict[str, int] = {}
        self.start(limits or Limits())

    def start(self, limits: Limits) -> None:
        """Put two fresh sessions on the stage."""
        self.limits = limits
        self.sides = {
            "Gateway": Side(Session(Role.ESME, limits, now=self.now)),
            "Operator": Side(Session(Role.SMSC, limits, now=self.now)),
        }

    def perform(self, text: str) -> None:
        """Perform all lines of a play."""
        for number, line in enumerate(text.splitlines(), 1):
            words = shlex.split(line, comments=False) if line.strip() and not line.startswith("#") else []
            if not words:
                continue
            try:
                self._line(words)
            except AssertionError as error:
                raise AssertionError(f"line {number}: {line}\n{error}") from error

    def _line(self, words: list[str]) -> None:
        if words[0] == "Limits":
            given = {name: float(value) for name, value in (word.split("=") for word in words[1:])}
            self.start(Limits(**{name: int(value) if name.endswith("_max") else value for name, value in given.items()}))
        elif words[0] == "Time":
            self.now += float(words[2])
            self._tick()
        else:
            verbs: dict[str, Callable[[str, list[str]], None]] = {
                "counts": self._counts, "binds": self._binds, "sends": self._sends, "cannot": self._cannot, "answers": self._answers,
                "accepts": self._accepts, "refuses": self._refuses, "writes": self._writes, "falls": self._falls,
                "hangs": self._hangs, "sees": self._sees, "gets": self._gets, "is": self._is, "closes": self._closes,
            }  # fmt: skip
            verbs[words[1]](words[0], words[2:])
        self._pump()

    def _other(self, name: str) -> Side:
        return self.sides["Operator" if name == "Gateway" else "Gateway"]

    def _tick(self) -> None:
        for side in self.sides.values():
            deadline = side.session.next_deadline()
            if deadline is not None and deadline <= self.now:
                side.note(side.session.tick(self.now))

    def _pump(self) -> None:
        """Carry octets both ways until nobody has any."""
        moved = True
        while moved:
            moved = False
            for name, side in self.sides.items():
                data = side.session.data_to_send()
                if data and not side.is_silent:
                    moved = True
                    self._carry(name, data)

    def _carry(self, sender: str, data: bytes) -> None:
        receiver = self._other(sender)
        if receiver.is_silent:
            return
        start = 0
        while len(data) - start >= 16:
            end = start + int.from_bytes(data[start : start + 4], "big")
            receiver.got.append(decode(data[start:end]))
            start = end
        receiver.note(receiver.session.receive_data(data, self.now))

    def _values(self, words: list[str], cls: Any) -> dict[str, Any]:
        values: dict[str, Any] = {}
        tlvs: dict[int, bytes] = {}
        for word in words:
            name, text = word.split("=", 1)
            if name.isupper():
                tlvs[int(Tag[name])] = bytes.fromhex(text)
                continue
            default = cls._field_defaults[name]
            values[name] = int(text, 0) if isinstance(default, int) else text.encode() if isinstance(default, bytes) else text
        return values | ({"tlvs": tlvs} if tlvs else {})

    def _send(self, actor: str, words: list[str]) -> int:
        if "as" in words:
            at = words.index("as")
            words, label = words[:at], words[at + 1]
        else:
            label = "#"
        cls = COMMANDS[words[0]]
        sequence = self.sides[actor].session.send_request(cls(**self._values(words[1:], cls)), self.now, context=label)
        self.labels[label] = sequence
        return sequence

    def _counts(self, actor: str, words: list[str]) -> None:
        role = self.sides[actor].session.role
        self.sides[actor] = Side(Session(role, self.limits, now=self.now, first_sequence=int(words[1], 0)))

    def _binds(self, actor: str, words: list[str]) -> None:
        sequence = self._send(actor, [f"bind_{words[1]}", "system_id=partner", "password=secret", *words[2:]])
        self._pump()
        operator = self._other(actor)
        operator.session.accept_bind(operator.requests[sequence], "operator", self.now)
        self._pump()
        for side in self.sides.values():
            side.events.clear()
            side.got.clear()

    def _sends(self, actor: str, words: list[str]) -> None:
        self._send(actor, words)

    def _cannot(self, actor: str, words: list[str]) -> None:
        try:
            self._send(actor, words[1:])
        except LocalProtocolError:
            return
        raise AssertionError("it was sent")

    def _request(self, actor: str, label: str) -> Any:
        requests = self.sides[actor].requests
        sequence = self.labels[label]
        assert sequence in requests, f"no request {label} arrived"
        return requests[sequence]

    def _answers(self, actor: str, words: list[str]) -> None:
        request = self._request(actor, words[0])
        cls: Any = RESPONSES[request.command_id]
        status = 0 if words[1] == "ok" else int(Status[words[1]])
        self.sides[actor].session.respond(request, cls(command_status=status, **self._values(words[2:], cls)))

    def _accepts(self, actor: str, words: list[str]) -> None:
        self.sides[actor].session.accept_bind(self._request(actor, words[0]), "operator", self.now)

    def _refuses(self, actor: str, words: list[str]) -> None:
        self.sides[actor].session.refuse_bind(self._request(actor, words[0]), int(Status[words[1]]))

    def _writes(self, actor: str, words: list[str]) -> None:
        other = self._other(actor)
        other.note(other.session.receive_data(bytes.fromhex("".join(words)), self.now))

    def _falls(self, actor: str, words: list[str]) -> None:
        self.sides[actor].is_silent = True

    def _hangs(self, actor: str, words: list[str]) -> None:
        other = self._other(actor)
        other.note(other.session.receive_eof(self.now))

    def _sees(self, actor: str, words: list[str]) -> None:
        seen = self.sides[actor].events
        if words[0] == "nothing":
            assert not seen, f"it sees {seen}"
            return
        index = next((at for at, event in enumerate(seen) if type(event).__name__ == words[0]), None)
        assert index is not None, f"it sees only {seen}"
        event = seen[index]
        del seen[: index + 1]
        for word in words[1:]:
            name, expected = word.split("=", 1)
            found = self._field(event, name)
            assert found == expected, f"{name} is {found}"

    @staticmethod
    def _field(event: Any, name: str) -> str:
        if name == "unanswered":
            return ",".join(str(context) for context, _ in event.unanswered) or "none"
        if name == "answer":
            return Status(event.response.command_status).name
        if name == "pdu":
            return _snake(type(event.pdu).__name__)
        if name == "status":
            return Status(event.status).name
        value = getattr(event, name)
        return value.value if hasattr(value, "value") else str(value)

    def _gets(self, actor: str, words: list[str]) -> None:
        got = self.sides[actor].got
        if words[0] == "nothing":
            assert not got, f"it gets {got}"
            return
        index = next((at for at, pdu in enumerate(got) if isinstance(pdu, COMMANDS[words[0]])), None)
        assert index is not None, f"it gets only {got}"
        pdu = got[index]
        del got[: index + 1]
        for word in words[1:]:
            name, expected = word.split("=", 1)
            found = self._pdu_field(pdu, name)
            assert found == expected, f"{name} is {found}"

    @staticmethod
    def _pdu_field(pdu: Any, name: str) -> str:
        if name == "status":
            return Status(pdu.command_status).name
        if name == "seq":
            return str(pdu.sequence_number)
        if name == "tlvs":
            return ",".join(f"{tag:04x}:{value.hex()}" for tag, value in pdu.tlvs.items()) or "none"
        return str(getattr(pdu, name))

    def _is(self, actor: str, words: list[str]) -> None:
        state = self.sides[actor].session.state.value
        assert state == words[0], f"it is {state}"

    def _closes(self, actor: str, words: list[str]) -> None:
        assert self.sides[actor].session.close_expected, "it does not"
