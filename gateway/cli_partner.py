"""`bellhop partner`: who may bind over SMPP or call the HTTP API, and what they have to spend."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import Connection

from billing import book
from gateway import cli_partner_rules as rules
from gateway.cli_partner_options import merged, with_policy_options
from gateway.cli_partner_rules import NAME_CHARS_MAX, check_password, hash_of, told, unknown
from gateway.cli_staff import ACTOR_OPTION
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, secret_from, writing
from gateway.cli_wallet import AMOUNT, CURRENCY, REFERENCE, asked_for, balances_of, first_credit, top_up, wallet_fields
from gateway.domain import credentials
from gateway.domain import policy as policies
from gateway.errors import ConfigError, Refused
from gateway.store import partner_changes, partners, wallets
from gateway.store.partners import Partner

# The name is the system_id of a bind too: SMPP 3.4 section 5.2.1 leaves 15 characters.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", re.ASCII)

partner = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@partner.command()
@with_policy_options
def add(
    name: str = typer.Argument(..., metavar="NAME", help="Its name, which is its SMPP system_id too; at most 15 characters."),
    smpp_password: str | None = typer.Option(
        None, "--smpp-password", metavar="PASSWORD", help="At most 8 characters; without it there is no SMPP."
    ),
    smpp_password_file: Path | None = typer.Option(None, "--smpp-password-file", metavar="FILE", help="Take the password from a file."),
    credit: str = typer.Option("0", "--credit", metavar="AMOUNT", help='First credit, in minor units or as "12.50 CNY".'),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
    policy: dict[str, Any] = {},  # noqa: B006 - filled in by the decorator, never changed
) -> None:
    """Add a partner with a wallet; its API key is shown once, here. It has no limits but those named here.

    \b
    Examples:
      bellhop partner add acme --smpp-password pass1 --credit 100000 -c shop/bellhop.toml
      bellhop partner add acme --smpp-password pass1 --rate-per-s 20 --binds-max 2
      bellhop partner add acme --credit 100000 --json
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigError([f"NAME: 1 to {NAME_CHARS_MAX} of letters, digits, '_', '.' and '-', the first a letter or digit"])
    password = secret_from(smpp_password, smpp_password_file, "--smpp-password")
    wanted = policies.to_json(merged(policies.DEFAULT, policy))
    check_password(password)
    with writing(config) as opened:
        first = first_credit(credit, opened.currency)
        api_key = _new_api_key(opened)
        password_hash = None if password is None else hash_of(opened, password)
        new = Partner(opened.new_id(), name, password_hash, credentials.hash_of_api_key(api_key), 0, True, wanted)
        with opened.engine.begin() as conn:
            _open(opened, conn, new, first.amount_minor)
    told(config)
    if as_json:
        typer.echo(json.dumps({"partner": name, "api_key": api_key}))
        return
    typer.echo(f"partner   {name}\nAPI key   {api_key}   (shown only now)")
    typer.echo(f"SMPP      {f'may bind as {name}' if password else 'may not bind, it has no password'}")
    typer.echo(f"credit    {first}")


@partner.command("list")
def list_partners(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List partners with what their wallets have.

    \b
    Example:
      bellhop partner list -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = wallets.of_partners(conn)
    if as_json:
        typer.echo(json.dumps({"partners": [wallet_fields(each) for each in found]}))
        return
    for each in found:
        state = "enabled" if each.is_enabled else "disabled"
        door = "SMPP and HTTP" if each.may_bind else "HTTP"
        typer.echo(f"{each.name:<15}  {state:<8}  {door:<13}  {balances_of(each)}")
    if not found:
        typer.echo("no partners yet; `bellhop partner add NAME` makes one")


@partner.command()
def disable(name: str = typer.Argument(..., metavar="NAME"), config: Path = CONFIG_OPTION) -> None:
    """Keep a partner out; its sessions are unbound within seconds, what it has sent stays.

    \b
    Example:
      bellhop partner disable acme -c shop/bellhop.toml
    """
    _set_enabled(config, name, False)


@partner.command()
def enable(name: str = typer.Argument(..., metavar="NAME"), config: Path = CONFIG_OPTION) -> None:
    """Let a partner in again.

    \b
    Example:
      bellhop partner enable acme -c shop/bellhop.toml
    """
    _set_enabled(config, name, True)


@partner.command()
def key(name: str = typer.Argument(..., metavar="NAME"), as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Give a partner a new API key, shown once, here; the one before ends within seconds.

    \b
    Example:
      bellhop partner key acme -c shop/bellhop.toml
    """
    with writing(config) as opened:
        api_key = _new_api_key(opened)
        with opened.engine.begin() as conn:
            if not partner_changes.set_api_key_hash(conn, name, credentials.hash_of_api_key(api_key)):
                raise unknown(name)
    told(config)
    typer.echo(
        json.dumps({"partner": name, "api_key": api_key}) if as_json else f"partner   {name}\nAPI key   {api_key}   (shown only now)"
    )


@partner.command("top-up")
def top_up_partner(
    name: str = typer.Argument(..., metavar="NAME"),
    amount: str = AMOUNT,
    currency: str = CURRENCY,
    reference: str = REFERENCE,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Bring money into a partner's wallet.

    \b
    Examples:
      bellhop partner top-up acme 50000 --reference invoice-2026-11 -c shop/bellhop.toml
      bellhop partner top-up acme "200.00 USD" --reference invoice-2026-12 --as ann
    """
    asked = asked_for(f"partner:{name}", amount, currency, reference, who)
    with writing(config) as opened, opened.engine.begin() as conn:
        known = partners.by_name(conn, name)
        if known is None:
            raise unknown(name)
        done = top_up(opened, conn, asked)
    if done.currency not in dict(known.wallets):
        told(config)
    typer.echo(json.dumps({"partner": name, **done._asdict()}) if as_json else f"{name}: {done.told}")


def _open(opened: Opened, conn: Connection, new: Partner, credit_minor: int) -> None:
    name = new.name
    if partners.by_name(conn, name) is not None:
        raise Refused(f'there is a partner "{name}" already')
    now_us, currency = opened.clock.now_us(), opened.currency
    book.ensure_house(conn, currency, new_id=opened.new_id, now_us=now_us)
    wallet = book.open_account(conn, opened.new_id(), f"partner:{name}", currency, True, now_us)
    partners.add(conn, new._replace(wallet=wallet), now_us)
    if credit_minor:
        book.top_up(conn, wallet, credit_minor, f"partner:{name}:first", opened.new_id(), now_us)


def _new_api_key(opened: Opened) -> str:
    return credentials.api_key_of(opened.entropy.token_bytes(credentials.API_KEY_OCTETS))


def _set_enabled(config: Path, name: str, is_enabled: bool) -> None:
    with writing(config) as opened, opened.engine.begin() as conn:
        if not partner_changes.set_enabled(conn, name, is_enabled):
            raise unknown(name)
    told(config)
    typer.echo(f"{name}: {'enabled' if is_enabled else 'disabled'}")


rules.add_to(partner)
