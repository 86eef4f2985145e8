"""`bellhop billing staff`: who may call /v1/billing, and what each may do there."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from billing import audit
from billing.audit import Act
from gateway.cli_staff import ACTOR_OPTION, actor, check_name
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, writing
from gateway.domain import credentials
from gateway.errors import ConfigError, Refused
from gateway.store import staff as members
from gateway.store.staff import Member, Scope

staff = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may call /v1/billing, and what each may do there.")

_NAME = typer.Argument(..., metavar="NAME", help="The member's name; acts are logged under it.")


@staff.command()
def add(
    name: str = _NAME,
    scopes: list[Scope] = typer.Option(..., "--may", help="What the member may do; can be given more than once."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Add a member; the key for the API is shown once, here.

    \b
    Examples:
      bellhop billing staff add ann --may act -c shop/bellhop.toml
      bellhop billing staff add bob --may approve --may read
    """
    by, name = actor(who), check_name("NAME", name)
    with writing(config) as opened, opened.engine.begin() as conn:
        key, now_us = _new_key(opened), opened.clock.now_us()
        if not members.add(conn, Member(name, credentials.hash_of_api_key(key), frozenset(scopes)), now_us):
            raise Refused(f'there is a member "{name}" already; `bellhop billing staff key {name}` gives a new key')
        audit.record(conn, Act(by, "staff.add", f"staff:{name}", {"scopes": sorted(scopes)}), now_us=now_us)
    _tell_key(name, key, as_json)


@staff.command()
def key(name: str = _NAME, who: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Give a member a new key; the old one is good for a few seconds more.

    \b
    Example:
      bellhop billing staff key ann -c shop/bellhop.toml
    """
    by = actor(who)
    with writing(config) as opened:
        made = _new_key(opened)
        _change(opened, by, name, "staff.key", key_hash=credentials.hash_of_api_key(made))
    _tell_key(name, made, as_json)


@staff.command()
def disable(name: str = _NAME, who: str = ACTOR_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Let a member's key open nothing any more."""
    with writing(config) as opened:
        _change(opened, actor(who), name, "staff.disable", is_enabled=False)
    typer.echo(f"{name}: disabled")


@staff.command()
def enable(name: str = _NAME, who: str = ACTOR_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Take a disabling back."""
    with writing(config) as opened:
        _change(opened, actor(who), name, "staff.enable", is_enabled=True)
    typer.echo(f"{name}: enabled")


@staff.command("list")
def list_members(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List the staff."""
    with reading(config) as opened, opened.engine.begin() as conn:
        found = members.everyone(conn)
    if as_json:
        typer.echo(json.dumps({"staff": [{"name": each.name, "may": sorted(each.scopes), "enabled": each.is_enabled} for each in found]}))
        return
    for each in found:
        typer.echo(f"{each.name}  may {', '.join(sorted(each.scopes))}{'' if each.is_enabled else '  (disabled)'}")


def _change(opened: Opened, by: str, name: str, act: str, **values: object) -> None:
    now_us = opened.clock.now_us()
    with opened.engine.begin() as conn:
        if not members.change(conn, name, **values):
            raise ConfigError([f'NAME: there is no member "{name[:64]}"; `bellhop billing staff list` shows all'])
        audit.record(conn, Act(by, act, f"staff:{name}"), now_us=now_us)


def _new_key(opened: Opened) -> str:
    return credentials.api_key_of(opened.entropy.token_bytes(credentials.API_KEY_OCTETS))


def _tell_key(name: str, made: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"name": name, "api_key": made}))
        return
    typer.echo(f"{name}: the key is {made}")
    typer.echo("It is not shown again. Send it as: Authorization: Bearer KEY", err=True)
