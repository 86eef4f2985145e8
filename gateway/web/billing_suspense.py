"""What no rule of the tariff priced, and pricing anew what a wrong tariff priced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from billing import rerate, suspense
from billing.errors import RerateError
from billing.rerate import Run
from gateway.domain.failure import Refused
from gateway.store.staff import Scope
from gateway.web.billing_acts import CARRIER, PERIOD
from gateway.web.billing_door import Asked, BillingOperation, Call, Desk, number_in, written
from gateway.web.billing_jobs import carrier_option, order

EVENTS_MAX = 500
_SHOWN = 200


class SuspendedAsked(Asked):
    """Which events."""

    after: int = Field(0, ge=0, description="Only greater ids: the last one of the page before")
    limit: int = Field(100, ge=1, le=1000)


class RecycleAsked(Asked):
    """Which events to price again."""

    events: list[str] = Field([], max_length=EVENTS_MAX, description="Their ids; empty: all that wait")


class DiscardAsked(Asked):
    """Why an event is never charged."""

    reason: str = Field(min_length=1, max_length=160)


class RerateAsked(Asked):
    """Which charges to price anew, and by which version."""

    period: str = PERIOD
    tariff: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,20}/[0-9]{1,9}$", description="A version, as main/3; a draft will do")
    carrier: str = CARRIER
    service: str = Field("", pattern=r"^([a-z0-9][a-z0-9._-]{0,31})?$", description="Only charges of this service")


async def list_suspended(desk: Desk, call: Call) -> dict[str, Any]:
    """The events that wait for a price, the oldest first."""
    asked: SuspendedAsked = call.asked
    return await desk.reader.read(_suspended, asked)


async def recycle(desk: Desk, call: Call) -> dict[str, Any]:
    """Price suspended events again by the tariff as it is now: the job's answer counts them."""
    asked: RecycleAsked = call.asked
    for each in asked.events:
        if not (each.isascii() and each.isdigit() and len(each) <= 19):
            raise Refused("bad_field", f"{each[:24]!r} is no id of an event", field="events")
    return order(desk, call, "recycle", ["suspense", "recycle", *asked.events])


async def discard(desk: Desk, call: Call) -> dict[str, Any]:
    """Give up on charging an event; it stays suspended in the books."""
    return await written(desk, _discard, number_in(call), call.asked.reason, call.member.name)


async def list_rerates(desk: Desk, _call: Call) -> dict[str, Any]:
    """The runs, the newest first."""
    found = await desk.reader.read(rerate.listed)
    return {"runs": [rerate.fields(each) for each in found]}


async def dry_run(desk: Desk, call: Call) -> dict[str, Any]:
    """What pricing anew would change: the job's answer has the sums and the first differences."""
    return order(desk, call, "rerate dry-run", ["rerate", "dry-run", *_scope(call.asked), "--rows", str(_SHOWN)], is_act=False)


async def request(desk: Desk, call: Call) -> dict[str, Any]:
    """Ask for a run: the job's answer is the run, which another person must agree to."""
    return order(desk, call, "rerate request", ["rerate", "request", *_scope(call.asked)])


async def approve(desk: Desk, call: Call) -> dict[str, Any]:
    """Agree to a run that another person asked for, and do it."""
    return await _run(desk, call, "approve")


async def resume(desk: Desk, call: Call) -> dict[str, Any]:
    """Go on with an approved run that was interrupted."""
    return await _run(desk, call, "resume")


async def refuse(desk: Desk, call: Call) -> dict[str, Any]:
    """Refuse a run that another person asked for."""
    return await written(desk, _refuse, number_in(call), call.member.name)


async def _run(desk: Desk, call: Call, act: str) -> dict[str, Any]:
    run_id = number_in(call)
    known = await desk.reader.read(_found, run_id)
    return order(desk, call, f"rerate {act}", ["rerate", act, str(known.id)], is_act=act == "approve")


def _suspended(conn: Connection, asked: SuspendedAsked) -> dict[str, Any]:
    return {"suspended": [suspense.fields(each) for each in suspense.listed(conn, after_id=asked.after, rows_max=asked.limit)]}


def _discard(
    conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, event_id: int, reason: str, actor: str
) -> dict[str, Any]:
    suspense.discard(conn, event_id, reason, actor=actor, now_us=now_us)
    return {"event_id": str(event_id), "state": "discarded"}


def _found(conn: Connection, run_id: int) -> Run:
    try:
        return rerate.find(conn, run_id)
    except RerateError:
        raise Refused("not_found", "there is no run of this number", field="id") from None


def _refuse(conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, run_id: int, actor: str) -> dict[str, Any]:
    _found(conn, run_id)
    return rerate.fields(rerate.decide(conn, run_id, actor=actor, approves=False, now_us=now_us))


def _scope(asked: RerateAsked) -> list[str]:
    service = ["--service", asked.service] if asked.service else []
    return ["--period", asked.period, "--tariff", asked.tariff, *carrier_option(asked.carrier), *service]


SUSPENSE = (
    BillingOperation(
        "GET", "/suspense", "get_billing_suspense", "What waits for a price, the oldest first", Scope.READ, list_suspended, SuspendedAsked
    ),
    BillingOperation(
        "POST", "/suspense/recycle", "post_billing_recycle", "Price it again, as a job", Scope.ACT, recycle, RecycleAsked, 202
    ),
    BillingOperation(
        "POST", "/suspense/{id}/discard", "post_billing_discard", "Give up on charging an event", Scope.ACT, discard, DiscardAsked
    ),
    BillingOperation("GET", "/rerates", "get_billing_rerates", "The runs of pricing anew", Scope.READ, list_rerates),
    BillingOperation(
        *("POST", "/rerates/dry-run", "post_billing_rerate_dry_run", "What pricing anew would change, as a job"),
        *(Scope.READ, dry_run, RerateAsked, 202),
    ),
    BillingOperation(
        "POST", "/rerates", "post_billing_rerate", "Ask for a run of pricing anew, as a job", Scope.ACT, request, RerateAsked, 202
    ),
    BillingOperation(
        *("POST", "/rerates/{id}/approve", "post_billing_rerate_approve", "Agree to another's run and do it, as a job"),
        *(Scope.APPROVE, approve, None, 202),
    ),
    BillingOperation("POST", "/rerates/{id}/refuse", "post_billing_rerate_refuse", "Refuse another's run", Scope.APPROVE, refuse),
    BillingOperation(
        *("POST", "/rerates/{id}/resume", "post_billing_rerate_resume", "Go on with an interrupted run, as a job"),
        *(Scope.ACT, resume, None, 202),
    ),
)
