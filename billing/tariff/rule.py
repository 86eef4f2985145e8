"""One rule of a tariff: what it is for, and what that costs."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from billing.event import FeeClass

PPM = 1_000_000


class Model(StrEnum):
    """What the price is for."""

    FREE = "free"
    PER_MESSAGE = "per_message"
    PER_PART = "per_part"
    PER_ITEM = "per_item"
    MONTHLY = "monthly"  # paid by the cycle of a subscription; its messages are free
    CAPPED = "capped"  # by the part, up to cap_per_month
    SP_COLLECTED = "sp_collected"  # by the part, and the provider collects it himself: it stands in the record, no wallet pays


FEE_CLASSES = {
    Model.FREE: FeeClass.FREE,
    Model.PER_MESSAGE: FeeClass.PER_MSG,
    Model.PER_PART: FeeClass.PER_PART,
    Model.PER_ITEM: FeeClass.PER_ITEM,
    Model.MONTHLY: FeeClass.MONTHLY,
    Model.CAPPED: FeeClass.CAPPED,
    Model.SP_COLLECTED: FeeClass.SP_COLLECTED,
}
BY_PART = frozenset({Model.PER_PART, Model.CAPPED, Model.SP_COLLECTED})


BY_SUBSCRIBER, BY_PAYER = "subscriber", "payer"


class Tier(NamedTuple):
    """From the n-th unit of a month on (the first is 1), another price."""

    from_unit: int
    price_minor: int


class Promotion(NamedTuple):
    """Another price within [from_us, to_us): so many per cent off, or a price of its own."""

    name: str
    from_us: int
    to_us: int
    percent_off: int = 0
    price_minor: int | None = None


class Rule(NamedTuple):
    """What is not set ("" or 0) fits everything, and limits nothing. Amounts are minor units of `currency`."""

    name: str
    model: Model
    price_minor: int
    currency: str
    service: str = ""
    item: str = ""
    carrier: str = ""
    prefix: str = ""  # digits the phone's number begins with
    direction: str = ""  # MT, MO or DL
    priority: int = 0  # decides between rules that fit equally well
    payer: str = "sender"  # or subscriber, or sponsor:NAME
    count_by: str = BY_SUBSCRIBER  # whose units are counted: the phone's, or the payer's
    tax_ppm: int = 0  # contained in the price
    provider: str = ""
    free_per_day: int = 0
    free_per_month: int = 0
    cap_per_day_minor: int = 0
    cap_per_month_minor: int = 0
    tiers: tuple[Tier, ...] = ()
    promotions: tuple[Promotion, ...] = ()

    @property
    def is_counted(self) -> bool:
        """Whether its price depends on what its payer had before, in this day or month."""
        return bool(self.free_per_day or self.free_per_month or self.cap_per_day_minor or self.cap_per_month_minor or self.tiers)

    @property
    def specificity(self) -> tuple[int, ...]:
        """The more exactly a rule says what it is for, the greater: item, service, carrier, prefix, direction, then priority."""
        return (bool(self.item), bool(self.service), bool(self.carrier), len(self.prefix), bool(self.direction), self.priority)

    @property
    def key(self) -> tuple[str, str, str, str, str, int]:
        """What two rules have in common that fit equally well."""
        return (self.item, self.service, self.carrier, self.prefix, self.direction, self.priority)
