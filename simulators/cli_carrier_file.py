"""`bellhop sim carrier-file`: what a carrier would send for a period, with known differences."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from billing import calendar, statement_profile
from billing.errors import BillingError
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading, writing
from gateway.errors import ConfigError
from simulators import carrier_file
from simulators.carrier_file import Plan


def write_carrier_file(
    output: Path = typer.Argument(..., metavar="FILE", help="The file to write; FILE.planted.json beside it tells what was planted."),
    profile: Path = typer.Option(..., "--profile", metavar="TOML", help="The import profile to write it by."),
    carrier: str = typer.Option("", "--carrier", help="Whose books to write it from; without it, those of billing.carrier."),
    period: str = typer.Option(..., "--period", metavar="DAY|MONTH", help="2026-10, or 2026-10-05."),
    per_mille: int = typer.Option(20, "--per-mille", min=0, max=100, help="How many of 1,000 records get each kind of difference."),
    seed: int = typer.Option(1, "--seed", help="The same seed plants the same differences."),
    copy_ours: bool = typer.Option(False, "--copy-ours", help="First charge some messages twice in the store."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Write a carrier's file from the charges of a period, with differences planted in it.

    \b
    Examples:
      bellhop sim carrier-file cmcc.csv --profile cmcc.toml --carrier cmcc-gd --period 2026-10
      bellhop sim carrier-file cmcc.csv --profile cmcc.toml --carrier cmcc-gd --period 2026-10 --per-mille 0
    """
    try:
        read = statement_profile.parse(profile.read_text("utf-8"), str(profile))
        plan = Plan(carrier, calendar.parse(period), per_mille, seed)
    except BillingError as error:
        raise ConfigError([str(error)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"--profile: {profile}: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}"]) from None
    if copy_ours:
        with writing(config) as opened, opened.engine.begin() as conn:
            carrier_file.copy_ours(conn, plan._replace(carrier=carrier or opened.settings.billing.carrier))
    with reading(config) as opened, opened.engine.begin() as conn:
        plan = plan._replace(carrier=carrier or opened.settings.billing.carrier)
        made = carrier_file.write(conn, read, plan)
    told = {"file": str(output), "records": made.records, "planted": [each._asdict() for each in made.planted]}
    try:
        output.write_text(made.text, encoding=read.encoding, newline="")
        output.with_name(f"{output.name}.planted.json").write_text(json.dumps(told) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{output}: {error.strerror}"]) from None
    print(json.dumps(told) if as_json else f"{output}  {made.records} records, {len(made.planted)} differences planted")
