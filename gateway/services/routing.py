"""Routing in the running gateway: the rules, the number lists and the health of the links, asked for every message that comes in.

Without rules the first link that is up takes a message, and nothing here is asked at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from gateway.domain.failure import Refused
from gateway.domain.message import Flight
from gateway.domain.routing import Choice, RouteFacts, without_rules
from gateway.domain.verdict import Verdict
from gateway.services.catalogue import NO_PROFILES
from gateway.services.lane import Lane
from gateway.services.route_sources import NO_ROUTES, Routes, Sources, read
from gateway.services.submit import Submission
from gateway.sms.coding import ALPHABETS
from gateway.sms.profile import PLAIN, WHOLE_ALPHABETS, TextProfile
from gateway.world import World


def _uncounted(_rule: str, _link: str) -> None:
    """For those who count no choices."""


class Routing:
    """Chooses links; its rules can be changed while it runs."""

    def __init__(
        self,
        world: World,
        lanes: Mapping[str, Lane],
        first_link: Callable[[], str],
        partner_ids: Mapping[str, int],
        *,
        default_service: str = "",
        profiles: Mapping[str, TextProfile] = NO_PROFILES,
        counted: Callable[[str, str], None] = _uncounted,
    ) -> None:
        self._world = world
        self._lanes = lanes
        self._first_link = first_link
        self._partner_ids = partner_ids  # by name, kept current by the app
        self._partner_names: dict[int, str] = {}
        self.default_service = default_service
        self._profiles = profiles
        self._counted = counted
        self._sources = Sources()
        self._routes: Routes = NO_ROUTES
        self._reloading = asyncio.Lock()
        self.is_plain = True  # neither rules nor lists

    async def reload(self, sources: Sources | None = None) -> dict[str, int]:
        """Take new rules, or read the files of these again; how much there is of each.

        Raises Refused that names the file and line, and then nothing has changed. Messages that wait keep their link.
        """
        async with self._reloading:
            wanted = self._sources if sources is None else sources
            routes = await self._world.executor.run(read, self._world.disk, wanted)
            self._sources, self._routes = wanted, routes
            self.is_plain = not routes.table.rules and not routes.lists
            return routes.counts()

    # -- asked by reception and dispatch ------------------------------------------------------------------------------

    def lead(self, submission: Submission, now_us: int) -> tuple[Submission, str]:
        """The link for a submission, and the submission as its rule wants it sent; counted. Raises Refused."""
        submission, choice = self.would_lead(submission, now_us)
        if choice.rule:
            self._counted(choice.rule, choice.link)
        return submission, choice.link

    def would_lead(self, submission: Submission, now_us: int) -> tuple[Submission, Choice]:
        """What `lead` decides, for whoever only wants to know; raises Refused."""
        sender, source = submission.sender, submission.source
        service = submission.service or self.default_service
        destination = submission.destination.digits_or_name
        facts = RouteFacts(sender.partner, service, source.digits_or_name, source.ton, destination, sender.front, now_us)
        choice = self.choose(facts)
        return submission if choice.sender is None else submission._replace(source=choice.sender), choice

    def choose(self, facts: RouteFacts) -> Choice:
        """The link for a message. Raises Refused: `blocked` or `blocked_sender` by a list or a rule, `no_route`, `no_link`."""
        routes = self._routes
        if routes.lists:
            self._check_lists(routes, facts)
        if routes.table.rules:
            return routes.table.choose(facts, self.fault_of)
        return without_rules(self._first_link())

    def next_link(self, flight: Flight, status: int | None) -> str | None:
        """Where a segment goes that its link refused with a command_status, or, for None, whose link has been down too long.

        None when no rule says so. Without rules every link is as good, where a link's own settings ask for another. No link gets a
        segment again that was moved away from it, or parts that its alphabet may not be able to tell.
        """
        message, table, lane = flight.message, self._routes.table, self._lanes.get(flight.link)
        is_passed_on = status is not None and lane is not None and lane.errors.of(status).verdict is Verdict.NEXT_ROUTE
        tried = (*flight.tried, *self._too_narrow(flight)) if self._profiles and message.segments > 1 else flight.tried
        if not table.rules:
            others = (name for name in self._lanes if name != flight.link and name not in tried and not self.fault_of(name))
            return next(others, None) if status is None or is_passed_on else None
        # At the time it was accepted, so that the same rules fit as then.
        facts = RouteFacts(
            self._partner_name(message.partner_id),
            message.service,
            message.source,
            message.source_ton,
            message.destination,
            message.front,
            message.accepted_at,
        )
        return table.next_link(facts, flight.link, tried, status, self.fault_of, is_passed_on=is_passed_on)

    def fault_of(self, link: str) -> str:
        """What is the matter with a link, in one word; "" when it can take messages."""
        lane = self._lanes.get(link)
        if lane is None:
            return "unknown"
        if lane.is_closed:
            return "held"
        if not lane.link.is_up and lane.link.window_free <= 0:
            return "down"
        return "congested" if lane.paused_until and lane.paused_until > self._world.clock.monotonic() else ""

    # -- asked by people ----------------------------------------------------------------------------------------------

    def explain(self, facts: RouteFacts) -> dict[str, Any]:
        """What would become of a message and why, rule by rule."""
        return explained(self._routes, facts, self.fault_of, self._first_link)

    def counts(self) -> dict[str, int]:
        """How much there is of what it asks."""
        return self._routes.counts()

    def rules(self) -> list[dict[str, Any]]:
        """The rules in force, with the state of their links."""
        return [
            {"rule": rule.name, "rejects": rule.rejects, "links": {link: self.fault_of(link) or "up" for link in rule.links}}
            for rule in self._routes.table.rules
        ]

    def _check_lists(self, routes: Routes, facts: RouteFacts) -> None:
        stopped = routes.lists.stops(facts.partner, facts.service, facts.source, facts.destination)
        if stopped is not None:
            # The list's name is the operator's business, not the sender's.
            if stopped.is_sender:
                raise Refused("blocked_sender", "this sender may not be used", field="from")
            raise Refused("blocked", "messages to this destination are not allowed", field="to")

    def _too_narrow(self, flight: Flight) -> list[str]:
        """The links whose alphabet lacks what the one had that this part was cut for: as UCS-2 it would be too long."""
        if ALPHABETS[flight.message.data_coding] != "default":
            return []
        here = self._profiles.get(flight.link, PLAIN).alphabet
        return [name for name, profile in self._profiles.items() if profile.alphabet not in (here, *WHOLE_ALPHABETS)]

    def _partner_name(self, partner_id: int | None) -> str:
        if partner_id is None:
            return ""
        name = self._partner_names.get(partner_id)
        if name is None:
            self._partner_names = {number: name for name, number in self._partner_ids.items()}
            name = self._partner_names.get(partner_id, "")
        return name


def explained(routes: Routes, facts: RouteFacts, fault_of: Callable[[str], str], first_link: Callable[[], str]) -> dict[str, Any]:
    """The whole answer to "which link would this take, and why": lists, network, every rule, and the outcome."""
    network = routes.table.network_of(facts.destination)
    told: dict[str, Any] = {
        "network": str(network) if network is not None else "",
        "ported": routes.table.numbering.is_ported(facts.destination),
        "link": "",
        "rule": "",
        "refused": "",
        "why": "",
        "sender": "",
        "rules": [],
    }
    stopped = routes.lists.stops(facts.partner, facts.service, facts.source, facts.destination)
    if stopped is not None:
        return told | {"refused": "blocked_sender" if stopped.is_sender else "blocked", "why": str(stopped)}
    table = routes.table
    told["rules"] = [considered._asdict() for considered in table.explain(facts, fault_of)]
    try:
        choice = table.choose(facts, fault_of) if table.rules else without_rules(first_link())
    except Refused as refused:
        return told | {"refused": refused.reason, "why": refused.text}
    sender = choice.sender.digits_or_name if choice.sender is not None else ""
    return told | {"link": choice.link, "rule": choice.rule, "why": "; ".join(choice.why), "sender": sender}
