"""Every setting of the gateway: its key, default, limits and what it is for.

The descriptions are the only documentation of a key: `bellhop init`, docs/configuration.md and error messages are made from them.
Units stand last in a key. Nothing is optional in the sense of None: "" or 0 means "not set" where the description says so.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from billing import money
from billing.errors import MoneyError
from gateway import settings_offers
from gateway.settings_billing import Billing, Carrier, Coin, ExportProfile, ExportTarget, check_exports
from gateway.settings_offers import Offer
from gateway.settings_receipts import ReceiptDialect
from gateway.settings_routes import HoursOfDay, Numbering, NumberList, Route, Zone
from gateway.settings_section import Currency, Name, Port, Seconds, SecondsOrOff, Section
from gateway.settings_smpp import DistributionList, Link, SmppServer, SmppTlv

STORE_URL = re.compile(r"^(sqlite://.*|postgresql(\+psycopg)?://.+)$")


class Node(Section):
    """This process among others of the same installation."""

    id: int = Field(0, ge=0, le=31, description="Number of this node; unique in an installation, it is part of every id made")


class Store(Section):
    """Where messages, charges and accounts are kept."""

    url: str = Field(
        "sqlite:///bellhop.db",
        repr=False,  # a PostgreSQL address holds a password
        description="SQLite file (relative to the folder of this file) or postgresql://user:password@host/database",
    )
    durability: Literal["full", "normal"] = Field(
        "full",
        description='"full" flushes each commit to disk before anything is acknowledged; "normal" may lose the last moments in a power cut',
    )
    busy_timeout_s: Seconds = Field(5.0, description="How long a statement waits for a lock held by another process")

    @field_validator("url")
    @classmethod
    def _known_engine(cls, url: str) -> str:
        if not STORE_URL.match(url):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return url


class Web(Section):
    """The HTTP door: API, pages, health and metrics."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for every interface")
    port: Port = Field(8080, description="Port to listen on; 0 picks a free one")
    body_bytes_max: int = Field(4_194_304, ge=1024, le=1_073_741_824, description="Largest request body accepted")
    header_timeout_s: Seconds = Field(10.0, description="A client must have sent its request's headers by then")
    body_timeout_s: Seconds = Field(30.0, description="A client must have sent its request's body by then")
    keep_alive_s: SecondsOrOff = Field(75.0, description="How long an idle connection is kept; 0 closes after each response")
    batch_messages_max: int = Field(1000, ge=1, le=1000, description="Most messages in one POST /v1/messages")
    connections_per_address_max: int = Field(256, ge=1, le=100_000, description="Most open connections from one address")
    operator_token_file: str = Field(
        "bellhop.token",
        min_length=1,
        description="File with the token for /v1/ops (relative to the folder of this file); made at the start when missing",
    )


class Service(Section):
    """What a message is sold as."""

    name: Name = Field(description="Name of the service in requests and charge records")
    price: int = Field(0, ge=0, le=1_000_000_000, description="Price in minor units (10 is 0.10 CNY); 0 is free and still recorded")
    currency: Currency = Field("CNY", description="Currency of the price, three capital letters")
    charge_by: Literal["part", "message"] = Field("part", description="Whether each SMS of a long message is charged, or the message once")
    unknown_outcome: Literal["resend", "hold", "drop"] = Field(
        "resend",
        description='When nobody knows if the carrier took a message: "resend" and mark it, "hold" it for an operator, or "drop" it',
    )
    validity_s: int = Field(86_400, ge=60, le=5_443_200, description="How long delivery is tried before the message expires, uncharged")
    parts_max: int = Field(10, ge=1, le=255, description="Longest message, in SMS parts; a longer one is refused, never cut")
    quiet_hours: HoursOfDay = Field(
        "", description="Messages that come within these hours, such as 21:00-08:00, wait until they are over; urgent ones do not"
    )
    quiet_time_zone: Zone = Field("UTC", description="Time zone of quiet_hours, such as Asia/Shanghai")
    replace_typographic: bool = Field(
        False,
        description="Whether curly quotes, dashes and their like are replaced where a text then fits GSM 7-bit; a request can overrule it",
    )


class ShortCode(Section):
    """A number that phones see and answer to."""

    number: Annotated[str, StringConstraints(pattern=r"^[0-9]{3,15}$")] = Field(description="The short code, digits only")
    service: Name = Field(description="Service that its chat messages belong to")
    reply_mode: Literal["direct", "slot"] = Field(
        "direct",
        description='How a reply finds its chat: "direct" appends an account number, "slot" a few digits kept for each subscriber',
    )
    slot_digits: int = Field(3, ge=2, le=4, description='Digits of a slot; only used when reply_mode is "slot"')
    digits_max: int = Field(20, ge=3, le=20, description="Longest address the carrier routes, short code included")
    partner: str = Field("", max_length=15, description="Partner that gets what phones send here; empty: it is for the messenger's chats")


class Messenger(Section):
    """The embedded messenger and its chat page."""

    enabled: bool = Field(True, description="Whether the embedded messenger runs")
    open_registration: bool = Field(False, description="Whether anyone who reaches the page may open an account")
    initial_credit: int = Field(0, ge=0, le=1_000_000_000, description="Credit of a new account, in minor units")
    short_code: str = Field("", description="Short code that its messages leave from; empty takes the first of short_codes")


