"""A simulated SMSC on a thread of its own, with an API for code that knows no event loop; and the same for code that does."""

from __future__ import annotations

import asyncio
import threading  # noqa: TID251 - a synchronous test has no loop for the simulator to live in
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from gateway.real_world import RealWorld
from gateway.smpp.consts import RESPONSE_BIT, CommandId
from simulators import form, smsc_json
from simulators.form import FormError
from simulators.smsc_dissection import command_name, content_of, fields_of
from simulators.smsc_fleet import Fleet
from simulators.smsc_inspector import OUT, Seen
from simulators.smsc_scenario import Scenario, SmscForm, parse, shipped
from simulators.smsc_scenario_api import mo_of
from simulators.smsc_script import Event

T = TypeVar("T")
HOST = "127.0.0.1"
START_S = 30.0
WAIT_S = 5.0


class Submitted(NamedTuple):
    """One submit_sm the SMSC took; `text` is None for octets, `state` the message_state in words."""

    id: str
    system_id: str
    source: str
    destination: str
    text: str | None
    octets: bytes
    data_coding: int
    registered_delivery: int
    state: str


class Receipt(NamedTuple):
    """One delivery receipt the SMSC sent; `status` is what it was answered with, None as long as it is not."""

    id: str
    state: str
    source: str
    destination: str
    status: int | None


class PduSeen(NamedTuple):
    """One PDU on the wire; `direction` is "in" for what the SMSC received, `fields` the values by the specification's names."""

    number: int
    direction: str
    command: str
    status: int
    sequence: int
    fields: dict[str, Any]
    octets: bytes


class Bound(NamedTuple):
    """One bind."""

    system_id: str
    state: str


