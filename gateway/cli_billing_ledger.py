"""`bellhop billing refund`, `adjust`, `goodwill`, `writeoff`, `account` and `balance`: money moved by people, and where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import typer

from billing import accounts, money, reasons, refunds
from billing.accounts import Account, ClassTotal, HoldAge
from billing.calendar import EPOCH
from billing.errors import MoneyError
from billing.event import TransferState
from billing.refunds import Asked, Corrected, Refund, Refunded
from gateway.cli_books import Desk, at_desk
from gateway.cli_staff import ACTOR_OPTION
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.errors import ConfigError
from gateway.wiring_billing import booking_of, limits_of

EXIT_BROKEN = 1
ROWS_MAX = 10_000

account = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Wallets of partners, messenger accounts and sponsors.")

_CHARGE = typer.Argument(..., metavar="CHARGE", help="The charge's number: that of its message, or of its record in a file.")
_REASON = typer.Option(..., "--reason", metavar="CODE", help=f"Why: one of {', '.join(reasons.REASONS)}.")
_REFERENCE = typer.Option("", "--reference", metavar="TEXT", help="Your number of the case; the same one twice is done once.")
_PARTY = typer.Argument(..., metavar="PARTY", help="Whose: partner:NAME, im:NUMBER or sponsor:NAME.")
_CURRENCY = typer.Option("", "--currency", metavar="CODE", help="The wallet in this currency; without it, the one opened first.")
_ROWS = typer.Option(100, "--rows", metavar="NUMBER", min=1, max=ROWS_MAX, help="At most so many.")
_AMOUNT = typer.Option("", "--amount", metavar="AMOUNT", help="How much, as 12.50, in the charge's currency; without it, all that remains.")


def refund(
    charge: int = _CHARGE,
    amount: str = _AMOUNT,
    double: bool = typer.Option(False, "--double", help="Give back billing.refund_multiplier times the amount; the extra is goodwill."),
    reason: str = _REASON,
    reference: str = _REFERENCE,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Give back a charge, wholly or in part, and never more than was captured; above billing.approval_above it waits for a second person.

    \b
    Examples:
      bellhop billing refund 7306115497984000 --reason dispute -c shop/bellhop.toml
      bellhop billing refund 7306115497984000 --amount 0.10 --reason wrong-price --reference case-77
      bellhop billing refund 7306115497984000 --double --reason no-order --as li
    """
    with at_desk(config, who) as desk:
        currency = refunds.currency_of(desk.conn, charge)
        times = desk.opened.settings.billing.refund_multiplier if double else 1
        asked = Refund(charge, _minor(amount, currency), reason, reference or _own_reference(desk), desk.by, times)
        done = refunds.refund(desk.conn, asked, **_world(desk))
    typer.echo(_json(done, currency) if as_json else _refund_line(done, currency))


