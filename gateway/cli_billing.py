"""`bellhop billing`: everything the billing staff does; each noun has a module of its own, and its commands are mounted here."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from billing.check import Violation
from gateway import cli_billing_approval, cli_billing_ledger, cli_billing_voucher
from gateway.cli_billing_answers import answer
from gateway.cli_billing_delivery import ack, deliver, list_files, reject
from gateway.cli_billing_export import export_charges
from gateway.cli_billing_period import close, period, show_leaks
from gateway.cli_billing_reconcile import reconcile
from gateway.cli_billing_rerate import runs
from gateway.cli_billing_settle import settle, write_statement
from gateway.cli_billing_staff import staff
from gateway.cli_billing_subscription import subscription
from gateway.cli_billing_suspense import parked
from gateway.cli_billing_tariff import price, tariff
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.store import consistency
from gateway.wiring_billing import carriers_of

EXIT_BROKEN = 1

billing = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
billing.command("why")(answer)
billing.add_typer(staff, name="staff")
billing.command("price")(price)
billing.add_typer(tariff, name="tariff")
billing.add_typer(parked, name="suspense")
billing.command("close")(close)
billing.command("leaks")(show_leaks)
billing.add_typer(period, name="period")
billing.add_typer(runs, name="rerate")
export = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
export.callback()(export_charges)
export.command("list")(list_files)
billing.add_typer(export, name="export")
for name, command in (("deliver", deliver), ("ack", ack), ("reject", reject)):
    billing.command(name)(command)
billing.add_typer(reconcile, name="reconcile")
billing.add_typer(settle, name="settle")
billing.command("statement")(write_statement)
cli_billing_ledger.add_to(billing)
billing.add_typer(cli_billing_approval.approval, name="approval")
billing.add_typer(cli_billing_voucher.voucher, name="voucher")
billing.add_typer(cli_billing_approval.log, name="audit")
billing.add_typer(subscription, name="subscription")


@billing.command()
def check(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Try every invariant of the ledger, and of charges against messages; exit code 1 when one is broken.

    \b
    Example:
      bellhop billing check -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        broken = consistency.check(conn, carriers_of(opened.settings))
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
