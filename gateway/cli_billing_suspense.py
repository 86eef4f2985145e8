"""`bellhop billing suspense`: what no rule of the tariff priced, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import Connection

from billing import book, suspense
from billing.booking import Booking
from billing.event import BY_PART_CLASSES, BillableEvent, ChargeState, Direction
from billing.suspense import Parked, Price
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, writing
from gateway.domain.failure import Refused as NoPrice
from gateway.domain.message import State
from gateway.domain.verdict import STAT_OF_STATE
from gateway.errors import ConfigError
from gateway.services import rating
from gateway.services.rating import Rated, Rating
from gateway.wiring_billing import carriers_of

parked = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What no rule of the tariff priced.")
WHOLE = STAT_OF_STATE[State.DELIVERED]
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
        typer.echo(json.dumps({"suspended": [_fields(each) for each in found]}))
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
        for event_id in wanted or _all_waiting(opened):
            with opened.engine.begin() as conn:
                price_of = _price_of(conn, opened, books)
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


def _price_of(conn: Connection, opened: Opened, books: Booking) -> Callable[[Mapping[str, Any]], Price | str]:
    """Prices a charge's row by the approved tariff of its time, for the parts that were delivered; its counters go on from there."""
    billing = opened.settings.billing
    rater = Rating(books, plan=billing.plan)
    rater.reload(rating.load(conn, billing.plan))

    def price_of(row: Mapping[str, Any]) -> Price | str:
        parts = row["parts"] if row["delivery_status"] == WHOLE else row["parts_charged"]
        event = BillableEvent(*(row[name] for name in BillableEvent._fields))._replace(parts=parts)
        try:
            rated = _rated(rater, event, row)
        except NoPrice as refused:
            return refused.text
        if rated is None or not rater.version_at(event.event_at):
            return "no version of the tariff, or no rule of it, prices it at its time"
        if rated.reason:
            return rated.reason
        counter, units = None, 0
        if rated.rule is not None:
            rated, counter, counted = rater.counted(conn, rated)
            units = len(counted)
        found, facts = rated.event, rated.facts
        if parts < row["parts"] and found.fee_class not in BY_PART_CLASSES:
            return "not all of it was delivered, and it is charged as a whole: discard it"
        house = book.ensure_house(conn, found.currency, new_id=opened.new_id, now_us=opened.clock.now_us())
        return Price(
            row["parts_charged"],
            found.quantity,
            found.unit_price_minor,
            found.amount_minor,
            facts.tax_minor,
            int(found.fee_class),
            found.currency,
            found.tariff_version,
            found.tariff_rule,
            house.revenue,
            int(found.payer),
            found.wallet,
            found.charged_msisdn,
            facts.provider,
            facts.promotion,
            facts.allowance,
            facts.trace,
            counter,
            units,
        )

    return price_of


def _rated(rater: Rating, event: BillableEvent, row: Mapping[str, Any]) -> Rated | None:
    if event.direction == Direction.MO:
        return rater.rated_mo(event)
    return rater.rated(event, row["peer_msisdn"] or row["charged_msisdn"] or "")


def _id(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) <= 19):
        raise ConfigError([f"ID: {typed[:24]!r} is no id of an event"])
    return int(typed)


def _fields(each: Parked) -> dict[str, Any]:
    names = {"state": each.state.name.lower(), "charge_state": ChargeState(each.charge_state).name.lower(), "event_id": str(each.event_id)}
    return {**each._asdict(), **names}
