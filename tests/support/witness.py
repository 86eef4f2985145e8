"""An ESME that keeps its own log, and the audit that holds the gateway against it, the carrier's log and the charge export."""

from __future__ import annotations

import asyncio
import csv
import itertools
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.real_world import RealWorld
from gateway.smpp.pdu import DataSm, DeliverSm, Pdu, SubmitSm, SubmitSmResp
from gateway.smpp.session import Limits
from simulators.esme import BindRefusedError, Esme
from tests.support.processes import CREDIT_MINOR, HOST, PASSWORD, PATIENCE_S, PRICES, Site

FINAL = {"delivered", "failed", "expired"}
IN_FLIGHT_MAX = 500
_RECEIPT = re.compile(rb"^id:(\d+) .*stat:([A-Z]+)")


@dataclass
class Sent:
    """One submit_sm and what was heard of it; `status` is None while, or when, nobody answered."""

    token: str
    destination: str
    service: str
    status: int | None = None
    message_id: str = ""

    @property
    def is_acknowledged(self) -> bool:
        return self.status == 0


@dataclass
class Witness:
    """Keeps a bind up and submits at a rate, each message to a number of its own, the services in turn."""

    site: Site
    rate_per_s: float
    world: RealWorld
    sent: list[Sent] = field(default_factory=list)
    receipts: Counter[str] = field(default_factory=Counter)
    stats: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    binds: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    esme: Esme | None = None
    is_submitting: bool = True

    async def run(self) -> None:
        """Bind again whenever the bind is gone, until cancelled."""
        numbers = itertools.count()
        while True:
            try:
                esme = await Esme.connect(
                    self.world, HOST, self.site.smpp_port, system_id="acme", password=PASSWORD,
                    limits=Limits(window_max=IN_FLIGHT_MAX), on_deliver=self._take,
                )  # fmt: skip
            except (OSError, TimeoutError, BindRefusedError):
                await asyncio.sleep(0.02)
                continue
            self.binds += 1
            self.esme = esme
            try:
                await self._submit_while_bound(esme, numbers)
                self.endings[str(await esme.wait_over())] += 1
            finally:
                esme.abort()

    async def _submit_while_bound(self, esme: Esme, numbers: itertools.count[int]) -> None:
        clock = self.world.clock
        due_at = clock.monotonic()
        while not esme.is_over:
            while self.is_submitting and due_at <= clock.monotonic() and esme.in_flight < IN_FLIGHT_MAX:
                due_at += 1 / self.rate_per_s
                self._submit(esme, next(numbers))
            due_at = max(due_at, clock.monotonic() - 0.1)
            await asyncio.sleep(0.005)

    def _submit(self, esme: Esme, number: int) -> None:
        service = tuple(PRICES)[number % len(PRICES)]
        sent = Sent(f"token {number:06d} {service}", f"86139{number:08d}", service)
        self.sent.append(sent)

        def answered(response: Pdu | None) -> None:
            if isinstance(response, SubmitSmResp):
                sent.status, sent.message_id = response.command_status, response.message_id

        request = SubmitSm(
            service_type=service, source_addr="10661700", dest_addr_ton=1, dest_addr_npi=1, destination_addr=sent.destination,
            registered_delivery=1, short_message=sent.token.encode(),
        )  # fmt: skip
        esme.send(request, answered)

    def _take(self, pdu: DeliverSm | DataSm) -> int:
        assert isinstance(pdu, DeliverSm)
        read = _RECEIPT.match(pdu.short_message)
        assert read is not None, pdu.short_message
        self.receipts[read[1].decode()] += 1
        self.stats[read[1].decode()].add(read[2].decode())
        return 0

    @property
    def acknowledged(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.is_acknowledged]

    async def finish(self, timeout_s: float = PATIENCE_S) -> None:
        """Submit no more, and wait for the answers to what was submitted on this bind."""
        self.is_submitting = False
        await until(lambda: self.esme is not None and self.esme.in_flight == 0, timeout_s, "every submission answered")

    async def until_acknowledged(self, more: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + more
        await until(lambda: len(self.acknowledged) >= wanted, timeout_s, f"{more} more acknowledged")


async def until(is_true: Any, timeout_s: float, what: str) -> None:
    """Look often until something is true."""
    try:
        async with asyncio.timeout(timeout_s):
            while not is_true():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not in {timeout_s:g} s: {what}") from None


@dataclass
class Findings:
    """What the outside sees when all has settled."""

    lives: dict[str, Any]  # per acknowledged message id, GET /v1/messages/{id}
    wire: Counter[str]  # per token, submit_sm taken by the carrier
    charges: dict[str, list[dict[str, str]]]  # per message id, rows of the export


async def settled(witness: Witness, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    """Wait until every acknowledged message is at its end, or of unknown outcome with nothing on its wire; their lives."""
    site = witness.site
    lives: dict[str, Any] = {}
    waiting = {sent.message_id: sent for sent in witness.acknowledged}
    try:
        async with asyncio.timeout(timeout_s):
            while waiting:
                wire = Counter(str(taken["text"]) for taken in await site.on_the_wire())
                for message_id, sent in list(waiting.items()):
                    life = await site.message(message_id)
                    assert life is not None, f"acknowledged and lost: {sent}"
                    is_held = life["state"] == "unknown" and sent.service == "hold" and not wire[sent.token]
                    if is_held or (life["state"] in FINAL and witness.receipts[message_id]):
                        lives[message_id] = life
                        del waiting[message_id]
                if waiting:
                    await asyncio.sleep(0.2)
    except TimeoutError:
        sent = next(iter(waiting.values()))
        raise AssertionError(f"{len(waiting)} messages never settled, such as {sent}: {await site.message(sent.message_id)}") from None
    return lives


async def audit(witness: Witness, folder: Path, timeout_s: float = PATIENCE_S) -> Findings:
    """Hold everything against everything (reliability invariants I1 to I5 and no traceback). The gateway must be running."""
    site = witness.site
    lives = await settled(witness, timeout_s)
    wire = Counter(str(taken["text"]) for taken in await site.on_the_wire())
    charges = await exported(site, folder / "charges")
    findings = Findings(lives, wire, charges)
    for sent in witness.sent:
        _check_wire(sent, lives.get(sent.message_id), wire[sent.token])
    for sent in witness.acknowledged:
        _check_charge(sent, lives[sent.message_id], charges.get(sent.message_id, []))
    _check_unacknowledged(witness, wire, charges)
    assert await _export(site, folder / "charges") == [], "a second export of the same charges is not empty or the same"
    await _check_books(site, charges)
    assert (noise := site.noise()) == [], "\n".join(noise)
    return findings


def _check_wire(sent: Sent, life: Any, count: int) -> None:
    if sent.service != "chat":
        assert count <= 1, f"{sent} was sent {count} times"
    if life is None:
        return
    if life["state"] == "delivered":
        assert count >= 1, f"{sent} is delivered and never left"
    if sent.service == "chat":
        assert life["state"] == "delivered", f"{sent} is {life}"
    if sent.service == "hold":
        assert life["state"] == ("delivered" if count else "unknown"), f"{sent} was sent {count} times and is {life}"
    if count > 1:
        assert life["possible_duplicate"], f"{sent} was sent {count} times and is not marked"


def _check_charge(sent: Sent, life: Any, rows: list[dict[str, str]]) -> None:
    """What was delivered is in the export once; what was not, or may yet be, is not there at all."""
    state = life["state"]
    wanted = [("CAPTURED", str(PRICES[sent.service]))] if state == "delivered" else []
    assert [(row["charge_state"], row["amount_minor"]) for row in rows] == wanted, f"{sent} is {state}"
    assert life["charge"]["state"] == {"delivered": "captured", "unknown": "held"}.get(state, "released"), f"{sent}: {life}"


def _check_unacknowledged(witness: Witness, wire: Counter[str], charges: dict[str, list[dict[str, str]]]) -> None:
    """What nobody was told of may be in the store or not; if it is charged, it was delivered."""
    known = {sent.message_id for sent in witness.acknowledged}
    by_destination = {sent.destination: sent for sent in witness.sent}
    for message_id, rows in charges.items():
        assert len(rows) == 1, f"charged twice: {rows}"
        if message_id not in known and rows[0]["charge_state"] == "CAPTURED":
            sent = by_destination[rows[0]["peer_msisdn"].lstrip("+")]
            assert not sent.is_acknowledged
            assert wire[sent.token], f"{sent} is charged and never left"


async def exported(site: Site, folder: Path) -> dict[str, list[dict[str, str]]]:
    """Export everything booked so far; the rows by message id."""
    charges: dict[str, list[dict[str, str]]] = {}
    for path in await _export(site, folder):
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                charges.setdefault(row["message_id"], []).append(row)
    return charges


async def _export(site: Site, folder: Path) -> list[Path]:
    """Run the export over these days; the charge files that are new."""
    before = {path: path.read_bytes() for path in folder.glob("*")}
    today = datetime.now(UTC).date()
    days = ("--from", str(today - timedelta(days=2)), "--to", str(today + timedelta(days=2)))
    done = await site.command("billing", "export", *days, "-o", str(folder), "--json")
    assert done.code == 0, done.err
    assert {path: path.read_bytes() for path in before} == before, "files of an earlier export changed"
    return sorted(path for path in folder.glob("*.csv") if path not in before)


async def _check_books(site: Site, charges: dict[str, list[dict[str, str]]]) -> None:
    checked = await site.command("billing", "check", "--json")
    assert json.loads(checked.out) == {"clean": True, "violations": []}, checked.err
    captured = sum(int(row["amount_minor"]) for rows in charges.values() for row in rows if row["charge_state"] == "CAPTURED")
    async with site.http.get(f"{site.url}/v1/balance", headers=site.auth) as response:
        wallet = await response.json()
    assert wallet["available_minor"] + wallet["held_minor"] + captured == CREDIT_MINOR
