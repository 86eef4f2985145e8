"""`bellhop billing tariff` and `price`: what things cost, who decided it, and why something would cost what it would."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from billing import tariffs, view
from billing.calendar import EPOCH
from billing.errors import TariffError
from billing.tariff import diff as differences
from billing.tariff import rate, toml
from billing.tariff.rate import Used
from billing.tariff.version import FOREVER_US, Matcher, Question, Version, VersionState
from billing.tariffs import Kept
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading, writing
from gateway.domain.address import AddressError, msisdn
from gateway.errors import ConfigError, Refused
from gateway.wiring_billing import carriers_of

tariff = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Tariffs: drafted by one person, approved by another.")

_FILE = typer.Argument(..., metavar="FILE", help="A tariff as TOML.")
_VERSION = typer.Argument(..., metavar="PLAN/N", help="A version, as main/3.")


@tariff.command()
def check(file: Path = _FILE, as_json: bool = JSON_OPTION) -> None:
    """Read a tariff and say what is wrong in it, with line and field; nothing is stored.

    \b
    Example:
      bellhop billing tariff check december.toml
    """
    found = _read(file)
    told = {"plan": found.plan, "rules": len(found.rules), "from": _time(found.from_us), "to": _time(found.to_us)}
    typer.echo(json.dumps(told) if as_json else f"{file}: good: {len(found.rules)} rules of plan {found.plan}, from {told['from']}")


@tariff.command("import")
def import_tariff(file: Path = _FILE, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Keep a tariff as the next draft of its plan; it prices nothing until another person approves it.

    \b
    Example:
      bellhop billing tariff import december.toml --as ann -c shop/bellhop.toml
    """
    by, found = actor(who), _read(file)
    with writing(config) as opened, opened.engine.begin() as conn:
        _tell(tariffs.draft(conn, found, actor=by, now_us=opened.clock.now_us()), as_json)


