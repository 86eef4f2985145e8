"""What there is in the books: accounts, requests, periods, statements, comparisons, prices and reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from billing import accounts, approvals, calendar, periods, reasons, tariffs, view
from billing.calendar import EPOCH
from billing.event import ChargeState, RecordType
from billing.tariff import rate
from billing.tariff.version import Matcher, Question, VersionState
from gateway.domain.failure import Refused
from gateway.store.staff import Scope
from gateway.web.billing_acts import approval_fields
from gateway.web.billing_door import Action, Asked, BillingOperation, Call, Desk, number_of, period_in, written


class ApprovalsAsked(Asked):
    """Which requests."""

    all: bool = Field(False, description="Also those that are decided")
    after: int = Field(0, ge=0, description="Only greater numbers: the last one of the page before")
    limit: int = Field(100, ge=1, le=1000)


class PeriodsAsked(Asked):
    """Whose periods."""

    carrier: str = Field("", max_length=32)


class PriceAsked(Asked):
    """What would be sold."""

    service: str = Field(min_length=1, max_length=32)
    to: str = Field(min_length=1, max_length=32, description="The phone's number")
    carrier: str = Field("", max_length=32, description="Empty: billing.carrier")
    parts: int = Field(1, ge=1, le=255)


async def show_reasons(_desk: Desk, _call: Call) -> dict[str, Any]:
    """Why a charge may be corrected."""
    return {"reasons": reasons.REASONS}


async def account(desk: Desk, call: Call) -> dict[str, Any]:
    """The wallets of a party."""
    return await desk.reader.read(_account, call.where["party"])


async def requests(desk: Desk, call: Call) -> dict[str, Any]:
    """What waits for a second person."""
    asked: ApprovalsAsked = call.asked
    return await desk.reader.read(_requests, asked)


async def list_periods(desk: Desk, call: Call) -> dict[str, Any]:
    """The periods that are closing, closed or locked."""
    return await desk.reader.read(_periods, call.asked.carrier)


async def period(desk: Desk, call: Call) -> dict[str, Any]:
    """One period and what is in it."""
    return await desk.reader.read(_period, call.where["carrier"], period_in(call))


async def lock_period(desk: Desk, call: Call) -> dict[str, Any]:
    """Lock a closed period: what it holds is agreed with the carrier."""
    return await written(desk, _lock, call.where["carrier"], period_in(call), call.member.name)


async def price(desk: Desk, call: Call) -> dict[str, Any]:
    """What something would cost now, and why."""
    asked: PriceAsked = call.asked
    number = number_of(asked.to, "to")
    carrier = asked.carrier or desk.books.carriers.default.name
    question = Question(asked.service, carrier, number, "MT")
    return await desk.reader.read(_price, desk.rules.plan, question, asked.parts, desk.now_us())


def _account(conn: Connection, party: str) -> dict[str, Any]:
    found = accounts.of_party(conn, accounts.checked_party(party))
    if not found:
        raise Refused("not_found", "this party has no wallet", field="party")
    return {"party": party, "wallets": [{**each._asdict(), "id": str(each.id), "free_minor": each.free_minor} for each in found]}


def _requests(conn: Connection, asked: ApprovalsAsked) -> dict[str, Any]:
    found = approvals.page(conn, waiting_only=not asked.all, after=asked.after, rows_max=asked.limit)
    return {"approvals": [approval_fields(each) for each in found]}


def _periods(conn: Connection, carrier: str) -> dict[str, Any]:
    return {"periods": [_period_fields(each) for each in periods.all_of(conn, carrier)]}


def _period(conn: Connection, carrier: str, wanted: int) -> dict[str, Any]:
    totals = periods.kept_totals(conn, carrier, wanted) or periods.totals_of(conn, carrier, *calendar.days(wanted))
    lines = [
        {**each._asdict(), "record_type": RecordType(each.record_type).name, "state": ChargeState(each.state).name.lower()}
        for each in totals
    ]
    return {**_period_fields(periods.find(conn, carrier, wanted)), "totals": lines}


def _lock(conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, carrier: str, wanted: int, actor: str) -> dict[str, Any]:
    return _period_fields(periods.lock(conn, carrier, wanted, actor=actor, now_us=now_us))


def _period_fields(each: periods.Period) -> dict[str, Any]:
    zone = EPOCH.tzinfo
    assert zone is not None
    names = {"period": calendar.write(each.period), "state": each.state.name.lower(), "closed_at": view.time(each.closed_at, zone)}
    return {**each._asdict(), **names}


def _price(conn: Connection, plan: str, question: Question, parts: int, now_us: int) -> dict[str, Any]:
    known = [kept.version for kept in tariffs.of_plan(conn, plan, VersionState.APPROVED)]
    version = next((each for each in known if each.holds_at(now_us)), None)
    if version is None:
        raise Refused("not_found", f"no version of plan {plan} holds now; the prices of the services do")
    rule = Matcher(version).rule_for(question)
    if rule is None:
        raise Refused("no_price", f"no rule of {version.name} fits this", field="service")
    priced = rate.price(rule, parts, now_us)
    told = {"tariff_version": version.name, "tariff_rule": rule.name, "payer": rule.payer, "fee_class": priced.fee_class.name}
    return {**priced._asdict(), **told, "amount": view.money(priced.amount_minor, priced.currency)}


def _list(path: str, name: str, summary: str, action: Action, asks: type[Asked] | None = None) -> BillingOperation:
    return BillingOperation("GET", path, f"get_billing_{name}", summary, Scope.READ, action, asks)


LISTS = (
    _list("/reasons", "reasons", "Why a charge may be corrected", show_reasons),
    _list("/accounts/{party}", "account", "The wallets of a party", account),
    _list("/approvals", "approvals", "What waits for a second person", requests, ApprovalsAsked),
    _list("/periods", "periods", "Periods that are closing, closed or locked", list_periods, PeriodsAsked),
    _list("/periods/{carrier}/{period}", "period", "One period and what is in it", period),
    BillingOperation("POST", "/periods/{carrier}/{period}/lock", "post_billing_lock", "Lock a closed period", Scope.ACT, lock_period),
    _list("/price", "price", "What something would cost now, and why", price, PriceAsked),
)
