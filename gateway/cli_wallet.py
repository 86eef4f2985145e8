"""Wallets by command: bringing money into one (whose, how much, under which reference, by whom), and showing what is in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import typer
from sqlalchemy import Connection

from billing import accounts
from billing.money import Money, format_minor
from gateway.cli_amount import amount_of, currency_in
from gateway.cli_staff import actor
from gateway.cli_store import DEFAULT_CURRENCY, Opened
from gateway.errors import ConfigError
from gateway.store.wallets import Balance, ChatWallet, PartnerWallet

AMOUNT = typer.Argument(..., metavar="AMOUNT", help='In minor units, or as "12.50 CNY".')
CURRENCY = typer.Option("", "--currency", metavar="CODE", help="The wallet in this currency, opened where it is missing; else the first.")
REFERENCE = typer.Option("", "--reference", metavar="TEXT", help="Your receipt's number; the same one twice counts once.")


class TopUp(NamedTuple):
    """A top-up as it was asked for."""

    party: str
    amount: str  # as typed
    currency: str  # empty: that of the first wallet
    reference: str
    actor: str


class ToppedUp(NamedTuple):
    """What a wallet has after a top-up; not new when its reference was used before."""

    is_new: bool
    available_minor: int
    currency: str

    @property
    def told(self) -> str:
        """What happened, for people."""
        happened = "topped up" if self.is_new else "this reference was topped up before"
        return f"{happened}; {Money(self.available_minor, self.currency)} free"


def asked_for(party: str, amount: str, currency: str, reference: str, who: str) -> TopUp:
    """What the arguments ask for; raises ConfigError for what is wrong whatever is in the store."""
    meant = currency_in(amount)
    if meant and currency and meant != currency:
        raise ConfigError([f"--currency: the amount is in {meant}, and this says {currency[:16]}"])
    amount_of(amount, currency or meant or DEFAULT_CURRENCY, "AMOUNT", least=1)
    return TopUp(party, amount, currency or meant, reference, actor(who))


def top_up(opened: Opened, conn: Connection, asked: TopUp) -> ToppedUp:
    """Bring money into a party's wallet, with its line in the audit log; the same reference again brings nothing."""
    currency = asked.currency or accounts.of_party(conn, asked.party)[0].currency
    amount = amount_of(asked.amount, currency, "AMOUNT", least=1)
    reference = asked.reference or f"cli:{opened.new_id()}"
    now_us = opened.clock.now_us()
    wallet, is_new = accounts.top_up(conn, asked.party, amount, reference, actor=asked.actor, new_id=opened.new_id, now_us=now_us)
    return ToppedUp(is_new, wallet.posted_minor - wallet.held_minor, wallet.currency)


def first_credit(typed: str, currency: str) -> Money:
    """What a new wallet begins with; wallets begin in the currency of the first service."""
    amount = amount_of(typed, currency, "--credit", least=0)
    if amount.currency != currency:
        raise ConfigError([f"--credit: the first wallet is in {currency}; `top-up` opens one in {amount.currency} afterwards"])
    return amount


def balances_of(each: PartnerWallet | ChatWallet) -> str:
    """What is in somebody's wallets, for people."""
    first = Balance(each.available_minor, each.held_minor, each.currency)
    return "; ".join(
        f"{Money(balance.available_minor, balance.currency)} free, {format_minor(balance.held_minor, balance.currency)} held"
        for balance in (first, *each.others)
    )


def wallet_fields(each: PartnerWallet | ChatWallet) -> dict[str, Any]:
    """Somebody with what is in his wallets, as JSON."""
    return {**each._asdict(), "others": [balance._asdict() for balance in each.others]}
