"""`bellhop billing subscription`: what can be had, who has it, the evidence for it, and what staff do to one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

import typer
from sqlalchemy import Connection

from billing import book, subscription_view, subscriptions, view
from billing.subscription import Status
from billing.subscriptions import Subscription, Subscriptions
from gateway.cli_books import at_desk
from gateway.cli_staff import ACTOR_OPTION
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading
from gateway.domain.address import AddressError, msisdn
from gateway.domain.ids import ID_MAX
from gateway.errors import ConfigError
from gateway.services.subscription_acts import REASON_CHARS_MAX, Staffed, SubscriptionActs
from gateway.wiring_billing import booking_of, carriers_of, offers_of

subscription = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What subscribers have, and what becomes of it.")

_NUMBER = typer.Option("", "--number", metavar="PHONE", help="A phone, whose carrier collects.")
_ACCOUNT = typer.Option("", "--account", metavar="NUMBER", help="A messenger account, whose wallet pays.")
_ID = typer.Argument(..., metavar="ID", help="The subscription's id, as `list` shows it.")
_REASON = typer.Option(..., "--reason", metavar="TEXT", help="Why; it is kept as evidence.")
_ROWS_MAX = 1_000


class _Desk(NamedTuple):
    """An open store, and what its user may do to subscriptions."""

    opened: Opened
    conn: Connection
    acts: SubscriptionActs


@subscription.command("offers")
def list_offers(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """List what can be subscribed to, as the [[offers]] of the configuration say.

    \b
    Example:
      bellhop billing subscription offers -c shop/bellhop.toml
    """
    with reading(config) as opened:
        offers = offers_of(opened.settings)
        keywords = {each.name: each.keyword for each in opened.settings.offers}
    if as_json:
        typer.echo(
            json.dumps(
                {"offers": [subscription_view.offer_fields(each, keywords[each.name]) for each in offers.values()]}, ensure_ascii=False
            )
        )
        return
    if not offers:
        typer.echo("nothing can be subscribed to: the configuration has no [[offers]]")
    for each in offers.values():
        rules = each.rules
        ordered = f"{keywords[each.name]} to {each.short_code}" if keywords[each.name] else "by staff only"
        payer = "wallet" if each.pays_from_wallet else "carrier"
        trial = f", {rules.trial_days} days free" if rules.trial_days else ""
        price = f"{view.money(each.price_minor, each.currency)} a {'month' if rules.is_monthly else 'day'}"
        typer.echo(f"{each.name:<16} {price:<20} {payer:<8} {ordered}; {rules.confirmations_required} confirmations{trial}")


@subscription.command("list")
def list_subscriptions(
    number: str = _NUMBER,
    account: str = _ACCOUNT,
    offer: str = typer.Option("", "--offer", metavar="NAME", help="Only of this offer."),
    status: str = typer.Option("", "--status", metavar="STATUS", help="Only: pending_confirm, trial, active, suspended or cancelled."),
    after: int = typer.Option(0, "--after", metavar="ID", help="Only after this id: the next page."),
    rows_max: int = typer.Option(100, "--rows", min=1, max=_ROWS_MAX, help="Most subscriptions shown."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List subscriptions, the oldest first: all of them, or those of one phone or account.

    \b
    Examples:
      bellhop billing subscription list --number +8613900001234 -c shop/bellhop.toml
      bellhop billing subscription list --status suspended --json
    """
    wanted = _status(status)
    with reading(config) as opened, opened.engine.begin() as conn:
        whose = _subscriber(number, account) if number or account else ""
        found = subscriptions.page(conn, after=after, status=wanted, offer=offer, subscriber=whose, rows_max=rows_max)
        zones = {each.id: _zone(opened, each) for each in found}
    if as_json:
        typer.echo(json.dumps({"subscriptions": [subscription_view.fields(each, zones[each.id]) for each in found]}))
        return
    if not found:
        typer.echo("no subscriptions")
    for each in found:
        typer.echo(subscription_view.line(each, zones[each.id]))
    if len(found) == rows_max:
        typer.echo(f"only {rows_max}: --after {found[-1].id} shows more", err=True)


