"""What the billing staff can do over HTTP: give back, correct, top up, decide, and order the work of minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection

import billing.revisions  # noqa: F401 - who approves a revision here needs what executes it
from billing import accounts, approvals, book, money, refunds, vouchers
from billing.errors import MoneyError
from billing.refunds import Refund
from gateway.domain.failure import Refused
from gateway.store.staff import Scope
from gateway.web.billing_door import Action, Asked, BillingOperation, Call, Desk, number_in, written
from gateway.web.billing_jobs import carrier_option, order

_AMOUNT = Field("", max_length=24, description="As 12.50, in the charge's currency; empty: all that remains")
_REASON = Field(min_length=1, max_length=32, description="One of GET /v1/billing/reasons")
_REFERENCE = Field(min_length=1, max_length=64, description="Yours: the same reference with the same content is done once")
PERIOD = Field(pattern=r"^[0-9]{4}-[0-9]{2}(-[0-9]{2})?$", description="A month as 2026-10, or a day as 2026-10-05")
CARRIER = Field("", pattern=r"^([a-z0-9][a-z0-9-]{0,15})?$", description="Whose books; empty: those of billing.carrier")


class RefundAsked(Asked):
    """What to give back of a charge."""

    amount: str = _AMOUNT
    reason: str = _REASON
    reference: str = _REFERENCE
    double: bool = Field(False, description="Give as much again as goodwill")


class CorrectionAsked(Asked):
    """An adjustment (below zero gives back), a goodwill credit or a write-off."""

    amount: str = _AMOUNT
    reason: str = _REASON
    reference: str = _REFERENCE


class TopUpAsked(Asked):
    """Money that came in for a wallet."""

    amount: str = Field(min_length=1, max_length=24, description="As 12.50")
    currency: str = Field("", max_length=8, description="Which wallet, opened where it is missing; empty: the one opened first")
    reference: str = _REFERENCE


class VoucherAsked(Asked):
    """A voucher for a wallet."""

    code: str = Field(min_length=1, max_length=64)
    currency: str = Field("", max_length=8, description="Which wallet; empty: the one opened first")


class CloseAsked(Asked):
    """A period to close."""

    period: str = PERIOD
    carrier: str = CARRIER
    now: bool = Field(False, description="Although receipts may still come")


class ExportAsked(Asked):
    """Files to write; they come into billing.export_folder."""

    period: str = PERIOD
    carrier: str = CARRIER
    profile: str = Field("charge", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")


class PeriodAsked(Asked):
    """A carrier's period."""

    period: str = PERIOD
    carrier: str = CARRIER


Kind = Literal["adjust", "goodwill", "writeoff"]
_ACTS: dict[str, Callable[..., refunds.Corrected]] = {
    "adjust": refunds.adjust,
    "goodwill": refunds.goodwill,
    "writeoff": refunds.write_off,
}


async def refund(desk: Desk, call: Call) -> dict[str, Any]:
    """Give back a charge or a part of it, once per reference; above the limit it waits for a second person."""
    asked: RefundAsked = call.asked
    return await written(desk, _refund, number_in(call), asked, call.member.name)


def correct(kind: Kind) -> Callable[[Desk, Call], Any]:
    """Adjust a charge, give for it out of our own pocket, or give it up."""

    async def act(desk: Desk, call: Call) -> dict[str, Any]:
        asked: CorrectionAsked = call.asked
        return await written(desk, _correct, kind, number_in(call), asked, call.member.name)

    return act


async def top_up(desk: Desk, call: Call) -> dict[str, Any]:
    """Bring money into a wallet, once per reference."""
    return await written(desk, _top_up, call.where["party"], call.asked, call.member.name)


async def redeem(desk: Desk, call: Call) -> dict[str, Any]:
    """Bring a voucher's value into a wallet."""
    return await written(desk, _redeem, call.where["party"], call.asked, call.member.name)


def decide(approve: bool) -> Callable[[Desk, Call], Any]:
    """Approve what somebody else asked for, which does it, or refuse it."""

    async def act(desk: Desk, call: Call) -> dict[str, Any]:
        return await written(desk, _decide, number_in(call), approve, call.member.name)

    return act


async def close(desk: Desk, call: Call) -> dict[str, Any]:
    """Close a period: the job's answer is the period."""
    asked: CloseAsked = call.asked
    arguments = ["close", asked.period, *carrier_option(asked.carrier), *(["--now"] if asked.now else [])]
    return order(desk, call, "close", arguments)


async def export(desk: Desk, call: Call) -> dict[str, Any]:
    """Write the files of a period: the job's answer names them."""
    asked: ExportAsked = call.asked
    folder = ["-o", desk.rules.export_folder]
    return order(
        desk, call, "export", ["export", "--period", asked.period, "--profile", asked.profile, *carrier_option(asked.carrier), *folder]
    )


async def settle(desk: Desk, call: Call) -> dict[str, Any]:
    """Make the statements of a closed period."""
    asked: PeriodAsked = call.asked
    return order(desk, call, "settle", ["settle", "draft", "--period", asked.period, *carrier_option(asked.carrier)])


