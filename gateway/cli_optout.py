"""`bellhop optout`: who wants no more messages; a running gateway stops what waits for them at once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from billing.subscriptions import Subscriptions
from gateway.cli_control import order
from gateway.cli_http import base_url
from gateway.cli_status import ask
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading, writing
from gateway.domain import failure
from gateway.errors import ConfigError
from gateway.services.opt_outs import OptOut, record
from gateway.web.control_routes import code_of, listed, number_of
from gateway.wiring_billing import booking_of, offers_of

optout = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

NUMBER = typer.Argument(..., metavar="NUMBER", help="The subscriber, such as +8613900001234.")
CODE = typer.Option("", "--code", metavar="SENDER", help="From this sender and addresses under it only; without it from all.")


@optout.command()
def add(number: str = NUMBER, code: str = CODE, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Send a subscriber nothing more; what waits for him already fails as opted out.

    \b
    Examples:
      bellhop optout add +8613900001234 --code 10661700 -c shop/bellhop.toml
      bellhop optout add +8613900001234
    """
    _decide(config, number, code, as_json, is_stopped=True)


@optout.command()
def remove(number: str = NUMBER, code: str = CODE, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Let messages to a subscriber pass again.

    \b
    Example:
      bellhop optout remove +8613900001234 --code 10661700 -c shop/bellhop.toml
    """
    _decide(config, number, code, as_json, is_stopped=False)


@optout.command("list")
def list_opt_outs(
    number: str = typer.Argument("", metavar="[NUMBER]", help="One subscriber; without it the first 10,000 opt-outs."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List who has opted out, of what, and since when.

    \b
    Examples:
      bellhop optout list -c shop/bellhop.toml
      bellhop optout list +8613900001234 --json
    """
    digits = _good(number_of, number) if number else ""
    with reading(config) as opened, opened.engine.begin() as conn:
        found = listed(conn, digits)
    if as_json:
        typer.echo(json.dumps({"opt_outs": found}))
        return
    for each in found:
        since = datetime.fromtimestamp(each["since"] / 1e6, UTC)
        typer.echo(f"{each['number']:<17}  {each['code'] or 'every sender':<21}  since {since:%Y-%m-%d %H:%M} UTC")
    if not found:
        typer.echo("nobody has opted out")


def _decide(config: Path, number: str, code: str, as_json: bool, *, is_stopped: bool) -> None:
    decision = OptOut(_good(number_of, number), _good(code_of, code), is_stopped)
    if asyncio.run(ask(base_url(None, config))) is not None:
        asked: dict[str, Any] = {"number": f"+{decision.msisdn}", "code": decision.code}
        order(config, "POST" if is_stopped else "DELETE", "/optouts", asked)
    else:
        with writing(config) as opened, opened.engine.begin() as conn:
            steps = Subscriptions(offers_of(opened.settings), into=booking_of(opened.settings))
            record(conn, decision, steps, opened.clock.now_us())
    what = f"messages from {decision.code}" if decision.code else "messages from every sender"
    told = f"+{decision.msisdn}: {what} {'are stopped' if is_stopped else 'pass again'}"
    typer.echo(json.dumps(decision._asdict()) if as_json else told)


def _good(read: Any, typed: str) -> str:
    try:
        return str(read(typed))
    except failure.Refused as refused:
        raise ConfigError([f"{'--code' if refused.field == 'code' else 'NUMBER'}: {refused.text}"]) from None
