"""`bellhop billing`: everything the billing staff does; each noun has a module of its own, and its commands are mounted here."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from billing.check import Violation
from gateway import cli_billing_approval, cli_billing_ledger, cli_billing_voucher
from gateway.cli_billing_export import export_charges
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.store import consistency

EXIT_BROKEN = 1

billing = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
billing.command("export")(export_charges)
cli_billing_ledger.add_to(billing)
billing.add_typer(cli_billing_approval.approval, name="approval")
billing.add_typer(cli_billing_voucher.voucher, name="voucher")
billing.add_typer(cli_billing_approval.log, name="audit")


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
