"""The settings of both SMPP sides: the partners' door, and the links to carriers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from gateway.domain.address import sender
from gateway.domain.verdict import ErrorTable
from gateway.settings_section import Name, Npi, Port, Seconds, SecondsOrOff, Section, Ton
from gateway.smpp import tlv
from gateway.smpp.errors import LocalProtocolError

TagName = Annotated[str, StringConstraints(pattern=r"^0x[0-9A-Fa-f]{1,4}$")]
TagValue = Annotated[str, StringConstraints(max_length=510)]

Alphabet = Literal["gsm", "latin-1", "ascii", "utf-8"]
Language = Literal[
    "turkish",
    "spanish",
    "portuguese",
    "bengali",
    "gujarati",
    "hindi",
    "kannada",
    "malayalam",
    "oriya",
    "punjabi",
    "tamil",
    "telugu",
    "urdu",
]


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
    transaction_timeout_s: Seconds = Field(
        20.0, description="How long the answer to a data_sm in transaction mode waits for the message's end; then it says: accepted"
    )
    sessions_max: int = Field(12_000, ge=1, le=65_000, description="Most connections at one time")
    unbound_per_address_max: int = Field(
        1_000, ge=1, le=65_000, description="Most connections from one address that have not bound; more are reset as they come"
    )
    tls_port: Port = Field(3550, description="Port to listen on for TLS, where there is a certificate; 0 picks a free one")
    tls_certificate_file: str = Field(
        "", description="Certificate chain in PEM form (relative to the folder of this file); empty: no TLS for partners"
    )
    tls_key_file: str = Field("", description="Its private key in PEM form; empty: it is in the file of the certificate")
    tls_client_ca_file: str = Field("", description="Authority of the partners' certificates; given, each must show one of it")
    bind_checks_max: int = Field(2, ge=1, le=64, description="Most passwords that are checked at one time; each takes 20 ms of a core")
    lockout_failures: int = Field(
        5, ge=0, le=1_000, description="Wrong binds under one name from one address after which both wait; 0 never locks out"
    )
    lockout_address_failures: int = Field(
        30, ge=1, le=100_000, description="Wrong binds from one address under any names after which all of them wait"
    )
    lockout_s_max: Seconds = Field(300.0, description="Longest wait after wrong binds; it begins with 1 s and doubles")
    alphabet: Alphabet = Field("gsm", description="What data_coding 0 means in a partner's submit_sm: the SMSC's default alphabet")


class SmppTlv(Section):
    """An optional parameter of a vendor or regulator: passed on to carriers and, from phones, to partners; named in the API."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = Field(
        description="Its name in the API, such as dlt_entity_id"
    )
    tag: int = Field(ge=0x1400, le=0x3FFF, description="Its tag; SMPP leaves 0x1400 to 0x3FFF (5120 to 16383) to vendors")
    type: Literal["text", "integer", "octets"] = Field("text", description="What its value is; octets are hexadecimal digits in the API")
    length_max: int = Field(64, ge=1, le=1_024, description="Most octets of its value, without a text's NUL; of an integer: 1, 2 or 4")

    @model_validator(mode="after")
    def _integer_has_a_size(self) -> SmppTlv:
        if self.type == "integer" and self.length_max not in (1, 2, 4):
            raise ValueError("length_max of an integer is 1, 2 or 4")
        return self


class DistributionList(Section):
    """Phone numbers that a partner's submit_multi reaches under one name."""

    name: str = Field(min_length=1, max_length=20, description="Name of the list, as submit_multi gives it in dl_name")
    partner: str = Field("", max_length=15, description="The partner whose list it is; empty: every partner may use it")
    numbers: tuple[Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{6,14}$")], ...] = Field(
        min_length=1, max_length=10_000, description="International numbers, digits only"
    )


