"""`bellhop billing tariff` and `price`: what things cost, who decided it, and why something would cost what it would."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import typer

from billing import tariff_view, tariffs, view
from billing.calendar import EPOCH
from billing.errors import TariffError
from billing.event import Direction, FeeClass
from billing.tariff import rate, toml
from billing.tariff.flat import FlatTariff
from billing.tariff.rate import Used
from billing.tariff.rule import Rule
from billing.tariff.version import FOREVER_US, Matcher, Question, Version, VersionState
from billing.tariffs import Kept
from gateway.cli_books import CARRIER_OPTION, carrier_named
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading, writing
from gateway.domain.address import AddressError, msisdn
from gateway.errors import ConfigError, Refused
from gateway.settings import Settings
from gateway.wiring import prices_of

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
    told = tariff_view.summary(found)
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
        typer.echo(json.dumps({"tariffs": [tariff_view.fields(each) for each in found]}))
        return
    for each in found:
        typer.echo(_line(each))


@tariff.command()
def show(version: str = _VERSION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show a version and its rules, the most exact first: that is the order in which they win.

    \b
    Example:
      bellhop billing tariff show main/2 -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        kept = tariffs.find(conn, *_named(version))
    if as_json:
        typer.echo(json.dumps(tariff_view.fields_with_rules(kept)))
        return
    typer.echo(_line(kept))
    for each in tariff_view.rules(kept.version):
        typer.echo(f"  {each.name:<24} {each.model:<12} {view.money(each.price_minor, each.currency):>14}  {_scope(each)}")


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
    to: list[str] = typer.Option(None, "--to", metavar="MSISDN", help="Phones to compare prices for; else one for each prefix named."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Show what changes between two tariffs, rule by rule, and what a message of one part costs before and after.

    \b
    Examples:
      bellhop billing tariff diff main/1 december.toml -c shop/bellhop.toml
      bellhop billing tariff diff main/1 main/2 --to +8613900001111 -c shop/bellhop.toml
    """
    first, second = _of(before, config), _of(after, config)
    compared = tariff_view.compare(first, second, [_number(each) for each in to or ()])
    if as_json:
        typer.echo(json.dumps(compared.fields()))
        return
    if not compared.changes:
        typer.echo("no rule differs")
    for each in compared.changes:
        typer.echo(f"{each.kind:<8} {each.rule}: {'; '.join(each.what)}")
    for sample in compared.prices:
        words = " ".join(f"{name} {value}" for name, value in sample.question._asdict().items() if value)
        typer.echo(f"one part, {words}: {sample.before or 'no rule'} -> {sample.after or 'no rule'}")


def price(
    service: str = typer.Option(..., "--service", help="The service."),
    to: str = typer.Option(..., "--to", metavar="MSISDN", help="The phone's number."),
    carrier: str = CARRIER_OPTION,
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
    number = _number(to)
    if direction not in Direction.__members__:
        raise ConfigError([f"--direction: must be one of {', '.join(Direction.__members__)}"])
    with reading(config) as opened, opened.engine.begin() as conn:
        settings = opened.settings
        at_us = _instant(at) if at else opened.clock.now_us()
        known = [kept.version for kept in tariffs.of_plan(conn, settings.billing.plan, VersionState.APPROVED)]
    whose = carrier_named(opened, carrier).name
    version = next((each for each in known if each.holds_at(at_us)), None)
    told = _flat(settings, service, parts, direction) if version is None else None
    if version is not None:
        rule = Matcher(version).rule_for(Question(service, whose, number, direction, item))
        if rule is not None:
            told = _Told(rate.price(rule, parts, at_us, Used(had, had)), version.name, rule.name, rule.payer)
        elif direction == "MO":
            told = _FREE_MO
        else:
            raise Refused(f"no rule of {version.name} fits service {service} on carrier {whose}")
    assert told is not None
    priced = told.priced
    amount = view.money(priced.amount_minor, priced.currency)
    if as_json:
        fields = {**priced._asdict(), "fee_class": priced.fee_class.name, "tariff_version": told.version, "tariff_rule": told.rule}
        typer.echo(json.dumps({**fields, "amount": amount, "payer": told.payer}))
        return
    typer.echo(f"{amount}  by {told.version}, rule {told.rule}, paid by {told.payer}")
    for step in priced.steps:
        typer.echo(f"  {step}")


class _Told(NamedTuple):
    """A price, and whose it is."""

    priced: rate.Priced
    version: str
    rule: str
    payer: str


_FREE_MO = _Told(
    rate.Priced(1, 0, 0, 0, FeeClass.FREE, "CNY", None, None, ("what phones send is free, unless a rule speaks of it",)),
    "flat/1",
    "mo:free",
    "nobody",
)


def _flat(settings: Settings, service: str, parts: int, direction: str) -> _Told:
    """The price of [[services]], which holds while no version of the plan does."""
    if direction == "MO":
        return _FREE_MO
    try:
        found = FlatTariff(prices_of(settings)).rate(service, parts)
    except TariffError as error:
        raise Refused(f"{error}, and no version of plan {settings.billing.plan} holds at that time") from None
    unit, total = (view.money(each, found.currency) for each in (found.unit_price_minor, found.amount_minor))
    steps = ("no version of the plan holds at that time: the price of [[services]]", f"{found.quantity} x {unit} = {total}")
    priced = rate.Priced(found.quantity, found.unit_price_minor, found.amount_minor, 0, found.fee_class, found.currency, None, None, steps)
    return _Told(priced, found.tariff_version, found.tariff_rule, "sender")


def _number(typed: str) -> str:
    try:
        return msisdn(typed).digits_or_name
    except AddressError as error:
        raise ConfigError([f"--to: {error.reason}"]) from None


def _scope(rule: Rule) -> str:
    names = ("item", "service", "carrier", "prefix", "direction")
    said = [f"{name} {value}" for name in names if (value := getattr(rule, name))]
    if rule.priority:
        said.append(f"priority {rule.priority}")
    return ", ".join(said) or "everything"


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
    typer.echo(json.dumps(tariff_view.fields(kept)) if as_json else _line(kept))


def _line(kept: Kept) -> str:
    version = kept.version
    until = f" to {tariff_view.time(version.to_us)}" if version.to_us != FOREVER_US else ""
    approved = f", approved by {kept.approved_by}" if kept.approved_by else ""
    return (
        f"{version.name}  {kept.state.name.lower()}  {len(version.rules)} rules  from {tariff_view.time(version.from_us)}{until}"
        f"  by {kept.created_by}{approved}"
    )
