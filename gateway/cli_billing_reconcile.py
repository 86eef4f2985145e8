"""`bellhop billing reconcile`: a carrier's file against our books, and what is done about the differences."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import typer

from billing import calendar, carrier_files, recon, resolutions, statement_profile
from billing.carrier_files import Import, Source
from billing.errors import BillingError
from billing.matching import Class
from billing.money import format_minor
from billing.recon import Run
from billing.recon_sides import RunState
from billing.resolutions import Answer, Resolution, World
from gateway.cli_books import CARRIER_OPTION, PERIOD_OPTION, both_doors, carrier_named, period_of
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, writing
from gateway.errors import ConfigError
from gateway.wiring_billing import booking_of

WITHIN = "within tolerance"
_ITEM = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)
_CLASSES = ", ".join(each.name for each in Class)
_WAYS = {each.name.lower(): each for each in Resolution}

reconcile = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Compare a carrier's file with the books, and resolve the differences."
)


@reconcile.command("import")
def import_file(
    file: Path = typer.Argument(..., metavar="FILE", help="The carrier's file."),
    profile: Path = typer.Option(..., "--profile", metavar="TOML", help="How this carrier writes its files."),
    carrier: str = CARRIER_OPTION,
    period: str = PERIOD_OPTION,
    name: str = typer.Option("", "--name", metavar="NAME", help="What the books call the file; without it, its own name."),
    acting: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Read a carrier's file into the store: whole and with a trailer that agrees, or not at all. The same file counts once.

    \b
    Example:
      bellhop billing reconcile import cmcc_202610.csv --profile cmcc.toml --carrier cmcc-gd --period 2026-10
    """
    who, month = actor(acting), period_of("--period", period)
    read = statement_profile_of(profile)
    if not file.is_file():
        raise ConfigError([f"{file}: no such file"])
    with writing(config) as opened, both_doors(opened) as books:
        wanted = Import(carrier_named(opened, carrier), month, read, who)
        source = Source(name or file.name, lambda: file.open("rb"))
        done = carrier_files.import_file(books, source, wanted, file_id=opened.new_id(), now_us=opened.clock.now_us())
    if as_json:
        typer.echo(json.dumps({"file_id": str(done.file_id), "sha256": done.sha256, "records": done.lines}))
    else:
        typer.echo(f"{source.name}: {done.lines} records for {period}; compare them with `bellhop billing reconcile run`")


