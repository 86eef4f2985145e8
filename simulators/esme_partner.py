"""A partner of a simulated house who binds: sends in every way SMPP has, thinks again, takes receipts and MO. All is evidence."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import Status, Tag
from gateway.smpp.session import Limits
from gateway.sms import segments
from simulators import books, house
from simulators.esme import BindRefusedError, Esme
from simulators.evidence import Answer, Asked, Evidence, Handed, Sent, token_in
from simulators.second_thoughts import CANCELS, Thought, pdu_of
from simulators.workload import Deed
from simulators.world import Sim, SimWorld

# Longer than a message in transaction mode may take to be answered.
_LIMITS = Limits(enquire_link_s=10.0, response_timeout_s=40.0, window_max=100)
# Answers after which nobody knows whether it happened.
_UNSURE = frozenset({Status.ESME_RSYSERR})


class EsmePartner:
    """Binds, sends, takes receipts and MO; comes back when the connection is gone, and now and then leaves on purpose."""

    def __init__(self, sim: Sim, evidence: Evidence, name: str, deeds: list[Deed], store: str) -> None:
        self._sim = sim
        self._evidence = evidence
        self._name = name
        self._deeds = deeds
        self._store = store
        self._numbers = sim.stream("partner", name)
        self._session = 0
        self._waiting = 0
        self._thoughts: list[tuple[float, int, list[Sent], list[Thought]]] = []
        self._turn = 0
        self._esme: Esme | None = None
        self.is_calm = evidence.is_calm
        self.is_done = False

    async def run(self, world: SimWorld) -> None:
        """For ever."""
        while True:
            # A delivery may come with the answer to the bind, so the session has its number before.
            self._session += 1
            try:
                self._esme = await Esme.connect(
                    world, house.GATEWAY, house.SMPP_PORT, system_id=self._name, password=house.PASSWORD, limits=_LIMITS,
                    on_deliver=self._take,
                )  # fmt: skip
            except (OSError, BindRefusedError, TimeoutError):
                await asyncio.sleep(0.5 + self._numbers.random())
                continue
            world.log("partner bound", session=self._session)
            leaves_at = self._sim.loop.time() + self._numbers.random() * 60.0
            await self._work(self._esme, leaves_at)

    async def _work(self, esme: Esme, leaves_at: float) -> None:
        while not esme.is_over:
            now = self._sim.loop.time()
            while self._deeds and self._deeds[0].at_s <= now:
                self._do(esme, self._deeds.pop(0), now)
            while self._thoughts and self._thoughts[0][0] <= now and not esme.is_over:
                _, _, sents, thoughts = heapq.heappop(self._thoughts)
                self._think(esme, sents, thoughts)
            self.is_done = not self._deeds and not self._waiting and not self._thoughts
            if now >= leaves_at and not self.is_calm:
                leaves_at = float("inf")
                if self._numbers.random() < 0.5:
                    esme.abort()
                else:
                    try:
                        await esme.unbind()
                    except TimeoutError:
                        esme.abort()
            await asyncio.sleep(0.25)
        await asyncio.sleep(0.2)

    # -- what he sends ------------------------------------------------------------------------------------------------------

    def _do(self, esme: Esme, deed: Deed, now: float) -> None:
        for sents, pdu in deed.pdus:
            self._waiting += 1
            self._evidence.ask(sents, now)
            esme.send(pdu, self._answered(sents, list(deed.thoughts)))

    def _answered(self, sents: list[Sent], thoughts: list[Thought]) -> Callable[[p.Pdu | None], None]:
        def answered(response: p.Pdu | None) -> None:
            self._waiting -= 1
            for sent in sents:
                self._note(sent, response)
            if thoughts and sents[0].message_id:
                self._later(sents, thoughts)

        return answered

    def _note(self, sent: Sent, response: p.Pdu | None) -> None:
        sent.answered_at_s = self._sim.loop.time()
        if not isinstance(response, p.SubmitSmResp | p.DataSmResp | p.SubmitMultiResp):
            sent.answer = Answer.NONE
            return
        status = response.command_status
        if isinstance(response, p.SubmitMultiResp) and not status:
            refused = {each.destination_addr: each.error_status_code for each in response.unsuccess_sme}
            status = refused.get(sent.destination, 0)
        if status == 0:
            sent.answer, sent.message_id = Answer.ACCEPTED, int(response.message_id)
        elif status == Status.ESME_RDELIVERYFAILURE:
            # Transaction mode: it was accepted, and did not arrive.
            sent.answer, sent.reason = Answer.ACCEPTED, "not delivered"
        else:
            sent.answer = Answer.NONE if status in _UNSURE else Answer.REFUSED
            sent.reason = f"0x{status:02X}"

    # -- what he thinks of it afterwards --------------------------------------------------------------------------------------

    def _later(self, sents: list[Sent], thoughts: list[Thought]) -> None:
        if not thoughts:
            return
        after_s = thoughts[0].after_s
        if not after_s and self._esme is not None and not self._esme.is_over:
            self._think(self._esme, sents, thoughts)
        else:
            self._turn += 1
            heapq.heappush(self._thoughts, (self._sim.loop.time() + after_s, self._turn, sents, thoughts))

    def _think(self, esme: Esme, sents: list[Sent], thoughts: list[Thought]) -> None:
        thought, rest = thoughts[0], thoughts[1:]
        now = self._sim.loop.time()
        asked = Asked(thought.kind, now, thought.text_token, now + thought.delay_s if thought.delay_s else None)
        for sent in sents:
            sent.asked.append(asked)
        self._waiting += 1
        esme.send(pdu_of(thought, sents[0]), self._thought_answered(sents, asked, rest))

    def _thought_answered(self, sents: list[Sent], asked: Asked, rest: list[Thought]) -> Callable[[p.Pdu | None], None]:
        def answered(response: p.Pdu | None) -> None:
            self._waiting -= 1
            asked.answered_at_s = self._sim.loop.time()
            if response is None:
                return  # nobody knows, and nothing more is asked
            status = response.command_status
            asked.answer = Answer.ACCEPTED if not status else Answer.NONE if status in _UNSURE else Answer.REFUSED
            asked.reason = f"0x{status:02X}"
            if isinstance(response, p.QuerySmResp) and not status:
                asked.state = response.message_state
            if asked.kind == CANCELS[0] and asked.answer is Answer.ACCEPTED:
                self._check_released(sents)
            if asked.answer is not Answer.NONE:
                self._later(sents, rest)

        return answered

    def _check_released(self, sents: list[Sent]) -> None:
        if not books.is_released(self._store, sents[0].message_id):
            self._evidence.seen_at_once.append(f"{sents[0].token} was cancelled, and still waits or holds credit")

    # -- what he gets -----------------------------------------------------------------------------------------------------------

    def _take(self, pdu: p.DeliverSm | p.DataSm) -> int | None:
        chance = 1.0 if self.is_calm else self._numbers.random()
        status = None if chance < 0.01 else int(Status.ESME_RX_T_APPN) if chance < 0.05 else 0
        assert isinstance(pdu, p.DeliverSm)
        told = receipt.read(pdu)
        message_id, stat, text = 0, "", None
        if told is not None:
            message_id, stat = int(told.smsc_id), told.text_receipt.stat if told.text_receipt is not None else ""
        else:
            octets = pdu.short_message or pdu.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
            text = segments.decode(pdu.data_coding, bool(pdu.esm_class & 0x40), octets).text
        now = self._sim.loop.time()
        handed = Handed(self._name, self._session, now, message_id, pdu.source_addr, stat, token_in(text), text, status)
        self._evidence.handed.append(handed)
        return status
