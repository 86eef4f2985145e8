"""What would become of a submission: encoding, short messages, price and route, with nothing written, held or counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.domain.routing import Choice
from gateway.services.catalogue import Catalogue, Service
from gateway.services.parts import ENCODING_NAMES, ENCODING_UCS2, UDHI, Parting, Parts
from gateway.services.submit import Submission
from gateway.sms import gsm7, national, typography, udh
from gateway.sms.coding import ALPHABETS, message_class
from gateway.sms.content import decode
from gateway.sms.profile import PLAIN, TextProfile, is_carried
from gateway.sms.segments import OCTETS_MAX
from gateway.sms.typography import Replacement

FORCING_MAX = 100
SEPTET, UNIT, OCTET = "septet", "utf16_unit", "octet"


class ShortMessage(NamedTuple):
    """One of the short messages a phone gets: how many units of its encoding it holds, and how many more would fit."""

    used: int
    left: int


class Forcing(NamedTuple):
    """A character that GSM 7-bit does not have, and what might be written instead."""

    position: int
    char: str
    suggestion: str | None


class Replacing(NamedTuple):
    """What replacing typographic characters does, or would do."""

    is_applied: bool
    changes: list[Replacement]
    encoding: str
    segments: int


class Preview(NamedTuple):
    """The whole answer; `forcing` is cut at FORCING_MAX, `forcing_count` is not."""

    encoding: str
    unit: str
    tables: str  # national tables, in words
    data_coding: int
    message_class: int | None
    segments: list[ShortMessage]
    forcing: list[Forcing]
    forcing_count: int
    replacing: Replacing | None
    price_minor: int
    currency: str
    route: Choice


class Previewing:
    """Makes previews, with references of its own."""

    def __init__(self, catalogue: Catalogue, service_of: Callable[[str], Service], now_us: Callable[[], int]) -> None:
        self._profiles = catalogue.profiles
        self._parting = Parting(catalogue)
        self._alphabet = catalogue.alphabet
        self._rating = catalogue.rating
        self._service_of = service_of
        self._now_us = now_us

    def preview(self, submission: Submission, route: Choice) -> Preview:
        """The preview of a submission that would take this route; raises Refused as accepting it would."""
        link = route.link
        service = self._service_of(submission.service)
        parts = self._parting.parts(submission, service, link, is_kept=False)
        elements, _ = _header_of(parts)
        text = submission.text if submission.text is not None else self._text_of(submission)
        forcing = _forcing(text, self._profiles.get(link, PLAIN)) if text is not None and parts.encoding == ENCODING_UCS2 else []
        price, currency = self._price(submission, service, link, parts.short_messages)
        unit = _unit_of(parts)
        return Preview(
            ENCODING_NAMES[parts.encoding],
            unit,
            national.describe(national.shift_of(elements)),
            parts.data_coding,
            message_class(parts.data_coding),
            [_short_message(body, parts, unit) for body in parts.bodies],
            forcing[:FORCING_MAX],
            len(forcing),
            self._replacing(submission, service, link, text) if text is not None else None,
            price,
            currency,
            route,
        )

    def _price(self, submission: Submission, service: Service, link: str, short_messages: int) -> tuple[int, str]:
        """What would be held at most, and its currency."""
        number = submission.destination.digits_or_name
        priced = self._rating.quote(service.name, link, number, short_messages, self._now_us()) if self._rating.is_used else None
        if priced is not None:
            return priced.amount_minor, priced.currency
        return service.unit_price_minor * (short_messages if service.is_per_part else 1), service.currency

    def _text_of(self, submission: Submission) -> str | None:
        return decode(submission.data_coding, bool(submission.esm_class & UDHI), submission.body, default=self._alphabet).text

    def _replacing(self, submission: Submission, service: Service, link: str, text: str) -> Replacing | None:
        if submission.esm_class & UDHI or typography.replaced(text) is None:
            return None
        allowed = submission.replace_typographic
        is_applied = service.replaces_typographic if allowed is None else allowed
        parts = self._parting.parts(submission._replace(replace_typographic=True), service, link, is_kept=False)
        return Replacing(is_applied, typography.replacements(text), ENCODING_NAMES[parts.encoding], parts.short_messages)


def _header_of(parts: Parts) -> tuple[udh.Elements, int]:
    return udh.parse(parts.bodies[0]) if parts.esm_class & UDHI else ((), 0)


def _unit_of(parts: Parts) -> str:
    alphabet = ALPHABETS[parts.data_coding]
    return {"default": SEPTET, "ucs2": UNIT}.get(alphabet, OCTET)


def _short_message(body: bytes, parts: Parts, unit: str) -> ShortMessage:
    header = 1 + body[0] if parts.esm_class & UDHI else 0
    used, room = len(body) - header, OCTETS_MAX - header
    if unit == SEPTET:
        room = room * 8 // 7
    elif unit == UNIT:
        used, room = -(-used // 2), room // 2
    return ShortMessage(used, max(0, room - used))


def _forcing(text: str, profile: TextProfile) -> list[Forcing]:
    """The characters without which the default alphabet would do."""
    misfits = {char for char in set(text) if not gsm7.is_encodable(char) or not is_carried(char, profile.alphabet)}
    return [Forcing(position, char, typography.suggestion(char)) for position, char in enumerate(text) if char in misfits]
