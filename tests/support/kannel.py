"""Kannel beside the tests: a bearerbox bound as an ESME and its smsbox, sent to by HTTP, telling receipts and messages by HTTP."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import aiohttp
from aiohttp import web

from tests.support.wire import HOST

BEARERBOX, SMSBOX = (shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") for name in ("bearerbox", "smsbox"))
DELIVERED, FAILED = "1", "2"
START_S, WAIT_S = 20.0, 20.0

CONFIG = """
group = core
admin-port = {admin}
smsbox-port = {box}
admin-password = test
box-allow-ip = "127.0.0.1"
log-file = "{folder}/bearerbox.log"
log-level = 0
dlr-storage = internal
sms-combine-concatenated-mo = true

group = smsc
smsc = smpp
smsc-id = test
host = {host}
port = {port}
transceiver-mode = true
smsc-username = {system_id}
smsc-password = {password}
system-type = ""
interface-version = 34
source-addr-ton = 0
source-addr-npi = 1
dest-addr-ton = 1
dest-addr-npi = 1
enquire-link-interval = 10
msg-id-type = 0x00

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = "{folder}/smsbox.log"
log-level = 0

group = sendsms-user
username = test
password = test
concatenation = true
max-messages = 10

group = sms-service
keyword = default
get-url = "http://127.0.0.1:{web}/mo?from=%p&to=%P&text=%b&coding=%c"
accept-x-kannel-headers = true
max-messages = 0
catch-all = true
"""


class Heard(NamedTuple):
    """A message from a phone, as Kannel passes it on."""

    source: str
    destination: str
    text: str


class Kannel:
    """The running boxes."""

    def __init__(self, sendsms: int, admin: int, own: int) -> None:
        self._sendsms = sendsms
        self._admin = admin
        self._own = own
        self.receipts: list[tuple[str, str]] = []  # (our tag, Kannel's dlr type)
        self.heard: list[Heard] = []

    async def send(self, source: str, destination: str, text: str, tag: str) -> None:
        """Have it send a Unicode text and ask for a receipt of each part."""
        fields = {
            "username": "test", "password": "test", "from": source, "to": destination, "text": text, "charset": "UTF-8", "coding": "2",
            "dlr-mask": "3", "dlr-url": f"http://{HOST}:{self._own}/dlr?tag={tag}&type=%d",
        }  # fmt: skip
        place = f"http://{HOST}:{self._sendsms}/cgi-bin/sendsms"
        async with aiohttp.ClientSession() as client, client.get(place, params=fields) as answer:
            assert answer.status == 202, await answer.text()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that only traffic can make true."""
        async with asyncio.timeout(WAIT_S):
            while not is_true():
                await asyncio.sleep(0.02)

    async def is_online(self) -> bool:
        """Whether the bearerbox has bound."""
        try:
            async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{self._admin}/status.txt") as answer:
                return "(online" in await answer.text()
        except aiohttp.ClientError:
            return False

    async def hear_receipt(self, request: web.Request) -> web.Response:
        self.receipts.append((request.query["tag"], request.query["type"]))
        return web.Response()

    async def hear_message(self, request: web.Request) -> web.Response:
        raw = dict(part.split("=", 1) for part in request.raw_path.partition("?")[2].split("&"))
        octets = unquote_to_bytes(raw["text"].replace("+", " "))
        text = octets.decode("utf-16-be" if request.query["coding"] == "2" else "utf-8", "replace")
        # Kannel writes a plus before an address of TON 1.
        self.heard.append(Heard(request.query["from"].lstrip("+ "), request.query["to"], text))
        return web.Response(text="")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@asynccontextmanager
async def kannel(folder: Path, port: int, system_id: str, password: str) -> AsyncIterator[Kannel]:
    """Both boxes, bound to an SMSC on a port of this machine."""
    assert BEARERBOX is not None
    assert SMSBOX is not None
    admin, box, sendsms, own = _free_ports(4)
    boxes = Kannel(sendsms, admin, own)
    app = web.Application()
    app.router.add_get("/dlr", boxes.hear_receipt)
    app.router.add_get("/mo", boxes.hear_message)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, own).start()
    config = folder / "kannel.conf"
    values = {"admin": admin, "box": box, "sendsms": sendsms, "web": own, "folder": folder, "host": HOST, "port": port}
    config.write_text(CONFIG.format(**values, system_id=system_id, password=password))
    processes = []
    try:
        for program in (BEARERBOX, SMSBOX):
            processes.append(await asyncio.create_subprocess_exec(program, str(config), cwd=folder, stdout=-3, stderr=-3))
            async with asyncio.timeout(START_S):
                while not (await boxes.is_online() if program == BEARERBOX else await _listens(sendsms)):
                    assert processes[-1].returncode is None, f"{program} ended: see {folder}"
                    await asyncio.sleep(0.05)
        yield boxes
    finally:
        for process in reversed(processes):
            if process.returncode is None:
                process.terminate()
        for process in processes:
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
        await runner.cleanup()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