class SmscThread:
    """Use it as a context manager; every method may be called from any thread.

    `options` are keys of an SMSC of a scenario; `scenario` is a document (a dict), TOML, or the name of a shipped one, and its first
    SMSC is the one that is meant. Raises FormError for a wrong key.
    """

    def __init__(self, scenario: str | Mapping[str, object] | None = None, *, seed: int = 1, **options: Any) -> None:
        wanted = scenario_of(scenario)
        first = form.merged(wanted.smsc[0], {"port": 0, "receipt_delay_ms": 5} | options if scenario is None else options)
        # Two tests may run at the same time: no port of a scenario is taken at its word.
        others = tuple(form.merged(one, {"port": 0}) for one in wanted.smsc[1:])
        self._scenario = Scenario(seed=seed, smsc=(first if "port" in options else form.merged(first, {"port": 0}), *others))
        self._seed = seed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fleet: Fleet | None = None
        self._thread: threading.Thread | None = None

    # Life.

    def __enter__(self) -> SmscThread:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the port. Raises OSError."""
        ready: list[BaseException | None] = []
        is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready, is_up), name="smsc-simulator", daemon=True)
        self._thread.start()
        is_up.wait(START_S)
        if not ready:
            raise TimeoutError(f"the SMSC simulator did not start in {START_S:g} s")
        if ready[0] is not None:
            self._thread.join(WAIT_S)
            raise ready[0]

    def stop(self) -> None:
        """Unbind everybody and close the port."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(START_S)
            self._loop = None

    def _run(self, ready: list[BaseException | None], is_up: threading.Event) -> None:
        asyncio.run(self._live(ready, is_up))

    async def _live(self, ready: list[BaseException | None], is_up: threading.Event) -> None:
        self._stopped = asyncio.Event()
        world = RealWorld()
        try:
            self._fleet = Fleet.of_scenario(world, self._scenario, host=HOST, seed=self._seed)
            await self._fleet.start()
        except (OSError, FormError) as error:
            ready.append(error)
            is_up.set()
            await world.close()
            return
        self._loop = asyncio.get_running_loop()
        ready.append(None)
        is_up.set()
        await self._stopped.wait()
        for smsc in self._fleet:
            await smsc.stop(grace_s=0.2)
        await world.close()

    # Where it is.

    @property
    def host(self) -> str:
        return HOST

    @property
    def port(self) -> int:
        """The SMPP port."""
        return self._live_fleet.first.port

    @property
    def ports(self) -> dict[str, int]:
        """The ports of all SMSCs of the scenario, by their names."""
        return {smsc.config.name: smsc.port for smsc in self._live_fleet}

    @property
    def system_id(self) -> str:
        """The system_id it lets in; any that is given when the scenario asks for none."""
        return self._live_fleet.first.config.system_id or "esme"

    @property
    def password(self) -> str:
        return self._live_fleet.first.config.password or "secret"

    @property
    def _live_fleet(self) -> Fleet:
        if self._fleet is None:
            raise RuntimeError("the SMSC simulator is not started")
        return self._fleet

    # What has happened.

    def submitted(self, count: int = 1, *, wait: float = WAIT_S, to: str = "", text: str = "") -> list[Submitted]:
        """The messages taken so far, once there are `count` of them. Raises TimeoutError, which lists what came."""
        return self.call(self.submitted_async(count, wait=wait, to=to, text=text), wait)

    def receipts(self, count: int = 1, *, wait: float = WAIT_S) -> list[Receipt]:
        """The receipts sent and answered so far, once there are `count` of them. Raises TimeoutError."""
        return self.call(self.receipts_async(count, wait=wait), wait)

    def bound(self, count: int = 1, *, wait: float = WAIT_S) -> list[Bound]:
        """The binds, once there are `count` of them. Raises TimeoutError."""
        return self.call(self.bound_async(count, wait=wait), wait)

    def pdus(self, command: str = "", *, direction: str = "") -> list[PduSeen]:
        """What passed so far, oldest first; `command` is a name such as submit_sm_resp, `direction` "in" or "out"."""
        return self.call(self.pdus_async(command, direction=direction))

    # What shall happen.

    def script(self, *, rule: Mapping[str, object] | None = None, bind: Mapping[str, object] | None = None, **keys: Any) -> None:
        """Put a rule for messages or for binds ahead of the others, or change other keys of the SMSC. Raises FormError."""
        self.call(self.script_async(rule=rule, bind=bind, **keys))

    def deliver_mo(self, source: str, to: str, text: str = "", **keys: Any) -> int:
        """A phone sends a message: text, or hex and dcs; parts is udh8, udh16, sar or payload. How many deliver_sm that makes."""
        return self.call(self.deliver_mo_async(source, to, text, **keys))

    def do(self, deed: str, **keys: Any) -> None:
        """Make an event happen now: unbind, reset, mute, down, enquire-link, alert, outbind, garbage and others. Raises FormError."""
        self.call(self.do_async(deed, **keys))

    def clear(self) -> None:
        """Forget messages, phones and PDUs; rules stay."""
        self.call(self.clear_async())

    def call(self, work: Coroutine[Any, Any, T], wait: float = 0.0) -> T:
        """Run a coroutine on the simulator's loop and give its result."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the SMSC simulator is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(wait + START_S)

    # The same on the simulator's own loop.

    async def submitted_async(self, count: int = 1, *, wait: float = WAIT_S, to: str = "", text: str = "") -> list[Submitted]:
        def find() -> list[Submitted]:
            found = [_submitted(smsc_json.taken_document(taken)) for taken in self._live_fleet.first.log]
            return [each for each in found if (not to or each.destination == to) and (not text or text in (each.text or ""))]

        return await self._until(find, count, wait, "submit_sm")

    async def receipts_async(self, count: int = 1, *, wait: float = WAIT_S) -> list[Receipt]:
        return await self._until(self._answered_receipts, count, wait, "answered receipts")

    async def bound_async(self, count: int = 1, *, wait: float = WAIT_S) -> list[Bound]:
        def find() -> list[Bound]:
            return [Bound(each.system_id, each.session.state.value) for each in self._live_fleet.first.sessions if each.is_bound]

        return await self._until(find, count, wait, "binds")

    async def pdus_async(self, command: str = "", *, direction: str = "") -> list[PduSeen]:
        seen = [each for each in self._seen() if direction in ("", each.direction)]
        return [_pdu_seen(each) for each in seen if command in ("", command_name(each.command_id))]

    async def script_async(
        self, *, rule: Mapping[str, object] | None = None, bind: Mapping[str, object] | None = None, **keys: Any
    ) -> None:
        fleet = self._live_fleet
        name = fleet.first.config.name
        old = form.document(fleet.form(name))
        patch: dict[str, object] = dict(keys)
        for key, first in (("rule", rule), ("bind", bind)):
            if first is not None:
                patch[key] = [dict(first), *old.get(key, [])]
        fleet.change(name, form.merged(fleet.form(name), patch))

    async def deliver_mo_async(self, source: str, to: str, text: str = "", **keys: Any) -> int:
        return self._live_fleet.first.moments.deliver(mo_of({"from": source, "to": to, "text": text} | keys))

    async def do_async(self, deed: str, **keys: Any) -> None:
        self._live_fleet.first.moments.do(form.read(Event, {"do": deed} | keys))

    async def clear_async(self) -> None:
        smsc = self._live_fleet.first
        smsc.log.clear()
        smsc.phones.clear()
        if smsc.inspector is not None:
            smsc.inspector.clear()

    async def _until(self, find: Callable[[], list[T]], count: int, wait: float, what: str) -> list[T]:
        if not await self._live_fleet.first.until(lambda: len(find()) >= count, wait) and wait:
            raise TimeoutError(f"{len(find())} of {count} {what} came in {wait:g} s: {find()}")
        return find()

    def _seen(self) -> list[Seen]:
        return list(self._live_fleet.first.inspector or ())

    def _answered_receipts(self) -> list[Receipt]:
        """Receipts with their answers, in the order they were sent."""
        seen = self._seen()
        answers = {
            each.answers[0]: int.from_bytes(each.frame[8:12], "big")
            for each in seen
            if each.answers is not None and each.command_id & RESPONSE_BIT
        }
        found: list[Receipt] = []
        for each in seen:
            if each.direction == OUT and each.command_id == CommandId.DELIVER_SM and each.number in answers:
                told = content_of(each.frame).get("receipt")
                if told:
                    values = {part["name"]: part["value"] for part in fields_of(each.frame)}
                    ends = (values["source_addr"], values["destination_addr"])
                    found.append(Receipt(told["id"], told["state"], *ends, answers[each.number]))
        return found


class AsyncSmsc:
    """The same SMSC for a test with an event loop, of whatever framework: every method is awaited."""

    def __init__(self, thread: SmscThread) -> None:
        self._thread = thread
        self.host, self.port, self.ports = thread.host, thread.port, thread.ports
        self.system_id, self.password = thread.system_id, thread.password

    async def submitted(self, count: int = 1, *, wait: float = WAIT_S, to: str = "", text: str = "") -> list[Submitted]:
        """See SmscThread.submitted."""
        return await self._call(self._thread.submitted_async(count, wait=wait, to=to, text=text))

    async def receipts(self, count: int = 1, *, wait: float = WAIT_S) -> list[Receipt]:
        """See SmscThread.receipts."""
        return await self._call(self._thread.receipts_async(count, wait=wait))

    async def bound(self, count: int = 1, *, wait: float = WAIT_S) -> list[Bound]:
        """See SmscThread.bound."""
        return await self._call(self._thread.bound_async(count, wait=wait))

    async def pdus(self, command: str = "", *, direction: str = "") -> list[PduSeen]:
        """See SmscThread.pdus."""
        return await self._call(self._thread.pdus_async(command, direction=direction))

    async def script(self, *, rule: Mapping[str, object] | None = None, bind: Mapping[str, object] | None = None, **keys: Any) -> None:
        """See SmscThread.script."""
        await self._call(self._thread.script_async(rule=rule, bind=bind, **keys))

    async def deliver_mo(self, source: str, to: str, text: str = "", **keys: Any) -> int:
        """See SmscThread.deliver_mo."""
        return await self._call(self._thread.deliver_mo_async(source, to, text, **keys))

    async def do(self, deed: str, **keys: Any) -> None:
        """See SmscThread.do."""
        await self._call(self._thread.do_async(deed, **keys))

    async def clear(self) -> None:
        """See SmscThread.clear."""
        await self._call(self._thread.clear_async())

    async def _call(self, work: Coroutine[Any, Any, T]) -> T:
        loop = self._thread._loop
        assert loop is not None, "the SMSC simulator is not running"
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def scenario_of(scenario: str | Mapping[str, object] | None) -> Scenario:
    """A scenario from a document, from TOML, by the name of a shipped one, or one SMSC with credentials. Raises FormError."""
    if scenario is None:
        return Scenario(smsc=(SmscForm(system_id="bellhop", password="secret"),))
    if not isinstance(scenario, str):
        return form.read(Scenario, scenario)
    known = shipped()
    if "\n" not in scenario and scenario not in known:
        raise FormError("scenario", f"there is no {scenario}; shipped are {', '.join(sorted(known))}")
    return parse(known.get(scenario, scenario), "scenario")


def _submitted(it: dict[str, Any]) -> Submitted:
    return Submitted(
        it["id"],
        it["system_id"],
        it["from"],
        it["to"],
        it["text"],
        bytes.fromhex(it["hex"]),
        it["data_coding"],
        it["registered_delivery"],
        it["state"],
    )


def _pdu_seen(seen: Seen) -> PduSeen:
    fields = {part["name"]: part["value"] for part in fields_of(seen.frame)}
    status, sequence = (int.from_bytes(seen.frame[start : start + 4], "big") for start in (8, 12))
    return PduSeen(seen.number, seen.direction, command_name(seen.command_id), status, sequence, fields, seen.frame)
