"""The whole house in the simulated world: the gateway with its file, and the store it begins with. The carriers are in carriers.py.

The store is made once per process and copied into each run's folder: migrations would take longer than the run.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import SecretStr

from billing import book, tariffs
from billing.tariff.rule import Model, Rule
from billing.tariff.version import FOREVER_US, Version
from gateway.app import Gateway
from gateway.connectors.embedded import Limits as MessengerLimits
from gateway.domain import credentials
from gateway.domain.ids import IdMaker
from gateway.settings import Backlog, Messenger, Service, Settings, ShortCode, Store, Web
from gateway.settings_billing import Billing
from gateway.settings_routes import Route
from gateway.settings_smpp import Link, SmppServer
from gateway.store import im, im_friends, partners, staff
from gateway.store.engine import migrate, open_writing
from gateway.store.partners import Partner
from gateway.store.staff import Member, Scope
from gateway.telemetry import Metrics
from simulators.evidence import Evidence
from simulators.manners import manners_of
from simulators.world import START_US as MIDNIGHT_US
from simulators.world import Sim, SimWorld

GATEWAY = "gateway"
DAY_US = 86_400_000_000
# The old year has so long to go when a run begins: its last day is closed in the midst of the traffic.
OLD_YEAR_S = 20
START_US = MIDNIGHT_US - OLD_YEAR_S * 1_000_000
# Each link's carrier is a node of the link's name.
LINKS = ("carrier", "second")
HTTP_PORT, SMPP_PORT, SMSC_PORT = 8080, 2775, 2776
CURRENCY = "CNY"
PASSWORD = "pass1"
CHAT_PASSWORD = "friendly-words"
OPERATOR_TOKEN = "operators-only"
CLERK, SECOND_CLERK = "ann", "bob"
# Name, price, by part, unknown outcome: the auditor has its own copy of what the gateway is told.
SERVICES = (
    ("chat", 10, "part", "resend"),
    ("prem", 100, "part", "hold"),
    ("alert", 7, "part", "drop"),
    ("flat", 30, "message", "resend"),
    ("note", 0, "part", "resend"),
)
# In half of all seeds an approved tariff prices, the same but with tax: millionths of the price without it.
PLAN = "taxed"
TAXES_PPM = {"chat": 60_000, "prem": 60_000, "alert": 130_000, "flat": 250_000, "note": 0}
PARTNERS = {"acme": 100_000, "poor": 45, "quick": 100_000}
# One partner may send only so much.
QUICK_PER_S, QUICK_PER_DAY = 4, 9
_POLICIES = {"quick": f'{{"rate_per_s":{QUICK_PER_S},"messages_per_day":{QUICK_PER_DAY}}}'}
ACCOUNTS = ("10001", "10002", "10003")
ACCOUNT_CREDIT = 2_000
DIRECT_CODE, SLOT_CODE, PARTNER_CODE = "10661700", "10661701", "10661888"
PHONES = tuple(f"86139000011{number:02d}" for number in range(11, 17))
STOPPING_PHONE = "8613900001199"
# The owner of this one has an operator stop what comes from one sender.
LEAVING_PHONE, LEFT_SENDER = "8613900001188", "10690002"
# Messages from here may stand in each other's place.
NEWS_SENDER = "10690003"
# The SMSC's default rules: undeliverable, rejected, refused at once, throttled once, no receipt, early receipt, two receipts.
MAGIC_PHONES = tuple(f"861390000000{digit}" for digit in (1, 3, 4, 5, 6, 8, 9))
# Taken and delivered, and never answered: each of its messages costs the link a response timeout, again and again.
SILENT_PHONE = "8613900000007"
_HASH = {"passes": 1, "memory_kib": 8}
# What the file says in turn: as it began, another pace, other timers, one link less, the routes turned round.
EDITIONS: Final = ("first", "pace", "timers", "one link", "turned")


class File:
    """The gateway's file: an operator writes another edition and has it read, and a gateway that starts again finds that one."""

    def __init__(self, sim: Sim) -> None:
        self.edition = EDITIONS[0]
        self._sim = sim
        numbers = sim.stream("settings")
        self.has_two_links = numbers.random() < 0.7
        self._links = [self._link(name, place) for place, name in enumerate(LINKS[: 2 if self.has_two_links else 1])]
        self._routes = self._draw_routes() if self.has_two_links and numbers.random() < 0.7 else ()
        self._billing = _draw_billing(sim)

    @property
    def links(self) -> list[str]:
        """The names of the links there are at first."""
        return [link.name for link in self._links]

    @property
    def is_moving(self) -> bool:
        """Whether what waits for a link that is down may go to another."""
        return any(link.reroute_after_s for link in self._links)

    @property
    def charges_late(self) -> bool:
        """Whether what is delivered after the end of its message is charged."""
        return self._billing.late == "charge"

    @property
    def has_tax(self) -> bool:
        """Whether the tariff with tax prices."""
        return self._billing.plan == PLAN

    def _link(self, name: str, place: int) -> Link:
        """Binds, window and rate differ from seed to seed, and what is done about refusals and outages."""
        numbers = self._sim.stream("settings", name)
        return Link(
            name=name,
            host=name,
            port=SMSC_PORT,
            system_id="bellhop",
            password=SecretStr("secret8"),
            binds=numbers.choice([1, 1, 2]),
            window=numbers.choice([2, 10, 50]),
            rate_per_s=numbers.choice([0.0, 0.0, 20.0]),
            response_timeout_s=8.0,
            backoff_s_max=4.0,
            enquire_link_s=15.0,
            reroute_after_s=numbers.choice([0.0, 0.0, 1.5, 5.0]),
            errors={"0x45": "next_route"} if place == 0 and numbers.random() < 0.5 else {},
            dialect=manners_of(self._sim, name).link_dialect,
        )

    def _draw_routes(self) -> tuple[Route, ...]:
        numbers = self._sim.stream("routes")
        first = numbers.choice([LINKS, LINKS[::-1]])
        wait = numbers.choice(["next", "next", "wait"])
        usual = numbers.choice([("carrier:60", "second:40"), LINKS])
        return (
            Route(name="premium", services=("prem",), links=first, when_down=wait),
            Route(name="usual", links=usual, next_on=numbers.choice([(), ("0x00000045",)])),
        )

    def read(self, folder: str) -> Settings:
        """The settings it holds now."""
        links, routes = list(self._links), self._routes
        if self.edition == "pace":
            links = [link.model_copy(update={"rate_per_s": 30.0, "window": 5}) for link in links]
        elif self.edition == "timers":
            links = [link.model_copy(update={"enquire_link_s": 20.0}) for link in links]
        elif self.edition == "one link":
            links, routes = links[:1], ()
        elif self.edition == "turned":
            links, routes = links[::-1], routes[::-1]
        return _settings(folder, tuple(links), routes, self._billing)