class Backlog(Section):
    """How much may wait before new messages are refused."""

    messages_max: int = Field(1_000_000, ge=1, description="Most messages waiting to be sent; new ones are refused until there is room")
    schedule_ahead_s: int = Field(
        2_592_000, ge=60, le=63_072_000, description="Farthest ahead that a message may be scheduled; what asks for more is refused"
    )
    in_memory_max: int = Field(
        20_000, ge=100, le=1_000_000, description="Most waiting messages in memory per link; the rest is in the store"
    )


class Log(Section):
    """Log lines on standard error; numbers are masked and texts left out at every level."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level written")
    format: Literal["json", "console"] = Field("json", description='"json" writes one object a line, "console" is for people')


class Metrics(Section):
    """Prometheus metrics."""

    enabled: bool = Field(True, description="Whether GET /metrics answers")


class Settings(Section):
    """The whole file."""

    node: Node = Field(default=Node(), description=Node.__doc__)
    store: Store = Field(default=Store(), description=Store.__doc__)
    web: Web = Field(default=Web(), description=Web.__doc__)
    smpp_server: SmppServer = Field(default=SmppServer(), description=SmppServer.__doc__)
    smpp_tlvs: tuple[SmppTlv, ...] = Field(default=(), description=SmppTlv.__doc__)
    links: tuple[Link, ...] = Field(default=(), description=Link.__doc__)
    distribution_lists: tuple[DistributionList, ...] = Field(default=(), description=DistributionList.__doc__)
    dialects: tuple[ReceiptDialect, ...] = Field(default=(), description=ReceiptDialect.__doc__)
    services: tuple[Service, ...] = Field(default=(), description=Service.__doc__)
    short_codes: tuple[ShortCode, ...] = Field(default=(), description=ShortCode.__doc__)
    routes: tuple[Route, ...] = Field(default=(), description=Route.__doc__)
    number_lists: tuple[NumberList, ...] = Field(default=(), description=NumberList.__doc__)
    numbering: Numbering = Field(default=Numbering(), description=Numbering.__doc__)
    messenger: Messenger = Field(default=Messenger(), description=Messenger.__doc__)
    billing: Billing = Field(default=Billing(), description=Billing.__doc__)
    carriers: tuple[Carrier, ...] = Field(default=(), description=Carrier.__doc__)
    export_profiles: tuple[ExportProfile, ...] = Field(default=(), description=ExportProfile.__doc__)
    export_targets: tuple[ExportTarget, ...] = Field(default=(), description=ExportTarget.__doc__)
    coins: tuple[Coin, ...] = Field(default=(), description=Coin.__doc__)
    offers: tuple[Offer, ...] = Field(default=(), description=Offer.__doc__)
    backlog: Backlog = Field(default=Backlog(), description=Backlog.__doc__)
    log: Log = Field(default=Log(), description=Log.__doc__)
    metrics: Metrics = Field(default=Metrics(), description=Metrics.__doc__)

    @model_validator(mode="after")
    def _exports_fit(self) -> Settings:
        check_exports(self.billing, self.export_profiles, self.export_targets)
        return self

    @model_validator(mode="after")
    def _currencies_are_known(self) -> Settings:
        places = [(f"services.{service.name}.currency", service.currency, "0") for service in self.services]
        limits = [(f"billing.approval_above.{code}", code, amount) for code, amount in self.billing.approval_above.items()]
        for place, currency, amount in places + limits:
            try:
                money.parse(amount, currency)
            except MoneyError as error:
                raise ValueError(f"{place}: {error}") from None
        return self

    @model_validator(mode="after")
    def _carriers_are_known(self) -> Settings:
        known = [self.billing.carrier, *(carrier.name for carrier in self.carriers)]
        if len(set(known)) != len(known):
            raise ValueError("carriers: each needs a name of its own, and other than billing.carrier")
        for link in self.links:
            if link.carrier and link.carrier not in known:
                raise ValueError(f"links.{link.name}.carrier: there is no carrier {link.carrier!r}; known are: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _offers_fit(self) -> Settings:
        services, codes = {each.name for each in self.services}, {each.number for each in self.short_codes}
        settings_offers.check(self.offers, services, codes, has_free_service=any(not each.price for each in self.services))
        return self


# What `bellhop init` writes where it differs from the defaults: it runs as it is beside `bellhop sim smsc`.
SAMPLE = Settings(
    smpp_tlvs=(SmppTlv(name="dlt_entity_id", tag=0x1400, length_max=30), SmppTlv(name="dlt_template_id", tag=0x1401, length_max=30)),
    links=(Link(name="sim", port=2776, system_id="bellhop", password=SecretStr("secret8"), window=100),),
    dialects=(ReceiptDialect(name="example", states={"OK": "DELIVRD", "UNDELIV 027": "ENROUTE"}, errors={"0x1F": "031"}),),
    services=(
        Service(name="chat", price=10, unknown_outcome="resend"),
        Service(name="premium", price=100, unknown_outcome="hold"),
        Service(name="notice", price=0, unknown_outcome="drop"),
    ),
    short_codes=(
        ShortCode(number="10661700", service="chat", reply_mode="direct"),
        ShortCode(number="10661701", service="chat", reply_mode="slot"),
    ),
    messenger=Messenger(open_registration=True, initial_credit=1000),
)
