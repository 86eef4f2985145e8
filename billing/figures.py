"""How the books stand, in few numbers: what waits for people, and what was corrected. For one look now and then, not for each request."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, case, func, select

from billing.booking import closed_until
from billing.event import RecordType
from billing.matching import Class
from billing.periods import PeriodState
from billing.recon_sides import RunState
from billing.run_files import FileState
from billing.schema import charge
from billing.schema_exports import export_file
from billing.schema_ledger import approval
from billing.schema_periods import period
from billing.schema_reconciliation import recon_item, recon_run
from billing.schema_subscription import subscription
from billing.schema_tariff import suspense
from billing.subscription import Status

# What a policy, and not a person, added because a receipt came after its message had ended.
LATE = "late"


class Figures(NamedTuple):
    """One look; what has a kind is by its name, so that there are as many as there are kinds, carriers, currencies and profiles."""

    suspended: int
    approvals_waiting: int
    first_open: dict[str, int]  # carrier: the first day that takes rows, once a period was closed
    periods: dict[tuple[str, str], int]  # carrier, state
    corrections: dict[tuple[str, str], int]  # kind, currency
    corrected_minor: dict[tuple[str, str], int]  # kind, currency: signed
    subscriptions: dict[str, int]  # status
    export_files: dict[tuple[str, str], int]  # profile, state
    export_faults: dict[str, int]  # profile: files whose last way to their target failed
    differences_open: dict[str, int]  # carrier


def look(conn: Connection) -> Figures:
    """Count everything as it is committed now."""
    corrections = _corrections(conn)
    files = select(export_file.c.profile, export_file.c.state, func.count()).group_by(export_file.c.profile, export_file.c.state)
    is_stuck = export_file.c.fault.is_not(None) & (export_file.c.state == int(FileState.WRITTEN))
    stuck = select(export_file.c.profile, func.count().label("files")).where(is_stuck).group_by(export_file.c.profile)
    periods = select(period.c.carrier, period.c.state, func.count()).group_by(period.c.carrier, period.c.state)
    statuses = select(subscription.c.status, func.count()).group_by(subscription.c.status)
    return Figures(
        conn.execute(select(func.count()).select_from(suspense).where(suspense.c.state == 0)).scalar_one(),
        conn.execute(select(func.count()).select_from(approval).where(approval.c.state == 0)).scalar_one(),
        {carrier: day for carrier, day in closed_until(conn).items() if day},
        {(carrier, PeriodState(state).name.lower()): count for carrier, state, count in conn.execute(periods)},
        {key: count for key, (count, _) in corrections.items()},
        {key: minor for key, (_, minor) in corrections.items()},
        {Status(status).name.lower(): count for status, count in conn.execute(statuses)},
        {(profile, FileState(state).name.lower()): count for profile, state, count in conn.execute(files)},
        {row.profile: row.files for row in conn.execute(stuck)},
        _differences(conn),
    )


def _corrections(conn: Connection) -> dict[tuple[str, str], tuple[int, int]]:
    columns = charge.c
    is_late = case(((columns.record_type == int(RecordType.ADJUST)) & (columns.reason == LATE), 1), else_=0)
    sums = (func.count(), func.sum(columns.amount_minor))
    query = select(columns.record_type, is_late, columns.currency, *sums).where(columns.corrects.is_not(None))
    found = conn.execute(query.group_by(columns.record_type, is_late, columns.currency))
    return {
        (LATE if late else RecordType(kind).name.lower(), currency): (count, int(minor)) for kind, late, currency, count, minor in found
    }


def _differences(conn: Connection) -> dict[str, int]:
    joined = recon_item.join(recon_run, recon_run.c.number == recon_item.c.run)
    is_open = (recon_run.c.state == int(RunState.REVIEW)) & (recon_item.c.kind != int(Class.MATCH)) & recon_item.c.resolution.is_(None)
    query = select(recon_run.c.carrier, func.count().label("items")).select_from(joined).where(is_open).group_by(recon_run.c.carrier)
    return {row.carrier: row.items for row in conn.execute(query)}
