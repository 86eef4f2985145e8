"""Partners: who may bind or call the API, and their answers kept for a repeated Idempotency-Key."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from gateway.store.schema import idempotency, partner


class Partner(NamedTuple):
    """An account that may send."""

    id: int
    name: str
    smpp_password_hash: str | None
    api_key_hash: str | None
    wallet: int
    is_enabled: bool
    policy: str = "{}"  # domain.policy


_COLUMNS = [partner.c[name] for name in Partner._fields]


def add(conn: Connection, new: Partner, created_at: int) -> None:
    """Write a new partner; the name must be free."""
    conn.execute(insert(partner).values(**new._asdict(), created_at=created_at))


def by_name(conn: Connection, name: str) -> Partner | None:
    """Find by name, which is its system_id too."""
    row = conn.execute(select(*_COLUMNS).where(partner.c.name == name)).one_or_none()
    return Partner(*row) if row else None


def by_api_key_hash(conn: Connection, key_hash: str) -> Partner | None:
    """Find by the SHA-256 of its API key."""
    row = conn.execute(select(*_COLUMNS).where(partner.c.api_key_hash == key_hash)).one_or_none()
    return Partner(*row) if row else None


def all_partners(conn: Connection) -> list[Partner]:
    """Every partner, by name."""
    return [Partner(*row) for row in conn.execute(select(*_COLUMNS).order_by(partner.c.name))]


def kept_answer(conn: Connection, partner_id: int, key: str) -> tuple[str, str] | None:
    """The (request hash, answer) kept for a key."""
    query = select(idempotency.c.request_hash, idempotency.c.answer).where(idempotency.c.partner_id == partner_id, idempotency.c.key == key)
    row = conn.execute(query).one_or_none()
    return (row[0], row[1]) if row else None


def keep_answer(conn: Connection, partner_id: int, key: str, request_hash: str, answer: str, at: int) -> None:
    """Keep an answer under its key."""
    conn.execute(insert(idempotency).values(partner_id=partner_id, key=key, request_hash=request_hash, answer=answer, created_at=at))
