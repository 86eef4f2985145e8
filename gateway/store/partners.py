"""Partners: who may bind or call the API, and their answers kept for a repeated Idempotency-Key."""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, literal, select, true

from billing.schema import account
from gateway.store.schema import idempotency, message, partner


class Partner(NamedTuple):
    """An account that may send."""

    id: int
    name: str
    smpp_password_hash: str | None
    api_key_hash: str | None
    wallet: int
    is_enabled: bool
    policy: str = "{}"  # domain.policy
    wallets: tuple[tuple[str, int], ...] = ()  # all of them, as (currency, account); read with it, never written with it


_STORED = Partner._fields[:-1]
_COLUMNS = [partner.c[name] for name in _STORED]
# The two columns more that tell its wallets apart; a row for each of them.
_WITH_WALLETS = (
    select(*_COLUMNS, account.c.currency, account.c.id.label("account_id"))
    .outerjoin(account, (account.c.party == literal("partner:") + partner.c.name) & account.c.is_wallet)
    .order_by(partner.c.name, account.c.created_at, account.c.id)
)


def add(conn: Connection, new: Partner, created_at: int) -> None:
    """Write a new partner; the name must be free."""
    conn.execute(insert(partner).values(**dict(zip(_STORED, new, strict=False)), created_at=created_at))


def by_name(conn: Connection, name: str) -> Partner | None:
    """Find by name, which is its system_id too."""
    return next(iter(_found(conn, partner.c.name == name)), None)


def by_api_key_hash(conn: Connection, key_hash: str) -> Partner | None:
    """Find by the SHA-256 of its API key."""
    return next(iter(_found(conn, partner.c.api_key_hash == key_hash)), None)


def all_partners(conn: Connection) -> list[Partner]:
    """Every partner, by name."""
    return _found(conn, true())


def wallet_of_sender(conn: Connection, message_id: int, currency: str) -> int | None:
    """The wallet in a currency of the partner who sent a message, if there is one."""
    party = literal("partner:") + partner.c.name
    joined = select(account.c.id).join(partner, party == account.c.party).join(message, message.c.partner_id == partner.c.id)
    return conn.execute(joined.where(message.c.id == message_id, account.c.currency == currency, account.c.is_wallet)).scalar()


def _found(conn: Connection, condition: ColumnElement[bool]) -> list[Partner]:
    rows = conn.execute(_WITH_WALLETS.where(condition)).all()
    return [_read(list(each)) for _, each in groupby(rows, key=lambda row: row.id)]


def _read(rows: list[Any]) -> Partner:
    wallets = tuple((row.currency, row.account_id) for row in rows if row.account_id is not None)
    return Partner(*rows[0][: len(_STORED)])._replace(wallets=wallets)


def kept_answer(conn: Connection, partner_id: int, key: str) -> tuple[str, str] | None:
    """The (request hash, answer) kept for a key."""
    query = select(idempotency.c.request_hash, idempotency.c.answer).where(idempotency.c.partner_id == partner_id, idempotency.c.key == key)
    row = conn.execute(query).one_or_none()
    return (row[0], row[1]) if row else None


def keep_answer(conn: Connection, partner_id: int, key: str, request_hash: str, answer: str, at: int) -> None:
    """Keep an answer under its key."""
    conn.execute(insert(idempotency).values(partner_id=partner_id, key=key, request_hash=request_hash, answer=answer, created_at=at))
