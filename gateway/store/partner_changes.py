"""What an operator changes of partners."""

from __future__ import annotations

from sqlalchemy import Connection, update

from gateway.store.schema import partner


def set_enabled(conn: Connection, name: str, is_enabled: bool) -> bool:
    """Let a partner in or keep it out; False when there is none of that name."""
    return conn.execute(update(partner).where(partner.c.name == name).values(is_enabled=is_enabled)).rowcount == 1


def set_api_key_hash(conn: Connection, name: str, api_key_hash: str) -> bool:
    """Replace a partner's API key; False when there is none of that name."""
    return conn.execute(update(partner).where(partner.c.name == name).values(api_key_hash=api_key_hash)).rowcount == 1


def set_password_hash(conn: Connection, name: str, password_hash: str | None) -> bool:
    """Replace a partner's SMPP password, or take it away; False when there is none of that name."""
    return conn.execute(update(partner).where(partner.c.name == name).values(smpp_password_hash=password_hash)).rowcount == 1


def set_policy(conn: Connection, name: str, policy: str) -> bool:
    """Replace a partner's policy; False when there is none of that name."""
    return conn.execute(update(partner).where(partner.c.name == name).values(policy=policy)).rowcount == 1
