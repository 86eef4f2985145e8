"""From settings to the values the services work with."""

from __future__ import annotations

import ssl
from zoneinfo import ZoneInfo

from billing.tariff.flat import ChargeBy, FlatTariff, Price
from gateway.domain.address import sender
from gateway.domain.conversation import Plan
from gateway.domain.lockout import LockoutLimits
from gateway.domain.message import UnknownOutcome
from gateway.domain.number_format import NumberRules
from gateway.domain.quiet import Quiet
from gateway.domain.verdict import ErrorTable
from gateway.links import tls
from gateway.links.smpp_bind_check import CheckLimits
from gateway.links.smpp_client import LinkConfig
from gateway.links.smpp_links import LinkPlan
from gateway.links.smpp_operations import Limits as OperationLimits
from gateway.links.smpp_server import ServerConfig
from gateway.links.tls import server_context
from gateway.services.catalogue import NO_RATING, Catalogue, Service, ShortCode
from gateway.services.rating import Rating
from gateway.settings import Service as ServiceSettings
from gateway.settings import Settings, Web
from gateway.settings_receipts import ReceiptDialect, dialect_of
from gateway.settings_routes import minutes_of
from gateway.settings_smpp import Link, constant_tlvs
from gateway.smpp.consts import VERSION_3_3, VERSION_3_4, VERSION_5_0
from gateway.smpp.session import Limits
from gateway.smpp.tlv import EMPTY_TLVS
from gateway.smpp.vendor_tlv import VendorTlv, VendorTlvs
from gateway.sms.national_tables import LANGUAGES
from gateway.sms.profile import PLAIN, Method, TextProfile
from gateway.web import limits as web_limit

_ALPHABETS = {"gsm": "gsm7", "latin-1": "latin1", "ascii": "ascii", "utf-8": "utf8"}
_POLICIES = {"resend": UnknownOutcome.RESEND, "hold": UnknownOutcome.HOLD, "drop": UnknownOutcome.DROP}
_VERSIONS = {"3.3": VERSION_3_3, "3.4": VERSION_3_4, "5.0": VERSION_5_0}


def catalogue_of(settings: Settings, revenue_account: int, profiles: dict[str, TextProfile], rating: Rating = NO_RATING) -> Catalogue:
    """Services with their prices frozen under a tariff version, the short codes, and how links want texts: its owner may change that."""
    tariff = FlatTariff(prices_of(settings))
    services = {}
    for each in settings.services:
        rated = tariff.rate(each.name, 1)
        services[each.name] = Service(
            each.name,
            each.price,
            each.currency,
            each.charge_by == "part",
            _POLICIES[each.unknown_outcome],
            each.validity_s * 1_000_000,
            each.parts_max,
            rated.tariff_version,
            rated.tariff_rule,
            int(rated.fee_class),
            quiet=quiet_of(each),
            replaces_typographic=each.replace_typographic,
        )
    codes = {
        code.number: ShortCode(
            code.number,
            code.service,
            code.reply_mode == "slot",
            Plan(code.number, code.digits_max, slot_width_max=code.slot_digits),
            code.partner,
        )
        for code in settings.short_codes
    }
    default_service = settings.services[0].name if settings.services else ""
    default_code = settings.messenger.short_code or (settings.short_codes[0].number if settings.short_codes else "")
    plans = tuple(code.plan for code in codes.values())
    alphabet = _ALPHABETS[settings.smpp_server.alphabet]
    return Catalogue(services, codes, default_service, default_code, revenue_account, plans, profiles, alphabet, rating, {})


def prices_of(settings: Settings) -> dict[str, Price]:
    """What services cost while no tariff is approved."""
    return {each.name: Price(each.price, each.currency, ChargeBy(each.charge_by)) for each in settings.services}


def text_profiles(settings: Settings) -> dict[str, TextProfile]:
    """How links want their texts, of those that are not plain."""
    return {link.name: found for link in settings.links if (found := text_profile(link)) != PLAIN}


def text_profile(link: Link) -> TextProfile:
    """How a link wants its texts."""
    languages = tuple(LANGUAGES[name] for name in link.languages)
    return TextProfile(_ALPHABETS[link.alphabet], Method(link.segment_method), link.packed, languages, link.parts_max)


def quiet_of(service: ServiceSettings) -> Quiet | None:
    """When a service's messages wait."""
    minutes = minutes_of(service.quiet_hours)
    return None if minutes is None else Quiet(*minutes, ZoneInfo(service.quiet_time_zone))