def _draw_billing(sim: Sim) -> Billing:
    numbers = sim.stream("settings", "billing")
    late, plan = numbers.choice(["absorb", "charge"]), numbers.choice([PLAN, "main"])
    grace_s, above = numbers.choice([0, 0, 4, 3_600]), numbers.choice(["0.20", "100.00"])
    return Billing(late=late, grace_s=grace_s, plan=plan, approval_above={CURRENCY: above})


def _settings(folder: str, links: tuple[Link, ...], routes: tuple[Route, ...], billing: Billing) -> Settings:
    services = [
        Service(name=name, price=price, currency=CURRENCY, charge_by=by, unknown_outcome=policy) for name, price, by, policy in SERVICES
    ]
    return Settings(
        store=Store(url=f"sqlite:///{folder}/store.db", durability="normal"),
        web=Web(host="0.0.0.0", port=HTTP_PORT),
        smpp_server=SmppServer(host="0.0.0.0", port=SMPP_PORT),
        links=links,
        services=tuple(services),
        short_codes=(
            ShortCode(number=DIRECT_CODE, service="chat", reply_mode="direct"),
            ShortCode(number=SLOT_CODE, service="chat", reply_mode="slot"),
            ShortCode(number=PARTNER_CODE, service="chat", partner="acme"),
        ),
        routes=routes,
        messenger=Messenger(short_code=DIRECT_CODE),
        backlog=Backlog(in_memory_max=100),
        billing=billing,
    )


