"""`bellhop route`: which link a message would take and why, the rules in force, and a check of everything they are made from."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import typer

from gateway.cli_control import order
from gateway.cli_http import base_url
from gateway.cli_status import ask
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.domain import failure
from gateway.domain.address import mask
from gateway.errors import ConfigError, Refused
from gateway.real_world import RealClock, RealDisk
from gateway.services import route_sources
from gateway.services.routing import explained
from gateway.settings import Settings
from gateway.settings_file import load
from gateway.store import partners
from gateway.web.control_routes import facts_of
from gateway.wiring_routes import sources_of

route = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@route.command()
def explain(
    to: str = typer.Argument(..., metavar="NUMBER", help="Where the message goes, such as +8613900001234."),
    sender: str = typer.Option("", "--from", metavar="SENDER", help="Its sender."),
    partner: str = typer.Option("", "--partner", metavar="NAME", help="The partner that sends it."),
    service: str = typer.Option("", "--service", metavar="NAME", help="The service it is sent as; without it the default one."),
    front: str = typer.Option("", "--front", metavar="DOOR", help="smpp, http, im or gateway."),
    at: str = typer.Option("", "--at", metavar="TIME", help="When, such as 2026-11-23T22:30+08:00; without it now."),
    url: str | None = typer.Option(None, "--url", help="The gateway's address; without it the configuration's [web]."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Say which link a message would take and which rule says so; nothing is sent.

    The running gateway is asked. When none answers, the configuration is, and every link counts as up.

    \b
    Examples:
      bellhop route explain +8613900001234 --partner acme --from 10661800 -c shop/bellhop.toml
      bellhop route explain +8613900001234 --at 2026-11-23T22:30+08:00 --json
    """
    asked = {"to": to, "from": sender, "partner": partner, "service": service, "front": front, "at": at}
    asked = {name: value for name, value in asked.items() if value}
    if answers(config, url):
        told = {**order(config, "GET", f"/routes/explain?{urlencode(asked)}", url=url), "asked": "gateway"}
    else:
        told = {**_from_configuration(config, asked), "asked": "configuration"}
    if as_json:
        typer.echo(json.dumps(told))
        return
    for line in _lines(told, to):
        typer.echo(line)


@route.command("list")
def list_rules(
    url: str | None = typer.Option(None, "--url", help="The gateway's address; without it the configuration's [web]."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List the rules the running gateway goes by, with the state of their links.

    \b
    Example:
      bellhop route list -c shop/bellhop.toml
    """
    found = order(config, "GET", "/routes", url=url)
    if as_json:
        typer.echo(json.dumps(found))
        return
    width = _width(found["rules"])
    for number, rule in enumerate(found["rules"], 1):
        links = ", ".join(f"{link} ({state})" for link, state in rule["links"].items())
        typer.echo(f"{number:>3}  {rule['rule']:<{width}}  {links or 'rejects: ' + rule['rejects']}")
    if not found["rules"]:
        typer.echo("no rules: the first link that is up takes every message")


@route.command()
def check(config: Path = CONFIG_OPTION) -> None:
    """Check rules, lists and tables: their files are read whole, and partners looked up in the store where there is one.

    \b
    Example:
      bellhop route check -c shop/bellhop.toml
    """
    loaded = load(config, os.environ)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    routes = _read(loaded.settings)
    for line in _unknown_partners(config, loaded.settings):
        typer.echo(f"warning: {line}", err=True)
    counts = routes.counts()
    typer.echo(
        f"{config}: good ({counts['rules']} rules, {counts['lists']} number lists, "
        f"{counts['numbering']} entries of numbering, {counts['rates']} rates)"
    )


@route.command()
def reload(
    url: str | None = typer.Option(None, "--url", help="The gateway's address; without it the configuration's [web]."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Have the running gateway read its number lists, numbering and rates again; a bad file changes nothing.

    \b
    Example:
      bellhop route reload -c shop/bellhop.toml
    """
    counts = order(config, "POST", "/routes/reload", url=url)
    told = f"read again: {counts['lists']} number lists, {counts['numbering']} entries of numbering, {counts['rates']} rates"
    typer.echo(json.dumps(counts) if as_json else told)


def answers(config: Path, url: str | None) -> bool:
    """Whether the gateway of a configuration runs."""
    return asyncio.run(ask(base_url(url, config))) is not None


def _from_configuration(config: Path, asked: dict[str, Any]) -> dict[str, Any]:
    settings = load(config, os.environ).settings
    routes = _read(settings)
    names = [link.name for link in settings.links]
    try:
        facts = facts_of(asked, RealClock().now_us(), settings.services[0].name if settings.services else "")
    except failure.Refused as refused:
        raise ConfigError([f"{refused.field}: {refused.text}"]) from None
    return explained(routes, facts, lambda link: "" if link in names else "unknown", lambda: names[0] if names else "")


def _read(settings: Settings) -> route_sources.Routes:
    try:
        return route_sources.read(RealDisk(), sources_of(settings))
    except failure.Refused as refused:
        raise ConfigError([refused.text]) from None


def _unknown_partners(config: Path, settings: Settings) -> Iterator[str]:
    named = {partner: f'routes: rule "{route.name}"' for route in settings.routes for partner in route.partners}
    named |= {each.partner: f'number_lists: list "{each.name}"' for each in settings.number_lists if each.partner}
    if not named:
        return
    try:
        with reading(config) as opened, opened.engine.begin() as conn:
            known = {partner.name for partner in partners.all_partners(conn)}
    except Refused as refused:
        yield f"partners cannot be looked up: {refused.lines[0]}"
        return
    for partner in sorted(named.keys() - known):
        yield f'{named[partner]} names partner "{partner}", which is not there; `bellhop partner list` shows them'


def _lines(told: dict[str, Any], to: str) -> Iterator[str]:
    if told["asked"] == "configuration":
        yield "no gateway answers; this is what the configuration says, with every link up"
    if told["network"]:
        yield f"{mask(to.lstrip('+'))} is of {told['network']}, by the {'portability table' if told['ported'] else 'numbering plan'}"
    width = _width(told["rules"])
    for number, rule in enumerate(told["rules"], 1):
        yield f"{number:>3}  {rule['rule']:<{width}}  {rule['verdict']:<11}  {rule['why']}".rstrip()
    if told["refused"]:
        yield f"refused ({told['refused']}): {told['why']}"
        return
    said = f", by rule {told['rule']}" if told["rule"] else ""
    sender = f", from {told['sender']}" if told["sender"] else ""
    yield f"link {told['link']}{said}{sender}: {told['why']}"


def _width(rules: list[dict[str, Any]]) -> int:
    return max((len(rule["rule"]) for rule in rules), default=0)
