"""The whole house in the simulated world: gateway, SMSC with its phones, and the store they begin with.

The store is made once per process and copied into each run's folder: migrations would take longer than the run.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from billing import book
from gateway.app import Gateway
from gateway.connectors.embedded import Limits as MessengerLimits
from gateway.domain import credentials
from gateway.domain.ids import IdMaker
from gateway.settings import Backlog, Messenger, Service, Settings, ShortCode, Store, Web
from gateway.settings_smpp import Link, SmppServer
from gateway.smpp import pdu as p
from gateway.smpp.consts import MessageState, Status
from gateway.smpp.session import Limits
from gateway.sms import segments
from gateway.store import im, im_friends, partners
from gateway.store.engine import migrate, open_writing
from gateway.store.partners import Partner
from gateway.telemetry import Metrics
from simulators.evidence import Evidence, OnWire, PhoneSaid, ReceiptSent, Shown, token_in
from simulators.faults import Refusals, SmscFaults
from simulators.id_habits import HABITS, HabitualIds
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_delivery import Delivery
from simulators.smsc_messages import Taken, concatenation_of
from simulators.smsc_mo import phone_pdus
from simulators.smsc_session import SmscSession
from simulators.smsc_treatment import Treatment, Treatments
from simulators.streams import stream
from simulators.world import START_US, Sim, SimWorld

GATEWAY, SMSC = "gateway", "smsc"
HTTP_PORT, SMPP_PORT, SMSC_PORT = 8080, 2775, 2776
CURRENCY = "CNY"
PASSWORD = "pass1"
CHAT_PASSWORD = "friendly-words"
# Name, price, by part, unknown outcome: the auditor has its own copy of what the gateway is told.
SERVICES = (
    ("chat", 10, "part", "resend"),
    ("prem", 100, "part", "hold"),
    ("alert", 7, "part", "drop"),
    ("flat", 30, "message", "resend"),
    ("note", 0, "part", "resend"),
)
PARTNERS = {"acme": 100_000, "poor": 45}
ACCOUNTS = ("10001", "10002", "10003")
ACCOUNT_CREDIT = 2_000
DIRECT_CODE, SLOT_CODE, PARTNER_CODE = "10661700", "10661701", "10661888"
PHONES = tuple(f"86139000011{number:02d}" for number in range(11, 17))
STOPPING_PHONE = "8613900001199"
# The SMSC's default rules: undeliverable, rejected, refused at once, throttled once, no receipt, early receipt, two receipts.
MAGIC_PHONES = tuple(f"861390000000{digit}" for digit in (1, 3, 4, 5, 6, 8, 9))
# Taken and delivered, and never answered: each of its messages costs the link a response timeout, again and again.
SILENT_PHONE = "8613900000007"
_HASH = {"passes": 1, "memory_kib": 8}


def settings_of(folder: str, sim: Sim) -> Settings:
    """The gateway's configuration; binds and rate differ from seed to seed."""
    numbers = sim.stream("settings")
    link = Link(
        name="carrier",
        host=SMSC,
        port=SMSC_PORT,
        system_id="bellhop",
        password=SecretStr("secret8"),
        binds=numbers.choice([1, 1, 2]),
        window=numbers.choice([2, 10, 50]),
        rate_per_s=numbers.choice([0.0, 0.0, 20.0]),
        response_timeout_s=8.0,
        backoff_s_max=4.0,
        enquire_link_s=15.0,
    )
    services = [
        Service(name=name, price=price, currency=CURRENCY, charge_by=by, unknown_outcome=policy) for name, price, by, policy in SERVICES
    ]
    return Settings(
        store=Store(url=f"sqlite:///{folder}/store.db", durability="normal"),
        web=Web(host="0.0.0.0", port=HTTP_PORT),
        smpp_server=SmppServer(host="0.0.0.0", port=SMPP_PORT),
        links=(link,),
        services=tuple(services),
        short_codes=(
            ShortCode(number=DIRECT_CODE, service="chat", reply_mode="direct"),
            ShortCode(number=SLOT_CODE, service="chat", reply_mode="slot"),
            ShortCode(number=PARTNER_CODE, service="chat", partner="acme"),
        ),
        messenger=Messenger(short_code=DIRECT_CODE),
        backlog=Backlog(in_memory_max=100),
    )


