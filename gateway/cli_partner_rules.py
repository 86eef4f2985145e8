"""`bellhop partner set|show|password|unbind|alert`: what a partner may do, and what it does at the moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import Connection

from gateway.cli_control import order
from gateway.cli_partner_options import merged, with_policy_options
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, secret_from, writing
from gateway.domain import credentials
from gateway.domain import policy as policies
from gateway.domain.admission import day_of
from gateway.domain.policy import KEYS, PartnerPolicy
from gateway.errors import ConfigError, Refused
from gateway.store import outbox, partner_changes, partners, usage
from gateway.store.partners import Partner

NAME_CHARS_MAX = 15
# Of a password that we make: letters and digits that nobody confuses.
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_NAME_ARGUMENT = typer.Argument(..., metavar="NAME")
_KNOWN_AT_ONCE = "the running gateway knows"
_KNOWN_SOON = "a running gateway knows within seconds"


def unknown(name: str) -> Refused:
    """There is no such partner."""
    return Refused(f'there is no partner "{name[:NAME_CHARS_MAX]}"; `bellhop partner list` shows them')


def told(config: Path) -> str:
    """Tell the running gateway, if there is one, to read its partners again; how soon it knows."""
    try:
        order(config, "POST", "/partners/refresh")
    except Refused:
        return _KNOWN_SOON
    return _KNOWN_AT_ONCE


def check_password(password: str | None) -> None:
    """Refuse a password that SMPP cannot carry; raises ConfigError."""
    if password is not None and not credentials.is_smpp_password(password):
        raise ConfigError(
            [f"--smpp-password: must be 1 to {credentials.SMPP_PASSWORD_OCTETS_MAX} visible ASCII characters, SMPP carries no more"]
        )


def hash_of(opened: Opened, password: str) -> str:
    """The hash of a password."""
    return credentials.hash_of_password(password, opened.entropy.token_bytes(credentials.SALT_OCTETS))


@with_policy_options
def set_policy(
    name: str = _NAME_ARGUMENT,
    unset: list[str] = typer.Option([], "--unset", metavar="KEY", help="Take a limit away again; may be repeated."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
    policy: dict[str, Any] = {},  # noqa: B006 - filled in by the decorator, never changed
) -> None:
    """Change what a partner may do; what is not named stays. Sessions that may not be any more are unbound.

    \b
    Examples:
      bellhop partner set acme --rate-per-s 50 --networks 192.0.2.0/24,2001:db8::/32
      bellhop partner set acme --senders '1066*,ACME' --binds-max 4
      bellhop partner set acme --unset rate-per-s
    """
    with writing(config) as opened, opened.engine.begin() as conn:
        changed = merged(_policy_of(_partner(conn, name)), policy, tuple(unset))
        partner_changes.set_policy(conn, name, policies.to_json(changed))
    known = told(config)
    if as_json:
        typer.echo(json.dumps({"partner": name, "policy": policies.changed(changed)}))
        return
    typer.echo(f"{name}: {known}")
    _echo_policy(changed)


def show(name: str = _NAME_ARGUMENT, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show what a partner may do, has used today, and has waiting; beside a running gateway its sessions too.

    \b
    Example:
      bellhop partner show acme --json
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = _partner(conn, name)
        used = usage.of_day(conn, day_of(opened.clock.now_us())).get(found.id, 0)
        held = outbox.count_waiting_for(conn, outbox.partner_target(found.id))
    policy = _policy_of(found)
    sessions = _sessions(config, name)
    if as_json:
        facts = {"partner": name, "enabled": found.is_enabled, "may_bind": found.smpp_password_hash is not None, "held": held}
        today = used if policy.messages_per_day else None
        typer.echo(json.dumps({**facts, "today": today, "sessions": sessions, "policy": policies.changed(policy)}))
        return
    door = "SMPP and HTTP" if found.smpp_password_hash is not None else "HTTP"
    typer.echo(f"partner   {name}  {'enabled' if found.is_enabled else 'disabled'}  {door}\nheld      {held} messages and receipts")
    if policy.messages_per_day:
        typer.echo(f"today     {used} of {policy.messages_per_day} messages")
    for each in sessions or []:
        typer.echo(f"session   {each['peer']}  {each['bind']}  {each['version']}{'  TLS' if each['tls'] else ''}  {each['state']}")
    if sessions == []:
        typer.echo("session   none")
    _echo_policy(policy)


def password(
    name: str = _NAME_ARGUMENT,
    smpp_password: str | None = typer.Option(None, "--smpp-password", metavar="PASSWORD", help="Left out: one is made, and shown once."),
    smpp_password_file: Path | None = typer.Option(None, "--smpp-password-file", metavar="FILE", help="Take the password from a file."),
    is_none: bool = typer.Option(False, "--none", help="Take the password away: no SMPP any more."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Give a partner a new SMPP password; its sessions are unbound.

    \b
    Examples:
      bellhop partner password acme
      bellhop partner password acme --smpp-password-file acme.password
    """
    given = secret_from(smpp_password, smpp_password_file, "--smpp-password")
    check_password(given)
    if is_none and given is not None:
        raise ConfigError(["--none: there is a password as well"])
    with writing(config) as opened:
        octets = opened.entropy.token_bytes(credentials.SMPP_PASSWORD_OCTETS_MAX)
        made = given if given is not None else "".join(_LETTERS[octet % len(_LETTERS)] for octet in octets)
        password_hash = None if is_none else hash_of(opened, made)
        with opened.engine.begin() as conn:
            if not partner_changes.set_password_hash(conn, name, password_hash):
                raise unknown(name)
    known = told(config)
    shown = made if given is None and not is_none else None
    if as_json:
        typer.echo(json.dumps({"partner": name, **({"smpp_password": shown} if shown else {})}))
        return
    typer.echo(f"{name}: {'no SMPP any more' if is_none else 'new SMPP password'}; {known}")
    if shown:
        typer.echo(f"password  {shown}   (shown only now)")


