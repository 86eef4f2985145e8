"""Subscriptions in SQL: every step is taken once, and a cycle's charge stands or falls with the step that asked for it.

Every function runs inside the caller's write transaction and commits nothing. A row's `version` is what makes a step happen once: who
saw an older one has his transaction refused. The primary key of `subscription_cycle` says the same a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select, update

from billing import book, corrections, subscription
from billing.booking import Booking
from billing.cycles import CycleState, Terms, collect, record
from billing.errors import LedgerBrokenError, ReferenceReusedError, SubscriptionError
from billing.event import ChargeState, RecordType
from billing.schema import charge
from billing.schema_subscription import subscription as rows
from billing.schema_subscription import subscription_cycle as cycles
from billing.schema_subscription import subscription_evidence as evidence_rows
from billing.subscription import Charge, Event, Life, Rules, Send, Status, Step, Text

_SAID_CHARS_MAX = 160


class Offer(NamedTuple):
    """What can be subscribed to."""

    name: str
    title: str
    service: str
    short_code: str
    price_minor: int
    currency: str
    rules: Rules = Rules()
    pays_from_wallet: bool = False
    on_delivery: bool = False  # charged by a billing message, once that is delivered
    provider: str | None = None


class Evidence(NamedTuple):
    """That somebody wanted it: by which channel, under which reference, in which words."""

    channel: str
    reference: str
    said: str
    at: int


class Subscription(NamedTuple):
    """One row."""

    id: int
    offer: str
    subscriber: str
    short_code: str
    link: str | None
    price_minor: int
    currency: str
    version: int
    life: Life

    @property
    def msisdn(self) -> str | None:
        """The digits of its phone, if a phone has it."""
        kind, _, number = self.subscriber.partition(":")
        return number if kind == "msisdn" else None


class Taken(NamedTuple):
    """What a step led to: texts for the subscriber, and a cycle whose billing message the caller has to send in this transaction."""

    subscription: Subscription
    texts: tuple[Text, ...] = ()
    to_bill: Charge | None = None


class Ordered(NamedTuple):
    """An order; not new where the subscriber has the offer already."""

    taken: Taken
    is_new: bool


class Asked(NamedTuple):
    """A cycle whose billing message came to its end."""

    subscription: int
    cycle: int
    state: ChargeState
    code: str | None


class Subscriptions:
    """The steps of subscriptions to these offers."""

    def __init__(self, offers: Mapping[str, Offer], *, into: Booking) -> None:
        self.offers = offers
        self._into = into

    def order(self, conn: Connection, id_: int, offer: Offer, subscriber: str, link: str | None, evidence: Evidence) -> Ordered:
        """Begin a subscription, or find the one the subscriber has."""
        known = live_of(conn, subscriber, offer.name)
        if known is not None:
            return Ordered(Taken(known), False)
        begun = subscription.order(evidence.at, self.rules(offer, link))
        row = Subscription(id_, offer.name, subscriber, offer.short_code, link, offer.price_minor, offer.currency, 0, begun.life)
        conn.execute(rows.insert(), _row(row))
        self._keep(conn, row.id, "order", evidence)
        return Ordered(Taken(row, _texts(begun)), True)

    def take(
        self,
        conn: Connection,
        id_: int,
        event: Event,
        evidence: Evidence | None = None,
        *,
        charge_id: int | None = None,
        seen: int | None = None,
    ) -> Taken:
        """Take one step; what it asks for from a wallet or a carrier's bill is collected at once.

        `charge_id` is for a Tick, should it collect.
        `seen`: the version the caller decided by; at another one nothing is done. Raises SubscriptionError for an unknown one.
        """
        row = locked(conn, id_)
        offer = self.offers.get(row.offer)
        if offer is None and not isinstance(event, subscription.Cancel):
            return Taken(row)  # no longer offered: it rests until it is again, or ends
        if offer is None and isinstance(event, subscription.Cancel):
            event = event._replace(is_told_later=False)  # what it was called is not known any more
        if seen is not None and row.version != seen:
            return Taken(row)
        rules = Rules() if offer is None else self.rules(offer, row.link)
        taken = subscription.step(row.life, event, rules)
        if taken.life == row.life:
            return Taken(row)
        if evidence is not None:
            self._keep(conn, id_, type(event).__name__.lower(), evidence)
        texts = _texts(taken)
        to_bill = next((each for each in taken.effects if isinstance(each, Charge)), None)
        life = taken.life
        if to_bill is not None:
            assert offer is not None
            if not offer.on_delivery:
                assert charge_id is not None
                answered = self._collect(conn, row, offer, to_bill, charge_id, event.at)
                after = subscription.step(life, answered, rules)
                life, texts, to_bill = after.life, (*texts, *_texts(after)), None
        return Taken(_write(conn, row, life), texts, to_bill)

    def billed(self, conn: Connection, row: Subscription, asked: Charge, charge_id: int, now_us: int) -> None:
        """The billing message of a cycle was accepted, with a charge of its own that is held now: the cycle's."""
        record(conn, row.id, asked, charge_id, CycleState.ASKED, now_us)
        offer = self.offers.get(row.offer)
        provider = None if offer is None else offer.provider
        changed = update(charge).where(charge.c.id == charge_id, charge.c.state == int(ChargeState.HELD))
        if conn.execute(changed.values(subscription=row.id, cycle=asked.cycle, provider=provider)).rowcount != 1:
            raise LedgerBrokenError("a billing message has no charge")

    def unbillable(self, conn: Connection, row: Subscription, asked: Charge, code: str, now_us: int) -> Taken:
        """The billing message of a cycle was refused before it left."""
        record(conn, row.id, asked, None, CycleState.FAILED, now_us, code)
        return self.take(conn, row.id, subscription.Failed(now_us, asked.cycle, code))

    def answered(self, conn: Connection, asked: Asked, now_us: int) -> Taken:
        """The billing message of a cycle came to its end; only the codes of its offer say that the carrier could not collect."""
        row = locked(conn, asked.subscription)
        offer = self.offers.get(row.offer)
        if offer is None:
            return Taken(row)
        event: Event
        if asked.state is ChargeState.CAPTURED:
            state, event = CycleState.PAID, subscription.Charged(now_us, asked.cycle)
        elif asked.code is not None and asked.code in offer.rules.unpaid_codes | offer.rules.gone_codes:
            state, event = CycleState.FAILED, subscription.Failed(now_us, asked.cycle, asked.code)
        else:
            state, event = CycleState.UNANSWERED, subscription.Unanswered(now_us, asked.cycle)
        is_open = (cycles.c.subscription == row.id) & (cycles.c.cycle == asked.cycle) & (cycles.c.state == int(CycleState.ASKED))
        values = {"state": int(state), "code": asked.code if state is CycleState.FAILED else None, "answered_at": now_us}
        if conn.execute(update(cycles).where(is_open).values(values)).rowcount != 1:
            return Taken(row)
        return self.take(conn, row.id, event)

    def refused_later(self, conn: Connection, id_: int, cycle: int, code: str, *, correction_id: int, now_us: int) -> Taken:
        """The carrier tells, after the fact, that it could not collect a cycle: its charge is reversed, once.

        The same again changes nothing; raises ReferenceReusedError for another code, SubscriptionError for a cycle never charged.
        """
        row = locked(conn, id_)
        known = conn.execute(select(cycles).where(cycles.c.subscription == id_, cycles.c.cycle == cycle)).first()
        if known is not None and known.state == int(CycleState.FAILED):
            if known.code != code:
                raise ReferenceReusedError(f"this cycle failed already, with code {known.code}")
            return Taken(row)
        if known is None or known.state != int(CycleState.PAID):
            raise SubscriptionError("this cycle was not charged")
        amount = conn.execute(select(charge.c.amount_minor).where(charge.c.id == known.charge)).scalar_one()
        made = sum(each["amount_minor"] for each in corrections.of_charge(conn, known.charge) if each["record_type"] != RecordType.GOODWILL)
        left = int(amount) + int(made)
        if left > 0:
            cause, reason = f"subrefused:{id_}:{cycle}", f"carrier:{code}"[:64]
            reversal = corrections.Correction(
                correction_id, int(known.charge), RecordType.REVERSAL, -left, cause, reason, book.revenue_of(conn, row.currency)
            )
            corrections.post(conn, reversal, into=self._into, now_us=now_us)
        changed = {"state": int(CycleState.FAILED), "code": code, "answered_at": now_us}
        conn.execute(update(cycles).where(cycles.c.subscription == id_, cycles.c.cycle == cycle).values(changed))
        return self.take(conn, id_, subscription.Failed(now_us, cycle, code))

    def rules(self, offer: Offer, link: str | None) -> Rules:
        """An offer's rules on the clock of the carrier its subscriber came by."""
        return offer.rules._replace(zone=self._into.carriers.of_link(link).zone)

    def _collect(self, conn: Connection, row: Subscription, offer: Offer, asked: Charge, charge_id: int, now_us: int) -> Event:
        terms = Terms(
            row.id, row.subscriber, offer.service, row.short_code, row.link, row.price_minor, row.currency, offer.name, offer.provider
        )
        code = collect(conn, terms, asked, charge_id, into=self._into, now_us=now_us)
        if code is not None:
            record(conn, row.id, asked, None, CycleState.FAILED, now_us, code)
            return subscription.Failed(now_us, asked.cycle, code)
        record(conn, row.id, asked, charge_id, CycleState.PAID, now_us)
        return subscription.Charged(now_us, asked.cycle)

    def _keep(self, conn: Connection, id_: int, step: str, evidence: Evidence) -> None:
        count = conn.execute(select(func.count()).select_from(evidence_rows).where(evidence_rows.c.subscription == id_)).scalar_one()
        row = {"subscription": id_, "number": count + 1, "step": step, **evidence._asdict()}
        conn.execute(evidence_rows.insert(), row | {"said": evidence.said[:_SAID_CHARS_MAX]})