def _refund(
    conn: Connection, desk: Desk, new_id: Callable[[], int], now_us: int, charge: int, asked: RefundAsked, actor: str
) -> dict[str, Any]:
    multiplier = desk.rules.refund_multiplier if asked.double else 1
    wanted = Refund(charge, _minor(conn, charge, asked.amount), asked.reason, asked.reference, actor, multiplier)
    done = refunds.refund(conn, wanted, into=desk.books, new_id=new_id, now_us=now_us, limits=desk.rules.limits)
    ids = [str(each) for each in done.correction_ids]
    return {**done._asdict(), "charge_id": str(charge), "correction_ids": ids, "approval_id": _text(done.approval_id)}


def _correct(
    conn: Connection, desk: Desk, new_id: Callable[[], int], now_us: int, kind: str, charge: int, asked: CorrectionAsked, actor: str
) -> dict[str, Any]:
    wanted = refunds.Asked(charge, _minor(conn, charge, asked.amount), asked.reason, asked.reference, actor)
    done = _ACTS[kind](conn, wanted, into=desk.books, new_id=new_id, now_us=now_us, limits=desk.rules.limits)
    texts = {"charge_id": str(charge), "correction_id": _text(done.correction_id), "approval_id": _text(done.approval_id)}
    return {**done._asdict(), **texts}


def _top_up(
    conn: Connection, _desk: Desk, new_id: Callable[[], int], now_us: int, party: str, asked: TopUpAsked, actor: str
) -> dict[str, Any]:
    currency = asked.currency or _wallet(conn, party, "").currency
    minor = _parsed(asked.amount, currency)
    if minor <= 0:
        raise Refused("bad_field", "must be more than zero", field="amount")
    amount = money.Money(minor, currency)
    wallet, is_new = accounts.top_up(conn, party, amount, asked.reference, actor=actor, new_id=new_id, now_us=now_us)
    after = book.balance(conn, wallet.id)
    return {"party": party, "is_new": is_new, "currency": currency, **{f"{k}_minor": v for k, v in after._asdict().items()}}


def _redeem(
    conn: Connection, _desk: Desk, new_id: Callable[[], int], now_us: int, party: str, asked: VoucherAsked, actor: str
) -> dict[str, Any]:
    wallet = _wallet(conn, party, asked.currency)
    done = vouchers.redeem(conn, asked.code, wallet.id, actor=actor, new_id=new_id, now_us=now_us)
    return {"party": party, "is_new": done.is_new, "value_minor": done.value_minor, "currency": done.currency}


def _decide(
    conn: Connection, desk: Desk, new_id: Callable[[], int], now_us: int, approval_id: int, approve: bool, actor: str
) -> dict[str, Any]:
    done = approvals.decide(conn, approval_id, actor=actor, approve=approve, into=desk.books, new_id=new_id, now_us=now_us)
    return {**approval_fields(done.approval), "outcome": dict(done.outcome)}


def approval_fields(each: approvals.Approval) -> dict[str, Any]:
    """A request as JSON; its payload stays here."""
    found = {**each._asdict(), "id": str(each.id), "state": each.state.name.lower()}
    del found["payload"]
    return found


def _wallet(conn: Connection, party: str, currency: str) -> accounts.Account:
    found = accounts.of_party(conn, accounts.checked_party(party), currency)
    if not found:
        raise Refused("not_found", "this party has no such wallet", field="party")
    return found[0]


def _minor(conn: Connection, charge: int, typed: str) -> int | None:
    return _parsed(typed, refunds.currency_of(conn, charge)) if typed else None


def _parsed(typed: str, currency: str) -> int:
    try:
        return money.parse(typed, currency).amount_minor
    except MoneyError as error:
        raise Refused("bad_field", str(error), field="amount") from None


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _act(path: str, name: str, summary: str, action: Action, asks: type[Asked], status: int = 200) -> BillingOperation:
    return BillingOperation("POST", path, f"post_billing_{name}", summary, Scope.ACT, action, asks, status)


def _decision(path: str, name: str, summary: str, action: Action) -> BillingOperation:
    return BillingOperation("POST", path, f"post_billing_{name}", summary, Scope.APPROVE, action)


ACTS = (
    _act("/charges/{id}/refunds", "refund", "Give back a charge, or a part of it", refund, RefundAsked),
    _act("/charges/{id}/adjustments", "adjustment", "Add to a charge, or take from it", correct("adjust"), CorrectionAsked),
    _act("/charges/{id}/goodwill", "goodwill", "Give for it out of our own pocket", correct("goodwill"), CorrectionAsked),
    _act("/charges/{id}/writeoffs", "writeoff", "Give a charge up as bad debt", correct("writeoff"), CorrectionAsked),
    _act("/accounts/{party}/top-ups", "top_up", "Bring money into a wallet", top_up, TopUpAsked),
    _act("/accounts/{party}/vouchers", "voucher", "Redeem a voucher for a wallet", redeem, VoucherAsked),
    _decision("/approvals/{id}/approve", "approve", "Approve what another asked for", decide(True)),
    _decision("/approvals/{id}/refuse", "refuse", "Refuse what another asked for", decide(False)),
    _act("/periods/close", "close", "Close a period, as a job", close, CloseAsked, 202),
    _act("/exports", "export", "Write the files of a period, as a job", export, ExportAsked, 202),
    _act("/settlements", "settle", "Make the statements of a period, as a job", settle, PeriodAsked, 202),
)