def unbind(name: str = _NAME_ARGUMENT, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """End a partner's sessions now; it may bind again unless it is disabled.

    \b
    Example:
      bellhop partner unbind acme
    """
    answer = order(config, "POST", f"/partners/{_in_path(name)}/unbind")
    typer.echo(json.dumps(answer) if as_json else f"{name}: {answer['unbound']} sessions told to unbind")


def alert(
    name: str = _NAME_ARGUMENT,
    phone: str = typer.Argument(..., metavar="MSISDN", help="The handset, in international form."),
    esme: str = typer.Option("", "--esme", metavar="ADDRESS", help="The sender that could not reach it."),
    is_available: bool = typer.Option(True, "--available/--unavailable", help="What to say of it."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Tell a partner's receivers by alert_notification that a handset can be reached again.

    \b
    Example:
      bellhop partner alert acme +8613900000001 --esme 10661800
    """
    answer = order(config, "POST", f"/partners/{_in_path(name)}/alert", {"from": phone, "to": esme, "available": is_available})
    typer.echo(json.dumps(answer) if as_json else f"{name}: {answer['alerted']} sessions told")


def add_to(partner: typer.Typer) -> None:
    """Put these commands beside the others."""
    partner.command("set")(set_policy)
    for each in (show, password, unbind, alert):
        partner.command()(each)


def _partner(conn: Connection, name: str) -> Partner:
    found = partners.by_name(conn, name)
    if found is None:
        raise unknown(name)
    return found


def _policy_of(partner: Partner) -> PartnerPolicy:
    return policies.parse(partner.policy)  # what it refuses is told in one line by cli_store


def _in_path(name: str) -> str:
    if not name or any(letter in name for letter in "/?#%\\") or not name.isascii() or not name.isprintable():
        raise unknown(name)
    return name


def _sessions(config: Path, name: str) -> list[dict[str, Any]] | None:
    """None: no gateway is there to ask."""
    try:
        answer = order(config, "GET", f"/partners/{_in_path(name)}")
    except Refused:
        return None
    sessions: list[dict[str, Any]] = answer["sessions"]
    return sessions


def _echo_policy(policy: PartnerPolicy) -> None:
    differing = policies.changed(policy)
    for key in KEYS:
        if key.name in differing:
            value = differing[key.name]
            typer.echo(f"{key.name:<20}{', '.join(value) if isinstance(value, list) else value}")
    if not differing:
        typer.echo("no limits")
