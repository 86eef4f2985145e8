"""From settings to what the books need to know."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from billing.carriers import Carrier, Carriers
from gateway.settings import Settings


def carriers_of(settings: Settings) -> Carriers:
    """Every carrier with its clock, and which links lead to it."""
    billing = settings.billing
    first = Carrier(billing.carrier, ZoneInfo(billing.time_zone), billing.late == "charge")
    others = (Carrier(each.name, ZoneInfo(each.time_zone), each.late == "charge") for each in settings.carriers)
    return Carriers((first, *others), {link.name: link.carrier for link in settings.links if link.carrier})
