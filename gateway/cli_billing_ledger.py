"""`bellhop billing refund`, `adjust`, `goodwill`, `writeoff`: what people give back on a charge, or add to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import typer

from billing import money, reasons, refunds
from billing.errors import MoneyError
from billing.refunds import Asked, Corrected, Refund, Refunded
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, writing
from gateway.errors import ConfigError
from gateway.wiring_billing import booking_of, limits_of

_CHARGE = typer.Argument(..., metavar="CHARGE", help="The charge's number: that of its message, or of its record in a file.")
_REASON = typer.Option(..., "--reason", metavar="CODE", help=f"Why: one of {', '.join(reasons.REASONS)}.")
_REFERENCE = typer.Option("", "--reference", metavar="TEXT", help="Your number of the case; the same one twice is done once.")
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
    name = actor(who)
    with writing(config) as opened, opened.engine.begin() as conn:
        currency = refunds.currency_of(conn, charge)
        times = opened.settings.billing.refund_multiplier if double else 1
        asked = Refund(charge, _minor(amount, currency), reason, reference or _own_reference(opened), name, times)
        done = refunds.refund(conn, asked, **_world(opened))
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


def add_to(billing: typer.Typer) -> None:
    """Mount the commands of this module."""
    for command in (refund, adjust, goodwill, writeoff):
        billing.command()(command)


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
    name = actor(call.who)
    with writing(config) as opened, opened.engine.begin() as conn:
        currency = refunds.currency_of(conn, call.charge)
        reference = call.reference or _own_reference(opened)
        asked = Asked(call.charge, _minor(call.amount, currency), call.reason, reference, name)
        done = call.act(conn, asked, **_world(opened))
    typer.echo(_json(done, currency) if as_json else _line(done, call.told))


def _world(opened: Opened) -> dict[str, Any]:
    settings = opened.settings
    return {
        "into": booking_of(settings),
        "new_id": opened.new_id,
        "now_us": opened.clock.now_us(),
        "limits": limits_of(settings),
    }


def _own_reference(opened: Opened) -> str:
    return f"cli:{opened.new_id()}"


def _minor(typed: str, currency: str) -> int | None:
    try:
        return money.parse(typed, currency).amount_minor if typed else None
    except MoneyError as error:
        raise ConfigError([f"--amount: {error}"]) from None


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


def _waiting(charge: int, approval_id: int | None) -> str:
    return f"{charge}: waits for a second person; he says `bellhop billing approval approve {approval_id}`"


def _coins(amount_minor: int, currency: str) -> str:
    return str(money.Money(amount_minor, currency))