def gateway_program(sim: Sim, evidence: Evidence) -> Any:
    """What runs on the gateway's node, in each of its lives."""

    async def program(world: SimWorld) -> None:
        limits = MessengerLimits(messages_per_s=50.0, logins_per_s=50.0, hash_passes=1, hash_memory_kib=8)
        gateway = Gateway(settings_of(world.folder, sim), world, check_password=_is_password, metrics=Metrics(), messenger_limits=limits)
        _listen_to_log(evidence)
        await gateway.start()
        world.log("ready")
        await stay()

    return program


async def stay() -> None:
    """For ever, and held by the loop's timers: a program that waits for nothing would be collected."""
    while True:  # noqa: ASYNC110 - an Event that is never set is held by nobody
        await asyncio.sleep(3_600.0)


def _is_password(password_hash: str, password: str) -> bool:
    return password_hash == password


def _listen_to_log(evidence: Evidence) -> None:
    """Errors in the log are evidence; the rest is nobody's business here."""

    def keep(_logger: object, method: str, event: Any) -> Any:
        if method in ("error", "critical", "exception"):
            evidence.trouble.append(f"log: {event.get('event')}: {event.get('error') or event.get('exc_info')!r}")
        raise structlog.DropEvent

    structlog.configure(processors=[keep], cache_logger_on_first_use=False)


# -- the store it begins with ---------------------------------------------------------------------------------------------


def api_key(partner: str) -> str:
    """The key of a partner."""
    return credentials.api_key_of(hashlib.sha256(partner.encode()).digest())


def furnish(sim: Sim) -> None:
    """Put the prepared store into the gateway's folder."""
    (Path(sim.node(GATEWAY).folder) / "store.db").write_bytes(template())


@lru_cache(maxsize=1)
def template() -> bytes:
    """The store that every run begins with: partners, accounts and their contacts."""
    with tempfile.TemporaryDirectory(prefix="bellhop-template-") as folder:
        path = Path(folder) / "store.db"
        engine = open_writing(f"sqlite:///{path}", synchronous="OFF")
        migrate(engine)
        now_us = START_US - 86_400_000_000
        ids = IdMaker()

        def next_id() -> int:
            return ids.next_id(now_us)

        with engine.begin() as conn:
            book.ensure_house(conn, CURRENCY, new_id=next_id, now_us=now_us)
            for name, credit in PARTNERS.items():
                wallet = book.open_account(conn, next_id(), f"partner:{name}", CURRENCY, True, now_us)
                partners.add(conn, Partner(next_id(), name, PASSWORD, credentials.hash_of_api_key(api_key(name)), wallet, True), now_us)
                book.top_up(conn, wallet, credit, f"first:{name}", next_id(), now_us)
            password_hash = credentials.hash_of_password(CHAT_PASSWORD, b"0123456789abcdef", **_HASH)
            for place, number in enumerate(ACCOUNTS):
                spare = (next_id(), next_id(), next_id(), next_id())
                im.register(conn, im.NewAccount(f"friend {number}", password_hash, int(number), CURRENCY, ACCOUNT_CREDIT, spare, now_us))
                for turn, phone in enumerate((*PHONES, STOPPING_PHONE)):
                    code = DIRECT_CODE if (place + turn) % 2 else SLOT_CODE
                    im_friends.put_phone(conn, int(number), f"+{phone}", None, code, contacts_max=100)
        engine.dispose()
        with sqlite3.connect(path) as plain:
            plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        plain.close()
        return path.read_bytes()


