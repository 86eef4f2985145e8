"""The gateway put together: opens the store, wires services to edges, opens the doors, and closes all of it in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import structlog

from gateway import wiring, wiring_routes
from gateway.bookkeeping import Bookkeeping
from gateway.connectors.embedded import EmbeddedConnector, Messenger
from gateway.connectors.embedded import Limits as MessengerLimits
from gateway.domain.failure import Refused, StoreUnavailable
from gateway.domain.message import Flight
from gateway.errors import ConfigError
from gateway.links.smpp_bind_check import BindCheck, PasswordCheck
from gateway.links.smpp_carrier import CarrierSide
from gateway.links.smpp_links import Links
from gateway.links.smpp_operations import Operations
from gateway.links.smpp_outbind import Outbinds
from gateway.links.smpp_server import SmppServer
from gateway.pages import pages_of
from gateway.reloading import Hook, Reloading
from gateway.services import dispatch as dispatching
from gateway.services import sweep as sweeping
from gateway.services.accounts import Accounts
from gateway.services.asking import Asking
from gateway.services.chat import ChatService
from gateway.services.connect import ConnectorPort
from gateway.services.correlation import groups_of
from gateway.services.deliver import Delivering
from gateway.services.dispatch import Dispatch
from gateway.services.jobs import Jobs
from gateway.services.keeping import Keeping
from gateway.services.opt_outs import OptOuts
from gateway.services.outcome import Notice, Outcome
from gateway.services.ports import Commands
from gateway.services.recall import Recall
from gateway.services.receive import Received, Receiving
from gateway.services.reception import Reception
from gateway.services.replay import Replay
from gateway.services.routing import Routing
from gateway.services.subscribing import Subscribing
from gateway.services.sweep import Sweep
from gateway.services.telling import CONNECTOR
from gateway.settings import Settings
from gateway.store import outbox
from gateway.store.engine import migrate, open_reading, open_writing
from gateway.store.reader import StoreReader
from gateway.store.writer import StoreWriter
from gateway.tally import Tally
from gateway.telemetry import Metrics
from gateway.web.ops import Check, checks_of
from gateway.web.server import WebListener, make_app, serve
from gateway.wiring_billing import ordering_of, redeeming_of
from gateway.world import World

_log = structlog.get_logger(__name__)


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
        operator_token: str | None = None,
        reread: Callable[[], Settings] | None = None,
        commands: Commands | None = None,
    ) -> None:
        self.settings = settings
        self.world = world
        self.jobs = Jobs(world, commands)
        self.tally = Tally(metrics, world.clock)
        self._operator_token = operator_token
        self._check_password = check_password
        self._messenger_limits = messenger_limits
        self._tasks: list[asyncio.Task[Any]] = []
        self._web: WebListener | None = None
        self._writer: StoreWriter | None = None
        self._is_wired = False
        self.is_ready = False
        self._reread = reread
        self.on_reload: list[Hook] = []

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
            engine, world.executor, world.clock, node=settings.node.id, observe=self.tally.committed, changed=self.tally.store_changed
        )
        self._writer = self.writer
        await self.writer.open()
        self.bookkeeping = Bookkeeping(settings, world, self.writer, self.reader)
        self.books, self.tariffs = self.bookkeeping.booking, self.bookkeeping.tariffs
        self._profiles = wiring.text_profiles(settings)
        self.catalogue = await self.bookkeeping.open(self._profiles)
        self._wire()
        self._is_wired = True
        await self.accounts.refresh()
        await self.routing.reload(wiring_routes.sources_of(settings))
        await self.opt_outs.load()
        await self.dispatch.recover()
        self._spawn(self.sweep.run(), "sweep")
        self._spawn(self._refresh(), "partners")
        if self.subscribing is not None:
            self._spawn(self.subscribing.run(), "subscriptions")
        self._spawn(self.outbinds.run(), "outbind")
        self._spawn(self.replay.run(), "parked receipts")
        self._spawn(self.asking.run(), "overdue receipts")
        for name, work in self.bookkeeping.tasks().items():
            self._spawn(work, name)
        await self.connector.start(self.chat)
        self.connector_port.open()
        await self._open_doors()
        # Last: a gateway that cannot open its doors must not have shown itself to a carrier.
        self.links.start()
        self.is_ready = True

    def _wire(self) -> None:
        self._wire_traffic()
        self._wire_carriers()
        self._wire_messenger()
        self._wire_partners()

    def _wire_traffic(self) -> None:
        settings, world, writer, reader = self.settings, self.world, self.writer, self.reader
        limits = dispatching.Limits(in_memory_max=settings.backlog.in_memory_max)
        self.delivering = Delivering(world, writer, reader)
        self.accounts = accounts = Accounts(world, reader)
        self.opt_outs = OptOuts(world.clock, writer, reader, self.bookkeeping.subscriptions)
        self._outcome = rows = Outcome(groups_of((link.name, link.receipt_group) for link in settings.links), self.books)
        self.dispatch = Dispatch(
            world,
            writer,
            reader,
            self.catalogue,
            limits=limits,
            noticed=self._noticed,
            sent=self.tally.sent,
            metered=accounts.metered,
            reroute=self._next_link,
            is_stopped=self.opt_outs.is_stopped,
            rows=rows,
        )
        self.routing = Routing(
            world,
            self.dispatch.lanes,
            self.dispatch.choose_link,
            accounts.ids,
            default_service=self.catalogue.default_service,
            profiles=self.catalogue.profiles,
            counted=self.tally.routed,
        )
        effects, replayed = self.tally.metrics.receipts, self.tally.replayed
        self.replay = Replay(world, writer, reader, rows, effects=effects, noticed=self._noticed, counted=replayed)
        self.reception = Reception(
            world,
            writer,
            self.dispatch,
            self.catalogue,
            backlog_max=settings.backlog.messages_max,
            accepted=self.tally.accepted,
            refused=self.tally.refused,
            ahead_us_max=settings.backlog.schedule_ahead_s * 1_000_000,
            admissions=accounts.admissions,
            metered=accounts.metered,
            routing=self.routing,
        )
        self.recall = Recall(
            world, writer, reader, self.dispatch, self.reception, outcome=rows, noticed=self._noticed, counted=self.tally.recalled
        )
        self.operations = Operations(world, self.reception, self.recall, wiring.operation_limits(settings))

    def _wire_carriers(self) -> None:
        settings, world, writer, reader = self.settings, self.world, self.writer, self.reader
        ordering = ordering_of(settings, self.books)
        self.receiving = Receiving(self.catalogue, self.accounts.ids, self.books, ordering)
        self.subscribing = None if ordering is None else Subscribing(world, writer, reader, self.dispatch, self.catalogue, ordering)
        carrier = CarrierSide(
            world,
            writer,
            self.dispatch,
            self.receiving,
            received=self._received,
            counted=self.tally.received,
            answered=self.tally.answered,
            delivered=self.tally.delivered,
            vendor_tlvs=wiring.vendor_tlvs(settings),
        )
        self.links = Links(wiring.link_plans(settings), world, carrier, self.dispatch)
        self.asking = Asking(world, reader, self.dispatch, self.links, counted=self.tally.asked)
        self.on_reload.append(self._take_routes)
        self._reloading = Reloading(settings, self._reread, self.links, self.on_reload)
        self.sweep = Sweep(
            world, writer, reader, self.dispatch, self.receiving, limits=sweeping.Limits(), received=self._received, counted=self._queued
        )

    def _wire_messenger(self) -> None:
        settings, world, writer, reader = self.settings, self.world, self.writer, self.reader
        self.chat = ChatService(world, writer, self.reception, self.catalogue)
        self.redeeming = redeeming_of(settings, world, writer)
        self.messenger = Messenger(world, writer, reader, self._messenger_limits or _messenger_limits(settings))
        self.connector = EmbeddedConnector(world, self.messenger)
        self.connector_port = ConnectorPort(self.connector)
        self.connector_port.lane = self.delivering.lane(outbox.connector_target(CONNECTOR), lambda: self.connector_port)

    def _wire_partners(self) -> None:
        settings, world, writer, reader, accounts = self.settings, self.world, self.writer, self.reader, self.accounts
        self.smpp_server = SmppServer(
            wiring.server_config(settings),
            world,
            self.reception,
            self.delivering,
            BindCheck(
                world,
                reader,
                accounts,
                self._check_password,
                wiring.check_limits(settings),
                refused=self.tally.bind_refused,
                locked_out=self.tally.locked_out,
            ),
            operations=self.operations,
            count_violation=self.tally.violated,
            vendor_tlvs=wiring.vendor_tlvs(settings),
        )
        accounts.changed = self.smpp_server.account_changed
        self.keeping = Keeping(world, writer, reader, accounts, self.delivering, expired=self.tally.expired, held=self.tally.held)
        self.outbinds = Outbinds(world, reader, accounts, self.smpp_server, settings.smpp_server.system_id)

    async def _open_doors(self) -> None:
        settings = self.settings
        if settings.smpp_server.enabled:
            await self.smpp_server.start()
        limits = wiring.web_limits(settings.web)
        app = make_app(
            self.world,
            self.reception,
            self.reader,
            self.recall,
            self.redeeming,
            checks=self._checks,
            metrics=self._scrape if settings.metrics.enabled else None,
            limits=limits,
            observe=self.tally.requested,
            add_pages=pages_of(self, self._operator_token),
            learn=self.accounts.learn,
            vendor_tlvs=wiring.vendor_tlvs(settings),
        )
        self._web = await serve(self.world, app, settings.web.host, settings.web.port, limits)

    def _checks(self) -> list[Check]:
        return checks_of(self.writer, is_started=self.is_ready, links={link.name: link.is_up for link in self.links})

    async def reload(self) -> dict[str, Any]:
        """Read the configuration again and put it into effect; what changed. Raises Refused, having changed nothing."""
        try:
            changed = await self._reloading.run()
        except Refused:
            self.tally.reloaded(False)
            raise
        self.tally.reloaded(True)
        self.settings = self._reloading.settings
        return changed

    async def _take_routes(self, settings: Settings) -> None:
        try:
            await self.routing.reload(wiring_routes.sources_of(settings))
        except Refused as refused:
            raise ConfigError([refused.text]) from None
        self._profiles.clear()
        self._profiles.update(wiring.text_profiles(settings))
        await self.bookkeeping.take(settings)

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
        await self.jobs.stop()
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
        await self.links.stop()

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
            "links": [self.links.brief(link) for link in self.links],
            "partners_bound": self.smpp_server.bound_names(),
            "queued": self.reception.queued,
            "parked_receipts": self.tally.metrics.receipts_parked,
        }

    def _noticed(self, notice: Notice) -> None:
        self.tally.ended(notice)
        self.operations.noticed(notice)
        self.delivering.noticed(notice)

    def _next_link(self, flight: Flight, status: int | None) -> str | None:
        return self.routing.next_link(flight, status)

    def _received(self, received: Received) -> None:
        if received.opt_out is not None:
            self.opt_outs.changed(received.opt_out)
        if received.handover is not None:
            self.delivering.offer(received.handover)
        if received.reply is not None:
            self.dispatch.replied(received.reply)

    def _queued(self, queued: int, parked: int) -> None:
        self.reception.queued = self.tally.metrics.backlog = queued
        self.tally.metrics.receipts_parked = parked
        self.tally.metrics.receipts_unmatched = self.replay.unmatched_share

    def _scrape(self) -> bytes:
        self.tally.metrics.opted_out_late = self.opt_outs.stopped_late
        self.tally.metrics.route_entries = self.routing.counts()
        self.tally.books(self.bookkeeping.counting, self._outcome.late, self.jobs.running)
        return self.tally.scrape(self.writer.is_healthy, self.smpp_server, self.links, self.dispatch, self.accounts.ids)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(5.0)
            with contextlib.suppress(StoreUnavailable):
                await self.accounts.refresh()
                await self.tariffs.refresh()
                await self.keeping.sweep()

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_complain)
        self._tasks.append(task)


def _complain(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("a task failed", task=task.get_name(), error=repr(task.exception()))


def _messenger_limits(settings: Settings) -> MessengerLimits:
    messenger = settings.messenger
    currency = settings.services[0].currency if settings.services else "CNY"
    return MessengerLimits(
        is_registration_open=messenger.open_registration, initial_credit_minor=messenger.initial_credit, currency=currency
    )
