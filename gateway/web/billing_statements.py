"""Statements of settlements over HTTP: looked at, printed, approved by somebody who did not make them, and locked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from billing import settlements, statement
from billing.settlements import Statement
from gateway.domain.failure import Refused
from gateway.store.staff import Scope
from gateway.web.billing_door import Action, Asked, BillingOperation, Call, Desk, Page, number_in, written


class StatementsAsked(Asked):
    """Whose statements."""

    carrier: str = Field("", max_length=32)


async def list_statements(desk: Desk, call: Call) -> dict[str, Any]:
    """The statements with their lines."""
    found = await desk.reader.read(settlements.listed, call.asked.carrier)
    return {"settlements": [statement.fields(each) for each in found]}


async def show(desk: Desk, call: Call) -> dict[str, Any]:
    """One statement, line by line."""
    return statement.fields(await desk.reader.read(_found, number_in(call)))


async def as_html(desk: Desk, call: Call) -> Page:
    """The page that is printed."""
    found = await desk.reader.read(_found, number_in(call))
    return Page(statement.render_html(found, house=desk.rules.house), "text/html", f"{_file_name(found)}.html")


async def as_csv(desk: Desk, call: Call) -> Page:
    """The table for a spreadsheet."""
    found = await desk.reader.read(_found, number_in(call))
    return Page(statement.render_csv(found), "text/csv", f"{_file_name(found)}.csv")


async def approve(desk: Desk, call: Call) -> dict[str, Any]:
    """Approve a draft that somebody else made; it is computed anew from the books first."""
    return await written(desk, _approve, number_in(call), call.member.name)


async def lock(desk: Desk, call: Call) -> dict[str, Any]:
    """Lock an approved statement, once it was sent."""
    return await written(desk, _lock, number_in(call), call.member.name)


def _approve(conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, id_: int, actor: str) -> dict[str, Any]:
    return statement.fields(settlements.approve(conn, _found(conn, id_).reference, actor=actor, now_us=now_us))


def _lock(conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, id_: int, actor: str) -> dict[str, Any]:
    return statement.fields(settlements.lock(conn, _found(conn, id_).reference, actor=actor, now_us=now_us))


def _found(conn: Connection, id_: int) -> Statement:
    found = settlements.of_id(conn, id_)
    if found is None:
        raise Refused("not_found", "there is no statement of this number", field="id")
    return found


def _file_name(found: Statement) -> str:
    return found.reference.replace("/", "-")


def _one(method: str, path: str, name: str, summary: str, scope: Scope, action: Action) -> BillingOperation:
    return BillingOperation(method, f"/settlements/{{id}}{path}", f"{method.lower()}_billing_statement{name}", summary, scope, action)


STATEMENTS = (
    BillingOperation("GET", "/settlements", "get_billing_settlements", "The statements", Scope.READ, list_statements, StatementsAsked),
    _one("GET", "", "", "One statement, line by line", Scope.READ, show),
    _one("GET", "/statement.html", "_html", "The page that is printed", Scope.READ, as_html)._replace(media_type="text/html"),
    _one("GET", "/statement.csv", "_csv", "The table for a spreadsheet", Scope.READ, as_csv)._replace(media_type="text/csv"),
    _one("POST", "/approve", "_approve", "Approve a draft that somebody else made", Scope.APPROVE, approve),
    _one("POST", "/lock", "_lock", "Lock an approved statement, once it was sent", Scope.ACT, lock),
)