@tariff.command()
def approve(
    version: str = _VERSION,
    is_now: bool = typer.Option(False, "--now", help="Although it would hold within a minute, or since before now."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Let a draft hold from its time on; it must be somebody else's. What is approved never changes.

    \b
    Example:
      bellhop billing tariff approve main/2 --as bob -c shop/bellhop.toml
    """
    by, (plan, number) = actor(who), _named(version)
    with writing(config) as opened, opened.engine.begin() as conn:
        _tell(tariffs.approve(conn, plan, number, actor=by, now_us=opened.clock.now_us(), is_now=is_now), as_json)


@tariff.command()
def retire(version: str = _VERSION, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Let a version hold no longer, or drop a draft; what it priced stays priced."""
    by, (plan, number) = actor(who), _named(version)
    with writing(config) as opened, opened.engine.begin() as conn:
        _tell(tariffs.retire(conn, plan, number, actor=by, now_us=opened.clock.now_us()), as_json)


@tariff.command("list")
def list_tariffs(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List every version of every plan."""
    with reading(config) as opened, opened.engine.begin() as conn:
        found = tariffs.of_plan(conn)
    if as_json:
        typer.echo(json.dumps({"tariffs": [_fields(each) for each in found]}))
        return
    for each in found:
        typer.echo(_line(each))


@tariff.command()
def export(version: str = _VERSION, config: Path = CONFIG_OPTION) -> None:
    """Print a version as TOML.

    \b
    Example:
      bellhop billing tariff export main/2 -c shop/bellhop.toml > december.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        sys.stdout.write(toml.write(tariffs.find(conn, *_named(version)).version))


@tariff.command()
def diff(
    before: str = typer.Argument(..., metavar="BEFORE", help="A version, as main/1, or a file."),
    after: str = typer.Argument(..., metavar="AFTER", help="A version, or a file."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Show what changes between two tariffs, rule by rule.

    \b
    Example:
      bellhop billing tariff diff main/1 december.toml -c shop/bellhop.toml
    """
    changes = differences.compare(_of(before, config), _of(after, config))
    if as_json:
        typer.echo(json.dumps({"changes": [each._asdict() for each in changes]}))
        return
    if not changes:
        typer.echo("no rule differs")
    for each in changes:
        typer.echo(f"{each.kind:<8} {each.rule}: {'; '.join(each.what)}")


def price(
    service: str = typer.Option(..., "--service", help="The service."),
    to: str = typer.Option(..., "--to", metavar="MSISDN", help="The phone's number."),
    carrier: str = typer.Option("", "--carrier", help="The carrier; without it billing.carrier."),
    parts: int = typer.Option(1, "--parts", min=1, max=255, help="How many parts the message has."),
    at: str = typer.Option("", "--at", metavar="TIME", help="When, as 2026-12-01T08:00:00+08:00; without it now."),
    item: str = typer.Option("", "--item", help="What is bought."),
    direction: str = typer.Option("MT", "--direction", help="MT, MO or DL."),
    had: int = typer.Option(0, "--had", min=0, help="How many units the payer had before in this month."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Say what something would cost, and why.

    \b
    Examples:
      bellhop billing price --service premium --to +8613800138000 -c shop/bellhop.toml
      bellhop billing price --service chat --to +8613800138000 --parts 3 --had 100 --at 2026-12-24T20:00:00+08:00
    """
    try:
        number = msisdn(to).digits_or_name
    except AddressError as error:
        raise ConfigError([f"--to: {error.reason}"]) from None
    with reading(config) as opened, opened.engine.begin() as conn:
        plan = opened.settings.billing.plan
        at_us = _instant(at) if at else opened.clock.now_us()
        whose = carrier or carriers_of(opened.settings).default.name
        known = [kept.version for kept in tariffs.of_plan(conn, plan, VersionState.APPROVED)]
    version = next((each for each in known if each.holds_at(at_us)), None)
    if version is None:
        raise Refused(f"no version of plan {plan} holds at that time; the prices of [[services]] do")
    rule = Matcher(version).rule_for(Question(service, whose, number, direction, item))
    if rule is None:
        raise Refused(f"no rule of {version.name} fits service {service} on carrier {whose}")
    priced = rate.price(rule, parts, at_us, Used(had, had))
    amount = view.money(priced.amount_minor, priced.currency)
    if as_json:
        told = {**priced._asdict(), "fee_class": priced.fee_class.name, "tariff_version": version.name, "tariff_rule": rule.name}
        typer.echo(json.dumps({**told, "amount": amount, "payer": rule.payer}))
        return
    typer.echo(f"{amount}  by {version.name}, rule {rule.name}, paid by {rule.payer}")
    for step in priced.steps:
        typer.echo(f"  {step}")


def _read(file: Path) -> Version:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}"]) from None
    try:
        return toml.parse(text, file=str(file))
    except TariffError as error:
        raise ConfigError([str(error)]) from None


def _of(typed: str, config: Path) -> Version:
    if not Path(typed).suffix:
        with reading(config) as opened, opened.engine.begin() as conn:
            return tariffs.find(conn, *_named(typed)).version
    return _read(Path(typed))


def _named(typed: str) -> tuple[str, int]:
    plan, _, number = typed.partition("/")
    if not plan or not number.isascii() or not number.isdigit() or len(number) > 9:
        raise ConfigError([f"PLAN/N: {typed[:40]!r} is no version; one is written as main/3"])
    return plan, int(number)


def _instant(typed: str) -> int:
    try:
        at = datetime.fromisoformat(typed)
        if at.tzinfo is None:
            raise ValueError
        return (at - EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise ConfigError([f"--at: {typed[:40]!r} is no time with its offset, such as 2026-12-01T08:00:00+08:00"]) from None


def _tell(kept: Kept, as_json: bool) -> None:
    typer.echo(json.dumps(_fields(kept)) if as_json else _line(kept))


def _fields(kept: Kept) -> dict[str, Any]:
    version = kept.version
    return {
        "version": version.name,
        "state": kept.state.name.lower(),
        "from": _time(version.from_us),
        "to": _time(version.to_us),
        "rules": len(version.rules),
        "sha256": kept.sha256,
        "created_by": kept.created_by,
        "approved_by": kept.approved_by,
    }


def _line(kept: Kept) -> str:
    version = kept.version
    until = f" to {_time(version.to_us)}" if version.to_us != FOREVER_US else ""
    approved = f", approved by {kept.approved_by}" if kept.approved_by else ""
    return (
        f"{version.name}  {kept.state.name.lower()}  {len(version.rules)} rules  from {_time(version.from_us)}{until}"
        f"  by {kept.created_by}{approved}"
    )


def _time(at_us: int) -> str | None:
    return None if at_us == FOREVER_US else (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds")