def link_config(link: Link, dialects: tuple[ReceiptDialect, ...] = ()) -> LinkConfig:
    """One link's settings as the link takes them; reads its TLS files. Raises ConfigError."""
    limits = Limits(
        window_max=link.window,
        session_init_timeout_s=link.bind_timeout_s,
        response_timeout_s=link.response_timeout_s,
        enquire_link_s=link.enquire_link_s,
        enquire_link_timeout_s=link.enquire_link_timeout_s,
        inactivity_timeout_s=link.inactivity_timeout_s,
        pdu_timeout_s=link.pdu_timeout_s,
        unbind_timeout_s=link.unbind_timeout_s,
        drain_timeout_s=link.drain_timeout_s,
    )
    return LinkConfig(
        link.name,
        link.host,
        link.port,
        link.system_id,
        link.password.get_secret_value(),
        link.system_type,
        link.bind,
        link.binds,
        limits,
        link.connect_timeout_s,
        link.backoff_s_min,
        link.backoff_s_max,
        link.service_type,
        link.source_ton,
        link.source_npi,
        link.destination_ton,
        link.destination_npi,
        ssl=_tls_of(link),
        tls_host_name=link.tls_host_name,
        interface_version=_VERSIONS[link.interface_version],
        address_range=link.address_range,
        addr_ton=link.addr_ton,
        addr_npi=link.addr_npi,
        standoff_s_max=link.standoff_s_max,
        already_bound_wait_s=link.already_bound_wait_s,
        unbound_wait_s=link.unbound_wait_s,
        outbind_host=link.outbind_host,
        outbind_port=link.outbind_port,
        outbind_system_id=link.outbind_system_id,
        outbind_password=link.outbind_password.get_secret_value(),
        numbers=_numbers_of(link),
        tlvs=constant_tlvs(link.tlvs) or EMPTY_TLVS,
        errors=ErrorTable.parse(link.errors),
        reroute_after_s=link.reroute_after_s,
        profile=text_profile(link),
        dialect=dialect_of(link, dialects),
        validity_period=link.validity_period,
        query_after_s=link.query_after_s,
    )


def link_plan(link: Link, dialects: tuple[ReceiptDialect, ...] = ()) -> LinkPlan:
    """One link as the settings want it; raises ConfigError."""
    return LinkPlan(link_config(link, dialects), link.rate_per_s, link.enabled, link.receipt_group)


def link_plans(settings: Settings) -> list[LinkPlan]:
    """All links as the settings want them; raises ConfigError."""
    return [link_plan(link, settings.dialects) for link in settings.links]


def _tls_of(link: Link) -> ssl.SSLContext | None:
    if not link.tls:
        return None
    return tls.client_context(
        ca_file=link.tls_ca_file,
        certificate_file=link.tls_certificate_file,
        key_file=link.tls_key_file,
        place=f"links.{link.name}",
    )


def _numbers_of(link: Link) -> NumberRules:
    return NumberRules(
        link.source_ton,
        link.source_npi,
        link.destination_ton,
        link.destination_npi,
        link.international_prefix,
        link.country_code,
        link.national_prefix,
        link.national_ton,
        link.source_type,
        link.alphanumeric_sender,
        link.alphanumeric_charset,
        sender(link.default_sender) if link.default_sender else None,
    )


def server_config(settings: Settings) -> ServerConfig:
    """The partners' doors; raises ConfigError for a certificate that cannot be used."""
    door = settings.smpp_server
    limits = Limits(
        window_max=door.window,
        peer_window_max=door.peer_window,
        frame_bytes_max=door.frame_bytes_max,
        session_init_timeout_s=door.session_init_timeout_s,
        response_timeout_s=door.response_timeout_s,
        enquire_link_s=door.enquire_link_s,
        inactivity_timeout_s=door.inactivity_timeout_s,
    )
    context = None
    if door.tls_certificate_file:
        context = server_context(door.tls_certificate_file, door.tls_key_file, door.tls_client_ca_file)
    return ServerConfig(
        door.host, door.port, door.system_id, limits, door.sessions_max, door.unbound_per_address_max, door.tls_port, context
    )


def check_limits(settings: Settings) -> CheckLimits:
    """How much checking of passwords there may be at the partners' door."""
    door = settings.smpp_server
    lockout = LockoutLimits(door.lockout_failures, door.lockout_address_failures, pause_s_max=door.lockout_s_max)
    return CheckLimits(door.bind_checks_max, lockout=lockout)


def vendor_tlvs(settings: Settings) -> VendorTlvs:
    """The optional parameters that have a name here."""
    return VendorTlvs(VendorTlv(each.name, each.tag, each.type, each.length_max) for each in settings.smpp_tlvs)


def operation_limits(settings: Settings) -> OperationLimits:
    """What the partners' operations need to know."""
    lists = {(each.partner, each.name): each.numbers for each in settings.distribution_lists}
    return OperationLimits(lists, settings.smpp_server.transaction_timeout_s)


def web_limits(web: Web) -> web_limit.Limits:
    """The HTTP door's limits."""
    return web_limit.Limits(
        body_bytes_max=web.body_bytes_max,
        header_timeout_s=web.header_timeout_s,
        body_timeout_s=web.body_timeout_s,
        keep_alive_s=web.keep_alive_s,
        batch_messages_max=web.batch_messages_max,
        connections_per_address_max=web.connections_per_address_max,
    )
