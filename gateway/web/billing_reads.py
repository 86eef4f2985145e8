"""What the billing staff can look at over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, tzinfo
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from billing import audit, calendar, view, why
from billing.booking import Booking
from billing.errors import PeriodError
from billing.why import Charged, Window
from gateway.domain.address import AddressError, msisdn
from gateway.domain.failure import Refused
from gateway.domain.ids import ID_MAX, id_floor
from gateway.domain.message import Front
from gateway.store import consistency, evidence
from gateway.store.staff import Scope
from gateway.web.billing_door import Asked, BillingOperation, Call, Desk

_PARTIES = ("partner:", "im:", "sponsor:")


class ChargesAsked(Asked):
    """Whose charges, of which days; the newest first."""

    msisdn: str = Field("", max_length=32, description="Phone number; give this or a party")
    party: str = Field("", max_length=64, description="im:NUMBER, partner:NAME or sponsor:NAME")
    since: str = Field("", max_length=10, description="First day, such as 2026-11-01, on the clock of billing.time_zone")
    until: str = Field("", max_length=10, description="First day that is not wanted any more")
    before: int = Field(ID_MAX, ge=1, description="Only charges with a smaller id: the last one of the page before")
    limit: int = Field(50, ge=1, le=why.ROWS_MAX, description="Most charges answered")


class AuditAsked(Asked):
    """Which acts."""

    after: int = Field(0, ge=0, description="Only acts with a greater number: the last one of the page before")
    limit: int = Field(100, ge=1, le=1000, description="Most acts answered")
    subject: str = Field("", max_length=96)
    actor: str = Field("", max_length=64)


async def charges(desk: Desk, call: Call) -> dict[str, Any]:
    """Everything a number or a party was charged, and why."""
    asked: ChargesAsked = call.asked
    if bool(asked.msisdn) == bool(asked.party):
        raise Refused("bad_field", "give msisdn or party", field="msisdn")
    window = _window(desk.books, asked)
    if asked.party:
        if not asked.party.startswith(_PARTIES):
            raise Refused("bad_field", "a party is im:NUMBER, partner:NAME or sponsor:NAME", field="party")
        return await desk.reader.read(_charges_of_party, asked.party, window, desk.books)
    try:
        number = msisdn(asked.msisdn).digits_or_name
    except AddressError as error:
        raise Refused("bad_field", error.reason, field="msisdn") from None
    return await desk.reader.read(_charges_of_number, number, window, desk.books)


async def charge(desk: Desk, call: Call) -> dict[str, Any]:
    """One charge with its proof."""
    typed = call.where["id"]
    is_id = typed.isascii() and typed.isdigit() and 0 < int(typed[:20]) <= ID_MAX
    found = await desk.reader.read(_charge, int(typed), desk.books) if is_id else None
    if found is None:
        raise Refused("not_found", "there is no such charge", field="id")
    return found


async def check(desk: Desk, _call: Call) -> dict[str, Any]:
    """Every invariant of the books, tried now."""
    broken = await desk.reader.read(consistency.check, desk.books.carriers)
    return {
        "clean": not broken,
        "violations": [{"invariant": each.invariant, "count": each.count, "detail": each.detail} for each in broken],
    }


async def acts(desk: Desk, call: Call) -> dict[str, Any]:
    """What people did to the books."""
    asked: AuditAsked = call.asked
    return await desk.reader.read(_acts, asked)


def _acts(conn: Connection, asked: AuditAsked) -> dict[str, Any]:
    found = audit.entries(conn, after=asked.after, subject=asked.subject, actor=asked.actor, rows_max=asked.limit)
    return {"acts": [{**each._asdict(), "at": view.time(each.at, UTC), "detail": json.loads(each.detail)} for each in found]}


def _window(books: Booking, asked: ChargesAsked) -> Window:
    zone = books.carriers.default.zone
    bounds = []
    for field, typed in (("since", asked.since), ("until", asked.until)):
        try:
            bounds.append(min(id_floor(calendar.span_of(calendar.parse(typed), zone).from_us), ID_MAX) if typed else 0)
        except PeriodError as error:
            raise Refused("bad_field", str(error), field=field) from None
    least, until = bounds
    return Window(least, min(asked.before, until) if until else asked.before, asked.limit)


def _charges_of_number(conn: Connection, number: str, window: Window, books: Booking) -> dict[str, Any]:
    return {"charges": [_fields(conn, each, books) for each in why.of_number(conn, number, window)]}


def _charges_of_party(conn: Connection, party: str, window: Window, books: Booking) -> dict[str, Any]:
    return {"charges": [_fields(conn, each, books) for each in why.of_party(conn, party, window)]}


def _charge(conn: Connection, charge_id: int, books: Booking) -> dict[str, Any] | None:
    found = why.of_charge(conn, charge_id)
    return None if found is None else _fields(conn, found, books)


def _fields(conn: Connection, charged: Charged, books: Booking) -> dict[str, Any]:
    return answer_of(charged, evidence.of_charge(conn, charged.charge), zone_of(charged, books))


def zone_of(charged: Charged, books: Booking) -> tzinfo:
    """The clock of the books a charge is in."""
    carrier = books.carriers.named(charged.charge["carrier"] or "")
    return (carrier or books.carriers.default).zone


def answer_of(charged: Charged, found: evidence.Evidence, zone: tzinfo) -> dict[str, Any]:
    """A charge with its corrections and its proof, as JSON; the words of a message are never in it."""
    order = found.order
    return {
        **view.fields(charged.charge, zone),
        "trace": None if charged.charge["trace"] is None else json.loads(charged.charge["trace"]),
        "paid_minor": charged.paid_minor,
        "corrections": [view.fields(each, zone) for each in charged.corrections],
        "evidence": {
            "front": None if found.front is None else Front(found.front).name.lower(),
            "reference": found.reference,
            "parts": [
                {**part._asdict(), "submitted_at": view.time(part.submitted_at, zone), "done_at": view.time(part.done_at, zone)}
                for part in found.parts
            ],
            "receipts": [{**each._asdict(), "at": view.time(each.at, zone)} for each in found.receipts],
            "order": None if order is None else {**order._asdict(), "mo_id": str(order.mo_id), "at": view.time(order.at, zone)},
        },
    }


READS = (
    BillingOperation(
        "GET",
        "/charges",
        "get_billing_charges",
        "Everything a number or a party was charged, and why; the newest first",
        Scope.READ,
        charges,
        ChargesAsked,
    ),
    BillingOperation("GET", "/charges/{id}", "get_billing_charge", "One charge with its corrections and its proof", Scope.READ, charge),
    BillingOperation("GET", "/check", "get_billing_check", "Every invariant of the books, tried now", Scope.READ, check),
    BillingOperation("GET", "/audit", "get_billing_audit", "What people did to the books", Scope.READ, acts, AuditAsked),
)
