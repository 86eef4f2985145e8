"""The settings of subscriptions: what can be subscribed to, at which price, and by which rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from gateway.domain import keywords, offer_texts, orders
from gateway.settings_section import Currency, Name, Section

Word = Annotated[str, StringConstraints(min_length=1, max_length=20)]


class Offer(Section):
    """Something to subscribe to: phones order it by its keyword, and pay by the month or the day."""

    name: Name = Field(description="Name of the offer in commands and charge records")
    title: str = Field("", max_length=40, description="What subscribers read; empty: the name")
    service: Name = Field(description="Service its charges and billing messages belong to")
    short_code: str = Field(description="Short code that takes its orders")
    keyword: str = Field("", max_length=20, description='What a phone sends to order it, such as "NEWS"; empty: only staff start it')
    price: int = Field(ge=0, le=1_000_000_000, description="Price of a cycle in minor units; who has it keeps the price he ordered at")
    currency: Currency = Field("CNY", description="Currency of the price, three capital letters")
    cycle: Literal["month", "day"] = Field(
        "month", description="A cycle is a calendar month or day on the carrier's clock, never a part of one"
    )
    pays: Literal["carrier", "wallet"] = Field(
        "carrier", description="Who collects: the carrier, on the phone's bill, or we, from a messenger account's wallet"
    )
    charge_on: Literal["due", "delivery"] = Field(
        "due", description='"due" charges when the cycle falls due, "delivery" sends a billing message and charges once that is delivered'
    )
    provider: str = Field("", max_length=32, description="Content provider it is settled with")
    trial_days: int = Field(0, ge=0, le=366, description="Days that are free after it was confirmed")
    confirmations_required: int = Field(2, ge=1, le=3, description="How often a phone must answer Y to its order")
    confirm_within_hours: int = Field(24, ge=1, le=720, description="An order that is not confirmed by then has lapsed")
    first_charge_after_hours: int = Field(72, ge=0, le=720, description="Who leaves within these hours is not charged")
    reminder_days_before: int = Field(
        3, ge=0, le=27, description="How long before each month's charge its subscriber is reminded; 0: never"
    )
    failed_cycles_max: int = Field(2, ge=1, le=12, description="So many cycles failing one after the other end it")
    stop_keywords: tuple[Word, ...] = Field(
        ("TD", "QX", "退订", "取消"), min_length=1, description="What a phone puts before the keyword to end it; the first is in the texts"
    )
    unpaid_codes: tuple[Word, ...] = Field(("CB:0007",), description="Errors of a billing message that say the balance is too low")
    gone_codes: tuple[Word, ...] = Field(("CB:0001", "CB:0053"), description="Errors that say there is no such user: it ends at once")
    language: Literal["zh", "en", "both"] = Field("both", description="Language of its texts")
    texts: dict[str, str] = Field(
        {}, description='Texts of your own, such as { welcome = "Hello! {title} costs {price} a {cycle}." }; docs/billing.md names them'
    )

    @field_validator("keyword")
    @classmethod
    def _keyword_is_free(cls, keyword: str) -> str:
        word = orders.word(keyword)
        taken = {orders.word(each) for each in (*orders.YES, orders.ALL)}
        if keyword and (not word or word in taken or keywords.classify(word, in_thread=False) is not None):
            raise ValueError("means something else already; take another word")
        return keyword

    @field_validator("texts")
    @classmethod
    def _texts_can_be_used(cls, texts: dict[str, str]) -> dict[str, str]:
        for kind, template in texts.items():
            if kind not in offer_texts.KINDS:
                raise ValueError(f"there is no text {kind!r}; known are: {', '.join(offer_texts.KINDS)}")
            fault = offer_texts.fault_of(template)
            if fault is not None and (template or kind not in offer_texts.SILENCEABLE):
                raise ValueError(f"{kind}: {fault}")
        return texts


def check(offers: Sequence[Offer], services: Collection[str], codes: Collection[str], *, has_free_service: bool) -> None:
    """Raise ValueError for offers that do not fit the rest of the file."""
    names: set[str] = set()
    words: set[tuple[str, str]] = set()
    for offer in offers:
        place = f"offers.{offer.name}"
        if offer.name in names:
            raise ValueError(f"{place}: there are two offers of this name")
        names.add(offer.name)
        if offer.service not in services:
            raise ValueError(f"{place}.service: there is no service {offer.service!r}")
        if offer.short_code not in codes:
            raise ValueError(f"{place}.short_code: there is no short code {offer.short_code!r}")
        if offer.pays == "wallet" and (offer.keyword or offer.charge_on == "delivery"):
            raise ValueError(f"{place}: a wallet pays when it is due, for an account and not for a phone: leave keyword and charge_on out")
        if offer.keyword and not has_free_service:
            raise ValueError(f"{place}.keyword: answers to phones need a service with price = 0")
        said = [orders.word(offer.keyword), *(orders.word(stop + offer.keyword) for stop in offer.stop_keywords)] if offer.keyword else []
        for each in said:
            if (offer.short_code, each) in words:
                raise ValueError(f"{place}: {each!r} is said for another offer of {offer.short_code}")
            words.add((offer.short_code, each))
