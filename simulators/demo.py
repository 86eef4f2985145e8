"""`bellhop demo`: a gateway, an SMSC simulator with two phones and two messenger accounts, in one process and on one loop.

The folder keeps the store, the secrets (demo.json) and a bellhop.toml, so that the other commands work on the demo too, and the next
start finds everything as it was left. Only the phones forget: they live in the simulator's memory.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
from base64 import b32encode
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pydantic import SecretStr
from sqlalchemy import Connection

from billing import book
from gateway import cli_run
from gateway.app import Gateway
from gateway.domain import credentials
from gateway.errors import Refused
from gateway.real_world import RealWorld
from gateway.settings import SAMPLE, Settings, Store
from gateway.settings_smpp import Link
from gateway.settings_text import sample_toml
from gateway.store import im, partners
from gateway.telemetry import Metrics
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_web import SmscWeb

HOST = "127.0.0.1"
PHONES = ("+8613900001111", "+8613900002222")
NICKS = ("Li Lei", "Han Meimei")
NUMBER_MIN = 10_001
# The second account's chats leave from a slot of this short code, the first one's from the first code and its own number.
SLOT_CODE = "10661701"
PARTNER = "demo"
LINK_PASSWORD = "bellhop"
CREDIT_MINOR = 100_000
BIND_TIMEOUT_S = 10.0
WELCOME_TIMEOUT_S = 10.0

SECRETS_FILE = "demo.json"
CONFIG_FILE = "bellhop.toml"
STORE_FILE = "bellhop.db"


class Ports(NamedTuple):
    """Where the four doors are wanted; 0 takes a free port."""

    http: int
    smpp: int
    smsc: int
    phones: int


# How a person chooses another one, in the order of Ports.
OPTIONS = ("--port", "--smpp-port", "--smsc-port", "--phones-port")


class Secrets(NamedTuple):
    """What opens the demo's doors; made once for a folder."""

    passwords: tuple[str, ...]
    smpp_password: str
    api_key: str


class Person(NamedTuple):
    """One messenger account."""

    number: int
    nick: str
    password: str


class Demo:
    """Everything of the demo: `await start()`, then `await stop()`."""

    def __init__(self, world: RealWorld, folder: Path, secrets: Secrets, ports: Ports, *, receipt_delay_ms: int = 200) -> None:
        self.world = world
        self.folder = folder
        self.secrets = secrets
        self.smsc = Smsc(world, SmscConfig(host=HOST, port=ports.smsc, receipt_delay_ms=receipt_delay_ms, pdus_max=5_000))
        self.page = SmscWeb(world, self.smsc, host=HOST, port=ports.phones)
        self.people = [Person(NUMBER_MIN + place, nick, secrets.passwords[place]) for place, nick in enumerate(NICKS)]
        self.is_new = False
        self._ports = ports

    async def start(self) -> None:
        """Open every door and bring people and phones in. Raises Refused, in one line, before anything is half open."""
        await _refuse_taken(self.world, self._ports)
        await self.smsc.start()
        await self.page.start()
        self.gateway = Gateway(
            self._settings(self._ports.http, self._ports.smpp),
            self.world,
            check_password=credentials.is_password,
            metrics=Metrics(),
        )
        await cli_run.start(self.gateway, self.world)
        shown = self._settings(self.gateway.web_port, self.gateway.smpp_server.port)
        self.world.disk.write_durably(str(self.folder / CONFIG_FILE), sample_toml(shown).encode())
        await self.gateway.writer.run(_open_partner, self.secrets, [self.world.next_id() for _ in range(5)], self._salt(), self._now_us())
        await self._bring_people()
        for phone in PHONES:
            self.smsc.phones.add(phone)
        if not await self.smsc.until(lambda: self.gateway.links[0].is_up, BIND_TIMEOUT_S):
            raise Refused(f"the gateway could not bind to the SMSC simulator on {HOST}:{self.smsc.port}")

    async def stop(self) -> None:
        """Close everything, in the order in which messages flow."""
        if hasattr(self, "gateway") and self.gateway.is_ready:
            await self.gateway.stop()
        await self.page.stop()
        await self.smsc.stop()

    @property
    def store_url(self) -> str:
        """The store's address."""
        return f"sqlite:///{self.folder / STORE_FILE}"

    @property
    def chat_url(self) -> str:
        """Where the gateway's HTTP door is."""
        return f"http://{HOST}:{self.gateway.web_port}"

    @property
    def phones_url(self) -> str:
        """Where the phones' page and API are."""
        return f"http://{HOST}:{self.page.port}"

    def addresses(self) -> dict[str, Any]:
        """Everything a person or a program needs to come in."""
        return {
            "chat": f"{self.chat_url}/chat",
            "accounts": [{"account": str(one.number), "nick": one.nick, "password": one.password} for one in self.people],
            "phones": f"{self.phones_url}/",
            "phone_numbers": list(PHONES),
            "api": f"{self.chat_url}/v1/messages",
            "api_key": self.secrets.api_key,
            "smpp": f"{HOST}:{self.gateway.smpp_server.port}",
            "smpp_system_id": PARTNER,
            "smpp_password": self.secrets.smpp_password,
            "metrics": f"{self.chat_url}/metrics",
            "smsc": f"{HOST}:{self.smsc.port}",
            "folder": str(self.folder),
        }

    async def welcome(self) -> None:
        """A few first words, so that no page is empty; once in the life of a folder."""
        if not self.is_new:
            return
        li, han = (str(person.number) for person in self.people)
        send = self.gateway.messenger.send
        await send(int(han), li, "你好，李雷！我们终于有门铃了。", "welcome-1")
        await send(int(li), han, "Hi Han Meimei! Phones are in the list too, just write to one.", "welcome-2")
        await send(int(li), PHONES[0], "你好！从聊天里给你发短信 🔔 请直接回复。", "welcome-3")
        await send(int(han), PHONES[1], "Dinner at seven? Just answer this SMS.", "welcome-4")
        answers = ("收到，谢谢！", "Yes, see you at seven.")
        for phone, answer in zip(PHONES, answers, strict=True):
            await self._answer(phone.removeprefix("+"), answer)

    async def _answer(self, number: str, text: str) -> None:
        """Let a phone answer what it received."""

        def addresses() -> list[str]:
            phone = self.smsc.phones.get(number)
            return [] if phone is None else [message.peer for message in phone.messages]

        if await self.smsc.until(lambda: bool(addresses()), WELCOME_TIMEOUT_S):
            self.smsc.send_mo(number, addresses()[0], text)

    def _settings(self, http_port: int, smpp_port: int) -> Settings:
        link = Link(name="sim", host=HOST, port=self.smsc.port, system_id="bellhop", password=SecretStr(LINK_PASSWORD), window=100)
        return SAMPLE.model_copy(
            update={
                "store": Store(url=self.store_url),
                "web": SAMPLE.web.model_copy(update={"host": HOST, "port": http_port}),
                "smpp_server": SAMPLE.smpp_server.model_copy(update={"host": HOST, "port": smpp_port}),
                "links": (link,),
                "messenger": SAMPLE.messenger.model_copy(update={"initial_credit": CREDIT_MINOR}),
            }
        )

    async def _bring_people(self) -> None:
        messenger = self.gateway.messenger
        for person in self.people:
            if await self.gateway.reader.read(im.find_account, person.number) is None:
                made = await messenger.accounts.create(person.nick, person.password)
                assert made.id == person.number, "a folder of the demo has its accounts and those opened after them"
                self.is_new = True
        for place, person in enumerate(self.people):
            known = {listed.contact.peer for listed in await messenger.contacts(person.number)}
            code = SLOT_CODE if place else None
            for number, phone in enumerate(PHONES, 1):
                if phone not in known:
                    await messenger.add_contact(person.number, phone, alias=f"Phone {number}", short_code=code)
            for friend in self.people:
                if friend is not person and str(friend.number) not in known:
                    await messenger.add_contact(person.number, str(friend.number))
        if self.is_new:
            first, second = self.people
            await messenger.add_contact(second.number, str(first.number))  # accepts, as the first one has asked

    def _salt(self) -> bytes:
        return self.world.entropy.token_bytes(credentials.SALT_OCTETS)

    def _now_us(self) -> int:
        return self.world.clock.now_us()


