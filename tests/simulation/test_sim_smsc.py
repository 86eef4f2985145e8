"""The SMSC simulator in the simulated world: the same code, virtual time, chance from the seed."""

from __future__ import annotations

import json

from gateway.smpp.consts import Status
from gateway.smpp.session import Limits
from simulators.esme import Esme, NoResponse
from simulators.faults import FaultPlan, NetworkFaults, SmscFaults
from simulators.http_client import http_session
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_web import SmscWeb
from simulators.world import Sim, SimWorld, run

PHONE = "8613900001234"
FAULTS = SmscFaults(
    throttle=0.2, resp_delay=0.3, resp_lost=0.1, receipt_early=0.1, receipt_late=0.1, receipt_duplicate=0.2, receipt_lost=0.2
)


async def _play(sim: Sim) -> tuple[list[str], str]:
    """Submit 60 messages one after the other under every fault, and write down what came back and when."""
    world = sim.node("smsc").world
    smsc = Smsc(world, SmscConfig(host=sim.node("smsc").ip, limits=Limits(peer_window_max=1000)), faults=FAULTS)
    sim.node("smsc").start(smsc.start())
    seen: list[str] = []

    async def send(client: SimWorld) -> None:
        def take(pdu) -> int:
            seen.append(f"{client.clock.monotonic():.6f} {pdu.short_message[:40]!r}")
            return Status.ESME_ROK

        esme = await Esme.connect(client, sim.node("smsc").ip, 2776, limits=Limits(response_timeout_s=30), on_deliver=take)
        for number in range(60):
            try:
                (response,) = await esme.submit_text("1069", PHONE, f"message {number}")
                seen.append(f"{client.clock.monotonic():.6f} {response.command_status} {response.message_id}")
            except NoResponse:
                seen.append(f"{client.clock.monotonic():.6f} nothing")

    await sim.node("esme").start(send)
    return seen, sim.digest()


def test_same_seed_plays_the_same_run_and_another_seed_another():
    plan = FaultPlan(3, network=NetworkFaults(fragment_probability=0.5))

    first, second = run(_play, 3, plan=plan), run(_play, 3, plan=plan)
    other = run(_play, 4, plan=plan)

    assert first == second
    assert first[0] != other[0]
    assert any(line.endswith(" nothing") for line in first[0])


def test_page_waits_in_virtual_time():
    async def play(sim: Sim) -> tuple[int, list[str], float]:
        ip = sim.node("smsc").ip
        world = sim.node("smsc").world
        smsc = Smsc(world, SmscConfig(host=ip, receipt_delay_ms=120_000))

        async def serve() -> None:
            await smsc.start()
            await SmscWeb(world, smsc, host=ip).start()

        await sim.node("smsc").start(serve())

        async def ask(client: SimWorld) -> tuple[int, list[str], float]:
            esme = await Esme.connect(client, ip, 2776)
            await esme.submit_text("1069", PHONE, "两分钟以后")
            async with http_session(client.network, total_s=600) as http:
                response = await http.get(f"http://{ip}:8081/api/phones/{PHONE}/messages?wait=300")
                texts = [each["text"] for each in json.loads(await response.text())]
                return response.status, texts, client.clock.monotonic()

        return await sim.node("tester").start(ask)

    status, texts, at_s = run(play, 1)

    assert (status, texts) == (200, ["两分钟以后"])
    assert 120 <= at_s < 121
