"""Who has a wallet and what is in it: the operator's lists."""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, String, cast, literal, select

from billing.schema import account
from gateway.store.schema import im_account, partner


class Balance(NamedTuple):
    """What is in one wallet."""

    available_minor: int
    held_minor: int
    currency: str


class PartnerWallet(NamedTuple):
    """A partner with what its wallet has; `others` are those in further currencies."""

    name: str
    is_enabled: bool
    may_bind: bool
    available_minor: int
    held_minor: int
    currency: str
    others: tuple[Balance, ...] = ()


class ChatWallet(NamedTuple):
    """A messenger account with what its wallet has; `others` are those in further currencies."""

    number: int
    nick: str
    available_minor: int
    held_minor: int
    currency: str
    others: tuple[Balance, ...] = ()


def of_partners(conn: Connection) -> list[PartnerWallet]:
    """For reading: every partner, by name."""
    columns = (partner.c.name, partner.c.is_enabled, partner.c.smpp_password_hash.is_not(None))
    found = _listed(conn, partner.c.name, partner.c.wallet, literal("partner:") + partner.c.name, columns)
    return [PartnerWallet(who[0], bool(who[1]), bool(who[2]), *first, others) for who, first, others in found]


def of_accounts(conn: Connection) -> list[ChatWallet]:
    """For reading: every messenger account, by number."""
    party = literal("im:") + cast(im_account.c.id, String)
    found = _listed(conn, im_account.c.id, im_account.c.wallet, party, (im_account.c.id, im_account.c.nick))
    return [ChatWallet(who[0], who[1], *first, others) for who, first, others in found]


_Listed = tuple[tuple[Any, ...], Balance, tuple[Balance, ...]]


def _listed(conn: Connection, key: Column[Any], wallet: Column[int], party: ColumnElement[str], who: tuple[Any, ...]) -> list[_Listed]:
    """Of each: its own columns, its first wallet, and the others."""
    money = (account.c.posted_minor - account.c.held_minor, account.c.held_minor, account.c.currency)
    query = select(key, *who, *money).join(account, (account.c.party == party) & account.c.is_wallet)
    rows = conn.execute(query.order_by(key, account.c.id != wallet, account.c.created_at, account.c.id)).all()
    found = []
    for _, each in groupby(rows, key=lambda row: row[0]):
        of_one = list(each)
        balances = [Balance(*row[-3:]) for row in of_one]
        found.append((tuple(of_one[0][1:-3]), balances[0], tuple(balances[1:])))
    return found


def currency_of(conn: Connection, wallet: int) -> str:
    """The currency a wallet is kept in."""
    return str(conn.execute(select(account.c.currency).where(account.c.id == wallet)).scalar_one())
