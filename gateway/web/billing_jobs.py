"""Work of minutes that the billing staff orders over HTTP; each is the command of the same name, run beside the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from billing import view
from billing.calendar import EPOCH
from gateway.domain.failure import Refused
from gateway.domain.ids import ID_MAX
from gateway.services.jobs import Job
from gateway.store.staff import Scope
from gateway.web.billing_door import Asked, BillingOperation, Call, Desk

WAIT_S_MAX = 30.0


class JobAsked(Asked):
    """How long to wait for its end."""

    wait_s: float = Field(0, ge=0, le=WAIT_S_MAX, description="Seconds to wait for the job's end before it is told as it stands")


def order(desk: Desk, call: Call, kind: str, arguments: Sequence[str], files: Sequence[str] = (), *, is_act: bool = True) -> dict[str, Any]:
    """Begin a job that is `bellhop billing` with these arguments, an act in the caller's name; `files` are removed at its end."""
    command = ["billing", *arguments, "--json", *(["--as", call.member.name] if is_act else [])]
    return fields(desk.jobs.start(kind, call.member.name, command, files))


def carrier_option(name: str) -> list[str]:
    """Whose books, as an argument."""
    return ["--carrier", name] if name else []


async def jobs(desk: Desk, _call: Call) -> dict[str, Any]:
    """Every job that is remembered, the newest first."""
    return {"jobs": [fields(job) for job in desk.jobs.newest()]}


async def job(desk: Desk, call: Call) -> dict[str, Any]:
    """One job: where it is, and what came of it."""
    typed = call.where["id"]
    is_id = typed.isascii() and typed.isdigit() and 0 < int(typed[:20]) <= ID_MAX
    asked: JobAsked = call.asked
    found = await desk.jobs.settled(int(typed), asked.wait_s) if is_id else None
    if found is None:
        raise Refused("not_found", "there is no such job; a gateway forgets them when it stops", field="id")
    return fields(found)


def fields(found: Job) -> dict[str, Any]:
    """A job as JSON."""
    zone = EPOCH.tzinfo
    assert zone is not None
    times = {"started_at": view.time(found.started_at, zone), "ended_at": view.time(found.ended_at, zone)}
    return {**found._asdict(), "id": str(found.id), **times}


JOBS = (
    BillingOperation("GET", "/jobs", "get_billing_jobs", "Every job that is remembered, the newest first", Scope.READ, jobs),
    BillingOperation("GET", "/jobs/{id}", "get_billing_job", "One job: where it is, and what came of it", Scope.READ, job, JobAsked),
)
