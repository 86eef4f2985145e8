"""`bellhop billing close` and `period`: days and months of a carrier's books, and what was delivered too late to be charged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from billing import calendar, periods, view
from billing.calendar import EPOCH
from billing.event import ChargeState, RecordType
from billing.periods import Closing, Period, Total
from gateway.cli_books import CARRIER_OPTION, at_desk, both_doors, carrier_named, period_of
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading, writing
from gateway.services.day_end import held_in
from gateway.store import leaks
from gateway.wiring_billing import carriers_of, grace_s_of

period = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Days and months of a carrier's books.")

_PERIOD = typer.Argument(..., metavar="PERIOD", help="A day like 2026-11-24, or a month like 2026-11.")


def close(
    of: str = _PERIOD,
    carrier: str = CARRIER_OPTION,
    is_now: bool = typer.Option(False, "--now", help="Do not wait for receipts: close although the grace still runs."),
    lock: bool = typer.Option(False, "--lock", help="Lock it too."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Close a day or a month: from then on no row enters it. What comes later is booked in the open day, marked late.

    While its carrier's grace_s runs it is only marked as closing; ask again when that is over. Nothing opens again.

    \b
    Examples:
      bellhop billing close 2026-10 -c shop/bellhop.toml
      bellhop billing close 2026-11-23 --carrier cmcc-gd --now --as ann
    """
    by, wanted = actor(who), period_of("PERIOD", of)
    with writing(config) as opened:
        whose = carrier_named(opened, carrier)
        with both_doors(opened) as books:
            span = calendar.span_of(wanted, whose.zone)
            with books.reading() as conn:
                held = held_in(conn, carriers_of(opened.settings), whose, span)
            grace_us = grace_s_of(opened.settings, whose.name) * 1_000_000
            closing = Closing(whose, wanted, by, opened.clock.now_us(), grace_us, is_now, held)
            closed = periods.close(books, closing)
            if lock and closed.state is periods.PeriodState.CLOSED:
                with opened.engine.begin() as conn:
                    closed = periods.lock(conn, whose.name, wanted, actor=by, now_us=opened.clock.now_us())
            with books.reading() as conn:
                totals = periods.kept_totals(conn, whose.name, wanted)
    if as_json:
        typer.echo(json.dumps({**fields(closed), "totals": [total_fields(each) for each in totals]}))
        return
    for line in _lines(closed, totals):
        typer.echo(line)
    if closed.state is periods.PeriodState.CLOSING:
        seconds = (span.to_us + grace_us - closing.now_us) // 1_000_000
        typer.echo(f"receipts may come for {seconds} more seconds; then close it again, or now with --now", err=True)


@period.command("list")
def list_periods(carrier: str = CARRIER_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List the periods that are closing, closed or locked, the newest first.

    \b
    Example:
      bellhop billing period list -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = periods.all_of(conn, carrier_named(opened, carrier).name if carrier else "")
    if as_json:
        typer.echo(json.dumps({"periods": [fields(each) for each in found]}))
        return
    for each in found:
        typer.echo(_line(each))


@period.command()
def show(of: str = _PERIOD, carrier: str = CARRIER_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show a period and what is in it: as it was closed, or as it stands while it is open.

    \b
    Example:
      bellhop billing period show 2026-10 -c shop/bellhop.toml
    """
    wanted = period_of("PERIOD", of)
    with reading(config) as opened, opened.engine.begin() as conn:
        whose = carrier_named(opened, carrier).name
        found = periods.find(conn, whose, wanted)
        totals = periods.kept_totals(conn, whose, wanted) or periods.totals_of(conn, whose, *calendar.days(wanted))
    if as_json:
        typer.echo(json.dumps({**fields(found), "totals": [total_fields(each) for each in totals]}))
        return
    for line in _lines(found, totals):
        typer.echo(line)


@period.command("lock")
def lock_period(
    of: str = _PERIOD, carrier: str = CARRIER_OPTION, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION
) -> None:
    """Lock a closed period: what it holds is agreed with the carrier.

    \b
    Example:
      bellhop billing period lock 2026-10 --as bob -c shop/bellhop.toml
    """
    wanted = period_of("PERIOD", of)
    with at_desk(config, who) as desk:
        locked = periods.lock(desk.conn, carrier_named(desk.opened, carrier).name, wanted, actor=desk.by, now_us=desk.now_us)
    typer.echo(json.dumps(fields(locked)) if as_json else _line(locked))


def show_leaks(
    of: str = typer.Option("", "--period", metavar="PERIOD", help="Only receipts that came in this day or month."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Show what was delivered after its message had ended, and so was not charged.

    \b
    Example:
      bellhop billing leaks --period 2026-10 -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        span = calendar.span_of(period_of("--period", of), carriers_of(opened.settings).default.zone) if of else None
        found = leaks.report(conn, None if span is None else (span.from_us, span.to_us))
    if as_json:
        typer.echo(json.dumps({"leaks": [{**each._asdict(), "amount": view.money(each.amount_minor, each.currency)} for each in found]}))
        return
    if not found:
        typer.echo("nothing was delivered late and left uncharged")
    for each in found:
        money = view.money(each.amount_minor, each.currency)
        typer.echo(f"{each.link}  {each.service}  {each.parts} part(s) delivered late  {money} not charged")


def fields(found: Period) -> dict[str, Any]:
    """A period as JSON."""
    closed_at = view.time(found.closed_at, EPOCH.tzinfo) if EPOCH.tzinfo else None
    return {**found._asdict(), "period": calendar.write(found.period), "state": found.state.name.lower(), "closed_at": closed_at}


def total_fields(total: Total) -> dict[str, Any]:
    """One line of a period's contents as JSON."""
    names = {"record_type": RecordType(total.record_type).name, "state": ChargeState(total.state).name.lower()}
    return {**total._asdict(), **names, "amount": view.money(total.amount_minor, total.currency)}


def _line(found: Period) -> str:
    closed = f", closed by {found.closed_by}" if found.closed_by else ""
    held = f", {found.held} still held when it was sealed" if found.held else ""
    locked = f", locked by {found.locked_by}" if found.locked_by else ""
    return f"{calendar.write(found.period)}  {found.carrier}  {found.state.name.lower()}  {found.records} records{closed}{held}{locked}"


def _lines(found: Period, totals: list[Total]) -> list[str]:
    return [_line(found)] + [
        f"  {RecordType(each.record_type).name:<8} {ChargeState(each.state).name.lower():<10} {each.service:<16}"
        f" {each.records:>9}  {view.money(each.amount_minor, each.currency)}"
        for each in totals
    ]
