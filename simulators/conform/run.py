"""Plays the cases of a role against a peer, one after the other, those that wait for the peer's timers side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import NamedTuple

from gateway.world import World
from simulators.conform import esme_faults, esme_receipts, esme_wire, smsc_frames, smsc_receipts, smsc_session, smsc_submit
from simulators.conform.case import Case, Ended, Grade
from simulators.conform.esme_host import EsmeHost, EsmeProbe
from simulators.conform.probe import Probe
from simulators.conform.subject import Subject
from simulators.conform.wire import Line

SMSC_CASES = (*smsc_session.CASES.all, *smsc_frames.CASES.all, *smsc_submit.CASES.all, *smsc_receipts.CASES.all)
ESME_CASES = (*esme_wire.CASES.all, *esme_receipts.CASES.all, *esme_faults.CASES.all)
PATIENT_AT_ONCE = 8


class Result(NamedTuple):
    """How one case ended, and the octets that show it."""

    case: Case
    grade: Grade
    why: str
    seconds: float
    evidence: Sequence[Line]


def chosen(cases: Sequence[Case], wanted: Collection[str]) -> list[Case]:
    """Those whose id, or the letter it begins with, is wanted; all when nothing is."""
    return [case for case in cases if not wanted or case.id in wanted or case.id[0] in wanted]


async def run_case(world: World, probe: Probe, case: Case) -> Result:
    """Play one case; whatever its play runs into becomes its grade."""
    begun = world.clock.monotonic()
    grade, why = Grade.PASS, ""
    try:
        await case.play(probe)
    except Ended as ended:
        grade, why = ended.grade, ended.why
    finally:
        probe.close()
    if grade is Grade.PASS:
        why = "; ".join(probe.remarks)
    return Result(case, grade, why, world.clock.monotonic() - begun, probe.evidence)


async def grade_smsc(world: World, subject: Subject, cases: Sequence[Case], told: Callable[[Result], None]) -> list[Result]:
    """Grade an SMSC by playing an ESME; results in the order of the cases, each told as it comes."""
    results: dict[str, Result] = {}

    async def play(case: Case) -> None:
        results[case.id] = await run_case(world, Probe(world, subject), case)
        told(results[case.id])

    for case in cases:
        if not case.is_patient:
            await play(case)
    room = asyncio.Semaphore(PATIENT_AT_ONCE)

    async def play_patiently(case: Case) -> None:
        async with room:
            await play(case)

    await asyncio.gather(*(play_patiently(case) for case in cases if case.is_patient))
    return [results[case.id] for case in cases]


async def grade_esme(
    world: World, subject: Subject, cases: Sequence[Case], told: Callable[[Result], None], opened: Callable[[int], None]
) -> list[Result]:
    """Grade an ESME by being its SMSC; it has to come to us, `opened` is told to which port. Raises OSError.

    What makes it slow comes last: its care after a refusal is not what the other cases ask about.
    """
    host = EsmeHost(world, subject)
    await host.open()
    opened(host.port)
    results: dict[str, Result] = {}
    try:
        for case in sorted(cases, key=attrgetter("is_slowing")):
            results[case.id] = await run_case(world, EsmeProbe(world, subject, host), case)
            told(results[case.id])
    finally:
        host.close()
    return [results[case.id] for case in cases]
