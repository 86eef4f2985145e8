"""The simulated carriers: SMSCs with a memory of all that passes their ports, and owners of phones who answer."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.smpp import pdu as p
from gateway.smpp.consts import MessageState, Status
from gateway.smpp.session import Limits
from gateway.sms import segments
from simulators import house
from simulators.evidence import Evidence, OnWire, PhoneSaid, ReceiptSent, Shown, token_in
from simulators.faults import Refusals, SmscFaults
from simulators.id_habits import HABITS, HabitualIds
from simulators.manners import Manners, told_by
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_delivery import Delivery
from simulators.smsc_messages import Taken, concatenation_of
from simulators.smsc_mo import phone_pdus
from simulators.smsc_rules import DEFAULT_RULES
from simulators.smsc_session import SmscSession
from simulators.smsc_treatment import Treatment, Treatments
from simulators.streams import stream
from simulators.world import Sim, SimWorld

# Refused for good by the first carrier; the second one takes it.
_REFUSING = "0004"


class RecordingSmsc(Smsc):
    """The SMSC behind one link. All carriers count their ids from the same number, as carriers do who know nothing of each other."""

    def __init__(self, sim: Sim, place: int, world: SimWorld, evidence: Evidence, manners: Manners, faults: SmscFaults | None) -> None:
        limits = Limits(window_max=200, peer_window_max=100_000, response_timeout_s=120.0)
        rules = DEFAULT_RULES if place == 0 else tuple(rule for rule in DEFAULT_RULES if rule.suffix != _REFUSING)
        first_id = 1_000_000 + sim.seed * 1_000
        link = house.LINKS[place]
        config = SmscConfig(
            host="0.0.0.0", port=house.SMSC_PORT, name=link, seed=sim.seed + place, first_id=first_id, limits=limits, rules=rules,
            usual=manners.usual,
        )  # fmt: skip
        super().__init__(world, config, faults=faults)
        self.ids = HabitualIds(HABITS[manners.habit], first_id)  # type: ignore[assignment]  # it is asked for take() only
        self.evidence = evidence
        self._link = link
        self._place = place
        self._responded: dict[str, str] = {}  # by the receipt's id
        self._sim_world = world
        self._refusals = Refusals() if faults is None else sim.plan.refusals
        self._taken_at_s = 0.0  # in a storm
        self._habits = sim.stream("phones", link)
        self.deliveries.answered = self._watched(self.deliveries.answered)  # type: ignore[method-assign]  # to hear every answer

    async def serve_for_ever(self, until_s: float) -> None:
        """Open the port, and close it for the outages there are before `until_s`."""
        await self.start()
        clock = self.world.clock
        for outage in self._refusals.outages:
            if outage.smsc % len(house.LINKS) == self._place and outage.at_s < until_s:
                await asyncio.sleep(max(0.0, outage.at_s - clock.monotonic()))
                self._sim_world.log("outage", link=self._link)
                self.go_down()
                await asyncio.sleep(max(0.0, min(outage.at_s + outage.for_s, until_s) - clock.monotonic()))
                await self.come_up()
        await house.stay()

    def calm_down(self) -> None:
        """No more faults."""
        self.treatments = Treatments(self.config, self.rules, None, stream(0, "calm"))
        self._refusals = Refusals()

    def _watched(self, answered: Any) -> Any:
        def watched(delivery: Delivery, status: int) -> None:
            told = told_by(delivery.pdu)
            if told.id in self._responded and status == 0:
                receipt = self.evidence.receipts[self._responded[told.id]]
                if told.stat:
                    receipt.acknowledged.append(told.stat)
                self._sim_world.log("receipt taken", id=receipt.smsc_id, stat=told.stat)
            answered(delivery, status)

        return watched

    def check(self, request: p.SubmitSm, treatment: Treatment, version: int = 0x34) -> int:
        status = super().check(request, treatment, version) or self._refusal(request.destination_addr)
        if status:
            self._note(request, "", status)
        return status

    def _refusal(self, phone: str) -> int:
        """The command_status of what is refused for a while: one phone's queue is full, or we are too fast."""
        now_s = self.world.clock.monotonic()
        for full in self._refusals.full_queues:
            if full.at_s <= now_s < full.at_s + full.for_s and phone == house.PHONES[full.phone % len(house.PHONES)]:
                return Status.ESME_RMSGQFUL
        for storm in self._refusals.storms:
            if storm.at_s <= now_s < storm.at_s + storm.for_s:
                if not storm.rate_per_s or now_s - self._taken_at_s < 1 / storm.rate_per_s:
                    return Status.ESME_RTHROTTLED
                self._taken_at_s = now_s
        return 0

    def respond(self, session: SmscSession, request: p.Pdu, response: p.Pdu, treatment: Treatment) -> None:
        now_s = self.world.clock.monotonic()
        for crowding in self._refusals.crowdings:
            if crowding.at_s <= now_s < crowding.at_s + crowding.for_s and not response.command_status:
                response = self._with_congestion(response, crowding.level, 0)
                break
        super().respond(session, request, response, treatment)

    def take(self, session: SmscSession, request: p.SubmitSm, treatment: Treatment, ids: tuple[str, str]) -> Taken:
        self._note(request, f"{self._link}/{ids[0]}", 0)
        return super().take(session, request, treatment, ids)

    def _note(self, request: p.SubmitSm, smsc_id: str, status: int) -> None:
        taken = Taken(("", ""), 0, "", request)
        content = segments.decode(request.data_coding, taken.udhi, taken.body)
        place = concatenation_of(request, content.elements)
        text_token = token_in(content.text)
        seen = OnWire(
            self.world.clock.monotonic(),
            self._link,
            self.evidence.name_of(text_token, request.destination_addr),
            text_token,
            place.number if place is not None else 1,
            request.source_addr,
            request.destination_addr,
            smsc_id,
            status,
        )
        self.evidence.wire.append(seen)
        self._sim_world.log("submit_sm", token=text_token, part=seen.part, id=smsc_id, status=status)

    def _finish(self, taken: Taken, origin: SmscSession, copies: int) -> None:
        if copies:
            # Written down before it leaves; settling happens in there, by the rule.
            smsc_id = f"{self._link}/{taken.id}"
            self._responded[taken.receipt_id] = smsc_id
            stats = tuple(stat for stat in taken.stats or (taken.rule.stat,) if stat != "ACCEPTD")
            written = f"{self._link}/{taken.receipt_id}"
            self.evidence.receipts[smsc_id] = ReceiptSent(smsc_id, stats, self.world.clock.monotonic(), written)
        super()._finish(taken, origin, copies)
        assert taken.state is not MessageState.ENROUTE

    def _show(self, taken: Taken) -> None:
        super()._show(taken)
        pdu = taken.pdu
        phone = self.phones.get(pdu.destination_addr)
        message = phone.messages[-1] if phone is not None and phone.messages else None
        if message is None or message.direction != "received" or message.peer != pdu.source_addr or not message.is_complete:
            return
        shown = Shown(message.phone, message.peer, message.text)
        if any(known.text == shown.text and known.phone == shown.phone for known in self.evidence.shown):
            return
        self.evidence.shown.append(shown)
        self._maybe_reply(message.phone, message.peer, token_in(message.text))

    def _maybe_reply(self, phone: str, to: str, token: str) -> None:
        sent = self.evidence.sent.get(token)
        if sent is None or sent.front != "im":
            return
        numbers = self._habits
        wait_s, is_long = numbers.random() * 6.0, numbers.random() < 0.3
        if phone == house.STOPPING_PHONE:
            said = PhoneSaid("", phone, to[: len(house.DIRECT_CODE)], "STOP", is_stop=True)
            self.timeline.after(wait_s, self.say, said, False)
        elif numbers.random() < 0.7:
            token = self.evidence.token()
            text = " ".join([token] * (60 if is_long else 1)) + numbers.choice([" ok", " 好的", ""])
            said = PhoneSaid(token, phone, to, text, account=sent.owner)
            self.timeline.after(wait_s, self.say, said, numbers.random() < 0.3)

    def say(self, said: PhoneSaid, is_repeated: bool) -> None:
        """A phone writes; a long message's parts come in any order, and one of them perhaps twice."""
        key = said.token or f"stop {len(self.evidence.said)}"
        outgoing = self.phones.write(said.phone, said.to, said.text, self.world.clock.now_us())
        pdus = phone_pdus(outgoing)
        said.parts = len(pdus)
        self.evidence.said[key] = said
        self._habits.shuffle(pdus)
        for place, pdu in enumerate(pdus):
            self.deliveries.route(Delivery(pdu, None, settled=self._heard(said)))
            if is_repeated and place == 0 and len(pdus) > 1:
                self.deliveries.route(Delivery(pdu, None))
        self._sim_world.log("phone says", token=said.token, to=said.to, parts=len(pdus))

    def _heard(self, said: PhoneSaid) -> Any:
        def heard(status: int) -> None:
            said.acknowledged += status == 0
            said.refused += status != 0
            said.acknowledged_at_s = self.world.clock.monotonic()

        return heard
