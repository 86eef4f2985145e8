"""The charge of one cycle of a subscription, collected at once: on the carrier's bill, or from the wallet of a messenger account."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from sqlalchemy import Connection, update

from billing import book
from billing.booking import Booking
from billing.event import ChargeState, Direction, FeeClass, Payer, RecordType, TransferState
from billing.schema import account, charge, transfer
from billing.schema_subscription import subscription_cycle
from billing.subscription import Charge

NO_CREDIT = "no_credit"
NO_WALLET = "no_wallet"
TARIFF_VERSION = "offer"


class CycleState(IntEnum):
    """Where a cycle stands; from 10 on it was answered."""

    ASKED = 0
    PAID = 10
    FAILED = 11
    UNANSWERED = 12


class Terms(NamedTuple):
    """Who pays what for a cycle."""

    subscription: int
    subscriber: str  # msisdn:DIGITS or im:NUMBER
    service: str
    short_code: str
    link: str | None
    price_minor: int
    currency: str
    offer: str
    provider: str | None


def collect(conn: Connection, terms: Terms, asked: Charge, charge_id: int, *, into: Booking, now_us: int) -> str | None:
    """Write the charge, and take its price from the wallet where one pays; why it could not be, with nothing written."""
    kind, _, number = terms.subscriber.partition(":")
    wallet: int | None = None
    if kind == "im":
        wallet = book.find_account(conn, terms.subscriber, terms.currency)
        if wallet is None:
            return NO_WALLET
        if terms.price_minor and not _pay(conn, terms, wallet, charge_id, now_us):
            return NO_CREDIT
    place = into.place_many(conn, [(terms.link, asked.event_at)], now_us)[0]
    row = {
        "id": charge_id,
        "event_id": charge_id,
        "record_type": int(RecordType.CHARGE),
        "state": int(ChargeState.CAPTURED if terms.price_minor else ChargeState.ZERO_RATED),
        "direction": int(Direction.MT),
        "event_at": asked.event_at,
        "booked_at": now_us,
        "journal_seq": charge_id,
        "service": terms.service,
        "fee_class": int(FeeClass.MONTHLY),
        "payer": int(Payer.DEST if wallet is None else Payer.SOURCE),
        "wallet": wallet,
        "link": terms.link,
        "short_code": terms.short_code,
        "charged_msisdn": number if kind == "msisdn" else None,
        "im_account": int(number) if kind == "im" else None,
        "parts": 0,
        "parts_charged": 0,
        "quantity": 1,
        "unit_price_minor": terms.price_minor,
        "amount_minor": terms.price_minor,
        "currency": terms.currency,
        "tariff_version": TARIFF_VERSION,
        "tariff_rule": f"offer:{terms.offer}",
        "carrier": place.carrier,
        "period": place.period,
        "late": place.late,
        "provider": terms.provider,
        "subscription": terms.subscription,
        "cycle": asked.cycle,
    }
    conn.execute(charge.insert(), row)
    return None


def record(
    conn: Connection, subscription: int, asked: Charge, charge_id: int | None, state: CycleState, now_us: int, code: str | None = None
) -> None:
    """Write that a cycle was asked for; the primary key refuses a second time."""
    row = {
        "subscription": subscription,
        "cycle": asked.cycle,
        "charge": charge_id,
        "state": int(state),
        "code": code,
        "event_at": asked.event_at,
        "asked_at": now_us,
        "answered_at": None if state is CycleState.ASKED else now_us,
    }
    conn.execute(subscription_cycle.insert(), row)


def _pay(conn: Connection, terms: Terms, wallet: int, charge_id: int, now_us: int) -> bool:
    price = terms.price_minor
    free = account.c.posted_minor - account.c.held_minor + account.c.limit_minor
    can_pay = (account.c.id == wallet) & account.c.is_wallet & (free >= price)
    if conn.execute(update(account).where(can_pay).values(posted_minor=account.c.posted_minor - price)).rowcount != 1:
        return False
    row = {
        "id": charge_id,
        "debit_account": wallet,
        "credit_account": book.revenue_of(conn, terms.currency),
        "amount_minor": price,
        "posted_minor": price,
        "currency": terms.currency,
        "state": int(TransferState.POSTED),
        "created_at": now_us,
        "settled_at": now_us,
    }
    conn.execute(transfer.insert(), row)
    return True