def locked(conn: Connection, id_: int) -> Subscription:
    """A subscription nobody else changes before this transaction is over; raises SubscriptionError."""
    return _one(conn, select(rows).where(rows.c.id == id_).with_for_update(), id_)


def found(conn: Connection, id_: int) -> Subscription:
    """A subscription to look at; raises SubscriptionError."""
    return _one(conn, select(rows).where(rows.c.id == id_), id_)


def live_of(conn: Connection, subscriber: str, offer: str) -> Subscription | None:
    """The subscription to an offer that a subscriber has, if it is not over."""
    query = select(rows).where(rows.c.subscriber == subscriber, rows.c.offer == offer, rows.c.status != int(Status.CANCELLED))
    found = conn.execute(query).mappings().one_or_none()
    return None if found is None else _read(found)


def of_subscriber(conn: Connection, subscriber: str, short_code: str = "", *, live_only: bool = True) -> list[Subscription]:
    """What a subscriber has, oldest first; under one short code where one is given."""
    query = select(rows).where(rows.c.subscriber == subscriber)
    if short_code:
        query = query.where(rows.c.short_code == short_code)
    if live_only:
        query = query.where(rows.c.status != int(Status.CANCELLED))
    return [_read(each) for each in conn.execute(query.order_by(rows.c.id)).mappings()]


