"""Four eyes: what moves more than a limit waits until another person has decided it, and is done in the transaction of that decision.

A request has a kind and a payload; the kind's executor, registered here by the module that owns the act, knows what to do with it.
A request that is not decided in time can be decided no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from billing import audit, money, names
from billing.audit import ACTOR_CHARS_MAX, Act
from billing.booking import Booking
from billing.errors import ApprovalError, ReferenceReusedError
from billing.schema_ledger import approval

DAY_US = 86_400_000_000
UNITS_ABOVE = 100  # whole coins of a currency for which no limit is set
VALID_DAYS = 14


class Limits(NamedTuple):
    """From which amount on a second person must agree, by currency in minor units, and how many days a request waits."""

    above_minor: Mapping[str, int] = {}
    valid_days: int = VALID_DAYS

    def asks(self, amount_minor: int, currency: str) -> bool:
        """Whether an amount needs a second person."""
        least = self.above_minor.get(currency)
        if least is None:
            least = money.parse(str(UNITS_ABOVE), currency).amount_minor
        return abs(amount_minor) > least


DEFAULT_LIMITS = Limits()


class State(IntEnum):
    """Where a request stands; from 10 on it is decided."""

    WAITING = 0
    APPROVED = 10
    REFUSED = 11
    EXPIRED = 12


class Request(NamedTuple):
    """What somebody asks a second person for."""

    kind: str
    cause: str  # as refund:REFERENCE; asked again under it, it is the same request
    subject: str
    payload: Mapping[str, Any]  # what JSON can hold
    amount_minor: int
    currency: str  # empty: it moves no money
    requested_by: str


class Approval(NamedTuple):
    """One request as it stands."""

    id: int
    kind: str
    cause: str
    subject: str
    payload: str
    amount_minor: int
    currency: str
    requested_by: str
    requested_at: int
    expires_at: int
    state: State
    decided_by: str | None
    decided_at: int | None

    @property
    def content(self) -> dict[str, Any]:
        """The payload, read."""
        found: dict[str, Any] = json.loads(self.payload)
        return found


class Decided(NamedTuple):
    """A request with the outcome of its act; empty where it was refused."""

    approval: Approval
    outcome: Mapping[str, Any]


class Deed(NamedTuple):
    """What an executor is given: the payload of an approved request, and the two who stand for it."""

    payload: Mapping[str, Any]
    requested_by: str
    approved_by: str
    into: Booking
    new_id: Callable[[], int]
    now_us: int


Executor = Callable[[Connection, Deed], Mapping[str, Any]]

_executors: dict[str, Executor] = {}


def executes(kind: str) -> Callable[[Executor], Executor]:
    """Register a function as what does the approved requests of a kind; it answers with what JSON can hold."""

    def register(executor: Executor) -> Executor:
        assert _executors.setdefault(kind, executor) is executor, kind
        return executor

    return register


def ask(conn: Connection, request: Request, *, limits: Limits, new_id: Callable[[], int], now_us: int) -> tuple[Approval, bool]:
    """Write a request down, once per cause; and whether it is new.

    Raises ReferenceReusedError for a cause with other content, and ApprovalError where that request was refused or has expired.
    """
    assert request.kind in _executors, request.kind
    expire(conn, now_us=now_us)
    names.checked(request.requested_by, "actor", ACTOR_CHARS_MAX)
    payload = json.dumps(dict(request.payload), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    known = of_cause(conn, request.cause)
    if known is not None:
        if (known.kind, known.subject, known.payload) != (request.kind, request.subject, payload):
            raise ReferenceReusedError("the same reference asked a second person for something else")
        if known.state in (State.REFUSED, State.EXPIRED):
            raise ApprovalError(f"request {known.id} under this reference is {known.state.name.lower()}; ask again under another one")
        return known, False
    id_ = new_id()
    row = request._asdict() | {"id": id_, "payload": payload, "state": int(State.WAITING), "requested_at": now_us}
    conn.execute(approval.insert(), row | {"expires_at": now_us + limits.valid_days * DAY_US})
    detail = {"kind": request.kind, "amount_minor": request.amount_minor, "currency": request.currency, "on": request.subject}
    audit.record(conn, Act(request.requested_by, "ask", f"approval:{id_}", detail), now_us=now_us)
    return one(conn, id_), True


def decide(
    conn: Connection, approval_id: int, *, actor: str, approve: bool, into: Booking, new_id: Callable[[], int], now_us: int
) -> Decided:
    """Approve a request, which does it, or refuse it; each once, and never by who asked.

    What its executor refuses is raised: the caller's transaction must not commit, and the request goes on waiting.
    """
    names.checked(actor, "actor", ACTOR_CHARS_MAX)
    asked = one(conn, approval_id, is_locked=True)
    if asked.requested_by.casefold() == actor.casefold():
        raise ApprovalError(f"request {approval_id} is your own; another person has to decide it")
    if asked.state is State.WAITING and asked.expires_at <= now_us:
        raise ApprovalError(f"request {approval_id} has expired")
    state = State.APPROVED if approve else State.REFUSED
    values = {"state": int(state), "decided_by": actor, "decided_at": now_us}
    is_waiting = (approval.c.id == approval_id) & (approval.c.state == int(State.WAITING)) & (approval.c.expires_at > now_us)
    if conn.execute(update(approval).where(is_waiting).values(values)).rowcount != 1:
        by = f" by {asked.decided_by}" if asked.decided_by else ""
        raise ApprovalError(f"request {approval_id} was {asked.state.name.lower()}{by} before")
    detail = {"kind": asked.kind, "amount_minor": asked.amount_minor, "currency": asked.currency, "requested_by": asked.requested_by}
    audit.record(conn, Act(actor, "approve" if approve else "refuse", f"approval:{approval_id}", detail), now_us=now_us)
    outcome: Mapping[str, Any] = {}
    if approve:
        executor = _executors.get(asked.kind)
        if executor is None:
            raise ApprovalError(f"nothing here can do what request {approval_id} asks for: {asked.kind}")
        outcome = executor(conn, Deed(asked.content, asked.requested_by, actor, into, new_id, now_us))
    return Decided(one(conn, approval_id), outcome)


def expire(conn: Connection, *, now_us: int) -> int:
    """End the requests that waited too long; how many."""
    is_over = (approval.c.state == int(State.WAITING)) & (approval.c.expires_at <= now_us)
    return conn.execute(update(approval).where(is_over).values(state=int(State.EXPIRED), decided_at=now_us)).rowcount


def one(conn: Connection, approval_id: int, *, is_locked: bool = False) -> Approval:
    """A request by its number; raises ApprovalError."""
    query = select(approval).where(approval.c.id == approval_id)
    row = conn.execute(query.with_for_update() if is_locked else query).mappings().one_or_none()
    if row is None:
        raise ApprovalError(f"there is no request {approval_id}; `bellhop billing approval list` shows them")
    return _read(row)


def of_cause(conn: Connection, cause: str) -> Approval | None:
    """The request of a cause."""
    row = conn.execute(select(approval).where(approval.c.cause == cause)).mappings().one_or_none()
    return None if row is None else _read(row)


def page(conn: Connection, *, waiting_only: bool = True, after: int = 0, rows_max: int = 100) -> list[Approval]:
    """Requests by number; without those decided, unless they are asked for."""
    query = select(approval).where(approval.c.id > after)
    if waiting_only:
        query = query.where(approval.c.state == int(State.WAITING))
    return [_read(row) for row in conn.execute(query.order_by(approval.c.id).limit(rows_max)).mappings()]


def _read(row: Mapping[Any, Any]) -> Approval:
    return Approval(**{**row, "state": State(row["state"])})
