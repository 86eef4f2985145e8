"""`bellhop billing rerate`: pricing anew what was charged by a wrong tariff."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import typer
from sqlalchemy import Connection

from billing import book, calendar, rerate, tariffs, view
from billing.event import Direction
from billing.rerate import Difference, Price, Rater, Run, Scope
from billing.runs import Books
from billing.tariff import rate
from billing.tariff.rule import BY_PART
from billing.tariff.version import Matcher, Question, Version
from gateway.cli_books import CARRIER_OPTION, PERIOD_OPTION, at_desk, both_doors, carrier_named, period_of
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, writing
from gateway.errors import ConfigError
from gateway.wiring_billing import booking_of

runs = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Pricing anew what was charged by a wrong tariff.")

_SHOWN = 20
_TARIFF = typer.Option(..., "--tariff", metavar="PLAN/N", help="The version that prices anew, as main/3; a draft will do.")
_SERVICE = typer.Option("", "--service", help="Only charges of this service.")
_RUN = typer.Argument(..., metavar="RUN", help="The run's number.")


@runs.command("dry-run")
def dry_run(
    period: str = PERIOD_OPTION,
    tariff: str = _TARIFF,
    carrier: str = CARRIER_OPTION,
    service: str = _SERVICE,
    output: Path | None = typer.Option(None, "-o", "--output", metavar="FILE", help="Also write every difference there, as CSV."),
    rows_max: int = typer.Option(None, "--rows", min=0, help="Most differences shown; without it 20, and with --json all."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Show what pricing anew would change; nothing is written to the books.

    \b
    Examples:
      bellhop billing rerate dry-run --period 2026-10 --tariff main/2 -c shop/bellhop.toml
      bellhop billing rerate dry-run --period 2026-10-31 --tariff main/2 -o differences.csv -c shop/bellhop.toml
    """
    with reading(config) as opened, ExitStack() as files:
        scope = _scope(opened, period, carrier, service)
        with opened.engine.begin() as conn:
            rater = _rater(_version(conn, tariff), scope.carrier)
        books = Books(opened.engine.begin, opened.engine.begin)
        report = _Report(None if output is None else files.enter_context(output.open("w", encoding="utf-8", newline="")), as_json, rows_max)
        for each in rerate.differences(books, scope, rater):
            report.add(each)
        report.end()


class _Report:
    """What a look finds, told as it is found: a month has more differences than should be in memory."""

    def __init__(self, file: TextIO | None, is_json: bool, rows_max: int | None) -> None:
        self._rows = None if file is None else csv.writer(file)
        self._is_json = is_json
        self._rows_max = (math.inf if is_json else _SHOWN) if rows_max is None else rows_max
        self._sums: dict[str, int] = {}
        self._first: list[Difference] = []
        self._count = self._left_alone = 0
        if self._rows is not None:
            self._rows.writerow((*Difference._fields, "difference_minor"))
        if is_json:
            typer.echo('{"differences": [', nl=False)

    def add(self, found: Difference) -> None:
        """Count one, and write it where it is wanted."""
        delta = found.after_minor - found.before_minor
        self._sums[found.currency] = self._sums.get(found.currency, 0) + delta
        self._left_alone += bool(found.why)
        if self._count < self._rows_max:
            if self._is_json:
                between = ", " if self._count else ""
                typer.echo(between + json.dumps({**found._asdict(), "charge_id": str(found.charge_id)}), nl=False)
            else:
                self._first.append(found)
        self._count += 1
        if self._rows is not None:
            self._rows.writerow((*found, delta))

    def end(self) -> None:
        """Tell the sums."""
        if self._is_json:
            counts = {"count": self._count, "left_alone": self._left_alone, "sums_minor": self._sums}
            typer.echo(f"], {json.dumps(counts)[1:]}")
            return
        typer.echo(f"{self._count - self._left_alone} charges would be priced anew, {self._left_alone} left alone")
        for currency, minor in sorted(self._sums.items()):
            typer.echo(f"  difference {view.money(minor, currency)}")
        for each in self._first:
            prices = f"{view.money(each.before_minor, each.currency)} -> {view.money(each.after_minor, each.currency)}"
            why = f"  left alone: {each.why}" if each.why else ""
            typer.echo(f"  {each.charge_id}  {each.service}  {prices}  {each.tariff_rule}{why}")
        if self._count > len(self._first):
            typer.echo(f"  and {self._count - len(self._first)} more; --output writes all")


