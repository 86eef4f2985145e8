"""Who has a wallet and what is in it: the operator's lists."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from billing.schema import account
from gateway.store.schema import im_account, partner


class PartnerWallet(NamedTuple):
    """A partner with what its wallet has."""

    name: str
    is_enabled: bool
    may_bind: bool
    available_minor: int
    held_minor: int
    currency: str


class ChatWallet(NamedTuple):
    """A messenger account with what its wallet has."""

    number: int
    nick: str
    available_minor: int
    held_minor: int
    currency: str


_MONEY = ((account.c.posted_minor - account.c.held_minor), account.c.held_minor, account.c.currency)


def of_partners(conn: Connection) -> list[PartnerWallet]:
    """For reading: every partner, by name."""
    columns = (partner.c.name, partner.c.is_enabled, partner.c.smpp_password_hash.is_not(None), *_MONEY)
    rows = conn.execute(select(*columns).join(account, account.c.id == partner.c.wallet).order_by(partner.c.name))
    return [PartnerWallet(row[0], bool(row[1]), bool(row[2]), row[3], row[4], row[5]) for row in rows]


def of_accounts(conn: Connection) -> list[ChatWallet]:
    """For reading: every messenger account, by number."""
    rows = conn.execute(
        select(im_account.c.id, im_account.c.nick, *_MONEY).join(account, account.c.id == im_account.c.wallet).order_by(im_account.c.id)
    )
    return [ChatWallet(*row) for row in rows]


def currency_of(conn: Connection, wallet: int) -> str:
    """The currency a wallet is kept in."""
    return str(conn.execute(select(account.c.currency).where(account.c.id == wallet)).scalar_one())
