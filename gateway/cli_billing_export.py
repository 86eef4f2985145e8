"""`bellhop billing export`: charge files for the carriers, and the list of those there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from billing import calendar, revisions, runs
from billing.carriers import Carrier
from billing.cdr import RECORD_TYPES
from billing.export import Desk, Written, check_order, export, revise
from billing.files import LocalFiles
from billing.money import exponent, format_minor
from billing.profile import Profile
from billing.runs import Books, Order, Told
from gateway.cli_billing_progress import progress
from gateway.cli_books import carrier_named, give_way, period_of
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, writing
from gateway.errors import ConfigError, Refused
from gateway.store.engine import open_reading, open_writing
from gateway.wiring_billing import carriers_of, limits_of, mask_key_of, profile_of

_PAGE_CACHE_KIB = 8_192
DEFAULT_PROFILE = Profile().name


def export_charges(
    context: typer.Context,
    period: str = typer.Option("", "--period", metavar="PERIOD", help="A month as 2026-11, or a day as 2026-11-24."),
    since: str = typer.Option("", "--from", metavar="DAY", help="First day, instead of --period."),
    until: str = typer.Option("", "--to", metavar="DAY", help="First day that is not in it any more."),
    carrier: str = typer.Option("", "--carrier", metavar="NAME", help="Only the books of this carrier; without it, of each."),
    profile: str = typer.Option(DEFAULT_PROFILE, "--profile", metavar="NAME", help="Form of the files, one of [[export_profiles]]."),
    service: str | None = typer.Option(None, "--service", metavar="NAME", help="Only charges of this service."),
    provider: str | None = typer.Option(None, "--provider", metavar="NAME", help="Only charges of this content provider."),
    folder: Path | None = typer.Option(None, "-o", "--output", metavar="DIR", help="Folder for the files; made when it is not there."),
    is_preview: bool = typer.Option(False, "--preview", help="Count and sum what would be exported, and write nothing."),
    revised: int | None = typer.Option(None, "--revise", metavar="RUN", help="Ask a second person for the next revision of a run's files."),
    reason: str = typer.Option("", "--reason", metavar="TEXT", help="Why a run is revised."),
    approval: int | None = typer.Option(None, "--approval", metavar="REQUEST", help="Write the revision that this request asked for."),
    staff: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Write the charges of a month, a day or some days as files with manifests; days are those on each carrier's clock.

    Repeated, it gives the same bytes again; charges booked meanwhile come in one more file. Safe beside a running gateway. Files that
    were given away are replaced in three steps: --revise asks, a second person approves, --approval writes.

    \b
    Examples:
      bellhop billing export --period 2026-11 --preview -c shop/bellhop.toml
      bellhop billing export --period 2026-11 --carrier cmcc -o charges -c shop/bellhop.toml
      bellhop billing export --from 2026-11-01 --to 2026-11-08 --profile analysts -o charges --json
      bellhop billing export --revise 1782417800000000255 --reason "wrong link names"
      bellhop billing export --approval 1782417900000000255 -o charges
    """
    if context.invoked_subcommand is not None:
        return
    with writing(config) as opened, _books(opened) as books:
        name = actor(staff)
        if revised is not None or approval is not None:
            others = (period, since, until, carrier, service, provider, profile != DEFAULT_PROFILE, is_preview)
            _refuse_others(revised, approval, reason, any(others))
            if revised is not None:
                _tell_asked(*_asked(opened, revised, reason, name), as_json)
                return
            assert approval is not None
            written = _revised(opened, books, name, approval, _folder(folder))
        else:
            order = _order(opened, profile, service, provider, name)
            first, after = _days(period, since, until)
            orders = [_of_carrier(order, each, first, after) for each in _carriers(opened, carrier)]
            for each in orders:
                check_order(each)
            if is_preview:
                _tell_preview([(each, runs.preview(books, each)) for each in orders], as_json)
                return
            written = _exported(opened, books, orders, _folder(folder))
    _tell_written(written, folder or Path(), as_json)


def _exported(opened: Opened, books: Books, orders: list[Order], folder: Path) -> list[Written]:
    now_us = opened.clock.now_us()
    for each in orders:
        if calendar.span(each.first, each.after, _zone(opened, each)).to_us > now_us:
            typer.echo(f"note: the days of {each.carrier} are not over yet; charges booked later in them come in one more file", err=True)
    give_way()
    written = []
    with _disk_told(), progress() as told:
        for each in orders:
            written += export(_desk(opened, books, folder, told), each)
    return written


def _asked(opened: Opened, run_id: int, reason: str, name: str) -> tuple[int, int]:
    """The run and the request that its revision became."""
    world: dict[str, Any] = {"limits": limits_of(opened.settings), "new_id": opened.new_id, "now_us": opened.clock.now_us()}
    with opened.engine.begin() as conn:
        return run_id, revisions.ask(conn, run_id, reason, actor=name, **world)[0].id


def _revised(opened: Opened, books: Books, name: str, approval: int, folder: Path) -> list[Written]:
    with books.reading() as conn:
        revision = revisions.approved(conn, approval)
    order = _order(opened, runs.by_id(books, revision.run_id).profile, None, None, name)
    give_way()
    with _disk_told(), progress() as told:
        return revise(_desk(opened, books, folder, told), order, revision)