@reconcile.command()
def run(
    carrier: str = CARRIER_OPTION,
    period: str = PERIOD_OPTION,
    acting: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Compare a closed period with the carrier's files for it; differences inside the profile's tolerance are accepted at once.

    Run again with the same files it changes nothing and shows the same.

    \b
    Example:
      bellhop billing reconcile run --carrier cmcc-gd --period 2026-10
    """
    who, month = actor(acting), period_of("--period", period)
    with writing(config) as opened, both_doors(opened) as books:
        now_us = opened.clock.now_us()
        made, is_new = recon.compare(books, carrier_named(opened, carrier), month, actor=who, now_us=now_us)
        if made.is_within and made.state is RunState.REVIEW:
            resolutions.resolve_all(books, made.number, Answer(Resolution.ACCEPT_CARRIER, who, WITHIN), _world(opened))
        with books.reading() as conn:
            made = recon.shown(conn, made.number)
    if as_json:
        typer.echo(json.dumps({**_fields(made), "is_new": is_new}))
    else:
        _tell(made)
        if not is_new:
            typer.echo("compared before; nothing is changed")


@reconcile.command("list")
def list_runs(carrier: str = typer.Option("", "--carrier"), as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List the comparisons, and the files there are to compare.

    \b
    Example:
      bellhop billing reconcile list --carrier cmcc-gd
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        runs, files = recon.listed(conn, carrier), carrier_files.listed(conn, carrier)
    if as_json:
        facts = [carrier_files.fields(file) for file in files]
        typer.echo(json.dumps({"runs": [_fields(each) for each in runs], "files": facts}))
        return
    for file in files:
        told = f"{file.line_count} records  by {file.imported_by}"
        typer.echo(f"file {file.id}  {file.carrier}  {calendar.write(file.period)}  {file.name}  {told}")
    for each in runs:
        told = f"{each.difference_count} of {each.item_count} differ"
        typer.echo(f"comparison {each.number}  {each.carrier}  {calendar.write(each.period)}  {each.state.name.lower()}  {told}")


@reconcile.command()
def show(number: int = typer.Argument(..., metavar="RUN"), as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show one comparison: both totals, and how much of the difference is in each class.

    \b
    Example:
      bellhop billing reconcile show 1
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        made = recon.shown(conn, number)
    if as_json:
        typer.echo(json.dumps(_fields(made)))
    else:
        _tell(made)


@reconcile.command()
def items(
    number: int = typer.Argument(..., metavar="RUN"),
    kind: str = typer.Option("", "--class", metavar="CLASS", help=f"One of {_CLASSES}; without it, all but MATCH."),
    is_open: bool = typer.Option(False, "--open", help="Only those that nobody has resolved."),
    after: int = typer.Option(0, "--after", metavar="NUMBER", help="Go on behind this item."),
    limit: int = typer.Option(100, "--limit", min=1, max=10_000, help="So many at most."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List the differences of a comparison.

    \b
    Examples:
      bellhop billing reconcile items 1 --class AMOUNT_DIFF
      bellhop billing reconcile items 1 --open --json
    """
    wanted = _class(kind)
    with reading(config) as opened, opened.engine.begin() as conn:
        recon.shown(conn, number)
        found = recon.items(conn, number, kind=wanted, is_open=is_open, after=after, rows_max=limit)
    if as_json:
        typer.echo(json.dumps({"items": [resolutions.item_fields(item) for item in found]}))
        return
    for item in found:
        fields = resolutions.item_fields(item)
        both = f"ours {_amount(item.ours_minor, item)}  theirs {_amount(item.theirs_minor, item)}  {item.currency}"
        where = f"charge {item.charge_id or '-'}  line {item.line_no or '-'}"
        told = f"{fields['resolution']} by {item.resolved_by}: {item.reason}" if item.resolution else "open"
        typer.echo(f"{fields['item']}  {fields['class']}  {fields['day']}  {item.msisdn or '-'}  {item.service}  {both}  {where}  {told}")
    if len(found) == limit:
        typer.echo(f"there may be more: --after {found[-1].number}", err=True)


@reconcile.command()
def resolve(
    typed: list[str] = typer.Argument(None, metavar="[ITEM]...", help="As listed: RUN/NUMBER."),
    number: int = typer.Option(0, "--run", metavar="RUN", help="With --class: every item of that class that is open."),
    kind: str = typer.Option("", "--class", metavar="CLASS", help=f"One of {_CLASSES}."),
    by: str = typer.Option(..., "--by", metavar="WAY", help=f"One of {', '.join(_WAYS)}."),
    reason: str = typer.Option(..., "--reason", help="Why; it stands in the books."),
    acting: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Resolve differences: take the carrier's figure, claim ours, write the difference off, or correct our charge.

    What a resolution books stands in the day that is open. The same resolution again changes nothing; another one is refused, except
    that a claim can be given up.

    \b
    Examples:
      bellhop billing reconcile resolve 1/17 1/18 --by claim --reason "receipts say delivered" --as li
      bellhop billing reconcile resolve 1/17 --by write_off --reason "claim refused" --as li
      bellhop billing reconcile resolve --run 1 --class OURS_ONLY --by claim --reason "receipts say delivered" --as li
    """
    who, how = actor(acting), _WAYS.get(by)
    if how is None:
        raise ConfigError([f"--by: {by[:20]!r} is none of {', '.join(_WAYS)}"])
    if bool(typed) == bool(number and kind) or bool(number) != bool(kind):
        raise ConfigError(["name the items, or give --run and --class"])
    wanted, by_run, answer = _class(kind), _by_run(typed or []), Answer(how, who, reason)
    done: list[dict[str, Any]] = []
    with writing(config) as opened, both_doors(opened) as books:
        if number:
            with books.reading() as conn:
                recon.shown(conn, number)
            found = resolutions.resolve_all(books, number, answer, _world(opened), wanted)
            done += [{**each._asdict(), "item": f"{number}/{each.number}"} for each in found]
        for run_number, numbers in by_run.items():
            found = resolutions.resolve(books, run_number, numbers, answer, _world(opened))
            done += [{**each._asdict(), "item": f"{run_number}/{each.number}"} for each in found]
    if as_json:
        typer.echo(json.dumps({"resolved": done}))
        return
    for one in done:
        booked = f"booked {format_minor(one['booked_minor'], one['currency'])} {one['currency']}"
        typer.echo(f"{one['item']}  {by}  {booked if one['is_new'] else 'resolved so before, nothing is changed'}")
    if not done:
        typer.echo("nothing of that class is open")


@reconcile.command()
def claims(carrier: str = typer.Option("", "--carrier"), as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List what is claimed of each carrier and not answered yet.

    \b
    Example:
      bellhop billing reconcile claims
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = resolutions.claims(conn, carrier)
    if as_json:
        typer.echo(json.dumps({"claims": [each._asdict() for each in found]}))
        return
    for each in found:
        typer.echo(f"{each.carrier}  {each.items} items  {format_minor(each.claimed_minor, each.currency)} {each.currency}")
    if not found:
        typer.echo("nothing is claimed")


@reconcile.command()
def drop(
    file_id: int = typer.Argument(..., metavar="FILE_ID", help="As listed."),
    acting: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Take out a file that no comparison has used, such as one that was read by the wrong profile.

    \b
    Example:
      bellhop billing reconcile drop 1782417797900951807 --as li
    """
    who = actor(acting)
    with writing(config) as opened, both_doors(opened) as books:
        carrier_files.drop(books, file_id, actor=who, now_us=opened.clock.now_us())
    typer.echo(json.dumps({"file_id": str(file_id), "state": "taken out"}) if as_json else f"file {file_id} is taken out")


def statement_profile_of(path: Path) -> statement_profile.Profile:
    """The profile in a file; raises ConfigError for one that can't be used."""
    try:
        return statement_profile.parse(path.read_text("utf-8"), str(path))
    except BillingError as error:
        raise ConfigError([str(error)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"--profile: {path}: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}"]) from None


def _world(opened: Opened) -> World:
    return World(booking_of(opened.settings), opened.new_id, opened.clock.now_us())


def _class(typed: str) -> Class | None:
    if typed and typed.upper() not in Class.__members__:
        raise ConfigError([f"--class: {typed[:20]!r} is none of {_CLASSES}"])
    return Class[typed.upper()] if typed else None


def _by_run(typed: list[str]) -> dict[int, list[int]]:
    by_run: dict[int, list[int]] = {}
    for item in typed:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ConfigError([f"{item[:20]!r} is no item; they are called RUN/NUMBER, such as 1/17"])
        by_run.setdefault(int(match[1]), []).append(int(match[2]))
    return by_run


def _fields(made: Run) -> dict[str, Any]:
    return {**made._asdict(), "period": calendar.write(made.period), "state": made.state.name.lower()}


def _amount(minor: int, item: Any) -> str:
    return format_minor(minor, item.currency)


def _tell(made: Run) -> None:
    typer.echo(f"comparison {made.number}: {made.carrier} {calendar.write(made.period)}, {made.state.name.lower()}")
    typer.echo(f"records: ours {made.ours_count}, theirs {made.theirs_count}; {made.difference_count} of {made.item_count} items differ")
    for totals in made.totals:
        code = totals["currency"]
        ours, theirs, delta = (format_minor(totals[f"{side}_minor"], code) for side in ("ours", "theirs", "delta"))
        typer.echo(f"{code}: ours {ours}, theirs {theirs}, difference {delta}")
        for each in totals["classes"]:
            typer.echo(f"  {each['class']:<13}{each['count']:>9}{format_minor(each['delta_minor'], code):>15}")
