"""`bellhop billing suspense`: what no rule of the tariff priced, and what to do about it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import typer
from sqlalchemy import Connection

from billing import book, suspense
from billing.booking import Booking
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, writing
from gateway.errors import ConfigError
from gateway.services import rating, recycling
from gateway.services.rating import Rating
from gateway.wiring_billing import carriers_of

parked = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What no rule of the tariff priced.")
_PAGE_ROWS = 500


@parked.command("list")
def list_parked(
    rows_max: int = typer.Option(100, "--rows", min=1, max=10_000, help="Most events shown."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List the events that wait for a price, the oldest first.

    \b
    Example:
      bellhop billing suspense list -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = suspense.listed(conn, rows_max=rows_max)
    if as_json:
        typer.echo(json.dumps({"suspended": [suspense.fields(each) for each in found]}))
        return
    if not found:
        typer.echo("nothing waits for a price")
    for each in found:
        typer.echo(f"{each.event_id}  {each.service}  {each.parts} part(s)  {each.reason}: {each.detail}")


@parked.command()
def recycle(
    events: list[str] = typer.Argument(None, metavar="[ID]...", help="Events; without any, all that wait."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Price suspended events again by the tariff as it is now, and charge them in the open day, each once.

    \b
    Example:
      bellhop billing suspense recycle --as ann -c shop/bellhop.toml
    """
    by, wanted = actor(who), [_id(each) for each in events or ()]
    done, still = 0, []
    with writing(config) as opened:
        books = Booking(carriers_of(opened.settings))
        rater = Rating(books, plan=opened.settings.billing.plan)
        with opened.engine.begin() as conn:
            rater.reload(rating.load(conn, rater.plan))
        for event_id in wanted or _all_waiting(opened):
            with opened.engine.begin() as conn:
                price_of = recycling.price_of(conn, rater, partial(_revenue, opened, conn))
                why = suspense.recycle(
                    conn, event_id, price_of, into=books, journal_seq=opened.new_id(), actor=by, now_us=opened.clock.now_us()
                )
            done += why is None
            if why is not None:
                still.append({"event_id": str(event_id), "reason": why})
    if as_json:
        typer.echo(json.dumps({"charged": done, "waiting": still}))
        return
    typer.echo(f"{done} charged, {len(still)} still without a price")
    for each in still[:20]:
        typer.echo(f"  {each['event_id']}: {each['reason']}")


@parked.command()
def discard(
    event: str = typer.Argument(..., metavar="ID", help="The event."),
    reason: str = typer.Option(..., "--reason", help="Why it is never charged."),
    who: str = ACTOR_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Give up on charging an event; it stays suspended in the books.

    \b
    Example:
      bellhop billing suspense discard 3489660928000000 --reason "test traffic" --as ann
    """
    by = actor(who)
    with writing(config) as opened, opened.engine.begin() as conn:
        suspense.discard(conn, _id(event), reason, actor=by, now_us=opened.clock.now_us())
    typer.echo(f"{event}: discarded")


def _all_waiting(opened: Opened) -> list[int]:
    found: list[int] = []
    with opened.engine.begin() as conn:
        while page := suspense.listed(conn, after_id=found[-1] if found else 0, rows_max=_PAGE_ROWS):
            found += [each.event_id for each in page]
    return found


def _revenue(opened: Opened, conn: Connection, currency: str) -> int:
    return book.ensure_house(conn, currency, new_id=opened.new_id, now_us=opened.clock.now_us()).revenue


def _id(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) <= 19):
        raise ConfigError([f"ID: {typed[:24]!r} is no id of an event"])
    return int(typed)
