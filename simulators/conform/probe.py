"""What a case has at hand: connections to the peer, binds, messages, and expectations with a clear text when they are not met."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, TypeVar

from gateway.smpp import pdu as p
from gateway.smpp.consts import status_name
from gateway.world import World
from simulators.conform.case import Failed, NotTested
from simulators.conform.subject import Account, Subject
from simulators.conform.wire import Frame, Line, Wire, name_of

Value = TypeVar("Value")

BINDS: dict[str, type[p.BindTransmitter | p.BindReceiver | p.BindTransceiver]] = {
    "tx": p.BindTransmitter,
    "rx": p.BindReceiver,
    "trx": p.BindTransceiver,
}
RECEIPT = 1


class Probe:
    """One case's view of the peer; its connections are broken off when the case ends."""

    def __init__(self, world: World, subject: Subject) -> None:
        self.world = world
        self.subject = subject
        self.evidence: list[Line] = []
        self.remarks: list[str] = []
        self._wires: list[Wire] = []

    def close(self) -> None:
        """Break off what is open."""
        for wire in self._wires:
            wire.reset()

    def remark(self, text: str) -> None:
        """Something a reader of the report should know of a pass."""
        self.remarks.append(text)

    def need(self, value: Value | None, option: str) -> Value:
        """An option without which the case cannot be tried."""
        if not value:
            raise NotTested(f"give {option} to have it tested")
        return value

    # -- connections ------------------------------------------------------------------------------------------------------

    def make_wire(self) -> Wire:
        """A connection's protocol, its evidence kept here."""
        wire = Wire(self.world.clock, self.evidence, self.subject.timeout_s)
        self._wires.append(wire)
        return wire

    async def connect(self) -> Wire:
        """An open connection; raises Failed when the peer does not take it."""
        subject = self.subject
        try:
            async with asyncio.timeout(subject.timeout_s):
                _, wire = await self.world.network.connect(self.make_wire, subject.host, subject.port)
        except (OSError, TimeoutError) as error:
            raise Failed(f"cannot connect to {subject.host}:{subject.port}: {str(error) or 'timed out'}") from None
        assert isinstance(wire, Wire)
        return wire

    async def try_bind(self, wire: Wire, kind: str = "trx", account: Account | None = None, **fields: Any) -> Frame:
        """A bind request and its answer."""
        who = account or self.subject.account
        return await wire.ask(BINDS[kind](system_id=who.system_id, password=who.password, **fields))

    async def bound(self, kind: str = "trx", account: Account | None = None, **fields: Any) -> Wire:
        """A bound connection; raises Failed when the peer refuses."""
        wire = await self.connect()
        answer = await self.try_bind(wire, kind, account, **fields)
        self.expect_status(answer, 0, f"bind_{kind}")
        return wire

    # -- messages ---------------------------------------------------------------------------------------------------------

    def submit_sm(self, text: bytes = b"conformance", **fields: Any) -> p.SubmitSm:
        """A plain submit_sm to the peer's test number."""
        given: dict[str, Any] = {
            "source_addr_npi": 1,
            "source_addr": self.subject.source,
            "dest_addr_ton": 1,
            "dest_addr_npi": 1,
            "destination_addr": self.subject.destination,
            "short_message": text,
            **fields,
        }
        return p.SubmitSm(**given)

    async def submitted(self, wire: Wire, text: bytes = b"conformance", **fields: Any) -> str:
        """The id of a message that the peer took."""
        answer = await wire.ask(self.submit_sm(text, **fields))
        self.expect_status(answer, 0, "submit_sm")
        assert isinstance(answer.pdu, p.SubmitSmResp)
        return answer.pdu.message_id

    # -- expectations -----------------------------------------------------------------------------------------------------

    def expect(self, is_met: bool, why: str) -> None:
        """Raise Failed with `why` unless it is met."""
        if not is_met:
            raise Failed(why)

    def expect_status(self, answer: Frame, allowed: int | Collection[int], what: str) -> None:
        """Raise Failed unless the answer has one of these statuses."""
        wanted = (allowed,) if isinstance(allowed, int) else allowed
        if answer.command_status not in wanted:
            names = " or ".join(status_name(status) for status in sorted(wanted))
            raise Failed(f"{what} was answered {name_of(answer.command_id)} {status_name(answer.command_status)}, expected {names}")

    def expect_kind(self, answer: Frame, command_id: int, what: str) -> None:
        """Raise Failed unless the answer is this PDU."""
        self.expect(
            answer.command_id == command_id, f"{what} was answered with {name_of(answer.command_id)}, expected {name_of(command_id)}"
        )

    async def expect_alive(self, wire: Wire, what: str) -> None:
        """Raise Failed unless the session goes on."""
        self.expect(await wire.is_alive(), f"the session did not go on after {what}")
