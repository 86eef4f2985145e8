"""The tables of subscriptions: who has which, the evidence that he wanted it, and each cycle that was asked for."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, SmallInteger, String, Table, text

from billing.schema import Id, metadata

_ZERO = text("0")

subscription = Table(
    "subscription",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("offer", String(32), nullable=False),
    Column("subscriber", String(32), nullable=False, comment="msisdn:DIGITS, whose carrier collects, or im:NUMBER, whose wallet pays"),
    Column("short_code", String(21), nullable=False),
    Column("link", String(32), comment="by which the order came: whose clock and books"),
    Column("price_minor", BigInteger, nullable=False, comment="of a cycle, as it was when ordered"),
    Column("currency", String(8), nullable=False),
    Column("version", Integer, nullable=False, server_default=_ZERO, comment="grows with each step"),
    Column("status", SmallInteger, nullable=False, comment="0 pending confirmation, 1 trial, 2 active, 3 suspended, 10 cancelled"),
    Column("ordered_at", BigInteger, nullable=False),
    Column("confirmations", SmallInteger, nullable=False, server_default=_ZERO),
    Column("subscribed_at", BigInteger, nullable=False, server_default=_ZERO, comment="of the last confirmation"),
    Column("trial_until", BigInteger, nullable=False, server_default=_ZERO),
    Column("cycle", Integer, nullable=False, server_default=_ZERO, comment="the next to be charged, as YYYYMM00 or YYYYMMDD"),
    Column("charge_at", BigInteger, nullable=False, server_default=_ZERO),
    Column("charging", Integer, nullable=False, server_default=_ZERO, comment="the cycle asked for and not answered"),
    Column("charged", Integer, nullable=False, server_default=_ZERO, comment="the last cycle paid"),
    Column("failed_from", Integer, nullable=False, server_default=_ZERO, comment="the run of failed cycles"),
    Column("failed_to", Integer, nullable=False, server_default=_ZERO),
    Column("reminded", Integer, nullable=False, server_default=_ZERO),
    Column("due_at", BigInteger, comment="when time alone brings about the next step"),
    Column("cancelled_at", BigInteger),
    Column("cancelled_via", String(32), nullable=False, server_default=text("''")),
    CheckConstraint("(status = 10) = (cancelled_at IS NOT NULL)", name="subscription_ended_has_its_time"),
)
# One of an offer at a time: whoever orders what he has is told so.
Index(
    "subscription_live",
    subscription.c.subscriber,
    subscription.c.offer,
    unique=True,
    sqlite_where=subscription.c.status != text("10"),
    postgresql_where=subscription.c.status != text("10"),
)
Index("subscription_subscriber", subscription.c.subscriber, subscription.c.id)
Index(
    "subscription_due",
    subscription.c.due_at,
    subscription.c.id,
    sqlite_where=subscription.c.due_at.is_not(None),
    postgresql_where=subscription.c.due_at.is_not(None),
)

subscription_evidence = Table(
    "subscription_evidence",
    metadata,
    Column("subscription", BigInteger, nullable=False),
    Column("number", Integer, nullable=False, comment="1 to n"),
    Column("step", String(16), nullable=False, comment="order, confirm, cancel, resume"),
    Column("channel", String(16), nullable=False, comment="mo or staff"),
    Column("reference", String(64), nullable=False, comment="the MO's id, or who did it"),
    Column("said", String(160), nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("subscription", "number"),
)

subscription_cycle = Table(
    "subscription_cycle",
    metadata,
    Column("subscription", BigInteger, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("charge", BigInteger, comment="its charge; none where a wallet could not pay"),
    Column("state", SmallInteger, nullable=False, comment="0 asked for, 10 paid, 11 failed, 12 unanswered"),
    Column("code", String(32), comment="why it failed"),
    Column("event_at", BigInteger, nullable=False, comment="when it fell due"),
    Column("asked_at", BigInteger, nullable=False),
    Column("answered_at", BigInteger),
    PrimaryKeyConstraint("subscription", "cycle"),
)
Index("subscription_cycle_charge", subscription_cycle.c.charge, unique=True)
Index(
    "subscription_cycle_asked",
    subscription_cycle.c.subscription,
    subscription_cycle.c.cycle,
    sqlite_where=subscription_cycle.c.state == text("0"),
    postgresql_where=subscription_cycle.c.state == text("0"),
)