def gateway_program(file: File, evidence: Evidence) -> Any:
    """What runs on the gateway's node, in each of its lives."""

    async def program(world: SimWorld) -> None:
        limits = MessengerLimits(messages_per_s=50.0, logins_per_s=50.0, hash_passes=1, hash_memory_kib=8)
        gateway = Gateway(
            file.read(world.folder),
            world,
            check_password=_is_password,
            metrics=Metrics(),
            messenger_limits=limits,
            operator_token=OPERATOR_TOKEN,
            reread=lambda: file.read(world.folder),
        )
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
    """The key of a partner, or of a clerk."""
    return credentials.api_key_of(hashlib.sha256(partner.encode()).digest())


def furnish(sim: Sim) -> None:
    """Put the prepared store into the gateway's folder."""
    (Path(sim.node(GATEWAY).folder) / "store.db").write_bytes(template())


def _tariff(from_us: int) -> Version:
    models = {name: Model.PER_PART if by == "part" else Model.PER_MESSAGE for name, _, by, _ in SERVICES}
    rules = [
        Rule(name, models[name] if price else Model.FREE, price, CURRENCY, service=name, tax_ppm=TAXES_PPM[name])
        for name, price, _, _ in SERVICES
    ]
    return Version(PLAN, 0, from_us, FOREVER_US, tuple(rules))


@lru_cache(maxsize=1)
def template() -> bytes:
    """The store that every run begins with: partners, accounts and their contacts, and the clerks."""
    with tempfile.TemporaryDirectory(prefix="bellhop-template-") as folder:
        path = Path(folder) / "store.db"
        engine = open_writing(f"sqlite:///{path}", synchronous="OFF")
        migrate(engine)
        now_us = START_US - DAY_US
        ids = IdMaker()

        def next_id() -> int:
            return ids.next_id(now_us)

        with engine.begin() as conn:
            book.ensure_house(conn, CURRENCY, new_id=next_id, now_us=now_us)
            for name, credit in PARTNERS.items():
                wallet = book.open_account(conn, next_id(), f"partner:{name}", CURRENCY, True, now_us)
                key_hash = credentials.hash_of_api_key(api_key(name))
                partners.add(conn, Partner(next_id(), name, PASSWORD, key_hash, wallet, True, _POLICIES.get(name, "{}")), now_us)
                book.top_up(conn, wallet, credit, f"first:{name}", next_id(), now_us)
            clerk = Member(CLERK, credentials.hash_of_api_key(api_key(CLERK)), frozenset({Scope.ACT}))
            second = Member(SECOND_CLERK, credentials.hash_of_api_key(api_key(SECOND_CLERK)), frozenset({Scope.APPROVE}))
            for member in (clerk, second):
                staff.add(conn, member, now_us)
            tariffs.draft(conn, _tariff(now_us), actor=SECOND_CLERK, now_us=now_us)
            tariffs.approve(conn, PLAN, 1, actor=CLERK, now_us=now_us, is_now=True)
            password_hash = credentials.hash_of_password(CHAT_PASSWORD, b"0123456789abcdef", **_HASH)
            for place, number in enumerate(ACCOUNTS):
                spare = tuple(next_id() for _ in range(im.SPARE_IDS))
                im.register(conn, im.NewAccount(f"friend {number}", password_hash, int(number), CURRENCY, ACCOUNT_CREDIT, spare, now_us))
                for turn, phone in enumerate((*PHONES, STOPPING_PHONE)):
                    code = DIRECT_CODE if (place + turn) % 2 else SLOT_CODE
                    im_friends.put_phone(conn, int(number), f"+{phone}", None, code, contacts_max=100)
        engine.dispose()
        with sqlite3.connect(path) as plain:
            plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        plain.close()
        return path.read_bytes()
