"""The settings of the books: charge records, and the carriers they are kept for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from billing import money
from billing.errors import MoneyError
from gateway.settings_routes import Zone
from gateway.settings_section import Currency, Section

FileWord = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")]


class Billing(Section):
    """Charge records and their export."""

    node: FileWord = Field("bellhop01", description="Name of this installation in export file names")
    carrier: FileWord = Field("default", description="Carrier of the links that name none, in charge records and export file names")
    time_zone: Zone = Field("UTC", description="Time zone in which its days and months are counted, such as Asia/Shanghai")
    late: Literal["absorb", "charge"] = Field(
        "absorb", description='What a receipt does that says "delivered" after its message ended: nothing is charged, or it is charged then'
    )
    approval_above: dict[Currency, str] = Field(
        default={},
        description='From which amount on a second person must approve what is given back or booked, such as { CNY = "100.00" };'
        " a currency that is not named: 100 of it",
    )
    approval_days: int = Field(14, ge=1, le=365, description="How long a request waits for a second person")
    refund_multiplier: int = Field(2, ge=2, le=10, description="What `bellhop billing refund --double` gives back, times what was charged")

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
