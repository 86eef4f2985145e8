"""Scenarios of the SMSC simulator in virtual time: the same seed decides the same, hours pass in a moment."""

from __future__ import annotations

from simulators.esme import BindRefusedError, Esme, NoResponse
from simulators.smsc_fleet import Fleet
from simulators.smsc_journal import SmscJournal
from simulators.smsc_scenario import parse, shipped
from simulators.world import Sim, SimWorld, run

PHONE = "8613911112345"
CHAOS = """
[[smsc]]
port = 2776
[smsc.usual]
statuses = { ESME_ROK = 8, ESME_RTHROTTLED = 1, ESME_RSYSERR = 1 }
stats = { DELIVRD = 6, UNDELIV = 2, "ACCEPTD+DELIVRD" = 1, none = 1 }
response_latency = { model = "lognormal", median_ms = 40, sigma = 1.0 }
receipt_latency = { model = "uniform", min_ms = 0, max_ms = 5000 }
receipt_shuffle = 3
[[smsc.rule]]
every = 6
response = false
[[smsc.mo]]
rate_per_s = 1
count = 5
"""


def play(text: str, seed: int, messages: int = 60) -> tuple[list[str], str, str]:
    """What an ESME saw, the hash of the SMSC's event log, and the hash of the whole world's."""

    async def scene(sim: Sim) -> tuple[list[str], str, str]:
        node = sim.node("smsc")
        journal = SmscJournal()
        fleet = Fleet.of_scenario(node.world, parse(text, "play"), host=node.ip, seed=seed, journal=journal)
        await node.start(fleet.start())
        seen: list[str] = []

        async def send(client: SimWorld) -> None:
            def take(pdu) -> int:
                seen.append(f"{client.clock.monotonic():.6f} {pdu.short_message[:60]!r}")
                return 0

            for _ in range(40):
                try:
                    esme = await Esme.connect(client, node.ip, 2776, on_deliver=take, bind_timeout_s=30)
                except (BindRefusedError, OSError, TimeoutError) as error:
                    seen.append(f"{client.clock.monotonic():.6f} {type(error).__name__}")
                    continue
                await submit(client, esme)
                if sum(" submitted " in line for line in seen) >= messages:
                    break

        async def submit(client: SimWorld, esme: Esme) -> None:
            while not esme.is_over and sum(" submitted " in line for line in seen) < messages:
                try:
                    (response,) = await esme.submit_text("1069", PHONE, f"message {len(seen)}")
                    seen.append(f"{client.clock.monotonic():.6f} submitted {response.command_status}")
                except NoResponse:
                    seen.append(f"{client.clock.monotonic():.6f} submitted, nothing")

        await sim.node("esme").start(send)
        return seen, journal.digest(), sim.digest()

    return run(scene, seed)


def test_same_seed_decides_the_same_and_another_seed_otherwise():
    first, again, other = play(CHAOS, 3), play(CHAOS, 3), play(CHAOS, 4)

    assert first == again
    assert first[1] != other[1]
    assert any("nothing" in line for line in first[0])


def test_every_shipped_scenario_of_one_port_plays_the_same_twice():
    for name, text in sorted(shipped().items()):
        if text.count("[[smsc]]") == 1:
            first, again = play(text, 5, messages=25), play(text, 5, messages=25)

            assert first == again, name
            assert first[0], name
