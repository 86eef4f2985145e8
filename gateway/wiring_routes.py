"""From the settings of routing to the rules and sources the services work with."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from gateway.domain.address import sender
from gateway.domain.message import Front
from gateway.domain.route_conditions import (
    TON_NAMES,
    WEEKDAYS,
    Condition,
    Dates,
    Fronts,
    Hours,
    Networks,
    Partners,
    Prefixes,
    Senders,
    SenderTons,
    Services,
    Weekdays,
)
from gateway.domain.routing import Rule
from gateway.services.route_sources import ListSource, Sources
from gateway.settings import Settings
from gateway.settings_routes import Route, minutes_of


def sources_of(settings: Settings) -> Sources:
    """Everything routing is made from."""
    return Sources(
        tuple(rule_of(route) for route in settings.routes),
        tuple(
            ListSource(each.name, each.file, each.kind == "allow", each.of == "senders", each.partner, each.service)
            for each in settings.number_lists
        ),
        settings.numbering.plan_file,
        settings.numbering.portability_file,
        settings.numbering.rates_file,
    )


def rule_of(route: Route) -> Rule:
    """One rule, its cheap conditions first."""
    shares = route.shares()
    return Rule(
        route.name,
        tuple(_conditions(route)),
        tuple(name for name, _ in shares),
        tuple(share for _, share in shares if share is not None),
        route.least_cost,
        None if route.cost_max < 0 else route.cost_max,
        route.when_down == "wait",
        frozenset(int(status, 0) for status in route.next_on),
        route.reject,
        sender(route.set_sender) if route.set_sender else None,
    )


def _conditions(route: Route) -> list[Condition]:
    conditions: list[Condition] = []
    zone = ZoneInfo(route.time_zone)
    if route.prefixes:
        conditions.append(Prefixes(prefix.removeprefix("+") for prefix in route.prefixes))
    if route.partners:
        conditions.append(Partners(route.partners))
    if route.services:
        conditions.append(Services(route.services))
    if route.fronts:
        conditions.append(Fronts(int(Front[name.upper()]) for name in route.fronts))
    if route.senders:
        conditions.append(Senders(route.senders))
    if route.sender_types:
        conditions.append(SenderTons(TON_NAMES.index(name) for name in route.sender_types))
    if route.networks:
        conditions.append(Networks(route.networks))
    if (minutes := minutes_of(route.hours)) is not None:
        conditions.append(Hours(*minutes, zone))
    if route.weekdays:
        conditions.append(Weekdays((WEEKDAYS.index(day) for day in route.weekdays), zone))
    if route.since or route.until:
        conditions.append(Dates(_day(route.since), _day(route.until), zone))
    return conditions


def _day(day: str) -> date | None:
    return date.fromisoformat(day) if day else None
