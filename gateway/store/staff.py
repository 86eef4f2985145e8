"""The billing staff: who may call /v1/billing, by the SHA-256 of a key, and what each may do there."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from gateway.store.schema import staff


class Scope(StrEnum):
    """What a member of the staff may do; who may act may read too, and approving is not acting."""

    READ = "read"
    ACT = "act"
    APPROVE = "approve"


class Member(NamedTuple):
    """One of the staff; acts are logged under the name."""

    name: str
    key_hash: str
    scopes: frozenset[Scope]
    is_enabled: bool = True

    def may(self, scope: Scope) -> bool:
        """Whether the member may do such a thing."""
        return self.is_enabled and (scope in self.scopes or (scope is Scope.READ and bool(self.scopes)))


def add(conn: Connection, member: Member, created_at: int) -> bool:
    """Write a new member; False: there is one of this name."""
    if by_name(conn, member.name) is not None:
        return False
    row = {"name": member.name, "key_hash": member.key_hash, "scopes": _written(member.scopes), "is_enabled": member.is_enabled}
    conn.execute(insert(staff), {**row, "created_at": created_at})
    return True


def by_name(conn: Connection, name: str) -> Member | None:
    """Find by name."""
    return _one(conn.execute(_SELECT.where(staff.c.name == name)).one_or_none())


def by_key_hash(conn: Connection, key_hash: str) -> Member | None:
    """Find by the SHA-256 of the key."""
    return _one(conn.execute(_SELECT.where(staff.c.key_hash == key_hash)).one_or_none())


def everyone(conn: Connection) -> list[Member]:
    """The whole staff, by name."""
    return [_member(row) for row in conn.execute(_SELECT.order_by(staff.c.name))]


def change(conn: Connection, name: str, **values: object) -> bool:
    """Change a member's `key_hash`, `is_enabled` or `scopes`; False: there is none of this name."""
    if "scopes" in values:
        values["scopes"] = _written(values["scopes"])  # type: ignore[arg-type]  # a set of scopes
    return conn.execute(update(staff).where(staff.c.name == name).values(**values)).rowcount == 1


_SELECT = select(staff.c.name, staff.c.key_hash, staff.c.scopes, staff.c.is_enabled)


def _written(scopes: frozenset[Scope]) -> str:
    return ",".join(sorted(scopes))


def _one(row: Any) -> Member | None:
    return None if row is None else _member(row)


def _member(row: Any) -> Member:
    name, key_hash, scopes, is_enabled = row
    return Member(name, key_hash, frozenset(Scope(each) for each in scopes.split(",") if each), bool(is_enabled))