def adjust(
    charge: int = _CHARGE,
    amount: str = typer.Option(..., "--amount", metavar="AMOUNT", help="How much is added, as 0.10, or taken off, as -0.10."),
    reason: str = _REASON,
    reference: str = _REFERENCE,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Add to a charge or take from it; what is added must be in the wallet, what is taken off was captured.

    \b
    Example:
      bellhop billing adjust 7306115497984000 --amount -0.10 --reason wrong-price -c shop/bellhop.toml
    """
    _correct(_Call(refunds.adjust, "adjusted", charge, amount, reason, reference, who), as_json, config)


def goodwill(
    charge: int = _CHARGE,
    amount: str = typer.Option(..., "--amount", metavar="AMOUNT", help="How much to give, as 1.00."),
    reason: str = _REASON,
    reference: str = _REFERENCE,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Give something for a charge out of the house's goodwill; the charge itself stands.

    \b
    Example:
      bellhop billing goodwill 7306115497984000 --amount 1.00 --reason courtesy -c shop/bellhop.toml
    """
    _correct(_Call(refunds.goodwill, "goodwill", charge, amount, reason, reference, who), as_json, config)


def writeoff(
    charge: int = _CHARGE,
    amount: str = _AMOUNT,
    reason: str = typer.Option("unpaid", "--reason", metavar="CODE", help="Why, as in refund."),
    reference: str = _REFERENCE,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Give a charge up as bad debt: the payer owes it no more, and the revenue stands beside the loss.

    \b
    Example:
      bellhop billing writeoff 7306115497984000 --reason unpaid -c shop/bellhop.toml
    """
    _correct(_Call(refunds.write_off, "written off", charge, amount, reason, reference, who), as_json, config)


@account.command("open")
def open_wallet(
    party: str = _PARTY,
    currency: str = typer.Option(..., "--currency", metavar="CODE", help="Its currency: of ISO 4217, or a coin as QQB."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Open a wallet in one more currency, or the first one of a sponsor.

    \b
    Examples:
      bellhop billing account open partner:acme --currency USD -c shop/bellhop.toml
      bellhop billing account open sponsor:radio --currency CNY
    """
    with at_desk(config, who) as desk:
        found, is_new = accounts.open_wallet(desk.conn, party, currency, actor=desk.by, **desk.world)
    told = "opened" if is_new else "was open before"
    typer.echo(json.dumps({**_wallet(found), "is_new": is_new}) if as_json else f"{party}: wallet in {currency} {told}")


@account.command("list")
def list_wallets(
    kind: str = typer.Option("", "--kind", metavar="KIND", help=f"Only of this kind: {', '.join(accounts.KINDS)}."),
    after: str = typer.Option("", "--after", metavar="PARTY/CODE", help="Go on behind this one, as partner:acme/CNY."),
    rows: int = _ROWS,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List wallets with what is in them.

    \b
    Example:
      bellhop billing account list --kind sponsor -c shop/bellhop.toml
    """
    if kind and kind not in accounts.KINDS:
        raise ConfigError([f"--kind: {kind[:20]!r} is none; the kinds are {', '.join(accounts.KINDS)}"])
    party, _, code = after.partition("/")
    with reading(config) as opened, opened.engine.begin() as conn:
        found = accounts.page(conn, kind=kind, after=(party, code), rows_max=rows)
    if as_json:
        typer.echo(json.dumps({"accounts": [_wallet(each) for each in found]}))
        return
    for each in found:
        typer.echo(_wallet_line(each))
    if not found:
        typer.echo("there is no such wallet")


@account.command("credit")
def set_credit(
    party: str = _PARTY,
    limit: str = typer.Argument(..., metavar="AMOUNT", help="How far below zero it may go, as 500.00; 0 for not at all."),
    currency: str = _CURRENCY,
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Let a party's wallet go below zero; raised by more than billing.approval_above it waits for a second person.

    \b
    Example:
      bellhop billing account credit partner:acme 500.00 -c shop/bellhop.toml
    """
    with at_desk(config, who) as desk:
        wallet = accounts.of_party(desk.conn, party, currency)[0]
        minor = _minor(limit, wallet.currency, "AMOUNT")
        done = accounts.set_limit(desk.conn, wallet.id, minor or 0, actor=desk.by, limits=limits_of(desk.opened.settings), **desk.world)
    if as_json:
        request = None if done.approval_id is None else str(done.approval_id)
        typer.echo(json.dumps({**_wallet(done.account), "approval_id": request}))
    elif done.approval_id is not None:
        typer.echo(_waiting(party, done.approval_id))
    else:
        typer.echo(f"{party}: credit of {_coins(done.account.limit_minor, done.account.currency)}")


@account.command()
def movements(
    party: str = _PARTY,
    currency: str = _CURRENCY,
    before: int | None = typer.Option(None, "--before", metavar="NUMBER", help="Go on with those before this one."),
    rows: int = _ROWS,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Tell what came into a wallet and what went out of it, latest first.

    \b
    Example:
      bellhop billing account movements partner:acme --rows 20 -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        wallet = accounts.of_party(conn, party, currency)[0]
        found = accounts.movements(conn, wallet.id, before=before, rows_max=rows)
    if as_json:
        told = [{**each._asdict(), "id": str(each.id), "at": _time(each.at), "state": each.state.name.lower()} for each in found]
        typer.echo(json.dumps({**_wallet(wallet), "movements": told}))
        return
    typer.echo(_wallet_line(wallet))
    for each in found:
        held = "  held" if each.state is TransferState.PENDING else ""
        typer.echo(f"{each.id}  {_time(each.at)}  {_coins(each.amount_minor, wallet.currency):>16}  {each.cause or 'charge'}{held}")


def balance(
    as_of: str = typer.Option("", "--as-of", metavar="TIME", help="Only what was posted before this time, as 2026-12-01T00:00:00+08:00."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """The trial balance: every class of accounts, by currency, each currency adding up to zero; and how old holds are. Exit code 1 if not.

    \b
    Examples:
      bellhop billing balance -c shop/bellhop.toml
      bellhop billing balance --as-of 2026-12-01T00:00:00+08:00 --json
    """
    until = _instant(as_of)
    with reading(config) as opened, opened.engine.begin() as conn:
        now_us = opened.clock.now_us()
        totals, holds = accounts.trial_balance(conn, as_of_us=until), [] if until else accounts.hold_ages(conn, now_us=now_us)
    sums: dict[str, int] = {}
    for each in totals:
        sums[each.currency] = sums.get(each.currency, 0) + each.balance_minor
    if as_json:
        told = {"classes": [each._asdict() for each in totals], "sums": sums, "holds": [each._asdict() for each in holds]}
        typer.echo(json.dumps({"balanced": not any(sums.values()), **told}))
    else:
        _tell_balance(totals, sums, holds)
    raise typer.Exit(EXIT_BROKEN if any(sums.values()) else 0)


def add_to(billing: typer.Typer) -> None:
    """Mount the commands of this module."""
    for command in (refund, adjust, goodwill, writeoff, balance):
        billing.command()(command)
    billing.add_typer(account, name="account")


class _Call(NamedTuple):
    """A command's arguments as typed, and the act they are for."""

    act: Callable[..., Corrected]
    told: str
    charge: int
    amount: str
    reason: str
    reference: str
    who: str


def _correct(call: _Call, as_json: bool, config: Path) -> None:
    with at_desk(config, call.who) as desk:
        currency = refunds.currency_of(desk.conn, call.charge)
        reference = call.reference or _own_reference(desk)
        asked = Asked(call.charge, _minor(call.amount, currency), call.reason, reference, desk.by)
        done = call.act(desk.conn, asked, **_world(desk))
    typer.echo(_json(done, currency) if as_json else _line(done, call.told))


def _world(desk: Desk) -> dict[str, Any]:
    settings = desk.opened.settings
    return {**desk.world, "into": booking_of(settings), "limits": limits_of(settings)}


def _own_reference(desk: Desk) -> str:
    return f"cli:{desk.opened.new_id()}"


def _minor(typed: str, currency: str, option: str = "--amount") -> int | None:
    try:
        return money.parse(typed, currency).amount_minor if typed else None
    except MoneyError as error:
        raise ConfigError([f"{option}: {error}"]) from None


def _tell_balance(totals: list[ClassTotal], sums: dict[str, int], holds: list[HoldAge]) -> None:
    for currency, total in sums.items():
        for each in totals:
            if each.currency == currency:
                typer.echo(f"{currency}  {each.name:<17} {each.accounts:>7}  {money.format_minor(each.balance_minor, currency):>20}")
        typer.echo(f"{currency}  {'sum':<17} {'':>7}  {money.format_minor(total, currency):>20}{'' if total == 0 else '  NOT BALANCED'}")
    for age in holds:
        typer.echo(f"{age.currency}  held {age.days:<12} {age.holds:>7}  {money.format_minor(age.held_minor, age.currency):>20}")
    if not sums:
        typer.echo("no accounts yet")


def _wallet(each: Account) -> dict[str, Any]:
    return {**each._asdict(), "id": str(each.id), "free_minor": each.free_minor}


def _wallet_line(each: Account) -> str:
    credit = f", credit {_coins(each.limit_minor, each.currency)}" if each.limit_minor else ""
    held = money.format_minor(each.held_minor, each.currency)
    return f"{each.party:<24}  {_coins(each.free_minor, each.currency)} free, {held} held{credit}"


def _time(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds").replace("+00:00", "Z")


def _instant(typed: str) -> int | None:
    if not typed:
        return None
    try:
        at = datetime.fromisoformat(typed)
    except ValueError:
        raise ConfigError([f"--as-of: {typed[:40]!r} is no time like 2026-12-01T00:00:00Z"]) from None
    if at.tzinfo is None:
        raise ConfigError([f"--as-of: {typed[:40]}: a time needs its offset, such as Z or +08:00"])
    return (at - EPOCH) // timedelta(microseconds=1)


def _json(done: Refunded | Corrected, currency: str) -> str:
    # Numbers of this length lose their end in programs that read JSON numbers as doubles.
    told = {**done._asdict(), "currency": currency, "charge_id": str(done.charge_id)}
    for name in ("correction_id", "approval_id"):
        if name in told:
            told[name] = None if told[name] is None else str(told[name])
    if isinstance(done, Refunded):
        told["correction_ids"] = [str(id_) for id_ in done.correction_ids]
    return json.dumps(told)


def _refund_line(done: Refunded, currency: str) -> str:
    if not done.correction_ids:
        return _waiting(done.charge_id, done.approval_id)
    extra = f" and {_coins(done.goodwill_minor, currency)} of goodwill" if done.goodwill_minor else ""
    repeated = "" if done.is_new else " before, under this reference"
    told = f"{_coins(done.refunded_minor, currency)}{extra} given back{repeated}"
    return f"{done.charge_id}: {told}; {_coins(done.remaining_minor, currency)} remain"


def _line(done: Corrected, told: str) -> str:
    if done.correction_id is None:
        return _waiting(done.charge_id, done.approval_id)
    repeated = "" if done.is_new else " before, under this reference"
    remain = _coins(done.remaining_minor, done.currency)
    return f"{done.charge_id}: {told}{repeated}, {_coins(done.amount_minor, done.currency)}; {remain} remain"


def _waiting(charge: int | str, approval_id: int | None) -> str:
    return f"{charge}: waits for a second person: `bellhop billing approval approve {approval_id}`"


def _coins(amount_minor: int, currency: str) -> str:
    return str(money.Money(amount_minor, currency))