@contextmanager
def _disk_told() -> Iterator[None]:
    """What a disk refuses, in one line; the next call goes on from there."""
    try:
        yield
    except OSError as error:
        raise Refused(
            f"{error.filename or 'the folder'}: {error.strerror or type(error).__name__}; run it again when that is mended"
        ) from error


def _desk(opened: Opened, books: Books, folder: Path, told: Told) -> Desk:
    return Desk(books, str(folder), LocalFiles(), opened.new_id, opened.clock.now_us(), mask_key_of(opened.settings), told)


@contextmanager
def _books(opened: Opened) -> Iterator[Books]:
    url = opened.settings.store.url
    # Rows are read once and in order: the great page cache of the gateway's writer would only take memory.
    engine, writer = open_reading(url), open_writing(url, page_cache_kib=_PAGE_CACHE_KIB)
    try:
        yield Books(engine.begin, writer.begin)
    finally:
        engine.dispose()
        writer.dispose()


def _order(opened: Opened, profile: str, service: str | None, provider: str | None, made_by: str) -> Order:
    settings = opened.settings
    producer = f"bellhop {version('bellhop')}"
    place = (settings.billing.carrier, settings.billing.time_zone, 0, 0)
    return Order(*place, profile_of(settings, profile), settings.billing.node, producer, made_by, service, provider)


def _of_carrier(order: Order, carrier: Carrier, first: int, after: int) -> Order:
    return order._replace(carrier=carrier.name, zone=str(carrier.zone), first=first, after=after)


def _zone(opened: Opened, order: Order) -> Any:
    return carrier_named(opened, order.carrier).zone


def _carriers(opened: Opened, name: str) -> list[Carrier]:
    return [carrier_named(opened, name)] if name else list(carriers_of(opened.settings))


def _days(period: str, since: str, until: str) -> tuple[int, int]:
    if period and (since or until):
        raise ConfigError(["--period: give it, or --from and --to"])
    if period:
        return calendar.days(period_of("--period", period))
    if not since or not until:
        raise ConfigError(["--period: give a month like 2026-11 or a day like 2026-11-24, or --from and --to"])
    first, after = _day(since, "--from"), _day(until, "--to")
    if first >= after:
        raise ConfigError(["--from, --to: the days must begin before they end"])
    return first, after


def _day(typed: str, option: str) -> int:
    if len(typed) > len("2026-11-24"):
        raise ConfigError([f"{option}: {typed[:40]!r}: files are made of whole days on the carrier's clock; give a day like 2026-11-24"])
    day = period_of(option, typed)
    if calendar.is_month(day):
        raise ConfigError([f"{option}: {typed!r} is a month; give a day like 2026-11-24, or --period {typed}"])
    return day


def _folder(folder: Path | None) -> Path:
    if folder is None:
        raise ConfigError(["-o: say into which folder the files go, or --preview"])
    return folder


def _refuse_others(run_id: int | None, approval: int | None, reason: str, has_others: bool) -> None:
    if run_id is not None and approval is not None:
        raise ConfigError(["--approval: it says which run is revised; leave --revise out"])
    option = "--approval" if run_id is None else "--revise"
    if has_others:
        raise ConfigError([f"{option}: the run says its days, carrier, profile and filters; leave them out"])
    if approval is not None and reason:
        raise ConfigError(["--approval: the request says the reason; leave --reason out"])


def _tell_asked(run_id: int, approval_id: int, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"run_id": str(run_id), "approval_id": str(approval_id)}))
        return
    typer.echo(f"{run_id}: waits for a second person: `bellhop billing approval approve {approval_id}`")
    typer.echo(f"then `bellhop billing export --approval {approval_id} -o DIR` writes the files")


def _tell_written(written: list[Written], folder: Path, as_json: bool) -> None:
    if as_json:
        files = [{**each._asdict(), "run_id": str(each.run_id), "path": str(folder / each.file_name)} for each in written]
        typer.echo(json.dumps({"files": files}))
        return
    for each in written:
        told = "" if each.is_new else "  (written before, the same bytes again)"
        typer.echo(f"{folder / each.file_name}  {each.records} records  {_sums(each.totals)}{told}")


def _sums(totals: list[dict[str, Any]]) -> str:
    sums: dict[str, int] = {}
    for line in totals:
        sums[line["currency"]] = sums.get(line["currency"], 0) + line["amount_minor"]
    return ", ".join(f"{format_minor(amount, currency)} {currency}" for currency, amount in sorted(sums.items())) or "no charges"


def _tell_preview(previews: list[tuple[Order, list[runs.Previewed]]], as_json: bool) -> None:
    if as_json:
        lines = [
            {
                **each._asdict(),
                "record_type": RECORD_TYPES[each.record_type],
                "exponent": exponent(each.currency),
                "carrier": order.carrier,
            }
            for order, found in previews
            for each in found
        ]
        typer.echo(json.dumps({"totals": lines}))
        return
    for order, found in previews:
        typer.echo(
            f"{order.carrier}: {sum(each.records for each in found)} records, {sum(each.exported for each in found)} of them in files"
        )
        for each in found:
            amount = f"{format_minor(each.amount_minor, each.currency)} {each.currency}"
            typer.echo(f"  {RECORD_TYPES[each.record_type]:<9} {each.service:<16} {each.records:>9}  {amount}")