@runs.command()
def request(
    period: str = PERIOD_OPTION,
    tariff: str = _TARIFF,
    carrier: str = CARRIER_OPTION,
    service: str = _SERVICE,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Ask for a run; another person must agree before anything changes.

    \b
    Example:
      bellhop billing rerate request --period 2026-10 --tariff main/2 --as ann -c shop/bellhop.toml
    """
    by = actor(who)
    with writing(config) as opened:
        scope = _scope(opened, period, carrier, service)
        with opened.engine.begin() as conn:
            version = _version(conn, tariff)
            made = rerate.request(conn, scope, version.name, run_id=opened.new_id(), actor=by, now_us=opened.clock.now_us())
    _tell(made, as_json)


@runs.command()
def approve(run: str = _RUN, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Agree to a run that another person asked for, and do it; a run that was interrupted goes on with `resume`.

    \b
    Example:
      bellhop billing rerate approve 3489660928000255 --as bob -c shop/bellhop.toml
    """
    by = actor(who)
    with writing(config) as opened:
        with opened.engine.begin() as conn:
            rerate.decide(conn, _id(run), actor=by, approves=True, now_us=opened.clock.now_us())
        _tell(_carry_out(opened, _id(run)), as_json)


@runs.command()
def refuse(run: str = _RUN, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Refuse a run that another person asked for."""
    with at_desk(config, who) as desk:
        _tell(rerate.decide(desk.conn, _id(run), actor=desk.by, approves=False, now_us=desk.now_us), as_json)


@runs.command()
def resume(run: str = _RUN, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Go on with an approved run that was interrupted."""
    with writing(config) as opened:
        _tell(_carry_out(opened, _id(run)), as_json)


@runs.command("list")
def list_runs(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List the runs, the newest first."""
    with reading(config) as opened, opened.engine.begin() as conn:
        found = rerate.listed(conn)
    if as_json:
        typer.echo(json.dumps({"runs": [rerate.fields(each) for each in found]}))
        return
    for each in found:
        typer.echo(_line(each))


def _carry_out(opened: Opened, run_id: int) -> Run:
    with opened.engine.begin() as conn:
        known = rerate.find(conn, run_id)
        rater = _rater(_version(conn, known.tariff), known.scope.carrier)

    def revenue_of(conn: Connection, currency: str) -> int:
        return book.ensure_house(conn, currency, new_id=opened.new_id, now_us=opened.clock.now_us()).revenue

    facts: dict[str, Any] = {"new_id": opened.new_id, "now_us": opened.clock.now_us()}
    with both_doors(opened) as books:
        return rerate.carry_out(books, run_id, rater, into=booking_of(opened.settings), revenue_of=revenue_of, **facts)


def _rater(version: Version, carrier: str) -> Rater:
    """Prices a charge by one version, whatever the time: of a long message, the parts that are charged."""
    matcher = Matcher(version)

    def rater(row: Mapping[str, Any]) -> Price | str:
        number = row["peer_msisdn"] or row["charged_msisdn"] or ""
        direction = Direction(row["direction"]).name
        rule = matcher.rule_for(Question(row["service"], carrier, number, direction, row["item"] or ""))
        if rule is None:
            return f"no rule of {version.name} fits it"
        if rule.is_counted:
            return f"rule {rule.name} counts, and the time for that is over"
        # Free ones were charged for no part, and delivered whole.
        parts = row["parts_charged"] or row["parts"]
        priced = rate.price(rule, parts if rule.model in BY_PART else row["parts"], row["event_at"])
        return Price(priced.amount_minor, priced.tax_minor, priced.currency, version.name, rule.name)

    return rater


def _version(conn: Connection, typed: str) -> Version:
    plan, _, number = typed.partition("/")
    if not plan or not number.isascii() or not number.isdigit() or len(number) > 9:
        raise ConfigError([f"--tariff: {typed[:40]!r} is no version; one is written as main/3"])
    return tariffs.find(conn, plan, int(number)).version


def _scope(opened: Opened, typed: str, carrier: str, service: str) -> Scope:
    first, after = calendar.days(period_of("--period", typed))
    return Scope(carrier_named(opened, carrier).name, first, after, service)


def _id(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) <= 19):
        raise ConfigError([f"RUN: {typed[:24]!r} is no number of a run"])
    return int(typed)


def _tell(run: Run, as_json: bool) -> None:
    typer.echo(json.dumps(rerate.fields(run)) if as_json else _line(run))


def _line(run: Run) -> str:
    days = f"{calendar.write(run.scope.first_day)} to {calendar.write(calendar.previous_day(run.scope.after_day))}"
    decided = f", decided by {run.decided_by}" if run.decided_by else ""
    unpaid = f", {run.unpaid} that their wallets could not pay" if run.unpaid else ""
    return (
        f"{run.id}  {run.state.name.lower()}  {run.scope.carrier} {days} by {run.tariff}"
        f"  {run.looked_at} looked at, {run.corrected} priced anew{unpaid}  asked by {run.requested_by}{decided}"
    )
