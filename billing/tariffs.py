"""Versions of tariffs in SQL: drafted by one person, approved by another, then never changed.

An approved version that has no end is given one when the next is approved: the instant from which that one holds. So at any instant one
version of a plan holds, or none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from billing import audit
from billing.audit import Act
from billing.errors import TariffError
from billing.schema_tariff import tariff_version
from billing.tariff import toml
from billing.tariff.rule import Rule
from billing.tariff.version import FOREVER_US, Version, VersionState, digest

# Every node looks for new versions this often at least, so none may hold sooner.
LEAD_US = 60_000_000


class Kept(NamedTuple):
    """A version with who made it and who approved it."""

    version: Version
    state: VersionState
    sha256: str
    created_by: str
    created_at: int
    approved_by: str | None
    approved_at: int | None


def draft(conn: Connection, wanted: Version, *, actor: str, now_us: int) -> Kept:
    """Keep a tariff as the next version of its plan; the same tariff as the newest draft is that draft."""
    content = toml.write(wanted)
    sha256 = digest(content)
    columns = tariff_version.c
    newest = conn.execute(select(tariff_version).where(columns.plan == wanted.plan).order_by(columns.number.desc()).limit(1)).one_or_none()
    if newest is not None and newest.state == VersionState.DRAFT and newest.sha256 == sha256:
        return _kept(newest)
    number = 1 if newest is None else newest.number + 1
    times = {"from_us": wanted.from_us, "to_us": wanted.to_us, "created_by": actor, "created_at": now_us}
    row = {"plan": wanted.plan, "number": number, "state": int(VersionState.DRAFT), "content": content, "sha256": sha256, **times}
    conn.execute(insert(tariff_version), row)
    audit.record(conn, Act(actor, "tariff.draft", f"tariff:{wanted.plan}/{number}", {"sha256": sha256}), now_us=now_us)
    return find(conn, wanted.plan, number)


def approve(conn: Connection, plan: str, number: int, *, actor: str, now_us: int, is_now: bool = False) -> Kept:
    """Let a draft hold from its time on; raises TariffError for one's own draft, too late a time, or an overlap."""
    kept = find(conn, plan, number)
    version = kept.version
    if kept.state is not VersionState.DRAFT:
        raise TariffError(f"{version.name} is {kept.state.name.lower()} already")
    if kept.created_by == actor:
        raise TariffError(f"{version.name} was drafted by {actor}: another person must approve it")
    if version.from_us < now_us + LEAD_US and not is_now:
        raise TariffError(f"{version.name} would hold in less than a minute, or holds since before now: give it a later time, or say --now")
    for other in of_plan(conn, plan, VersionState.APPROVED):
        if other.version.to_us == FOREVER_US and other.version.from_us < version.from_us:
            _end(conn, other.version, version.from_us)
        elif other.version.from_us < version.to_us and version.from_us < other.version.to_us:
            raise TariffError(f"{version.name} and {other.version.name} overlap: from or to of the draft must change")
    is_draft = _is(plan, number) & (tariff_version.c.state == int(VersionState.DRAFT))
    values = {"state": int(VersionState.APPROVED), "approved_by": actor, "approved_at": now_us}
    if conn.execute(update(tariff_version).where(is_draft).values(values)).rowcount != 1:
        raise TariffError(f"{version.name} was decided by somebody else meanwhile")
    audit.record(conn, Act(actor, "tariff.approve", f"tariff:{version.name}", {"sha256": kept.sha256}), now_us=now_us)
    return find(conn, plan, number)


def retire(conn: Connection, plan: str, number: int, *, actor: str, now_us: int) -> Kept:
    """Let an approved version hold no longer, or drop a draft; what it priced stays priced."""
    kept = find(conn, plan, number)
    if kept.state is not VersionState.RETIRED:
        is_as_seen = _is(plan, number) & (tariff_version.c.state == int(kept.state))
        values = {"state": int(VersionState.RETIRED), "retired_by": actor, "retired_at": now_us}
        if conn.execute(update(tariff_version).where(is_as_seen).values(values)).rowcount != 1:
            raise TariffError(f"{kept.version.name} was decided by somebody else meanwhile")
        audit.record(conn, Act(actor, "tariff.retire", f"tariff:{plan}/{number}"), now_us=now_us)
    return find(conn, plan, number)


def find(conn: Connection, plan: str, number: int) -> Kept:
    """One version; raises TariffError when there is none."""
    row = conn.execute(select(tariff_version).where(_is(plan, number))).one_or_none()
    if row is None:
        raise TariffError(f"there is no tariff {plan}/{number}; `bellhop billing tariff list` shows all")
    return _kept(row)


def of_plan(conn: Connection, plan: str = "", state: VersionState | None = None) -> list[Kept]:
    """The versions of a plan, or of all, in order."""
    query = select(tariff_version).order_by(tariff_version.c.plan, tariff_version.c.number)
    if plan:
        query = query.where(tariff_version.c.plan == plan)
    if state is not None:
        query = query.where(tariff_version.c.state == int(state))
    return [_kept(row) for row in conn.execute(query)]


def rule_of(conn: Connection, version: str, rule: str) -> Rule | None:
    """The rule that priced a charge, as the charge names both; None where no tariff did. Raises TariffError."""
    plan, _, number = version.partition("/")
    if not number.isdecimal():
        return None
    found = next((each for each in find(conn, plan, int(number)).version.rules if each.name == rule), None)
    if found is None:
        raise TariffError(f"{version} has no rule {rule}")
    return found


def stamp(conn: Connection, plan: str) -> tuple[int, int, int]:
    """Changes whenever the approved versions of a plan do; cheap to ask."""
    columns = tariff_version.c
    sums = (func.count(), func.coalesce(func.max(columns.approved_at), 0), func.coalesce(func.max(columns.retired_at), 0))
    found = conn.execute(select(*sums).where(columns.plan == plan)).one()
    return (int(found[0]), int(found[1]), int(found[2]))


def _end(conn: Connection, version: Version, at_us: int) -> None:
    conn.execute(update(tariff_version).where(_is(version.plan, version.number)).values(to_us=at_us))


def _is(plan: str, number: int) -> Any:
    return (tariff_version.c.plan == plan) & (tariff_version.c.number == number)


def _kept(row: Row[Any]) -> Kept:
    read = toml.parse(row.content, file=f"{row.plan}/{row.number}", number=row.number)
    version = read._replace(from_us=row.from_us, to_us=row.to_us)
    return Kept(version, VersionState(row.state), row.sha256, row.created_by, row.created_at, row.approved_by, row.approved_at)
