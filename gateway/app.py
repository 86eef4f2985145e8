"""The gateway put together: opens the store, wires services to edges, opens the doors, and closes all of it in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from billing import book
from gateway import wiring
from gateway.connectors.embedded import EmbeddedConnector, Messenger
from gateway.connectors.embedded import Limits as MessengerLimits
from gateway.domain.failure import StoreUnavailable
from gateway.domain.message import STATE_NAMES, Flight, Front
from gateway.domain.pacing import Pace
from gateway.links.smpp_carrier import CarrierSide
from gateway.links.smpp_client import SmppLink
from gateway.links.smpp_server import PasswordCheck, SmppServer
from gateway.services import dispatch as dispatching
from gateway.services import sweep as sweeping
from gateway.services.chat import ChatService
from gateway.services.connect import ConnectorPort
from gateway.services.deliver import Delivering
from gateway.services.dispatch import Dispatch
from gateway.services.outcome import CONNECTOR, Notice
from gateway.services.receive import Received, Receiving
from gateway.services.reception import Reception
from gateway.services.sweep import Sweep
from gateway.settings import Settings
from gateway.store import outbox, partners
from gateway.store.engine import migrate, open_reading, open_writing
from gateway.store.reader import StoreReader
from gateway.store.writer import StoreWriter
from gateway.telemetry import Metrics, exposition, registry_of
from gateway.web import chat, status
from gateway.web.ops import Check, checks_of
from gateway.web.server import WebListener, make_app, serve
from gateway.world import World

_log = structlog.get_logger(__name__)

_FRONTS = {int(front): front.name.lower() for front in Front}


class Gateway:
    """One running gateway."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        *,
        check_password: PasswordCheck,
        metrics: Metrics,
        messenger_limits: MessengerLimits | None = None,
    ) -> None:
        self.settings = settings
        self.world = world
        self.metrics = metrics
        self._check_password = check_password
        self._messenger_limits = messenger_limits
        self._tasks: list[asyncio.Task[Any]] = []
        self._web: WebListener | None = None
        self._writer: StoreWriter | None = None
        self._is_wired = False
        self._partner_ids: dict[str, int] = {}
        self.is_ready = False
        self.links: list[SmppLink] = []

    # -- starting -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything; when it returns both doors are open. Raises what opening the store or a port raises, with nothing left open."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings, world = self.settings, self.world
        synchronous = "FULL" if settings.store.durability == "full" else "NORMAL"
        busy_timeout_s = settings.store.busy_timeout_s
        engine = open_writing(settings.store.url, synchronous=synchronous, busy_timeout_s=busy_timeout_s)
        await world.executor.run(migrate, engine)
        self.reader = StoreReader(open_reading(settings.store.url, busy_timeout_s=busy_timeout_s), world.executor)
        self.writer = StoreWriter(
            engine, world.executor, world.clock, node=settings.node.id, observe=self._observe_commit, changed=self._store_changed
        )
        self._writer = self.writer
        await self.writer.open()
        currency = settings.services[0].currency if settings.services else "CNY"
        house = await self.writer.run(_ensure_house, currency, [world.next_id(), world.next_id()], world.clock.now_us())
        self.catalogue = wiring.catalogue_of(settings, house.revenue)
        self._wire()
        self._is_wired = True
        await self._read_partners()
        await self.dispatch.recover()
        self._spawn(self.sweep.run(), "sweep")
        self._spawn(self._refresh(), "partners")
        await self.connector.start(self.chat)
        self.connector_port.open()
        await self._open_doors()
        # Last: a gateway that cannot open its doors must not have shown itself to a carrier.
        for link in self.links:
            link.start()
        self.is_ready = True

    def _wire(self) -> None:
        settings, world, writer, reader = self.settings, self.world, self.writer, self.reader
        limits = dispatching.Limits(in_memory_max=settings.backlog.in_memory_max)
        self.delivering = Delivering(world, writer, reader)
        self.dispatch = Dispatch(world, writer, reader, self.catalogue, limits=limits, noticed=self._noticed, sent=self._sent)
        self.reception = Reception(
            world,
            writer,
            self.dispatch,
            self.catalogue,
            backlog_max=settings.backlog.messages_max,
            accepted=self._accepted,
            refused=self._refused,
        )
        self.receiving = Receiving(self.catalogue, self._partner_ids)
        carrier = CarrierSide(
            world,
            writer,
            self.dispatch,
            self.receiving,
            received=self._received,
            counted=self._counted,
            answered=self._answered,
            delivered=self._delivered,
        )
        for each in settings.links:
            link = SmppLink(wiring.link_config(each), world, carrier)
            self.links.append(link)
            self.dispatch.add_link(link, Pace(each.rate_per_s, world.clock.monotonic()))
        self.sweep = Sweep(
            world, writer, reader, self.dispatch, self.receiving, limits=sweeping.Limits(), received=self._received, counted=self._queued
        )
        self.chat = ChatService(world, writer, self.reception, self.catalogue)
        self.messenger = Messenger(world, writer, reader, self._messenger_limits or _messenger_limits(settings))
        self.connector = EmbeddedConnector(world, self.messenger)
        self.connector_port = ConnectorPort(self.connector)
        self.connector_port.lane = self.delivering.lane(outbox.connector_target(CONNECTOR), lambda: self.connector_port)
        self.smpp_server = SmppServer(
            wiring.server_config(settings),
            world,
            self.reception,
            self.delivering,
            reader,
            self._check_password,
            count_violation=self._count_violation,
        )

    async def _open_doors(self) -> None:
        settings = self.settings
        if settings.smpp_server.enabled:
            await self.smpp_server.start()
        limits = wiring.web_limits(settings.web)
        registry = registry_of(self.metrics)
        app = make_app(
            self.world,
            self.reception,
            self.reader,
            checks=self._checks,
            metrics=(lambda: self._scrape(registry)) if settings.metrics.enabled else None,
            limits=limits,
            observe=self._observe_request,
            add_pages=self._pages(),
        )
        self._web = await serve(self.world, app, settings.web.host, settings.web.port, limits)

    def _pages(self) -> list[Callable[[web.Application], None]]:
        pages: list[Callable[[web.Application], None]] = [lambda app: status.add_routes(app, self.status)]
        if self.settings.messenger.enabled:
            pages.append(lambda app: chat.add_routes(app, self.messenger))
        return pages

    def _checks(self) -> list[Check]:
        return checks_of(self.writer, is_started=self.is_ready, links={link.name: link.is_up for link in self.links})

    def _observe_request(self, route: str, http_status: int, seconds: float) -> None:
        self.metrics.http_requests[route, str(http_status)] += 1
        self.metrics.http_seconds.observe(seconds)

    # -- stopping --------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close the doors, let what flies land, unbind, and commit what is pending."""
        self.is_ready = False
        if self._writer is None:
            return
        if self._web is not None:
            self._web.close()
        if self._is_wired:
            await self._stop_parts()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._writer.close()

    async def _stop_parts(self) -> None:
        await self.connector.stop()
        if self._web is not None:
            await self._web.wait_closed()
        await self.smpp_server.stop()
        self.dispatch.release()
        await asyncio.gather(*(link.stop() for link in self.links))

    # -- what the parts tell each other -------------------------------------------------------------------------------------

    @property
    def web_port(self) -> int:
        """Where the HTTP door listens."""
        return self._web.port if self._web is not None else 0

    def status(self) -> dict[str, Any]:
        """How things stand, for people."""
        return {
            "version": version("bellhop"),
            "ready": self.is_ready and self.writer.is_healthy,
            "store": {"healthy": self.writer.is_healthy, "failure": self.writer.failure},
            "links": [
                {
                    "name": link.name,
                    "up": link.is_up,
                    "binds": sum(bind.is_bound for bind in link.binds),
                    "window_free": link.window_free,
                    "waiting": self.dispatch.lanes[link.name].depth,
                    "reason": next((bind.last_failure for bind in link.binds if bind.last_failure), ""),
                }
                for link in self.links
            ],
            "partners_bound": self.smpp_server.bound_names(),
            "queued": self.reception.queued,
            "parked_receipts": self.metrics.receipts_parked,
        }

    def _noticed(self, notice: Notice) -> None:
        self.metrics.messages_final[STATE_NAMES[notice.state]] += 1
        self.delivering.noticed(notice)

    def _received(self, received: Received) -> None:
        if received.handover is not None:
            self.delivering.offer(received.handover)
        if received.reply is not None:
            self.dispatch.committed(received.reply)

    def _sent(self, flight: Flight, now_s: float) -> None:
        if flight.attempts == 1:
            self.metrics.submit_latency.observe(now_s - flight.accepted_s)
        elif flight.is_possible_duplicate:
            self.metrics.possible_duplicates += 1

    def _accepted(self, front: int, _segments: int) -> None:
        self.metrics.messages_accepted[_FRONTS[front]] += 1

    def _counted(self, effect: str, link: str) -> None:
        if effect in ("joined", "part"):
            self.metrics.messages_received[link] += 1
        else:
            self.metrics.receipts[effect] += 1

    def _refused(self, front: int, reason: str) -> None:
        self.metrics.messages_refused[_FRONTS[front], reason] += 1

    def _answered(self, link: str, command_status: int) -> None:
        self.metrics.submit_responses[link, f"0x{command_status:08X}" if command_status else "ok"] += 1

    def _delivered(self, flight: Flight) -> None:
        if flight.accepted_s:
            self.metrics.receipt_latency.observe(self.world.clock.monotonic() - flight.accepted_s)

    def _store_changed(self, is_healthy: bool, failure: str) -> None:
        if is_healthy:
            _log.info("the store can be written again")
        else:
            self.metrics.commit_failures += 1
            _log.error("the store cannot be written; nothing is acknowledged until it can", reason=failure)

    def _count_violation(self, side: str) -> None:
        self.metrics.smpp_violations[side] += 1

    def _queued(self, queued: int, parked: int) -> None:
        self.reception.queued = self.metrics.backlog = queued
        self.metrics.receipts_parked = parked

    def _scrape(self, registry: CollectorRegistry) -> bytes:
        """The exposition, with the gauges as they stand now."""
        metrics = self.metrics
        metrics.writer_failed = int(not self.writer.is_healthy)
        metrics.sessions = self.smpp_server.bound_counts()
        for link in self.links:
            metrics.link_up[link.name] = sum(bind.is_bound for bind in link.binds)
            metrics.window_in_use[link.name] = sum(bind.in_flight for bind in link.binds)
            metrics.queue_depth[link.name] = self.dispatch.lanes[link.name].depth
        metrics.smpp_violations["link"] = sum(each.violations for each in self.links)
        return exposition(registry)

    def _observe_commit(self, seconds: float, rows: int) -> None:
        metrics = self.metrics
        metrics.commits += 1
        metrics.commit_seconds.observe(seconds)
        metrics.commit_rows.observe(rows)

    async def _read_partners(self) -> None:
        known = await self.reader.read(partners.all_partners)
        self._partner_ids.update({partner.name: partner.id for partner in known})

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(5.0)
            with contextlib.suppress(StoreUnavailable):
                await self._read_partners()

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_complain)
        self._tasks.append(task)


def _complain(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("a task failed", task=task.get_name(), error=repr(task.exception()))


def _ensure_house(conn: Connection, currency: str, ids: list[int], now_us: int) -> book.House:
    return book.ensure_house(conn, currency, new_id=ids.pop, now_us=now_us)


def _messenger_limits(settings: Settings) -> MessengerLimits:
    messenger = settings.messenger
    currency = settings.services[0].currency if settings.services else "CNY"
    return MessengerLimits(
        is_registration_open=messenger.open_registration, initial_credit_minor=messenger.initial_credit, currency=currency
    )
