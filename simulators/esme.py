"""A small ESME over our own session, for tests, plays and load: binds, sends, takes deliveries. smpplib is the foreign one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

from gateway.smpp import events as e
from gateway.smpp.consts import EsmClass, Status
from gateway.smpp.errors import NotBound
from gateway.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    refusal,
)
from gateway.smpp.session import Limits, Role
from gateway.sms import segments
from gateway.world import Clock, World
from simulators.smpp_shell import SmppShell

BIND_TIMEOUT_S = 10.0
DELIVERIES_KEPT_MAX = 100_000

# Takes a deliver_sm and gives the status to answer it with; None leaves it unanswered.
OnDeliver = Callable[[DeliverSm | DataSm], int | None]
# Is told the response, or None when none came and nobody knows what the SMSC did.
OnResponse = Callable[[Pdu | None], None]


class BindKind(Enum):
    """Which bind an ESME asks for."""

    TX = BindTransmitter
    RX = BindReceiver
    TRX = BindTransceiver


class BindRefusedError(Exception):
    """The SMSC does not let us in; `status` says why, 0 when it just hung up."""

    def __init__(self, status: int) -> None:
        super().__init__(f"bind refused with command_status 0x{status:08X}")
        self.status = status


class NoResponse(Exception):
    """A request was never answered: the session ended or its time was up."""


class _EsmeShell(SmppShell):
    """The connection of one Esme."""

    def __init__(self, clock: Clock, limits: Limits, owner: Esme) -> None:
        super().__init__(clock, Role.ESME, limits)
        self._owner = owner
        self.queue: deque[tuple[Pdu, OnResponse]] = deque()

    def handle(self, events: list[e.Event]) -> None:
        for event in events:
            if type(event) is e.ResponseReceived:
                if callable(event.context):
                    event.context(event.response)
            elif type(event) is e.RequestReceived:
                self._owner.take(event.pdu)
            else:
                self._handle_rare(event)

    def _handle_rare(self, event: e.Event) -> None:
        if isinstance(event, e.Bound):
            self._owner.bound(Status.ESME_ROK)
        elif isinstance(event, e.BindRefused):
            self._owner.bound(event.status)
        elif isinstance(event, e.RequestExpired):
            if callable(event.context):
                event.context(None)
        elif isinstance(event, e.Violation):
            self._owner.violations.append(event)
        elif isinstance(event, e.Closed):
            self._close(event)

    def _close(self, event: e.Closed) -> None:
        for context, _ in event.unanswered:
            if callable(context):
                context(None)
        for _, on_response in self.queue:
            on_response(None)
        self.queue.clear()
        self._owner.ended(event.reason)

    def pump(self) -> None:
        if not self.queue:
            return
        now = self.now()
        for _ in range(min(len(self.queue), self.session.window_free)):
            pdu, on_response = self.queue.popleft()
            self.session.send_request(pdu, now, on_response)


class Esme:
    """One bind. Deliveries are answered at once with what `on_deliver` says (ROK without it) and kept for `next_delivery`."""

    def __init__(self, world: World, limits: Limits, on_deliver: OnDeliver | None = None) -> None:
        self._shell = _EsmeShell(world.clock, limits, self)
        self._on_deliver = on_deliver
        self._binding: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._over: asyncio.Future[e.CloseReason] = asyncio.get_running_loop().create_future()
        self._reference = 0
        self._waiting: deque[asyncio.Future[DeliverSm | DataSm]] = deque()
        self.deliveries: deque[DeliverSm | DataSm] = deque(maxlen=DELIVERIES_KEPT_MAX)
        self.violations: list[e.Violation] = []

    @classmethod
    async def connect(
        cls,
        world: World,
        host: str,
        port: int,
        *,
        system_id: str = "esme",
        password: str = "",
        kind: BindKind = BindKind.TRX,
        interface_version: int = 0x34,
        limits: Limits | None = None,
        on_deliver: OnDeliver | None = None,
        bind_timeout_s: float = BIND_TIMEOUT_S,
    ) -> Esme:
        """Connect and bind. Raises OSError, BindRefusedError or TimeoutError."""
        esme = cls(world, limits if limits is not None else Limits(), on_deliver)
        await world.network.connect(lambda: esme._shell, host, port)
        bind = kind.value(system_id=system_id, password=password, interface_version=interface_version)
        esme._shell.session.send_request(bind, world.clock.monotonic())
        esme._shell.touch()
        try:
            status = await asyncio.wait_for(esme._binding, bind_timeout_s)
        except TimeoutError:
            esme.abort()
            raise
        if status:
            raise BindRefusedError(status)
        return esme

    @property
    def is_over(self) -> bool:
        return self._over.done()

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered, and those waiting for the window."""
        return self._shell.session.in_flight + len(self._shell.queue)

    def send(self, pdu: Pdu, on_response: OnResponse) -> None:
        """Send a request as soon as the window allows; the cheap way, for load."""
        if self._over.done():
            on_response(None)
            return
        self._shell.queue.append((pdu, on_response))
        self._shell.touch()

    async def request(self, pdu: Pdu) -> Any:
        """Send a request and wait for its response. Raises NoResponse."""
        answer: asyncio.Future[Pdu | None] = asyncio.get_running_loop().create_future()

        def on_response(response: Pdu | None) -> None:
            if not answer.done():
                answer.set_result(response)

        self.send(pdu, on_response)
        response = await answer
        if response is None:
            raise NoResponse(type(pdu).__name__)
        return response

    async def submit(self, pdu: SubmitSm) -> SubmitSmResp:
        """Send one submit_sm and wait for its response. Raises NoResponse."""
        response: SubmitSmResp = await self.request(pdu)
        return response

    async def submit_text(self, source: str, destination: str, text: str, *, registered_delivery: int = 1) -> list[SubmitSmResp]:
        """Send a text in as many parts as it needs; the responses in the order of the parts."""
        return list(await asyncio.gather(*map(self.submit, self.text_pdus(source, destination, text, registered_delivery))))

    def text_pdus(self, source: str, destination: str, text: str, registered_delivery: int = 1) -> list[SubmitSm]:
        """The submit_sm of each part of a text."""
        self._reference = (self._reference + 1) & 0xFF
        segmented = segments.split(text, reference=self._reference, parts_max=segments.PARTS_MAX)
        return [
            SubmitSm(
                source_addr=source,
                dest_addr_ton=1,
                dest_addr_npi=1,
                destination_addr=destination,
                esm_class=int(EsmClass.UDHI) if segmented.udhi else 0,
                registered_delivery=registered_delivery,
                data_coding=segmented.data_coding,
                short_message=part,
            )
            for part in segmented.parts
        ]

    async def next_delivery(self, timeout_s: float = 5.0) -> Any:
        """The oldest deliver_sm not yet looked at; waits for one. Raises TimeoutError."""
        if self.deliveries:
            return self.deliveries.popleft()
        waiter: asyncio.Future[DeliverSm | DataSm] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return await asyncio.wait_for(waiter, timeout_s)

    async def unbind(self, timeout_s: float = 10.0) -> e.CloseReason:
        """Unbind and wait for the end of the connection."""
        with suppress(NotBound):  # the SMSC was first
            self._shell.session.send_request(Unbind(), self._shell.now())
            self._shell.touch()
        return await self.wait_over(timeout_s)

    async def wait_over(self, timeout_s: float = 10.0) -> e.CloseReason:
        """Wait until the session is over, and say why it is. Raises TimeoutError."""
        return await asyncio.wait_for(asyncio.shield(self._over), timeout_s)

    def abort(self) -> None:
        """Reset the connection without a word."""
        self._shell.abort()

    # The shell reports here.

    def bound(self, status: int) -> None:
        if not self._binding.done():
            self._binding.set_result(status)

    def ended(self, reason: e.CloseReason) -> None:
        if not self._over.done():
            self._over.set_result(reason)
        if not self._binding.done():
            self._binding.set_result(Status.ESME_RBINDFAIL)

    def take(self, pdu: Pdu) -> None:
        """Answer a request of the SMSC and keep it."""
        if not isinstance(pdu, DeliverSm | DataSm):
            self._shell.session.respond(pdu, refusal(pdu.command_id, pdu.sequence_number, Status.ESME_RINVCMDID))
            return
        status = Status.ESME_ROK if self._on_deliver is None else self._on_deliver(pdu)
        if status is not None:
            response = (DeliverSmResp if isinstance(pdu, DeliverSm) else DataSmResp)(command_status=status)
            self._shell.session.respond(pdu, response)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(pdu)
                return
        self.deliveries.append(pdu)
