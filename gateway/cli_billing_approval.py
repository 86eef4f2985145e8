"""`bellhop billing approval` and `audit`: what waits for a second person, and who did what."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from billing import approvals, audit, money
from billing.approvals import Approval, Decided, State
from gateway.cli_books import at_desk
from gateway.cli_staff import ACTOR_OPTION
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.wiring_billing import booking_of

EXIT_BROKEN = 1
ROWS_MAX = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_REQUEST = typer.Argument(..., metavar="REQUEST", help="The request's number.")
_ROWS = typer.Option(100, "--rows", metavar="NUMBER", min=1, max=ROWS_MAX, help="At most so many.")

approval = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What waits for a second person.")
log = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who did what to the books.")


@approval.command("list")
def list_requests(
    every: bool = typer.Option(False, "--all", help="Those decided, too."),
    after: int = typer.Option(0, "--after", metavar="REQUEST", help="Go on behind this number."),
    rows: int = _ROWS,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List requests that wait for a second person, oldest first.

    \b
    Example:
      bellhop billing approval list -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found, now_us = approvals.page(conn, waiting_only=not every, after=after, rows_max=rows), opened.clock.now_us()
    if as_json:
        typer.echo(json.dumps({"requests": [_fields(each, now_us) for each in found]}, ensure_ascii=False))
        return
    for each in found:
        decided = f", by {each.decided_by}" if each.decided_by else ""
        typer.echo(
            f"{each.id}  {each.kind:<9}  {_amount(each)}  {each.subject}  asked by {each.requested_by}  {_state(each, now_us)}{decided}"
        )
    if not found:
        typer.echo("nothing waits for a second person")


@approval.command()
def approve(request: int = _REQUEST, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Approve a request, which does at once what it asks for; not your own.

    \b
    Example:
      bellhop billing approval approve 7306115497984255 --as wang -c shop/bellhop.toml
    """
    _decide(request, True, who, as_json, config)


@approval.command()
def refuse(request: int = _REQUEST, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Refuse a request; nothing is done, and its reference stays used.

    \b
    Example:
      bellhop billing approval refuse 7306115497984255 --as wang -c shop/bellhop.toml
    """
    _decide(request, False, who, as_json, config)


@log.command("list")
def list_acts(
    subject: str = typer.Option("", "--subject", metavar="TEXT", help="Only of this thing, as charge:7306115497984000."),
    by: str = typer.Option("", "--by", metavar="NAME", help="Only of this person."),
    after: int = typer.Option(0, "--after", metavar="NUMBER", help="Go on behind this number."),
    rows: int = _ROWS,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List what people did to the books, oldest first.

    \b
    Examples:
      bellhop billing audit list -c shop/bellhop.toml
      bellhop billing audit list --by li --json
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = audit.entries(conn, after=after, subject=subject, actor=by, rows_max=rows)
    if as_json:
        acts = [{**each._asdict(), "at": _time(each.at), "detail": json.loads(each.detail)} for each in found]
        typer.echo(json.dumps({"acts": acts}, ensure_ascii=False))
        return
    for each in found:
        typer.echo(f"{each.seq}  {_time(each.at)}  {each.actor}  {each.act}  {each.subject}  {each.detail}")
    if not found:
        typer.echo("nobody did anything yet")


@log.command()
def verify(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Follow the chain of hashes from the first act to the last; exit code 1 where a row was changed, taken out or put in.

    \b
    Example:
      bellhop billing audit verify -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        broken, acts = audit.broken_at(conn), audit.length(conn)
    if as_json:
        typer.echo(json.dumps({"whole": broken is None, "acts": acts, "broken_at": broken}))
    elif broken is None:
        typer.echo(f"the log is whole: {acts} acts")
    else:
        typer.echo(f"the log is broken at act {broken}: it, or one before it, was changed, taken out or put in")
    raise typer.Exit(0 if broken is None else EXIT_BROKEN)


def _decide(request: int, is_approved: bool, who: str, as_json: bool, config: Path) -> None:
    with at_desk(config, who) as desk:
        booking = booking_of(desk.opened.settings)
        done = approvals.decide(desk.conn, request, actor=desk.by, approve=is_approved, into=booking, **desk.world)
    typer.echo(json.dumps(_decision(done, desk.now_us), ensure_ascii=False) if as_json else _decided_line(done))


def _decision(done: Decided, now_us: int) -> dict[str, Any]:
    return {**_fields(done.approval, now_us), "outcome": dict(done.outcome)}


def _decided_line(done: Decided) -> str:
    of = done.approval
    outcome = f": {json.dumps(dict(done.outcome))}" if done.outcome else ""
    return f"{of.id}: {of.kind} of {_amount(of)} on {of.subject} {of.state.name.lower()} by {of.decided_by}{outcome}"


def _amount(each: Approval) -> str:
    return str(money.Money(each.amount_minor, each.currency)) if each.currency else "no money"


def _state(each: Approval, now_us: int) -> str:
    return "expired" if each.state is State.WAITING and each.expires_at <= now_us else each.state.name.lower()


def _fields(each: Approval, now_us: int) -> dict[str, Any]:
    at = {name: _time(value) if (value := getattr(each, name)) else None for name in ("requested_at", "expires_at", "decided_at")}
    return {**each._asdict(), "id": str(each.id), "payload": each.content, "state": _state(each, now_us), **at}


def _time(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds").replace("+00:00", "Z")