def _open_partner(conn: Connection, secrets: Secrets, ids: list[int], salt: bytes, now_us: int) -> None:
    """The partner whose key is printed, with credit; nothing when it is there already."""
    if partners.by_name(conn, PARTNER) is not None:
        return
    currency = SAMPLE.services[0].currency
    wallet = book.open_account(conn, ids.pop(), f"partner:{PARTNER}", currency, True, now_us)
    book.top_up(conn, wallet, CREDIT_MINOR, f"partner:{PARTNER}:first", ids.pop(), now_us)
    password_hash = credentials.hash_of_password(secrets.smpp_password, salt)
    partner = partners.Partner(ids.pop(), PARTNER, password_hash, credentials.hash_of_api_key(secrets.api_key), wallet, True)
    partners.add(conn, partner, now_us)


async def _refuse_taken(world: RealWorld, ports: Ports) -> None:
    """Try each port that was asked for, before anything is opened."""
    for port, option in zip(ports, OPTIONS, strict=True):
        if not port:
            continue
        try:
            listener = await world.network.listen(asyncio.Protocol, HOST, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Refused(f"port {port} is in use by another program; choose another one with {option}") from None
            raise Refused(f"cannot listen on {HOST}:{port}: {error.strerror}; choose another port with {option}") from None
        listener.close()
        await listener.wait_closed()


# The folder, before there is a loop.


def lock_folder(folder: Path) -> TextIO:
    """Make the folder and hold its store, as `bellhop run` does; Refused when another process has it or it is not a demo's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / CONFIG_FILE).exists() and not (folder / SECRETS_FILE).exists():
            raise Refused(f"{folder} holds a gateway that is not the demo's; choose another --folder")
        lock = (folder / f"{STORE_FILE}.lock").open("w")
    except OSError as error:
        raise Refused(f"cannot use {folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Refused(f"another demo runs in {folder}; stop it first, or choose another --folder") from None
    return lock


def secrets_of(world: RealWorld, folder: Path) -> Secrets:
    """The folder's secrets, made and kept before anything relies on them."""
    path = folder / SECRETS_FILE
    if not path.exists():
        token = world.entropy.token_bytes
        passwords = [b32encode(token(5)).decode().lower() for _ in NICKS]
        api_key = credentials.api_key_of(token(credentials.API_KEY_OCTETS))
        made = {"passwords": passwords, "smpp_password": b32encode(token(5)).decode().lower(), "api_key": api_key}
        world.disk.write_durably(str(path), json.dumps(made, indent=1).encode())
        path.chmod(0o600)
    try:
        kept = json.loads(path.read_bytes())
        return Secrets(tuple(kept["passwords"]), kept["smpp_password"], kept["api_key"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"{path} cannot be read as the demo wrote it; choose another --folder") from None
