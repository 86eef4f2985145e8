"""The SMSC that a graded ESME binds to: takes its connections and binds as the case at hand says, and answers its submit_sm."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.smpp import pdu as p
from gateway.smpp.consts import RESPONSE_BIT, CommandId
from gateway.world import Listener, World
from simulators.conform.case import Failed, NotTested
from simulators.conform.octets import cstring, message_body
from simulators.conform.probe import Probe
from simulators.conform.subject import Subject
from simulators.conform.wire import Frame, Line, Wire, frame

BINDS = frozenset({CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER})
RECEIVING = frozenset({CommandId.BIND_RECEIVER, CommandId.BIND_TRANSCEIVER})
SENDING = frozenset({CommandId.BIND_TRANSMITTER, CommandId.BIND_TRANSCEIVER})
# What becomes of a submit_sm: its status and message_id; None: it is not answered.
Verdict = tuple[int, str] | None


class PeerWire(Wire):
    """A connection that the ESME opened."""

    def __init__(self, host: EsmeHost, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._host = host
        self.bind: Frame | None = None
        self.submits: list[Frame] = []
        self._owed: dict[int, Frame] = {}
        self.verdict: Callable[[Frame], Verdict] = host.accept
        self.on_frame = self._hear

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._note("the ESME connected")
        self._host.connected(self)

    def _hear(self, got: Frame) -> bool:
        if got.command_id in BINDS:
            self.bind = got
            status = self._host.bind_status
            if status is not None:
                self.answer(got, status, cstring("conform") if status == 0 else b"")
                if status:
                    self._transport.close()
            return True
        if got.command_id == CommandId.SUBMIT_SM:
            self._owed[got.sequence_number] = got
            if self._host.is_left_over(got):
                self.respond(got, self._host.accept(got))
                return True
            self.submits.append(got)
            verdict = self.verdict(got)
            if verdict is not None:
                self.respond(got, verdict)
            return True
        if got.command_id == CommandId.UNBIND:
            self.answer(got)
            self._transport.close()
            return True
        return False

    def respond(self, submit: Frame, verdict: tuple[int, str]) -> None:
        """Answer a submit_sm."""
        status, message_id = verdict
        self.answer(submit, status, cstring(message_id) if status == 0 else b"")

    def answer(self, request: Frame, status: int = 0, body: bytes | None = None) -> None:
        if request.command_id == CommandId.SUBMIT_SM:
            self._owed.pop(request.sequence_number, None)
        super().answer(request, status, body)

    def nack(self, submit: Frame, status: int) -> None:
        """Answer a submit_sm with generic_nack."""
        self._owed.pop(submit.sequence_number, None)
        self.send_octets(frame(CommandId.GENERIC_NACK, sequence=submit.sequence_number, status=status))

    def settle(self) -> None:
        """Take what is not answered yet, so that it is in nobody's window."""
        for submit in list(self._owed.values()):
            self.respond(submit, self._host.accept(submit))

    def keep_evidence(self, evidence: list[Line]) -> None:
        """Write down for another case from now on."""
        self._evidence = evidence


class EsmeHost:
    """The listening side, over all cases of a run."""

    def __init__(self, world: World, subject: Subject) -> None:
        self._world = world
        self._subject = subject
        self._listener: Listener | None = None
        self._ids = 0
        self.evidence: list[Line] = []
        self.bind_status: int | None = 0
        self.wires: list[PeerWire] = []
        self.arrivals: deque[float] = deque(maxlen=1_000)
        self.new_texts: set[bytes] = set()  # what the case at hand made the ESME send
        self._old_texts: set[bytes] = set()  # and those before it

    @property
    def port(self) -> int:
        """Where the ESME must connect."""
        return self._listener.port if self._listener is not None else 0

    async def open(self) -> None:
        """Listen; raises OSError."""
        self._listener = await self._world.network.listen(self.make, self._subject.host, self._subject.port)

    def close(self) -> None:
        """Close the door and break off what is open."""
        if self._listener is not None:
            self._listener.close()
        for wire in self.wires:
            wire.reset()

    def make(self) -> PeerWire:
        """The protocol of a new connection."""
        return PeerWire(self, self._world.clock, self.evidence, self._subject.timeout_s)

    def connected(self, wire: PeerWire) -> None:
        """A connection came."""
        self.wires = [each for each in self.wires if not each.is_closed] + [wire]
        self.arrivals.append(self._world.clock.monotonic())

    def accept(self, _submit: Frame) -> tuple[int, str]:
        """The verdict that takes a message."""
        self._ids += 1
        return 0, f"{0xC0FFEE00 + self._ids:X}"

    def is_left_over(self, submit: Frame) -> bool:
        """Whether an earlier case had it sent: an ESME may try again what was refused, or never answered, long after."""
        return isinstance(submit.pdu, p.SubmitSm) and text_of(submit) in self._old_texts

    def begin(self, evidence: list[Line]) -> None:
        """A case begins: its evidence is written from now on, and everything answers as it should."""
        self.evidence = evidence
        self._old_texts |= self.new_texts
        self.new_texts = set()
        if self.bind_status != 0:
            self.drop_all()
        self.bind_status = 0
        for wire in self.wires:
            wire.keep_evidence(evidence)
            wire.verdict, wire.delivery_status, wire.is_polite = self.accept, 0, True
            wire.settle()
            wire.submits.clear()
            wire.inbox.clear()

    def drop_all(self) -> None:
        """Break off every connection: the ESME has to come back."""
        for wire in self.wires:
            wire.reset()
        self.wires = []


