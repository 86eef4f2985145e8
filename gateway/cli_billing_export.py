"""`bellhop billing export`: charge files for the carrier."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from billing.export import Written, export
from billing.files import LocalFiles
from billing.runs import Books
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, writing
from gateway.errors import ConfigError
from gateway.store.engine import open_reading

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def export_charges(
    since: str = typer.Option(..., "--from", metavar="TIME", help="First day, or an RFC 3339 time; it is in the window."),
    until: str = typer.Option(..., "--to", metavar="TIME", help="First day, or time, that is not in the window any more."),
    folder: Path = typer.Option(..., "-o", "--output", metavar="DIR", help="Folder for the files; made when it is not there."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Write the charges booked in [FROM, TO) as CSV with a manifest; days are those of billing.time_zone.

    Repeated, it gives the same bytes again; charges booked meanwhile come in one more file. Safe beside a running gateway.

    \b
    Examples:
      bellhop billing export --from 2026-11-01 --to 2026-12-01 -o charges -c shop/bellhop.toml
      bellhop billing export --from 2026-11-23T00:00:00+08:00 --to 2026-11-23T06:00:00+08:00 -o charges --json
    """
    with writing(config) as opened:
        zone = ZoneInfo(opened.settings.billing.time_zone)
        from_us, to_us = _instant(since, zone, "--from"), _instant(until, zone, "--to")
        if not 0 <= from_us < to_us:
            raise ConfigError(["--from, --to: the window must begin before it ends, and not before 1970"])
        if to_us > opened.clock.now_us():
            typer.echo("note: the window is not over yet; charges booked later in it come in one more file", err=True)
        written = _export(opened, from_us, to_us, folder)
    if as_json:
        typer.echo(
            json.dumps(
                {"files": [{**each._asdict(), "run_id": str(each.run_id), "path": str(folder / each.file_name)} for each in written]}
            )
        )
        return
    for each in written:
        told = "" if each.is_new else "  (written before, the same bytes again)"
        typer.echo(f"{folder / each.file_name}  {each.records} records  {each.amount_minor} minor units{told}")


class _ToldFiles(LocalFiles):
    """The machine's files, telling what is being written and how far it is."""

    def write_stream(self, path: str, chunks: Iterable[bytes]) -> None:
        super().write_stream(path, self._told(Path(path).name.removesuffix(".part"), chunks))

    @staticmethod
    def _told(name: str, chunks: Iterable[bytes]) -> Iterable[bytes]:
        typer.echo(f"writing {name}", err=True)
        size = told = 0
        for chunk in chunks:
            size += len(chunk)
            if size - told >= 16 << 20:
                told = size
                typer.echo(f"writing {name}: {size >> 20} MiB", err=True)
            yield chunk


def _export(opened: Opened, from_us: int, to_us: int, folder: Path) -> list[Written]:
    settings = opened.settings
    engine = open_reading(settings.store.url)
    try:
        return export(
            Books(engine.begin, opened.engine.begin),
            from_us=from_us,
            to_us=to_us,
            folder=str(folder),
            node=settings.billing.node,
            carrier=settings.billing.carrier,
            zone=settings.billing.time_zone,
            now_us=opened.clock.now_us(),
            new_id=opened.new_id,
            files=_ToldFiles(),
        )
    finally:
        engine.dispose()


def _instant(typed: str, zone: ZoneInfo, option: str) -> int:
    """A day's beginning in the zone, or a time that says its offset, in UTC microseconds."""
    try:
        if len(typed) == len("2026-11-01"):
            day = date.fromisoformat(typed)
            at = datetime(day.year, day.month, day.day, tzinfo=zone)
        else:
            at = datetime.fromisoformat(typed)
        if at.tzinfo is None:
            raise ConfigError([f"{option}: {typed}: a time needs its offset, such as Z or +08:00"])
        return (at - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise ConfigError([f"{option}: {typed[:40]!r} is neither a day like 2026-11-01 nor a time like 2026-11-01T00:00:00Z"]) from None
