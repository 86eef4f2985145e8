"""From settings to what the books need to know."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from billing import money
from billing.approvals import Limits
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from gateway.settings import Settings


def carriers_of(settings: Settings) -> Carriers:
    """Every carrier with its clock, and which links lead to it."""
    billing = settings.billing
    first = Carrier(billing.carrier, ZoneInfo(billing.time_zone), billing.late == "charge")
    others = (Carrier(each.name, ZoneInfo(each.time_zone), each.late == "charge") for each in settings.carriers)
    return Carriers((first, *others), {link.name: link.carrier for link in settings.links if link.carrier})


def booking_of(settings: Settings) -> Booking:
    """Where corrections and other acts of people are booked."""
    return Booking(carriers_of(settings))


def limits_of(settings: Settings) -> Limits:
    """From which amounts on a second person is asked."""
    billing = settings.billing
    above = {currency: money.parse(amount, currency).amount_minor for currency, amount in billing.approval_above.items()}
    return Limits(above, billing.approval_days)
