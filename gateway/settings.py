"""Every setting of the gateway: its key, default, limits and what it is for.

The descriptions are the only documentation of a key: `bellhop init`, docs/configuration.md and error messages are made from them.
Units stand last in a key. Nothing is optional in the sense of None: "" or 0 means "not set" where the description says so.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=32)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
SecondsOrOff = Annotated[float, Field(ge=0, le=86_400)]
Ton = Annotated[int, Field(ge=0, le=6)]
Npi = Annotated[int, Field(ge=0, le=18)]

STORE_URL = re.compile(r"^(sqlite://.*|postgresql(\+psycopg)?://.+)$")


class Section(BaseModel):
    """A table of the file: read once, never changed, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


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


class SmppServer(Section):
    """The SMPP door for partners: here the gateway is the SMSC."""

    enabled: bool = Field(True, description="Whether the door is open at all")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for every interface")
    port: Port = Field(2775, description="Port to listen on; 0 picks a free one")
    system_id: str = Field("bellhop", min_length=1, max_length=15, description="Name given to partners in the bind response")
    session_init_timeout_s: Seconds = Field(10.0, description="A partner must have bound by then")
    response_timeout_s: Seconds = Field(60.0, description="A partner must have answered a request by then")
    enquire_link_s: Seconds = Field(30.0, description="Silence after which the partner is asked whether it is still there")
    inactivity_timeout_s: SecondsOrOff = Field(0.0, description="Close a session without traffic after this time; 0 never does")
    window: int = Field(100, ge=1, le=10_000, description="Most deliver_sm of ours that one session may leave unanswered")
    peer_window: int = Field(
        1000, ge=1, le=100_000, description="Most requests of a partner that may wait for an answer; more are throttled"
    )
    frame_bytes_max: int = Field(65_536, ge=1024, le=1_048_576, description="Longest PDU accepted; a longer one closes its session")
    sessions_max: int = Field(1000, ge=1, le=18_000, description="Most connections at one time")


class Link(Section):
    """A connection to one carrier's SMSC: here the gateway is the ESME."""

    name: Name = Field(description="Name of the link in logs, metrics and charge records")
    host: str = Field("127.0.0.1", min_length=1, description="Address of the SMSC")
    port: int = Field(2775, ge=1, le=65535, description="Port of the SMSC")
    system_id: str = Field("", max_length=15, description="Our name at the SMSC")
    password: SecretStr = Field(
        SecretStr(""), description="Our password there, at most 8 octets; best given as BELLHOP__LINKS__0__PASSWORD"
    )
    system_type: str = Field("", max_length=12, description="System type, where the carrier asks for one")
    bind: Literal["transceiver", "transmitter", "receiver"] = Field("transceiver", description="Direction of the binds")
    binds: int = Field(1, ge=1, le=64, description="How many sessions to keep")
    window: int = Field(10, ge=1, le=10_000, description="Most submit_sm that one bind may leave unanswered")
    rate_per_s: float = Field(0.0, ge=0, le=1_000_000, description="Most submit_sm per second over all binds; 0 sets no limit")
    connect_timeout_s: Seconds = Field(10.0, description="The TCP connection must stand by then")
    response_timeout_s: Seconds = Field(60.0, description="A submit_sm not answered by then has an unknown outcome")
    enquire_link_s: Seconds = Field(30.0, description="Silence after which the SMSC is asked whether it is still there")
    backoff_s_min: Seconds = Field(0.5, description="First pause before binding again; it doubles, with jitter, up to backoff_s_max")
    backoff_s_max: Seconds = Field(30.0, description="Longest pause before binding again")
    source_ton: Ton = Field(0, description="Type of number of our short codes")
    source_npi: Npi = Field(1, description="Numbering plan of our short codes")
    destination_ton: Ton = Field(1, description="Type of number of handsets")
    destination_npi: Npi = Field(1, description="Numbering plan of handsets")
    service_type: str = Field("", max_length=5, description="SMPP service_type, where the carrier asks for one")

    @field_validator("password")
    @classmethod
    def _fits_the_bind(cls, password: SecretStr) -> SecretStr:
        if len(password.get_secret_value().encode("latin-1", "replace")) > 8:
            raise ValueError("must have at most 8 octets, SMPP carries no more")
        return password


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


class Billing(Section):
    """Charge records and their export."""

    node: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")] = Field(
        "bellhop01", description="Name of this installation in export file names"
    )
    carrier: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")] = Field(
        "default", description="Carrier id in charge records and export file names"
    )
    time_zone: str = Field("UTC", description="Time zone in which days and months are counted, such as Asia/Shanghai")

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, time_zone: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(time_zone)
        except (ValueError, OSError, KeyError):
            raise ValueError("is no time zone known to this machine") from None
        return time_zone


class Backlog(Section):
    """How much may wait before new messages are refused."""

    messages_max: int = Field(1_000_000, ge=1, description="Most messages waiting to be sent; new ones are refused until there is room")
    in_memory_max: int = Field(
        10_000, ge=100, le=1_000_000, description="Most waiting messages in memory per link; the rest is in the store"
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
    links: tuple[Link, ...] = Field(default=(), description=Link.__doc__)
    services: tuple[Service, ...] = Field(default=(), description=Service.__doc__)
    short_codes: tuple[ShortCode, ...] = Field(default=(), description=ShortCode.__doc__)
    messenger: Messenger = Field(default=Messenger(), description=Messenger.__doc__)
    billing: Billing = Field(default=Billing(), description=Billing.__doc__)
    backlog: Backlog = Field(default=Backlog(), description=Backlog.__doc__)
    log: Log = Field(default=Log(), description=Log.__doc__)
    metrics: Metrics = Field(default=Metrics(), description=Metrics.__doc__)


# What `bellhop init` writes where it differs from the defaults: it runs as it is beside `bellhop sim smsc`.
SAMPLE = Settings(
    links=(Link(name="sim", port=2776, system_id="bellhop", password=SecretStr("secret8"), window=100),),
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
