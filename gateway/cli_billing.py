"""`bellhop billing`: everything the billing staff does; each noun has a module of its own, and its commands are mounted here."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from billing.check import Violation
from gateway.cli_billing_answers import answer
from gateway.cli_billing_export import export_charges
from gateway.cli_billing_period import close, period, show_leaks
from gateway.cli_billing_staff import staff
from gateway.cli_billing_subscription import subscription
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.store import consistency

EXIT_BROKEN = 1

billing = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
billing.command("export")(export_charges)
billing.command("why")(answer)
billing.add_typer(staff, name="staff")
billing.command("close")(close)
billing.command("leaks")(show_leaks)
billing.add_typer(period, name="period")
billing.add_typer(subscription, name="subscription")


@billing.command()
def check(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Try every invariant of the ledger, and of charges against messages; exit code 1 when one is broken.

    \b
    Example:
      bellhop billing check -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        broken = consistency.check(conn)
    if as_json:
        typer.echo(json.dumps({"clean": not broken, "violations": [_fields(each) for each in broken]}))
    elif broken:
        for each in broken:
            typer.echo(f"{each.invariant}: {each.count} broken: {each.detail}")
    else:
        typer.echo("the books are right: every invariant holds")
    raise typer.Exit(EXIT_BROKEN if broken else 0)


def _fields(violation: Violation) -> dict[str, object]:
    return {"invariant": violation.invariant, "count": violation.count, "detail": violation.detail}
