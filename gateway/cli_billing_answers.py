"""`bellhop billing why`: everything a number or an account was charged, with the tariff, the order and the receipt that prove it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path
from typing import Any, NamedTuple

import typer
from sqlalchemy import Connection

from billing import calendar, view, why
from billing.carriers import Carriers
from billing.why import Charged, Window
from gateway.cli_books import period_of
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading
from gateway.domain.address import AddressError, msisdn
from gateway.domain.ids import ID_MAX, id_floor
from gateway.domain.message import Front
from gateway.errors import ConfigError, Refused
from gateway.store import evidence
from gateway.store.evidence import Evidence
from gateway.web.billing_reads import answer_of
from gateway.wiring_billing import carriers_of

_ACCOUNT_PREFIXES = ("partner:", "im:", "sponsor:")


class _Told(NamedTuple):
    charged: Charged
    evidence: Evidence
    zone: tzinfo


def answer(
    whom: str = typer.Argument("", metavar="WHOM", help="A phone number, or a party: im:NUMBER, partner:NAME, sponsor:NAME."),
    charge: str = typer.Option("", "--charge", metavar="ID", help="Only this charge, or the one this correction belongs to."),
    since: str = typer.Option("", "--from", metavar="DAY", help="Only what was accepted on this day or later."),
    until: str = typer.Option("", "--to", metavar="DAY", help="Only what was accepted before this day."),
    rows_max: int = typer.Option(50, "--rows", min=1, max=why.ROWS_MAX, help="Most charges shown, the newest first."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Say why somebody was charged: each charge with its price, the order, the receipt, and what was given back of it.

    Days are those of billing.time_zone. Texts are never shown.

    \b
    Examples:
      bellhop billing why +8613800138000 -c shop/bellhop.toml
      bellhop billing why im:10001 --from 2026-11-01 --json
      bellhop billing why --charge 3489660928000000
    """
    if bool(whom) == bool(charge):
        raise ConfigError(["WHOM: give a number or a party, or --charge with an id"])
    with reading(config) as opened, opened.engine.begin() as conn:
        carriers = carriers_of(opened.settings)
        found = [_one(conn, charge)] if charge else _many(conn, whom, _window(since, until, rows_max, opened))
        told = [_Told(each, evidence.of_charge(conn, each.charge), _zone(carriers, each)) for each in found]
    if as_json:
        typer.echo(json.dumps({"whom": whom or None, "charges": [answer_of(*each) for each in told]}))
        return
    if not told:
        typer.echo(f"{whom}: nothing was charged")
        return
    if whom:
        typer.echo(f"{whom}: {len(told)} charge{'s' if len(told) > 1 else ''}; {_sums(told)}")
    for each in told:
        typer.echo("")
        for line in _lines(each):
            typer.echo(line)
    if len(told) == rows_max:
        typer.echo(f"\nonly the newest {rows_max}: --rows and --to show more")


def _one(conn: Connection, typed: str) -> Charged:
    if not (typed.isascii() and typed.isdigit() and 0 < int(typed[:20]) <= ID_MAX):
        raise ConfigError([f"--charge: {typed[:24]!r} is no id of a charge"])
    found = why.of_charge(conn, int(typed))
    if found is None:
        raise Refused(f"there is no charge {typed}")
    return found


def _many(conn: Connection, whom: str, window: Window) -> list[Charged]:
    if whom.startswith(_ACCOUNT_PREFIXES):
        return why.of_party(conn, whom, window)
    try:
        return why.of_number(conn, msisdn(whom).digits_or_name, window)
    except AddressError as error:
        raise ConfigError([f"WHOM: {error.reason}; or give a party: im:NUMBER, partner:NAME, sponsor:NAME"]) from None


def _window(since: str, until: str, rows_max: int, opened: Opened) -> Window:
    zone = carriers_of(opened.settings).default.zone
    least, before = (
        min(id_floor(calendar.span_of(period_of(option, typed), zone).from_us), ID_MAX) if typed else otherwise
        for option, typed, otherwise in (("--from", since, 0), ("--to", until, Window().before))
    )
    return Window(least, before, rows_max)


def _zone(carriers: Carriers, charged: Charged) -> tzinfo:
    carrier = carriers.named(charged.charge["carrier"] or "")
    return carrier.zone if carrier is not None else carriers.default.zone


def _sums(told: Iterable[_Told]) -> str:
    """What is left to pay, by currency: currencies never meet in one sum."""
    sums: dict[str, int] = {}
    for each in told:
        currency = each.charged.charge["currency"]
        sums[currency] = sums.get(currency, 0) + each.charged.paid_minor
    return ", ".join(f"{view.money(minor, currency)} paid" for currency, minor in sorted(sums.items()))


def _lines(told: _Told) -> Iterable[str]:
    charge, found = view.fields(told.charged.charge, told.zone), told.evidence
    yield f"{charge['event_at']}  charge {charge['id']}  {charge['state']}  {charge['amount']}"
    yield f"  what       {_what(charge, found)}"
    if charge["subscription"]:
        yield f"  for        subscription {charge['subscription']}, cycle {calendar.write(charge['cycle'])}"
    unit = view.money(charge["unit_price_minor"], charge["currency"])
    yield f"  price      {charge['quantity']} x {unit}, {charge['fee_class']}, {charge['tariff_version']} rule {charge['tariff_rule']}"
    for step in _steps(told.charged.charge["trace"]):
        yield f"             {step}"
    if found.order is not None:
        order = found.order
        yield f"  ordered    MO {order.mo_id} to {order.destination} at {view.time(order.at, told.zone)} over {order.link}"
    for part in found.parts:
        told_at = f" at {view.time(part.done_at, told.zone)}" if part.done_at else ""
        names = f", carrier's id {part.smsc_id}" if part.smsc_id else ""
        yield f"  part {part.number}     {part.state}{told_at} over {part.link}{names}{', error ' + part.error if part.error else ''}"
    for each in found.receipts:
        yield f"  receipt    {each.stat} at {view.time(each.at, told.zone)} over {each.link}: {each.outcome}"
    if charge["booked_at"]:
        late = ", late" if charge["late"] else ""
        yield f"  booked     {charge['booked_at']} in the books of {charge['carrier']}, {charge['period']}{late}"
    for row in told.charged.corrections:
        made = view.fields(row, told.zone)
        name, reason = made["record_type"].lower(), made["reason"] or "none"
        yield f"  {name:<10} {made['booked_at']}  {made['amount']}, reason {reason} ({made['id']})"
    if told.charged.corrections:
        yield f"  paid       {view.money(told.charged.paid_minor, charge['currency'])} after its corrections"


def _what(charge: dict[str, Any], found: Evidence) -> str:
    front = "" if found.front is None else f" by {Front(found.front).name.lower()}"
    reference = f", reference {found.reference}" if found.reference else ""
    peer = f" with {charge['peer_msisdn']}" if charge["peer_msisdn"] else ""
    sold = f"{charge['direction']} of service {charge['service']}{front}{peer}"
    return f"{sold}, {charge['parts']} part(s), payer {charge['payer']}{reference}"


def _steps(trace: str | None) -> list[str]:
    return [] if trace is None else [str(step) for step in json.loads(trace)]