class Link(Section):
    """A connection to one carrier's SMSC: here the gateway is the ESME."""

    name: Name = Field(description="Name of the link in logs, metrics and charge records")
    host: str = Field("127.0.0.1", min_length=1, description="Address of the SMSC")
    port: int = Field(2775, ge=1, le=65535, description="Port of the SMSC")
    system_id: str = Field("", max_length=15, description="Our name at the SMSC")
    password: SecretStr = Field(
        SecretStr(""), description="Our password there, at most 8 octets; best given as BELLHOP__LINKS__0__PASSWORD"
    )
    carrier: str = Field("", max_length=16, description="Whose books its charges are in: a name of `carriers`; empty is billing.carrier")
    system_type: str = Field("", max_length=12, description="System type, where the carrier asks for one")
    enabled: bool = Field(True, description="Whether the link starts with the gateway; `bellhop link start` starts one that does not")
    bind: Literal["transceiver", "transmitter", "receiver", "pair"] = Field(
        "transceiver", description='Direction of the binds; "pair" keeps a transmitter and a receiver for each'
    )
    binds: int = Field(1, ge=1, le=64, description="How many sessions to keep, or how many pairs")
    interface_version: Literal["3.3", "3.4", "5.0"] = Field("3.4", description="Version of SMPP that we bind with")
    address_range: str = Field("", max_length=40, description="Addresses that this bind serves, where the carrier asks for them")
    addr_ton: Ton = Field(0, description="Type of number of address_range")
    addr_npi: Npi = Field(0, description="Numbering plan of address_range")
    window: int = Field(10, ge=1, le=10_000, description="Most submit_sm that one bind may leave unanswered")
    rate_per_s: float = Field(0.0, ge=0, le=1_000_000, description="Most submit_sm per second over all binds; 0 sets no limit")
    connect_timeout_s: Seconds = Field(10.0, description="The TCP connection must stand by then, and TLS on it")
    bind_timeout_s: Seconds = Field(10.0, description="The SMSC must have answered our bind by then")
    response_timeout_s: Seconds = Field(60.0, description="A submit_sm not answered by then has an unknown outcome")
    enquire_link_s: Seconds = Field(30.0, description="Silence after which the SMSC is asked whether it is still there")
    enquire_link_timeout_s: SecondsOrOff = Field(
        0.0, description="It must have answered that by then, else we bind anew; 0 takes response_timeout_s"
    )
    inactivity_timeout_s: SecondsOrOff = Field(0.0, description="Unbind, and bind anew, after this time without messages; 0 never does")
    pdu_timeout_s: Seconds = Field(10.0, description="A PDU that has begun must be there whole by then")
    unbind_timeout_s: Seconds = Field(5.0, description="Our unbind must be answered by then")
    drain_timeout_s: Seconds = Field(4.0, description="How long the SMSC's unbind waits for the answers it still owes us")
    backoff_s_min: Seconds = Field(0.5, description="First pause before binding again; it doubles up to backoff_s_max, with full jitter")
    backoff_s_max: Seconds = Field(30.0, description="Longest pause before binding again, and the first one after refused credentials")
    standoff_s_max: Seconds = Field(
        900.0, description="Longest pause while the SMSC refuses our name, password or system type; `bellhop link start` tries at once"
    )
    already_bound_wait_s: Seconds = Field(
        60.0, description='Pause after the answer "already bound": how long the SMSC keeps a session that broke; it doubles'
    )
    unbound_wait_s: SecondsOrOff = Field(2.0, description="Pause after the SMSC's unbind, on top of the usual one")
    tls: bool = Field(False, description="Whether to connect with TLS (1.2 or newer); the SMSC's certificate and name are always checked")
    tls_ca_file: str = Field("", description="Authorities that may have signed its certificate, PEM; empty takes those of this machine")
    tls_host_name: str = Field("", max_length=253, description="Name its certificate must have; empty takes host")
    tls_certificate_file: str = Field("", description="Our certificate, PEM, for carriers that ask for one")
    tls_key_file: str = Field("", description="Key of our certificate, PEM, without a password; empty: it is in tls_certificate_file")
    outbind_port: Port = Field(0, description="Port where this carrier's SMSC may call us with outbind, for a receiver; 0 is none")
    outbind_host: str = Field("127.0.0.1", min_length=1, description="Address to listen on for outbind; 0.0.0.0 for every interface")
    outbind_system_id: str = Field("", max_length=15, description="Name that its outbind must give")
    outbind_password: SecretStr = Field(SecretStr(""), description="Password that its outbind must give, at most 8 octets")
    source_ton: Ton = Field(0, description="Type of number of our short codes")
    source_npi: Npi = Field(1, description="Numbering plan of our short codes")
    destination_ton: Ton = Field(1, description="Type of number of handsets")
    destination_npi: Npi = Field(1, description="Numbering plan of handsets")
    source_type: Literal["message", "detect", "fixed"] = Field(
        "message",
        description='Type of senders: as the "message" says (unknown is a short code), "detect" it from the characters, or "fixed": '
        "always source_ton and source_npi",
    )
    alphanumeric_sender: bool = Field(True, description="Whether the carrier takes names as senders; else default_sender stands for them")
    default_sender: str = Field("", max_length=21, description="Sender in place of a name that the carrier does not take")
    alphanumeric_charset: Literal["latin-1", "ascii", "gsm", "utf-8"] = Field("latin-1", description="Octets of a name as sender")
    international_prefix: Annotated[str, StringConstraints(pattern=r"^(\+|[0-9]{0,4})$")] = Field(
        "", description='Written before international numbers, such as "+" or "00"'
    )
    country_code: Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]{0,3})?$")] = Field(
        "", description="Numbers that begin so are written in national form, and the carrier's national numbers read so; empty: none"
    )
    national_prefix: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,4}$")] = Field(
        "", description='What stands in national form for the country code, such as "0"'
    )
    national_ton: Ton = Field(2, description="Type of number of national forms")
    tlvs: dict[TagName, TagValue] = Field(
        {},
        description='Parameters on every submit_sm, such as { "0x1400" = "text", "0x1401" = "hex:00ff" }; a vendor\'s text gets no NUL',
    )
    errors: dict[str, str] = Field(
        {},
        description="What this carrier's command_status means where it differs: codes or ranges to throttle, busy, retry, next_route"
        ' or final, as {"0x45" = "next_route", "0x400-0x4FF" = "final", "0x08" = "retry 10x 30s"}',
    )
    reroute_after_s: SecondsOrOff = Field(
        0.0, description="A link down for so long offers what waits for it to the other links that its routes name; 0 never does"
    )
    service_type: str = Field("", max_length=5, description="SMPP service_type, where the carrier asks for one")
    validity_period: Literal["relative", "absolute", "none"] = Field(
        "relative",
        description="How the carrier is told until when a message is worth trying: as a time from now, as a date in UTC, or not at all",
    )
    alphabet: Alphabet = Field("gsm", description="What data_coding 0 means at this SMSC, both ways: its default alphabet")
    segment_method: Literal["udh8", "udh16", "sar", "payload"] = Field(
        "udh8",
        description='How a long message goes: parts with 8-bit or 16-bit references in a header, parts with SAR parameters ("sar"), '
        'or whole in message_payload, cut by the SMSC ("payload")',
    )
    packed: bool = Field(False, description="Whether the SMSC wants GSM 7-bit packed, eight septets in seven octets, and sends it so")
    languages: tuple[Language, ...] = Field(
        (),
        description="National tables that handsets here read, used where they make a text cheaper: turkish, spanish, portuguese, bengali, "
        "gujarati, hindi, kannada, malayalam, oriya, punjabi, tamil, telugu, urdu",
    )
    parts_max: int = Field(
        255, ge=1, le=255, description="Longest message this carrier takes, in SMS parts; the service's limit holds beside it"
    )
    query_after_s: SecondsOrOff = Field(
        0.0,
        description="How long a final receipt may take until the carrier is asked by query_sm, and asked again; 0 never asks",
    )
    dialect: Name = Field("standard", description="How its receipts are written: a dialect that bellhop knows, or one of dialects")
    receipt_group: str = Field(
        "", max_length=32, description="Links with the same word here are one carrier: a receipt on one may mean a message of another"
    )

    @field_validator("errors")
    @classmethod
    def _reads_as_a_table(cls, errors: dict[str, str]) -> dict[str, str]:
        ErrorTable.parse(errors)
        return errors

    @field_validator("password", "outbind_password")
    @classmethod
    def _fits_the_bind(cls, password: SecretStr) -> SecretStr:
        if len(password.get_secret_value().encode("latin-1", "replace")) > 8:
            raise ValueError("must have at most 8 octets, SMPP carries no more")
        return password

    @model_validator(mode="after")
    def _tables_of_gsm(self) -> Self:
        if self.alphabet != "gsm" and (self.packed or self.languages):
            raise ValueError('packed and languages belong to the alphabet "gsm"')
        return self

    @field_validator("tlvs")
    @classmethod
    def _are_parameters(cls, tlvs: dict[str, str]) -> dict[str, str]:
        constant_tlvs(tlvs)
        return tlvs

    @field_validator("default_sender")
    @classmethod
    def _is_a_sender(cls, default_sender: str) -> str:
        if default_sender:
            sender(default_sender)
        return default_sender