class EsmeProbe(Probe):
    """What a case about an ESME has at hand."""

    def __init__(self, world: World, subject: Subject, host: EsmeHost) -> None:
        super().__init__(world, subject)
        self.host = host
        host.begin(self.evidence)

    def make_peer_wire(self) -> PeerWire:
        """A connection of ours on which the ESME is expected to bind; broken off with the case."""
        wire = self.host.make()
        self._wires.append(wire)
        return wire

    async def until(self, look: Callable[[], bool], timeout_s: float) -> bool:
        """Whether it comes true in time."""
        deadline = self.world.clock.monotonic() + timeout_s
        while not look():
            if self.world.clock.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.005)
        return True

    async def peer(self, kinds: frozenset[int] = RECEIVING | SENDING) -> PeerWire:
        """A bound connection of the ESME's; raises Failed when none comes."""
        found: list[PeerWire] = []

        def look() -> bool:
            found[:] = [wire for wire in self.host.wires if not wire.is_closed and wire.bind is not None and wire.bind.command_id in kinds]
            return bool(found)

        if not await self.until(look, self.subject.patience_s):
            raise NotTested(f"no ESME bound to {self.subject.host}:{self.host.port} within {self.subject.patience_s:g} s")
        return found[-1]

    async def have_it_send(self, *texts: str, to: str | None = None) -> None:
        """Have the ESME submit messages."""
        send = self.need(self.subject.triggers.send, "--send-command")
        for text in texts:
            self.host.new_texts |= {text.encode("latin-1", "replace"), text.encode("utf-16-be")}
            await send(to or self.subject.destination, text)

    async def submits(self, wire: PeerWire, count: int, timeout_s: float | None = None) -> list[Frame]:
        """So many submit_sm of the ESME's; raises Failed when fewer come."""
        patience = self.subject.patience_s if timeout_s is None else timeout_s
        if not await self.until(lambda: len(wire.submits) >= count or wire.is_closed, patience) or len(wire.submits) < count:
            raise Failed(f"{len(wire.submits)} submit_sm came, expected {count}")
        return wire.submits[:count]

    def deliver(self, text: bytes = b"from a phone", **fields: Any) -> bytes:
        """The body of a deliver_sm from the test number."""
        return message_body(self.subject.destination, self.subject.source, text, **fields)

    async def delivered(self, wire: PeerWire, body: bytes, what: str, allowed: tuple[int, ...] = (0,)) -> Frame:
        """Send a deliver_sm and look at its answer."""
        answer = await wire.ask_octets(CommandId.DELIVER_SM, body)
        self.expect_kind(answer, CommandId.DELIVER_SM | RESPONSE_BIT, what)
        self.expect_status(answer, allowed, what)
        return answer

    def receipt(self, message_id: str, stat: str = "DELIVRD", text: str | None = None) -> bytes:
        """The body of a receipt."""
        told = text or (f"id:{message_id} sub:001 dlvrd:001 submit date:2611230900 done date:2611230901 stat:{stat} err:000 text:")
        return self.deliver(told.encode(), esm_class=0x04)


def of_esme(probe: Probe) -> EsmeProbe:
    """The probe of a case about an ESME."""
    assert isinstance(probe, EsmeProbe)
    return probe


def text_of(submit: Frame) -> bytes:
    """The octets that a submit_sm carries."""
    if not isinstance(submit.pdu, p.SubmitSm):
        raise Failed(f"a submit_sm cannot be read: {submit.fault}")
    return submit.pdu.short_message or (submit.pdu.tlvs or {}).get(0x0424, b"")
