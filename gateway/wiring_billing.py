"""From settings to what the books need to know."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from billing import masking, money
from billing.approvals import Limits
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from billing.profile import Profile
from gateway.errors import ConfigError
from gateway.settings import Settings


def carriers_of(settings: Settings) -> Carriers:
    """Every carrier with its clock, and which links lead to it."""
    billing = settings.billing
    first = Carrier(billing.carrier, ZoneInfo(billing.time_zone), billing.late == "charge")
    others = (Carrier(each.name, ZoneInfo(each.time_zone), each.late == "charge") for each in settings.carriers)
    return Carriers((first, *others), {link.name: link.carrier for link in settings.links if link.carrier})


def profile_of(settings: Settings, name: str) -> Profile:
    """An export profile by name; raises ConfigError for one that is not there."""
    if name == Profile().name:
        return Profile()
    for each in settings.export_profiles:
        if each.name == name:
            return each.as_profile(masking.fingerprint(mask_key_of(settings)) if each.mask == "hmac" else "")
    known = ", ".join((Profile().name, *(each.name for each in settings.export_profiles)))
    raise ConfigError([f"--profile: there is no profile {name!r}; known are: {known}"])


def mask_key_of(settings: Settings) -> bytes:
    """The key of masked numbers."""
    return settings.billing.mask_key.get_secret_value().encode()


def booking_of(settings: Settings) -> Booking:
    """Where corrections and other acts of people are booked."""
    return Booking(carriers_of(settings))


def limits_of(settings: Settings) -> Limits:
    """From which amounts on a second person is asked."""
    billing = settings.billing
    above = {currency: money.parse(amount, currency).amount_minor for currency, amount in billing.approval_above.items()}
    return Limits(above, billing.approval_days)


def grace_s_of(settings: Settings, carrier: str) -> int:
    """How long a carrier's receipts may come after the end of a period."""
    return next((each.grace_s for each in settings.carriers if each.name == carrier), settings.billing.grace_s)
