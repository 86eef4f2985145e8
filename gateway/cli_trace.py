"""`bellhop trace` and `bellhop status`: what became of a message, and how the gateway is."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import Connection, select

from billing.event import ChargeState, TransferState
from billing.money import Money, format_minor
from billing.schema import transfer
from gateway import cli_status
from gateway.cli_http import base_url
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.domain.address import TON_INTERNATIONAL
from gateway.domain.ids import ID_MAX, message_of
from gateway.domain.message import STATE_NAMES, Front, Message, State
from gateway.errors import ConfigError
from gateway.smpp.vendor_tlv import VendorTlvs
from gateway.store import trace as traces
from gateway.store.trace import Trace
from gateway.wiring import vendor_tlvs

EXIT_UNKNOWN = 1
EXIT_NOT_READY = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trace(
    message_id: str = typer.Argument(..., metavar="ID", help="The message's id, or that of one of its parts."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Show the whole life of a message: parts, attempts, carrier's ids, charge and transfers. Its text is not shown.

    \b
    Example:
      bellhop trace 3489660928000000 -c shop/bellhop.toml
    """
    if not (message_id.isascii() and message_id.isdigit() and 0 < int(message_id[:20]) <= ID_MAX):
        raise ConfigError([f"ID: {message_id[:24]!r} is no message id; it is a number, as the API and the log print it"])
    wanted = message_of(int(message_id))
    with reading(config) as opened, opened.engine.begin() as conn:
        life = traces.read(conn, wanted)
        moved = _transfers(conn, wanted)
        known = vendor_tlvs(opened.settings)
    if life is None:
        typer.echo(f"error: there is no message {message_id}", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    if as_json:
        typer.echo(json.dumps(_fields(life, moved, known)))
    else:
        _show(life, moved, known)


def status(
    as_json: bool = JSON_OPTION,
    url: str | None = typer.Option(None, "--url", metavar="URL", help="Where the gateway answers; else the configuration's [web]."),
    config: Path = CONFIG_OPTION,
) -> None:
    """Show links, partners and queues of the running gateway; exit code 0 when it is ready, 3 when not.

    \b
    Example:
      bellhop status -c shop/bellhop.toml
    """
    where = base_url(url, config)
    found = asyncio.run(cli_status.ask(where))
    if found is None:
        found = {"ready": False, "answers": False, "url": where, **cli_status.from_store(config)}
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for line in cli_status.lines_of(found):
            typer.echo(line)
    raise typer.Exit(0 if found["ready"] else EXIT_NOT_READY)


def _transfers(conn: Connection, message_id: int) -> list[dict[str, Any]]:
    columns = (
        transfer.c.state,
        transfer.c.amount_minor,
        transfer.c.posted_minor,
        transfer.c.currency,
        transfer.c.created_at,
        transfer.c.settled_at,
    )
    return [dict(row) for row in conn.execute(select(*columns).where(transfer.c.id == message_id)).mappings()]


def _fields(life: Trace, moved: list[dict[str, Any]], known: VendorTlvs) -> dict[str, Any]:
    message = life.message
    return {
        "id": str(message.id),
        "state": life.state_name,
        "front": Front(message.front).name.lower(),
        "from": _shown(message.source, message.source_ton),
        "to": _shown(message.destination, message.destination_ton),
        "service": message.service,
        "reference": message.reference,
        "segments": message.segments,
        "tlvs": known.named(life.tlvs),
        "accepted_at": _time(message.accepted_at),
        "schedule_at": _time(life.schedule_at),
        "expires_at": _time(message.expires_at),
        "parts": [_part(part, part["id"] - message.id) for part in life.parts],
        "charge": None
        if life.charge is None
        else {**life.charge, "state": _charge_state(life.charge), "booked_at": _time(life.charge["booked_at"])},
        "transfers": [
            {
                **each,
                "state": TransferState(each["state"]).name.lower(),
                "created_at": _time(each["created_at"]),
                "settled_at": _time(each["settled_at"]),
            }
            for each in moved
        ],
        "history": [{"at": _time(step.at), "part": step.part, "event": step.event, "detail": step.detail} for step in life.history],
    }


def _part(part: dict[str, Any], number: int) -> dict[str, Any]:
    times = {name: _time(part[name]) for name in ("retry_at", "claimed_at", "submitted_at", "done_at")}
    return {**part, "id": str(part["id"]), "number": number, "state": STATE_NAMES[State(part["state"])], **times}


def _show(life: Trace, moved: list[dict[str, Any]], known: VendorTlvs) -> None:
    from rich.console import Console
    from rich.table import Table

    fields = _fields(life, moved, known)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(_headline(life.message, fields))
    if fields["tlvs"]:
        console.print("passed on: " + ", ".join(f"{name} {value}" for name, value in fields["tlvs"].items()))
    parts = Table("part", "state", "link", "tries", "carrier's id", "error", title="parts", title_justify="left")
    for part in fields["parts"]:
        again = " (possible duplicate)" if part["is_possible_duplicate"] else ""
        cells = (part["number"], part["state"] + again, part["link"], part["attempts"], part["smsc_id"] or "", part["error"] or "")
        parts.add_row(*map(str, cells))
    console.print(parts)
    history = Table("time (UTC)", "part", "what", "detail", title="history", title_justify="left")
    for step in fields["history"]:
        history.add_row(step["at"], str(step["part"] or "all"), step["event"], step["detail"])
    console.print(history)
    for line in _money_lines(fields):
        console.print(line)


def _headline(message: Message, fields: dict[str, Any]) -> str:
    return (
        f"message {message.id}: {fields['state']}\n"
        f"from {fields['from']} to {fields['to']}, {message.segments} part(s), service {message.service}, by {fields['front']}"
    ) + (f", reference {message.reference}" if message.reference else "")


def _money_lines(fields: dict[str, Any]) -> list[str]:
    charge = fields["charge"]
    lines = ["charge: none"]
    if charge is not None:
        amount = Money(charge["amount_minor"], charge["currency"])
        priced = f"{charge['quantity']} x {format_minor(charge['unit_price_minor'], charge['currency'])}"
        lines = [f"charge: {charge['state']}, {amount} ({priced}, {charge['tariff_rule']})"]
    for each in fields["transfers"]:
        settled = f", settled {each['settled_at']}" if each["settled_at"] else ""
        held, posted = (format_minor(each[name], each["currency"]) for name in ("amount_minor", "posted_minor"))
        lines.append(f"transfer: {each['state']}, held {held}, posted {posted} {each['currency']}{settled}")
    return lines


def _charge_state(charge: dict[str, Any]) -> str:
    return ChargeState(charge["state"]).name.lower()


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _shown(digits: str, ton: int) -> str:
    return f"+{digits}" if ton == TON_INTERNATIONAL else digits