def contradictions_of(link: Link) -> Iterator[tuple[str, str]]:
    """The keys of a link that do not go together, and why."""
    if link.backoff_s_min > link.backoff_s_max:
        yield "backoff_s_min", "must not be more than backoff_s_max"
    if link.interface_version == "3.3" and link.bind == "transceiver":
        yield "bind", 'SMPP 3.3 has no transceiver; use "pair"'
    if not link.alphanumeric_sender and not link.default_sender:
        yield "alphanumeric_sender", "needs a default_sender to stand for names"
    if link.outbind_port and not (link.outbind_system_id and link.outbind_password.get_secret_value()):
        yield "outbind_port", "needs outbind_system_id and outbind_password, or anyone could call"
    for key in ("tls_ca_file", "tls_host_name", "tls_certificate_file", "tls_key_file"):
        if getattr(link, key) and not link.tls:
            yield key, "has no meaning without tls = true"


def constant_tlvs(tlvs: dict[str, str]) -> dict[int, bytes]:
    """The settings' parameters as a PDU has them; what SMPP knows as a number is given as one. Raises ValueError."""
    made: dict[int, bytes] = {}
    for name, text in tlvs.items():
        tag = int(name, 16)
        spec = tlv.TLV_SPECS.get(tag)
        try:
            if text.startswith("hex:"):
                made[tag] = tlv.make(tag, bytes.fromhex(text.removeprefix("hex:")))
            elif spec is not None and spec.kind == tlv.INTEGER:
                made[tag] = tlv.make(tag, int(text))
            else:
                made[tag] = tlv.make(tag, text if spec is not None and spec.kind == tlv.TEXT else text.encode("latin-1"))
        except (ValueError, LocalProtocolError) as error:
            raise ValueError(f"{name}: {error}") from None
    return made
