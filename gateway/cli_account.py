"""`bellhop account`: accounts of the embedded messenger."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from billing import money
from gateway.cli_staff import ACTOR_OPTION
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading, secret_from, writing
from gateway.cli_wallet import AMOUNT, CURRENCY, REFERENCE, asked_for, balances_of, first_credit, top_up, wallet_fields
from gateway.connectors.embedded.limits import Limits
from gateway.connectors.embedded.text import check_name, check_password
from gateway.domain import credentials, failure
from gateway.errors import ConfigError, Refused
from gateway.store import im, wallets

account = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@account.command()
def add(
    nick: str = typer.Argument(..., metavar="NICK", help="The name others see."),
    password: str | None = typer.Option(None, "--password", help="Seen by whoever lists processes; better one of the next two."),
    password_file: Path | None = typer.Option(None, "--password-file", metavar="FILE", help="Take the password from a file."),
    password_prompt: bool = typer.Option(False, "--password-prompt", help="Ask for the password."),
    credit: str = typer.Option(
        "", "--credit", metavar="AMOUNT", help='First credit, in minor units or as "12.50 CNY"; else messenger.initial_credit.'
    ),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Open an account under the next free number.

    \b
    Examples:
      bellhop account add "Li Lei" --password-prompt -c shop/bellhop.toml
      bellhop account add robot --password-file robot.secret --credit 5000 --json
    """
    secret = secret_from(password, password_file, "--password")
    if password_prompt and secret is None:
        secret = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    if secret is None:
        raise ConfigError(["a password is needed: --password-prompt, --password-file or --password"])
    with writing(config) as opened:
        limits = Limits()
        _check(nick, secret, limits)
        salt = opened.entropy.token_bytes(credentials.SALT_OCTETS)
        password_hash = credentials.hash_of_password(secret, salt, passes=limits.hash_passes, memory_kib=limits.hash_memory_kib)
        first = first_credit(credit, opened.currency).amount_minor if credit else opened.settings.messenger.initial_credit
        ids = tuple(opened.new_id() for _ in range(im.SPARE_IDS))
        new = im.NewAccount(nick, password_hash, limits.account_number_min, opened.currency, first, ids, opened.clock.now_us())
        with opened.engine.begin() as conn:
            made = im.register(conn, new)
    typer.echo(
        json.dumps({"account": made.id, "nick": nick})
        if as_json
        else f"account   {made.id}\nnick      {nick}\ncredit    {money.Money(first, opened.currency)}"
    )


@account.command("list")
def list_accounts(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List accounts with what their wallets have.

    \b
    Example:
      bellhop account list -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = wallets.of_accounts(conn)
    if as_json:
        typer.echo(json.dumps({"accounts": [wallet_fields(each) for each in found]}, ensure_ascii=False))
        return
    for each in found:
        typer.echo(f"{each.number}  {each.nick:<32}  {balances_of(each)}")
    if not found:
        typer.echo("no accounts yet; `bellhop account add NICK` makes one")


@account.command("top-up")
def top_up_account(
    number: int = typer.Argument(..., metavar="NUMBER", help="The account's number."),
    amount: str = AMOUNT,
    currency: str = CURRENCY,
    reference: str = REFERENCE,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Bring money into an account's wallet.

    \b
    Examples:
      bellhop account top-up 10001 5000 --reference card-77 -c shop/bellhop.toml
      bellhop account top-up 10001 "50.00 CNY" --reference card-78 --as ann
    """
    asked = asked_for(f"im:{number}", amount, currency, reference, who)
    with writing(config) as opened, opened.engine.begin() as conn:
        if im.find_account(conn, number) is None:
            raise Refused(f"there is no account {number}; `bellhop account list` shows them")
        done = top_up(opened, conn, asked)
    typer.echo(json.dumps({"account": number, **done._asdict()}) if as_json else f"{number}: {done.told}")


def _check(nick: str, password: str, limits: Limits) -> None:
    """What the chat page refuses is refused here, as a fault of the call."""
    try:
        check_name(nick, "NICK", limits.name_chars_max)
        check_password(password, limits)
    except failure.Refused as refused:
        raise ConfigError([f"{refused.field}: {refused.text}"]) from None
