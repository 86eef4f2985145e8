"""The settings of the books: charge records, and the carriers they are kept for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from billing import money
from billing.errors import ExportError, MoneyError
from billing.profile import Profile, checked, columns_from
from gateway.settings_routes import Zone
from gateway.settings_section import Currency, Port, Seconds, Section

MASK_KEY_CHARS_MIN = 16
FileWord = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")]


class ExportProfile(Section):
    """A form of charge files besides the built-in profile `charge`: CSV with every column."""

    name: FileWord = Field(description="Name of the profile; it stands in file names, and has numbers of its own")
    flavour: Literal["csv", "jsonl", "framed-csv", "fixed", "parquet", "xlsx", "ber"] = Field("csv", description="Form of the files")
    columns: tuple[str, ...] = Field((), description='Columns in their order; empty: all. For fixed files with widths: "charge_id:20"')
    mask: Literal["none", "last4", "hmac"] = Field(
        "none", description="Numbers of people: as they are, their last four digits, or a hash keyed by billing.mask_key"
    )
    spreadsheet: bool = Field(False, description="csv only: put an apostrophe before a text that a spreadsheet would take for a formula")
    bom: bool = Field(False, description="csv only: begin with a byte order mark, as some spreadsheets want")
    records_max: int = Field(0, ge=0, le=10_000_000, description="Most records in a file; the next file has the next number. 0: no limit")
    bytes_max: int = Field(0, ge=0, le=2**40, description="Most bytes in a file, before it is compressed; 0: no limit")
    gzip: bool = Field(False, description="Compress the files")
    deliver_to: str = Field("", description="Name of the target that `bellhop billing deliver` brings its files to")

    @model_validator(mode="after")
    def _can_be_written(self) -> ExportProfile:
        try:
            checked(self.as_profile())
        except ExportError as error:
            raise ValueError(str(error)) from None
        return self

    def as_profile(self, mask_key: str = "") -> Profile:
        """What the exporter works with; `mask_key` names the key."""
        columns, widths = columns_from(self.columns)
        limits = (self.records_max, self.bytes_max, self.gzip)
        key = mask_key if self.mask == "hmac" else ""
        return Profile(self.name, self.flavour, columns, widths, self.mask, key, self.spreadsheet, self.bom, *limits)


class ExportTarget(Section):
    """A place that charge files are brought to."""

    name: FileWord = Field(description="Name of the target")
    kind: Literal["folder", "sftp"] = Field("folder", description="A folder of this machine, or one on an SFTP server")
    path: str = Field(description="The folder; relative to the folder of this file, or to where the SFTP server lets us in")
    host: str = Field("", description="sftp: name or address of the server")
    port: Port = Field(22, description="sftp: its port")
    username: str = Field("", description="sftp: who we are there")
    password: SecretStr = Field(SecretStr(""), description="sftp: password; best given as BELLHOP__EXPORT_TARGETS__0__PASSWORD")
    key_file: str = Field("", description="sftp: file with our private key (relative to the folder of this file)")
    key_passphrase: SecretStr = Field(SecretStr(""), description="sftp: what opens the key file")
    known_hosts_file: str = Field("", description="sftp: file with the keys of the server, as ssh-keyscan writes it; needed")
    timeout_s: Seconds = Field(30.0, description="sftp: how long a connection, or one step of it, may take")
    attempts_max: int = Field(3, ge=1, le=20, description="sftp: how often a file is tried in one call of the command")
    backoff_s: float = Field(1.0, ge=0, le=600, description="sftp: pause before the second attempt; it doubles with each")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> ExportTarget:
        if self.kind == "sftp":
            for key in ("host", "username", "known_hosts_file"):
                if not getattr(self, key):
                    raise ValueError(f"{key}: an sftp target needs it")
            if not self.key_file and not self.password.get_secret_value():
                raise ValueError("key_file: an sftp target needs a key or a password")
        return self


class Billing(Section):
    """Charge records and their export."""

    node: FileWord = Field("bellhop01", description="Name of this installation in export file names")
    carrier: FileWord = Field("default", description="Carrier of the links that name none, in charge records and export file names")
    time_zone: Zone = Field("UTC", description="Time zone in which its days and months are counted, such as Asia/Shanghai")
    grace_s: int = Field(
        3_600,
        ge=0,
        le=2_592_000,
        description="How long after its end a period waits for receipts before it can be closed",
    )
    close_after_s: int = Field(
        0,
        ge=0,
        le=2_592_000,
        description="The gateway closes each day by itself so long after its end, and not before its grace_s is over; 0: people close",
    )
    plan: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,20}$")] = Field(
        "main", description="Plan whose approved tariff prices what is sold; while none is approved the prices of services hold"
    )
    unrated: Literal["refuse", "suspend"] = Field(
        "refuse",
        description='What becomes of a message that no rule prices: "refuse" it, or send it and "suspend" its charge',
    )
    late: Literal["absorb", "charge"] = Field(
        "absorb", description='What a receipt does that says "delivered" after its message ended: nothing is charged, or it is charged then'
    )
    export_folder: str = Field(
        "charges", min_length=1, description="Folder for files ordered over HTTP (relative to the folder of this file)"
    )
    upload_bytes_max: int = Field(
        268_435_456,
        ge=1_024,
        le=2**40,
        description="Largest file of a carrier that is taken over HTTP, in bytes; it waits in export_folder",
    )
    mask_key: SecretStr = Field(
        SecretStr(""), description="Key of profiles with mask hmac, at least 16 characters; best given as BELLHOP__BILLING__MASK_KEY"
    )

    @field_validator("mask_key")
    @classmethod
    def _is_long_enough(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < MASK_KEY_CHARS_MIN:
            raise ValueError(f"at least {MASK_KEY_CHARS_MIN} characters")
        return key

    approval_above: dict[Currency, str] = Field(
        default={},
        description='From which amount on a second person must approve what is given back or booked, such as { CNY = "100.00" };'
        " a currency that is not named: 100 of it",
    )
    approval_days: int = Field(14, ge=1, le=365, description="How long a request waits for a second person")
    refund_multiplier: int = Field(2, ge=2, le=10, description="What `bellhop billing refund --double` gives back, times what was charged")

    voucher_failures: int = Field(
        5, ge=0, le=1_000, description="Wrong voucher codes forgiven to one party, and six times as many to one address; 0: any number"
    )
    voucher_wait_s_max: Seconds = Field(3_600.0, description="Longest wait after wrong voucher codes; it begins with 1 s and doubles")

    @field_validator("approval_above")
    @classmethod
    def _is_no_nonsense(cls, typed: dict[str, str]) -> dict[str, str]:
        for currency, amount in typed.items():
            # The code itself is looked at when all coins are known.
            if not amount.replace(".", "", 1).isdecimal() or not amount.isascii():
                raise ValueError(f"{currency}: {amount[:32]!r} is no amount such as 100.00")
        return typed


class Coin(Section):
    """A virtual coin beside the currencies of ISO 4217; it has wallets and sums of its own. QQB is known without being named."""

    code: Currency = Field(description="Its code, 3 to 8 capital letters, and none of ISO 4217")
    exponent: int = Field(0, ge=0, le=6, description="Digits after the point")

    @model_validator(mode="after")
    def _is_known_from_now_on(self) -> Coin:
        # Amounts are read and written all over the program: what a code means is one table, and this is where it grows.
        try:
            money.add_coin(self.code, self.exponent)
        except MoneyError as error:
            raise ValueError(str(error)) from None
        return self


class Carrier(Section):
    """One more carrier with books of its own, beside `billing.carrier`."""

    name: FileWord = Field(description="Name of the carrier; `links.carrier` says which links lead to it")
    time_zone: Zone = Field("UTC", description="Time zone in which its days and months are counted, such as Asia/Shanghai")
    late: Literal["absorb", "charge"] = Field("absorb", description="As billing.late")
    grace_s: int = Field(3_600, ge=0, le=2_592_000, description="As billing.grace_s")


def check_exports(billing: Billing, profiles: Sequence[ExportProfile], targets: Sequence[ExportTarget]) -> None:
    """Raise ValueError for names that are taken, and for profiles whose target or key is not there."""
    for kind, names in (("profiles", ["charge", *(each.name for each in profiles)]), ("targets", [each.name for each in targets])):
        if len(set(names)) != len(names):
            raise ValueError(f"export_{kind}: each needs a name of its own, and a profile another one than charge")
    known = {each.name for each in targets}
    for each in profiles:
        if each.deliver_to and each.deliver_to not in known:
            raise ValueError(f"export_profiles.{each.name}.deliver_to: there is no target {each.deliver_to!r}")
        if each.mask == "hmac" and not billing.mask_key.get_secret_value():
            raise ValueError(f"export_profiles.{each.name}.mask: hmac needs billing.mask_key")
