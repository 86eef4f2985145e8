"""The settings of routing: rules, number lists and the tables of networks and rates, with the faults that show between them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from gateway.domain.address import AddressError, sender
from gateway.settings_section import Name, Section

KeyPath = tuple[str | int, ...]
Digits = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{1,15}$")]
SHARE_MAX = 1_000_000
HOURS = re.compile(r"^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24):([0-5][0-9])$")
_LINK = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})(?::([0-9]{1,7}))?$")
_STATUS = re.compile(r"^0[xX][0-9A-Fa-f]{1,8}$|^[1-9][0-9]{0,9}$")


def _are_hours(hours: str) -> str:
    match = HOURS.fullmatch(hours)
    if hours and (match is None or (match[3] == "24" and match[4] != "00") or hours[:5] == hours[6:]):
        raise ValueError("must be two times of day such as 08:00-20:00")
    return hours


def _is_a_zone(time_zone: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(time_zone)
    except (ValueError, OSError, KeyError):
        raise ValueError("is no time zone known to this machine") from None
    return time_zone


HoursOfDay = Annotated[str, AfterValidator(_are_hours)]
Zone = Annotated[str, AfterValidator(_is_a_zone)]


class Route(Section):
    """A routing rule. They are tried in order; the first that fits a message and has a healthy link takes it."""

    name: Name = Field(description="Name of the rule in explanations and metrics")
    prefixes: tuple[Digits, ...] = Field((), description="The destination begins with one of these digits, country code first")
    networks: tuple[str, ...] = Field((), description="The destination is of one of these networks: MCC, MCC and MNC, operator or country")
    partners: tuple[str, ...] = Field((), description="One of these partners sends it")
    services: tuple[str, ...] = Field((), description="It is sent as one of these services")
    fronts: tuple[Literal["smpp", "http", "im", "gateway"], ...] = Field((), description="The door it came in by: smpp, http, im, gateway")
    senders: tuple[str, ...] = Field((), description="Its sender is one of these; 1066* is every sender that begins so")
    sender_types: tuple[
        Literal["unknown", "international", "national", "network_specific", "subscriber", "alphanumeric", "abbreviated"], ...
    ] = Field((), description="The type of number of its sender is one of these, such as alphanumeric or international")
    hours: HoursOfDay = Field("", description="It comes within these hours, such as 08:00-20:00 or, over midnight, 22:00-06:00")
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field((), description="It comes on one of these days")
    since: str = Field("", description="It comes on this day or later, such as 2026-11-23")
    until: str = Field("", description="It comes on this day or earlier")
    time_zone: Zone = Field("UTC", description="Time zone of hours, weekdays and days, such as Asia/Shanghai")
    links: tuple[str, ...] = Field(
        (), description="Links in order of preference; or each with its share of the messages, as in mobile:70, unicom:30"
    )
    least_cost: bool = Field(False, description="Take the healthy link with the lowest rate of numbering.rates_file")
    cost_max: int = Field(
        -1, ge=-1, le=1_000_000_000_000, description="Leave out links with a higher rate, or without one; -1 leaves out none"
    )
    when_down: Literal["next", "wait"] = Field(
        "next",
        description='When all its links are down, held or congested: "next" tries the rules below, "wait" keeps its messages for them',
    )
    next_on: tuple[str, ...] = Field((), description="command_status of a refusal, such as 0x0000000B, after which the next link is tried")
    reject: str = Field("", max_length=200, description="Refuse the message with this reason; then there are no links")
    set_sender: str = Field("", max_length=20, description="Send from this sender instead; empty leaves it")

    @field_validator("since", "until")
    @classmethod
    def _is_a_day(cls, day: str) -> str:
        if day:
            try:
                date.fromisoformat(day)
            except ValueError:
                raise ValueError("must be a day such as 2026-11-23") from None
        return day

    @field_validator("set_sender")
    @classmethod
    def _is_a_sender(cls, typed: str) -> str:
        try:
            sender(typed or "1069")
        except AddressError as error:
            raise ValueError(error.reason) from None
        return typed

    @field_validator("links")
    @classmethod
    def _are_links(cls, links: tuple[str, ...]) -> tuple[str, ...]:
        matches = [_LINK.fullmatch(link) for link in links]
        shares = [int(match[2]) for match in matches if match is not None and match[2]]
        names = [match[1] for match in matches if match is not None]
        if None in matches or any(share > SHARE_MAX for share in shares):
            raise ValueError(f"must be names of links, or each with a share of at most {SHARE_MAX} as in mobile:70")
        if len(set(names)) < len(names):
            raise ValueError("names a link twice")
        if shares and (len(shares) < len(links) or not sum(shares)):
            raise ValueError("give every link a share or none, and not all of them 0")
        return links

    @field_validator("next_on")
    @classmethod
    def _are_statuses(cls, statuses: tuple[str, ...]) -> tuple[str, ...]:
        if any(_STATUS.fullmatch(status) is None or not 0 < int(status, 0) <= 0xFFFFFFFF for status in statuses):
            raise ValueError("must be command_status values such as 0x0000000B or 11")
        return statuses

    def shares(self) -> tuple[tuple[str, int | None], ...]:
        """Each link with its share, None where shares are not given."""
        found = []
        for link in self.links:
            name, _, share = link.partition(":")
            found.append((name, int(share) if share else None))
        return tuple(found)


class NumberList(Section):
    """Numbers, prefixes or senders that are blocked, or the only ones allowed. A destination on no allow list that applies is blocked."""

    name: Name = Field(description="Name of the list in explanations")
    file: str = Field(min_length=1, description="One entry a line or first column of a CSV; 8613* is a prefix (relative to this file)")
    kind: Literal["block", "allow"] = Field("block", description="Whether what is on it is blocked, or what is not on it")
    of: Literal["destinations", "senders"] = Field("destinations", description="What its entries are")
    partner: str = Field("", max_length=15, description="It is for messages of this partner only; empty is for all")
    service: str = Field("", description="It is for messages of this service only; empty is for all")


class Numbering(Section):
    """Files that say which network a number belongs to and what links ask; paths are relative to the folder of this file."""

    plan_file: str = Field("", description="Numbering plan, lines of prefix;mcc;mnc;operator;country")
    portability_file: str = Field("", description="Numbers carried to another network, lines of number;network (46001 or its operator)")
    rates_file: str = Field("", description="What links ask, lines of link;prefix;cost, the cost a whole number in one unit of your own")


def minutes_of(hours: str) -> tuple[int, int] | None:
    """The two minutes of the day that hours begin and end with; None for ""."""
    match = HOURS.fullmatch(hours)
    return None if match is None else (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4]))


# -- faults and doubts that show between keys -------------------------------------------------------------------------------


def contradictions(
    routes: Sequence[Route], lists: Sequence[NumberList], numbering: Numbering, links: Mapping[str, str], services: Sequence[str]
) -> Iterator[tuple[KeyPath, str]]:
    """Rules and lists that cannot work; `links` are bind types by name."""
    for section, entries in (("routes", [route.name for route in routes]), ("number_lists", [each.name for each in lists])):
        for index, name in enumerate(entries):
            if name in entries[:index]:
                yield (section, index, "name"), f'{section}.name: "{name}" is there twice'
    for index, route in enumerate(routes):
        for key, what in _route_faults(route, numbering, links, services):
            yield ("routes", index, key), f"routes.{key}: {what}"
    for index, each in enumerate(lists):
        if each.service and each.service not in services:
            yield (
                ("number_lists", index, "service"),
                f'number_lists.service: no service "{each.service}"' + _suggestion(each.service, services),
            )


def _route_faults(route: Route, numbering: Numbering, links: Mapping[str, str], services: Sequence[str]) -> Iterator[tuple[str, str]]:
    if not route.links and not route.reject:
        yield "links", "name at least one link, or set reject"
    if route.links and route.reject:
        yield "reject", "a rule has links or rejects, not both"
    for name, _ in route.shares():
        if name not in links:
            yield "links", f'no link "{name}"' + _suggestion(name, list(links))
        elif links[name] == "receiver":
            yield "links", f'link "{name}" only receives; set its bind to "transceiver" or "transmitter"'
    for name in route.services:
        if name not in services:
            yield "services", f'no service "{name}"' + _suggestion(name, services)
    if route.networks and not numbering.plan_file and not numbering.portability_file:
        yield "networks", "needs numbering.plan_file or numbering.portability_file"
    if (route.least_cost or route.cost_max >= 0) and not numbering.rates_file:
        yield "least_cost" if route.least_cost else "cost_max", "needs numbering.rates_file"
    if route.least_cost and any(share is not None for _, share in route.shares()):
        yield "least_cost", "goes by rates, and links has shares; keep one of them"
    if route.since and route.until and date.fromisoformat(route.since) > date.fromisoformat(route.until):
        yield "until", "is before since"


_CONDITIONS = ("prefixes", "networks", "partners", "services", "fronts", "senders", "sender_types", "hours", "weekdays", "since", "until")


def weaknesses(routes: Sequence[Route]) -> Iterator[tuple[KeyPath, str]]:
    """Rules that no message reaches, or only when the links of a wider rule before them are down."""
    for index, route in enumerate(routes):
        for before in routes[:index]:
            if not _covers(before, route):
                continue
            if before.reject or (before.when_down == "wait" and not before.next_on):
                yield ("routes", index), f'routes: rule "{route.name}" is never reached: "{before.name}" before it takes the same messages'
            elif not _covers(route, before):
                what = f'is only reached when the links of "{before.name}" before it, which takes more, are in trouble'
                yield ("routes", index), f'routes: rule "{route.name}" {what}'
            else:
                continue
            break


def _covers(wide: Route, narrow: Route) -> bool:
    """Whether every message that the second fits is one that the first fits, as far as their words tell."""
    if wide.cost_max >= 0:
        return False
    if (wide.hours or wide.weekdays or wide.since or wide.until) and wide.time_zone != narrow.time_zone:
        return False
    return all(_covers_key(key, getattr(wide, key), getattr(narrow, key)) for key in _CONDITIONS)


def _covers_key(key: str, wide: str | tuple[str, ...], narrow: str | tuple[str, ...]) -> bool:
    if not wide:
        return True
    if not narrow:
        return False
    if key == "prefixes":
        starts = tuple(prefix.removeprefix("+") for prefix in wide)
        return all(prefix.removeprefix("+").startswith(starts) for prefix in narrow)
    return wide == narrow if isinstance(wide, str) else set(narrow) <= set(wide)


def _suggestion(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; there are {', '.join(known)}" if known else ""
