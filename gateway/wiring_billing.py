"""From settings to what the books need to know."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from billing import masking, money, view
from billing.approvals import Limits
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from billing.profile import Profile
from billing.subscription import HOUR_US, Rules
from billing.subscriptions import Offer, Subscriptions
from gateway.domain.offer_texts import Wording
from gateway.domain.orders import Vocabulary
from gateway.errors import ConfigError
from gateway.services.ports import Writer
from gateway.services.redeeming import Redeeming
from gateway.services.subscribing import Ordering
from gateway.settings import Settings
from gateway.web.billing_door import DeskRules
from gateway.world import World


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


def rules_of(settings: Settings) -> DeskRules:
    """What the billing staff's door needs to know."""
    billing = settings.billing
    uploads = f"{billing.export_folder}/upload-{settings.node.id}"
    files = (billing.export_folder, billing.plan, billing.node, billing.upload_bytes_max, uploads)
    return DeskRules(limits_of(settings), billing.refund_multiplier, *files)


def offers_of(settings: Settings) -> dict[str, Offer]:
    """Every offer by name; the clock of its rules is that of its subscriber's carrier, and set later."""
    return {
        each.name: Offer(
            each.name,
            each.title or each.name,
            each.service,
            each.short_code,
            each.price,
            each.currency,
            Rules(
                each.cycle == "month",
                each.trial_days,
                each.confirmations_required,
                each.confirm_within_hours * HOUR_US,
                each.first_charge_after_hours * HOUR_US,
                each.reminder_days_before,
                each.failed_cycles_max,
                frozenset(each.unpaid_codes),
                frozenset(each.gone_codes),
            ),
            each.pays == "wallet",
            each.charge_on == "delivery",
            each.provider or None,
        )
        for each in settings.offers
    }


def ordering_of(settings: Settings, books: Booking) -> Ordering | None:
    """What MOs can order; None where nothing can be subscribed to."""
    if not settings.offers:
        return None
    wordings = {
        each.name: Wording(
            each.language,
            each.title or each.name,
            view.money(each.price, each.currency),
            each.cycle,
            each.keyword,
            each.stop_keywords[0],
            each.short_code,
            each.trial_days,
            each.texts,
        )
        for each in settings.offers
    }
    vocabularies = {}
    for code in dict.fromkeys(each.short_code for each in settings.offers if each.keyword):
        mine = [each for each in settings.offers if each.short_code == code and each.keyword]
        vocabularies[code] = Vocabulary({each.name: each.keyword for each in mine}, {each.name: each.stop_keywords for each in mine})
    return Ordering(Subscriptions(offers_of(settings), into=books), wordings, vocabularies)


def redeeming_of(settings: Settings, world: World, writer: Writer) -> Redeeming:
    """Where partners and people in the messenger bring in vouchers."""
    billing = settings.billing
    return Redeeming(world, writer, failures_max=billing.voucher_failures, wait_s_max=billing.voucher_wait_s_max)


def closing_waits_of(settings: Settings) -> dict[str, int]:
    """How long after its end a day of each carrier is closed by itself; empty where people close."""
    after_s = settings.billing.close_after_s
    names = (settings.billing.carrier, *(each.name for each in settings.carriers))
    return {name: max(after_s, grace_s_of(settings, name)) for name in names} if after_s else {}


def grace_s_of(settings: Settings, carrier: str) -> int:
    """How long a carrier's receipts may come after the end of a period."""
    return next((each.grace_s for each in settings.carriers if each.name == carrier), settings.billing.grace_s)
