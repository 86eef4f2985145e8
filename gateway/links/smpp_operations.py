"""What an ESME asks of our SMSC beside submit_sm: query_sm, cancel_sm, replace_sm, submit_multi and data_sm.

SMPP 3.4 sections 4.5 and 4.7 to 4.10; the choices the specification leaves are in docs/protocols/smpp.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from gateway.domain.failure import Refused
from gateway.domain.message import State
from gateway.links import smpp_answers as answers
from gateway.links import smpp_multi as multi
from gateway.links import smpp_requests as requests
from gateway.links.smpp_transport import SmppTransport
from gateway.services.outcome import Notice
from gateway.services.recall import Recall
from gateway.services.reception import Accepted, Answer, Reception
from gateway.services.submit import Submission
from gateway.smpp import pdu as p
from gateway.smpp.consts import EsmClass, Status
from gateway.store.partners import Partner
from gateway.world import World

# Reads a submit_sm of the partner on its connection; raises Refused.
Read = Callable[[p.SubmitSm], Submission]


class Limits(NamedTuple):
    """`lists` are the distribution lists: their addresses by (partner, name), those of every partner under ""."""

    lists: Mapping[tuple[str, str], tuple[str, ...]]
    transaction_timeout_s: float = 20.0


class _Asked(NamedTuple):
    """A request and where it came from."""

    wire: SmppTransport
    partner: Partner
    pdu: Any
    read: Read

    def respond(self, response: p.Pdu) -> None:
        self.wire.respond(self.pdu, response)

    def refuse(self, status: int) -> None:
        self.respond(p.refusal(self.pdu.command_id, self.pdu.sequence_number, status))

    @property
    def version(self) -> int:
        return self.wire.session.peer_interface_version


class Operations:
    """The handlers, by command_id."""

    def __init__(self, world: World, reception: Reception, recall: Recall, limits: Limits) -> None:
        self._world = world
        self._reception = reception
        self._recall = recall
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._awaited: dict[int, Callable[[Notice | None], None]] = {}
        self.commands: dict[int, Callable[[_Asked], None]] = {
            p.QuerySm.command_id: lambda asked: self._later(asked, self._query, requests.QUERY_STATUS),
            p.CancelSm.command_id: lambda asked: self._later(asked, self._cancelling(), requests.CANCEL_STATUS),
            p.ReplaceSm.command_id: lambda asked: self._later(asked, self._replace, requests.REPLACE_STATUS),
            p.SubmitMulti.command_id: self._submit_multi,
            p.DataSm.command_id: self._data,
        }

    def handle(self, wire: SmppTransport, partner: Partner, request: p.Pdu, read: Read) -> None:
        """Do what a request of `commands` asks, and answer it."""
        asked = _Asked(wire, partner, request, read)
        try:
            self.commands[request.command_id](asked)
        except Refused as refused:
            asked.refuse(answers.status_of(refused, asked.version))

    def noticed(self, notice: Notice) -> None:
        """A message came to its end: somebody may be waiting for that."""
        if self._awaited and (finish := self._awaited.pop(notice.message.id, None)) is not None:
            finish(notice)

    # -- about messages that were accepted ------------------------------------------------------------------------------

    def _later(self, asked: _Asked, work: Callable[[_Asked], Awaitable[p.Pdu]], statuses: Mapping[str, int]) -> None:
        async def answer() -> None:
            try:
                asked.respond(await work(asked))
            except Refused as refused:
                asked.refuse(statuses.get(refused.reason, answers.status_of(refused, asked.version)))

        task = asyncio.get_running_loop().create_task(answer(), name="operation of a partner")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _query(self, asked: _Asked) -> p.Pdu:
        found = await self._recall.query(asked.partner.id, asked.pdu.message_id, requests.source_of(asked.pdu))
        return requests.query_answer(asked.pdu, found, asked.version)

    def _cancelling(self) -> Callable[[_Asked], Awaitable[p.Pdu]]:
        """What is submitted behind a cancel_sm is not meant by it, however soon it is on disk."""
        before = self._world.next_id()
        return lambda asked: self._cancel(asked, before)

    async def _cancel(self, asked: _Asked, before: int) -> p.Pdu:
        request: p.CancelSm = asked.pdu
        source, destination = requests.source_of(request), requests.destination_of(request)
        if request.message_id:
            await self._recall.cancel(asked.partner.id, request.message_id, source, destination)
        else:
            catalogue = self._reception.catalogue
            service = answers.service_name(request.service_type, catalogue.services) or catalogue.default_service
            await self._recall.cancel_all(asked.partner.id, source, destination, before, service if request.service_type else "")
        return p.CancelSmResp(0)

    async def _replace(self, asked: _Asked) -> p.Pdu:
        request: p.ReplaceSm = asked.pdu
        change = requests.change_of(request, asked.version, self._world.clock.now_us())
        await self._recall.replace(asked.partner.id, request.message_id, requests.source_of(request), change)
        return p.ReplaceSmResp(0)

    # -- more ways to submit ----------------------------------------------------------------------------------------------

    def _submit_multi(self, asked: _Asked) -> None:
        request: p.SubmitMulti = asked.pdu
        addresses = multi.expanded(request.dest_address, asked.partner.name, self._limits.lists)
        group_id = self._world.next_id()
        gathering = multi.Gathering(addresses, lambda outcome: asked.respond(multi.answer(request, outcome, group_id, asked.version)))
        for place, address in enumerate(addresses):
            try:
                submission = asked.read(multi.submit_to(request, address))
            except Refused as refused:
                gathering.answered(place, refused)
                continue
            if len(addresses) > 1:
                submission = submission._replace(reference=str(group_id))
            self._reception.submit(submission, gathering.answerer(place))

    def _data(self, asked: _Asked) -> None:
        request: p.DataSm = asked.pdu
        submission = asked.read(requests.submit_of(request))
        lifetime_us = requests.lifetime_us(request)
        if lifetime_us is not None:
            submission = submission._replace(validity_us=lifetime_us)

        def done(answer: Answer) -> None:
            if not isinstance(answer, Accepted):
                asked.refuse(answers.status_of(answer, asked.version))
            elif request.esm_class & EsmClass.MODE_MASK == EsmClass.FORWARD:
                self._answer_when_delivered(asked, answer)
            else:
                asked.respond(p.DataSmResp(0, 0, answers.written_id(answer.message_id, asked.version)))

        self._reception.submit(submission, done)

    def _answer_when_delivered(self, asked: _Asked, accepted: Accepted) -> None:
        """Transaction mode: the answer says what became of the message, or after a while that it is accepted and on its way."""
        message_id = accepted.message_id
        response = p.DataSmResp(0, 0, answers.written_id(message_id, asked.version))

        def finish(notice: Notice | None) -> None:
            timer.cancel()
            if notice is not None and notice.state is not State.DELIVERED:
                asked.refuse(Status.ESME_RDELIVERYFAILURE)
            else:
                asked.respond(response)

        def give_up() -> None:
            if self._awaited.pop(message_id, None) is not None:
                finish(None)

        timer = asyncio.get_running_loop().call_later(self._limits.transaction_timeout_s, give_up)
        self._awaited[message_id] = finish
