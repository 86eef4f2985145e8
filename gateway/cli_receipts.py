"""`bellhop receipts`: carriers' receipts that found no message, and what can be done about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from gateway.cli_control import order
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.domain.ids import ID_MAX, message_of
from gateway.errors import ConfigError
from gateway.smpp.consts import MessageState
from gateway.store import link_forms
from gateway.store import receipts as rows
from gateway.store.receipts import Parked, Wanted
from gateway.telemetry import mask_address

EXIT_UNKNOWN = 1
LISTED_MAX = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

receipts = typer.Typer(help="Receipts that found no message: list them, match them again, dismiss them.", no_args_is_help=True)

ID_ARGUMENT = typer.Argument(..., metavar="ID", help="The receipt's number, as `bellhop receipts parked` prints it.")
URL_OPTION = typer.Option(None, "--url", metavar="URL", help="Where the gateway answers; else the configuration's [web].")


@receipts.command()
def parked(
    link: str | None = typer.Option(None, help="Only of this link."),
    smsc_id: str | None = typer.Option(None, "--id", help="Only with this id of the carrier's."),
    handset: str | None = typer.Option(None, help="Only of this handset, as +MSISDN or digits."),
    since: datetime | None = typer.Option(None, help="Only those that came since then, UTC."),
    with_closed: bool = typer.Option(False, "--all", help="Also those that were matched, contradict an end, came late, or were dismissed."),
    limit: int = typer.Option(100, min=1, max=LISTED_MAX, help="How many at most."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List receipts that wait for their message, oldest first.

    \b
    Examples:
      bellhop receipts parked
      bellhop receipts parked --link carrier --since 2026-01-31 --json
    """
    since_us = int(since.replace(tzinfo=UTC).timestamp()) * 1_000_000 if since is not None else None
    wanted = Wanted(link, smsc_id, handset.lstrip("+") if handset is not None else None, since_us, not with_closed)
    with reading(config) as opened, opened.engine.begin() as conn:
        found = rows.page(conn, wanted, 0, limit)
        total = rows.count(conn, wanted)
        forms = {each.link: each.form for each in link_forms.all_forms(conn)}
    if as_json:
        typer.echo(json.dumps({"total": total, "forms": forms, "receipts": [fields_of(row) for row in found]}))
        return
    _show(found, total)
    for name, form in forms.items():
        typer.echo(f"link {name}: ids {form}")


@receipts.command()
def show(id_: str = ID_ARGUMENT, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show one receipt, with its addresses."""
    wanted = _number(id_)
    with reading(config) as opened, opened.engine.begin() as conn:
        row = rows.find(conn, wanted)
    if row is None:
        typer.echo(f"error: there is no parked receipt {id_}", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    fields = fields_of(row, is_masked=False)
    if as_json:
        typer.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        typer.echo(f"{name:<14} {'' if value is None else value}")


@receipts.command()
def replay(
    id_: str | None = typer.Argument(None, metavar="[ID]", help="One receipt; else give --link or --all."),
    link: str | None = typer.Option(None, help="All that wait of this link."),
    everything: bool = typer.Option(False, "--all", help="All that wait."),
    url: str | None = URL_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Match receipts again, through the running gateway, as if they came now.

    \b
    Examples:
      bellhop receipts replay 3489660928000000
      bellhop receipts replay --link carrier
    """
    if sum((id_ is not None, link is not None, everything)) != 1:
        raise ConfigError(["give one of: ID, --link NAME, --all"])
    body: dict[str, Any] = {"id": str(_number(id_))} if id_ is not None else {} if link is None else {"link": link}
    outcomes = order(config, "POST", "/receipts/replay", body, url=url)["outcomes"]
    if as_json:
        typer.echo(json.dumps(outcomes))
    else:
        typer.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "nothing waits")


@receipts.command()
def dismiss(id_: str = ID_ARGUMENT, url: str | None = URL_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Close a receipt that will never find its message."""
    order(config, "POST", "/receipts/dismiss", {"id": str(_number(id_))}, url=url)
    typer.echo(f"receipt {id_} is dismissed")


def fields_of(row: Parked, *, is_masked: bool = True) -> dict[str, Any]:
    """A receipt for people and programs; the text it quotes is not shown."""
    show_address = mask_address if is_masked else str
    return {
        "id": str(row.id),
        "link": row.link,
        "carriers_id": row.smsc_id,
        "state": _word(row.state),
        "stat": row.stat,
        "error": row.error,
        "handset": show_address(row.source) if row.source else None,
        "sender": show_address(row.destination) if row.destination else None,
        "quotes_text": bool(row.excerpt),
        "received_at": _time(row.received_at),
        "closed_at": _time(row.done_at),
        "outcome": row.outcome,
        "message": str(message_of(row.segment_id)) if row.segment_id else None,
    }


def _show(found: Sequence[Parked], total: int) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found:
        typer.echo("no receipts")
        return
    table = Table("id", "link", "carrier's id", "state", "handset", "came", "outcome")
    for row in found:
        fields = fields_of(row)
        cells = (fields[name] for name in ("id", "link", "carriers_id", "state", "handset", "received_at"))
        outcome = f"{fields['outcome']}, message {fields['message']}" if row.segment_id else fields["outcome"] or "waits"
        table.add_row(*(str(cell or "") for cell in cells), outcome)
    Console(highlight=False, soft_wrap=True, markup=False).print(table)
    if total > len(found):
        typer.echo(f"{total - len(found)} more; --limit shows more")


def _word(state: int) -> str:
    return MessageState(state).name.lower() if state in MessageState._value2member_map_ else str(state)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) <= ID_MAX):
        raise ConfigError([f"ID: {text[:24]!r} is no receipt's number"])
    return int(text)


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%SZ")