@subscription.command()
def show(id_: str = _ID, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show one subscription: where it stands, the evidence of its order, and each cycle that was charged or failed.

    \b
    Example:
      bellhop billing subscription show 457220177920000 -c shop/bellhop.toml
    """
    wanted = _parsed(id_)
    with reading(config) as opened, opened.engine.begin() as conn:
        row = subscriptions.found(conn, wanted)
        zone = _zone(opened, row)
        history = subscription_view.history_fields(conn, row, zone)
    if as_json:
        typer.echo(json.dumps({**subscription_view.fields(row, zone), **history}, ensure_ascii=False))
        return
    typer.echo(subscription_view.line(row, zone))
    for each in history["evidence"]:
        typer.echo(f"  {each['step']:<8} {each['at']}  {each['channel']} {each['reference']}: {each['said']}")
    for each in history["cycles"]:
        charge = f"charge {each['charge']}" if each["charge"] else "no charge"
        typer.echo(f"  {each['cycle']:<10} {each['state']:<10} due {each['due_at']}  {charge}{', ' + each['code'] if each['code'] else ''}")


@subscription.command()
def start(
    offer: str = typer.Argument(..., metavar="OFFER", help="Name of the offer."),
    number: str = _NUMBER,
    account: str = _ACCOUNT,
    evidence: str = typer.Option(
        ..., "--evidence", metavar="TEXT", help="What proves that the subscriber wants it, such as a form's number."
    ),
    link: str = typer.Option("", "--link", metavar="NAME", help="The link of its carrier; without it, that of billing.carrier."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Subscribe somebody who asked for it elsewhere; the evidence stands for the order and for every confirmation.

    Who has the offer already keeps what he has, and nothing is done.

    \b
    Examples:
      bellhop billing subscription start news --number +8613900001234 --evidence "form 4711" --as ann
      bellhop billing subscription start game --account 10001 --evidence "ordered in the app" --as ann
    """
    with _desk(config, who) as desk:
        wanted = desk.acts.steps.offers.get(offer)
        if wanted is not None and bool(account) != wanted.pays_from_wallet:
            raise ConfigError([f"{'--account' if wanted.pays_from_wallet else '--number'}: this is who pays for {offer}"])
        subscriber = _subscriber(number, account)
        if link and link not in {each.name for each in desk.opened.settings.links}:
            raise ConfigError([f"--link: there is no link {link[:32]!r}"])
        said = _said("--evidence", evidence)
        done = desk.acts.start(desk.conn, offer, subscriber, link or None, said, id_=desk.opened.new_id())
        zone = _zone(desk.opened, done.subscription)
    _tell(done, zone, "has it already: ", as_json)


@subscription.command()
def cancel(
    id_: str = _ID,
    reason: str = _REASON,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """End a subscription. It is charged no more; what was charged stays, and `bellhop billing refund` gives it back.

    \b
    Example:
      bellhop billing subscription cancel 457220177920000 --reason "asked by phone" --as ann
    """
    wanted, why = _parsed(id_), _said("--reason", reason)
    with _desk(config, who) as desk:
        done = desk.acts.cancel(desk.conn, wanted, why)
        zone = _zone(desk.opened, done.subscription)
    _tell(done, zone, "was over already: ", as_json)


@subscription.command()
def suspend(
    id_: str = _ID,
    reason: str = _REASON,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Stop a subscription until it is resumed: nothing is charged meanwhile, nor for that time afterwards.

    \b
    Example:
      bellhop billing subscription suspend 457220177920000 --reason "phone is stolen" --as ann
    """
    wanted, why = _parsed(id_), _said("--reason", reason)
    with _desk(config, who) as desk:
        done = desk.acts.suspend(desk.conn, wanted, why)
        zone = _zone(desk.opened, done.subscription)
    _tell(done, zone, "was suspended already: ", as_json)


@subscription.command()
def resume(
    id_: str = _ID,
    reason: str = _REASON,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """End a suspension, ours or one after a failed charge: failed cycles are forgotten, and the next one is charged when it begins.

    \b
    Example:
      bellhop billing subscription resume 457220177920000 --reason "balance is back" --as ann
    """
    wanted, why = _parsed(id_), _said("--reason", reason)
    with _desk(config, who) as desk:
        done = desk.acts.resume(desk.conn, wanted, why)
        zone = _zone(desk.opened, done.subscription)
    _tell(done, zone, "", as_json)


@subscription.command()
def refused(
    id_: str = _ID,
    cycle: str = typer.Argument(..., metavar="CYCLE", help="The month or day that failed, such as 2026-11."),
    code: str = typer.Argument(..., metavar="CODE", help="The carrier's code, such as CB:0007."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Book that the carrier could not collect a cycle: its charge is reversed, and so many in a row end the subscription.

    The same again changes nothing.

    \b
    Example:
      bellhop billing subscription refused 457220177920000 2026-11 CB:0007 --as ann
    """
    if not 0 < len(code) <= 32 or not code.isprintable():
        raise ConfigError(["CODE: has 1 to 32 printable characters"])
    wanted = _parsed(id_)
    with _desk(config, who) as desk:
        done = desk.acts.refused(desk.conn, wanted, cycle, code, correction_id=desk.opened.new_id())
        zone = _zone(desk.opened, done.subscription)
    _tell(done, zone, "", as_json)


@contextmanager
def _desk(config: Path, who: str) -> Iterator[_Desk]:
    with at_desk(config, who) as desk:
        offers = offers_of(desk.opened.settings)
        for each in sorted({each.currency for each in offers.values()}):
            book.ensure_house(desk.conn, each, **desk.world)
        steps = Subscriptions(offers, into=booking_of(desk.opened.settings))
        yield _Desk(desk.opened, desk.conn, SubscriptionActs(steps, desk.by, desk.now_us))


def _tell(done: Staffed, zone: tzinfo, otherwise: str, as_json: bool) -> None:
    row = done.subscription
    facts = {**subscription_view.fields(row, zone), "is_new": done.is_new}
    typer.echo(json.dumps(facts) if as_json else f"{'' if done.is_new else otherwise}{subscription_view.line(row, zone)}")


def _said(option: str, text: str) -> str:
    if not 0 < len(text) <= REASON_CHARS_MAX or not text.isprintable():
        raise ConfigError([f"{option}: has 1 to {REASON_CHARS_MAX} printable characters"])
    return text


def _parsed(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and 0 < int(typed[:20]) <= ID_MAX):
        raise ConfigError([f"ID: {typed[:24]!r} is no id of a subscription"])
    return int(typed)


def _status(typed: str) -> Status | None:
    if not typed:
        return None
    known = {each.name.lower(): each for each in Status}
    if typed not in known:
        raise ConfigError([f"--status: {typed[:24]!r} is none; known are: {', '.join(known)}"])
    return known[typed]


def _subscriber(number: str, account: str) -> str:
    if bool(number) == bool(account):
        raise ConfigError(["--number, --account: give one of them"])
    if account:
        if not (account.isascii() and account.isdigit() and len(account) <= 18):
            raise ConfigError([f"--account: {account[:24]!r} is no number of an account"])
        return f"im:{int(account)}"
    try:
        return f"msisdn:{msisdn(number).digits_or_name}"
    except AddressError as error:
        raise ConfigError([f"--number: {error.reason}"]) from None


def _zone(opened: Opened, row: Subscription) -> tzinfo:
    return carriers_of(opened.settings).of_link(row.link).zone
