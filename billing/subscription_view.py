"""A subscription as people and programs read it: names for numbers, money with its currency, times on the carrier's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from sqlalchemy import Connection

from billing import calendar, subscriptions, view
from billing.cycles import CycleState
from billing.subscription import HOUR_US, Status
from billing.subscriptions import Offer, Subscription


def shown(subscriber: str) -> str:
    """Who has it: +DIGITS, or im:NUMBER."""
    kind, _, number = subscriber.partition(":")
    return f"+{number}" if kind == "msisdn" else subscriber


def status_name(row: Subscription) -> str:
    """Where it stands, in a word."""
    return row.life.status.name.lower()


def line(row: Subscription, zone: tzinfo) -> str:
    """One line for people."""
    life = row.life
    price = f"{view.money(row.price_minor, row.currency)} a cycle"
    end = f", {view.time(life.cancelled_at, zone)} by {life.cancelled_via}" if life.cancelled_at is not None else ""
    is_next = _charges(row) and not life.charging
    following = f", next charge {view.time(life.charge_at, zone)}" if is_next else ""
    return f"{row.id}  {row.offer}  {shown(row.subscriber)}  {status_name(row)}  {price}{following}{end}"


def fields(row: Subscription, zone: tzinfo) -> dict[str, Any]:
    """Every fact; ids are strings, because readers of JSON keep numbers in doubles."""
    life = row.life
    begun = life.status is not Status.PENDING_CONFIRM and life.subscribed_at
    return {
        "id": str(row.id),
        "offer": row.offer,
        "subscriber": shown(row.subscriber),
        "short_code": row.short_code,
        "link": row.link,
        "status": status_name(row),
        "amount_minor": row.price_minor,
        "currency": row.currency,
        "ordered_at": view.time(life.ordered_at, zone),
        "confirmations": life.confirmations,
        "subscribed_at": view.time(life.subscribed_at, zone) if begun else None,
        "trial_until": view.time(life.trial_until, zone) if begun else None,
        "last_cycle_paid": calendar.write(life.charged) if life.charged else None,
        "next_cycle": calendar.write(life.cycle) if _charges(row) else None,
        "next_charge_at": view.time(life.charge_at, zone) if _charges(row) else None,
        "cancelled_at": view.time(life.cancelled_at, zone),
        "cancelled_via": life.cancelled_via or None,
    }


def _charges(row: Subscription) -> bool:
    """Whether a cycle will be charged as things are."""
    return bool(row.life.cycle) and row.life.is_live and not row.life.is_stopped


def history_fields(conn: Connection, row: Subscription, zone: tzinfo) -> dict[str, list[dict[str, Any]]]:
    """The evidence of its order, and each cycle that was charged or failed."""
    names = ("number", "step", "channel", "reference", "said")
    kept = subscriptions.evidence_of(conn, row.id)
    evidence = [{**{name: each[name] for name in names}, "at": view.time(each["at"], zone)} for each in kept]
    return {"evidence": evidence, "cycles": [cycle_fields(each, zone) for each in subscriptions.cycles_of(conn, row.id)]}


def cycle_fields(row: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    """Every fact of a cycle."""
    return {
        "cycle": calendar.write(row["cycle"]),
        "state": CycleState(row["state"]).name.lower(),
        "charge": None if row["charge"] is None else str(row["charge"]),
        "code": row["code"],
        "due_at": view.time(row["event_at"], zone),
        "answered_at": view.time(row["answered_at"], zone),
    }


def offer_fields(offer: Offer, keyword: str) -> dict[str, Any]:
    """Every fact of an offer."""
    rules = offer.rules
    return {
        "name": offer.name,
        "title": offer.title,
        "service": offer.service,
        "short_code": offer.short_code,
        "keyword": keyword or None,
        "amount_minor": offer.price_minor,
        "currency": offer.currency,
        "cycle": "month" if rules.is_monthly else "day",
        "pays": "wallet" if offer.pays_from_wallet else "carrier",
        "charge_on": "delivery" if offer.on_delivery else "due",
        "provider": offer.provider,
        "trial_days": rules.trial_days,
        "confirmations_required": rules.confirmations_required,
        "first_charge_after_hours": rules.first_charge_after_us // HOUR_US,
        "failed_cycles_max": rules.failed_cycles_max,
    }
