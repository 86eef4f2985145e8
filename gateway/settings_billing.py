"""The settings of the books: charge records, and the carriers they are kept for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.settings_routes import Zone
from gateway.settings_section import Section

FileWord = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")]


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


class Carrier(Section):
    """One more carrier with books of its own, beside `billing.carrier`."""

    name: FileWord = Field(description="Name of the carrier; `links.carrier` says which links lead to it")
    time_zone: Zone = Field("UTC", description="Time zone in which its days and months are counted, such as Asia/Shanghai")
    late: Literal["absorb", "charge"] = Field("absorb", description="As billing.late")