# -- the SMSC -----------------------------------------------------------------------------------------------------------------


class RecordingSmsc(Smsc):
    """The SMSC simulator, with a memory of all that passes its port, and owners of phones who answer."""

    def __init__(self, sim: Sim, world: SimWorld, evidence: Evidence, faults: SmscFaults | None, refusals: Refusals) -> None:
        limits = Limits(window_max=200, peer_window_max=100_000, response_timeout_s=120.0)
        config = SmscConfig(host="0.0.0.0", port=SMSC_PORT, seed=sim.seed, first_id=1_000_000 + sim.seed * 1_000, limits=limits)
        super().__init__(world, config, faults=faults)
        # Each run's carrier has its own habit of writing ids, which the gateway is not told.
        habit = sim.stream("id habit").choice(sorted(HABITS))
        self.ids = HabitualIds(HABITS[habit], 1_000_000 + sim.seed * 1_000)  # type: ignore[assignment]  # it is asked for take() only
        self._responded: dict[str, str] = {}  # by the receipt's id
        self.evidence = evidence
        self._sim_world = world
        self._refusals = refusals
        self._taken_at_s = 0.0  # in a storm
        self._habits = sim.stream("phones")
        self.deliveries.answered = self._watched(self.deliveries.answered)  # type: ignore[method-assign]  # to hear every answer

    def calm_down(self) -> None:
        """No more faults."""
        self.treatments = Treatments(self.config, self.rules, None, stream(0, "calm"))
        self._refusals = Refusals()

    def _watched(self, answered: Any) -> Any:
        def watched(delivery: Delivery, status: int) -> None:
            if delivery.pdu.esm_class & 0x3C == 0x04 and status == 0:
                smsc_id = self._responded[delivery.pdu.tlvs[0x001E].rstrip(b"\0").decode()]
                self.evidence.receipts[smsc_id].is_acknowledged = True
                self._sim_world.log("receipt taken", id=smsc_id)
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
            if full.at_s <= now_s < full.at_s + full.for_s and phone == PHONES[full.phone % len(PHONES)]:
                return Status.ESME_RMSGQFUL
        for storm in self._refusals.storms:
            if storm.at_s <= now_s < storm.at_s + storm.for_s:
                if not storm.rate_per_s or now_s - self._taken_at_s < 1 / storm.rate_per_s:
                    return Status.ESME_RTHROTTLED
                self._taken_at_s = now_s
        return 0

    def take(self, session: SmscSession, request: p.SubmitSm, treatment: Treatment, ids: tuple[str, str]) -> Taken:
        self._note(request, ids[0], 0)
        return super().take(session, request, treatment, ids)

    def _note(self, request: p.SubmitSm, smsc_id: str, status: int) -> None:
        taken = Taken(("", ""), 0, "", request)
        content = segments.decode(request.data_coding, taken.udhi, taken.body)
        place = concatenation_of(request, content.elements)
        seen = OnWire(
            self.world.clock.monotonic(),
            token_in(content.text),
            place.number if place is not None else 1,
            request.source_addr,
            request.destination_addr,
            smsc_id,
            status,
        )
        self.evidence.wire.append(seen)
        self._sim_world.log("submit_sm", token=seen.token, part=seen.part, id=smsc_id, status=status)

    def _finish(self, taken: Taken, origin: SmscSession, copies: int) -> None:
        if copies:
            # Written down before it leaves; settling happens in there, by the rule.
            is_delivered = taken.rule.stat == "DELIVRD"
            now_s = self.world.clock.monotonic()
            self._responded[taken.receipt_id] = taken.id
            self.evidence.receipts[taken.id] = ReceiptSent(taken.id, is_delivered, now_s, written=taken.receipt_id)
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
        if phone == STOPPING_PHONE:
            self.timeline.after(wait_s, self.say, PhoneSaid("", phone, to[: len(DIRECT_CODE)], "STOP", is_stop=True), False)
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
