"""What the gateway offers, as the settings say: services with their prices and policies, and the short codes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from billing import booking
from gateway.domain.conversation import Plan
from gateway.domain.message import UnknownOutcome
from gateway.domain.quiet import Quiet
from gateway.services.rating import Rating
from gateway.sms.profile import TextProfile

NO_RATING = Rating(booking.DEFAULT)
NO_PROFILES: Mapping[str, TextProfile] = MappingProxyType({})


class Service(NamedTuple):
    """One service: what its messages cost and how they are treated."""

    name: str
    unit_price_minor: int
    currency: str
    is_per_part: bool
    unknown_outcome: UnknownOutcome
    validity_us: int
    parts_max: int
    tariff_version: str
    tariff_rule: str
    fee_class: int
    quiet: Quiet | None = None
    replaces_typographic: bool = False


class ShortCode(NamedTuple):
    """A number phones see: which service its chats are, how replies find their way, or the partner who owns it."""

    number: str
    service: str
    is_slot: bool
    plan: Plan
    partner: str  # empty: the messenger's


class Catalogue(NamedTuple):
    """All of it; `default_service` is the first. `profiles` names the links that want texts otherwise than they are kept."""

    services: dict[str, Service]
    short_codes: dict[str, ShortCode]
    default_service: str
    default_short_code: str
    revenue_account: int
    plans: tuple[Plan, ...]
    profiles: Mapping[str, TextProfile] = NO_PROFILES
    alphabet: str = "gsm7"  # what data_coding 0 of our own partners means
    rating: Rating = NO_RATING  # what tariffs say, where any is approved
    revenues: dict[str, int] = {}
