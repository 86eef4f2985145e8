"""Subscriptions over HTTP: who has what, the evidence for it, and what the staff does to one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection

from billing import calendar, subscription_view, subscriptions
from billing.booking import Booking
from billing.errors import PeriodError, SubscriptionError
from billing.subscription import Status
from billing.subscriptions import Subscription
from gateway.domain.failure import Refused
from gateway.services.subscription_acts import REASON_CHARS_MAX, Staffed, SubscriptionActs
from gateway.store.staff import Scope
from gateway.web.billing_door import Action, Asked, BillingOperation, Call, Desk, number_in, number_of, written


class SubscriptionsAsked(Asked):
    """Which subscriptions, the oldest first."""

    msisdn: str = Field("", max_length=32, description="A phone; give this, an account, or neither")
    account: str = Field("", pattern=r"^[0-9]{0,18}$", description="A messenger account")
    offer: str = Field("", max_length=32)
    status: Literal["", "pending_confirm", "trial", "active", "suspended", "cancelled"] = ""
    after: int = Field(0, ge=0, description="Only greater ids: the last one of the page before")
    limit: int = Field(100, ge=1, le=1000)


class StartAsked(Asked):
    """Somebody who asked for an offer elsewhere."""

    offer: str = Field(min_length=1, max_length=32)
    msisdn: str = Field("", max_length=32, description="The phone whose carrier collects; give this or an account")
    account: str = Field("", pattern=r"^[0-9]{0,18}$", description="The messenger account whose wallet pays")
    evidence: str = Field(min_length=1, max_length=REASON_CHARS_MAX, description="What proves that it is wanted, such as a form's number")


class ReasonAsked(Asked):
    """Why; it is kept as evidence."""

    reason: str = Field(min_length=1, max_length=REASON_CHARS_MAX)


class RefusedAsked(Asked):
    """A cycle that the carrier could not collect."""

    cycle: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$", description="The month or day that failed, such as 2026-11")
    code: str = Field(min_length=1, max_length=32, description="The carrier's code, such as CB:0007")


async def list_subscriptions(desk: Desk, call: Call) -> dict[str, Any]:
    """Subscriptions: all of them, or those of one phone or account."""
    asked: SubscriptionsAsked = call.asked
    if asked.msisdn and asked.account:
        raise Refused("bad_field", "give msisdn or account", field="msisdn")
    subscriber = _subscriber(asked.msisdn, asked.account) if asked.msisdn or asked.account else ""
    found = await desk.reader.read(_listed, asked, subscriber)
    return {"subscriptions": [_fields(desk.books, each) for each in found]}


async def show(desk: Desk, call: Call) -> dict[str, Any]:
    """One subscription with its evidence and its cycles."""
    return await desk.reader.read(_shown, desk.books, number_in(call))


async def start(desk: Desk, call: Call) -> dict[str, Any]:
    """Subscribe somebody; who has the offer already keeps what he has."""
    asked: StartAsked = call.asked
    if bool(asked.msisdn) == bool(asked.account):
        raise Refused("bad_field", "give msisdn or account", field="msisdn")
    return await written(desk, _start, asked, _subscriber(asked.msisdn, asked.account), call.member.name)


Step = Literal["cancel", "suspend", "resume"]


def step(act: Step) -> Callable[[Desk, Call], Any]:
    """End a subscription, stop it for a while, or end that."""

    async def take(desk: Desk, call: Call) -> dict[str, Any]:
        return await written(desk, _step, act, number_in(call), call.asked.reason, call.member.name)

    return take


async def refused(desk: Desk, call: Call) -> dict[str, Any]:
    """Book that the carrier could not collect a cycle."""
    try:
        calendar.parse(call.asked.cycle)
    except PeriodError as error:
        raise Refused("bad_field", str(error), field="cycle") from None
    return await written(desk, _refused, number_in(call), call.asked, call.member.name)


def _listed(conn: Connection, asked: SubscriptionsAsked, subscriber: str) -> list[Subscription]:
    wanted = Status[asked.status.upper()] if asked.status else None
    return subscriptions.page(conn, after=asked.after, status=wanted, offer=asked.offer, subscriber=subscriber, rows_max=asked.limit)


def _shown(conn: Connection, books: Booking, id_: int) -> dict[str, Any]:
    row = _known(conn, id_)
    return {**_fields(books, row), **subscription_view.history_fields(conn, row, _zone(books, row))}


def _start(
    conn: Connection, desk: Desk, new_id: Callable[[], int], now_us: int, asked: StartAsked, subscriber: str, actor: str
) -> dict[str, Any]:
    done = SubscriptionActs(desk.subscriptions, actor, now_us).start(conn, asked.offer, subscriber, None, asked.evidence, id_=new_id())
    return _done(desk, done)


def _step(
    conn: Connection, desk: Desk, _new_id: Callable[[], int], now_us: int, act: Step, id_: int, reason: str, actor: str
) -> dict[str, Any]:
    _known(conn, id_)
    acts = SubscriptionActs(desk.subscriptions, actor, now_us)
    return _done(desk, {"cancel": acts.cancel, "suspend": acts.suspend, "resume": acts.resume}[act](conn, id_, reason))


def _refused(
    conn: Connection, desk: Desk, new_id: Callable[[], int], now_us: int, id_: int, asked: RefusedAsked, actor: str
) -> dict[str, Any]:
    _known(conn, id_)
    acts = SubscriptionActs(desk.subscriptions, actor, now_us)
    return _done(desk, acts.refused(conn, id_, asked.cycle, asked.code, correction_id=new_id()))


def _known(conn: Connection, id_: int) -> Subscription:
    try:
        return subscriptions.found(conn, id_)
    except SubscriptionError as error:
        raise Refused("not_found", str(error), field="id") from None


def _done(desk: Desk, done: Staffed) -> dict[str, Any]:
    return {**_fields(desk.books, done.subscription), "is_new": done.is_new}


def _fields(books: Booking, row: Subscription) -> dict[str, Any]:
    return subscription_view.fields(row, _zone(books, row))


def _zone(books: Booking, row: Subscription) -> tzinfo:
    return books.carriers.of_link(row.link).zone


def _subscriber(number: str, account: str) -> str:
    return f"im:{int(account)}" if account else f"msisdn:{number_of(number, 'msisdn')}"


def _act(path: str, name: str, summary: str, action: Action, asks: type[Asked]) -> BillingOperation:
    return BillingOperation("POST", f"/subscriptions{path}", f"post_billing_subscription{name}", summary, Scope.ACT, action, asks)


SUBSCRIPTIONS = (
    BillingOperation(
        *("GET", "/subscriptions", "get_billing_subscriptions", "Who has what; of one phone or account, or all"),
        *(Scope.READ, list_subscriptions, SubscriptionsAsked),
    ),
    BillingOperation(
        "GET", "/subscriptions/{id}", "get_billing_subscription", "One subscription with its evidence and its cycles", Scope.READ, show
    ),
    _act("", "", "Subscribe somebody who asked for it elsewhere", start, StartAsked),
    _act("/{id}/cancel", "_cancel", "End a subscription", step("cancel"), ReasonAsked),
    _act("/{id}/suspend", "_suspend", "Stop a subscription until it is resumed", step("suspend"), ReasonAsked),
    _act("/{id}/resume", "_resume", "End a suspension", step("resume"), ReasonAsked),
    _act("/{id}/refused", "_refused", "Book that the carrier could not collect a cycle", refused, RefusedAsked),
)
