"""All links at run time: started, stopped, drained, added and removed by name, each without touching the others.

What an operator orders holds until the next start of the gateway; what stands in the file is changed by reloading it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple

import structlog

from gateway.domain.failure import Refused
from gateway.domain.pacing import Pace
from gateway.links.smpp_bind import Carrier
from gateway.links.smpp_client import LinkConfig, SmppLink
from gateway.services.correlation import groups_of
from gateway.services.dispatch import Dispatch
from gateway.world import World

_log = structlog.get_logger(__name__)

# What may change under binds that stand: it is looked at anew for each submit_sm, or for the next connection.
_IN_PLACE = (
    "ssl",
    "service_type",
    "source_ton",
    "source_npi",
    "destination_ton",
    "destination_npi",
    "numbers",
    "tlvs",
    "errors",
    "reroute_after_s",
    "dialect",
    "validity_period",
    "query_after_s",
)

# What is for operators alone: it names the carrier's machines, or counts what is not a figure of how the link stands now.
_NOT_BRIEF = frozenset({"address", "tls", "alarm", "attempts", "reconnects", "refusals", "violations", "each_bind"})


class LinkPlan(NamedTuple):
    """A link as the settings want it."""

    config: LinkConfig
    rate_per_s: float = 0.0
    is_enabled: bool = True
    receipt_group: str = ""


class Wanted(Enum):
    """What a link is meant to do."""

    RUN = "run"
    DRAIN = "drain"  # bound, and sends nothing new
    STOP = "stop"


class Changes(NamedTuple):
    """What reloading did to the links, by name."""

    added: list[str]
    removed: list[str]
    restarted: list[str]
    adjusted: list[str]


class Links:
    """The links by name, in the order of the settings."""

    def __init__(self, plans: Sequence[LinkPlan], world: World, carrier: Carrier, dispatch: Dispatch) -> None:
        self._world = world
        self._carrier = carrier
        self._dispatch = dispatch
        self._links: dict[str, SmppLink] = {}
        self._plans: dict[str, LinkPlan] = {}
        self._wanted: dict[str, Wanted] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._is_open = False
        for plan in plans:
            self._add(plan)

    def __iter__(self) -> Iterator[SmppLink]:
        return iter(self._links.values())

    def __len__(self) -> int:
        return len(self._links)

    def __getitem__(self, index: int) -> SmppLink:
        return list(self._links.values())[index]

    def named(self, name: str) -> SmppLink:
        """The link of this name; raises Refused."""
        link = self._links.get(name)
        if link is None:
            known = ", ".join(self._links) or "none"
            raise Refused("not_found", f'there is no link "{name}"; there are {known}', field="name")
        return link

    def start(self) -> None:
        """Begin to connect all that are enabled."""
        self._is_open = True
        for name, link in self._links.items():
            if self._wanted[name] is Wanted.RUN:
                link.start()

    async def stop(self) -> None:
        """Unbind all; the dispatcher gives out nothing more by then."""
        self._is_open = False
        await asyncio.gather(*(link.stop() for link in self._links.values()))

    # -- orders -----------------------------------------------------------------------------------------------------------

    async def start_link(self, name: str) -> None:
        """Bind and send again; a link that stands off tries at once."""
        link = self.named(name)
        async with self._locks[name]:
            self._start(link)

    async def stop_link(self, name: str) -> None:
        """Take nothing new, let the window empty, unbind; done when it returns."""
        link = self.named(name)
        async with self._locks[name]:
            self._hold(link, Wanted.STOP)
            await link.stop()

    async def drain_link(self, name: str) -> None:
        """Take nothing new and let the window empty; the binds stay, for receipts."""
        link = self.named(name)
        async with self._locks[name]:
            if self._wanted[name] is not Wanted.STOP:
                self._hold(link, Wanted.DRAIN)

    def set_rate(self, name: str, rate_per_s: float) -> None:
        """Another rate until the gateway starts anew or the file says another; 0 sets no limit."""
        self.named(name)
        self._dispatch.set_rate(name, rate_per_s)
        self._plans[name] = self._plans[name]._replace(rate_per_s=rate_per_s)

    async def apply(self, plans: Sequence[LinkPlan]) -> Changes:
        """Make the links what the settings say now; only those that differ are touched. Returns when that is done."""
        wanted = {plan.config.name: plan for plan in plans}
        changes = Changes([], [], [], [])
        groups = _groups_of(plans)
        if groups != _groups_of(self._plans.values()):
            self._dispatch.regroup(groups)
        work: list[Coroutine[Any, Any, None]] = []
        for name in [name for name in self._links if name not in wanted]:
            changes.removed.append(name)
            work.append(self._remove(name))
        for name, plan in wanted.items():
            old = self._plans.get(name)
            if old is None or name not in self._links:
                changes.added.append(name)
                self._add(plan)
                if plan.is_enabled:
                    self._start(self._links[name])
            elif _is_kept(old.config, plan.config):
                if _without_tls(old) != _without_tls(plan):  # a context is another one each time its files are read
                    changes.adjusted.append(name)
                work.append(self._adjust(name, old, plan))
            else:
                changes.restarted.append(name)
                work.append(self._restart(name, plan))
        await asyncio.gather(*work)
        # In the order of the file: the first that is up gets what no route decides.
        self._links = {name: self._links[name] for name in [*wanted, *self._links] if name in self._links}
        return changes

    # -- one link -----------------------------------------------------------------------------------------------------------

    def _add(self, plan: LinkPlan) -> None:
        name = plan.config.name
        link = SmppLink(plan.config, self._world, self._carrier)
        self._links[name], self._plans[name] = link, plan
        self._wanted[name] = Wanted.RUN if plan.is_enabled else Wanted.STOP
        pace, config = Pace(plan.rate_per_s, self._world.clock.monotonic()), plan.config
        self._dispatch.add_link(link, pace, errors=config.errors, reroute_after_s=config.reroute_after_s)

    def _start(self, link: SmppLink) -> None:
        self._wanted[link.name] = Wanted.RUN
        if self._is_open:
            link.start()
            self._dispatch.resume(link.name)

    def _hold(self, link: SmppLink, wanted: Wanted) -> None:
        self._wanted[link.name] = wanted
        self._dispatch.hold(link.name)

    async def _remove(self, name: str) -> None:
        async with self._locks[name]:
            link = self._links.get(name)
            if link is None:
                return
            self._hold(link, Wanted.STOP)
            await link.stop()
            self._dispatch.remove_link(name)
            del self._links[name], self._plans[name], self._wanted[name]

    async def _restart(self, name: str, plan: LinkPlan) -> None:
        async with self._locks[name]:
            link, old = self._links[name], self._plans[name]
            was_wanted = self._wanted[name]
            self._hold(link, Wanted.STOP)
            await link.stop()
            link.configure(plan.config)
            self._plans[name] = plan
            self._judge(plan)
            self._dispatch.set_rate(name, plan.rate_per_s)
            # Ordered to stop, it stays so; a change of `enabled` in the file is an order too.
            if plan.is_enabled and (was_wanted is not Wanted.STOP or not old.is_enabled):
                self._start(link)
                if was_wanted is Wanted.DRAIN:
                    self._hold(link, Wanted.DRAIN)

    async def _adjust(self, name: str, old: LinkPlan, plan: LinkPlan) -> None:
        async with self._locks[name]:
            link = self._links[name]
            link.adjust(plan.config)
            self._plans[name] = plan
            self._judge(plan)
            if plan.rate_per_s != old.rate_per_s:
                self._dispatch.set_rate(name, plan.rate_per_s)
            if plan.is_enabled and not old.is_enabled:
                self._start(link)
            elif old.is_enabled and not plan.is_enabled:
                self._hold(link, Wanted.STOP)
                await link.stop()

    def _judge(self, plan: LinkPlan) -> None:
        """What the lane looks up in the settings."""
        lane = self._dispatch.lanes[plan.config.name]
        lane.errors, lane.reroute_after_s = plan.config.errors, plan.config.reroute_after_s

    # -- how they stand -------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Each link as operators see it."""
        return [self.row(link) for link in self._links.values()]

    def brief(self, link: SmppLink) -> dict[str, Any]:
        """One link for whoever may look: figures, and no address of the carrier's beyond what a failure names."""
        return {key: value for key, value in self.row(link).items() if key not in _NOT_BRIEF}

    def row(self, link: SmppLink) -> dict[str, Any]:
        """One link as operators see it; times are seconds, `since_us` is UTC in microseconds."""
        lane = self._dispatch.state(link.name)
        return {
            "name": link.name,
            "state": self._state_of(link),
            "up": link.is_up,
            "binds": sum(bind.is_bound for bind in link.binds),
            "binds_wanted": len(link.config.kinds()) if self._wanted[link.name] is not Wanted.STOP else 0,
            "window": link.window_max,
            "window_in_use": link.in_flight,
            "window_free": link.window_free,
            "pace": {**lane.pace(), "limit_per_s": round(lane.limit_per_s, 1)},
            "waiting": lane.waiting,
            "reason": link.last_failure,
            "alarm": link.alarm,
            "since_us": link.since_us,
            "retry_in_s": round(link.retry_in_s, 1),
            "address": f"{link.config.host}:{link.config.port}",
            "tls": link.config.ssl is not None,
            "attempts": link.attempts,
            "reconnects": link.reconnects,
            "refusals": {f"0x{status:08X}": count for status, count in link.refusals.items()},
            "violations": link.violations,
            "each_bind": [
                {"number": bind.number, "kind": bind.kind, "bound": bind.is_bound, "in_flight": bind.in_flight, "reason": bind.last_failure}
                for bind in link.binds
            ],
        }

    def _state_of(self, link: SmppLink) -> str:
        wanted = self._wanted[link.name]
        if wanted is Wanted.STOP:
            if link.is_started:
                return "stopping"
            return "stopped" if self._plans[link.name].is_enabled else "disabled"
        if wanted is Wanted.DRAIN:
            return "draining" if link.in_flight else "drained"
        if link.alarm:
            return "refused"
        bound = sum(bind.is_bound for bind in link.binds)
        if bound >= len(link.config.kinds()):
            return "up"
        return "partly up" if bound else "down"


def _groups_of(plans: Iterable[LinkPlan]) -> dict[str, tuple[str, ...]]:
    return groups_of((plan.config.name, plan.receipt_group) for plan in plans)


def _without_tls(plan: LinkPlan) -> LinkPlan:
    return plan._replace(config=plan.config._replace(ssl=None))


def _is_kept(old: LinkConfig, new: LinkConfig) -> bool:
    """Whether the binds may stand under the new settings."""
    fields = {name: getattr(old, name) for name in _IN_PLACE if name in LinkConfig._fields}
    return new._replace(**fields, limits=new.limits._replace(window_max=old.limits.window_max)) == old
