"""`bellhop billing voucher`: codes that bring money into a wallet."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from billing import accounts, money, vouchers
from billing.calendar import EPOCH
from billing.errors import MoneyError
from billing.vouchers import Batch, BatchState
from gateway.cli_books import at_desk
from gateway.cli_staff import ACTOR_OPTION
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, reading
from gateway.errors import ConfigError, Refused
from gateway.wiring_billing import limits_of

DAYS_MAX = 3_650
ROWS_MAX = 10_000
# Its owner's alone: whoever reads the file can spend it.
_MODE = 0o600

voucher = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Codes that bring money into a wallet.")


@voucher.command()
def make(
    name: str = typer.Argument(..., metavar="BATCH", help="A name for the batch, as spring-2026."),
    count: int = typer.Option(..., "--count", metavar="NUMBER", help=f"How many, at most {vouchers.VOUCHERS_MAX}."),
    value: str = typer.Option(..., "--value", metavar="AMOUNT", help="What each brings, as 10.00."),
    currency: str = typer.Option("CNY", "--currency", metavar="CODE", help="Its currency."),
    days: int = typer.Option(365, "--days", metavar="NUMBER", min=1, max=DAYS_MAX, help="How long they are good."),
    output: Path = typer.Option(..., "-o", "--output", metavar="FILE", help="Where the codes are written; must not be there yet."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Make vouchers; their codes are written into a file for you alone, once, and are stored as hashes only.

    Worth more than billing.approval_above, with all made alone within a day, they bring nothing until a second person agreed.

    \b
    Example:
      bellhop billing voucher make spring-2026 --count 500 --value 10.00 -o spring-2026.csv -c shop/bellhop.toml
    """
    try:
        minor = money.parse(value, currency).amount_minor
    except MoneyError as error:
        raise ConfigError([f"--value: {error}"]) from None
    with at_desk(config, who) as desk:
        until = desk.now_us + timedelta(days=days) // timedelta(microseconds=1)
        batch = Batch(name, minor, currency, count, until)
        opened = desk.opened
        world = {**desk.world, "random_octets": opened.entropy.token_bytes, "limits": limits_of(opened.settings)}
        made = vouchers.make(desk.conn, batch, actor=desk.by, **world)
        # Within the transaction: no vouchers without their codes on disk.
        _write(output, batch, made.codes)
    told = {"batch": name, "vouchers": count, "value_minor": minor, "currency": currency, "expires_at": _time(until), "file": str(output)}
    if as_json:
        typer.echo(json.dumps({**told, "approval_id": None if made.approval_id is None else str(made.approval_id)}))
        return
    typer.echo(f"{name}: {count} vouchers of {money.Money(minor, currency)}, good until {_time(until)}, in {output}")
    if made.approval_id is not None:
        typer.echo(f"{name}: they wait for a second person: `bellhop billing approval approve {made.approval_id}`")


@voucher.command()
def redeem(
    party: str = typer.Argument(..., metavar="PARTY", help="Into whose wallet: partner:NAME, im:NUMBER or sponsor:NAME."),
    code: str = typer.Option("", "--code", metavar="CODE", help="The code; without it you are asked for it."),
    currency: str = typer.Option("", "--currency", metavar="CODE", help="Into the wallet in this currency, where there are several."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Bring a voucher's value into a wallet; a code works once.

    \b
    Example:
      bellhop billing voucher redeem im:10001 -c shop/bellhop.toml
    """
    typed = code or typer.prompt("code", hide_input=True, err=True)
    with at_desk(config, who) as desk:
        wallet = accounts.of_party(desk.conn, party, currency)[0]
        done = vouchers.redeem(desk.conn, typed, wallet.id, actor=desk.by, **desk.world)
        now = accounts.one(desk.conn, wallet.id)
    if as_json:
        told = {"party": party, "value_minor": done.value_minor, "currency": done.currency, "is_new": done.is_new}
        typer.echo(json.dumps({**told, "free_minor": now.free_minor}))
        return
    repeated = "" if done.is_new else " before, by this code"
    brought = money.Money(done.value_minor, done.currency)
    typer.echo(f"{party}: {brought} brought in{repeated}; {money.Money(now.free_minor, now.currency)} free")


@voucher.command("list")
def list_batches(
    after: int = typer.Option(0, "--after", metavar="NUMBER", help="Go on behind the batch of this number."),
    rows: int = typer.Option(100, "--rows", metavar="NUMBER", min=1, max=ROWS_MAX, help="At most so many."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List batches with what became of their vouchers; never a code.

    \b
    Example:
      bellhop billing voucher list -c shop/bellhop.toml
    """
    with reading(config) as opened, opened.engine.begin() as conn:
        found = vouchers.page(conn, after=after, rows_max=rows)
    if as_json:
        told = [
            {**each.batch._asdict(), **each._asdict(), "id": str(each.id), "expires_at": _time(each.batch.expires_at)} for each in found
        ]
        typer.echo(json.dumps({"batches": [{key: value for key, value in each.items() if key != "batch"} for each in told]}))
        return
    for each in found:
        value = money.Money(each.batch.value_minor, each.batch.currency)
        counts = f"{each.live} live, {each.redeemed} redeemed, {each.void} void"
        typer.echo(f"{each.batch.name:<24}  {each.batch.vouchers} of {value}  {counts}  until {_time(each.batch.expires_at)}")
    if not found:
        typer.echo("no vouchers yet; `bellhop billing voucher make` makes some")


@voucher.command()
def void(
    name: str = typer.Argument(..., metavar="BATCH", help="The batch's name."),
    code: str = typer.Option("", "--code", metavar="CODE", help="Only this voucher of it."),
    who: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Make the vouchers of a batch worthless, those that were not redeemed.

    \b
    Example:
      bellhop billing voucher void spring-2026 -c shop/bellhop.toml
    """
    with at_desk(config, who) as desk:
        voided = vouchers.void(desk.conn, name, actor=desk.by, now_us=desk.now_us, code=code)
    typer.echo(json.dumps({"batch": name, "voided": voided}) if as_json else f"{name}: {voided} vouchers are void now")


def _write(path: Path, batch: Batch, codes: list[str]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "w", encoding="ascii", newline="") as file:
            file.writelines(vouchers.lines(codes, batch))
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise Refused(f"{path}: is there already; codes are written into a new file only") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None


def _fields(each: BatchState) -> dict[str, Any]:
    counts = {"live": each.live, "redeemed": each.redeemed, "void": each.void}
    return {"id": str(each.id), **each.batch._asdict(), "expires_at": _time(each.batch.expires_at), **counts}


def _time(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds").replace("+00:00", "Z")
