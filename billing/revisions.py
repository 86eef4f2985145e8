"""Revisions of charge files: what was given away is replaced only when a second person has approved that, run by run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from billing import approvals
from billing.approvals import Approval, Deed, Limits, Request, State
from billing.errors import ApprovalError, ExportError
from billing.runs import RunState
from billing.schema_exports import export_run

KIND = "revision"
REASON_CHARS_MAX = 160


class Revision(NamedTuple):
    """A run whose files are to be written anew, why, and who approved it."""

    run_id: int
    reason: str
    approved_by: str


def ask(
    conn: Connection, run_id: int, reason: str, *, actor: str, limits: Limits, new_id: Callable[[], int], now_us: int
) -> tuple[Approval, bool]:
    """Ask a second person for the revision of a run, once for each reason; and whether it is asked only now. Raises ExportError."""
    if not 0 < len(reason) <= REASON_CHARS_MAX or not reason.isprintable():
        raise ExportError(f"a revision needs a reason of 1 to {REASON_CHARS_MAX} printable characters")
    _refuse_unrevisable(conn, run_id)
    approvals.expire(conn, now_us=now_us)
    tries = 0
    # What was refused, or expired, may be asked for again.
    while (known := approvals.of_cause(conn, f"{KIND}:{run_id}:{tries}")) is not None and known.state in (State.REFUSED, State.EXPIRED):
        tries += 1
    # Files have amounts in many currencies: the request has none.
    request = Request(KIND, f"{KIND}:{run_id}:{tries}", f"export:{run_id}", {"run_id": str(run_id), "reason": reason}, 0, "", actor)
    return approvals.ask(conn, request, limits=limits, new_id=new_id, now_us=now_us)


def approved(conn: Connection, approval_id: int) -> Revision:
    """The revision that a request asked for; raises ApprovalError for one that is no such request, or not approved."""
    known = approvals.one(conn, approval_id)
    if known.kind != KIND:
        raise ApprovalError(f"request {approval_id} asks for a {known.kind}, and not for the revision of a run")
    if known.state is not State.APPROVED or known.decided_by is None:
        raise ApprovalError(f"request {approval_id} is {known.state.name.lower()}; files are written anew when it is approved")
    content = known.content
    return Revision(int(content["run_id"]), content["reason"], known.decided_by)


@approvals.executes(KIND)
def _execute(conn: Connection, deed: Deed) -> dict[str, Any]:
    """Approve while it can still be done; the files are written by the export that names the request."""
    _refuse_unrevisable(conn, int(deed.payload["run_id"]))
    return dict(deed.payload)


def _refuse_unrevisable(conn: Connection, run_id: int) -> None:
    state = conn.execute(select(export_run.c.state).where(export_run.c.id == run_id)).scalar()
    if state is None:
        raise ExportError(f"there is no run {run_id}; `bellhop billing export list` shows them")
    if state != RunState.WRITTEN:
        raise ExportError(f"run {run_id} is not written yet; export its days again first")
    if conn.execute(select(export_run.c.id).where(export_run.c.supersedes == run_id)).first() is not None:
        raise ExportError(f"run {run_id} is revised by another one already; name the newest")
