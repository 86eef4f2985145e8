"""The settings of both SMPP sides: the partners' door, and the links to carriers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from gateway.settings_section import Name, Npi, Port, Seconds, SecondsOrOff, Section, Ton


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
    dialect: Name = Field("standard", description="How its receipts are written: a dialect that bellhop knows, or one of dialects")
    receipt_group: str = Field(
        "", max_length=32, description="Links with the same word here are one carrier: a receipt on one may mean a message of another"
    )

    @field_validator("password")
    @classmethod
    def _fits_the_bind(cls, password: SecretStr) -> SecretStr:
        if len(password.get_secret_value().encode("latin-1", "replace")) > 8:
            raise ValueError("must have at most 8 octets, SMPP carries no more")
        return password