def page(
    conn: Connection, *, after: int = 0, status: Status | None = None, offer: str = "", subscriber: str = "", rows_max: int = 100
) -> list[Subscription]:
    """A page of subscriptions by id: of all, or of one subscriber."""
    query = select(rows).where(rows.c.id > after)
    if subscriber:
        query = query.where(rows.c.subscriber == subscriber)
    if status is not None:
        query = query.where(rows.c.status == int(status))
    if offer:
        query = query.where(rows.c.offer == offer)
    return [_read(each) for each in conn.execute(query.order_by(rows.c.id).limit(rows_max)).mappings()]


def due(conn: Connection, now_us: int, after: tuple[int, int] = (0, 0), rows_max: int = 500) -> list[Subscription]:
    """A page of those that time alone brings on, by (due_at, id)."""
    at, id_ = after
    is_after = (rows.c.due_at > at) | ((rows.c.due_at == at) & (rows.c.id > id_))
    query = select(rows).where(rows.c.due_at <= now_us, is_after).order_by(rows.c.due_at, rows.c.id).limit(rows_max)
    return [_read(each) for each in conn.execute(query).mappings()]


def ended_billing(conn: Connection, after: tuple[int, int] = (0, 0), rows_max: int = 500) -> list[Asked]:
    """A page of cycles whose billing message is at its end, and was not heard yet."""
    columns = (cycles.c.subscription, cycles.c.cycle, charge.c.state, charge.c.network_error)
    id_, cycle = after
    is_after = (cycles.c.subscription > id_) | ((cycles.c.subscription == id_) & (cycles.c.cycle > cycle))
    query = select(*columns).join(charge, charge.c.id == cycles.c.charge)
    query = query.where(cycles.c.state == 0, charge.c.state != int(ChargeState.HELD), is_after)
    found = conn.execute(query.order_by(cycles.c.subscription, cycles.c.cycle).limit(rows_max))
    return [Asked(row[0], row[1], ChargeState(row[2]), row[3]) for row in found]


def evidence_of(conn: Connection, id_: int) -> list[Mapping[str, Any]]:
    """All the evidence of one subscription, in order."""
    query = select(evidence_rows).where(evidence_rows.c.subscription == id_).order_by(evidence_rows.c.number)
    return [dict(each) for each in conn.execute(query).mappings()]


def cycles_of(conn: Connection, id_: int) -> list[Mapping[str, Any]]:
    """All cycles asked for of one subscription, in order."""
    query = select(cycles).where(cycles.c.subscription == id_).order_by(cycles.c.cycle)
    return [dict(each) for each in conn.execute(query).mappings()]


def _one(conn: Connection, query: Select[Any], id_: int) -> Subscription:
    row = conn.execute(query).mappings().one_or_none()
    if row is None:
        raise SubscriptionError(f"there is no subscription {id_}")
    return _read(row)


def _write(conn: Connection, row: Subscription, life: Life) -> Subscription:
    """The guard holds whatever the engine locked: of two that saw one version, one writes."""
    values = _values(life) | {"version": row.version + 1}
    changed = update(rows).where(rows.c.id == row.id, rows.c.version == row.version).values(values)
    if conn.execute(changed).rowcount != 1:
        raise SubscriptionError(f"subscription {row.id} was changed by another")
    return row._replace(life=life, version=row.version + 1)


def _row(row: Subscription) -> dict[str, Any]:
    fields = row._asdict()
    del fields["life"]
    return fields | _values(row.life)


def _values(life: Life) -> dict[str, Any]:
    return life._asdict() | {"status": int(life.status)}


def _read(found: Any) -> Subscription:
    life = Life(**{name: found[name] for name in Life._fields} | {"status": Status(found["status"])})
    return Subscription(**{name: found[name] for name in Subscription._fields if name != "life"}, life=life)


def _texts(taken: Step) -> tuple[Text, ...]:
    return tuple(each.text for each in taken.effects if isinstance(each, Send))
