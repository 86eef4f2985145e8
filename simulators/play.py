"""One seed, played: furnish the house, let its people live, stop the faults, wait until nothing waits, and audit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from billing.carriers import Carriers
from gateway.store import consistency
from gateway.store.engine import open_reading
from simulators import auditor, books, house, workload
from simulators.auditor import Violation
from simulators.books import Books
from simulators.carriers import RecordingSmsc
from simulators.clerk import Clerk
from simulators.closing import ClosingDesk
from simulators.esme_partner import EsmePartner
from simulators.evidence import Evidence
from simulators.faults import FaultPlan
from simulators.manners import manners_of
from simulators.people import ChatUser, HttpPartner, Operator
from simulators.world import Sim, SimulationError, SimWorld, run

FAULTS_S = 45.0
CALM_EVERY = 10
LATE_RECEIPT_S_MAX = 25.0
QUIET_S_MAX = 240.0
# Validity (a day) and the hour in which a receipt may still come, passed at once when everybody is done.
LONG_AFTER_US = 27 * 3_600_000_000


class Verdict(NamedTuple):
    """What came of one seed."""

    seed: int
    digest: str
    violations: list[Violation]
    messages: int
    delivered: int
    duplicates: int
    corrections: int
    late: int  # records booked after the day of their event was closed
    crashes: int
    virtual_s: float


def plan_of(seed: int, intensity: float) -> FaultPlan:
    """The faults of a seed; every tenth is a calm day, on which everything must simply work."""
    if seed % CALM_EVERY == 0 or not intensity:
        return FaultPlan(seed)
    plan = FaultPlan.draw(seed, intensity, duration_s=FAULTS_S, crash_node=house.GATEWAY)
    return replace(plan, smsc=replace(plan.smsc, receipt_late_s_max=LATE_RECEIPT_S_MAX))


def warm_up() -> None:
    """Make what is made once per process."""
    house.template()


def play(seed: int, intensity: float = 0.5) -> Verdict:
    """Play one seed to its end."""
    plan = plan_of(seed, intensity)
    is_calm = not plan.intensity

    async def main(sim: Sim) -> Verdict:
        return await _Play(sim, is_calm).run()

    try:
        return run(main, seed, plan=plan, virtual_s_max=2_000.0, start_us=house.START_US)
    except SimulationError as error:
        cause = f" ({error.__cause__!r})" if error.__cause__ is not None else ""
        return Verdict(seed, "", [Violation("run", f"{error}{cause}")], 0, 0, 0, 0, 0, 0, 0.0)


class _Play:
    def __init__(self, sim: Sim, is_calm: bool) -> None:
        self.sim = sim
        self.file = house.File(sim)
        manners = {link: manners_of(sim, link) for link in self.file.links}
        is_steady = sim.plan.is_steady and not any(each.is_shuffling for each in manners.values())
        self.evidence = Evidence(sim.seed, is_calm, is_calm or sim.plan.is_prompt, is_steady, self.file.is_moving)
        self.evidence.charges_late, self.evidence.has_tax = self.file.charges_late, self.file.has_tax
        self.gateway = sim.node(house.GATEWAY)
        self.store = f"{self.gateway.folder}/store.db"
        self.plan = workload.draw(sim, self.evidence)
        faults = None if is_calm else sim.plan.smsc
        self.carriers = [
            RecordingSmsc(sim, place, sim.node(link).world, self.evidence, manners[link], faults)
            for place, link in enumerate(self.file.links)
        ]
        for carrier in self.carriers:
            carrier.phones = self.carriers[0].phones  # a phone is one, whichever carrier reaches it
        self.partners = [EsmePartner(sim, self.evidence, name, deeds, self.store) for name, deeds in self.plan.esme.items()]

    async def run(self) -> Verdict:
        sim = self.sim
        house.furnish(sim)
        for carrier, link in zip(self.carriers, self.file.links, strict=True):
            sim.node(link).start(lambda _world, carrier=carrier: self._serve(carrier))  # type: ignore[misc]  # the default is the loop's
        self.gateway.start(house.gateway_program(self.file, self.evidence))
        for partner, name in zip(self.partners, self.plan.esme, strict=True):
            sim.node(name).start(partner.run)
        done: list[asyncio.Event] = [asyncio.Event(), asyncio.Event(), asyncio.Event()]
        self.read = asyncio.Event()
        self.said = [asyncio.Event() for _ in range(4)]
        sim.node("client").start(lambda world: self._http(world, done[0]))
        sim.node("messenger").start(lambda world: self._chat(world, done[1]))
        sim.node("operator").start(self._operate)
        sim.node("clerk").start(lambda world: self._keep_books(world, done[2]))
        await workload.pause_until(sim, FAULTS_S)
        for partner in self.partners:
            partner.is_calm = True
        for carrier in self.carriers:
            carrier.calm_down()
        sim.log("calm")
        await asyncio.gather(*(event.wait() for event in self.said))
        await self._until(lambda: self._are_partners_done() and not self._are_carriers_busy() and not books.is_queued(self.store))
        self.gateway.clock_offset_us += LONG_AFTER_US
        sim.log("long after")
        await self._until(lambda: self.gateway.is_alive and books.is_settled(self.store))
        self.read.set()
        await asyncio.gather(*(event.wait() for event in done))
        return self._verdict()

    def _are_partners_done(self) -> bool:
        return all(partner.is_done for partner in self.partners)

    def _are_carriers_busy(self) -> bool:
        return self._unacknowledged() or any(
            len(carrier.timeline) or carrier.deliveries.held or carrier.deliveries.waiting for carrier in self.carriers
        )

    def _unacknowledged(self) -> bool:
        receipts = any(not receipt.is_acknowledged for receipt in self.evidence.receipts.values())
        return receipts or any(said.acknowledged + said.refused < said.parts for said in self.evidence.said.values())

    async def _until(self, is_true: Callable[[], bool]) -> None:
        """Wait for it, and a little longer, but not for ever: what is not so by then is the auditor's."""
        waited = 0.0
        while not is_true() and waited < QUIET_S_MAX:
            await asyncio.sleep(1.0)
            waited += 1.0
        await asyncio.sleep(8.0)

    async def _serve(self, carrier: RecordingSmsc) -> None:
        if carrier is self.carriers[0]:
            for at_s, said in self.plan.says:
                carrier.timeline.after(at_s, carrier.say, said, said.parts > 1)
        await carrier.serve_for_ever(FAULTS_S)

    async def _operate(self, world: SimWorld) -> None:
        operator = Operator(self.sim, self.evidence, world, self.file)
        for order in self.plan.orders:
            await workload.pause_until(self.sim, order.at_s)
            await operator.do(order)
        await workload.pause_until(self.sim, FAULTS_S)
        if len(self.plan.orders) > 1:
            await operator.calm_down()
        await operator.close()
        self.said[2].set()

    async def _keep_books(self, world: SimWorld, done: asyncio.Event) -> None:
        clerk = Clerk(self.sim, self.evidence, world, ClosingDesk(self.sim, self.evidence, self.file, self.gateway))
        await clerk.work()
        self.said[3].set()
        await self.read.wait()
        await clerk.clear_up()
        await clerk.close()
        done.set()

    async def _http(self, world: SimWorld, done: asyncio.Event) -> None:
        partner = HttpPartner(self.sim, self.evidence, world, self.store)
        watching = asyncio.create_task(partner.watch(FAULTS_S))
        await asyncio.gather(*(partner.do(deed) for deed in self.plan.http), watching)
        self.said[0].set()
        await self.read.wait()
        for sent in [each for each in self.evidence.sent.values() if each.message_id and each.front == "http"][:8]:
            while not await partner.look(sent):  # noqa: ASYNC110 - what it waits for is another process
                await asyncio.sleep(1.0)
        await partner.close()
        done.set()

    async def _chat(self, world: SimWorld, done: asyncio.Event) -> None:
        users = {number: ChatUser(self.sim, self.evidence, world, number) for number in house.ACCOUNTS}
        await asyncio.gather(*(users[deed.sent[0].owner].do(deed) for deed in self.plan.chat))
        self.said[1].set()
        await self.read.wait()
        for user in users.values():
            await user.read()
            await user.close()
        done.set()

    def _verdict(self) -> Verdict:
        self.evidence.lives = self.gateway.lives
        kept = Books(self.store, self.evidence.name_of)
        found = auditor.audit(self.evidence, kept) + self._second_opinion()
        for violation in found:
            self.sim.log("violation", text=str(violation))
        duplicates = sum(row["is_possible_duplicate"] for each in kept.messages.values() for row in each.parts)
        delivered = sum(each.state == books.DELIVERED for each in kept.messages.values())
        counts = (len(kept.messages), delivered, duplicates, len(kept.corrections), sum(bool(row["late"]) for row in kept.booked))
        return Verdict(self.sim.seed, self.sim.digest(), found, *counts, self.gateway.lives - 1, self.sim.loop.time())

    def _second_opinion(self) -> list[Violation]:
        engine = open_reading(f"sqlite:///{self.store}")
        try:
            with engine.connect() as conn:
                return [Violation("books", f"{each.invariant}: {each.detail}") for each in consistency.check(conn, Carriers())]
        finally:
            engine.dispose()
