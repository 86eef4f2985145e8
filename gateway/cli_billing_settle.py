"""`bellhop billing settle` and `bellhop billing statement`: who gets what of a closed period."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from billing import calendar, resolutions, settlement_rules, settlements, statement
from billing.errors import BillingError
from billing.money import format_minor
from billing.settlement_rules import Rule
from billing.settlements import Statement
from gateway.cli_books import CARRIER_OPTION, PERIOD_OPTION, at_desk, carrier_named, period_of
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading, writing
from gateway.errors import ConfigError

REFERENCE = typer.Argument(..., metavar="STATEMENT", help="As listed, such as cmcc-gd/carrier/1 or cmcc-gd/provider/news-co/1.")
_RENDERED = {".html": "html", ".htm": "html", ".csv": "csv"}

settle = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Settle a closed period with the carrier and the content providers.")
rules = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What is agreed with each party.")
settle.add_typer(rules, name="rules")


@rules.command("import")
def import_rules(
    file: Path = typer.Argument(..., metavar="FILE", help="[[rules]] in TOML."),
    acting: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Take in rules; those that are there already are left alone, and one that says something else for the same month is refused.

    \b
    Example:
      bellhop billing settle rules import rules.toml --as li
    """
    who = actor(acting)
    try:
        read = settlement_rules.parse(file.read_text("utf-8"), str(file))
    except BillingError as error:
        raise ConfigError([str(error)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}"]) from None
    with writing(config) as opened, opened.engine.begin() as conn:
        added = settlement_rules.add(conn, read, actor=who, now_us=opened.clock.now_us())
    typer.echo(
        json.dumps({"added": added, "known": len(read) - added}) if as_json else f"{added} rules added, {len(read) - added} known before"
    )


@rules.command("show")
def show_rules(carrier: str = typer.Option("", "--carrier"), as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show every rule with the months it is for.

    \b
    Example:
      bellhop billing settle rules show --carrier cmcc-gd
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = settlement_rules.listed(conn, carrier)
    if as_json:
        typer.echo(json.dumps({"rules": [_rule_fields(rule) for rule in found]}))
        return
    for rule in found:
        until = f" to {calendar.write(rule.effective_to)}" if rule.effective_to else ""
        typer.echo(f"{rule.carrier}/{rule.party}  {rule.currency}  from {calendar.write(rule.effective_from)}{until}  {_terms(rule)}")


@settle.command()
def draft(
    carrier: str = CARRIER_OPTION,
    period: str = PERIOD_OPTION,
    acting: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Make the statements of a closed period: the carrier's, and one for each content provider, in each currency.

    Made again they are the same; a draft that lags behind new rules is computed anew.

    \b
    Example:
      bellhop billing settle draft --carrier cmcc-gd --period 2026-10 --as li
    """
    wanted = period_of("--period", period)
    with at_desk(config, acting) as desk:
        name = carrier_named(desk.opened, carrier).name
        made = settlements.draft(desk.conn, name, wanted, actor=desk.by, **desk.world)
        unresolved = resolutions.open_count(desk.conn, name, *calendar.days(wanted))
    if unresolved:
        typer.echo(f"note: {unresolved} differences with the carrier's file are not resolved yet", err=True)
    if as_json:
        typer.echo(json.dumps({"statements": [statement.fields(each) for each in made]}))
    elif made:
        for each in made:
            _tell(each)
    else:
        typer.echo(f"there is nothing to settle in {period}")


@settle.command("list")
def list_statements(carrier: str = typer.Option("", "--carrier"), as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List the statements.

    \b
    Example:
      bellhop billing settle list --carrier cmcc-gd
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = settlements.listed(conn, carrier)
    if as_json:
        typer.echo(json.dumps({"statements": [statement.fields(each) for each in found]}))
        return
    for each in found:
        _tell(each)


@settle.command()
def approve(reference: str = REFERENCE, acting: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Approve a draft that somebody else made; it is computed anew from the books first.

    \b
    Example:
      bellhop billing settle approve cmcc-gd/carrier/1 --as wang
    """
    who = actor(acting)
    with writing(config) as opened, opened.engine.begin() as conn:
        done = settlements.approve(conn, reference, actor=who, now_us=opened.clock.now_us())
    _told(done, as_json)


@settle.command()
def lock(reference: str = REFERENCE, acting: str = ACTOR_OPTION, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Lock an approved statement, once it was sent.

    \b
    Example:
      bellhop billing settle lock cmcc-gd/carrier/1 --as wang
    """
    who = actor(acting)
    with writing(config) as opened, opened.engine.begin() as conn:
        done = settlements.lock(conn, reference, actor=who, now_us=opened.clock.now_us())
    _told(done, as_json)


def write_statement(
    reference: str = REFERENCE,
    output: Path | None = typer.Option(None, "-o", "--output", metavar="FILE", help="FILE.html to print, FILE.csv for a spreadsheet."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Show a settlement's statement line by line, or write it as a page or a table.

    \b
    Examples:
      bellhop billing statement cmcc-gd/carrier/1
      bellhop billing statement cmcc-gd/carrier/1 -o cmcc-gd-2026-10.html
    """
    if output is not None and output.suffix.lower() not in _RENDERED:
        raise ConfigError([f"-o: {output.name}: ends in .html or .csv"])
    with reading(config) as opened:
        with opened.engine.begin() as conn:
            found = settlements.named(conn, reference)
        house = opened.settings.billing.node
    if output is not None:
        is_page = _RENDERED[output.suffix.lower()] == "html"
        try:
            output.write_text(statement.render_html(found, house=house) if is_page else statement.render_csv(found), "utf-8", newline="")
        except OSError as error:
            raise ConfigError([f"{output}: {error.strerror}"]) from None
    if as_json:
        typer.echo(json.dumps(statement.fields(found)))
    elif output is not None:
        typer.echo(str(output))
    else:
        _tell(found)
        for line in found.lines:
            count = f"{line.records}" if line.records else ""
            mark = "=" if line.is_total else " "
            typer.echo(
                f"{mark} {line.reason.value:<30}{count:>10}{format_minor(line.amount_minor, found.currency):>18}  {line.note}".rstrip()
            )


def _told(done: Statement, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(statement.fields(done)))
    else:
        _tell(done)


def _tell(each: Statement) -> None:
    amount = f"{format_minor(each.settled_minor, each.currency)} {each.currency}"
    by = each.locked_by or each.approved_by or each.created_by
    typer.echo(f"{each.reference}  {calendar.write(each.period)}  {each.state.name.lower()} by {by}  {amount}")


def _rule_fields(rule: Rule) -> dict[str, Any]:
    until = None if rule.effective_to is None else calendar.write(rule.effective_to)
    return {
        "carrier": rule.carrier,
        "party": rule.party,
        "currency": rule.currency,
        "from": calendar.write(rule.effective_from),
        "to": until,
        **rule.terms._asdict(),
    }


def _terms(rule: Rule) -> str:
    terms = rule.terms
    told = [f"share {terms.share_num}/{terms.share_den}"]
    for name in ("imbalance", "floor", "cap", "absolute"):
        minor = getattr(terms, f"{name}_minor")
        if minor:
            told.append(f"{name} {format_minor(minor, rule.currency)}")
    told += [f"{name} {getattr(terms, name)}" for name in ("bad_debt_ppm", "tax_ppm") if getattr(terms, name)]
    return ", ".join(told)
